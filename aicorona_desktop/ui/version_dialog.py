"""Two versions of the same images, side by side: a person chooses which one stands, or that the study isn't scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QRect, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.app.versions import (
    Compared,
    Difference,
    ImageVersions,
    Version,
    VersionReader,
    differences,
    read_versions,
)
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.rows import Row
from aicorona_desktop.imaging.voi import LUNG, to_grey
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.escalation_dialog import allow_saving, save_or_not
from aicorona_desktop.ui.identity_dialogs import LANE, AnswerBox
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.recorder import Entry, recorder_of
from aicorona_desktop.ui.worklist_words import moment_text

translate = QCoreApplication.translate

MARK = (255, 140, 0)
"""Orange: stands out from grey for everybody, light or dark."""
LONGEST_VALUE = 80
OF_THE_PATIENT = frozenset(
    {
        *("patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date"),
        *("accession_number", "institution_name"),
    }
)


class Picture(QWidget):
    """One slice in the lung window, with the pixels that differ in orange; or the reason why there is none."""

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._colours: NDArray[np.uint8] | None = None
        self._text = ""

    def minimumSizeHint(self) -> QSize:
        """Return as much as lets a lung be known again, by the size of text."""
        side = self.fontMetrics().height() * 9
        return QSize(side, side)

    def sizeHint(self) -> QSize:
        """Return what is good to look at."""
        side = self.fontMetrics().height() * 12
        return QSize(side, side)

    @property
    def colours(self) -> NDArray[np.uint8] | None:
        """What is drawn, uint8 [rows, columns, 3]; None where there is no picture."""
        return self._colours

    def show_slice(self, pixels: NDArray[np.int16] | Finding, marked: NDArray[np.bool_] | None) -> None:
        """Show a slice, or say why it can't be read."""
        if isinstance(pixels, Finding):
            self.say(str(pixels))
            return
        colours = np.repeat(to_grey(pixels, LUNG)[:, :, None], 3, axis=2)
        if marked is not None:
            colours[marked] = MARK
        self._colours, self._text = np.ascontiguousarray(colours), ""
        self.update()

    def say(self, text: str) -> None:
        """Show a sentence in place of a picture."""
        self._colours, self._text = None, text
        self.setAccessibleDescription(text)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the slice as large as fits, its sides in proportion."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        if self._colours is None:
            painter.setPen(Qt.GlobalColor.white)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._text)
            return
        rows, columns = self._colours.shape[:2]
        image = QImage(self._colours.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        scale = min(self.width() / columns, self.height() / rows)
        width, height = round(columns * scale), round(rows * scale)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRect((self.width() - width) // 2, (self.height() - height) // 2, width, height), image)


class VersionDialog(Sheet):
    """Shows each image in all its versions, and asks which of them stands; nothing is chosen beforehand."""

    def __init__(
        self,
        images: Sequence[ImageVersions],
        compare: Callable[[ImageVersions, Callable[[Compared], None], Callable[[str], None]], None],
        initials: str,
        *,
        covered: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        """`compare` has the pixels of an image read and told; `covered`: names and numbers are not shown."""
        super().__init__(translate("VersionDialog", "Two versions of the same images"), parent, (128, 39))
        self.images = tuple(images)
        self._compare = compare
        self._covered = covered
        self._compared: Compared | None = None
        self.add_heading(heading_text(self.images))
        self._inside = self._scrolled()
        self._add_words()
        self._add_pictures()
        self._add_table()
        self._add_answers(initials)
        self.buttons = save_or_not(self)
        self._enable()

    def show_first(self) -> None:
        """Have the first image read and shown."""
        self._show_image(1)

    @property
    def most(self) -> int:
        """How many versions the image with most of them has."""
        return max(len(one.versions) for one in self.images)

    @property
    def place(self) -> int | None:
        """Which version was chosen, by its arrival; None: the study is not scored."""
        chosen = self.answers.chosen
        return None if chosen is None or chosen >= self.most else chosen

    def entry(self, context: Context, study_instance_uid: str) -> Entry:
        """Return what was chosen, as an entry on a study; it is scored anew once that is recorded or taken back."""
        history, engine, uid = context.running.history, context.running.engine, study_instance_uid
        seen = {one.identity: one.seen for one in self.images}
        place, why, initials = self.place, self.why.text().strip(), self.initials.text().strip()

        def settle(*, stands: bool) -> None:  # noqa: ARG001 - in both cases what stands now is looked at
            if engine is not None:
                engine.settle_identity(uid)

        return Entry(
            uid,
            lambda: history.choose_version(uid, place, seen, why=why, initials=initials),
            lambda number: history.take_back_version(number, initials),
            then=settle,
        )

    def _scrolled(self) -> QVBoxLayout:
        """Return a column that scrolls where the screen is low or the text large; the buttons stay in sight."""
        area, inside = QScrollArea(self), QWidget(self)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        self.body.addWidget(area, 1)
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        return column

    def _add_words(self) -> None:
        what = QLabel(
            translate(
                "VersionDialog",
                "They have the same number (UID) but are not the same files. Compare them, and choose which ones "
                "count: the study gets a score once you have chosen. Both stay in the history, and you can take the "
                "choice back.",
            ),
            self,
            wordWrap=True,
        )
        self._inside.addWidget(what)
        self.number = QSpinBox(self, minimum=1, maximum=len(self.images))
        label = translate("VersionDialog", "Image")
        self.number.setAccessibleName(label)
        self.of = QLabel(translate("VersionDialog", "of %n", "", len(self.images)), self)
        self.marks = QCheckBox(translate("VersionDialog", "Mark what differs"), self)
        self.marks.setChecked(True)
        self.verdict = plain(QLabel(self, wordWrap=True))
        row = QHBoxLayout()
        row.addWidget(QLabel(label, self))
        for widget in (self.number, self.of, self.marks):
            row.addWidget(widget)
        row.addWidget(self.verdict, 1)
        self._inside.addLayout(row)
        self.number.valueChanged.connect(self._show_image)
        self.marks.toggled.connect(self._draw)

    def _add_pictures(self) -> None:
        self.pictures: list[Picture] = []
        self.titles: list[QLabel] = []
        grid = QGridLayout()
        for place in range(self.most):
            name = version_name(place, self.most)
            title, picture = plain(QLabel(self, wordWrap=True)), Picture(name, self)
            title.setAccessibleName(name)
            grid.addWidget(title, 0, place, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(picture, 1, place)
            grid.setColumnStretch(place, 1)
            self.titles.append(title)
            self.pictures.append(picture)
        grid.setRowStretch(1, 1)
        self._inside.addLayout(grid, 3)

    def _add_table(self) -> None:
        self.table = QTableWidget(0, 1 + self.most, self)
        self.table.setAccessibleName(translate("VersionDialog", "What the headers of this image give differently"))
        names = [version_name(place, self.most) for place in range(self.most)]
        self.table.setHorizontalHeaderLabels([translate("VersionDialog", "What differs in the header"), *names])
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setTabKeyNavigation(False)
        self.table.setFixedHeight(round(self.fontMetrics().lineSpacing() * 4.5))
        self._inside.addWidget(self.table, 1)

    def _add_answers(self, initials: str) -> None:
        answers = [use_text(place, self.most) for place in range(self.most)]
        answers.append(translate("VersionDialog", "Do not score this study"))
        self.answers = AnswerBox(translate("VersionDialog", "Which images count"), answers, self._enable, self)
        self.why, self.initials = QLineEdit(self), QLineEdit(initials, self)
        self.why.setPlaceholderText(translate("VersionDialog", "Such as: sent again after a correction"))
        form = QFormLayout()
        for label, field in (
            (translate("VersionDialog", "Why"), self.why),
            (translate("VersionDialog", "Your initials"), self.initials),
        ):
            field.setAccessibleName(label)
            field.textChanged.connect(self._enable)
            form.addRow(label, field)
        row, right = QHBoxLayout(), QVBoxLayout()
        right.addLayout(form)
        right.addStretch(1)
        row.addWidget(self.answers, 1)
        row.addLayout(right, 1)
        self.body.addLayout(row)

    def _show_image(self, number: int) -> None:
        image = self.images[number - 1]
        self._compared = None
        self.verdict.setText(translate("VersionDialog", "The pictures are being read."))
        for place, (title, picture) in enumerate(zip(self.titles, self.pictures, strict=True)):
            there = place < len(image.versions)
            title.setText(origin_text(image.versions[place], place, self.most) if there else "")
            picture.say("")
        self._fill_table(image)

        def show(compared: Compared) -> None:
            if self.number.value() == number:
                self._compared = compared
                self._draw()

        self._compare(image, show, self.verdict.setText)

    def _draw(self) -> None:
        compared = self._compared
        if compared is None:
            return
        for picture, pixels, differing in zip(self.pictures, compared.pixels, compared.differing, strict=False):
            picture.show_slice(pixels, differing if self.marks.isChecked() else None)
        self.verdict.setText(pixels_text(compared))

    def _fill_table(self, image: ImageVersions) -> None:
        first = image.versions[0].instance.header
        others = [{one.name: one for one in differences(first, later.instance.header)} for later in image.versions[1:]]
        names = list(dict.fromkeys(name for found in others for name in found))
        self.table.setRowCount(max(len(names), 1))
        if not names:
            self.table.setItem(0, 0, QTableWidgetItem(translate("VersionDialog", "Nothing that this program reads")))
        for line, name in enumerate(names):
            values = [getattr(first, name), *(_given(found, name, getattr(first, name)) for found in others)]
            texts = [field_words(name), *(self._value_text(name, value) for value in values)]
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.table.setItem(line, column, item)

    def _value_text(self, name: str, value: object) -> str:
        if self._covered and name in OF_THE_PATIENT:
            return translate("VersionDialog", "(hidden)")
        return value_text(value)

    def _enable(self, *_: object) -> None:
        missing = ""
        if self.answers.chosen is None:
            missing = translate("VersionDialog", "Choose which images count.")
        elif not self.why.text().strip():
            missing = translate("VersionDialog", "Say why.")
        elif not self.initials.text().strip():
            missing = translate("VersionDialog", "Give your initials.")
        allow_saving(self.buttons, missing)


# --- words -----------------------------------------------------------------------------------------------------------


def heading_text(images: Sequence[ImageVersions]) -> str:
    """Return how many images came in more than one version."""
    if len(images) == 1:
        return translate("VersionDialog", "One image of this study came in more than one version.")
    return translate("VersionDialog", "%n images of this study came in more than one version.", "", len(images))


def version_name(place: int, most: int) -> str:
    """Return what a version is called, by its arrival."""
    if most == 2:
        return (
            translate("VersionDialog", "The version that came first")
            if place == 0
            else translate("VersionDialog", "The version that came later")
        )
    return translate("VersionDialog", "Version {number}").format(number=place + 1)


def use_text(place: int, most: int) -> str:
    """Return the answer that chooses a version."""
    if most == 2:
        return (
            translate("VersionDialog", "Use the images that came first")
            if place == 0
            else translate("VersionDialog", "Use the images that came later")
        )
    return translate("VersionDialog", "Use version {number} of each image").format(number=place + 1)


def origin_text(version: Version, place: int, most: int) -> str:
    """Return where a version came from, and when."""
    when = moment_text(version.arrived_at) if version.arrived_at else translate("VersionDialog", "at an unknown time")
    text = translate("VersionDialog", "{name}: {when}\n{file}, from {source}")
    return text.format(name=version_name(place, most), when=when, source=version.file.source, file=version.file.shown)


def pixels_text(compared: Compared) -> str:
    """Return whether the pictures of an image's versions differ, and by how many pixels."""
    unread = next((one for one in compared.pixels if isinstance(one, Finding)), None)
    if unread is not None:
        return translate("VersionDialog", "One of the pictures can't be read: {why}").format(why=str(unread))
    if any(one is None for one in compared.differing):
        return translate("VersionDialog", "The pictures are of different sizes.")
    differing = [one for one in compared.differing[1:] if one is not None]
    count = max((int(np.count_nonzero(one)) for one in differing), default=0)
    if not count:
        return translate("VersionDialog", "The pictures are the same in every pixel; only the headers or files differ.")
    share = 100 * count / max(differing[0].size, 1)
    text = translate("VersionDialog", "The pictures differ in {count} pixels ({share} %), marked in orange.")
    return text.format(count=count, share=f"{share:.1f}")


def value_text(value: object) -> str:
    """Return a value of a header in words, cut where it is long."""
    if value in (None, "", ()):
        return translate("VersionDialog", "(none)")
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def field_words(name: str) -> str:
    """Return what a field of the header is called."""
    known = {
        "patient_id": translate("VersionDialog", "Patient ID"),
        "patient_name": translate("VersionDialog", "Patient name"),
        "patient_birth_date": translate("VersionDialog", "Birth date"),
        "patient_sex": translate("VersionDialog", "Sex"),
        "patient_age_years": translate("VersionDialog", "Age in years"),
        "study_date": translate("VersionDialog", "Study date"),
        "study_time": translate("VersionDialog", "Study time"),
        "study_description": translate("VersionDialog", "Study description"),
        "series_instance_uid": translate("VersionDialog", "Series (UID)"),
        "series_number": translate("VersionDialog", "Series number"),
        "series_description": translate("VersionDialog", "Series description"),
        "accession_number": translate("VersionDialog", "Accession number"),
        "institution_name": translate("VersionDialog", "Institution"),
        "instance_number": translate("VersionDialog", "Image number"),
        "image_position_mm": translate("VersionDialog", "Position of the slice (mm)"),
        "pixel_spacing_mm": translate("VersionDialog", "Size of a pixel (mm)"),
        "slice_thickness_mm": translate("VersionDialog", "Slice thickness (mm)"),
        "convolution_kernel": translate("VersionDialog", "Reconstruction kernel"),
        "transfer_syntax_uid": translate("VersionDialog", "Compression of the file (transfer syntax)"),
        "rescale_slope": translate("VersionDialog", "Scale of the values (rescale slope)"),
        "rescale_intercept": translate("VersionDialog", "Shift of the values (rescale intercept)"),
        "rows": translate("VersionDialog", "Rows of pixels"),
        "columns": translate("VersionDialog", "Columns of pixels"),
        "lossy": translate("VersionDialog", "Compressed with loss"),
    }
    plain_name = name.removesuffix("_mm").removesuffix("_hu").replace("_", " ")
    return known.get(name, plain_name[:1].upper() + plain_name[1:])


def _given(found: dict[str, Difference], name: str, otherwise: object) -> object:
    return found[name].other if name in found else otherwise


# --- asking ----------------------------------------------------------------------------------------------------------


def ask_version(context: Context, row: Row, parent: QWidget, say: Callable[[str], None]) -> None:
    """Read which images of a study have several versions, then ask which of them stand."""
    uid = row.study_instance_uid

    def show(images: tuple[ImageVersions, ...]) -> None:
        reader = VersionReader()

        def compare(image: ImageVersions, told: Callable[[Compared], None], failed: Callable[[str], None]) -> None:
            context.jobs.run(lambda: reader.compared(image), told, failed, lane=LANE, key="versions", owner=dialog)

        dialog = VersionDialog(images, compare, context.person(), covered=context.identities.covered, parent=parent)
        dialog.show_first()
        dialog.accepted.connect(
            lambda: recorder_of(context).record(
                translate("VersionDialog", "Choose version"), dialog.entry(context, uid)
            )
        )
        dialog.finished.connect(lambda _: context.jobs.run(reader.close, lambda _: None, lane=LANE))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    say(translate("VersionDialog", "The files of this study are being read."))
    context.jobs.run(
        lambda: read_versions(context.reading, uid), show, say, lane=LANE, key="read versions", owner=parent
    )
