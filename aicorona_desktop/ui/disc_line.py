"""How far the copying of a disc is: one quiet line with a bar, until the disc is safe to remove and it is put away."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QSize, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from aicorona_desktop.core.discs import CopyProgress, Phase
from aicorona_desktop.ui.icons import icon
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.theme import ThemeKeeper
from aicorona_desktop.ui.worklist_words import number_text

translate = QCoreApplication.translate

OVER = frozenset({Phase.SAFE, Phase.STOPPED, Phase.FAILED})


class DiscLine(QFrame):
    """Shows the progress of one disc. `stop_asked` and `put_away` are what its button asks for."""

    stop_asked = Signal()
    put_away = Signal()

    def __init__(self, label: str, keeper: ThemeKeeper | None = None, parent: QWidget | None = None) -> None:
        """`keeper` gives the colours of the sign in front; without one there is none."""
        super().__init__(parent)
        self._keeper = keeper
        self._sign = QLabel(self)
        if keeper is not None:
            keeper.changed.connect(self._draw_sign)
        self.setObjectName("notice")
        self.label = label
        self.progress = CopyProgress(Phase.LISTING)
        self.words = plain(QLabel(self))
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar(self, textVisible=False)
        self.bar.setAccessibleName(translate("DiscLine", "Copying the disc"))
        self.button = QPushButton(self)
        self.button.clicked.connect(self._pressed)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 2, 8, 2)
        row.setSpacing(12)
        row.addWidget(self._sign)
        row.addWidget(self.words, 1)
        row.addWidget(self.bar)
        row.addWidget(self.button)
        self._fit()
        self.show_progress(self.progress)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.progress.phase in OVER

    def show_progress(self, progress: CopyProgress) -> None:
        """Show how far it is."""
        self.progress = progress
        text = progress_words(self.label, progress)
        self.words.setText(text)
        self.setAccessibleName(text)
        self._draw_sign()
        self.bar.setVisible(not self.is_over)
        counted = progress.phase not in (Phase.LISTING, Phase.VERIFYING) and progress.bytes_total > 0
        self.bar.setRange(0, 1000 if counted else 0)
        if counted:
            self.bar.setValue(round(1000 * progress.bytes_copied / progress.bytes_total))
        if self.is_over:
            self.button.setText(translate("DiscLine", "Put away"))
            self.button.setToolTip(translate("DiscLine", "Put this line away"))
        else:
            self.button.setText(translate("DiscLine", "Stop"))
            self.button.setToolTip(translate("DiscLine", "Copy nothing more; what is read is kept and scored"))

    def changeEvent(self, event: QEvent) -> None:
        """Grow with the text."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.FontChange and hasattr(self, "bar"):
            self._fit()

    def _draw_sign(self) -> None:
        if self._keeper is None:
            return
        progress = self.progress
        trouble = progress.phase in (Phase.AWAY, Phase.FAILED) or progress.files_unreadable > 0
        name, colour = ("warning", "caution") if trouble else ("info", "calm")
        side = round(self.fontMetrics().height() * 1.2)
        self._sign.setPixmap(icon(name, self._keeper.theme, colour).pixmap(QSize(side, side)))

    def _fit(self) -> None:
        metrics = self.fontMetrics()
        self.bar.setFixedSize(metrics.averageCharWidth() * 24, round(metrics.height() * 0.8))

    def _pressed(self) -> None:
        if self.is_over:
            self.put_away.emit()
        else:
            self.stop_asked.emit()


def progress_words(label: str, progress: CopyProgress) -> str:
    """Return how far it is, what could not be read so far, and what the person may do with the disc."""
    name = label or translate("DiscLine", "The disc")
    words = {
        Phase.LISTING: translate("DiscLine", "{name}: looking what is on it. Leave it in."),
        Phase.COPYING: translate("DiscLine", "{name}: {done} of {total} files copied{bad}{left}. Leave it in."),
        Phase.RETRYING: translate(
            "DiscLine", "{name}: {done} of {total} files copied{bad}. These are tried once more. Leave it in."
        ),
        Phase.AWAY: translate(
            "DiscLine",
            "{name}: it was taken out too early. Put it in again to go on; {done} of {total} files are copied{bad}.",
        ),
        Phase.VERIFYING: translate(
            "DiscLine", "{name}: {done} of {total} files copied{bad}. The copies are being checked. Leave it in."
        ),
        Phase.SAFE: translate("DiscLine", "{name}: {done} of {total} files copied and checked{lost}. Safe to remove."),
        Phase.STOPPED: translate("DiscLine", "{name}: stopped. {done} of {total} files are copied and kept{bad}."),
        Phase.FAILED: translate(
            "DiscLine", "{name}: the copying failed. {done} of {total} files are copied{bad}; keep the disc."
        ),
    }[progress.phase]
    parts = {
        "{done}": number_text(progress.files_copied),
        "{total}": number_text(progress.files_total),
        "{bad}": _bad_words(progress),
        "{lost}": _lost_words(progress),
        "{left}": _left_words(progress.seconds_left),
        "{name}": name,  # last: it may hold anything
    }
    for mark, text in parts.items():
        words = words.replace(mark, text)
    return words


def _bad_words(progress: CopyProgress) -> str:
    if not progress.files_unreadable:
        return ""
    return translate("DiscLine", ", {bad} not readable so far").format(bad=number_text(progress.files_unreadable))


def _lost_words(progress: CopyProgress) -> str:
    if not progress.files_lost:
        return ""
    if not progress.bytes_lost:
        return translate("DiscLine", ", {bad} could not be read").format(bad=number_text(progress.files_lost))
    words = translate("DiscLine", ", {bad} could not be read ({bytes} bytes)")
    return words.format(bad=number_text(progress.files_lost), bytes=number_text(progress.bytes_lost))


def _left_words(seconds: float | None) -> str:
    if seconds is None or seconds < 5:
        return ""
    if seconds < 90:
        return translate("DiscLine", ", about {count} s left").format(count=number_text(round(seconds / 5) * 5))
    return translate("DiscLine", ", about {count} min left").format(count=number_text(round(seconds / 60)))
