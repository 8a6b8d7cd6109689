"""What a side panel is made of: groups under headings that fold, and lines of text that wrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from aicorona_desktop.ui.choices import UserChoices

translate = QCoreApplication.translate

_OPEN, _FOLDED = b"open", b"folded"


class Fold(QWidget):
    """A heading and what stands below it; `key` names it where it is remembered whether it is open."""

    arranged = Signal()
    """Opened, folded, or under another heading: it may need more room."""

    def __init__(self, key: str, title: str, content: QWidget, memory: UserChoices | None, *, opened: bool) -> None:
        """Without a memory it opens the same way each time."""
        super().__init__()
        self.key = key
        self._memory = memory
        self.content = content
        kept = bytes(memory.recalled(self._place).data()) if memory is not None else b""
        self.is_open = kept == _OPEN if kept else opened
        self.heading = QToolButton(self)
        self.heading.setText(title)
        self.heading.setObjectName(f"fold_{key}")
        self.heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.heading.setAutoRaise(True)
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        font = self.heading.font()
        font.setBold(True)
        self.heading.setFont(font)
        self.heading.clicked.connect(self._clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.heading)
        layout.addWidget(content)
        self._arrange()

    def set_open(self, opened: bool) -> None:
        """Open or fold it, for now."""
        self.is_open = opened
        self._arrange()

    def set_title(self, title: str) -> None:
        """Change the heading, say with a count."""
        self.heading.setText(title)
        self._arrange()

    @property
    def _place(self) -> str:
        return f"study_panel/{self.key}"

    def _clicked(self) -> None:
        self.set_open(not self.is_open)
        if self._memory is not None:
            self._memory.remember(self._place, QByteArray(_OPEN if self.is_open else _FOLDED))

    def _arrange(self) -> None:
        self.heading.setArrowType(Qt.ArrowType.DownArrow if self.is_open else Qt.ArrowType.RightArrow)
        state = translate("StudyPanel", "open") if self.is_open else translate("StudyPanel", "folded")
        heard = translate("StudyPanel", "{title}, {state}").format(title=self.heading.text(), state=state)
        self.heading.setAccessibleName(heard)
        self.content.setVisible(self.is_open)
        self.arranged.emit()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a group: `label` is what it is about, "" for a sentence of its own; `strong` stands out."""

    text: str
    label: str = ""
    strong: bool = False

    @property
    def shown(self) -> str:
        """The line as it stands on the screen."""
        if not self.label:
            return self.text
        return translate("StudyPanel", "{label}: {text}").format(label=self.label, text=self.text)


class Lines(QWidget):
    """Lines of text below each other, as wide as there is room, never cut off."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.lines: tuple[Line, ...] = ()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)

    @property
    def text(self) -> str:
        """Everything that stands here, one line each."""
        return "\n".join(one.shown for one in self.lines)

    def show_lines(self, lines: Sequence[Line]) -> None:
        """Show these lines in place of those before."""
        if tuple(lines) == self.lines:
            return
        self.lines = tuple(lines)
        while (item := self._layout.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()  # it goes in the next turn only
                widget.deleteLater()
        for line in self.lines:
            self._layout.addWidget(_label(line, self))


def _label(line: Line, parent: QWidget) -> QLabel:
    # Plain text, always: what stands here may come from a file.
    label = QLabel(line.shown, parent, textFormat=Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    wrap(label)
    if line.strong:
        font = label.font()
        font.setBold(True)
        label.setFont(font)
    return label


def wrap(label: QLabel) -> None:
    """Let a label be as wide as there is room, and as high as its text then needs."""
    label.setWordWrap(True)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
