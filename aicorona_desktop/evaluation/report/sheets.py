"""One table as it is written (CSV, every digit) and shown (HTML, three digits, intervals beside values)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from aicorona_desktop.core.durable import write_file

Cells = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is shown under one heading: texts, and what has to be said below them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table. `needs` names what it can't be made without, and then there are no rows."""

    name: str  # of the file, without .csv
    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[Cells, ...] = ()
    parts: tuple[Part, ...] = ()
    needs: tuple[str, ...] = field(default=())
    shown_parts: int = 99  # the others are folded away

    @property
    def available(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.rows)


def write_sheet(folder: Path, sheet: Sheet) -> None:
    """Write a table as CSV, whole or not at all; one that is not available says what it needs.

    Raises:
        OSError: it can't be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    if sheet.available:
        writer.writerow(sheet.columns)
        writer.writerows([_cell(value) for value in row] for row in sheet.rows)
    else:
        writer.writerow(["not available"])
        writer.writerow([f"needs {', '.join(sheet.needs)}"])
    write_file(folder / f"{sheet.name}.csv", stream.getvalue().encode())


def once(notes: Sequence[str]) -> tuple[str, ...]:
    """Return notes, each once, without empty ones."""
    return tuple(dict.fromkeys(note for note in notes if note))


def _cell(value: object) -> object:
    """None, NaN and infinity are empty cells; truth is 1 or 0."""
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return ""
    return int(value) if isinstance(value, bool) else value
