"""Which lane a study stands in and whether model and reader differ: the rules that ranking and history share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite

from aicorona_desktop.core.findings import Outcome, Reason
from aicorona_desktop.core.rows import Lane, Row, State
from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.core.settings import Order

NOT_FOR_TOOL = frozenset({Reason.BODY_PART_OTHER, Reason.NO_CHEST_CT, Reason.ONLY_LOCALIZERS})
"""Reasons by which an unsuitable study is simply not for this tool (reliability rules, section 2)."""

CANNOT_BE_SCORED = frozenset({State.FAILED, State.REFUSED, State.UNSUITABLE})


class Standing(StrEnum):
    """What of a row's lane doesn't depend on the time; `open` is ranked or overdue, `removed` is in no lane."""

    NEEDS_PERSON = "needs_person"
    OPEN = "open"
    READ = "read"
    NOT_FOR_TOOL = "not_for_tool"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a site wants its worklist; `operating_point` is the p(COVID-19) from which a study is flagged, if known."""

    order: Order = Order.COVID
    wait_cap_minutes: int = 60
    operating_point: float | None = None

    def __post_init__(self) -> None:
        if not 10 <= self.wait_cap_minutes <= 720:
            raise ValueError("the wait cap must be 10 to 720 minutes")
        if self.operating_point is not None and not 0 <= self.operating_point <= 1:
            raise ValueError("the operating point must be a probability")
        if self.order is Order.TWO_BANDS and self.operating_point is None:
            raise ValueError("two bands need an operating point")

    @property
    def wait_cap(self) -> timedelta:
        """The time after which an unread study is overdue."""
        return timedelta(minutes=self.wait_cap_minutes)


def standing_of(row: Row) -> Standing:
    """Return where a row stands, whatever the time; a row taken off the list stands where it stood before.

    A person who has saved an impression or action has dealt with a study, whatever its state, unless it was
    pinned.
    """
    if row.pinned:
        return Standing.NEEDS_PERSON
    if row.read_at is not None:
        return Standing.READ
    if not_for_tool(row):
        return Standing.NOT_FOR_TOOL
    if row.state in CANNOT_BE_SCORED or row.identity_conflict or row.unlike_training_data or row.doubtful:
        return Standing.NEEDS_PERSON
    return Standing.OPEN


def lane_of(row: Row, now: datetime, policy: Policy) -> Lane:
    """Return where a row stands now: every open study is overdue past the wait cap, scored or not."""
    standing = standing_of(row)
    if standing is not Standing.OPEN:
        return Lane(standing.value)
    return Lane.OVERDUE if now - row.received_at >= policy.wait_cap else Lane.RANKED


def not_for_tool(row: Row) -> bool:
    """Whether a study is of a kind that the tool was not made for: no chest CT, another body part, localizers.

    A conflict of identity always needs a person.
    """
    if row.identity_conflict:
        return False
    if row.state is State.UNSUITABLE:
        return any(one.outcome is Outcome.UNSUITABLE and one.reason in NOT_FOR_TOOL for one in row.findings)
    return row.state in (State.IGNORED, State.SUPERSEDED)


def finite_probabilities(row: Row) -> Triple | None:
    """Return the probabilities of a row where they can be ranked by."""
    return row.probabilities if row.probabilities is not None and all(map(isfinite, row.probabilities)) else None


def model_answer(row: Row, operating_point: float | None) -> str:
    """Return the class that stands for the model's score, "" without a score.

    With an operating point: `covid` where p(COVID-19) reaches it, else the greater of `normal` and `cp`, even
    where COVID-19 is greater than both. Without one: the greatest of the three. Of equals, the first in the
    order of `CLASSES`.
    """
    probabilities = finite_probabilities(row)
    if probabilities is None:
        return ""
    if operating_point is None:
        return CLASSES[probabilities.index(max(probabilities))]
    normal, cp, covid = probabilities
    if covid >= operating_point:
        return "covid"
    return "cp" if cp > normal else "normal"


def model_and_reader_differ(row: Row, operating_point: float | None) -> bool:
    """Whether a person's standing impression names another class than the score that stands in the row.

    Impressions without a class (`cannot_judge`, none) and rows without a score never differ. The impression is
    of the present files (late files take it off the row); a preliminary score counts as it is.

    Source: paper-spec 15, item 20; ux.md 6.
    """
    answer = model_answer(row, operating_point)
    return bool(answer) and row.impression in CLASSES and row.impression != answer
