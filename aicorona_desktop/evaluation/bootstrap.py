"""Resampling by subject: the unit that is drawn, as scans of one person are not independent.

Subjects are drawn with replacement within their stratum (their true class, their source) and bring all of their
rows along. A round is a vector of weights, how often each row was drawn, so that statistics of many rounds are
matrix arithmetic; paired comparisons use the same seed and so the same rounds.

Source: paper-spec 8.9.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

ROUNDS = 2000
UNDEFINED_AT_MOST = 0.01
"""With a larger share of rounds in which the statistic is undefined, the interval is not estimable."""

_WEIGHTS_AT_ONCE = 4_000_000  # 32 MB of doubles

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Weights [rounds, rows] to the statistic of each round; NaN where it is undefined."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided interval; NaN where there is none ("-" in tables)."""

    value: float
    low: float
    high: float
    method: str = ""

    @property
    def estimable(self) -> bool:
        """Whether there is an interval."""
        return not (np.isnan(self.low) or np.isnan(self.high))


def weights_of_rounds(
    subjects: Sequence[Hashable], strata: Sequence[Hashable], rounds: int = ROUNDS, seed: int = 0
) -> Iterator[NDArray[np.float64]]:
    """Yield weights [some rounds, rows] until there were `rounds` of them; the same for the same arguments.

    Args:
        subjects: who each row belongs to.
        strata: what each row's subject is drawn within; a subject with rows of several strata is of the
            stratum "these together".
        rounds: how many.
        seed: of the random numbers.

    Raises:
        ValueError: no rows, or lists of different lengths.
    """
    if not subjects or len(subjects) != len(strata):
        raise ValueError("every row needs a subject and a stratum, and there must be one")
    number_of = {subject: number for number, subject in enumerate(dict.fromkeys(subjects))}
    numbers = np.array([number_of[subject] for subject in subjects])
    groups = _groups(numbers, strata)
    generator = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS_AT_ONCE // len(subjects))
    for start in range(0, rounds, at_once):
        count = min(at_once, rounds - start)
        times = np.zeros((count, len(number_of)))
        for members in groups:
            times[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), count)
        yield times[:, numbers]


def bootstrap(
    statistic: Statistic,
    subjects: Sequence[Hashable],
    strata: Sequence[Hashable],
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return a statistic of all rows with its percentile interval over rounds drawn by subject.

    Raises:
        ValueError: no rows, or lists of different lengths.
    """
    drawn = [statistic(weights) for weights in weights_of_rounds(subjects, strata, rounds, seed)]
    value = float(statistic(np.ones((1, len(subjects))))[0])
    return percentile_interval(value, np.concatenate(drawn), level)


def percentile_interval(value: float, drawn: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Return the interval between the outer quantiles (type 7) of what the rounds gave, undefined ones left out."""
    kept = drawn[~np.isnan(drawn)]
    if kept.size == 0 or kept.size < (1 - UNDEFINED_AT_MOST) * drawn.size:
        return Interval(value, nan, nan, "bootstrap by subject")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), "bootstrap by subject")


def _groups(numbers: NDArray[np.intp], strata: Sequence[Hashable]) -> list[NDArray[np.intp]]:
    """The subjects of each stratum, in the order in which they first stand in the rows."""
    strata_of: dict[int, set[Hashable]] = {}
    for number, stratum in zip(numbers.tolist(), strata, strict=True):
        strata_of.setdefault(number, set()).add(stratum)
    groups: dict[frozenset[Hashable], list[int]] = {}
    for number, those in strata_of.items():
        groups.setdefault(frozenset(those), []).append(number)
    return [np.array(members) for members in groups.values()]
