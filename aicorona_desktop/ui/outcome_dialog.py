"""What turned out later: an RT-PCR test, a radiologist's report or a follow-up, with source and day (ux.md 7)."""

from __future__ import annotations

from datetime import date

from PySide6.QtCore import QCoreApplication, QDate
from PySide6.QtWidgets import QCheckBox, QComboBox, QDateEdit, QFormLayout, QHBoxLayout, QLineEdit, QWidget

from aicorona_desktop.history.store import OutcomeKind
from aicorona_desktop.history.values import OUTCOME_VALUES
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.escalation_dialog import NoteField, allow_saving, save_or_not
from aicorona_desktop.ui.recorder import Entry

translate = QCoreApplication.translate


def kind_word(kind: OutcomeKind) -> str:
    """Return what a kind of outcome is called."""
    return {
        OutcomeKind.RT_PCR: translate("OutcomeDialog", "RT-PCR test"),
        OutcomeKind.REPORT: translate("OutcomeDialog", "Radiologist's report"),
        OutcomeKind.FOLLOW_UP: translate("OutcomeDialog", "Follow-up"),
    }[kind]


def value_word(kind: OutcomeKind, value: str) -> str:
    """Return what an outcome says, in words; the value itself where this version doesn't know it."""
    if kind is OutcomeKind.RT_PCR:
        words = {
            "pos": translate("OutcomeDialog", "SARS-CoV-2 found"),
            "neg": translate("OutcomeDialog", "SARS-CoV-2 not found"),
            "inc": translate("OutcomeDialog", "without a clear result"),
        }
    else:
        words = {
            "normal": translate("OutcomeDialog", "no abnormality"),
            "cp": translate("OutcomeDialog", "pneumonia or other abnormality"),
            "covid": translate("OutcomeDialog", "COVID-19"),
            "unclear": translate("OutcomeDialog", "unclear"),
        }
    return words.get(value, value)


class OutcomeDialog(Sheet):
    """Nothing is chosen beforehand; accepted once kind, result and initials are there."""

    def __init__(self, initials: str, who: str, today: date, parent: QWidget | None = None) -> None:
        """`who` names the patient as the window does now; no day after `today` can be entered."""
        super().__init__(translate("OutcomeDialog", "What turned out later?"), parent, (64, 20))
        self.add_heading(who)
        self.kind = _choice([("", ""), *((kind_word(kind), kind.value) for kind in OutcomeKind)], self)
        self.value = _choice([("", "")], self)
        self.source = QLineEdit(self)
        self.source.setPlaceholderText(translate("OutcomeDialog", "Such as: laboratory, chest clinic"))
        self.has_date = QCheckBox(translate("OutcomeDialog", "Day is known"), self)
        self.dated = QDateEdit(QDate(today.year, today.month, today.day), self)
        self.dated.setMaximumDate(self.dated.date())
        self.dated.setDisplayFormat("yyyy-MM-dd")
        self.dated.setCalendarPopup(True)
        self.dated.setEnabled(False)
        self.has_date.toggled.connect(self.dated.setEnabled)
        self.note = NoteField(self)
        self.initials = QLineEdit(initials, self)
        self._lay_out()
        self.buttons = save_or_not(self)
        self.kind.currentIndexChanged.connect(self._kind_changed)
        self.value.currentIndexChanged.connect(self._enable)
        self.initials.textChanged.connect(self._enable)
        self._enable()

    def entry(self, context: Context, study_instance_uid: str) -> Entry:
        """Return what was filled in, as an entry on a study."""
        history, kind = context.running.history, OutcomeKind(self.kind.currentData())
        value, source, note = str(self.value.currentData()), self.source.text().strip(), self.note.toPlainText().strip()
        day = self.dated.date()
        dated = date(day.year(), day.month(), day.day()) if self.has_date.isChecked() else None
        initials = self.initials.text().strip()
        return Entry(
            study_instance_uid,
            lambda: history.record_outcome(
                study_instance_uid, kind, value, source=source, dated=dated, note=note, initials=initials
            ),
            lambda number: history.take_back_outcome(number, initials),
        )

    def _lay_out(self) -> None:
        day = QWidget(self)
        row = QHBoxLayout(day)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.has_date)
        row.addWidget(self.dated, 1)
        form = QFormLayout()
        labelled: tuple[tuple[str, QWidget, QWidget], ...] = (
            (translate("OutcomeDialog", "Kind"), self.kind, self.kind),
            (translate("OutcomeDialog", "Result"), self.value, self.value),
            (translate("OutcomeDialog", "Source"), self.source, self.source),
            (translate("OutcomeDialog", "Day of the test or report"), day, self.dated),
            (translate("OutcomeDialog", "Note"), self.note, self.note),
            (translate("OutcomeDialog", "Your initials"), self.initials, self.initials),
        )
        for label, shown, named in labelled:
            named.setAccessibleName(label)
            form.addRow(label, shown)
        self.body.addLayout(form)
        self.body.addStretch(1)

    def _kind_changed(self) -> None:
        self.value.clear()
        self.value.addItem("", "")
        if self.kind.currentData():
            kind = OutcomeKind(self.kind.currentData())
            for value in OUTCOME_VALUES[kind]:
                self.value.addItem(value_word(kind, value), value)

    def _enable(self) -> None:
        missing = ""
        if not self.kind.currentData():
            missing = translate("OutcomeDialog", "Choose where it comes from.")
        elif not self.value.currentData():
            missing = translate("OutcomeDialog", "Choose what it says.")
        elif not self.initials.text().strip():
            missing = translate("OutcomeDialog", "Give your initials.")
        allow_saving(self.buttons, missing)


def _choice(items: list[tuple[str, str]], parent: QWidget) -> QComboBox:
    box = QComboBox(parent)
    for shown, key in items:
        box.addItem(shown, key)
    return box
