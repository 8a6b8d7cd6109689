"""The band around a ROC: how high the sensitivity may lie at each share of false alarms, point by point.

Source: paper-spec 8.9 (rounds by subject within the true class).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.evaluation.bootstrap import ROUNDS, weights_of_rounds

POINTS = 101


@dataclass(frozen=True, slots=True, eq=False)
class RocBand:
    """Sensitivities [points] that the curve lies between at each false positive rate [points].

    It holds at one rate at a time, not for the whole curve at once.
    """

    false_positive_rates: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    level: float


def roc_band(
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    subjects: Sequence[Hashable] | None = None,
    *,
    points: int = POINTS,
    rounds: int = ROUNDS,
    seed: int = 0,
    level: float = 0.95,
) -> RocBand:
    """Return the band around the ROC of scores [rows] against the truth [rows].

    Args:
        scores: of the rows.
        truth: bool.
        subjects: whose row each is; None: each its own.
        points: at how many rates, evenly spread over 0 to 1.
        rounds: of the bootstrap, drawn by subject within the true class.
        seed: of the bootstrap.
        level: two-sided, at each rate.

    Raises:
        ValueError: the shapes differ, a score is not a number, or there are no positives or negatives.
    """
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.bool_)
    if values.shape != positive.shape or np.isnan(values).any():
        raise ValueError("expected one score, a number, and one truth a row")
    if not positive.any() or positive.all():
        raise ValueError("a ROC needs positives and negatives")
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=-np.inf))  # of the groups of equal scores
    rates = np.linspace(0, 1, points)

    def heights(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curve of each weighting [rounds, rows] at the rates, as [rounds, points]."""
        ordered = weights[:, order]
        up = _shares(np.cumsum(ordered * positive[order], axis=1)[:, ends])
        right = _shares(np.cumsum(ordered * ~positive[order], axis=1)[:, ends])
        return np.stack([np.interp(rates, one, other) for one, other in zip(right, up, strict=True)])

    people = range(len(values)) if subjects is None else subjects
    drawn = np.concatenate([heights(part) for part in weights_of_rounds(people, positive.tolist(), rounds, seed)])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return RocBand(rates, heights(np.ones((1, len(values))))[0], low, high, level)


def _shares(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running sums [rounds, ends] over their last, with a 0 before; each class keeps its subjects, so none is 0."""
    started = np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)
    return np.asarray(started / started[:, -1:], dtype=np.float64)
