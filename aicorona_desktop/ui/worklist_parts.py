"""What stands around the list: the line above it, what it says while it shows nothing, the sheet for a note."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.app.demo import write_demo
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.icons import icon
from aicorona_desktop.ui.worklist_words import number_text, studies_counted

translate = QCoreApplication.translate

DEMO_FOLDER = "demo"
NOTE_LETTERS = 2000


class Banner(QFrame):
    """One quiet line above the list, with at most one thing to do about it, and how many studies were taken off."""

    acted = Signal()
    removed_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("worklistBanner")
        self.text = QLabel(wordWrap=True)
        self.button = QPushButton(flat=True)
        self.button.clicked.connect(self.acted)
        self.removed = QPushButton(flat=True)
        self.removed.setToolTip(translate("Worklist", "Studies that were taken off the list stand in the history"))
        self.removed.clicked.connect(self.removed_asked)
        self.removed.hide()
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(12, 2, 12, 2)
        self._row.addWidget(self.text, 1)
        self._row.addWidget(self.button)
        self._row.addStretch()
        self._row.addWidget(self.removed)
        self.hide()

    def say(self, text: str, action: str = "") -> None:
        """Say a sentence, with a button if there is something to do; "" takes the line away."""
        self.text.setText(text)
        self.text.setWordWrap(not action)  # a sentence gets the line; the few words before a button stay beside it
        self._row.setStretch(0, 0 if action else 1)
        self._row.setStretch(2, 1 if action else 0)
        self.button.setText(action)
        self.button.setVisible(bool(action))
        self._show_if_needed()

    def count_removed(self, count: int) -> None:
        """Say how many studies were taken off the list."""
        self.removed.setText(translate("Worklist", "%n removed", "", count))
        self.removed.setVisible(count > 0)
        self._show_if_needed()

    def _show_if_needed(self) -> None:
        self.setVisible(bool(self.text.text()) or not self.removed.isHidden())


class EmptyState(QWidget):
    """What a list without any study says: how studies get here, and a demo to try."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self.text = QLabel(wordWrap=True, alignment=Qt.AlignmentFlag.AlignCenter)
        self.text.setText(
            translate("Worklist", "No studies yet. Drop a folder here, import a disc, or choose a folder to watch.")
        )
        self.ways = QWidget()
        self.demo = QPushButton(translate("Worklist", "Try the demo study"))
        self.demo.setToolTip(translate("Worklist", "Makes synthetic studies on this computer and scores them"))
        self.demo.clicked.connect(self.try_demo)
        self.demo.setVisible(context.writable)
        self._buttons: list[tuple[QPushButton, str]] = [(self.demo, "demo")]
        self._lay_out()
        context.theme.changed.connect(self._draw_icons)
        self._draw_icons()

    def _lay_out(self) -> None:
        row = QHBoxLayout(self.ways)
        row.addStretch(1)
        for name, drawing, text in (
            ("open_folder", "folder", translate("Worklist", "Open folder")),
            ("import_disc", "disc", translate("Worklist", "Import disc")),
            ("watch_folder", "watch", translate("Worklist", "Watch a folder")),
        ):
            button = QPushButton(text)
            action = self._context.actions[name]
            button.setToolTip(action.toolTip())
            button.setEnabled(action.isEnabled())
            button.clicked.connect(action.trigger)
            self._buttons.append((button, drawing))
            row.addWidget(button)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        layout.addWidget(self.text)
        layout.addWidget(self.ways)
        layout.addWidget(self.demo, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)

    def try_demo(self) -> None:
        """Write the demo studies beside the history and have them read."""
        engine = self._context.running.engine
        if engine is None:
            return
        folder = self._context.running.place.with_name(DEMO_FOLDER)
        label = translate("Worklist", "Demo")
        self.demo.setEnabled(False)

        def failed(sentence: str) -> None:
            self.demo.setEnabled(True)
            self.text.setText(sentence)

        self._context.jobs.run(
            lambda: engine.submit(write_demo(folder), label), self._demo_read, failed, lane="files", owner=self
        )

    def _demo_read(self, _: int) -> None:
        self.demo.setEnabled(True)

    def _draw_icons(self) -> None:
        for button, drawing in self._buttons:
            button.setIcon(icon(drawing, self._context.theme.theme))
            button.setIconSize(QSize(20, 20))


class NothingFound(QWidget):
    """What a list says whose filter hides every study."""

    clear_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel(wordWrap=True, alignment=Qt.AlignmentFlag.AlignCenter, textFormat=Qt.TextFormat.PlainText)
        self.clear = QPushButton(translate("Worklist", "Clear filter"))
        self.clear.clicked.connect(self.clear_wanted)
        layout = QVBoxLayout(self)
        layout.addStretch(2)
        layout.addWidget(self.text)
        layout.addWidget(self.clear, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)

    def show_filter(self, total: int, text: str, only_text: bool) -> None:
        """Say how many studies there are, and what was searched for where that is all that filters."""
        studies = studies_counted(total)
        if text and only_text:
            sentence = translate("Worklist", "{none} of {studies} match “{text}”.")
        else:
            sentence = translate("Worklist", "{none} of {studies} match the filter.")
        self.text.setText(sentence.format(none=number_text(0), studies=studies, text=text))


class NoteSheet(Sheet):
    """Asks for a note on a study."""

    def __init__(self, standing: str, parent: QWidget | None = None) -> None:
        super().__init__(translate("Worklist", "Note"), parent, (60, 12))
        self._standing = standing
        if standing:
            label = QLabel(translate("Worklist", "The note that stands is kept in the history."), self, wordWrap=True)
            self.body.addWidget(label)
        self.edit = QPlainTextEdit(standing, self)
        self.edit.setAccessibleName(translate("Worklist", "Text of the note"))
        self.edit.setTabChangesFocus(True)
        self.edit.textChanged.connect(self._check)
        self.body.addWidget(self.edit, 1)
        self.buttons = QDialogButtonBox(self)
        self.save = self.buttons.addButton(translate("Worklist", "Save"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.buttons.addButton(translate("Worklist", "Leave as it is"), QDialogButtonBox.ButtonRole.RejectRole)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.body.addWidget(self.buttons)
        self._check()

    @property
    def note(self) -> str:
        """What was written."""
        return self.edit.toPlainText().strip()

    def _check(self) -> None:
        is_new = bool(self.note) and self.note != self._standing and len(self.note) <= NOTE_LETTERS
        self.save.setEnabled(is_new)
        why = translate("Worklist", "Write something new, at most {letters} letters.")
        self.save.setToolTip("" if is_new else why.format(letters=number_text(NOTE_LETTERS)))
