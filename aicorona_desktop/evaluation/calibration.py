"""Whether probabilities mean what they say, and the temperature that makes them.

Source: paper-spec 13.3 (logits after the pack's temperature); Guo and others 2017 for temperature and ECE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.intervals import proportion
from aicorona_desktop.evaluation.metrics import log_probabilities

BINS = 10
LOWEST_TEMPERATURE = 0.05
HIGHEST_TEMPERATURE = 20.0


@dataclass(frozen=True, slots=True)
class Temperature:
    """What logits are divided by, and the mean negative log-likelihood before and after."""

    value: float
    loss_before: float
    loss_after: float
    at_limit: bool  # then more would have helped, which says that something else is wrong


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows whose score lies in one part of 0 to 1: how many, their mean score, the share that is positive."""

    rows: int
    mean_score: float
    share_positive: float

    @property
    def positives(self) -> int:
        """How many are positive."""
        return round(self.share_positive * self.rows)

    def share(self, level: float = 0.95) -> Interval:
        """Return the share that is positive with its Jeffreys interval."""
        return proportion(self.positives, self.rows, level)


def log_loss(logits: NDArray[np.floating[Any]], possible: Sequence[Sequence[int]], temperature: float = 1.0) -> float:
    """Return the mean negative log of the probability that is on the possible classes.

    Args:
        logits: [rows, classes].
        possible: the classes that may be right, of each row: one, or several where only that much is known.
        temperature: what logits are divided by.

    Raises:
        ValueError: no rows, or another number of them.
    """
    allowed = _allowed(logits, possible)
    return _loss(np.asarray(logits, dtype=np.float64), allowed, temperature)


def fit_temperature(logits: NDArray[np.floating[Any]], possible: Sequence[Sequence[int]]) -> Temperature:
    """Return the one temperature, 0.05 to 20, that makes the negative log-likelihood smallest.

    Args:
        logits: [rows, classes].
        possible: as in `log_loss`.

    Raises:
        EvaluationError: logits are not finite, or fewer than two rows know their class.
        ValueError: no rows, or another number of them.
    """
    values = np.asarray(logits, dtype=np.float64)
    allowed = _allowed(values, possible)
    if not np.isfinite(values).all():
        raise EvaluationError("The model's answers are not finite; no temperature can be fitted.")
    if (~allowed.all(axis=1)).sum() < 2:
        raise EvaluationError("A temperature needs at least two rows whose class is known.")
    found = minimize_scalar(
        lambda at: _loss(values, allowed, exp(at)),
        bounds=(log(LOWEST_TEMPERATURE), log(HIGHEST_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    temperature, before = exp(float(found.x)), _loss(values, allowed, 1.0)
    after = _loss(values, allowed, temperature)
    at_limit = temperature < LOWEST_TEMPERATURE * 1.001 or temperature > HIGHEST_TEMPERATURE / 1.001
    return Temperature(temperature, before, after, at_limit)


def brier(scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> float:
    """Return the mean squared difference of scores [rows] and truth (0 or 1)."""
    return float(np.mean((np.asarray(scores, dtype=np.float64) - np.asarray(truth)) ** 2))


def brier_of_classes(probabilities: NDArray[np.floating[Any]], classes: NDArray[np.integer[Any]]) -> float:
    """Return the mean over rows of the squared differences summed over classes, 0 to 2."""
    known = np.asarray(probabilities, dtype=np.float64)
    return float(np.mean(((known - np.eye(known.shape[1])[classes]) ** 2).sum(axis=1)))


def reliability(
    scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_], bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """Return the bins of a reliability diagram, of equal width over 0 to 1, empty ones left out."""
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    place = np.minimum((values * bins).astype(np.intp), bins - 1)
    return tuple(
        ReliabilityBin(int(here.sum()), float(values[here].mean()), float(positive[here].mean()))
        for number in range(bins)
        if (here := place == number).any()
    )


@dataclass(frozen=True, slots=True)
class BrierParts:
    """The Brier score of scores put into bins: reliability - resolution + uncertainty (Murphy 1973).

    Small reliability: probabilities mean what they say. Large resolution: they tell rows apart. Uncertainty is that of
    always saying the share of positives.
    """

    reliability: float
    resolution: float
    uncertainty: float

    @property
    def skill(self) -> float:
        """How much of the uncertainty is gone, 1 being all of it; NaN where there is none."""
        return (self.resolution - self.reliability) / self.uncertainty if self.uncertainty else nan


def brier_parts(scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_], bins: int = BINS) -> BrierParts:
    """Return the parts of the Brier score over bins of equal width."""
    parts = reliability(scores, truth, bins)
    rows = sum(part.rows for part in parts)
    share = sum(part.positives for part in parts) / rows
    return BrierParts(
        sum(part.rows * (part.mean_score - part.share_positive) ** 2 for part in parts) / rows,
        sum(part.rows * (part.share_positive - share) ** 2 for part in parts) / rows,
        share * (1 - share),
    )


def expected_calibration_error(scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_], bins: int = BINS) -> float:
    """Return how far mean score and share of positives lie apart, over bins weighed by their rows.

    For classes: the probability of the called class, and whether the call was right.
    """
    parts = reliability(scores, truth, bins)
    rows = sum(part.rows for part in parts)
    return sum(part.rows * abs(part.mean_score - part.share_positive) for part in parts) / rows


def _allowed(logits: NDArray[np.floating[Any]], possible: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    if len(logits) == 0 or len(logits) != len(possible):
        raise ValueError(f"expected possible classes for each of {len(logits)} rows, got {len(possible)}")
    allowed = np.zeros(logits.shape, dtype=np.bool_)
    for row, classes in enumerate(possible):
        allowed[row, list(classes)] = True
    return allowed


def _loss(logits: NDArray[np.float64], allowed: NDArray[np.bool_], temperature: float) -> float:
    logs = np.where(allowed, log_probabilities(logits, temperature), -np.inf)
    return float(-np.logaddexp.reduce(logs, axis=1).mean())
