"""The order of the worklist, and each row's reason: a pure function of the rows, the time and the site's policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.lanes import (
    CANNOT_BE_SCORED,
    NOT_FOR_TOOL,
    Policy,
    finite_probabilities,
    lane_of,
    model_and_reader_differ,
    model_answer,
    not_for_tool,
)
from aicorona_desktop.core.rows import Lane, Row
from aicorona_desktop.core.settings import Order, Settings

__all__ = [
    "NOT_FOR_TOOL",
    "TO_DO",
    "Policy",
    "lane_of",
    "model_and_reader_differ",
    "model_answer",
    "not_for_tool",
    "policy_of",
    "rank",
    "reason_for",
]

TO_DO = (Lane.NEEDS_PERSON, Lane.OVERDUE, Lane.RANKED)
"""The lanes with studies that somebody still has to look at."""

_OUTCOMES = list(Outcome)


def policy_of(settings: Settings, operating_point: float | None) -> Policy:
    """Return the policy of a site for a pack; two bands without an operating point fall back to the score."""
    impossible = settings.order is Order.TWO_BANDS and operating_point is None
    return Policy(Order.COVID if impossible else settings.order, settings.wait_cap_minutes, operating_point)


def rank(rows: Iterable[Row], now: datetime, policy: Policy) -> tuple[Row, ...]:
    """Return all rows from top to bottom, each with its lane, its rank from 1 and the reason for its place.

    Total and stable: the order of the rows that come in doesn't matter, none is left out, ties stand in order
    of arrival, then of study UID. `now` and the times of the rows are aware.

    Source: design D13; paper-spec 6 (order and ties).
    """
    lanes = {lane: _sorted(lane, rows_of, policy) for lane, rows_of in _by_lane(rows, now, policy).items()}
    to_do = sum(len(lanes[lane]) for lane in TO_DO)
    in_order = [(lane, row) for lane in Lane for row in lanes[lane]]
    return tuple(
        replace(row, lane=lane, rank=place, reason=reason_for(row, lane, (place, to_do), now, policy))
        for place, (lane, row) in enumerate(in_order, start=1)
    )


# --- order ----------------------------------------------------------------------------------------------------


def _by_lane(rows: Iterable[Row], now: datetime, policy: Policy) -> dict[Lane, list[Row]]:
    lanes: dict[Lane, list[Row]] = {lane: [] for lane in Lane}
    for row in rows:
        lanes[lane_of(row, now, policy)].append(row)
    return lanes


def _sorted(lane: Lane, rows: list[Row], policy: Policy) -> list[Row]:
    return sorted(rows, key=lambda row: (*_urgency(row, lane, policy), row.received_at, row.study_instance_uid))


def _urgency(row: Row, lane: Lane, policy: Policy) -> tuple[int, float]:
    """Return what a lane is sorted by, smallest first, before the time of arrival."""
    if lane is Lane.READ and row.read_at is not None:
        return 0, -row.read_at.timestamp()
    if lane is not Lane.RANKED or policy.order is Order.ARRIVAL:
        return 0, 0
    if policy.order is Order.TWO_BANDS:
        return (0, 0) if _is_flagged(row, policy) else (1, 0)
    scored = _normal_and_covid(row)
    if scored is None:
        return 1, 0  # without a score yet: behind those that have one, by arrival
    return 0, scored[0] if policy.order is Order.ABNORMAL_FIRST else -scored[1]


def _normal_and_covid(row: Row) -> tuple[float, float] | None:
    probabilities = finite_probabilities(row)
    return None if probabilities is None else (probabilities[0], probabilities[2])


def _is_flagged(row: Row, policy: Policy) -> bool:
    scored = _normal_and_covid(row)
    return scored is not None and policy.operating_point is not None and scored[1] >= policy.operating_point


# --- reasons --------------------------------------------------------------------------------------------------


def reason_for(row: Row, lane: Lane, rank_of: tuple[int, int], now: datetime, policy: Policy) -> str:
    """Return the sentence that says why a row stands where it stands.

    `rank_of` is its rank from 1 over all rows, and how many stand in the lanes of `TO_DO`.
    """
    waits = f"waits {_duration(_waited(row, now))}"
    if lane is Lane.OVERDUE:
        return f"Moved to Overdue: {waits}"
    if lane is Lane.RANKED:
        return f"{_standing(row, policy)}, rank {rank_of[0]} of {rank_of[1]}; {waits}"
    if lane is Lane.READ:
        return f"Read {_duration(max(now - row.read_at, timedelta()))} ago" if row.read_at else "Read"
    if lane is Lane.NOT_FOR_TOOL:
        of_kind = tuple(one for one in row.findings if one.reason in NOT_FOR_TOOL)
        return _gravest(of_kind or row.findings, "Not for this tool.")
    return _why_a_person(row)


def _standing(row: Row, policy: Policy) -> str:
    """Return what the place in the ranked lane rests on."""
    scored = _normal_and_covid(row)
    score = f"{'Preliminary score' if row.preliminary else 'Score'} {round(100 * scored[1])}" if scored else ""
    if policy.order is Order.ARRIVAL:
        return f"{score or 'No score yet'}, in order of arrival"
    if not scored:
        return f"No score yet ({row.state})"
    if policy.order is Order.ABNORMAL_FIRST:
        return f"{score}, not normal {round(100 * (1 - scored[0]))}"
    if policy.order is Order.TWO_BANDS:
        return f"{score}, {'from' if _is_flagged(row, policy) else 'below'} the operating point"
    return score


def _why_a_person(row: Row) -> str:
    if row.state in CANNOT_BE_SCORED:
        return _gravest(row.findings, Reason.SCORING_FAILED.value)
    if row.identity_conflict:
        return _gravest(row.findings, "The identity of the patient is not certain.")
    if row.unlike_training_data:
        of_it = tuple(one for one in row.findings if one.reason is Reason.UNLIKE_TRAINING_DATA)
        return _gravest(of_it, "This study is unlike the training data.")
    if row.doubtful:
        return "Doubtful: without its strongest slices the score crosses the operating point."
    return "Pinned by a person, or one could not judge it."


def _gravest(findings: tuple[Finding, ...], otherwise: str) -> str:
    """Return the sentence of the gravest finding, the first of its kind."""
    worst = max(findings, key=lambda one: _OUTCOMES.index(one.outcome), default=None)
    return otherwise if worst is None else str(worst)


def _waited(row: Row, now: datetime) -> timedelta:
    return max(now - row.received_at, timedelta())  # a clock that was set back makes nobody wait less than nothing


def _duration(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    if minutes < 180:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"
