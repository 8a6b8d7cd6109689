"""cases.csv: the scans whose slices and maps are drawn in Figures 6 and 7.

Source: paper-spec 13.2; the columns are ours, as the paper gives none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aicorona_desktop.evaluation.manifest import Fault
from aicorona_desktop.evaluation.predictions import write_table
from aicorona_desktop.evaluation.strict_csv import Parse, TableError, one_of, read_rows, text_cell, whole

FIGURES = ("6", "7")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One scan of a figure; its images lie at the manifest's `path`.

    `slice_index` counts from 0 at the feet; None: the slice that speaks most for COVID-19.
    """

    figure: str
    panel: str
    scan_id: str
    slice_index: int | None = None
    note: str = ""


_COLUMNS: Mapping[str, Parse] = {
    "figure": one_of(*FIGURES),
    "panel": text_cell,
    "scan_id": text_cell,
    "slice_index": whole(0, 100_000),
    "note": text_cell,
}
COLUMNS = tuple(_COLUMNS)


def read_cases(path: Path) -> tuple[Case, ...]:
    """Read the list of cases, in the order in which they are drawn.

    Raises:
        TableError: the file can't be read, or a row is not what it must be; each with its line.
    """
    rows = read_rows(path, "cases.csv", _COLUMNS, ("figure", "panel", "scan_id"), ("slice_index", "note"))
    first: dict[tuple[str, str], int] = {}
    faults = []
    for line, values in rows:
        key = values["figure"], values["panel"]
        if first.setdefault(key, line) != line:
            faults.append(Fault(line, f"panel stands in line {first[key]} already, for the same figure."))
    if faults:
        raise TableError("cases.csv", faults)
    return tuple(Case(**{**values, "note": values["note"] or ""}) for _, values in rows)


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Write a list of cases, whole or not at all.

    Raises:
        OSError: it can't be written; what was there before is untouched.
    """
    write_table(path, COLUMNS, ([getattr(case, name) for name in COLUMNS] for case in cases))
