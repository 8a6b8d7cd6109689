"""RT-PCR sensitivity over time: worked windows, gaps, edges, the best day and its optimism, the file."""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.intervals import Method, proportion
from aicorona_desktop.evaluation.rtpcr import (
    Anchor,
    Days,
    Edges,
    PcrTest,
    Result,
    Specimen,
    Way,
    best_day,
    by_day,
    over_time,
    read_tests,
)

FIRST = date(2020, 2, 20)


def counted(subjects: list[int], detected: list[int]) -> Days:
    n, x = np.array(subjects), np.array(detected)
    return Days(FIRST, n, x, 2 * n, n, x)


def values(series) -> dict[int, float]:
    return {(one.day - FIRST).days: round(one.sensitivity.value, 6) for one in series.values}


WORKED = counted([0 if day == 10 else 2 for day in range(21)], [1] * 10 + [0] + [2] * 10)


def test_windows_with_a_gap_are_the_worked_ones():
    found = values(over_time(WORKED, fewest=1))

    assert sorted(found) == [7, 8, 9, 10, 11, 12, 13]
    assert (found[7], found[10], found[13]) == (0.642857, 0.75, 0.857143)
    assert over_time(WORKED, fewest=1).best.day == FIRST + timedelta(days=13)
    assert over_time(WORKED, fewest=1).worst.day == FIRST + timedelta(days=7)


def test_pooling_and_the_mean_of_days_are_the_worked_ones():
    days = counted([10] + [1] * 14, [0] + [1] * 14)

    assert values(over_time(days, fewest=1)) == {7: 0.583333}
    mean = over_time(days, fewest=1, way=Way.MEAN_OF_DAYS)
    assert values(mean) == {7: 0.933333}
    assert not mean.values[0].sensitivity.estimable


def test_each_day_has_the_jeffreys_interval_of_its_window_and_its_tests_a_subject():
    one = over_time(WORKED, fewest=1).values[0]

    assert one.sensitivity == proportion(18, 28)
    assert (one.total, one.found, one.tests_per_subject, one.whole) == (28, 18, 2.0, True)


@pytest.mark.parametrize(("detected", "subjects"), [(148, 205), (151, 209)])
def test_the_printed_best_is_a_textbook_interval_of_about_two_hundred_subjects(detected, subjects):
    found = proportion(detected, subjects, method=Method.WALD)

    assert (found.value, found.low, found.high) == pytest.approx((0.722, 0.661, 0.783), abs=1e-3)


def test_a_window_of_few_subjects_has_no_value():
    series = over_time(WORKED)

    assert len(series.values) == 7
    assert all(math.isnan(one.sensitivity.value) for one in series.values)
    assert series.best is None
    assert best_day(WORKED, series) is None


def test_at_the_edges_what_there_is_of_a_window_may_be_shown():
    series = over_time(WORKED, fewest=1, edges=Edges.TRUNCATED)

    found = values(series)
    assert len(found) == 21
    assert found[0] == 0.5  # days 0 to 7
    assert found[20] == 1.0
    assert [one.whole for one in series.values] == [False] * 7 + [True] * 7 + [False] * 7


def test_of_equal_days_the_earliest_is_the_best():
    assert over_time(counted([3] * 30, [2] * 30), fewest=1).best.day == FIRST + timedelta(days=7)


def test_a_window_needs_a_middle():
    with pytest.raises(ValueError, match="odd"):
        over_time(WORKED, window_days=14)


# --- the optimism of the best day --------------------------------------------------------------------------------


def spread_evenly(length: int, share: float, random: np.random.Generator) -> Days:
    subjects = np.bincount(np.arange(2672) * length // 2672, minlength=length)
    detected = random.binomial(subjects, share)
    return counted(subjects.tolist(), detected.tolist())


@pytest.mark.parametrize(
    ("length", "share", "expected"),
    [(275, 0.60, 0.697), (214, 0.60, 0.681), (275, 0.55, 0.649), (214, 0.55, 0.633)],
)
def test_with_a_constant_sensitivity_the_best_day_flatters_as_worked_out(length, share, expected):
    random = np.random.default_rng(1)

    bests = [over_time(spread_evenly(length, share, random)).best.sensitivity.value for _ in range(25)]

    assert np.mean(bests) == pytest.approx(expected, abs=0.012)


def test_the_corrected_best_is_nearer_to_the_truth_and_the_same_for_the_same_seed():
    random = np.random.default_rng(2)
    errors, corrected = [], []
    for _ in range(8):
        days = spread_evenly(275, 0.6, random)
        best = best_day(days, over_time(days), rounds=200, seed=5)
        errors.append(best.day.sensitivity.value - 0.6)
        corrected.append(best.corrected - 0.6)
        assert best == best_day(days, over_time(days), rounds=200, seed=5)

    assert best.optimism > 0
    assert abs(np.mean(corrected)) < 0.6 * abs(np.mean(errors))
    assert best.overall.value == pytest.approx(0.6, abs=0.03)
    assert (best.last_day - best.first_day).days == 14


def test_the_optimism_is_of_pooled_series_only():
    with pytest.raises(ValueError, match="pooled"):
        best_day(WORKED, over_time(WORKED, way=Way.TEST_LEVEL, fewest=1))


# --- from tests to days ------------------------------------------------------------------------------------------


def made(subject: str, day: int, result: Result, *, admitted: int | None = None, eligible: bool = True) -> PcrTest:
    on = FIRST + timedelta(days=day)
    arrived = None if admitted is None else FIRST + timedelta(days=admitted)
    return PcrTest(subject, on, result, Specimen.NASOPHARYNGEAL, arrived, f"{subject}-{day}-{result}", eligible)


TESTS = [
    made("a", 0, Result.NEGATIVE, admitted=2),
    made("a", 9, Result.POSITIVE, admitted=2),  # any positive test counts, whenever it was
    made("b", 3, Result.NEGATIVE, admitted=3),
    made("b", 4, Result.INCONCLUSIVE),
    made("c", 3, Result.INCONCLUSIVE),
    made("d", 3, Result.POSITIVE, eligible=False),
]


def test_a_subject_stands_at_its_first_test_and_is_detected_by_any():
    days = by_day(TESTS)

    assert days.first == FIRST
    assert days.subjects.tolist() == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert days.detected.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert days.tests_of_subjects.tolist() == [2, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    assert days.tests.tolist() == [1, 0, 0, 1, 1, 0, 0, 0, 0, 1]
    assert days.positive_tests.tolist() == [0] * 9 + [1]
    assert (days.only_inconclusive, days.not_eligible, days.without_anchor) == (1, 1, 0)
    assert days.overall == proportion(1, 2)


def test_a_subject_may_stand_at_its_admission():
    days = by_day([*TESTS, made("e", 5, Result.POSITIVE)], Anchor.ADMISSION)

    assert days.subjects.tolist()[:4] == [0, 0, 1, 1]
    assert days.without_anchor == 1


def test_tests_can_be_counted_instead_of_subjects():
    days = by_day(TESTS)

    (one,) = over_time(days, way=Way.TEST_LEVEL, fewest=1, window_days=9).values[:1]

    assert one.day == FIRST + timedelta(days=4)
    assert (one.found, one.total) == (0, 3)


def test_without_a_conclusive_test_there_is_nothing_to_say():
    with pytest.raises(EvaluationError, match="no eligible subject"):
        by_day([TESTS[4], TESTS[5]])
    with pytest.raises(EvaluationError, match="ten years"):
        by_day([TESTS[0], made("z", 5000, Result.POSITIVE)])


# --- the file ----------------------------------------------------------------------------------------------------

HEADER = "subject_id,tested_on,result,specimen,admitted_on,test_id,eligible\n"


def test_a_table_of_tests_is_read(tmp_path: Path):
    place = tmp_path / "rtpcr.csv"
    place.write_text(HEADER + "s1,2020-03-01,pos,np,2020-02-27,t1,1\ns1,2020-03-02,inc,,,t2,1\n")

    first, second = read_tests(place)

    assert first == PcrTest(
        "s1", date(2020, 3, 1), Result.POSITIVE, Specimen.NASOPHARYNGEAL, date(2020, 2, 27), "t1", True
    )
    assert (second.specimen, second.admitted_on) == (Specimen.UNKNOWN, None)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("s1,2020-13-01,pos,np,,t1,1", "Line 2 .* amiss"),
        ("s1,2020-03-01,maybe,np,,t1,1", "Line 2 .* amiss"),
        (",2020-03-01,pos,np,,t1,1", "Line 2 .* subject_id"),
        ("s1,2020-03-01,pos,np,,t1,yes", "eligible as 0 or 1"),
        ("s1,2020-03-01,pos,np,,t1,1\ns2,2020-03-01,pos,np,,t1,1", "twice"),
    ],
)
def test_a_line_that_is_not_right_is_named_without_its_subject(tmp_path: Path, line, sentence):
    place = tmp_path / "rtpcr.csv"
    place.write_text(HEADER + line + "\n")

    with pytest.raises(EvaluationError, match=sentence) as failed:
        read_tests(place)
    assert "s1" not in str(failed.value)


def test_a_table_that_is_not_there_is_said_to_be_unreadable(tmp_path: Path):
    with pytest.raises(EvaluationError, match="could not be read"):
        read_tests(tmp_path / "rtpcr.csv")
