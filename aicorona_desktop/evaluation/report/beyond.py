"""What the paper does not have: subgroups, whether probabilities mean what they say, what acting on them is worth.

All of it is of the questions of Table 3, COVID-19 against the rest, one a cohort: the model's main claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.calibration import (
    BrierParts,
    ReliabilityBin,
    Temperature,
    brier,
    brier_parts,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from aicorona_desktop.evaluation.decision_curve import NetBenefit, decision_curve
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.intervals import shown, shown_number
from aicorona_desktop.evaluation.manifest import CLASSES, ManifestRow, Split
from aicorona_desktop.evaluation.predictions import Prediction
from aicorona_desktop.evaluation.report.answers import ModelAnswers
from aicorona_desktop.evaluation.report.inputs import MANIFEST, PREDICTIONS
from aicorona_desktop.evaluation.report.sheets import Cells, Part, Sheet, once
from aicorona_desktop.evaluation.report.study import Study
from aicorona_desktop.evaluation.subgroups import UNKNOWN, Subgroup, manifest_splits, subgroups
from aicorona_desktop.evaluation.tasks import Task

TABLES: Final = ("3a", "3b", "3c")
POOLED: Final = "All cohorts"
SHOWN_THRESHOLDS: Final = (0.05, 0.1, 0.2, 0.3, 0.5)
NEEDS: Final = (f"scored scans of COVID-19 and of others in {PREDICTIONS}, and {MANIFEST}",)
NEEDS_POINTS: Final = (*NEEDS, "an operating point")
_SUBGROUPS, _CALIBRATION = "Subgroups: COVID-19 against the rest", "Calibration: the probability of COVID-19"
_RELIABILITY, _DECISION = "Reliability: the probability of COVID-19", "Decision curve: COVID-19 against the rest"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the probabilities of COVID-19 of one cohort are worth, and `after` a temperature, where one was fitted."""

    task: Task
    rows: int
    positives: int
    brier: float
    parts: BrierParts
    error: float
    bins: tuple[ReliabilityBin, ...]
    temperature: Temperature | None
    tuned_on: int
    brier_after: float | None
    error_after: float | None
    bins_after: tuple[ReliabilityBin, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Beyond:
    """By the cohorts of Table 3: `groups` by the name of the cohort, the whole of them under `POOLED`."""

    groups: Mapping[str, tuple[Subgroup, ...]]
    calibrations: tuple[Calibration, ...]
    curves: Mapping[str, tuple[NetBenefit, ...]]
    level: float


def beyond_of(study: Study) -> Beyond:
    """Compute it for the cohorts that the model has answers on."""
    tasks = [study.task(table) for table in TABLES]
    models = [study.answers.model[task.id] for task in tasks if task.id in study.answers.model]
    rows = {row.scan_id: row for row in study.inputs.rows}
    level = study.wishes.level
    return Beyond(
        _groups(models, rows, level),
        tuple(_calibration(study, model) for model in models),
        {_cohort(model.task): decision_curve(model.scores, model.truth) for model in models},
        level,
    )


def beyond_sheets(beyond: Beyond) -> tuple[Sheet, ...]:
    """Return the tables."""
    return _subgroup_sheet(beyond), _calibration_sheet(beyond), _reliability_sheet(beyond), _decision_sheet(beyond)


def _cohort(task: Task) -> str:
    return str(task.cohort or task.title)


# --- subgroups ---------------------------------------------------------------------------------------------------


def _groups(
    models: Sequence[ModelAnswers], rows: Mapping[str, ManifestRow], level: float
) -> dict[str, tuple[Subgroup, ...]]:
    """Return the groups of each cohort, then of the cohorts against one another, each at its own operating point."""
    called = [(model, model.calls) for model in models if model.calls is not None]
    found: dict[str, tuple[Subgroup, ...]] = {}
    for model, calls in called:
        splits = _telling(manifest_splits(rows[scan] for scan in model.scan_ids))
        if splits:
            found[_cohort(model.task)] = subgroups(splits, model.scores, model.truth, calls, level)
    if len(called) > 1:
        known = [rows[scan] for model, _ in called for scan in model.scan_ids]
        splits = _telling({"cohort": [row.cohort.value for row in known], "split": [row.split.value for row in known]})
        scores, truth = (np.concatenate([getattr(model, name) for model, _ in called]) for name in ("scores", "truth"))
        calls = np.concatenate([calls for _, calls in called])
        found[POOLED] = subgroups(splits, scores, truth, calls, level)
    return found


def _telling(splits: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the splits that split: of one group alone nothing can be learnt."""
    return {name: groups for name, groups in splits.items() if len(set(groups)) > 1}


def _subgroup_sheet(beyond: Beyond) -> Sheet:
    if not beyond.groups:
        return Sheet(name="subgroups", title=_SUBGROUPS, needs=NEEDS_POINTS)
    ends = ("sensitivity", "specificity", "auc", "auc_less_rest")
    columns = (
        *("cohort", "split_by", "group", "positives", "negatives", "TP", "FN", "FP", "TN"),
        *(f"{name}{end}" for name in ends for end in ("", "_low", "_high")),
        *("p_auc_against_rest", "p_holm", "words"),
    )
    rows = tuple(_subgroup_row(cohort, one) for cohort, groups in beyond.groups.items() for one in groups)
    parts = tuple(
        Part(
            title=f"{_SUBGROUPS}, {cohort}",
            columns=(
                "",
                "COVID-19",
                "Others",
                "Sensitivity",
                "Specificity",
                "AUC",
                "AUC less that of the rest",
                "p (Holm)",
            ),
            rows=tuple(_shown_group(one) for one in groups),
            notes=_notes_of_groups(groups),
        )
        for cohort, groups in beyond.groups.items()
    )
    return Sheet(name="subgroups", title=_SUBGROUPS, columns=columns, rows=rows, parts=parts)


def _subgroup_row(cohort: str, one: Subgroup) -> Cells:
    counts = one.counts
    return (
        *(cohort, one.split_by, one.group, counts.positives, counts.negatives),
        *(counts.true_positives, counts.false_negatives, counts.false_positives, counts.true_negatives),
        *_ends(one.sensitivity, one.specificity, one.auc, one.rest.difference),
        *(one.rest.p, one.rest_judged.holm_p, one.rest_judged.words()),
    )


def _ends(*intervals: Interval) -> tuple[float, ...]:
    return tuple(number for one in intervals for number in (one.value, one.low, one.high))


def _shown_group(one: Subgroup) -> tuple[str, ...]:
    known = one.group != UNKNOWN
    return (
        *(f"{one.split_by}: {one.group}", str(one.counts.positives), str(one.counts.negatives)),
        *(shown(interval) for interval in (one.sensitivity, one.specificity, one.auc)),
        shown(one.rest.difference) if known else "-",
        _shown_p(one.rest_judged.holm_p) if known else "-",
    )


def _shown_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else shown_number(p)


def _notes_of_groups(groups: Sequence[Subgroup]) -> tuple[str, ...]:
    perfect = [f"{one.split_by} {one.group}" for one in groups if one.auc.value == 1]
    striking = [f"{one.split_by} {one.group}" for one in groups if one.rest_judged.passes_three_sigma]
    return once(
        (
            "Groups are those that the manifest knows; a split into one group only is left out. Small groups are shown "
            "too: their intervals say how little they tell.",
            f"An AUC of 1 has no known spread, and its difference and p take it as certain: {', '.join(perfect)}."
            if perfect
            else "",
            f"The AUC differs from that of the rest at three sigma in: {', '.join(striking)}." if striking else "",
        )
    )


# --- calibration -------------------------------------------------------------------------------------------------


def _calibration(study: Study, model: ModelAnswers) -> Calibration:
    scores, truth = model.scores, model.truth
    temperature, tuned_on, note = _temperature(study, model.task)
    after = None if temperature is None else _tempered(study, model, temperature.value)
    return Calibration(
        task=model.task,
        rows=len(truth),
        positives=int(truth.sum()),
        brier=brier(scores, truth),
        parts=brier_parts(scores, truth),
        error=expected_calibration_error(scores, truth),
        bins=reliability(scores, truth),
        temperature=temperature,
        tuned_on=tuned_on,
        brier_after=None if after is None else brier(after, truth),
        error_after=None if after is None else expected_calibration_error(after, truth),
        bins_after=() if after is None else reliability(after, truth),
        note=note,
    )


def _temperature(study: Study, task: Task) -> tuple[Temperature | None, int, str]:
    """Fit one on the tuning scans of the task's cohort; None where there are none, and why."""
    by_scan = {one.scan_id: one for one in study.inputs.predictions or () if one.status == "ok"}
    rows = [
        row
        for row in study.inputs.rows
        if row.cohort is task.cohort and row.split is Split.TUNE and row.scan_id in by_scan
    ]
    if not rows:
        return None, 0, f"{_cohort(task)} has no scored tuning scans: no temperature was fitted, none is borrowed."
    possible = [[CLASSES.index(name) for name in row.possible_classes] for row in rows]
    try:
        return fit_temperature(_logits([by_scan[row.scan_id] for row in rows]), possible), len(rows), ""
    except EvaluationError as error:
        return None, len(rows), f"{_cohort(task)}: {error}"


def _tempered(study: Study, model: ModelAnswers, temperature: float) -> Floats:
    by_scan = {one.scan_id: one for one in study.inputs.predictions or ()}
    logits = _logits([by_scan[scan] for scan in model.scan_ids]) / temperature
    return model.task.scores(softmax(logits, axis=1), logits)


def _logits(predictions: Sequence[Prediction]) -> Floats:
    """Return logits [rows, 3], from probabilities where a row has none; they tell the same."""
    tiny = np.finfo(np.float64).tiny
    return np.array(
        [
            one.logits if one.logits is not None else np.log(np.maximum(one.probabilities or (1, 1, 1), tiny))
            for one in predictions
        ],
        dtype=np.float64,
    )


def _calibration_sheet(beyond: Beyond) -> Sheet:
    if not beyond.calibrations:
        return Sheet(name="calibration", title=_CALIBRATION, needs=NEEDS)
    columns = (
        *("cohort", "scans", "positives", "brier", "reliability", "resolution", "uncertainty", "skill", "ece"),
        *("temperature", "tuning_scans", "brier_after", "ece_after"),
    )
    rows = tuple(
        (
            *(_cohort(one.task), one.rows, one.positives, one.brier),
            *(one.parts.reliability, one.parts.resolution, one.parts.uncertainty, one.parts.skill, one.error),
            *(one.temperature.value if one.temperature else None, one.tuned_on, one.brier_after, one.error_after),
        )
        for one in beyond.calibrations
    )
    part = Part(
        title=_CALIBRATION,
        columns=(
            *("", "Scans", "COVID-19", "Brier score", "Skill", "Calibration error (ECE)"),
            *("Temperature (tuning scans)", "Brier score after", "ECE after"),
        ),
        rows=tuple(_shown_calibration(one) for one in beyond.calibrations),
        notes=once((*_NOTES_OF_CALIBRATION, *(one.note for one in beyond.calibrations))),
    )
    return Sheet(name="calibration", title=_CALIBRATION, columns=columns, rows=rows, parts=(part,))


_NOTES_OF_CALIBRATION: Final = (
    "Brier score: mean squared difference of probability and truth, 0 is perfect; skill: the share of that of always "
    "saying the cohort's share of COVID-19 that is gone. ECE: how far probability and share lie apart, over ten bins.",
    "The temperature is fitted on the tuning scans and applied here for comparison only: no table and no operating "
    "point uses it. The model's probabilities are after its pack's own.",
)


def _shown_calibration(one: Calibration) -> tuple[str, ...]:
    fitted = "-" if one.temperature is None else f"{one.temperature.value:.3f} ({one.tuned_on})"
    after = ["-" if number is None else shown_number(number) for number in (one.brier_after, one.error_after)]
    return (
        *(_cohort(one.task), str(one.rows), str(one.positives), shown_number(one.brier)),
        *(shown_number(one.parts.skill), shown_number(one.error), fitted, *after),
    )


def _reliability_sheet(beyond: Beyond) -> Sheet:
    if not beyond.calibrations:
        return Sheet(name="reliability", title=_RELIABILITY, needs=NEEDS)
    columns = ("cohort", "after_temperature", "scans", "mean_probability", "share_covid", "share_low", "share_high")
    rows: list[Cells] = []
    parts = []
    for one in beyond.calibrations:
        for after, bins in ((False, one.bins), (True, one.bins_after)):
            shares = [each.share(beyond.level) for each in bins]
            rows += [
                (_cohort(one.task), after, each.rows, each.mean_score, share.value, share.low, share.high)
                for each, share in zip(bins, shares, strict=True)
            ]
        shown_bins = tuple(
            (shown_number(each.mean_score), str(each.rows), shown(each.share(beyond.level))) for each in one.bins
        )
        heading = ("Mean probability", "Scans", "Share of COVID-19")
        parts.append(Part(title=f"{_RELIABILITY}, {_cohort(one.task)}", columns=heading, rows=shown_bins))
    return Sheet(
        name="reliability", title=_RELIABILITY, columns=columns, rows=tuple(rows), parts=tuple(parts), shown_parts=0
    )


# --- decision curve ----------------------------------------------------------------------------------------------


def _decision_sheet(beyond: Beyond) -> Sheet:
    if not beyond.curves:
        return Sheet(name="decision_curve", title=_DECISION, needs=NEEDS)
    columns = ("cohort", "threshold", "net_benefit", "net_benefit_of_everybody", "avoided_per_scan")
    rows = tuple(
        (cohort, one.threshold, one.by_score, one.of_everybody, one.avoided)
        for cohort, curve in beyond.curves.items()
        for one in curve
    )
    part = Part(
        title=_DECISION,
        columns=("", "Acting from the probability", "Net benefit", "Of acting on everybody", "Avoided per 100 scans"),
        rows=tuple(
            (
                *(cohort, f"{one.threshold:.2f}", shown_number(one.by_score), shown_number(one.of_everybody)),
                shown_number(100 * one.avoided, 1),
            )
            for cohort, curve in beyond.curves.items()
            for one in curve
            if one.threshold in SHOWN_THRESHOLDS
        ),
        notes=(
            "Net benefit: found cases a scan less false alarms a scan, each false alarm weighing what the threshold "
            "says (at 0.10 a ninth of a case). Acting on nobody is 0. It is worth something only above both.",
            "The share of COVID-19 is that of the cohort's test scans, and far higher than in a clinic.",
        ),
    )
    return Sheet(name="decision_curve", title=_DECISION, columns=columns, rows=rows, parts=(part,))
