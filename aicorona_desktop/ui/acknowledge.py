"""What the program is and is not, to be acknowledged once by each user for each model pack (ux.md 2)."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QDialogButtonBox, QWidget

from aicorona_desktop.model.pack import Pack
from aicorona_desktop.ui.dialogs import Sheet


class AcknowledgeSheet(Sheet):
    """Says it in five sentences and the pack's own words; accepted by a verb, not by closing."""

    def __init__(self, pack: Pack, parent: QWidget | None = None) -> None:
        title = QCoreApplication.translate("Acknowledge", "What this program is, and what it is not")
        super().__init__(title, parent, (84, 26))
        self.add_heading(title)
        self.add_reading(notice_html(pack), title)
        box = QDialogButtonBox(self)
        self.accept_button = box.addButton(
            QCoreApplication.translate("Acknowledge", "I have read this"), QDialogButtonBox.ButtonRole.AcceptRole
        )
        box.addButton(QCoreApplication.translate("Acknowledge", "Quit"), QDialogButtonBox.ButtonRole.RejectRole)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        self.body.addWidget(box)
        self.accept_button.setFocus()


def explained() -> tuple[str, ...]:
    """Return the notice in plain words, a sentence or two each."""
    return (
        QCoreApplication.translate(
            "Acknowledge",
            "This is a research program. It is not a medical device, and what it shows is not a diagnosis.",
        ),
        QCoreApplication.translate(
            "Acknowledge",
            "It sorts chest CT studies by a model score, so that a doctor can look at some of them first. "
            "Nothing leaves the list without a person.",
        ),
        QCoreApplication.translate(
            "Acknowledge",
            "Every study must be read by a person, whatever its score. A low score does not rule out disease.",
        ),
        QCoreApplication.translate(
            "Acknowledge",
            "A map shows what moved the score, not where disease is.",
        ),
        QCoreApplication.translate(
            "Acknowledge",
            "Nothing leaves this computer: the program opens no network connection. "
            "It listens for senders only where the site has switched on its DICOM receiver.",
        ),
    )


def notice_html(pack: Pack) -> str:
    """Return the notice with what the pack says about itself."""
    points = "".join(f"<li style='margin-bottom: 6px'>{escape(one)}</li>" for one in explained())
    words = QCoreApplication.translate("Acknowledge", "The model pack in use: {name}.").format(name=pack.title)
    return f"<ul>{points}</ul><p>{escape(words)} {escape(pack.status_text)}</p>"
