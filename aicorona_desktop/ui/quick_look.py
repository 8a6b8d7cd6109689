"""A look at a study beside the list: the middle slice, nine tiles, files and notes. For sorting, not for reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QSize, QSizeF, Qt, QTimer, Signal
from PySide6.QtGui import QBrush, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from aicorona_desktop.app.viewing import StudyReader, ViewedSeries
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.rows import Row
from aicorona_desktop.history.store import History
from aicorona_desktop.imaging.voi import LUNG, to_grey
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.jobs import Job, cancelled
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.theme import LIGHT

TILES = 9
TILE_PX = 160
PAUSE_MS = 120  # while an arrow key is held nothing is read
LANE = "quick look"

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One slice as grey 0 to 255, [rows, columns], or why there is none; `tile` None is the one in the middle.

    `width_per_height` is how much wider than high it must be drawn, where the spacing differs.
    """

    tile: int | None
    grey: Grey | None
    text: str
    width_per_height: float = 1.0


def nine_of(slices: int, used: tuple[int, ...]) -> tuple[int, ...]:
    """Return which slices are tiles, head first: evenly spread over the used ones, or over all where none was."""
    among = tuple(sorted(used, reverse=True)) or tuple(range(slices - 1, -1, -1))
    if len(among) <= TILES:
        return among
    return tuple(among[round(place * (len(among) - 1) / (TILES - 1))] for place in range(TILES))


class QuickLook(QFrame):
    """Beside the list; reads with a process of its own, which ends when the look is closed."""

    open_wanted = Signal(str)
    closed = Signal()

    def __init__(
        self,
        context: Context,
        make_reader: Callable[[], StudyReader] = StudyReader,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("quickLook")
        self._context = context
        self._make_reader = make_reader
        self._reader: StudyReader | None = None
        self._job: Job | None = None
        self._row: Row | None = None
        self._shown_uid = ""
        self._timer = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._timer.timeout.connect(self._read)
        self.title = plain(QLabel(wordWrap=True))
        self.caption = QLabel(self.tr("Preview for sorting. Open the study to read."), wordWrap=True)
        self.picture = PictureView()
        self.picture.setAccessibleName(self.tr("Middle slice, for sorting"))
        self.tiles = tuple(PictureView() for _ in range(TILES))
        self.facts = QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.open_button = QPushButton(self.tr("Open"))
        self.close_button = QPushButton(self.tr("Close"), flat=True)
        self.open_button.clicked.connect(lambda: self.open_wanted.emit(self._shown_uid))
        self.close_button.clicked.connect(self.closed)
        context.identities.changed.connect(self._show_texts)
        self._lay_out()

    def _lay_out(self) -> None:
        strip = QGridLayout()
        strip.setSpacing(2)
        for number, tile in enumerate(self.tiles):
            tile.setAccessibleName(self.tr("Tile {number} of {tiles}").format(number=number + 1, tiles=TILES))
            strip.addWidget(tile, number // 3, number % 3)
        inside, texts = QWidget(), QVBoxLayout()
        texts.addWidget(self.title)
        texts.addWidget(self.picture, 3)
        texts.addLayout(strip)
        texts.addWidget(self.facts)
        texts.addStretch(1)
        inside.setLayout(texts)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        buttons = QGridLayout()
        buttons.addWidget(self.close_button, 0, 0)
        buttons.addWidget(self.open_button, 0, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.caption)
        layout.addWidget(scroll, 1)
        layout.addLayout(buttons)

    def sizeHint(self) -> QSize:
        """Return a width of about forty letters."""
        return QSize(44 * self.fontMetrics().averageCharWidth(), 400)

    @property
    def shown_uid(self) -> str:
        """The study that is shown; "" for none."""
        return self._shown_uid

    def show_row(self, row: Row | None) -> None:
        """Show a study; of another than before nothing stays on the screen."""
        uid = "" if row is None else row.study_instance_uid
        is_other = uid != self._shown_uid
        self._row, self._shown_uid = row, uid
        self._show_texts()
        if is_other:
            self._clear()
            self._timer.start()

    def finish(self) -> None:
        """Show nothing and end the process that reads."""
        self._timer.stop()
        self._clear()
        self._row, self._shown_uid = None, ""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._context.jobs.run(reader.close, _nothing, lane=LANE)

    def _clear(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._job = None
        for view in (self.picture, *self.tiles):
            view.clear()

    def _show_texts(self) -> None:
        row = self._row
        self.open_button.setEnabled(row is not None)
        if row is None:
            self.title.setText(self.tr("No study is chosen."))
            self.facts.clear()
            return
        identity = words.identity_text(self._context.identity(row))
        lines = (identity, words.age_sex_text(row), words.study_time_text(row))
        self.title.setText("\n".join(line for line in lines if line))
        covered = words.is_covered(row, self._context.site.value.look_first)
        self.facts.setText("\n\n".join(f"{one.label}\n{one.text}" for one in words.details_of(row, covered=covered)))

    def _read(self) -> None:
        uid = self._shown_uid
        if not uid or not self.isVisible():
            return
        if self._reader is None:
            self._reader = self._make_reader()
        reader, history = self._reader, self._context.reading
        self._job = self._context.jobs.stream(
            lambda give: look(reader, history, uid, give),
            self._take,
            None,
            self._failed,
            lane=LANE,
            key="quick look",
            owner=self,
        )

    def _take(self, item: object) -> None:
        if isinstance(item, Picture):
            view = self.picture if item.tile is None else self.tiles[item.tile]
            view.show_picture(item)

    def _failed(self, sentence: str) -> None:
        self.picture.show_picture(Picture(None, None, sentence))


def look(reader: StudyReader, history: History, uid: str, give: Callable[[object], None]) -> None:
    """Read the middle slice of a study, then its tiles, and hand out each as it comes; raises AicoronaError."""
    first = reader.first_look(history, uid)
    if first is not None:
        give(_picture(None, first.pixels))
    study = reader.open(history, uid, cancelled)
    series = study.series[0]
    chosen = nine_of(len(series.instances), series.used)
    tiles = {index: tile for tile, index in enumerate(chosen)}
    middle = chosen[len(chosen) // 2]
    order = chosen if first is not None else (middle, *(index for index in chosen if index != middle))
    for index, pixels in reader.slices(series, order, cancelled):
        if first is None and index == middle:
            give(_picture(None, pixels, _shape(series)))
        give(_picture(tiles[index], pixels, _shape(series), thinned=True))


def _picture(
    tile: int | None, pixels: NDArray[np.int16] | Finding, width_per_height: float = 1.0, *, thinned: bool = False
) -> Picture:
    if isinstance(pixels, Finding):
        return Picture(tile, None, str(pixels))
    step = max(1, min(pixels.shape) // TILE_PX) if thinned else 1
    grey = np.ascontiguousarray(to_grey(np.ascontiguousarray(pixels[::step, ::step]), LUNG))
    return Picture(tile, grey, "", width_per_height)


def _shape(series: ViewedSeries) -> float:
    spacing = series.spacing_mm
    return 1.0 if spacing is None else spacing[1] / spacing[0]


class PictureView(QWidget):
    """One picture on black, as large as fits; hatched with the reason where there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture: Picture | None = None
        self._image: QImage | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(QSize(40, 40))

    @property
    def picture(self) -> Picture | None:
        """What is shown."""
        return self._picture

    def sizeHint(self) -> QSize:
        """Return a size that gives the layout a square."""
        return QSize(120, 120)

    def heightForWidth(self, width: int) -> int:
        """Slices are about square."""
        return width

    def hasHeightForWidth(self) -> bool:
        """Whether the height follows the width."""
        return True

    def clear(self) -> None:
        """Show nothing."""
        self._picture = self._image = None
        self.setToolTip("")
        self.update()

    def show_picture(self, picture: Picture) -> None:
        """Show a picture, or why there is none."""
        self._picture, self._image = picture, None
        if picture.grey is not None:
            rows, columns = picture.grey.shape
            self._image = QImage(picture.grey.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
        self.setToolTip(picture.text)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt's name and signature
        """Draw it."""
        with QPainter(self) as painter:
            painter.fillRect(self.rect(), LIGHT.colour("image"))
            if self._image is not None and self._picture is not None:
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
                painter.drawImage(self._fitted(self._image, self._picture.width_per_height), self._image)
            elif self._picture is not None:
                painter.fillRect(self.rect(), QBrush(LIGHT.colour("image_rim"), Qt.BrushStyle.BDiagPattern))
                painter.setPen(LIGHT.colour("image_text"))
                flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
                painter.drawText(self.rect().adjusted(6, 6, -6, -6), int(flags), self._picture.text)

    def _fitted(self, image: QImage, width_per_height: float) -> QRect:
        """Return where the picture is drawn: as large as fits, in its true proportions."""
        wanted = QSizeF(image.width() * width_per_height, image.height())
        size = wanted.scaled(QSizeF(self.size()), Qt.AspectRatioMode.KeepAspectRatio).toSize()
        return QRect(
            (self.width() - size.width()) // 2, (self.height() - size.height()) // 2, size.width(), size.height()
        )


def _nothing(_: object) -> None:
    pass
