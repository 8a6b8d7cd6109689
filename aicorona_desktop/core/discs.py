"""How far the copying of a disc or stick is: frozen values that the engine tells its clients."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What the copying is at."""

    LISTING = "listing"
    COPYING = "copying"
    AWAY = "away"
    """The medium was pulled out; it goes on when it is back."""
    RETRYING = "retrying"
    VERIFYING = "verifying"
    SAFE = "safe"
    """All that can be read is copied and proved: the medium can be taken out."""
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far it is: `files_copied` of `files_total`, `files_waiting` to be tried again, `files_lost` for good.

    `bytes_lost` counts within the lost files; `seconds_left` is None where it can't be told.
    """

    phase: Phase
    files_total: int = 0
    files_copied: int = 0
    files_waiting: int = 0
    files_lost: int = 0
    bytes_total: int = 0
    bytes_copied: int = 0
    bytes_lost: int = 0
    seconds_left: float | None = None

    @property
    def files_unreadable(self) -> int:
        """Files that have not been read so far."""
        return self.files_waiting + self.files_lost
