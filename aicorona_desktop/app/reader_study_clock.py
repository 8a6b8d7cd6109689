"""Active time on a case: it runs while the window is in front, and is cut where nothing is done for a minute.

Source: paper-spec 12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

IDLE_S: Final = 60.0
"""How long nothing may be done before the time is cut; of a longer gap this much counts."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Active seconds since the last time they were taken; `idle_cut`: some time in between was cut off."""

    seconds: float = 0.0
    idle_cut: bool = False


class ActiveClock:
    """Counts while it runs; `now_s` is a clock in seconds that never goes back."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._last_s: float | None = None
        self._spent = Spent()

    @property
    def runs(self) -> bool:
        """Whether time runs now."""
        return self._last_s is not None

    def run(self) -> None:
        """Let time run: the window is in front, with a case on it."""
        if self._last_s is None:
            self._last_s = self._now_s()

    def halt(self) -> None:
        """Let time stand still; what has run counts up to here."""
        self.touch()
        self._last_s = None

    def touch(self) -> None:
        """Something was done: a key, the mouse, another slice."""
        if self._last_s is None:
            return
        now_s = self._now_s()
        gap_s = now_s - self._last_s
        self._spent = Spent(self._spent.seconds + min(gap_s, IDLE_S), self._spent.idle_cut or gap_s > IDLE_S)
        self._last_s = now_s

    def take(self) -> Spent:
        """Return what was spent since it was taken last; a pause of the hands goes on."""
        spent, self._spent = self._spent, Spent()
        return spent
