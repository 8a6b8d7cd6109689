"""Whether the disk has room for what comes in: intake pauses before it is full, and goes on by itself (design D18)."""

from __future__ import annotations

import time
from collections.abc import Callable

from aicorona_desktop.core.events import Event, Notice
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES, FLOOR_WRITE_BYTES

MB = 1_000_000
ROOM_AGAIN = 1.1  # so much more than the low-water mark must be free before intake goes on
TRY_AGAIN_S = 5.0  # after a write that found no room where there seemed to be some, as with a quota


class Room:
    """Asked before anything is taken in; tells once when intake pauses and once when it goes on."""

    def __init__(
        self,
        free_space: Callable[[], int],
        tell: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free_space = free_space
        self._tell = tell
        self._clock = clock
        self._full_until = 0.0
        self.is_paused = False

    @property
    def free_bytes(self) -> int:
        """What is free on the disk, as far as it answers."""
        try:
            return self._free_space()
        except OSError:  # the next write will tell
            return FLOOR_INTAKE_BYTES

    @property
    def may_write(self) -> bool:
        """Whether anything at all can be recorded."""
        return self.free_bytes >= FLOOR_WRITE_BYTES

    def has_room(self, size_bytes: int = 0) -> bool:
        """Whether so many bytes may be taken in beside what must stay free."""
        free, needed = self.free_bytes, FLOOR_INTAKE_BYTES + size_bytes
        pause = free < (needed * ROOM_AGAIN if self.is_paused else needed) or self._clock() < self._full_until
        self._note(pause, free, needed)
        return not pause

    def is_full(self) -> None:
        """A write has found the disk full, whatever it says of itself: intake pauses, and tries again later."""
        self._full_until = self._clock() + TRY_AGAIN_S
        self._note(True, self.free_bytes, FLOOR_INTAKE_BYTES)

    def _note(self, pause: bool, free: int, needed: int) -> None:
        if pause != self.is_paused:
            self.is_paused = pause
            reason = Reason.DISK_NEARLY_FULL if pause else Reason.DISK_HAS_ROOM
            self._tell(Notice(Finding(Outcome.WARNED, reason, found=free / MB, needed=needed / MB)))
