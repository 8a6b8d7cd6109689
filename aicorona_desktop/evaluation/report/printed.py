"""The paper's printed numbers, with what could be derived from them.

Source: paper-spec 13.4; `resources/paper-tables.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import nan

from aicorona_desktop.core.places import resources_dir
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.metrics import Counts

FILE = "paper-tables.csv"
MODEL, RTPCR = "ai-corona", "RT-PCR"
EXTERNAL = ("Zhang et al. [24]", "Jin et al. [26]")


@dataclass(frozen=True, slots=True)
class Printed:
    """One cell of a table; NaN where nothing is printed. `counts` and `recomputed` were derived from it."""

    table: str
    row: str
    metric: str
    interval: Interval
    task: str
    counts: Counts | None
    recomputed: float
    status: str
    note: str


@lru_cache(maxsize=1)
def printed() -> tuple[Printed, ...]:
    """Return all cells, in the order of the tables.

    Raises:
        EvaluationError: the file is not there, or damaged.
    """
    try:
        with (resources_dir() / FILE).open(encoding="utf-8", newline="") as stream:
            return tuple(_cell(line) for line in csv.DictReader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError) as error:
        raise EvaluationError("The table of the paper's numbers is missing or damaged; install again.") from error


def of_row(table: str, row: str) -> Mapping[str, Printed]:
    """Return the cells of one row by their metric; empty where the paper has no such row."""
    return {cell.metric: cell for cell in printed() if (cell.table, cell.row) == (table, row)}


def _cell(line: Mapping[str, str]) -> Printed:
    known = all(line[name] for name in ("TP", "FN", "FP", "TN"))
    counts = Counts(int(line["TP"]), int(line["FN"]), int(line["FP"]), int(line["TN"])) if known else None
    return Printed(
        line["table"],
        line["row"],
        line["metric"],
        Interval(_number(line["value"]), _number(line["low"]), _number(line["high"]), "as printed"),
        line["task"],
        counts,
        _number(line["recomputed"]),
        line["status"],
        line["note"],
    )


def _number(text: str) -> float:
    return float(text) if text else nan
