"""A made-up RT-PCR series of the paper's size, with the best and the worst window that the paper states.

Source: paper-spec 11.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

_FIRST_DAY, _LAST_DAY = date(2020, 2, 20), date(2020, 10, 31)
_WORST, _BEST = (date(2020, 4, 29), 54, 154), (date(2020, 9, 8), 114, 158)
"""Middle of the window, subjects detected in it, subjects: 0.351 and 0.722, as stated; the rest is made up."""
_PCR_SUBJECTS, _PCR_TESTS = 2672, 6419

COLUMNS = ("subject_id", "tested_on", "result", "specimen", "admitted_on", "test_id", "eligible")


def made_up_tests(generator: np.random.Generator) -> Iterator[tuple[object, ...]]:
    """Yield the rows of rtpcr.csv: subjects by day, each with some tests, the detected ones with a positive."""
    subjects, detected = _pcr_days()
    places = [day for day, count in enumerate(subjects) for _ in range(count)]
    extra = np.bincount(generator.integers(0, len(places), _PCR_TESTS - len(places)), minlength=len(places))
    test = 0
    last = (_LAST_DAY - _FIRST_DAY).days
    seen: dict[int, int] = {}
    for number, day in enumerate(places):
        seen[day] = seen.get(day, 0) + 1
        is_detected = seen[day] <= detected[day]
        count = 1 + int(extra[number])
        positive = int(generator.integers(0, count)) if is_detected else -1
        wash = abs((_FIRST_DAY + timedelta(day) - _WORST[0]).days) < 25
        for place in range(count):
            tested = _FIRST_DAY + timedelta(min(day + 2 * place, last))
            specimen = "wash" if wash else str(generator.choice(["np", "op", "np_op"]))
            result = "pos" if place == positive else "neg"
            admitted = _FIRST_DAY + timedelta(max(0, day - 1))
            yield f"pcr-{number:04d}", tested.isoformat(), result, specimen, admitted.isoformat(), f"t{test:05d}", 1
            test += 1


def _pcr_days() -> tuple[list[int], list[int]]:
    """Return subjects and detected ones of each day, with the worst and the best window as they are stated."""
    days = np.arange((_LAST_DAY - _FIRST_DAY).days + 1)
    subjects = np.diff(np.floor(np.linspace(0, _PCR_SUBJECTS, len(days) + 1))).astype(np.int64)
    worst, best = ((middle - _FIRST_DAY).days for middle, _, _ in (_WORST, _BEST))
    for middle, (_, _, total) in ((worst, _WORST), (best, _BEST)):
        over = int(subjects[middle - 7 : middle + 8].sum()) - total
        for number in range(abs(over)):  # moved to days well outside of the window
            subjects[middle - 7 + 2 * number] -= np.sign(over)
            subjects[middle + 25 + 2 * number] += np.sign(over)
    rates = 0.56 - 0.12 * np.exp(-(((days - worst) / 22) ** 2)) + 0.10 * np.exp(-(((days - best) / 30) ** 2))
    detected = _steps(np.asarray(subjects * rates, dtype=np.float64))
    for middle, (_, found, total) in ((worst, _WORST), (best, _BEST)):
        window = slice(middle - 7, middle + 8)
        detected[window] = _steps(np.asarray(subjects[window] * (found / total), dtype=np.float64))
    return subjects.tolist(), detected.tolist()


def _steps(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return whole numbers whose running sums follow those of the shares."""
    return np.diff(np.floor(np.cumsum(shares) + 0.5), prepend=0).astype(np.int64)
