"""Decision curves: what calling by a score is worth, for whoever would act from a probability on.

Someone who acts from the probability t on takes (1 - t) / t false alarms for one found case. The net benefit counts
true calls less false ones at that rate of exchange, a scan; acting on everybody, and on nobody (0), stand beside it.
The score must mean what it says: calibrate first.

Source: Vickers and Elkin 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.evaluation.metrics import counts_of, sensitivity, specificity

THRESHOLDS = tuple(number / 100 for number in range(1, 100))


@dataclass(frozen=True, slots=True)
class NetBenefit:
    """At one threshold probability: of calling by the score, and of calling everybody; calling nobody is 0."""

    threshold: float
    by_score: float
    of_everybody: float

    @property
    def avoided(self) -> float:
        """How many false alarms fewer per scan than calling everybody, at no loss of cases (net reduction)."""
        return (self.by_score - self.of_everybody) * (1 - self.threshold) / self.threshold


def decision_curve(
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    prevalence: float | None = None,
) -> tuple[NetBenefit, ...]:
    """Return the net benefit at each threshold.

    Args:
        scores: probabilities [rows].
        truth: bool [rows].
        thresholds: probabilities between 0 and 1, both excluded.
        prevalence: of the population that is meant; None: that of the rows. Scores are taken as they are.

    Raises:
        ValueError: a threshold is not between 0 and 1, there are no positives or negatives, or the shapes differ.
    """
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.bool_)
    if values.shape != positive.shape or not positive.any() or positive.all():
        raise ValueError("a decision curve needs scores of positives and of negatives")
    if not all(0 < threshold < 1 for threshold in thresholds):
        raise ValueError("thresholds lie between 0 and 1")
    share = float(positive.mean()) if prevalence is None else prevalence
    return tuple(_at(threshold, values, positive, share) for threshold in thresholds)


def _at(threshold: float, scores: NDArray[np.float64], truth: NDArray[np.bool_], prevalence: float) -> NetBenefit:
    counts, exchange = counts_of(truth, scores >= threshold), threshold / (1 - threshold)
    found, alarms = prevalence * sensitivity(counts), (1 - prevalence) * (1 - specificity(counts))
    return NetBenefit(threshold, found - alarms * exchange, prevalence - (1 - prevalence) * exchange)
