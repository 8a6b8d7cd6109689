"""What a run over known studies says of the model at this site, from its ledger: figures, groups, errors, points.

All figures are those of `evaluation`; a study is called when its p(COVID-19) is at least the operating point, as on the
worklist. Studies without a score are counted beside the figures, never left out in silence.

Source: ux.md 8.1 to 8.3; paper-spec 8 and 10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.lanes import model_answer
from aicorona_desktop.core.rows import Row
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.assessment import FIGURES, Assessment, assess
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.curves import RocBand, roc_band
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.metrics import Counts, Roc, confusion, roc, with_failures
from aicorona_desktop.evaluation.operating_points import Demands, Point, Rule, choose, needed
from aicorona_desktop.evaluation.subgroups import Subgroup, subgroups, thickness_band
from aicorona_desktop.evaluation.summary import summary
from aicorona_desktop.history.store import History

FEWEST: Final = 10
"""A group of fewer studies than this is called too small, whatever its figures say."""

COVID: Final = CLASSES.index("covid")


@dataclass(frozen=True, slots=True)
class KnownCase:
    """One known study: what it is, and what became of it; `row` None where none of its files could be read."""

    study_instance_uid: str
    label: str
    subject: str
    row: Row | None
    scanner: str = ""
    kernel: str = ""
    thickness_mm: float | None = None

    @property
    def p_covid(self) -> float | None:
        """Its score; None without a final one."""
        row = self.row
        if row is None or row.probabilities is None or row.preliminary:
            return None
        value = row.probabilities[COVID]
        return value if isfinite(value) else None

    @property
    def sentence(self) -> str:
        """Why it has no score; "" where it has one."""
        if self.p_covid is not None:
            return ""
        if self.row is None:
            return "None of its files could be read."
        gravest = max(self.row.findings, key=lambda one: one.outcome.gravity, default=None)
        return str(gravest) if gravest else "It was not scored."


@dataclass(frozen=True, slots=True)
class OfferedPoint:
    """An operating point that a rule gives; `why_not` says why it is not set, with how many studies it would need."""

    rule: Rule
    point: Point | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """The known studies at one operating point; `table` [3, 3] is the label by what the model says on the worklist."""

    threshold: float
    assessment: Assessment
    predictive: tuple[Interval, Interval]
    worst_case: Counts
    table: NDArray[np.int64]
    groups: tuple[Subgroup, ...]
    missed: tuple[KnownCase, ...]
    false_alarms: tuple[KnownCase, ...]

    @property
    def counts(self) -> Counts:
        """The 2 x 2 table."""
        return self.assessment.summary.counts


@dataclass(frozen=True)
class SiteResult:
    """All known studies of a run, in the order of their labels and scores."""

    cases: tuple[KnownCase, ...]

    @cached_property
    def scored(self) -> tuple[KnownCase, ...]:
        """Those with a score."""
        return tuple(case for case in self.cases if case.p_covid is not None)

    @cached_property
    def failures(self) -> tuple[KnownCase, ...]:
        """Those without."""
        return tuple(case for case in self.cases if case.p_covid is None)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """p(COVID-19) of those scored, [rows]."""
        return np.array([case.p_covid for case in self.scored], dtype=np.float64)

    @cached_property
    def truth(self) -> NDArray[np.bool_]:
        """Which of those scored are COVID-19 by their label, [rows]."""
        return np.array([case.label == "covid" for case in self.scored], dtype=np.bool_)

    @cached_property
    def curve(self) -> Roc:
        """Every operating point that the scores allow."""
        return roc(self.scores, self.truth)

    @property
    def has_both(self) -> bool:
        """Whether there is a curve at all: studies with COVID-19, and others."""
        return bool(self.truth.any() and not self.truth.all())

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whose each scored study is: by patient ID, else each its own."""
        return tuple(case.subject or case.study_instance_uid for case in self.scored)

    @property
    def of_class(self) -> Mapping[str, int]:
        """How many of those scored have each label."""
        return Counter(case.label for case in self.scored)

    @property
    def devices(self) -> tuple[str, ...]:
        """What ran the model, the most frequent first."""
        counted = Counter(case.row.provider for case in self.scored if case.row is not None)
        return tuple(name for name, _ in counted.most_common())

    def band(self) -> RocBand:
        """Return the band around the curve, point by point, by patient where patients repeat."""
        return roc_band(self.scores, self.truth, self.subjects)


def read_result(history: History, labels: Mapping[str, str]) -> SiteResult:
    """Return what the ledger of a run holds of the labelled studies.

    Raises:
        HistoryError: the ledger can't be read.
    """
    scanners = history.scanners()
    cases = []
    for uid, label in labels.items():
        row = history.row(uid)
        maker, model, kernel, thickness = scanners.get(uid, ("", "", "", None))
        subject = "" if row is None else row.patient_id
        cases.append(KnownCase(uid, label, subject, row, f"{maker} {model}".strip(), kernel, thickness))
    cases.sort(key=lambda case: (CLASSES.index(case.label), -(case.p_covid or 0.0), case.study_instance_uid))
    return SiteResult(tuple(cases))


def judge(result: SiteResult, threshold: float, prevalence: float) -> Judged:
    """Return everything that is said of the known studies at an operating point.

    Args:
        result: of a run, with studies of both kinds.
        threshold: p(COVID-19) from which a study is called, 0 to 1.
        prevalence: the share of COVID-19 among the site's own studies, for the predictive values.

    Raises:
        EvaluationError: there is nothing to judge by.
    """
    if not result.has_both:
        raise EvaluationError("Figures need scored studies with COVID-19 and others.")
    calls = result.scores >= threshold
    assessment = assess(result.scores, result.truth, threshold, result.subjects, only=FIGURES)
    counts = assessment.summary.counts
    at_site = summary(counts, prevalence=prevalence, only=("ppv", "npv"))
    lost = Counter(case.label == "covid" for case in result.failures)
    return Judged(
        threshold,
        assessment,
        (at_site["ppv"], at_site["npv"]),
        with_failures(counts, lost[True], lost[False]),
        _table(result, threshold),
        subgroups(_splits(result.scored), result.scores, result.truth, calls),
        tuple(case for case, call in zip(result.scored, calls, strict=True) if case.label == "covid" and not call),
        tuple(case for case, call in zip(result.scored, calls, strict=True) if case.label != "covid" and call),
    )


def offered_points(result: SiteResult, demands: Demands) -> tuple[OfferedPoint, ...]:
    """Return what each of the five rules gives, or why it gives nothing yet."""
    return tuple(_offered(result, rule, demands) for rule in Rule)


def usable_thresholds(result: SiteResult) -> tuple[float, ...]:
    """Return the scores that may be set as an operating point, falling: above 0 and below 1."""
    return tuple(float(one) for one in result.curve.thresholds if 0 < one < 1)


def counts_at(result: SiteResult, threshold: float) -> Counts:
    """Return the 2 x 2 table at an operating point: what a slider shows at once."""
    called = result.scores >= threshold
    return Counts(
        int((called & result.truth).sum()),
        int((~called & result.truth).sum()),
        int((called & ~result.truth).sum()),
        int((~called & ~result.truth).sum()),
    )


def _offered(result: SiteResult, rule: Rule, demands: Demands) -> OfferedPoint:
    positives, negatives = needed(rule, demands)
    found = int(result.truth.sum()), int((~result.truth).sum())
    if found[0] < positives or found[1] < negatives:
        return OfferedPoint(
            rule,
            None,
            f"not set: n too small, {found[0]} with COVID-19 and {found[1]} others; "
            f"it needs {positives:.0f} and {negatives:.0f}",
        )
    point = choose(rule, result.curve, demands)
    if point.why_not or not 0 < point.threshold < 1:
        return OfferedPoint(rule, None, f"not set: {point.why_not or 'the score at this point is 0 or 1.'}")
    return OfferedPoint(rule, point)


def _table(result: SiteResult, threshold: float) -> NDArray[np.int64]:
    answers = [model_answer(case.row, threshold) for case in result.scored if case.row is not None]
    return confusion([CLASSES.index(case.label) for case in result.scored], [CLASSES.index(one) for one in answers])


def _splits(cases: Sequence[KnownCase]) -> dict[str, list[str]]:
    return {
        "scanner": [case.scanner for case in cases],
        "kernel": [case.kernel for case in cases],
        "thickness": [thickness_band(case.thickness_mm) for case in cases],
    }
