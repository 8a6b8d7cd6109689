"""The watched folders: what was seen in each, and whether it can be seen at all; asked from any thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from aicorona_desktop.core.events import SourceBack, SourceLost, WatchedFolder, WatchState
from aicorona_desktop.core.findings import Reason
from aicorona_desktop.core.sources import SourceKind, WatchedSource
from aicorona_desktop.history.sources import FolderTally, Taken
from aicorona_desktop.history.store import History, HistoryError
from aicorona_desktop.intake.folders import FolderWatch, Look, Lookout
from aicorona_desktop.intake.settling import Version

log = logging.getLogger(__name__)

HANGS_AFTER_S = 60.0
"""A look that takes longer counts as lost: a dead mount answers nothing at all. A very large folder takes seconds."""


@dataclass(slots=True)
class _One:
    source: WatchedSource
    lookout: Lookout
    told: WatchedFolder


class Watching:
    """Owns a `Lookout` a folder; `woken` is called on their threads when there is something to take.

    What a folder has given is in the history: a restart repeats nothing, and knows that the folder was not empty.
    """

    def __init__(
        self,
        woken: Callable[[], None],
        now: Callable[[], datetime],
        history: History,
        between_looks_s: float | None = None,
        hangs_after_s: float = HANGS_AFTER_S,
    ) -> None:
        self._woken = woken
        self._now = now
        self._history = history
        self._between_looks_s = between_looks_s
        self._hangs_after_s = hangs_after_s
        self._lock = threading.Lock()
        self._folders: dict[Path, _One] = {}

    def __bool__(self) -> bool:
        return bool(self._folders)

    def add(self, source: WatchedSource, every_s: float) -> None:
        """Begin to look into a folder; one that is watched already goes on as this says.

        Args:
            source: the folder, and how it is watched.
            every_s: between two looks, where the source says nothing.
        """
        tally = self._tally(source.folder)
        with self._lock:
            one = self._folders.get(source.folder)
            if one is None:
                told = WatchedFolder(source.folder, WatchState.WATCHING, self._now(), tally.files, tally.last_at)
                self._folders[source.folder] = _One(source, self._lookout(source, every_s), told)
            else:
                one.source = source
                one.lookout.every_s = source.look_every_s or every_s
                one.lookout.is_exact = source.look_every_s is not None

    def remove(self, folder: Path) -> None:
        """Look into a folder no more; nothing happens when it isn't watched."""
        with self._lock:
            one = self._folders.pop(folder, None)
        if one is not None:
            one.lookout.close()

    def close(self) -> None:
        """Look into none of them any more."""
        for folder in tuple(self._folders):
            self.remove(folder)

    def look_now(self) -> None:
        """Look into all folders now."""
        for one in self._all():
            one.lookout.look_now()

    def every(self, seconds: float) -> None:
        """Change the time between two looks of the folders that have none of their own."""
        for one in self._all():
            one.lookout.every_s = one.source.look_every_s or seconds

    def states(self) -> tuple[WatchedFolder, ...]:
        """Return every watched folder with its state."""
        return tuple(one.told for one in self._all())

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return any(one.lookout.waiting for one in self._all())

    def take(self) -> Iterator[tuple[WatchedSource, Look]]:
        """Yield each look that gave files, and forget it."""
        for one in self._all():
            look = one.lookout.take()
            if look is None:
                continue
            self._note(one, _state_of(look))
            one.told = replace(one.told, arriving=look.arriving)
            if look.settled:
                yield one.source, look

    def try_again(self, folder: Path, locations: Iterable[str]) -> None:
        """Have files of a folder handed out once more, after a while: they could not be taken in."""
        with self._lock:
            one = self._folders.get(folder)
        if one is not None:
            one.lookout.try_again(locations)

    def note_taken(self, folder: Path, tally: FolderTally) -> None:
        """Note what a folder has given by now."""
        with self._lock:
            one = self._folders.get(folder)
            if one is not None:
                one.told = replace(one.told, files=tally.files, last_at=tally.last_at)

    def changes(self, before: dict[Path, WatchState]) -> Iterator[SourceLost | SourceBack]:
        """Yield what has changed since `before`, which is brought up to date."""
        for one in self._all():
            if one.lookout.looking_s > self._hangs_after_s:
                self._note(one, WatchState.LOST)
            folder, state = one.told.folder, one.told.state
            if before.get(folder, WatchState.WATCHING) is not state:
                yield SourceBack(folder) if state is WatchState.WATCHING else SourceLost(folder, state)
            before[folder] = state

    def _lookout(self, source: WatchedSource, every_s: float) -> Lookout:
        exact = source.look_every_s is not None
        return Lookout(source.folder, source.look_every_s or every_s, self._woken, self._make, is_exact=exact)

    def _make(self, folder: Path) -> FolderWatch:
        """Make the watch of a folder, on the thread of its looks."""
        one = self._folders.get(folder)
        is_inbox = one is not None and one.source.kind is SourceKind.RECEIVER
        known = {path: _version(taken) for path, taken in self._history.taken(folder).items()}
        return FolderWatch(folder, self._between_looks_s, known=known, may_empty=is_inbox)

    def _tally(self, folder: Path) -> FolderTally:
        try:
            return self._history.tally(folder)
        except HistoryError:
            log.warning("what a watched folder has given could not be read")
            return FolderTally()

    def _note(self, one: _One, state: WatchState) -> None:
        if one.told.state is not state:
            one.told = replace(one.told, state=state, since=self._now())

    def _all(self) -> tuple[_One, ...]:
        with self._lock:
            return tuple(self._folders.values())


def _version(taken: Taken) -> Version:
    return taken.size_bytes, taken.mtime_ns, taken.file_number


def _state_of(look: Look) -> WatchState:
    if look.finding is not None and look.finding.reason is Reason.NOT_LISTED:
        return WatchState.REFUSED
    return WatchState.WATCHING if look.reachable else WatchState.LOST
