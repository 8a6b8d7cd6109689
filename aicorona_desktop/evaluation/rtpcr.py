"""The sensitivity of RT-PCR over time, among subjects known to have COVID-19.

A subject counts as detected when at least one of its tests was positive, and stands at one day: that of its first
test (or its admission). Each day's value is over the 15 days around it. Neighbouring windows share 14 days, so the
intervals hold day by day only.

Source: paper-spec 11, 13.3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from math import isnan, nan
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.intervals import proportion
from aicorona_desktop.evaluation.strict_csv import (
    Fault,
    Parse,
    TableError,
    choice,
    day,
    read_rows,
    text_cell,
    yes_or_no,
)

WINDOW_DAYS: Final = 15
FEWEST: Final = 30
OPTIMISM_ROUNDS: Final = 1000
LONGEST_DAYS: Final = 3660

Counts = NDArray[np.int64]


class Result(StrEnum):
    """What a test said."""

    POSITIVE = "pos"
    NEGATIVE = "neg"
    INCONCLUSIVE = "inc"


class Specimen(StrEnum):
    """What was tested."""

    NASOPHARYNGEAL = "np"
    OROPHARYNGEAL = "op"
    BOTH = "np_op"
    WASH = "wash"
    OTHER = "other"
    UNKNOWN = ""


class Anchor(StrEnum):
    """The day that a subject stands at. The first positive test can't be it: it depends on the outcome."""

    FIRST_TEST = "first_test"
    ADMISSION = "admission"


class Way(StrEnum):
    """How a window's value is made."""

    POOLED = "pooled"  # detected subjects / subjects of the window
    MEAN_OF_DAYS = "mean_of_days"  # the plain mean of the days that have subjects
    TEST_LEVEL = "test_level"  # positive tests / tests, at the days of the tests


class Edges(StrEnum):
    """What becomes of days without a whole window."""

    FULL = "full"  # they have no value
    TRUNCATED = "truncated"  # they have that of what there is of the window


@dataclass(frozen=True, slots=True)
class PcrTest:
    """One test of one subject."""

    subject_id: str
    tested_on: date
    result: Result
    specimen: Specimen
    admitted_on: date | None
    test_id: str
    eligible: bool  # confirmed by the composite reference, and in hospital for more than three days


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Counts a calendar day from `first` on, each [days]; days without anybody are 0.

    `subjects` stand at their anchor, with how many of them were `detected` and all the `tests_of_subjects`;
    `tests` and `positive_tests` stand at the days of the tests, inconclusive ones being tests.
    """

    first: date
    subjects: Counts
    detected: Counts
    tests_of_subjects: Counts
    tests: Counts
    positive_tests: Counts
    only_inconclusive: int = 0
    """Subjects left out because no test of theirs said anything."""

    not_eligible: int = 0
    without_anchor: int = 0

    @property
    def overall(self) -> Interval:
        """Detected subjects over all subjects, with its Jeffreys interval."""
        return proportion(int(self.detected.sum()), int(self.subjects.sum()))

    def day(self, number: int) -> date:
        """Return the date of a place in the arrays."""
        return self.first + timedelta(days=number)


@dataclass(frozen=True, slots=True)
class DayValue:
    """The value of the window around a day; NaN where too little is known. `whole`: all its days are in the series.

    `total` and `found` are subjects, or tests where those are counted.
    """

    day: date
    total: int
    found: int
    sensitivity: Interval
    tests_per_subject: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Series:
    """The values of all days, and how they were made."""

    values: tuple[DayValue, ...]
    way: Way
    edges: Edges
    fewest: int
    window_days: int

    @property
    def best(self) -> DayValue | None:
        """The day of the largest value, the earliest of equals; an upper bound, as it was picked."""
        known = self._known()
        return max(known, key=lambda value: value.sensitivity.value) if known else None

    @property
    def worst(self) -> DayValue | None:
        """The day of the smallest value, the earliest of equals."""
        known = self._known()
        return min(known, key=lambda value: value.sensitivity.value) if known else None

    def _known(self) -> list[DayValue]:
        return [value for value in self.values if not isnan(value.sensitivity.value)]


@dataclass(frozen=True, slots=True)
class Best:
    """The best day, and how much of it is the luck of having been picked."""

    day: DayValue
    first_day: date
    last_day: date
    overall: Interval
    optimism: float
    rounds: int
    seed: int

    @property
    def corrected(self) -> float:
        """The best value less its optimism."""
        return self.day.sensitivity.value - self.optimism


# --- from tests to days ------------------------------------------------------------------------------------------


def by_day(tests: Iterable[PcrTest], anchor: Anchor = Anchor.FIRST_TEST) -> Days:
    """Return the counts of each calendar day, from the first to the last that has a subject or a test.

    Raises:
        EvaluationError: no subject is left, or the days span more than ten years.
    """
    of_subject: dict[str, list[PcrTest]] = defaultdict(list)
    for test in tests:
        of_subject[test.subject_id].append(test)
    eligible = [one for one in of_subject.values() if all(test.eligible for test in one)]
    telling = [one for one in eligible if any(test.result is not Result.INCONCLUSIVE for test in one)]
    anchored = [(day, one) for one in telling if (day := _anchor_of(one, anchor)) is not None]
    if not anchored:
        raise EvaluationError("There is no eligible subject with a conclusive RT-PCR test.")
    kept = [test for _, one in anchored for test in one]
    days = [day for day, _ in anchored] + [test.tested_on for test in kept]
    first, length = min(days), (max(days) - min(days)).days + 1
    if length > LONGEST_DAYS:
        raise EvaluationError("The RT-PCR tests span more than ten years; a date must be wrong.")

    def counted(places: Iterable[tuple[date, int]]) -> Counts:
        counts = np.zeros(length, dtype=np.int64)
        for day, number in places:
            counts[(day - first).days] += number
        return counts

    return Days(
        first,
        counted((day, 1) for day, _ in anchored),
        counted((day, 1) for day, one in anchored if any(test.result is Result.POSITIVE for test in one)),
        counted((day, len(one)) for day, one in anchored),
        counted((test.tested_on, 1) for test in kept),
        counted((test.tested_on, 1) for test in kept if test.result is Result.POSITIVE),
        only_inconclusive=len(eligible) - len(telling),
        not_eligible=len(of_subject) - len(eligible),
        without_anchor=len(telling) - len(anchored),
    )


def _anchor_of(tests: list[PcrTest], anchor: Anchor) -> date | None:
    if anchor is Anchor.FIRST_TEST:
        return min(test.tested_on for test in tests)
    return min((test.admitted_on for test in tests if test.admitted_on is not None), default=None)


# --- from days to a series ---------------------------------------------------------------------------------------


def over_time(
    days: Days,
    *,
    way: Way = Way.POOLED,
    edges: Edges = Edges.FULL,
    fewest: int = FEWEST,
    window_days: int = WINDOW_DAYS,
    level: float = 0.95,
) -> Series:
    """Return the value of each day.

    Args:
        days: the counts.
        way: how a window's value is made; the mean of days has no interval.
        edges: what becomes of days without a whole window: left out, or made of what there is.
        fewest: a window with fewer subjects (or tests, where those are counted) has no value.
        window_days: the length of the window, odd.
        level: of the intervals.

    Raises:
        ValueError: the window has no middle.
    """
    if window_days < 1 or window_days % 2 == 0:
        raise ValueError("a window needs an odd number of days")
    reach = window_days // 2
    length = len(days.subjects)
    total, found = (days.tests, days.positive_tests) if way is Way.TEST_LEVEL else (days.subjects, days.detected)
    totals, founds = _window_sums(total, reach), _window_sums(found, reach)
    subjects, tests = _window_sums(days.subjects, reach), _window_sums(days.tests_of_subjects, reach)
    means = _mean_of_days(days, reach)
    values = []
    for number in range(length):
        whole = reach <= number < length - reach
        if not whole and edges is Edges.FULL:
            continue
        n, x = int(totals[number]), int(founds[number])
        pooled = proportion(x, n, level) if n >= max(fewest, 1) else Interval(nan, nan, nan, "jeffreys")
        mean = Interval(float(means[number]), nan, nan, "mean of days")
        value = mean if way is Way.MEAN_OF_DAYS and pooled.estimable else pooled
        repeats = tests[number] / subjects[number] if subjects[number] else nan
        values.append(DayValue(days.day(number), n, x, value, float(repeats), whole))
    return Series(tuple(values), way, edges, fewest, window_days)


def best_day(
    days: Days, series: Series, *, rounds: int = OPTIMISM_ROUNDS, seed: int = 0, level: float = 0.95
) -> Best | None:
    """Return the best day of a pooled series with its optimism; None where no day has a value.

    In each round every day's detected subjects are drawn anew from the value around it, and the best day of that
    series is taken: how far it lies above the best value on average is what picking adds.

    Raises:
        ValueError: the series is not a pooled one.
    """
    if series.way is not Way.POOLED:
        raise ValueError("the optimism is that of a pooled series")
    best = series.best
    if best is None:
        return None
    reach = series.window_days // 2
    subjects = _window_sums(days.subjects, reach)
    smoothed = _window_sums(days.detected, reach) / np.maximum(subjects, 1)
    reported = np.array([(one.day - days.first).days for one in series.values if not isnan(one.sensitivity.value)])
    drawn = np.random.default_rng(seed).binomial(days.subjects, smoothed, (rounds, len(smoothed)))
    bests = (_window_sums(drawn, reach)[:, reported] / subjects[reported]).max(axis=1)
    total, detected = int(days.subjects.sum()), int(days.detected.sum())
    return Best(
        best,
        max(best.day - timedelta(days=reach), days.first),
        min(best.day + timedelta(days=reach), days.day(len(days.subjects) - 1)),
        proportion(detected, total, level),
        float(bests.mean()) - best.sensitivity.value,
        rounds,
        seed,
    )


def _window_sums(counts: Counts, reach: int) -> Counts:
    """Sums over `reach` days on either side, along the last axis; of what there is at the ends."""
    length = counts.shape[-1]
    sums = np.concatenate([np.zeros((*counts.shape[:-1], 1), dtype=np.int64), np.cumsum(counts, axis=-1)], axis=-1)
    ends = np.minimum(np.arange(length) + reach + 1, length)
    starts = np.maximum(np.arange(length) - reach, 0)
    return np.asarray(sums[..., ends] - sums[..., starts])


def _mean_of_days(days: Days, reach: int) -> NDArray[np.float64]:
    """The plain mean of the shares of the days with subjects in each window; NaN without any."""
    length = len(days.subjects)
    known = days.subjects > 0
    shares = np.divide(days.detected, days.subjects, out=np.full(length, nan), where=known)
    windows = [shares[max(0, at - reach) : at + reach + 1] for at in range(length)]
    return np.array([nan if np.isnan(window).all() else np.nanmean(window) for window in windows])


# --- the file ----------------------------------------------------------------------------------------------------

_COLUMNS: Mapping[str, Parse] = {
    "subject_id": text_cell,
    "tested_on": day,
    "result": choice(Result),
    "specimen": choice(Specimen),
    "admitted_on": day,
    "test_id": text_cell,
    "eligible": yes_or_no,
}
_MAY_BE_EMPTY = frozenset({"specimen", "admitted_on"})


def read_tests(path: Path) -> tuple[PcrTest, ...]:
    """Read rtpcr.csv.

    Raises:
        EvaluationError: it can't be read, or a line is not what it must be; the sentence names the first line.
    """
    try:
        rows = read_rows(path, "rtpcr.csv", _COLUMNS, _COLUMNS.keys() - _MAY_BE_EMPTY, _MAY_BE_EMPTY)
    except TableError as error:
        raise EvaluationError(_said(error.faults[0])) from error
    tests = tuple(PcrTest(**{**values, "specimen": values["specimen"] or Specimen.UNKNOWN}) for _, values in rows)
    if len({test.test_id for test in tests}) < len(tests):
        raise EvaluationError("The table of RT-PCR tests has a test_id twice.")
    return tests


def _said(fault: Fault) -> str:
    if fault.line < 2:
        return f"The table of RT-PCR tests could not be read. {fault.sentence}"
    if fault.sentence.startswith(("subject_id", "test_id", "eligible")):
        what = "needs a subject_id, a test_id, and eligible as 0 or 1"
    else:
        what = "has a date, result or specimen amiss"
    return f"Line {fault.line} of the RT-PCR tests {what}: {fault.sentence}"
