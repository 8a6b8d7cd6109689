"""Whose turn it is to be scored: preliminary passes first, then final ones, nobody left behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Stage = Literal["preliminary", "final"]


@dataclass(slots=True, eq=False)
class _Waiting:
    study_instance_uid: str
    received_at: datetime
    p_covid: float | None = None  # None until the preliminary pass is done
    hurried: bool = False

    @property
    def stage(self) -> Stage:
        return "preliminary" if self.p_covid is None else "final"


class Queue:
    """The studies that still need a pass; only a structure: no thread, no clock of its own.

    Order (design D11, D12): a study that somebody waits for; a study past the wait cap, oldest first; a preliminary
    pass, oldest first; a final pass, highest preliminary p(COVID-19) first. Ties: received, then study UID. A study's
    first pass is always its preliminary one. Times are aware and come from one clock. `wait_cap` may be changed.
    """

    def __init__(self, wait_cap: timedelta) -> None:
        self.wait_cap = wait_cap
        self._waiting: dict[str, _Waiting] = {}
        self._running: tuple[_Waiting, Stage] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, study_instance_uid: str) -> bool:
        return study_instance_uid in self._waiting

    def add(self, study_instance_uid: str, received_at: datetime) -> None:
        """Take a study in. One that is there begins again, as after late slices, and keeps its earlier time."""
        before = self._waiting.get(study_instance_uid)
        earliest = min(before.received_at, received_at) if before else received_at
        self._waiting[study_instance_uid] = _Waiting(study_instance_uid, earliest)

    def preliminary_done(self, study_instance_uid: str, p_covid: float) -> None:
        """Note a preliminary score; nothing happens when the study has left the queue meanwhile.

        Raises:
            ValueError: this is no probability.
        """
        if not 0 <= p_covid <= 1:
            raise ValueError(f"expected a probability, got {p_covid}")
        if study_instance_uid in self._waiting:
            self._waiting[study_instance_uid].p_covid = p_covid

    def hurry(self, study_instance_uid: str) -> None:
        """Put a study first, since somebody waits for it; nothing happens when it isn't in the queue."""
        if study_instance_uid in self._waiting:
            self._waiting[study_instance_uid].hurried = True

    def final_done(self, study_instance_uid: str) -> None:
        """Let a study go that has its final score."""
        self.remove(study_instance_uid)

    def remove(self, study_instance_uid: str) -> None:
        """Let a study go that needs no score any more, or gets none."""
        self._waiting.pop(study_instance_uid, None)

    def next(self, now: datetime) -> tuple[str, Stage] | None:
        """Return which study is next and with which pass, None when nothing waits; the pass counts as running."""
        best = self._best(now)
        self._running = (best, best.stage) if best else None
        return (best.study_instance_uid, best.stage) if best else None

    def should_yield(self, now: datetime) -> bool:
        """Whether the running pass must stop after this slice.

        A final pass stops for a preliminary one of another study, and any pass for a study that has left or
        begun again. A final pass past the wait cap goes on to its end.
        """
        if self._running is None:
            return False
        running, stage = self._running
        if self._waiting.get(running.study_instance_uid) is not running or running.stage != stage:
            return True
        best = self._best(now)
        return stage == "final" and best is not None and best.stage == "preliminary"

    def _best(self, now: datetime) -> _Waiting | None:
        return min(self._waiting.values(), key=lambda one: self._place(one, now), default=None)

    def _place(self, one: _Waiting, now: datetime) -> tuple[int, float, datetime, str]:
        if one.hurried:
            return -1, 0.0, one.received_at, one.study_instance_uid
        if now - one.received_at >= self.wait_cap:
            return 0, 0.0, one.received_at, one.study_instance_uid
        if one.p_covid is None:
            return 1, 0.0, one.received_at, one.study_instance_uid
        return 2, -one.p_covid, one.received_at, one.study_instance_uid
