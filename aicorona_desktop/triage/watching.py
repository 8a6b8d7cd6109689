"""The watched folders: what was seen in each, and whether it can be seen at all; asked from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from aicorona_desktop.core.events import SourceBack, SourceLost, WatchedFolder, WatchState
from aicorona_desktop.core.findings import Reason
from aicorona_desktop.intake.folders import FolderWatch, Look, Lookout

HANGS_AFTER_S = 60.0
"""A look that takes longer counts as lost: a dead mount answers nothing at all. A very large folder takes seconds."""


@dataclass(slots=True)
class _One:
    lookout: Lookout
    told: WatchedFolder


class Watching:
    """Owns a `Lookout` a folder; `woken` is called on their threads when there is something to take."""

    def __init__(
        self,
        woken: Callable[[], None],
        now: Callable[[], datetime],
        make: Callable[[Path], FolderWatch] = FolderWatch,
        hangs_after_s: float = HANGS_AFTER_S,
    ) -> None:
        self._woken = woken
        self._now = now
        self._make = make
        self._hangs_after_s = hangs_after_s
        self._lock = threading.Lock()
        self._folders: dict[Path, _One] = {}

    def __bool__(self) -> bool:
        return bool(self._folders)

    def add(self, folder: Path, every_s: float) -> None:
        """Begin to look into a folder; nothing happens when it is watched already."""
        with self._lock:
            if folder not in self._folders:
                lookout = Lookout(folder, every_s, self._woken, self._make)
                self._folders[folder] = _One(lookout, WatchedFolder(folder, WatchState.WATCHING, self._now()))

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
        """Change the time between two looks."""
        for one in self._all():
            one.lookout.every_s = seconds

    def states(self) -> tuple[WatchedFolder, ...]:
        """Return every watched folder with its state."""
        return tuple(one.told for one in self._all())

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return any(one.lookout.waiting for one in self._all())

    def take(self) -> Iterator[tuple[Path, Look]]:
        """Yield each look that gave files, and forget it."""
        for one in self._all():
            look = one.lookout.take()
            if look is None:
                continue
            self._note(one, _state_of(look))
            if look.settled:
                yield one.lookout.folder, look

    def changes(self, before: dict[Path, WatchState]) -> Iterator[SourceLost | SourceBack]:
        """Yield what has changed since `before`, which is brought up to date."""
        for one in self._all():
            if one.lookout.looking_s > self._hangs_after_s:
                self._note(one, WatchState.LOST)
            folder, state = one.told.folder, one.told.state
            if before.get(folder, WatchState.WATCHING) is not state:
                yield SourceBack(folder) if state is WatchState.WATCHING else SourceLost(folder, state)
            before[folder] = state

    def _note(self, one: _One, state: WatchState) -> None:
        if one.told.state is not state:
            one.told = replace(one.told, state=state, since=self._now())

    def _all(self) -> tuple[_One, ...]:
        with self._lock:
            return tuple(self._folders.values())


def _state_of(look: Look) -> WatchState:
    if look.finding is not None and look.finding.reason is Reason.NOT_LISTED:
        return WatchState.REFUSED
    return WatchState.WATCHING if look.reachable else WatchState.LOST
