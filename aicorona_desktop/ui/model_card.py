"""The model card of a pack, inside the program: what it is for, what it learnt from, where it fails (ux.md 11)."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QUrl
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from aicorona_desktop.model.pack import Pack, PackError


class CardView(QTextBrowser):
    """Markdown to read; nothing in it is followed or fetched, neither from a network nor from the disk."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setOpenLinks(False)
        self.setOpenExternalLinks(False)
        self.setAccessibleName(QCoreApplication.translate("ModelCard", "Model card"))

    def loadResource(self, kind: int, name: QUrl | str) -> object:  # noqa: ARG002
        return None

    def show_card(self, card: str) -> None:
        """Show the text of a pack's card."""
        features = QTextDocument.MarkdownFeature
        dialect = features.MarkdownDialectCommonMark | features.MarkdownNoHTML
        self.document().setMarkdown(card, features(dialect))
        self.moveCursor(self.textCursor().MoveOperation.Start)


class ModelCard(QDialog):
    """A window with the card of one pack; the rest of the program stays usable."""

    def __init__(self, pack: Pack, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QCoreApplication.translate("ModelCard", "Model card: {pack}").format(pack=pack.title)
        self.setWindowTitle(title)
        self.setObjectName("model_card")
        self.view = CardView(self)
        self.view.show_card(_card(pack))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.view)
        layout.addWidget(buttons)
        letters = self.fontMetrics()
        self.resize(90 * letters.averageCharWidth(), 40 * letters.height())


def _card(pack: Pack) -> str:
    try:
        return pack.card()
    except PackError as error:
        return str(error)
