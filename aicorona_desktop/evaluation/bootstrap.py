"""Resampling by subject: the unit that is drawn, as scans of one person are not independent.

Subjects are drawn with replacement within their stratum (their true class, their source) and bring all of their
rows along. A round is a vector of weights, how often each row was drawn, so that statistics of many rounds are
matrix arithmetic; paired comparisons use the same seed and so the same rounds.

Source: paper-spec 8.9.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.evaluation.metrics import Counts, weighted_auc

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


@dataclass(frozen=True, slots=True)
class Resampled:
    """A statistic over the rounds: its interval, its spread, and what has to be known to do it again.

    `drawn` [rounds] is NaN in rounds in which the statistic is undefined; `undefined` counts them.
    """

    interval: Interval
    drawn: NDArray[np.float64]
    seed: int

    @property
    def rounds(self) -> int:
        """How many there were."""
        return len(self.drawn)

    @property
    def undefined(self) -> int:
        """How many of them gave no answer and were dropped."""
        return int(np.isnan(self.drawn).sum())

    @property
    def standard_deviation(self) -> float:
        """The spread over the rounds that gave an answer; NaN with fewer than two."""
        kept = self.drawn[~np.isnan(self.drawn)]
        return float(kept.std(ddof=1)) if kept.size > 1 else nan

    def design_effect(self, standard_error: float) -> float:
        """Return how many times the variance is that of independent rows, whose standard error is given.

        Several scans of one person know less than as many scans of different ones: tables show it above 1.1.
        """
        return (self.standard_deviation / standard_error) ** 2 if standard_error > 0 else nan


def resample(
    statistics: Mapping[str, Statistic],
    subjects: Sequence[Hashable],
    strata: Sequence[Hashable],
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Resampled]:
    """Return several statistics of the same rows over the same rounds, drawn by subject.

    Raises:
        ValueError: no rows, or lists of different lengths.
    """
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in statistics}
    for weights in weights_of_rounds(subjects, strata, rounds, seed):
        for name, statistic in statistics.items():
            parts[name].append(statistic(weights))
    once = np.ones((1, len(subjects)))
    found = {}
    for name, statistic in statistics.items():
        drawn = np.concatenate(parts[name])
        found[name] = Resampled(percentile_interval(float(statistic(once)[0]), drawn, level), drawn, seed)
    return found


def difference_of(first: Resampled, second: Resampled, level: float = 0.95) -> Resampled:
    """Return the first less the second, round by round: both must come from the same rows, rounds and seed.

    Raises:
        ValueError: they do not.
    """
    if first.seed != second.seed or first.rounds != second.rounds:
        raise ValueError("a paired difference needs the same rounds")
    drawn = first.drawn - second.drawn
    value = first.interval.value - second.interval.value
    return Resampled(percentile_interval(value, drawn, level), drawn, first.seed)


def of_counts(metric: Callable[[Counts], float], truth: NDArray[np.bool_], calls: NDArray[np.bool_]) -> Statistic:
    """Return the statistic that a metric of a 2 x 2 table is, for calls and truth of the rows, both bool [rows]."""
    cells = np.stack([truth & calls, truth & ~calls, ~truth & calls, ~truth & ~calls], axis=1).astype(np.float64)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        tables = np.rint(weights @ cells).astype(np.int64).tolist()
        return np.array([metric(Counts(*table)) for table in tables])

    return statistic


def of_scores(scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> Statistic:
    """Return the AUC as a statistic of the rows with these scores and truth, both [rows]."""
    return lambda weights: weighted_auc(scores, truth, weights)


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
    found = resample({"": statistic}, subjects, strata, rounds=rounds, seed=seed, level=level)
    return found[""].interval


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
