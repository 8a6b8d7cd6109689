"""Quiet bars above the footer: one per cause, there until the cause is gone (ux.md 9). They never move the list."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QSize, Qt, QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from aicorona_desktop.ui.icons import icon
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.theme import ThemeKeeper

SAID = "said"
SAID_FOR_MS = 8000

_SIGNS = {"info": ("info", "calm"), "warning": ("warning", "caution"), "trouble": ("trouble", "attention")}


@dataclass(frozen=True, slots=True)
class NoticeText:
    """What a bar says: what happened, what it means, what to do; `level` is info, warning or trouble."""

    sentence: str
    level: str = "info"


class Notices(QWidget):
    """The bars, one below the other; saying the same cause again replaces its bar."""

    def __init__(self, keeper: ThemeKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keeper = keeper
        self._bars: dict[str, _Bar] = {}
        self._dismissed: dict[str, str] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._said = QTimer(self, singleShot=True, interval=SAID_FOR_MS)
        self._said.timeout.connect(lambda: self.clear(SAID))
        keeper.changed.connect(self._restyle)

    def show_cause(self, cause: str, sentence: str, level: str = "info", action: QAction | None = None) -> None:
        """Show the bar of a cause; one that was put away stays away until it has something new to say.

        Args:
            cause: a fixed key, such as "disk" or a folder's path.
            sentence: for a person: what happened, what it means, what to do.
            level: info, warning or trouble: the sign in front of the sentence.
            action: what a button in the bar does.
        """
        if self._dismissed.get(cause) == sentence:
            return
        bar = self._bars.get(cause)
        if bar is None or bar.action is not action:
            self.clear(cause)
            bar = self._bars[cause] = _Bar(self, action)
            bar.put_away.clicked.connect(lambda: self._dismiss(cause))
            self._layout.addWidget(bar)
        bar.show_text(NoticeText(sentence, level), self._keeper)

    def clear(self, cause: str) -> None:
        """Take the bar of a cause away: it is solved."""
        self._dismissed.pop(cause, None)
        bar = self._bars.pop(cause, None)
        if bar is not None:
            self._layout.removeWidget(bar)
            bar.hide()
            bar.deleteLater()

    def say(self, sentence: str) -> None:
        """Show a sentence for a few seconds."""
        self.show_cause(SAID, sentence)
        self._said.start()

    def sentences(self) -> dict[str, str]:
        """Return what is shown now, by cause."""
        return {cause: bar.text.sentence for cause, bar in self._bars.items()}

    def _dismiss(self, cause: str) -> None:
        sentence = self._bars[cause].text.sentence
        self.clear(cause)
        if cause != SAID:
            self._dismissed[cause] = sentence

    def _restyle(self) -> None:
        for bar in self._bars.values():
            bar.show_text(bar.text, self._keeper)


class _Bar(QFrame):
    def __init__(self, parent: QWidget, action: QAction | None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self.action = action
        self.text = NoticeText("")
        self._sign = QLabel(self)
        self._words = plain(QLabel(self))
        self._words.setWordWrap(True)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.put_away = QToolButton(self, autoRaise=True)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 2, 8, 2)
        row.addWidget(self._sign)
        row.addWidget(self._words, 1)
        if action is not None:
            button = QPushButton(action.iconText(), self)
            button.setToolTip(action.toolTip())
            button.clicked.connect(action.trigger)
            row.addWidget(button)
        row.addWidget(self.put_away)

    def show_text(self, text: NoticeText, keeper: ThemeKeeper) -> None:
        self.text = text
        name, colour = _SIGNS[text.level]
        side = round(self.fontMetrics().height() * 1.2)
        self._sign.setPixmap(icon(name, keeper.theme, colour).pixmap(QSize(side, side)))
        self._sign.setAccessibleName(_level_words(text.level))
        self._words.setText(text.sentence)
        self._words.setAccessibleName(text.sentence)
        self.put_away.setIcon(icon("close", keeper.theme))
        words = QCoreApplication.translate("Notices", "Put this notice away")
        self.put_away.setToolTip(words)
        self.put_away.setAccessibleName(words)


def _level_words(level: str) -> str:
    words = {
        "info": QCoreApplication.translate("Notices", "For your information"),
        "warning": QCoreApplication.translate("Notices", "Warning"),
        "trouble": QCoreApplication.translate("Notices", "Trouble"),
    }
    return words[level]
