"""Everything that the tables, figures and the page are made of, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import nan

import numpy as np

from aicorona_desktop.evaluation.manifest import Cohort, Split
from aicorona_desktop.evaluation.report.answers import Answers, Wishes, answers_of
from aicorona_desktop.evaluation.report.callers import F1, Caller, callers_of
from aicorona_desktop.evaluation.report.inputs import Inputs
from aicorona_desktop.evaluation.report.paired import Compared, aided_unaided, readers_model
from aicorona_desktop.evaluation.rtpcr import Best, Days, Series, best_day, by_day, over_time
from aicorona_desktop.evaluation.tasks import Task, load_tasks

PAPER_SCANS = 357
"""Scans of the MDH test set, which Table 2 is about."""


@dataclass(frozen=True, slots=True)
class Pcr:
    """RT-PCR over time, and its best day."""

    days: Days
    series: Series
    best: Best | None


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long the scans of a list took: in all, and one."""

    scans: int
    total: float
    median: float = nan
    mean: float = nan
    low: float = nan  # 5th percentile
    high: float = nan  # 95th
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """The inputs, what was said in them, and the rows of the tables by task."""

    inputs: Inputs
    wishes: Wishes
    f1: F1
    made_on: date
    answers: Answers
    pcr: Pcr | None
    callers: Mapping[str, tuple[Caller, ...]]
    aided_unaided: tuple[Compared, ...]
    readers_model: tuple[Compared, ...]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The questions, in the order of the tables."""
        return self.answers.tasks

    def task(self, table: str) -> Task:
        """Return the question of a table, such as "3a"."""
        return next(task for task in self.tasks if task.table == table)

    def mdh_test_scans(self) -> frozenset[str]:
        """Return the scans of the MDH test set."""
        return frozenset(
            row.scan_id for row in self.inputs.rows if row.cohort is Cohort.MDH and row.split is Split.TEST
        )


def study_of(inputs: Inputs, wishes: Wishes, f1: F1, today: date) -> Study:
    """Compute what a folder's files say.

    Raises:
        EvaluationError: a part of it can't be computed, such as RT-PCR without an eligible subject.
    """
    tasks = tuple(task for task in load_tasks() if task.table)
    answers = answers_of(inputs, tasks, wishes, today)
    pcr = _pcr(inputs, wishes)
    best = pcr.best if pcr else None
    return Study(
        inputs,
        wishes,
        f1,
        today,
        answers,
        pcr,
        {task.id: callers_of(answers, task, wishes, best) for task in tasks},
        aided_unaided(answers, wishes.level),
        readers_model(answers, wishes.level),
    )


def model_seconds(study: Study) -> Seconds | None:
    """Return the model's seconds on the MDH test set; None where no time is known."""
    scans = study.mdh_test_scans()
    timed = [
        one
        for one in study.inputs.predictions or ()
        if one.scan_id in scans and one.status == "ok" and one.ms_total is not None
    ]
    if not timed:
        return None
    seconds = np.array([one.ms_total for one in timed], dtype=np.float64) / 1000
    low, median, high = np.quantile(seconds, [0.05, 0.5, 0.95]).tolist()
    devices = tuple(dict.fromkeys(one.device for one in timed if one.device))
    return Seconds(len(timed), float(seconds.sum()), median, float(seconds.mean()), low, high, devices)


def reader_seconds(study: Study) -> dict[str, Seconds]:
    """Return the active seconds of each pass on the MDH test set, by its name; passes without times are left out."""
    scans = study.mdh_test_scans()
    found = {}
    for one in study.answers.passes:
        seconds = [row.seconds for row in one.rows if row.scan_id in scans and row.seconds is not None]
        if seconds:
            found[one.name] = Seconds(len(seconds), sum(seconds), *np.quantile(seconds, [0.5]).tolist())
    return found


def _pcr(inputs: Inputs, wishes: Wishes) -> Pcr | None:
    if not inputs.pcr_tests:
        return None
    days = by_day(inputs.pcr_tests)
    series = over_time(days, level=wishes.level)
    return Pcr(days, series, best_day(days, series, seed=wishes.seed, level=wishes.level))
