"""The questions of the evaluation as data: which scans, what is positive, by which score, how a reader's call counts.

They stand in a file, `resources/evaluation/tasks.toml`, not in code; a site may bring its own.

Source: paper-spec 9; the rules for readers 7.4.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from aicorona_desktop.core.places import resources_dir
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import CLASS_OF_LABEL, CLASSES, LABELS, Cohort, ManifestRow, Split
from aicorona_desktop.evaluation.metrics import share_of_pair

FILE = "tasks.toml"
_FIELDS = ("id", "title", "cohort", "split", "positive", "negative", "score", "reader_rule")
_OPTIONAL = ("table", "auc_table", "figure")


class ScoreKind(StrEnum):
    """Which number of the three probabilities answers the question."""

    P = "p"  # the probability of the positive classes
    PAIR = "pair"  # the same, given that it is one of the positive or negative classes


class ReaderRule(StrEnum):
    """When a reader's call counts as positive."""

    IS_POSITIVE = "is_positive"  # a positive class was named
    NOT_NEGATIVE = "not_negative"  # no negative class was named


@dataclass(frozen=True, slots=True)
class Task:
    """One question. `positive` and `negative` are labels of the annotators; the rest says where the paper has it.

    `cohort` None takes scans of every cohort: for a site's own data.
    """

    id: str
    title: str
    cohort: Cohort | None
    split: Split
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    score: ScoreKind
    reader_rule: ReaderRule
    table: str = ""
    auc_table: str = ""
    figure: str = ""

    def rows(self, rows: Iterable[ManifestRow]) -> tuple[ManifestRow, ...]:
        """Return the rows of a manifest that the question is about, in their order."""
        return tuple(row for row in rows if self.is_about(row))

    def is_about(self, row: ManifestRow) -> bool:
        """Whether a row is of the question's cohort and split, and of one of its labels."""
        asked = self.cohort in (None, row.cohort) and row.split is self.split
        return asked and row.label_raw in (*self.positive, *self.negative)

    def truth(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Return which of these labels are positive, as bool [rows].

        Raises:
            ValueError: a label is neither positive nor negative here.
        """
        strangers = set(labels) - {*self.positive, *self.negative}
        if strangers:
            raise ValueError(f"the task {self.id} says nothing of {sorted(strangers)}")
        return np.array([label in self.positive for label in labels], dtype=np.bool_)

    def scores(
        self, probabilities: NDArray[np.floating[Any]], logits: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.float64]:
        """Return the score of each row, 0 to 1, as [rows].

        Args:
            probabilities: [rows, 3], in the order normal, cp, covid.
            logits: [rows, 3], where they are known: pairs keep their precision where both probabilities vanish.

        Raises:
            ValueError: the shapes are others.
        """
        _check(probabilities, logits)
        ups = _columns(self.positive)
        if self.score is ScoreKind.P:
            return np.asarray(np.sum(probabilities[:, ups], axis=1, dtype=np.float64))
        if logits is not None:
            return np.asarray(expit(self._difference(logits)), dtype=np.float64)
        return share_of_pair(np.asarray(probabilities, dtype=np.float64), ups, _columns(self.negative))

    def log_odds(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the logit of the score as [rows]: the same order, without the ties of rounding near 0 and 1."""
        _check(logits, None)
        if self.score is ScoreKind.PAIR:
            return self._difference(logits)
        ups = _columns(self.positive)
        rest = [column for column in range(len(CLASSES)) if column not in ups]
        return np.subtract(_log_sum(logits, ups), _log_sum(logits, rest))

    def _difference(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        return np.subtract(_log_sum(logits, _columns(self.positive)), _log_sum(logits, _columns(self.negative)))

    def reader_calls(self, readings: Sequence[Reading]) -> NDArray[np.bool_]:
        """Return which readings count as positive, as bool [rows].

        Without exactly one Yes the reader's own Yes or No for the class in question counts.
        """
        decides = self.positive if self.reader_rule is ReaderRule.IS_POSITIVE else self.negative
        columns = _columns(decides)
        named = np.array([any(reading.yes[column] for column in columns) for reading in readings], dtype=np.bool_)
        return named if self.reader_rule is ReaderRule.IS_POSITIVE else ~named


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader said of a scan: Yes or No for normal, cp (which is nca in MDH) and covid."""

    yes: tuple[bool, bool, bool]

    @classmethod
    def of_call(cls, call: str) -> Reading:
        """Return the reading that names one class, or, with "", none.

        Raises:
            ValueError: there is no such class.
        """
        if call and call not in CLASSES:
            raise ValueError(f"{call!r} is none of {CLASSES}")
        normal, cp, covid = (call == name for name in CLASSES)
        return cls((normal, cp, covid))

    @property
    def call(self) -> str:
        """The class, where there is exactly one Yes; else ""."""
        return CLASSES[self.yes.index(True)] if sum(self.yes) == 1 else ""


def ambiguity_warning(readings: Sequence[Reading]) -> str:
    """Return a sentence where readings have no Yes or several; "" where each names one class."""
    none = sum(not any(reading.yes) for reading in readings)
    several = sum(sum(reading.yes) > 1 for reading in readings)
    if not none and not several:
        return ""
    return f"Of {len(readings)} readings {none} have no Yes and {several} have several: they name no single class."


# --- the file ----------------------------------------------------------------------------------------------------


def tasks_file() -> Path:
    """Return where the program's own tasks stand."""
    return resources_dir() / "evaluation" / FILE


def load_tasks(path: Path | None = None) -> tuple[Task, ...]:
    """Return the tasks of a file, the program's own without one, in its order.

    Raises:
        EvaluationError: it can't be read, or a task in it is not what it must be.
    """
    try:
        content = tomllib.loads((path or tasks_file()).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EvaluationError("The file of tasks could not be read.") from error
    entries = content.get("task")
    if not isinstance(entries, list) or not entries:
        raise EvaluationError("The file of tasks names none.")
    tasks = tuple(_task(entry, number) for number, entry in enumerate(entries, 1))
    twice = {task.id for task in tasks if [other.id for other in tasks].count(task.id) > 1}
    if twice:
        raise EvaluationError(f"The file of tasks names {min(twice)} twice.")
    return tasks


def task_named(name: str, tasks: Sequence[Task] | None = None) -> Task:
    """Return the task with this id.

    Raises:
        EvaluationError: there is none.
    """
    for task in load_tasks() if tasks is None else tasks:
        if task.id == name:
            return task
    raise EvaluationError(f"There is no task {name!r}.")


def _task(entry: object, number: int) -> Task:
    where = f"Task {number} in the file of tasks"
    if not isinstance(entry, dict) or not all(name in entry for name in _FIELDS):
        raise EvaluationError(f"{where} needs {', '.join(_FIELDS)}.")
    strangers = set(entry) - {*_FIELDS, *_OPTIONAL}
    if strangers:
        raise EvaluationError(f"{where} has {min(strangers)!r}, which means nothing here.")
    try:
        return _checked(entry)
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"{where} is not right: {error}.") from error


def _checked(entry: Mapping[str, Any]) -> Task:
    texts = {name: entry.get(name, "") for name in ("id", "title", *_OPTIONAL)}
    if not all(isinstance(text, str) for text in texts.values()) or not texts["id"]:
        raise ValueError("id, title, table and figure must be texts, and the id not empty")
    positive, negative = _labels(entry["positive"]), _labels(entry["negative"])
    if set(positive) & set(negative):
        raise ValueError("a label can't be positive and negative")
    score = ScoreKind(entry["score"])
    if score is ScoreKind.PAIR and set(_columns(positive)) & set(_columns(negative)):
        raise ValueError("a pair needs labels of different classes")
    return Task(
        cohort=Cohort(entry["cohort"]) if entry["cohort"] else None,
        split=Split(entry["split"]),
        positive=positive,
        negative=negative,
        score=score,
        reader_rule=ReaderRule(entry["reader_rule"]),
        **texts,
    )


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(label in LABELS for label in value):
        raise ValueError(f"labels must be a list of {', '.join(LABELS)}")
    return tuple(value)


def _columns(labels: Sequence[str]) -> list[int]:
    """The model's columns of these labels, each once; `non_pneumonia` is normal or cp."""
    classes = {
        name for label in labels for name in ((CLASS_OF_LABEL[label],) if CLASS_OF_LABEL[label] else CLASSES[:2])
    }
    return sorted(CLASSES.index(name) for name in classes)


def _log_sum(logits: NDArray[np.floating[Any]], columns: list[int]) -> NDArray[np.float64]:
    return np.asarray(logsumexp(np.asarray(logits, dtype=np.float64)[:, columns], axis=1), dtype=np.float64)


def _check(values: NDArray[np.floating[Any]], logits: NDArray[np.floating[Any]] | None) -> None:
    if values.ndim != 2 or values.shape[1] != len(CLASSES):
        raise ValueError(f"expected [rows, {len(CLASSES)}], got {values.shape}")
    if logits is not None and logits.shape != values.shape:
        raise ValueError(f"expected logits of the shape {values.shape}, got {logits.shape}")
