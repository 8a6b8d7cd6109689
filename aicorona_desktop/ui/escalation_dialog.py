"""Who was told of a study: asks for the person and a note; the time is that of saving (ux.md 6)."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QDialogButtonBox, QFormLayout, QLineEdit, QPlainTextEdit, QWidget

from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.recorder import Entry

translate = QCoreApplication.translate

NOTE_LINES = 3


class EscalationDialog(Sheet):
    """Accepted once it names who was told and who says so."""

    def __init__(self, initials: str, who: str, parent: QWidget | None = None) -> None:
        """`who` names the patient as the window does now, so that the entry goes to the right study."""
        title = translate("EscalationDialog", "Who was told of this study?")
        super().__init__(title, parent, (64, 14))
        self.add_heading(who)
        self.told = QLineEdit(self)
        self.told.setPlaceholderText(translate("EscalationDialog", "Such as: Dr Silva, by telephone"))
        self.note = NoteField(self)
        self.initials = QLineEdit(initials, self)
        form = QFormLayout()
        rows: tuple[tuple[str, QWidget], ...] = (
            (translate("EscalationDialog", "Who was told"), self.told),
            (translate("EscalationDialog", "Note"), self.note),
            (translate("EscalationDialog", "Your initials"), self.initials),
        )
        for label, field in rows:
            field.setAccessibleName(label)
            form.addRow(label, field)
        self.body.addLayout(form)
        self.body.addStretch(1)
        self.buttons = save_or_not(self)
        for edit in (self.told, self.initials):
            edit.textChanged.connect(self._enable)
        self._enable()
        self.told.setFocus()

    def entry(self, context: Context, study_instance_uid: str) -> Entry:
        """Return what was filled in, as an entry on a study."""
        history = context.running.history
        told, note, initials = (
            self.told.text().strip(),
            self.note.toPlainText().strip(),
            self.initials.text().strip(),
        )
        return Entry(
            study_instance_uid,
            lambda: history.record_escalation(study_instance_uid, told, initials, note),
            lambda number: history.take_back_escalation(number, initials),
        )

    def _enable(self) -> None:
        missing = ""
        if not self.told.text().strip():
            missing = translate("EscalationDialog", "Say who was told.")
        elif not self.initials.text().strip():
            missing = translate("EscalationDialog", "Give your initials.")
        allow_saving(self.buttons, missing)


class NoteField(QPlainTextEdit):
    """A field for a few lines of text, as high as these whatever the size of text; Tab leaves it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setTabChangesFocus(True)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Grow with the text."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        margin = round(self.document().documentMargin())
        self.setFixedHeight(self.fontMetrics().lineSpacing() * NOTE_LINES + 2 * (self.frameWidth() + margin))


def save_or_not(sheet: Sheet) -> QDialogButtonBox:
    """Add the two buttons of a sheet that records something."""
    box = QDialogButtonBox(sheet)
    box.addButton(translate("EscalationDialog", "Save"), QDialogButtonBox.ButtonRole.AcceptRole)
    box.addButton(translate("EscalationDialog", "Do not save"), QDialogButtonBox.ButtonRole.RejectRole)
    box.accepted.connect(sheet.accept)
    box.rejected.connect(sheet.reject)
    sheet.body.addWidget(box)
    return box


def allow_saving(box: QDialogButtonBox, missing: str) -> None:
    """Let the sheet be saved, or say on the button what is missing."""
    for button in box.buttons():
        if box.buttonRole(button) is QDialogButtonBox.ButtonRole.AcceptRole:
            button.setEnabled(not missing)
            button.setToolTip(missing)
            button.setAccessibleDescription(missing)
