"""Discs and sticks in the window: notices what is put in, asks once, and shows how far each copying is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from aicorona_desktop.core.events import DiscProgress
from aicorona_desktop.core.user_settings import UserSettings
from aicorona_desktop.intake.media import (
    MediaWatch,
    Medium,
    MediumKind,
    fingerprint,
    look_at,
    media,
    wait_for_change,
)
from aicorona_desktop.intake.media_asked import Asked
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.disc_line import DiscLine
from aicorona_desktop.ui.jobs import cancelled
from aicorona_desktop.ui.media_dialog import MediumSeen, MediumSheet

LANE = "media"
WAIT_S = 1.0


class DiscImports(QWidget):
    """The lines of the discs that are being copied, one below the other; `active_changed` says whether there is one."""

    active_changed = Signal(bool)

    def __init__(self, folder: Path, parent: QWidget, look: Callable[[], tuple[Medium, ...]] | None = None) -> None:
        """`folder` remembers which media were asked about; `look` says which there are (None: the system does)."""
        super().__init__(parent)
        self._asked = Asked(folder)
        self._look = look or media
        self._context: Context | None = None
        self._lines: dict[int, DiscLine] = {}
        self._sheets: dict[Path, MediumSheet] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        self.hide()

    def begin(self, context: Context) -> None:
        """Notice media from now on, where anything may be imported."""
        self._context = context
        if context.running.engine is None:
            return
        context.bridge.disc_progress.connect(self._progressed)
        context.jobs.stream(self._watch, self._seen, lane=LANE, owner=self)

    def read(self, medium: Medium) -> int | None:
        """Import a medium; return the number of the import, None where nothing may be imported."""
        engine = None if self._context is None else self._context.running.engine
        return None if engine is None else engine.import_disc(medium, self._label(medium))

    def stop(self) -> None:
        """Stop the disc whose copying began last."""
        running = [number for number, line in self._lines.items() if not line.is_over]
        if running:
            self._stop(running[-1])

    @property
    def lines(self) -> tuple[DiscLine, ...]:
        """The lines that are shown, the oldest first."""
        return tuple(self._lines.values())

    @property
    def sheet(self) -> MediumSheet | None:
        """The question that is open, if one is."""
        return next(iter(self._sheets.values()), None)

    # --- what is put in ------------------------------------------------------------------------------------------

    def _watch(self, give: Callable[[object], None]) -> None:
        """Look for media until the window closes; on the lane's thread."""
        watch = MediaWatch(self._look)
        while not cancelled():
            come, gone = watch.changes()
            for one in gone:
                give(one)
            for one in come:
                seen = self._looked_at(one)
                if seen is not None:
                    give(seen)
            wait_for_change(WAIT_S)

    def _looked_at(self, medium: Medium) -> MediumSeen | None:
        """Look at a medium that has come; None where there is nothing to ask."""
        try:
            mark = fingerprint(medium)
        except OSError:
            return None
        if self._asked.was(mark):
            return None
        look = look_at(medium.root, stopped=cancelled)
        return MediumSeen(medium, mark, look) if look.has_dicom else None

    def _seen(self, news: object) -> None:
        if isinstance(news, MediumSeen):
            self._ask(news)
        elif isinstance(news, Medium) and (sheet := self._sheets.get(news.root)) is not None:
            sheet.reject()  # it was taken out again

    def _ask(self, seen: MediumSeen) -> None:
        context = self._context
        if context is None or not _is_asked_about(seen.medium.kind, context.user.value):
            return
        if seen.medium.root in self._sheets:
            return
        sheet = MediumSheet(seen, self.window(), covered=context.identities.covered)
        self._sheets[seen.medium.root] = sheet
        sheet.answered.connect(lambda read, never: self._answered(seen, read=read, never=never))
        context.jobs.run(lambda: self._asked.note(seen.fingerprint), _nothing, lane="files", owner=self)
        sheet.open()

    def _answered(self, seen: MediumSeen, *, read: bool, never: bool) -> None:
        sheet = self._sheets.pop(seen.medium.root, None)
        if sheet is not None:
            sheet.deleteLater()
        if never and self._context is not None:
            name = "ask_for_discs" if seen.medium.kind is MediumKind.DISC else "ask_for_sticks"
            self._context.user.change(**{name: False})
        if read:
            self.read(seen.medium)

    # --- what is copied ------------------------------------------------------------------------------------------

    def _label(self, medium: Medium) -> str:
        covered = self._context is not None and self._context.identities.covered
        if covered:  # people put patients' names on discs
            return self.tr("Disc") if medium.kind is MediumKind.DISC else self.tr("Stick")
        return medium.shown

    def _progressed(self, news: DiscProgress) -> None:
        line = self._lines.get(news.number)
        if line is None:
            line = self._lines[news.number] = DiscLine(
                news.label, None if self._context is None else self._context.theme, self
            )
            line.stop_asked.connect(lambda: self._stop(news.number))
            line.put_away.connect(lambda: self._put_away(news.number))
            self._layout.addWidget(line)
            self.show()
        line.show_progress(news.progress)
        self.active_changed.emit(any(not one.is_over for one in self._lines.values()))

    def _stop(self, number: int) -> None:
        if self._context is not None and self._context.running.engine is not None:
            self._context.running.engine.cancel_import(number)

    def _put_away(self, number: int) -> None:
        line = self._lines.pop(number, None)
        if line is not None:
            self._layout.removeWidget(line)
            line.hide()
            line.deleteLater()
        self.setVisible(bool(self._lines))


def _is_asked_about(kind: MediumKind, user: UserSettings) -> bool:
    return user.ask_for_discs if kind is MediumKind.DISC else user.ask_for_sticks


def _nothing(_: object) -> None:
    pass
