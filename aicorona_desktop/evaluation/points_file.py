"""Operating points on the disk: one CSV row a task and rule, with all that says where a point comes from.

Source: paper-spec 10, 13.3.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from math import isfinite, isnan
from pathlib import Path
from typing import Final

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.metrics import Counts
from aicorona_desktop.evaluation.operating_points import Demands, Point, Rule, StoredPoint

LARGEST_BYTES: Final = 4 * 1024 * 1024
_HASH_DIGITS = frozenset("0123456789abcdef")

_COLUMNS: Mapping[str, Callable[[StoredPoint], object]] = {
    "task": lambda stored: stored.task,
    "rule": lambda stored: stored.point.rule.value,
    "demanded_specificity": lambda stored: stored.point.demands.specificity,
    "demanded_sensitivity": lambda stored: stored.point.demands.sensitivity,
    "prevalence": lambda stored: stored.point.demands.prevalence,
    "missed_to_false": lambda stored: stored.point.demands.missed_to_false,
    "threshold": lambda stored: stored.point.threshold,
    "logit": lambda stored: stored.point.logit,
    "cost": lambda stored: stored.point.cost,
    "why_not": lambda stored: stored.point.why_not,
    "TP": lambda stored: stored.point.counts.true_positives,
    "FN": lambda stored: stored.point.counts.false_negatives,
    "FP": lambda stored: stored.point.counts.false_positives,
    "TN": lambda stored: stored.point.counts.true_negatives,
    "n": lambda stored: stored.rows,
    "P": lambda stored: stored.positives,
    "N": lambda stored: stored.negatives,
    "sensitivity": lambda stored: stored.point.sensitivity.value,
    "sensitivity_low": lambda stored: stored.point.sensitivity.low,
    "sensitivity_high": lambda stored: stored.point.sensitivity.high,
    "specificity": lambda stored: stored.point.specificity.value,
    "specificity_low": lambda stored: stored.point.specificity.low,
    "specificity_high": lambda stored: stored.point.specificity.high,
    "auc": lambda stored: stored.auc,
    "tuning_sha256": lambda stored: stored.tuning_sha256,
    "model_sha256": lambda stored: stored.model_sha256,
    "chosen_on": lambda stored: stored.chosen_on.isoformat(),
    "software_version": lambda stored: stored.software_version,
}


def write_points(path: Path, points: Iterable[StoredPoint]) -> None:
    """Write points: the old file stays whole until the new one is on the disk. Numbers keep every digit.

    Raises:
        EvaluationError: two are of the same task, rule and model, or the file can't be written.
    """
    rows = tuple(points)
    _refuse_twice(rows)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([_cell(value(stored)) for value in _COLUMNS.values()] for stored in rows)
    try:
        write_file(path, stream.getvalue().encode())
    except OSError as error:
        raise EvaluationError("The operating points could not be written; is the disk full?") from error


def read_points(path: Path) -> tuple[StoredPoint, ...]:
    """Return the points of a file, in its order, whichever model they are for: `StoredPoint.for_model` refuses.

    Raises:
        EvaluationError: it can't be read, or a row is not what it must be.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise EvaluationError("The file is larger than any file of operating points.")
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError("The operating points could not be read.") from error
    points = tuple(_stored(row, line) for line, row in enumerate(rows, 2))
    _refuse_twice(points)
    return points


def point_for(points: Iterable[StoredPoint], task: str, model_sha256: str, rule: Rule = Rule.A) -> Point:
    """Return the point of a task that may be used with this very model.

    Raises:
        EvaluationError: there is none, it is for another model, or it was found to be of no use.
    """
    of_task = [stored for stored in points if stored.task == task and stored.point.rule is rule]
    if not of_task:
        raise EvaluationError(f"There is no operating point of rule {rule.value} for the task {task}.")
    of_model = [stored for stored in of_task if stored.model_sha256 == model_sha256] or of_task
    point = of_model[0].for_model(model_sha256)
    if point.why_not:
        raise EvaluationError(point.why_not)
    return point


def _stored(row: Mapping[str, str | None], line: int) -> StoredPoint:
    try:
        stored = _parsed({name: (row.get(name) or "").strip() for name in _COLUMNS})
    except ValueError as error:
        raise EvaluationError(f"Line {line} of the operating points is not right: {error}.") from error
    if (stored.rows, stored.positives, stored.negatives) != (
        stored.point.counts.total,
        stored.point.counts.positives,
        stored.point.counts.negatives,
    ):
        raise EvaluationError(f"Line {line} of the operating points contradicts itself in n, P or N.")
    return stored


def _parsed(cells: Mapping[str, str]) -> StoredPoint:
    demands = Demands(
        _finite(cells, "demanded_specificity"),
        _finite(cells, "demanded_sensitivity"),
        _finite(cells, "prevalence"),
        _finite(cells, "missed_to_false"),
    )
    threshold = _number(cells, "threshold")
    if isnan(threshold):
        raise ValueError("threshold is missing")
    point = Point(
        Rule(cells["rule"]),
        demands,
        threshold,
        Counts(*(_whole(cells, name) for name in ("TP", "FN", "FP", "TN"))),
        _number(cells, "cost"),
        cells["why_not"],
    )
    if not cells["task"]:
        raise ValueError("task is missing")
    return StoredPoint(
        cells["task"],
        point,
        _sha256(cells, "tuning_sha256"),
        _sha256(cells, "model_sha256"),
        _whole(cells, "n"),
        _whole(cells, "P"),
        _whole(cells, "N"),
        date.fromisoformat(cells["chosen_on"]),
        _number(cells, "auc"),
        cells["software_version"],
    )


def _refuse_twice(points: tuple[StoredPoint, ...]) -> None:
    keys = [stored.key for stored in points]
    if len(set(keys)) < len(keys):
        raise EvaluationError("There are two operating points of the same task, rule and model.")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if isnan(value) else repr(value)
    return str(value)


def _number(cells: Mapping[str, str], name: str) -> float:
    text = cells[name]
    if not text:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} is not a number") from None


def _finite(cells: Mapping[str, str], name: str) -> float:
    number = _number(cells, name)
    if not isfinite(number):
        raise ValueError(f"{name} is missing")
    return number


def _whole(cells: Mapping[str, str], name: str) -> int:
    if not cells[name].isdecimal():
        raise ValueError(f"{name} is not a whole number")
    return int(cells[name])


def _sha256(cells: Mapping[str, str], name: str) -> str:
    text = cells[name].lower()
    if len(text) != 64 or not _HASH_DIGITS.issuperset(text):
        raise ValueError(f"{name} is not a SHA-256")
    return text
