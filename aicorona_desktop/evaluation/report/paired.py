"""Paired comparisons: each reader aided against unaided, and each reader against the model.

The family of Holm's adjustment is what one table says of one figure (paper-spec 8.4, 8.6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.comparisons import Discordant, Judged, judged, paired
from aicorona_desktop.evaluation.report.answers import Answers, Bools, pairs_of
from aicorona_desktop.evaluation.tasks import Task

FIGURES = ("sensitivity", "specificity", "accuracy")


@dataclass(frozen=True, slots=True)
class Compared:
    """Two callers on the same scans, by one figure; the difference is the first's share less the second's."""

    task: Task
    first: str
    second: str
    figure: str
    discordant: Discordant
    difference: Interval
    judged: Judged


def aided_unaided(answers: Answers, level: float = 0.95) -> tuple[Compared, ...]:
    """Return aided against unaided of every reader with one pass of each."""

    def pairs(task: Task) -> list[_Pair]:
        by_pass = {one.read.name: one for one in answers.readers.get(task.id, ())}
        found = []
        for unaided, aided in pairs_of(answers.passes):
            one, other = by_pass.get(aided.name), by_pass.get(unaided.name)
            if one is not None and other is not None:
                first = _calls(one.scan_ids, one.truth, one.calls)
                second = _calls(other.scan_ids, other.truth, other.calls)
                found.append(_Pair(aided.name, unaided.name, first, second))
        return found

    return _compared(answers.tasks, pairs, level)


def readers_model(answers: Answers, level: float = 0.95) -> tuple[Compared, ...]:
    """Return every pass of every reader against the model's calls at its operating point, on the scans of both."""

    def pairs(task: Task) -> list[_Pair]:
        model = answers.model.get(task.id)
        if model is None or model.calls is None:
            return []
        by_model = _calls(model.scan_ids, model.truth, model.calls)
        return [
            _Pair(one.read.name, "ai-corona", _calls(one.scan_ids, one.truth, one.calls), by_model)
            for one in answers.readers.get(task.id, ())
        ]

    return _compared(answers.tasks, pairs, level)


_Calls = dict[str, tuple[bool, bool]]
"""Truth and call of each scan."""


@dataclass(frozen=True, slots=True)
class _Pair:
    first: str
    second: str
    calls_of_first: _Calls
    calls_of_second: _Calls

    def discordant(self) -> dict[str, Discordant]:
        shared = [scan for scan in self.calls_of_first if scan in self.calls_of_second]
        truth = np.array([self.calls_of_first[scan][0] for scan in shared], dtype=np.bool_)
        first, second = (
            np.array([calls[scan][1] for scan in shared], dtype=np.bool_)
            for calls in (self.calls_of_first, self.calls_of_second)
        )
        found = paired(truth, first, second)
        return {"sensitivity": found.sensitivity, "specificity": found.specificity, "accuracy": found.accuracy}


def _calls(scans: Sequence[str], truth: Bools, calls: Bools) -> _Calls:
    return dict(zip(scans, zip(truth.tolist(), calls.tolist(), strict=True), strict=True))


def _compared(tasks: Sequence[Task], pairs: Callable[[Task], list[_Pair]], level: float) -> tuple[Compared, ...]:
    found = []
    for task in tasks:
        counted = [(pair, pair.discordant()) for pair in pairs(task)]
        for figure in FIGURES:
            family = judged([discordant[figure].mcnemar_exact for _, discordant in counted])
            found += [
                Compared(task, pair.first, pair.second, figure, each[figure], each[figure].difference(level), verdict)
                for (pair, each), verdict in zip(counted, family, strict=True)
            ]
    return tuple(found)
