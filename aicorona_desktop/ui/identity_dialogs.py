"""Whose study it is, chosen by a person: which of two identities stands, and how a name is to be read (ux.md 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QSize, Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QFormLayout,
    QFrame,
    QGroupBox,
    QLabel,
    QLineEdit,
    QRadioButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.app.identities import NameOffer, read_claims, read_names
from aicorona_desktop.core.rows import Row
from aicorona_desktop.triage.identities import Claim
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.escalation_dialog import allow_saving, save_or_not
from aicorona_desktop.ui.identity import shown_date, shown_name
from aicorona_desktop.ui.recorder import Entry, recorder_of

translate = QCoreApplication.translate

Found = TypeVar("Found")

LANE = "files"
FEW = 4


class _Area(QScrollArea):
    """Holds answers: as wide as they are, and as high where they are few, whatever the size of text."""

    def __init__(self, inside: QWidget, parent: QWidget, *, whole: bool) -> None:
        super().__init__(parent)
        self._inside = inside
        self._whole = whole
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidget(inside)

    def minimumSizeHint(self) -> QSize:
        """Return what the answers need, and the bar beside them."""
        inside, least = self._inside.sizeHint(), super().minimumSizeHint()
        width = inside.width() + self.verticalScrollBar().sizeHint().width()
        return QSize(max(least.width(), width), inside.height() if self._whole else least.height())


class AnswerBox(QGroupBox):
    """Some answers, none chosen beforehand; scrolls where they are many."""

    def __init__(self, title: str, answers: Sequence[str], changed: Callable[[], None], parent: QWidget) -> None:
        super().__init__(title, parent)
        self.setAccessibleName(title)
        self._group = QButtonGroup(self)
        inside = QWidget()
        column = QVBoxLayout(inside)
        for number, answer in enumerate(answers):
            button = QRadioButton(answer, inside)
            button.setAccessibleName(f"{title}: {answer}")
            self._group.addButton(button, number)
            column.addWidget(button)
        column.addStretch(1)
        column.setContentsMargins(4, 0, 4, 0)
        area = _Area(inside, self, whole=len(answers) <= FEW)
        around = QVBoxLayout(self)
        around.setContentsMargins(4, 4, 4, 4)
        around.addWidget(area)
        self._group.idToggled.connect(lambda *_: changed())

    @property
    def chosen(self) -> int | None:
        """The answer that is chosen, by its place."""
        number = self._group.checkedId()
        return None if number < 0 else number

    def choose(self, number: int) -> None:
        """Choose an answer."""
        self._group.button(number).setChecked(True)


class IdentityDialog(Sheet):
    """Asks which of several identities stands, and what the files of the others are; nothing is chosen beforehand."""

    def __init__(self, claims: Sequence[Claim], initials: str, parent: QWidget | None = None) -> None:
        super().__init__(translate("IdentityDialog", "Two identities in one study"), parent, (84, 26))
        self.claims = tuple(claims)
        self.add_heading(translate("IdentityDialog", "The files of this study name more than one patient."))
        what = QLabel(
            translate(
                "IdentityDialog",
                "Compare them with the request. The study gets a score once you have chosen; both stay in the history.",
            ),
            self,
            wordWrap=True,
        )
        self.body.addWidget(what)
        self.whose = AnswerBox(
            translate("IdentityDialog", "This study is of"), [claim_text(one) for one in claims], self._enable, self
        )
        self.others = AnswerBox(
            translate("IdentityDialog", "The files of the others"),
            [
                translate("IdentityDialog", "are somebody else's: leave them out of this study"),
                translate("IdentityDialog", "are the same patient's: only the number or name differs"),
            ],
            self._enable,
            self,
        )
        self.initials = QLineEdit(initials, self)
        label = translate("IdentityDialog", "Your initials")
        self.initials.setAccessibleName(label)
        form = QFormLayout()
        form.addRow(label, self.initials)
        self.body.addWidget(self.whose, 1)
        self.body.addWidget(self.others, 1)
        self.body.addLayout(form)
        self.buttons = save_or_not(self)
        self.initials.textChanged.connect(self._enable)
        self._enable()

    def entry(self, context: Context, study_instance_uid: str) -> Entry:
        """Return what was chosen, as an entry on a study; it is scored anew once that is recorded or taken back."""
        history, engine, uid = context.running.history, context.running.engine, study_instance_uid
        identity, whole = self.claims[self.whose.chosen or 0].identity, self.others.chosen == 1
        seen, initials = [one.identity for one in self.claims], self.initials.text().strip()

        def settle(*, stands: bool) -> None:  # noqa: ARG001 - in both cases what stands now is looked at
            if engine is not None:
                engine.settle_identity(uid)

        return Entry(
            uid,
            lambda: history.choose_identity(uid, identity, seen, whole=whole, initials=initials),
            lambda number: history.take_back_identity(number, initials),
            then=settle,
        )

    def _enable(self) -> None:
        missing = ""
        if self.whose.chosen is None:
            missing = translate("IdentityDialog", "Choose whose study it is.")
        elif self.others.chosen is None:
            missing = translate("IdentityDialog", "Choose what becomes of the other files.")
        elif not self.initials.text().strip():
            missing = translate("IdentityDialog", "Give your initials.")
        allow_saving(self.buttons, missing)


class NameDialog(Sheet):
    """Shows the name as different character sets read it; for display only, the file stays as it is."""

    def __init__(self, offers: Sequence[NameOffer], parent: QWidget | None = None) -> None:
        super().__init__(translate("NameDialog", "Read the name as"), parent, (72, 26))
        self.offers = tuple(offers)
        what = QLabel(
            translate("NameDialog", "Choose the line in which the name reads right. Only what is shown changes."),
            self,
            wordWrap=True,
        )
        self.body.addWidget(what)
        text = translate("NameDialog", "{name}   ({character_sets})")
        answers = [
            text.format(name=shown_name(one.name), character_sets=", ".join(one.character_sets)) for one in offers
        ]
        self.choice = AnswerBox(translate("NameDialog", "Name"), answers, self._enable, self)
        self.body.addWidget(self.choice, 1)
        self.buttons = save_or_not(self)
        self._enable()

    def entry(self, context: Context, study_instance_uid: str) -> Entry:
        """Return what was chosen, as an entry on a study."""
        history, uid, person = context.running.history, study_instance_uid, context.person()
        offer = self.offers[self.choice.chosen or 0]
        return Entry(
            uid,
            lambda: history.read_name_as(uid, offer.character_sets[0], offer.name, person),
            lambda number: history.take_back_name(number, person),
        )

    def _enable(self) -> None:
        missing = "" if self.choice.chosen is not None else translate("NameDialog", "Choose how the name reads right.")
        allow_saving(self.buttons, missing)


def claim_text(claim: Claim) -> str:
    """Return an identity in words, with how many images carry it."""
    identity = claim.identity
    name = shown_name(identity.patient_name) or translate("IdentityDialog", "no name")
    number = identity.patient_id or translate("IdentityDialog", "no patient ID")
    parts = (name, number, identity.issuer_of_patient_id, shown_date(claim.birth_date), claim.sex)
    who = ", ".join(part for part in parts if part)
    if not claim.images:
        return translate("IdentityDialog", "{who}: only in files that could not be read").format(who=who)
    one = claim.images == 1
    images = (
        translate("IdentityDialog", "1 image") if one else translate("IdentityDialog", "%n images", "", claim.images)
    )
    series = translate("IdentityDialog", "%n series", "", claim.series)
    return translate("IdentityDialog", "{who}: {images} in {series}").format(who=who, images=images, series=series)


def ask_identity(context: Context, row: Row, parent: QWidget, say: Callable[[str], None]) -> None:
    """Read which identities stand in a study, then ask which one counts."""

    def show(claims: tuple[Claim, ...]) -> None:
        if len(claims) < 2:
            say(translate("IdentityDialog", "All files of this study that can be read now name the same patient."))
            return
        dialog = IdentityDialog(claims, context.person(), parent)
        dialog.accepted.connect(
            lambda: recorder_of(context).record(
                translate("IdentityDialog", "Choose identity"), dialog.entry(context, row.study_instance_uid)
            )
        )
        _open(dialog)

    read_files(context, parent, lambda: read_claims(context.reading, row.study_instance_uid), show, say)


def ask_name(context: Context, row: Row, parent: QWidget, say: Callable[[str], None]) -> None:
    """Read the patient's name in all character sets, then ask which one reads right."""

    def show(offers: tuple[NameOffer, ...]) -> None:
        dialog = NameDialog(offers, parent)
        dialog.accepted.connect(
            lambda: recorder_of(context).record(
                translate("NameDialog", "Read name as"), dialog.entry(context, row.study_instance_uid)
            )
        )
        _open(dialog)

    read_files(context, parent, lambda: read_names(context.reading, row.study_instance_uid), show, say)


def read_files(
    context: Context,
    owner: QWidget,
    work: Callable[[], Found],
    show: Callable[[Found], None],
    say: Callable[[str], None],
) -> None:
    """Read a study's files away from the window's thread, then show what was found, or say why there is nothing."""
    if context.identities.covered:
        say(translate("IdentityDialog", "Names are hidden. Show them first: here they must be compared."))
        return
    say(translate("IdentityDialog", "The files of this study are being read."))
    context.jobs.run(work, show, say, lane=LANE, key="identities", owner=owner)


def _open(dialog: Sheet) -> None:
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()
