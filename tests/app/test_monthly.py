from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aicorona_desktop.app.monthly import (
    largest_distance,
    median_interval,
    month_beside,
    month_of,
    month_page,
    page_table,
)
from aicorona_desktop.history.store import MonthRow

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)
MONTH = month_of(BEGIN)


def row(
    arrived: float = 0,
    opened: float | None = None,
    p: float | None = 0.5,
    *,
    impression: str = "",
    outcome: str = "",
    maker: str = "ACME",
) -> MonthRow:
    """A study that arrived and was opened so many minutes after the begin."""
    return MonthRow(
        BEGIN + timedelta(minutes=arrived),
        None if opened is None else BEGIN + timedelta(minutes=opened),
        "done" if p is not None else "unsuitable",
        p,
        "" if p is None else "covid" if p > 0.5 else "normal",
        "" if p is None else "normal",
        False,
        impression,
        outcome,
        maker,
        "B70f",
        1.0,
    )


def test_counts_agreement_and_errors_by_outcome() -> None:
    rows = [
        row(p=0.9, impression="covid", outcome="normal"),
        row(p=0.1, impression="covid", outcome="covid"),
        row(p=0.2, impression="normal"),
        row(p=None),
    ]

    page = month_page(MONTH, rows, (), 0.5)

    assert (page.studies, page.scored, page.flagged, page.unsuitable) == (4, 3, 1, 1)
    assert (page.judged, page.differ, page.missed, page.false_alarms) == (3, 1, 1, 1)
    assert page.agreement.value == pytest.approx(2 / 3)
    assert month_page(MONTH, rows, (), None).missed is None


def test_the_distance_of_two_distributions_is_that_of_the_library() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.beta(2, 5, 80), rng.beta(3, 5, 140)

    distance, p = largest_distance(first, second)

    assert distance == pytest.approx(stats.ks_2samp(first, second).statistic)
    assert p == pytest.approx(stats.kstwobign.sf(np.sqrt(80 * 140 / 220) * distance))


def test_the_median_lies_in_its_interval_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    held = [(lambda one: one.low <= 0.5 <= one.high)(median_interval(rng.random(25))) for _ in range(600)]

    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 600)
    assert np.isnan(median_interval(np.array([0.1, 0.2])).low)


def test_a_drift_is_told_and_chance_is_not() -> None:
    rng = np.random.default_rng(5)
    before = [row(p=float(p)) for p in rng.beta(2, 6, 300)]

    moved = month_page(MONTH, [row(p=float(p)) for p in rng.beta(6, 3, 40)], before, 0.5)
    still = month_page(MONTH, [row(p=float(p)) for p in rng.beta(2, 6, 40)], before, 0.5)
    few = month_page(MONTH, [row(p=0.9)] * 5, before, 0.5)

    assert moved.drift.is_told
    assert not still.drift.is_told
    assert not few.drift.is_told


def test_a_scanner_that_was_never_seen_is_told() -> None:
    page = month_page(MONTH, [row(maker="NEW")] * 3 + [row()] * 2, [row()] * 5, None)

    assert [(one.kind, one.value) for one in page.new_values] == [("manufacturer", "NEW")]
    assert not month_page(MONTH, [row(maker="NEW")], (), None).new_values


def test_a_flagged_study_that_overtakes_is_seen_earlier_than_in_order_of_arrival() -> None:
    rows = [row(0, 60, 0.1), row(10, 20, 0.9), row(15, 40, 0.2)]

    page = month_page(MONTH, rows, (), 0.5)

    assert (page.waits_flagged.median, page.arrival_flagged.median) == (10, 30)
    assert (page.waits_others.longest, page.arrival_others.longest) == (60, 45)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 300), st.booleans()), max_size=25))
def test_in_order_of_arrival_as_much_is_waited_in_all_as_it_was_if_everybody_was_opened(
    studies: list[tuple[int, int, bool]],
) -> None:
    rows = sorted((row(at, at + wait, 0.9 if flag else 0.1) for at, wait, flag in studies), key=lambda r: r.received_at)

    page = month_page(MONTH, rows, (), 0.5)
    was, would = ((page.waits_flagged, page.waits_others), (page.arrival_flagged, page.arrival_others))

    assert sum(one.studies for one in was) == sum(one.studies for one in would) == len(rows)
    longest_was = max([one.longest for one in was if one.studies], default=0)
    longest_would = max([one.longest for one in would if one.studies], default=0)
    assert longest_would <= longest_was + 1e-9  # first come, first served never makes the longest wait longer


def test_months_follow_one_another_and_a_page_goes_into_a_table() -> None:
    following = month_beside(MONTH, 1)

    assert following.begin == MONTH.end
    assert month_beside(following, -1) == MONTH
    assert dict(page_table(month_page(MONTH, [row()], (), 0.5)))["studies"] == 1
