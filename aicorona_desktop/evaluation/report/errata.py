"""What is known to be wrong in the paper, as footnotes of what it touches.

Source: paper-spec 14; `resources/evaluation/errata.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from aicorona_desktop.core.places import resources_dir
from aicorona_desktop.evaluation.errors import EvaluationError

FILE = "errata.csv"
MOST_TABLES = 4
"""What touches more tables than these is told once, at the end."""


@dataclass(frozen=True, slots=True)
class Erratum:
    """One finding; `tables` and `figures` are those that it touches."""

    number: int
    place: str
    finding: str
    evidence: str
    resolution: str
    tables: tuple[str, ...]
    figures: tuple[str, ...]

    def __str__(self) -> str:
        return f"Erratum {self.number} ({self.place}): {self.finding}; {self.evidence}. Here: {self.resolution}."


@lru_cache(maxsize=1)
def errata() -> tuple[Erratum, ...]:
    """Return all of them, by their numbers.

    Raises:
        EvaluationError: the file is not there, or damaged.
    """
    try:
        with (resources_dir() / "evaluation" / FILE).open(encoding="utf-8", newline="") as stream:
            return tuple(_erratum(line) for line in csv.DictReader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError) as error:
        raise EvaluationError("The list of errata is missing or damaged; install again.") from error


def of_table(name: str) -> tuple[str, ...]:
    """Return what is wrong about a table, such as "3a"; what holds for most tables by its number only."""
    found = [one for one in errata() if name in one.tables]
    general = [str(one.number) for one in found if len(one.tables) > MOST_TABLES]
    notes = tuple(str(one) for one in found if len(one.tables) <= MOST_TABLES)
    return (*notes, f"Errata of most tables: {', '.join(general)}, at the end.") if general else notes


def of_figure(name: str) -> tuple[str, ...]:
    """Return what is wrong about a figure, such as "4"."""
    return tuple(str(one) for one in errata() if name in one.figures)


def _erratum(line: Mapping[str, str]) -> Erratum:
    return Erratum(
        int(line["number"]),
        line["place"],
        line["finding"],
        line["evidence"],
        line["resolution"],
        tuple(line["tables"].split()),
        tuple(line["figures"].split()),
    )
