"""Plain statistics of scores and calls: ROC, AUC, confusion counts and what follows from them.

Undefined stays undefined: NaN, shown as "-".

Source: paper-spec 7.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax


@dataclass(frozen=True, slots=True)
class Counts:
    """A 2 x 2 table: true and false positives and negatives."""

    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int

    def __post_init__(self) -> None:
        if min(self.true_positives, self.false_negatives, self.false_positives, self.true_negatives) < 0:
            raise ValueError("counts can't be negative")

    @property
    def positives(self) -> int:
        """All that are positive in truth."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        """All that are negative in truth."""
        return self.false_positives + self.true_negatives

    @property
    def total(self) -> int:
        """All."""
        return self.positives + self.negatives


def counts_of(truth: NDArray[np.bool_], calls: NDArray[np.bool_]) -> Counts:
    """Count calls against the truth, both bool [rows]."""
    return Counts(
        int((truth & calls).sum()),
        int((truth & ~calls).sum()),
        int((~truth & calls).sum()),
        int((~truth & ~calls).sum()),
    )


def with_failures(counts: Counts, failed_positives: int, failed_negatives: int) -> Counts:
    """Return the table with scans that got no answer counted as called wrong: how bad it is at most."""
    return Counts(
        counts.true_positives,
        counts.false_negatives + failed_positives,
        counts.false_positives + failed_negatives,
        counts.true_negatives,
    )


# --- of counts ---------------------------------------------------------------------------------------------------


def sensitivity(counts: Counts) -> float:
    """Return the share of the positives that were called."""
    return ratio(counts.true_positives, counts.positives)


def specificity(counts: Counts) -> float:
    """Return the share of the negatives that were not called."""
    return ratio(counts.true_negatives, counts.negatives)


def accuracy(counts: Counts) -> float:
    """Return the share of right calls."""
    return ratio(counts.true_positives + counts.true_negatives, counts.total)


def balanced_accuracy(counts: Counts) -> float:
    """Return the mean of sensitivity and specificity."""
    return (sensitivity(counts) + specificity(counts)) / 2


def youden_j(counts: Counts) -> float:
    """Return sensitivity + specificity - 1."""
    return sensitivity(counts) + specificity(counts) - 1


def positive_predictive_value(counts: Counts, prevalence: float | None = None) -> float:
    """Return the share of true ones among the calls, in these rows or at a prevalence."""
    if prevalence is None:
        return ratio(counts.true_positives, counts.true_positives + counts.false_positives)
    true = sensitivity(counts) * prevalence
    return ratio(true, true + (1 - specificity(counts)) * (1 - prevalence))


def negative_predictive_value(counts: Counts, prevalence: float | None = None) -> float:
    """Return the share of true negatives among those not called, in these rows or at a prevalence."""
    if prevalence is None:
        return ratio(counts.true_negatives, counts.true_negatives + counts.false_negatives)
    true = specificity(counts) * (1 - prevalence)
    return ratio(true, true + (1 - sensitivity(counts)) * prevalence)


def f1(counts: Counts) -> float:
    """Return the standard F1, the harmonic mean of positive predictive value and sensitivity."""
    doubled = 2 * counts.true_positives
    return ratio(doubled, doubled + counts.false_positives + counts.false_negatives)


def harmonic_mean(counts: Counts) -> float:
    """Return the harmonic mean of sensitivity and specificity; the paper prints it as F1 for its model."""
    product = sensitivity(counts) * specificity(counts)
    return ratio(2 * product, sensitivity(counts) + specificity(counts))


def kappa(counts: Counts) -> float:
    """Return Cohen's kappa against the reference labels."""
    tp, fn = counts.true_positives, counts.false_negatives
    fp, tn = counts.false_positives, counts.true_negatives
    return ratio(2 * (tp * tn - fp * fn), (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn))


def matthews_correlation(counts: Counts) -> float:
    """Return Matthews' correlation of calls and truth."""
    tp, fn = counts.true_positives, counts.false_negatives
    fp, tn = counts.false_positives, counts.true_negatives
    return ratio(tp * tn - fp * fn, sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def likelihood_ratios(counts: Counts) -> tuple[float, float]:
    """Return LR+ and LR-; infinite where the other side is never called."""
    se, sp = sensitivity(counts), specificity(counts)
    return _odds(se, 1 - sp), _odds(1 - se, sp)


def ratio(part: float, whole: float) -> float:
    """Return a share; NaN of nothing."""
    return part / whole if whole else nan


def _odds(part: float, whole: float) -> float:
    if whole == 0 and part > 0:
        return inf
    return ratio(part, whole)


# --- of scores ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Roc:
    """All operating points that the scores allow, from calling nobody to calling everybody.

    `thresholds` are +inf and the distinct scores, falling; a row is called when its score is at least that.
    The other two are how many positives and negatives are then called.
    """

    thresholds: NDArray[np.float64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    positives: int
    negatives: int

    def counts(self, point: int) -> Counts:
        """Return the 2 x 2 table at one of the points."""
        tp, fp = int(self.true_positives[point]), int(self.false_positives[point])
        return Counts(tp, self.positives - tp, fp, self.negatives - fp)

    @property
    def auc(self) -> float:
        """The area below, NaN without positives or negatives."""
        width, height = np.diff(self.false_positives), self.true_positives[1:] + self.true_positives[:-1]
        return ratio(float((width * height).sum()), 2 * self.positives * self.negatives)


def roc(scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> Roc:
    """Return the ROC of scores [rows] against the truth [rows].

    Raises:
        ValueError: the shapes differ, or a score is not a number.
    """
    values, positive = _scores(scores, truth)
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=-inf)) if values.size else np.array([], np.intp)
    called = np.cumsum(positive[order])[ends]
    return Roc(
        thresholds=np.concatenate([[inf], values[order][ends]]),
        true_positives=np.concatenate([[0], called]).astype(np.int64),
        false_positives=np.concatenate([[0], ends + 1 - called]).astype(np.int64),
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
    )


def auc(scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> float:
    """Return P(positive above negative) + half of P(equal); NaN without positives or negatives.

    Raises:
        ValueError: the shapes differ, or a score is not a number.
    """
    return roc(scores, truth).auc


def weighted_auc(
    scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the AUC of the same rows under many weightings [rounds, rows], as [rounds].

    NaN where one side weighs nothing.

    Raises:
        ValueError: the shapes differ, or a score is not a number.
    """
    values, positive = _scores(scores, truth)
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-inf))  # of the groups of equal scores
    ordered = weights[:, order]
    above = np.add.reduceat(ordered * positive[order], starts, axis=1)
    below = np.add.reduceat(ordered * ~positive[order], starts, axis=1)
    won = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
    pairs = above.sum(axis=1) * below.sum(axis=1)
    areas = np.full(len(weights), nan)
    np.divide(won, pairs, out=areas, where=pairs > 0)
    return areas


def macro_auc(probabilities: NDArray[np.floating[Any]], classes: NDArray[np.integer[Any]]) -> float:
    """Return the plain mean of the one-vs-rest AUCs of probabilities [rows, n] and the true classes [rows].

    NaN when a class has no row.
    """
    columns = range(probabilities.shape[1])
    return float(np.mean([auc(probabilities[:, column], classes == column) for column in columns]))


def share_of_pair(
    probabilities: NDArray[np.float64], positives: Sequence[int], negatives: Sequence[int]
) -> NDArray[np.float64]:
    """Return p(one of the positives | one of either) as [rows], from probabilities [rows, n]; 0.5 where both are 0."""
    positive = probabilities[:, list(positives)].sum(axis=1)
    together = positive + probabilities[:, list(negatives)].sum(axis=1)
    shares = np.full(len(together), 0.5)
    np.divide(positive, together, out=shares, where=together > 0)
    return shares


def log_probabilities(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the log-softmax of logits [rows, n] divided by a temperature."""
    return np.asarray(log_softmax(logits.astype(np.float64) / temperature, axis=1), dtype=np.float64)


# --- of three classes --------------------------------------------------------------------------------------------


def confusion(truth: Sequence[int], calls: Sequence[int], classes: int = 3) -> NDArray[np.int64]:
    """Return how often each true class (rows) got each call (columns), as [classes, classes]."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (np.asarray(truth, dtype=np.intp), np.asarray(calls, dtype=np.intp)), 1)
    return table


def one_vs_rest(table: NDArray[np.int64], positive: int) -> Counts:
    """Return the 2 x 2 table of one class against all others."""
    tp = int(table[positive, positive])
    fn, fp = int(table[positive].sum()) - tp, int(table[:, positive].sum()) - tp
    return Counts(tp, fn, fp, int(table.sum()) - tp - fn - fp)


def table_accuracy(table: NDArray[np.int64]) -> float:
    """Return the share of right calls."""
    return ratio(int(np.trace(table)), int(table.sum()))


def table_kappa(table: NDArray[np.int64]) -> float:
    """Return Cohen's kappa, unweighted."""
    total = int(table.sum())
    by_chance = int((table.sum(axis=0) * table.sum(axis=1)).sum())
    return ratio(total * int(np.trace(table)) - by_chance, total * total - by_chance)


def macro_f1(table: NDArray[np.int64]) -> float:
    """Return the plain mean of the one-vs-rest F1."""
    return float(np.mean([f1(one_vs_rest(table, positive)) for positive in range(len(table))]))


def recalls(table: NDArray[np.int64]) -> tuple[float, ...]:
    """Return the share of right calls of each true class."""
    return tuple(ratio(int(row[number]), int(row.sum())) for number, row in enumerate(table))


def _scores(
    scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.bool_)
    if values.ndim != 1 or values.shape != positive.shape:
        raise ValueError(f"expected one score and one truth a row, got {values.shape} and {positive.shape}")
    if np.isnan(values).any():
        raise ValueError("a score is not a number")
    return values, positive
