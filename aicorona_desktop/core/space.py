"""Free space on the disk: how much there is, and below what the program stops taking in or writing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

FLOOR_WRITE_BYTES = 100_000_000
"""Below it nothing is written to the history; viewing goes on (reliability.md 4)."""

FLOOR_INTAKE_BYTES = 512_000_000
"""Below it no further files are taken in (reliability.md 4, design D18)."""

ASK_EVERY_S = 1.0

Measure = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Return the bytes that we may still write on the disk that holds, or would hold, a folder.

    Raises:
        OSError: the disk doesn't answer.
    """
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return shutil.disk_usage(there).free


class FreeSpace:
    """The free bytes of one folder's disk, asked for at most once a second."""

    def __init__(
        self, folder: Path, measure: Measure = free_bytes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._measure = measure
        self._clock = clock
        self._asked_at: float | None = None
        self._free = 0

    def __call__(self) -> int:
        """Return the free bytes of at most a second ago; raises OSError when the disk doesn't answer."""
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= ASK_EVERY_S:
            self._free = self._measure(self._folder)
            self._asked_at = now
        return self._free
