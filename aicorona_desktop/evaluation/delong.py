"""The spread of an AUC, and of the difference of two, after DeLong.

Source: paper-spec 8.3; DeLong, DeLong and Clarke-Pearson 1988.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, ndtri

from aicorona_desktop.evaluation.bootstrap import Interval


@dataclass(frozen=True, slots=True)
class Area:
    """An AUC with its variance, and what each row adds to it.

    `of_positives` [positives] is the share of the negatives that each positive lies above; `of_negatives` [negatives]
    the share of the positives that lie above each negative; equal scores count half.
    """

    value: float
    variance: float
    of_positives: NDArray[np.float64]
    of_negatives: NDArray[np.float64]

    @property
    def standard_error(self) -> float:
        """The root of the variance; NaN with fewer than two positives or negatives."""
        return sqrt(self.variance)


@dataclass(frozen=True, slots=True)
class AreaDifference:
    """The first AUC less the second, its standard error and interval, and the two-sided test that it is 0."""

    difference: Interval
    standard_error: float
    z: float
    p: float


def area(scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> Area:
    """Return the AUC of scores [rows] against the truth [rows]; its variance is NaN with fewer than two of a kind.

    Raises:
        ValueError: the shapes differ, or a score is not a number.
    """
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.bool_)
    if values.ndim != 1 or values.shape != positive.shape:
        raise ValueError(f"expected one score and one truth a row, got {values.shape} and {positive.shape}")
    if np.isnan(values).any():
        raise ValueError("a score is not a number")
    above, below = values[positive], values[~positive]
    if not above.size or not below.size:
        return Area(nan, nan, np.full(above.size, nan), np.full(below.size, nan))
    of_positives = _share_below(above, below)
    of_negatives = 1 - _share_below(below, above)
    return Area(
        float(of_positives.mean()), _covariance(of_positives, of_positives, of_negatives, of_negatives),
        of_positives, of_negatives,
    )  # fmt: skip


def auc_interval(
    scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_], level: float = 0.95, *, wald: bool = False
) -> Interval:
    """Return the AUC with its interval on the scale of logits, or the plain one cut at 0 and 1 for comparison.

    No interval where the AUC is 0 or 1, or with fewer than two positives or negatives: ask the bootstrap.

    Raises:
        ValueError: the shapes differ, or a score is not a number.
    """
    found = area(scores, truth)
    name = "delong, wald" if wald else "delong, logit"
    error = found.standard_error
    if not 0 < found.value < 1 or np.isnan(error):
        return Interval(found.value, nan, nan, name)
    z = float(ndtri((1 + level) / 2))
    if wald:
        return Interval(found.value, max(0.0, found.value - z * error), min(1.0, found.value + z * error), name)
    half = z * error / (found.value * (1 - found.value))
    middle = float(logit(found.value))
    return Interval(found.value, float(expit(middle - half)), float(expit(middle + half)), name)


def covariance(first: Area, second: Area) -> float:
    """Return the covariance of two AUCs of the same rows; NaN with fewer than two positives or negatives.

    Raises:
        ValueError: they are not of the same numbers of rows.
    """
    if first.of_positives.shape != second.of_positives.shape or first.of_negatives.shape != second.of_negatives.shape:
        raise ValueError("paired areas need the same rows")
    return _covariance(first.of_positives, second.of_positives, first.of_negatives, second.of_negatives)


def compare_paired(first: Area, second: Area, level: float = 0.95) -> AreaDifference:
    """Compare two scores of the same rows, given in the same order.

    Raises:
        ValueError: they are not of the same numbers of rows.
    """
    variance = first.variance + second.variance - 2 * covariance(first, second)
    return _compared(first, second, variance, level, "delong, paired")


def compare_unpaired(first: Area, second: Area, level: float = 0.95) -> AreaDifference:
    """Compare the AUCs of different rows."""
    return _compared(first, second, first.variance + second.variance, level, "delong, unpaired")


def _compared(first: Area, second: Area, variance: float, level: float, method: str) -> AreaDifference:
    difference = first.value - second.value
    error = sqrt(max(variance, 0.0)) if not np.isnan(variance) else nan  # rounding may leave less than nothing
    if np.isnan(error) or error < 1e-12:
        # The same order of all rows: no difference, and none to be expected. Without spread nothing else is known.
        same = difference == 0 and not np.isnan(error)
        return AreaDifference(Interval(difference, nan, nan, method), error, 0.0 if same else nan, 1.0 if same else nan)
    z, reach = difference / error, float(ndtri((1 + level) / 2)) * error
    interval = Interval(difference, max(-1.0, difference - reach), min(1.0, difference + reach), method)
    return AreaDifference(interval, error, z, float(2 * ndtr(-abs(z))))


def _share_below(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How large a share of the others lies below each value, equal ones counting half."""
    ordered = np.sort(others)
    places = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(places / (2 * len(others)), dtype=np.float64)


def _covariance(
    positives: NDArray[np.float64],
    other_positives: NDArray[np.float64],
    negatives: NDArray[np.float64],
    other_negatives: NDArray[np.float64],
) -> float:
    if min(len(positives), len(negatives)) < 2:
        return nan
    return _mean_covariance(positives, other_positives) + _mean_covariance(negatives, other_negatives)


def _mean_covariance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The sample covariance (divisor n - 1) over n."""
    return float((one - one.mean()) @ (other - other.mean())) / (len(one) - 1) / len(one)
