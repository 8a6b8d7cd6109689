"""Intervals of figures that join sensitivity and specificity: F1, kappa, accuracy and others.

Sensitivity and false positive rate are independent Beta variables, positives and negatives are held at their observed
numbers, as test sets are put together by class. Where the distribution function of a figure is one integral, it is
computed; elsewhere draws with a fixed seed stand in. The reported value is the plain figure, never the middle of its
posterior.

Source: paper-spec 8.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import isnan, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betainc, betaincinv

from aicorona_desktop.evaluation import metrics
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.metrics import Counts

JEFFREYS_PRIOR: Final = 0.5
FLAT_PRIOR: Final = 1.0
DRAWS: Final = 200_000

_NODES = 400  # differs from 4000 nodes by 1e-6 at most
_NAME_OF_PRIOR = {JEFFREYS_PRIOR: "jeffreys posterior", FLAT_PRIOR: "flat posterior"}

Floats = NDArray[np.float64]
OfRates = Callable[[Floats, Floats], Floats]
"""From draws of sensitivity and false positive rate to draws of a figure."""


@dataclass(frozen=True, slots=True)
class Marginal:
    """The posterior of one figure of a 2 x 2 table, through its distribution function."""

    counts: Counts
    prior: float
    largest_sensitivity: Callable[[float, Floats, Counts], Floats]
    """From a value v and false positive rates f: the sensitivity at which the figure is v; below it, it is less."""

    lowest: float

    def distribution(self, value: float) -> float:
        """Return the probability that the figure is at most `value`."""
        counts = self.counts
        falses = _false_positive_rates(counts.false_positives + self.prior, counts.true_negatives + self.prior)
        ends = np.clip(self.largest_sensitivity(value, falses, counts), 0, 1)
        below = betainc(counts.true_positives + self.prior, counts.false_negatives + self.prior, ends)
        return float(_nodes()[1] @ below)

    def quantile(self, share: float) -> float:
        """Return the value that the figure stays below with the probability `share`, 0 to 1."""
        return float(brentq(lambda value: self.distribution(value) - share, self.lowest, 1.0, xtol=1e-10))


# --- by one integral ---------------------------------------------------------------------------------------------


def f1_interval(counts: Counts, level: float = 0.95, prior: float = JEFFREYS_PRIOR) -> Interval:
    """Return F1 with its interval; none without positives."""
    posterior = f1_posterior(counts, prior) if counts.positives else None
    return _interval(metrics.f1(counts), posterior, level, prior)


def kappa_interval(counts: Counts, level: float = 0.95, prior: float = JEFFREYS_PRIOR) -> Interval:
    """Return Cohen's kappa with its interval; none without positives or negatives."""
    posterior = kappa_posterior(counts, prior) if _has_both(counts) else None
    return _interval(metrics.kappa(counts), posterior, level, prior)


def harmonic_mean_interval(counts: Counts, level: float = 0.95, prior: float = JEFFREYS_PRIOR) -> Interval:
    """Return the harmonic mean of sensitivity and specificity with its interval; none without both."""
    posterior = harmonic_mean_posterior(counts, prior) if _has_both(counts) else None
    return _interval(metrics.harmonic_mean(counts), posterior, level, prior)


def accuracy_interval(counts: Counts, level: float = 0.95, prior: float = JEFFREYS_PRIOR) -> Interval:
    """Return the accuracy with its interval; that of the specificity where there are no positives."""
    if not counts.positives:  # the same share, told by the other class
        counts = Counts(counts.true_negatives, counts.false_positives, 0, 0)
    posterior = accuracy_posterior(counts, prior) if counts.total else None
    return _interval(metrics.accuracy(counts), posterior, level, prior)


def f1_posterior(counts: Counts, prior: float = JEFFREYS_PRIOR) -> Marginal:
    """Return the posterior of F1; there must be positives."""
    return Marginal(counts, prior, _sensitivity_of_f1, 0.0)


def kappa_posterior(counts: Counts, prior: float = JEFFREYS_PRIOR) -> Marginal:
    """Return the posterior of Cohen's kappa; there must be positives and negatives."""
    p, n = counts.positives, counts.negatives
    lowest = -2 * p * n / (p * p + n * n)  # every call wrong; further down the formula below would change its sign
    return Marginal(counts, prior, _sensitivity_of_kappa, lowest)


def harmonic_mean_posterior(counts: Counts, prior: float = JEFFREYS_PRIOR) -> Marginal:
    """Return the posterior of the harmonic mean of sensitivity and specificity; both must be defined."""
    return Marginal(counts, prior, _sensitivity_of_harmonic_mean, 0.0)


def accuracy_posterior(counts: Counts, prior: float = JEFFREYS_PRIOR) -> Marginal:
    """Return the posterior of the accuracy; there must be positives."""
    return Marginal(counts, prior, _sensitivity_of_accuracy, 0.0)


def _sensitivity_of_f1(value: float, falses: Floats, counts: Counts) -> Floats:
    positives, negatives = counts.positives, counts.negatives
    return value * (positives + falses * negatives) / ((2 - value) * positives)


def _sensitivity_of_kappa(value: float, falses: Floats, counts: Counts) -> Floats:
    p, n = counts.positives, counts.negatives
    above = 2 * p * n * falses + value * (n * n * falses + p * p + p * n * (1 - falses))
    return above / (2 * p * n - value * p * (n - p))


def _sensitivity_of_harmonic_mean(value: float, falses: Floats, _: Counts) -> Floats:
    room = 2 * (1 - falses) - value
    reachable = room > 0  # else this specificity never allows so much
    return np.where(reachable, value * (1 - falses) / np.where(reachable, room, 1.0), 1.0)


def _sensitivity_of_accuracy(value: float, falses: Floats, counts: Counts) -> Floats:
    return (value * counts.total - counts.negatives * (1 - falses)) / counts.positives


def _interval(value: float, posterior: Marginal | None, level: float, prior: float) -> Interval:
    if posterior is None or isnan(value):
        return Interval(value, nan, nan, _name(prior))
    low, high = posterior.quantile((1 - level) / 2), posterior.quantile((1 + level) / 2)
    if prior == JEFFREYS_PRIOR:  # the rule of the ends that its proportions have too
        low, high = (value if value == posterior.lowest else low), (1.0 if value == 1 else high)
    return Interval(value, low, high, _name(prior))


def _name(prior: float) -> str:
    return _NAME_OF_PRIOR.get(prior, f"posterior, prior {prior:g}")


def _has_both(counts: Counts) -> bool:
    return bool(counts.positives and counts.negatives)


@lru_cache(maxsize=1)
def _nodes() -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights over 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2


@lru_cache(maxsize=16)  # every step of a root search asks for the same
def _false_positive_rates(first: float, second: float) -> Floats:
    """The quantiles of Beta(first, second) at the nodes."""
    rates = np.asarray(betaincinv(first, second, _nodes()[0]), dtype=np.float64)
    rates.flags.writeable = False
    return rates


# --- by draws ----------------------------------------------------------------------------------------------------


def drawn_interval(
    counts: Counts,
    value: float,
    figure: OfRates,
    level: float = 0.95,
    *,
    prior: float = JEFFREYS_PRIOR,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Return the interval of any figure of sensitivity and false positive rate, from seeded draws (about 2e-4).

    Args:
        counts: what the two rates are known from; without positives or negatives there is no interval.
        value: the plain figure.
        figure: what to compute of the draws, [draws] each.
        level: two-sided, equal-tailed.
        prior: added to each count of the table.
        draws: how many.
        seed: of the draws.
    """
    if not _has_both(counts):
        return Interval(value, nan, nan, drawn_name(prior))
    return _of_draws(value, figure(*_drawn_rates(counts, prior, draws, seed)), level, prior)


def random_class_sizes_interval(
    metric: Callable[[Floats, Floats, Floats, Floats], Floats],
    counts: Counts,
    value: float,
    level: float = 0.95,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Return the interval where the class sizes are chance too: shares of the table ~ Dirichlet(counts + 1/2).

    Args:
        metric: of the shares of true positives, false negatives, false positives and true negatives.
        counts: the table.
        value: the plain figure.
        level: two-sided, equal-tailed.
        draws: how many.
        seed: of the draws.
    """
    cells = (counts.true_positives, counts.false_negatives, counts.false_positives, counts.true_negatives)
    shares = np.random.default_rng(seed).dirichlet(np.array(cells) + JEFFREYS_PRIOR, draws)
    return _of_draws(value, metric(shares[:, 0], shares[:, 1], shares[:, 2], shares[:, 3]), level)


def table_accuracy_interval(table: NDArray[np.int64], level: float = 0.95, seed: int = 0) -> Interval:
    """Return the accuracy of a table [truth, call] of several classes; none where a class has no row."""
    value = metrics.table_accuracy(table)
    cells = _drawn_cells(table, seed)
    return _none(value) if cells is None else _of_draws(value, _traces(cells) / table.sum(), level)


def table_kappa_interval(table: NDArray[np.int64], level: float = 0.95, seed: int = 0) -> Interval:
    """Return Cohen's kappa of a table [truth, call] of several classes; none where a class has no row."""
    value = metrics.table_kappa(table)
    cells = _drawn_cells(table, seed)
    if cells is None:
        return _none(value)
    total = float(table.sum())
    by_chance = (cells.sum(axis=1) * cells.sum(axis=2)).sum(axis=1) / total**2
    return _of_draws(value, (_traces(cells) / total - by_chance) / (1 - by_chance), level)


@lru_cache(maxsize=1)  # all figures of one table come from the same draws
def _drawn_rates(counts: Counts, prior: float, draws: int, seed: int) -> tuple[Floats, Floats]:
    """Sensitivities and false positive rates."""
    generator = np.random.default_rng(seed)
    caught = generator.beta(counts.true_positives + prior, counts.false_negatives + prior, draws)
    falses = generator.beta(counts.false_positives + prior, counts.true_negatives + prior, draws)
    for rates in (caught, falses):
        rates.flags.writeable = False
    return caught, falses


def _drawn_cells(table: NDArray[np.int64], seed: int, draws: int = DRAWS // 4) -> Floats | None:
    """Expected tables [draws, truth, call]: each true class keeps its rows, its calls ~ Dirichlet(row + 1/2)."""
    rows = table.sum(axis=1)
    if not rows.all():
        return None
    generator = np.random.default_rng(seed)
    return np.stack([generator.dirichlet(row + JEFFREYS_PRIOR, draws) * row.sum() for row in table], axis=1)


def _traces(cells: Floats) -> Floats:
    return np.asarray(np.trace(cells, axis1=1, axis2=2), dtype=np.float64)


def drawn_name(prior: float = JEFFREYS_PRIOR) -> str:
    """Return the method of an interval from draws."""
    return f"{_name(prior)}, drawn"


def _of_draws(value: float, drawn: Floats, level: float, prior: float = JEFFREYS_PRIOR) -> Interval:
    """The quantiles of the draws, wide enough for the plain figure where that is at its limit, as in LR+ = inf."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, min(float(low), value), max(float(high), value), drawn_name(prior))


def _none(value: float) -> Interval:
    return Interval(value, nan, nan, drawn_name())
