"""Operating points: the score from which on a study is called, chosen by one of five rules.

A point is a score that a study had, never one interpolated between two, as that could be applied to nobody. It is
chosen on tuning data and applied unchanged to others.

Source: paper-spec 10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from math import ceil, hypot, inf, isinf, log, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop import __version__
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.intervals import proportion
from aicorona_desktop.evaluation.metrics import Counts, Roc, counts_of, roc, sensitivity, specificity


class Rule(StrEnum):
    """The five rules; A is what the paper calls high specificity."""

    A = "A"  # the largest sensitivity with a specificity of at least `specificity`
    B = "B"  # the largest specificity with a sensitivity of at least `sensitivity`
    C = "C"  # the largest sensitivity + specificity - 1
    D = "D"  # the nearest to the corner where both are 1
    E = "E"  # the smallest expected cost


@dataclass(frozen=True, slots=True)
class Demands:
    """What the rules ask for: A and B a share, E a prevalence and how many false alarms a missed case is worth."""

    specificity: float = 0.95
    sensitivity: float = 0.95
    prevalence: float = 0.05
    missed_to_false: float = 20.0

    def __post_init__(self) -> None:
        shares = (self.specificity, self.sensitivity, self.prevalence)
        if not all(0 <= share <= 1 for share in shares) or not self.missed_to_false > 0:
            raise ValueError("shares must be 0 to 1, and a missed case worth something")


DEFAULT = Demands()

CHOSEN_HERE = "The operating point was chosen on the evaluated data: its figures flatter."


@dataclass(frozen=True, slots=True)
class Point:
    """One operating point and what it does on the data that it was chosen on.

    A study is called when its score is at least `threshold`; +inf calls nobody. `cost` is that of rule E,
    else NaN. `why_not` says in a sentence why it should not be used, "" when it may.
    """

    rule: Rule
    demands: Demands
    threshold: float
    counts: Counts
    cost: float = nan
    why_not: str = ""

    @property
    def logit(self) -> float:
        """The threshold as a logit, for the full precision near 0 and 1; infinite at the ends."""
        if self.threshold <= 0 or self.threshold >= 1:
            return inf if self.threshold >= 1 else -inf
        return log(self.threshold) - log(1 - self.threshold)

    @property
    def sensitivity(self) -> Interval:
        """The share of positives called, with its Jeffreys interval."""
        return proportion(self.counts.true_positives, self.counts.positives)

    @property
    def specificity(self) -> Interval:
        """The share of negatives not called, with its Jeffreys interval."""
        return proportion(self.counts.true_negatives, self.counts.negatives)


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A point with all that says where it comes from, and what it may be used with."""

    task: str
    point: Point
    tuning_sha256: str
    model_sha256: str
    rows: int
    positives: int
    negatives: int
    chosen_on: date
    auc: float
    software_version: str

    @property
    def key(self) -> tuple[str, Rule, str]:
        """What there is one point of."""
        return self.task, self.point.rule, self.model_sha256

    def for_model(self, model_sha256: str) -> Point:
        """Return the point, for the very model that it was chosen with.

        Raises:
            EvaluationError: it is another one.
        """
        if model_sha256 != self.model_sha256:
            raise EvaluationError("This operating point was chosen with another model; choose one for this model.")
        return self.point


def choose(rule: Rule, curve: Roc, demands: Demands = DEFAULT) -> Point:
    """Return the point of a ROC that a rule chooses.

    Ties go to the higher specificity (rule B: sensitivity), then to the higher threshold.

    Raises:
        EvaluationError: there are no positives, or no negatives.
    """
    if not curve.positives or not curve.negatives:
        raise EvaluationError("An operating point needs positives and negatives to be chosen on.")
    allowed = [point for point in range(len(curve.thresholds)) if _is_allowed(rule, curve.counts(point), demands)]
    best = max(allowed, key=lambda point: (*_merit(rule, curve.counts(point), demands), curve.thresholds[point]))
    counts = curve.counts(best)
    return Point(
        rule,
        demands,
        float(curve.thresholds[best]),
        counts,
        cost=expected_cost(counts, demands) if rule is Rule.E else nan,
        why_not=_why_not(rule, curve, float(curve.thresholds[best]), demands),
    )


def choose_all(
    scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_], demands: Demands = DEFAULT
) -> tuple[Point, ...]:
    """Return the points of all five rules on the same scores [rows]; those with `why_not` are not to be set.

    Raises:
        EvaluationError: there are no positives, or no negatives.
    """
    curve = roc(scores, truth)
    return tuple(choose(rule, curve, demands) for rule in Rule)


def applied(point: Point, scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> tuple[Counts, str]:
    """Return what a point does on other data, and a warning ("": none) where it does not do there what it did here."""
    counts = counts_of(np.asarray(truth, dtype=np.bool_), np.asarray(scores) >= point.threshold)
    here = proportion(counts.true_negatives, counts.negatives)
    there = specificity(point.counts)
    if here.estimable and not here.low <= there <= here.high:
        return counts, (
            f"The specificity here is {here.value:.3f} ({here.low:.3f} to {here.high:.3f}), "
            f"which excludes the {there:.3f} that the point was chosen for."
        )
    return counts, ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a stored point does on other data, and what has to be said beside it."""

    counts: Counts
    warnings: tuple[str, ...]


def apply_stored(
    stored: StoredPoint,
    model_sha256: str,
    scan_ids: Sequence[str],
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
) -> Applied:
    """Apply a stored point to the scores [rows] of the model that it was chosen with.

    Raises:
        EvaluationError: the scores are another model's.
    """
    counts, warning = applied(stored.for_model(model_sha256), scores, truth)
    same = tuning_sha256(scan_ids, truth.tolist(), scores.tolist()) == stored.tuning_sha256
    warnings = (CHOSEN_HERE if same else "", stored.point.why_not, warning)
    return Applied(counts, tuple(sentence for sentence in warnings if sentence))


def store(
    task: str,
    point: Point,
    *,
    scan_ids: Sequence[str],
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    model_sha256: str,
    chosen_on: date,
) -> StoredPoint:
    """Return a point with all that is kept of it, from the very rows that it was chosen on."""
    return StoredPoint(
        task,
        point,
        tuning_sha256(scan_ids, truth.tolist(), scores.tolist()),
        model_sha256,
        point.counts.total,
        point.counts.positives,
        point.counts.negatives,
        chosen_on,
        roc(scores, truth).auc,
        __version__,
    )


@dataclass(frozen=True, slots=True)
class Bands:
    """Two thresholds: called from `call_from` on, ruled out below `rule_out_below`; between them nothing is said.

    Where one threshold meets both demands the two are the same and there is nothing between.
    """

    rule_out_below: float
    call_from: float

    @property
    def has_middle(self) -> bool:
        """Whether some scores are neither."""
        return self.rule_out_below < self.call_from


def bands(high_specificity: Point, high_sensitivity: Point, balanced: Point) -> Bands:
    """Return the bands of the points of rules A, B and C on the same data; for evaluation, never for the worklist.

    With a good model A's threshold lies below B's: any threshold between them meets both demands, and C's is taken,
    moved into that range.
    """
    low, high = high_specificity.threshold, high_sensitivity.threshold
    if low > high:
        return Bands(rule_out_below=high, call_from=low)
    flag = min(max(balanced.threshold, low), high)
    return Bands(flag, flag)


def expected_cost(counts: Counts, demands: Demands = DEFAULT) -> float:
    """Return the expected cost of a study, a false alarm being 1 (rule E)."""
    missed = demands.prevalence * demands.missed_to_false * (1 - sensitivity(counts))
    return missed + (1 - demands.prevalence) * (1 - specificity(counts))


def tuning_sha256(scan_ids: Sequence[str], truth: Sequence[bool], scores: Sequence[float]) -> str:
    """Return what proves on which data a point was chosen: SHA-256 over the sorted rows of scan, label and score."""
    lines = sorted(
        f"{scan}\t{int(label)}\t{float(score)!r}" for scan, label, score in zip(scan_ids, truth, scores, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _is_allowed(rule: Rule, counts: Counts, demands: Demands) -> bool:
    """Whether a point meets the demand of its rule, in whole numbers of rows."""
    if rule is Rule.A:
        return counts.true_negatives >= ceil(demands.specificity * counts.negatives - 1e-9)
    if rule is Rule.B:
        return counts.true_positives >= ceil(demands.sensitivity * counts.positives - 1e-9)
    return True


def _merit(rule: Rule, counts: Counts, demands: Demands) -> tuple[float, float]:
    """Return what a rule wants large, then what settles a tie; sums are rounded so that equal ones are equal."""
    se, sp = sensitivity(counts), specificity(counts)
    wanted = {
        Rule.A: se,
        Rule.B: sp,
        Rule.C: round(se + sp, 12),
        Rule.D: -round(hypot(1 - se, 1 - sp), 12),
        Rule.E: -round(expected_cost(counts, demands), 12),
    }
    return wanted[rule], se if rule is Rule.B else sp


def _why_not(rule: Rule, curve: Roc, threshold: float, demands: Demands) -> str:
    """Say why a point isn't fit for use: it calls nobody or everybody, or there were too few rows to choose it on.

    A share s can be told from 1 only by 1 / (1 - s) rows; the other rules need ten of each kind. One more than that is
    no proof either: the intervals say how little is known.
    """
    if isinf(threshold):
        return "No useful point: with this demand nobody would be called."
    if threshold <= curve.thresholds[-1]:
        return "No useful point: with this demand everybody would be called."
    positives, negatives = needed(rule, demands)
    if curve.positives < positives:
        return f"Too few positives ({curve.positives}) to choose a point on."
    if curve.negatives < negatives:
        return f"Too few negatives ({curve.negatives}) to choose a point on."
    return ""


def needed(rule: Rule, demands: Demands = DEFAULT) -> tuple[float, float]:
    """Return how many positives and negatives a rule must have to choose a point on; infinite for a share of 1."""
    positives = _fewest(demands.sensitivity if rule is Rule.B else 0.9)
    return positives, _fewest(demands.specificity if rule is Rule.A else 0.9)


def _fewest(share: float) -> float:
    return inf if share >= 1 else ceil(1 / (1 - share) - 1e-9)
