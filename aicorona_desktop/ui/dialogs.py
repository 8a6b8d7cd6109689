"""What the sheets over the places share: a frame that fits the screen, closes with Esc, and reads well."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QSize
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QTextBrowser, QVBoxLayout, QWidget

from aicorona_desktop.ui.plain import plain


class Sheet(QDialog):
    """A sheet over the window: a title, a body, buttons at the foot."""

    def __init__(self, title: str, parent: QWidget | None, letters: tuple[int, int] = (90, 30)) -> None:
        """Make an empty sheet for a body of so many letters and lines, or as much as the screen holds."""
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAccessibleName(title)
        self.setSizeGripEnabled(True)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(16, 16, 16, 12)
        self.body.setSpacing(12)
        metrics = self.fontMetrics()
        wanted = QSize(metrics.averageCharWidth() * letters[0], metrics.lineSpacing() * letters[1])
        room = self.screen().availableSize() * 0.92
        self.resize(wanted.boundedTo(room))

    def add_heading(self, text: str) -> QLabel:
        """Add a line in larger letters."""
        heading = plain(QLabel(text, self))
        font = heading.font()
        font.setPointSizeF(font.pointSizeF() * 1.3)
        heading.setFont(font)
        heading.setWordWrap(True)
        self.body.addWidget(heading)
        return heading

    def add_reading(self, html: str, name: str) -> QTextBrowser:
        """Add text to read; a link in it leads nowhere outside."""
        reading = QTextBrowser(self)
        reading.setOpenLinks(False)
        reading.setAccessibleName(name)
        reading.setHtml(html)
        self.body.addWidget(reading, 1)
        return reading

    def add_close(self) -> QDialogButtonBox:
        """Add the button that closes the sheet."""
        box = QDialogButtonBox(self)
        box.addButton(QCoreApplication.translate("Sheet", "Close"), QDialogButtonBox.ButtonRole.RejectRole)
        box.rejected.connect(self.reject)
        self.body.addWidget(box)
        return box
