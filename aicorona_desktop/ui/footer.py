"""The line at the foot of the window that nobody can close: the notice, the pack, the device, the folders, the disk."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QCoreApplication, QEvent, QLocale, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from aicorona_desktop.core.events import WatchedFolder, WatchState
from aicorona_desktop.core.receiving import ReceiverState
from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES
from aicorona_desktop.ui.icons import icon
from aicorona_desktop.ui.keys import PRESSED_BY_KEYS
from aicorona_desktop.ui.plain import plain_tip
from aicorona_desktop.ui.receiver_page import state_words
from aicorona_desktop.ui.theme import ThemeKeeper

GAP = 6  # between a sign and its words
SIDES_PX, BETWEEN_PX = 20, 16


@dataclass(frozen=True, slots=True)
class FooterFacts:
    """What the footer tells. `free_bytes` and `device` are None, and "", while they are not known yet.

    `site` is how the site's own verification stands, with what must always be seen of it.
    """

    pack: str = ""
    pack_status: str = ""
    device: str = ""
    folders: tuple[WatchedFolder, ...] = field(default=())
    free_bytes: int | None = None
    reading_only: bool = False
    receiver: ReceiverState = field(default_factory=ReceiverState)
    site: str = ""
    site_in_short: str = ""
    site_needs_somebody: bool = False


def notice_words() -> str:
    """Return the sentence that stands in the footer at all times."""
    return QCoreApplication.translate("Footer", "Research use. Not a diagnosis. Every study must be read.")


class Footer(QFrame):
    """Shows `FooterFacts`; a click on the notice explains it, a click on anything else asks for its settings.

    Where the notice and what must always be seen beside it have no room in one line, the notice gets one of its own.
    """

    notice_asked = Signal()
    settings_asked = Signal(str)  # a group of the settings
    verification_asked = Signal()

    def __init__(self, keeper: ThemeKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("footer")
        self._keeper = keeper
        self._facts = FooterFacts()
        self._notice = QPushButton(notice_words(), self, flat=True)
        self._notice.setObjectName("footerNotice")
        self._notice.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._notice.clicked.connect(self.notice_asked)
        self._parts = {name: _Part(name, self) for name in ("pack", "site", "device", "receiver", "folders", "disk")}
        groups = {"pack": "model", "device": "model", "folders": "intake", "disk": "intake", "receiver": "intake"}
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 1, SIDES_PX - 8, 1)
        lines.setSpacing(0)
        self._above, self._line = QHBoxLayout(), QHBoxLayout()
        self._line.setSpacing(BETWEEN_PX)
        self._line.addWidget(self._notice)
        for name, part in self._parts.items():
            if name in groups:
                part.asked.connect(lambda group=groups[name]: self.settings_asked.emit(group))
            self._line.addWidget(part, 1 if name == "pack" else 0)
        self._parts["site"].asked.connect(self.verification_asked)
        lines.addLayout(self._above)
        lines.addLayout(self._line)
        # The pack's words are long and the first to be cut: it gets what the others leave.
        self._parts["pack"].setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._parts["site"].asks_for_short = True
        keeper.changed.connect(self._draw)
        self._draw()

    @property
    def facts(self) -> FooterFacts:
        """What is shown now."""
        return self._facts

    def show_facts(self, facts: FooterFacts) -> None:
        """Show other facts; the same ones cost nothing."""
        if facts != self._facts:
            self._facts = facts
            self._draw()

    def words(self) -> dict[str, str]:
        """Return what each part says, in full."""
        return {"notice": self._notice.text()} | {name: part.full_text for name, part in self._parts.items()}

    def minimumSizeHint(self) -> QSize:
        """Return the room for two lines; one line asks for no more."""
        widest = max(self._notice.sizeHint().width(), self._least_beside())
        return QSize(widest + SIDES_PX, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the notice a line of its own, or take it back."""
        super().resizeEvent(event)
        self._arrange()

    def changeEvent(self, event: QEvent) -> None:
        """Arrange anew for another size of text."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.FontChange and hasattr(self, "_line"):
            self._arrange()

    def _arrange(self) -> None:
        beside = sum(BETWEEN_PX + part.wished_width for part in self._parts.values() if not part.isHidden())
        together = self._notice.sizeHint().width() + beside + SIDES_PX
        if together > self.width():
            if self._above.isEmpty():
                self._above.addWidget(self._notice, 0, Qt.AlignmentFlag.AlignLeading)
        elif not self._above.isEmpty():
            self._line.insertWidget(0, self._notice)

    def _least_beside(self) -> int:
        shown = [part.minimumSizeHint().width() for part in self._parts.values() if not part.isHidden()]
        return sum(shown) + BETWEEN_PX * max(0, len(shown) - 1)

    def _draw(self) -> None:
        self._notice.setText(notice_words())
        self._notice.setToolTip(QCoreApplication.translate("Footer", "What this means"))
        facts = self._facts
        folders, trouble = folder_words(facts.folders)
        low = facts.free_bytes is not None and facts.free_bytes < FLOOR_INTAKE_BYTES
        self._parts["pack"].show_text(_pack_words(facts), "pack", "muted", self._keeper, _pack_in_short(facts))
        needs = facts.site_needs_somebody
        sign = "warning" if needs else "verification"
        self._parts["site"].show_text(facts.site, sign, _colour(needs), self._keeper, facts.site_in_short)
        self._parts["device"].show_text(_device_words(facts), "device", "muted", self._keeper)
        receiver, failing = state_words(facts.receiver), bool(facts.receiver.sentence)
        self._parts["receiver"].show_text(receiver, "warning" if failing else "receive", _colour(failing), self._keeper)
        self._parts["folders"].show_text(folders, "warning" if trouble else "watch", _colour(trouble), self._keeper)
        self._parts["disk"].show_text(disk_words(facts.free_bytes), "disk", _colour(low), self._keeper)
        self._arrange()


class _Part(QWidget):
    """A sign and a few words, cut with an ellipsis where the window is narrow; all of them in the tooltip."""

    asked = Signal()

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(f"footer.{name}")
        self.full_text = ""
        self.asks_for_short = False
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setProperty(PRESSED_BY_KEYS, True)
        self._sign = QLabel(self)
        self._words = ElidedLabel(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        row.addWidget(self._sign)
        row.addWidget(self._words, 1)

    def sizeHint(self) -> QSize:
        """Return the room for its text, or only for the short one where it asks for no more."""
        hint = super().sizeHint()
        return QSize(self.minimumWidth(), hint.height()) if self.asks_for_short and self._words.in_short else hint

    @property
    def wished_width(self) -> int:
        """The room for its short text, where it has one, else for all of it."""
        return self.minimumWidth() if self._words.in_short else self.sizeHint().width()

    def show_text(self, text: str, sign: str, colour: str, keeper: ThemeKeeper, in_short: str = "") -> None:
        """Show a text; `in_short` is what must always be seen of it, and stands where the whole has no room."""
        self.full_text = text
        self.setVisible(bool(text))
        side = round(self.fontMetrics().height() * 1.1)
        self._sign.setPixmap(icon(sign, keeper.theme, colour).pixmap(QSize(side, side)))
        self._words.in_short = in_short
        self._words.setText(text)
        self._keep_short_whole()
        self.setToolTip(plain_tip(text))
        self.setAccessibleName(text)

    def _keep_short_whole(self) -> None:
        # The size policy of a part that gets what the others leave knows no least width of its own.
        self._words.updateGeometry()
        if self._words.in_short:
            self.setMinimumWidth(self._words.minimumSizeHint().width() + self._sign.sizeHint().width() + GAP)

    def changeEvent(self, event: QEvent) -> None:
        """Grow with the text."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.FontChange and hasattr(self, "_words"):
            self._keep_short_whole()

    def mouseReleaseEvent(self, event: object) -> None:  # noqa: ARG002 - Qt's signature
        """Ask for the settings behind these words."""
        self.asked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Do by the keys what a click does."""
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.asked.emit()
        else:
            super().keyPressEvent(event)


class ElidedLabel(QLabel):
    """A label of one line that shows as much as fits; `in_short` always does, and is shown where the whole doesn't."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.in_short = ""
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        """Return the room for the short text, or for a few letters."""
        metrics = self.fontMetrics()
        few = metrics.averageCharWidth() * 4
        return QSize(max(few, metrics.horizontalAdvance(self.in_short) + 4), metrics.height())

    def sizeHint(self) -> QSize:
        """Return the room for all of it."""
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self.text()) + 4, metrics.height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt's signature
        """Draw the text, cut at its end."""
        with QPainter(self) as painter:
            metrics = QFontMetrics(self.font())
            fits = metrics.horizontalAdvance(self.text()) <= self.width()
            whole = self.text() if fits or not self.in_short else self.in_short
            text = metrics.elidedText(whole, Qt.TextElideMode.ElideRight, self.width())
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeading), text)


def folder_words(folders: tuple[WatchedFolder, ...]) -> tuple[str, bool]:
    """Return the state of the watched folders in words, and whether one of them needs somebody."""
    bad = [one for one in folders if one.state is not WatchState.WATCHING]
    if not folders:
        return QCoreApplication.translate("Footer", "No folder watched"), False
    if not bad:
        return QCoreApplication.translate("Footer", "Watching %n folder(s)", "", len(folders)), False
    first = bad[0]
    name, since = first.folder.name or str(first.folder), first.since.astimezone().strftime("%H:%M")
    if first.state is WatchState.REFUSED:
        text = QCoreApplication.translate("Footer", "{folder}: access refused since {time}")
    else:
        text = QCoreApplication.translate("Footer", "{folder}: cannot be reached since {time}")
    return text.format(folder=name, time=since), True


def disk_words(free_bytes: int | None) -> str:
    """Return how much room is left on the disk of the history."""
    if free_bytes is None:
        return ""
    room = f"{QLocale().toString(free_bytes / 1e9, 'f', 1 if free_bytes < 1e11 else 0)} GB"
    return QCoreApplication.translate("Footer", "{room} free").format(room=room)


def _pack_words(facts: FooterFacts) -> str:
    if not facts.pack:
        return ""
    return f"{facts.pack} · {facts.pack_status}" if facts.pack_status else facts.pack


def _pack_in_short(facts: FooterFacts) -> str:
    """Name and status without what explains the status: never cut (ux.md 2)."""
    return _pack_words(facts).split(":", maxsplit=1)[0]


def _device_words(facts: FooterFacts) -> str:
    if facts.reading_only:
        return QCoreApplication.translate("Footer", "For reading only: nothing is scored")
    return facts.device


def _colour(trouble: bool) -> str:
    return "caution" if trouble else "muted"
