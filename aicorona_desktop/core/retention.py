"""When our own copies of a study's files may go, by rules that a site has switched on (ux.md 12.5).

Nothing goes that no person has read, that somebody has pinned or is still told of, or whose files are in doubt. What
goes are copies of ours; files at their source are never touched, and the row, its score and what people said stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

GB = 1_000_000_000

GRACE = timedelta(days=7)
"""So long a study that a rule has named stays, where the disk has room: a rule set too tight, or a clock that jumped,
is noticed in a week and costs nothing. Below the low-water mark there is no such time, since intake would stop."""


class Step(StrEnum):
    """What has become of a study's copies; the newest step counts."""

    MARKED = "marked"
    KEPT = "kept"
    REMOVING = "removing"
    REMOVED = "removed"


class Kept(StrEnum):
    """Why a study's copies stay whatever the rules say."""

    UNREAD = "unread"
    NOT_FINISHED = "not_finished"
    PINNED = "pinned"
    TOLD = "told"
    CONFLICT = "conflict"
    READER_STUDY = "reader_study"
    BY_PERSON = "by_person"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a site has switched on; 0 is off. `days` after a study was read; `gigabytes` that all copies may take."""

    days: int = 0
    gigabytes: int = 0

    @property
    def is_on(self) -> bool:
        """Whether anything may go at all."""
        return bool(self.days or self.gigabytes)


@dataclass(frozen=True, slots=True)
class CopiedStudy:
    """A study with copies of ours: what they take on the disk, and all that says whether they may go.

    `told` is whether somebody was told of it, or is to be, and no outcome was entered since; `in_reader_study` whether
    it is a case of a reader study, running or ended: the proof of its figures rests on the images. `step` is the newest
    thing that became of the copies, since `step_at`.
    """

    study_instance_uid: str
    received_at: datetime
    read_at: datetime | None
    finished: bool
    pinned: bool
    told: bool
    conflict: bool
    files: int
    size_bytes: int
    in_reader_study: bool = False
    step: Step | None = None
    step_at: datetime | None = None

    @property
    def kept_because(self) -> Kept | None:
        """Why the copies stay, None where a rule may name them."""
        why = (
            (self.step is Step.KEPT, Kept.BY_PERSON),
            (self.read_at is None, Kept.UNREAD),
            (not self.finished, Kept.NOT_FINISHED),
            (self.conflict, Kept.CONFLICT),
            (self.in_reader_study, Kept.READER_STUDY),
            (self.pinned, Kept.PINNED),
            (self.told, Kept.TOLD),
        )
        return next((reason for holds, reason in why if holds), None)


@dataclass(frozen=True, slots=True)
class Named:
    """A study that a rule names: which rule (`days` or `gigabytes`), and when its copies go."""

    study: CopiedStudy
    rule: str
    goes_at: datetime


def named(studies: Iterable[CopiedStudy], rule: Rule, now: datetime, *, needs_room: bool = False) -> tuple[Named, ...]:
    """Return the studies whose copies go by a rule, those read longest ago first.

    Args:
        studies: all with copies of ours.
        rule: what the site has switched on, or thinks of switching on.
        now: aware.
        needs_room: the disk is nearly full: what is named goes now.
    """
    everything = tuple(studies)
    may_go = [one for one in everything if one.kept_because is None and one.read_at is not None]
    may_go.sort(key=lambda one: (one.read_at or now, one.study_instance_uid))
    too_much = sum(one.size_bytes for one in everything) - rule.gigabytes * GB if rule.gigabytes else 0
    found: list[Named] = []
    for one in may_go:
        old = bool(rule.days) and one.read_at is not None and now - one.read_at >= timedelta(days=rule.days)
        if not (old or too_much > 0):
            continue
        since = one.step_at if one.step is Step.MARKED and one.step_at is not None else now
        found.append(Named(one, "days" if old else "gigabytes", now if needs_room else since + GRACE))
        too_much -= one.size_bytes
    return tuple(found)
