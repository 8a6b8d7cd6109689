"""All figures of one 2 x 2 table, each with its interval: what a row of a table, a page or `metrics` shows.

Source: paper-spec 7.1, 8.1, 8.2.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import isnan, nan
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.evaluation import metrics
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.intervals import Method, proportion
from aicorona_desktop.evaluation.metrics import Counts
from aicorona_desktop.evaluation.posteriors import (
    FLAT_PRIOR,
    JEFFREYS_PRIOR,
    OfRates,
    accuracy_interval,
    drawn_interval,
    drawn_name,
    f1_interval,
    harmonic_mean_interval,
    kappa_interval,
)

Floats = NDArray[np.float64]

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "sensitivity": "Sensitivity",
        "specificity": "Specificity",
        "f1": "F1",
        "hm_se_sp": "Harmonic mean of sensitivity and specificity",
        "kappa": "Cohen's kappa",
        "accuracy": "Accuracy",
        "balanced_accuracy": "Balanced accuracy",
        "youden_j": "Youden's J",
        "ppv": "Positive predictive value",
        "npv": "Negative predictive value",
        "lr_plus": "LR+",
        "lr_minus": "LR-",
        "mcc": "Matthews' correlation",
    }
)
"""The figures of a summary by their names in files, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A table and its figures, by the names of `TITLES`; NaN where one is undefined."""

    counts: Counts
    level: float
    prevalence: float | None
    """That the predictive values are for; None: that of these rows."""

    figures: Mapping[str, Interval]

    def __getitem__(self, name: str) -> Interval:
        return self.figures[name]


def summary(
    counts: Counts,
    *,
    level: float = 0.95,
    method: Method = Method.JEFFREYS,
    prevalence: float | None = None,
    only: Collection[str] = tuple(TITLES),
) -> Summary:
    """Return the figures of a table with their intervals.

    Args:
        counts: the table.
        level: of the intervals, two-sided.
        method: of the proportions. The flat prior goes for the joint figures too; the methods that are for proportions
            only (Wilson, Clopper-Pearson) leave those at Jeffreys' prior, as each interval's `method` says.
        prevalence: what the predictive values are for; None: as in these rows, which is right only where positives
            and negatives were not put together by class.
        only: the figures that are wanted, by the names of `TITLES`.
    """
    wish = _Wish(counts, level, method, prevalence)
    return Summary(
        counts, level, prevalence, MappingProxyType({name: _FIGURES[name](wish) for name in TITLES if name in only})
    )


def as_json(interval: Interval) -> dict[str, float | str | None]:
    """Return an interval as JSON holds it: null where a number is undefined or infinite."""
    numbers = {"value": interval.value, "low": interval.low, "high": interval.high}
    known = {name: number if np.isfinite(number) else None for name, number in numbers.items()}
    return {**known, "method": interval.method}


@dataclass(frozen=True, slots=True)
class _Wish:
    """What figures are to be made of, and how."""

    counts: Counts
    level: float
    method: Method
    prevalence: float | None

    @property
    def prior(self) -> float:
        return FLAT_PRIOR if self.method is Method.FLAT else JEFFREYS_PRIOR

    def share(self, successes: int, total: int) -> Interval:
        return proportion(successes, total, self.level, self.method)

    def joint(self, interval: Callable[[Counts, float, float], Interval]) -> Interval:
        return interval(self.counts, self.level, self.prior)

    def drawn(self, value: float, figure: OfRates) -> Interval:
        if isnan(value):
            return Interval(nan, nan, nan, drawn_name(self.prior))
        return drawn_interval(self.counts, value, figure, self.level, prior=self.prior)


def _accuracy(wish: _Wish) -> Interval:
    if wish.method in (Method.JEFFREYS, Method.FLAT):
        return wish.joint(accuracy_interval)
    counts = wish.counts
    return wish.share(counts.true_positives + counts.true_negatives, counts.total)


def _positive_predictive_value(wish: _Wish) -> Interval:
    counts, share = wish.counts, wish.prevalence
    if share is None:
        return wish.share(counts.true_positives, counts.true_positives + counts.false_positives)
    value = metrics.positive_predictive_value(counts, share)
    return wish.drawn(value, lambda se, f: se * share / (se * share + f * (1 - share)))


def _negative_predictive_value(wish: _Wish) -> Interval:
    counts, share = wish.counts, wish.prevalence
    if share is None:
        return wish.share(counts.true_negatives, counts.true_negatives + counts.false_negatives)
    value = metrics.negative_predictive_value(counts, share)
    return wish.drawn(value, lambda se, f: (1 - f) * (1 - share) / ((1 - f) * (1 - share) + (1 - se) * share))


def _correlation(caught: Floats, falses: Floats, counts: Counts) -> Floats:
    """Matthews' correlation of a table with these rates and the observed class sizes."""
    positives, negatives = counts.positives, counts.negatives
    called = caught * positives + falses * negatives
    spread = np.sqrt(called * (counts.total - called))
    return np.asarray((caught - falses) * np.sqrt(positives * negatives) / spread, dtype=np.float64)


_FIGURES: Mapping[str, Callable[[_Wish], Interval]] = {
    "sensitivity": lambda wish: wish.share(wish.counts.true_positives, wish.counts.positives),
    "specificity": lambda wish: wish.share(wish.counts.true_negatives, wish.counts.negatives),
    "f1": lambda wish: wish.joint(f1_interval),
    "hm_se_sp": lambda wish: wish.joint(harmonic_mean_interval),
    "kappa": lambda wish: wish.joint(kappa_interval),
    "accuracy": _accuracy,
    "balanced_accuracy": lambda wish: wish.drawn(
        metrics.balanced_accuracy(wish.counts), lambda se, f: (se + 1 - f) / 2
    ),
    "youden_j": lambda wish: wish.drawn(metrics.youden_j(wish.counts), lambda se, f: se - f),
    "ppv": _positive_predictive_value,
    "npv": _negative_predictive_value,
    "lr_plus": lambda wish: wish.drawn(metrics.likelihood_ratios(wish.counts)[0], lambda se, f: se / f),
    "lr_minus": lambda wish: wish.drawn(metrics.likelihood_ratios(wish.counts)[1], lambda se, f: (1 - se) / (1 - f)),
    "mcc": lambda wish: wish.drawn(
        metrics.matthews_correlation(wish.counts), lambda se, f: _correlation(se, f, wish.counts)
    ),
}
