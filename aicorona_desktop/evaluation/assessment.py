"""Everything that is said of one score on one question: the table at the point, its figures, the curve, by subject.

Several scans of one person are not independent: where there are any, the intervals come from rounds that draw
subjects, and how many times wider that makes the variance is told.

Source: paper-spec 7, 8.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.evaluation import metrics
from aicorona_desktop.evaluation.bootstrap import ROUNDS, Interval, Resampled, of_counts, of_scores, resample
from aicorona_desktop.evaluation.delong import area, auc_interval
from aicorona_desktop.evaluation.intervals import Method
from aicorona_desktop.evaluation.metrics import Counts, Roc, counts_of, roc
from aicorona_desktop.evaluation.summary import Summary, summary

WORTH_TELLING = 1.1
"""A design effect from which on it is printed (paper-spec 8.9)."""

AUC = "auc"

_METRICS: Mapping[str, Callable[[Counts], float]] = MappingProxyType(
    {
        "sensitivity": metrics.sensitivity,
        "specificity": metrics.specificity,
        "f1": metrics.f1,
        "hm_se_sp": metrics.harmonic_mean,
        "kappa": metrics.kappa,
        "accuracy": metrics.accuracy,
    }
)
FIGURES = tuple(_METRICS)


@dataclass(frozen=True, slots=True)
class Assessment:
    """One score on one question.

    `summary` is of the calls at `threshold`; `auc` is with DeLong's interval on logits; `by_subject` holds the figures
    of `FIGURES` and the AUC over rounds that draw subjects, and is empty where each subject has one row;
    `design_effects` is how many times the variance is that of independent rows, for sensitivity, specificity, AUC.
    """

    threshold: float
    summary: Summary
    curve: Roc
    auc: Interval
    by_subject: Mapping[str, Resampled] = field(default_factory=dict)
    design_effects: Mapping[str, float] = field(default_factory=dict)

    def interval(self, name: str) -> Interval:
        """Return a figure, or "auc", with the interval to be shown: by subject where subjects have several rows."""
        if name in self.by_subject:
            return self.by_subject[name].interval
        return self.auc if name == AUC else self.summary[name]

    @property
    def note(self) -> str:
        """A sentence on what several rows a subject cost; "" where it is not worth telling."""
        large = {name: effect for name, effect in self.design_effects.items() if effect > WORTH_TELLING}
        if not large:
            return ""
        parts = ", ".join(f"{name} {effect:.2f}" for name, effect in large.items())
        return f"Several scans of one person know less than scans of different ones; design effect: {parts}."


def assess(
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    threshold: float,
    subjects: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
    method: Method = Method.JEFFREYS,
    rounds: int = ROUNDS,
    seed: int = 0,
    only: Sequence[str] = FIGURES,
) -> Assessment:
    """Return everything that is said of scores [rows] against the truth [rows].

    Args:
        scores: a row is called when its score is at least `threshold`.
        truth: bool.
        threshold: the operating point, chosen elsewhere.
        subjects: whose row each is; None: each its own.
        level: of the intervals.
        method: of the intervals of single rows.
        rounds: of the bootstrap, drawn by subject within the true class.
        seed: of the bootstrap.
        only: the figures of `summary`.

    Raises:
        ValueError: the shapes differ, a score is not a number, or there are no rows.
    """
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.bool_)
    curve, calls = roc(values, positive), values >= threshold
    counts = counts_of(positive, calls)
    found = Assessment(
        threshold, summary(counts, level=level, method=method, only=only), curve, auc_interval(values, positive, level)
    )
    if subjects is None or len(set(subjects)) == len(subjects):
        return found
    wanted = {name: of_counts(metric, positive, calls) for name, metric in _METRICS.items()}
    wanted[AUC] = of_scores(values, positive)
    drawn = resample(wanted, subjects, positive.tolist(), rounds=rounds, seed=seed, level=level)
    errors = {
        "sensitivity": _binomial_error(counts.true_positives, counts.positives),
        "specificity": _binomial_error(counts.true_negatives, counts.negatives),
        AUC: area(values, positive).standard_error,
    }
    effects = {name: drawn[name].design_effect(error) for name, error in errors.items()}
    return Assessment(threshold, found.summary, curve, found.auc, MappingProxyType(drawn), MappingProxyType(effects))


def _binomial_error(successes: int, total: int) -> float:
    return sqrt(successes * (total - successes) / total**3) if total else 0.0
