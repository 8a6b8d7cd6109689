"""What the model and the readers said on each task: the rows that everything else is made of.

Source: paper-spec 7.4, 9, 10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import inf, isinf
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.evaluation.assessment import Assessment, assess
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.intervals import Method
from aicorona_desktop.evaluation.manifest import ManifestRow, Split
from aicorona_desktop.evaluation.metrics import Counts, counts_of, roc, with_failures
from aicorona_desktop.evaluation.operating_points import (
    Point,
    Rule,
    StoredPoint,
    apply_stored,
    choose,
    store,
)
from aicorona_desktop.evaluation.predictions import Prediction
from aicorona_desktop.evaluation.readers import ReaderRow
from aicorona_desktop.evaluation.report.inputs import MANIFEST, POINTS, PREDICTIONS, Inputs
from aicorona_desktop.evaluation.tasks import Task

FIGURES: Final = ("sensitivity", "specificity", "f1", "hm_se_sp", "kappa")
"""What the tables show of a caller; `hm_se_sp` is what the paper prints as F1 of its model."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

_NAMES: Final = {
    "senior1": ("Senior 1", "Senior 1+AI"),
    "senior2": ("Senior 2", "Senior 2+AI"),
    "junior": ("Junior", "Junior+AI"),
    "resident": ("R. resident", "R.res.+AI"),
}
_LEVELS: Final = ("senior", "junior", "resident", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How the figures are to be made.

    `rounds` is of the bootstrap by subject beside the plain intervals; 0: none.
    """

    level: float = 0.95
    method: Method = Method.JEFFREYS
    rounds: int = 2000
    seed: int = 0
    rule: Rule = Rule.A


@dataclass(frozen=True, slots=True, eq=False)
class ModelAnswers:
    """The model on one task: its scored scans, and what is made of them.

    `threshold` is that of the operating point, None without one, when `calls` is None too; `notes` say what has to be
    known of the numbers. `failed` are the truths of the scans that got no score.
    """

    task: Task
    scan_ids: tuple[str, ...]
    truth: Bools
    scores: Floats
    assessment: Assessment
    threshold: float | None
    calls: Bools | None
    failed: Bools
    without_row: int
    notes: tuple[str, ...]

    @property
    def counts(self) -> Counts | None:
        """The table at the operating point."""
        return None if self.calls is None else counts_of(self.truth, self.calls)

    @property
    def failed_as_wrong(self) -> Counts | None:
        """The same with the failed scans counted as called wrong."""
        counts = self.counts
        if counts is None:
            return None
        return with_failures(counts, int(self.failed.sum()), int((~self.failed).sum()))


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of one reader."""

    reader_id: str
    level: str
    number: int
    aided: bool
    name: str
    rows: tuple[ReaderRow, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReaderAnswers:
    """One pass of one reader on one task; `calls` of `scan_ids`, whose truth is `truth`. `unread` scans have no row."""

    task: Task
    read: Pass
    scan_ids: tuple[str, ...]
    truth: Bools
    calls: Bools
    unread: int

    @property
    def counts(self) -> Counts:
        """The 2 x 2 table."""
        return counts_of(self.truth, self.calls)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Everything that was said, by task. `chosen` are the points that were chosen here, none where they were given."""

    tasks: tuple[Task, ...]
    passes: tuple[Pass, ...]
    model: Mapping[str, ModelAnswers]
    model_needs: Mapping[str, str]  # of tasks that the model has no answers on: what for
    readers: Mapping[str, tuple[ReaderAnswers, ...]]
    chosen: tuple[StoredPoint, ...] = ()
    truths: Mapping[str, str] = field(default_factory=dict)  # label_raw of each scan


def answers_of(inputs: Inputs, tasks: Sequence[Task], wishes: Wishes, today: date) -> Answers:
    """Join the files.

    Args:
        inputs: of a study.
        tasks: what is asked.
        wishes: how intervals are made, and which operating point counts.
        today: for points that are chosen here.
    """
    passes = passes_of(inputs.readers or ())
    chosen = _chosen(inputs, tasks, wishes, today) if inputs.points is None else ()
    points = inputs.points if inputs.points is not None else chosen
    model: dict[str, ModelAnswers] = {}
    needs: dict[str, str] = {}
    by_scan = {one.scan_id: one for one in inputs.predictions or ()}
    for task in tasks:
        rows = task.rows(inputs.rows)
        found = _model_answers(task, rows, by_scan, points, wishes) if rows else None
        if found is None:
            needs[task.id] = _model_need(inputs, task, rows)
        else:
            model[task.id] = found
    readers = {task.id: _reader_answers(task, task.rows(inputs.rows), passes) for task in tasks}
    truths = {row.scan_id: row.label_raw for row in inputs.rows}
    return Answers(tuple(tasks), passes, model, needs, readers, chosen, truths)


def passes_of(rows: Sequence[ReaderRow]) -> tuple[Pass, ...]:
    """Return the passes, by level of the reader, then in the order in which readers come, unaided before aided."""
    groups: dict[tuple[str, int, bool], list[ReaderRow]] = {}
    for row in rows:
        groups.setdefault((row.reader_id, row.reading_pass, row.aided), []).append(row)
    of_kind = Counter((reader, aided) for reader, _, aided in groups)
    first = {row.reader_id: number for number, row in reversed(list(enumerate(rows)))}
    order = sorted(groups, key=lambda key: (_LEVELS.index(groups[key][0].reader_level), first[key[0]], key[2], key[1]))
    found = []
    for reader, number, aided in order:
        unaided_name, aided_name = _NAMES.get(reader, (reader, f"{reader}+AI"))
        name = aided_name if aided else unaided_name
        if of_kind[reader, aided] > 1:
            name = f"{name} (pass {number})"
        members = tuple(groups[reader, number, aided])
        found.append(Pass(reader, members[0].reader_level, number, aided, name, members))
    return tuple(found)


def pairs_of(passes: Sequence[Pass]) -> tuple[tuple[Pass, Pass], ...]:
    """Return (unaided, aided) of each reader who has one pass of each."""
    found = []
    for reader in dict.fromkeys(one.reader_id for one in passes):
        unaided = [one for one in passes if one.reader_id == reader and not one.aided]
        aided = [one for one in passes if one.reader_id == reader and one.aided]
        if len(unaided) == len(aided) == 1:
            found.append((unaided[0], aided[0]))
    return tuple(found)


# --- readers -----------------------------------------------------------------------------------------------------


def _reader_answers(task: Task, rows: Sequence[ManifestRow], passes: Sequence[Pass]) -> tuple[ReaderAnswers, ...]:
    found = []
    for one in passes:
        read = {row.scan_id: row.reading for row in one.rows}
        known = [row for row in rows if row.scan_id in read]
        if known:
            truth = task.truth([row.label_raw for row in known])
            calls = task.reader_calls([read[row.scan_id] for row in known])
            scans = tuple(row.scan_id for row in known)
            found.append(ReaderAnswers(task, one, scans, truth, calls, len(rows) - len(known)))
    return tuple(found)


# --- the model ---------------------------------------------------------------------------------------------------


def task_scores(task: Task, predictions: Sequence[Prediction]) -> Floats:
    """Return the score of each prediction that is ok; from logits where all have them."""
    probabilities = np.array([one.probabilities for one in predictions], dtype=np.float64).reshape(-1, 3)
    logits: NDArray[Any] | None = None
    if all(one.logits is not None for one in predictions):
        logits = np.array([one.logits for one in predictions], dtype=np.float64).reshape(-1, 3)
    return task.scores(probabilities, logits)


def _model_answers(
    task: Task,
    rows: Sequence[ManifestRow],
    by_scan: Mapping[str, Prediction],
    points: Sequence[StoredPoint],
    wishes: Wishes,
) -> ModelAnswers | None:
    """Return the answers; None where there are none of both kinds."""
    found = [(row, by_scan[row.scan_id]) for row in rows if row.scan_id in by_scan]
    scored = [(row, one) for row, one in found if one.status == "ok"]
    truth = task.truth([row.label_raw for row, _ in scored])
    if not truth.any() or truth.all():
        return None
    failed = task.truth([row.label_raw for row, one in found if one.status == "failed"])
    scans = tuple(row.scan_id for row, _ in scored)
    scores = task_scores(task, [one for _, one in scored])
    stored, notes = _point(task, points, scored[0][1].model_hash, wishes.rule)
    if stored is not None:
        notes += apply_stored(stored, scored[0][1].model_hash, scans, scores, truth).warnings
    threshold = None if stored is None else stored.point.threshold
    assessment = assess(
        scores,
        truth,
        inf if threshold is None else threshold,
        [row.subject_id for row, _ in scored] if wishes.rounds else None,
        level=wishes.level,
        method=wishes.method,
        rounds=wishes.rounds,
        seed=wishes.seed,
        only=() if threshold is None else FIGURES,
    )
    without = len(rows) - len(found)
    if without:
        notes += (f"{without} of {len(rows)} scans have no row in {PREDICTIONS}.",)
    if len(failed):
        notes += (f"{len(failed)} of {len(rows)} scans failed and have no score.",)
    calls = None if threshold is None else scores >= threshold
    return ModelAnswers(task, scans, truth, scores, assessment, threshold, calls, failed, without, notes)


def _point(
    task: Task, points: Sequence[StoredPoint], model_hash: str, rule: Rule
) -> tuple[StoredPoint | None, tuple[str, ...]]:
    """Return the point of a task for this very model, or why there is none."""
    of_task = [one for one in points if one.task == task.id and one.point.rule is rule]
    if not of_task:
        return None, (f"There is no operating point of rule {rule} for this task: needs {POINTS}.",)
    of_model = [one for one in of_task if one.model_sha256 == model_hash]
    try:
        (of_model or of_task)[0].for_model(model_hash)
    except EvaluationError as error:
        return None, (str(error),)
    if isinf(of_model[0].point.threshold):
        return None, (of_model[0].point.why_not,)
    return of_model[0], ()


def _chosen(inputs: Inputs, tasks: Sequence[Task], wishes: Wishes, today: date) -> tuple[StoredPoint, ...]:
    """Choose points on the tuning rows of each task's cohort, where no file brings them."""
    by_scan = {one.scan_id: one for one in inputs.predictions or () if one.status == "ok"}
    found = []
    for task in tasks:
        rows = [row for row in inputs.rows if _is_for_tuning(task, row) and row.scan_id in by_scan]
        truth = task.truth([row.label_raw for row in rows])
        if not truth.any() or truth.all():
            continue
        scored = [by_scan[row.scan_id] for row in rows]
        scores = task_scores(task, scored)
        point: Point = choose(wishes.rule, roc(scores, truth))
        scans = [row.scan_id for row in rows]
        model = scored[0].model_hash
        found.append(
            store(task.id, point, scan_ids=scans, scores=scores, truth=truth, model_sha256=model, chosen_on=today)
        )
    return tuple(found)


def _is_for_tuning(task: Task, row: ManifestRow) -> bool:
    in_cohort = task.cohort in (None, row.cohort) and row.split is Split.TUNE
    return in_cohort and row.label_raw in (*task.positive, *task.negative)


def _model_need(inputs: Inputs, task: Task, rows: Sequence[ManifestRow]) -> str:
    if inputs.manifest is None:
        return MANIFEST
    if inputs.predictions is None:
        return PREDICTIONS
    where = f"of the split {task.split} of {task.cohort or 'any cohort'}"
    return f"scans {where} in {MANIFEST}" if not rows else f"scored scans {where} of both kinds in {PREDICTIONS}"
