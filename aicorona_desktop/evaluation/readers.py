"""readers.csv: what readers said of scans, one row a reading; written by the reader study, read by `evaluate`.

Source: paper-spec 12, 13.3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from aicorona_desktop.evaluation.manifest import CLASSES, Fault
from aicorona_desktop.evaluation.predictions import write_table
from aicorona_desktop.evaluation.strict_csv import (
    Parse,
    TableError,
    moment,
    number,
    one_of,
    read_rows,
    text_cell,
    whole,
    yes_or_no,
)
from aicorona_desktop.evaluation.tasks import Reading

LEVELS = ("senior", "junior", "resident", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRow:
    """One reading; the names, kinds and order are the columns of paper-spec 13.3. None and "" are empty cells.

    `reading_pass` is the column `pass`. `seconds` is active time; `idle_cut` says that idle time was taken off.
    """

    reader_id: str
    reader_level: str
    years: int | None = None
    scan_id: str
    reading_pass: int
    aided: bool
    order_index: int
    chunk: int
    started_at: datetime | None = None
    seconds: float | None = None
    idle_cut: bool = False
    yes_normal: bool
    yes_cp: bool
    yes_covid: bool
    call: str = ""
    confidence_covid: float | None = None
    shown_p_covid: float | None = None
    map_opened: bool | None = None
    changed: bool = False
    note: str = ""

    @property
    def reading(self) -> Reading:
        """What was said, as tasks take it."""
        return Reading((self.yes_normal, self.yes_cp, self.yes_covid))


_COLUMNS: Mapping[str, Parse] = {
    "reader_id": text_cell,
    "reader_level": one_of(*LEVELS),
    "years": whole(0, 80),
    "scan_id": text_cell,
    "pass": whole(1, 2),
    "aided": yes_or_no,
    "order_index": whole(1),
    "chunk": whole(1),
    "started_at": moment,
    "seconds": number(0, 1e6),
    "idle_cut": yes_or_no,
    "yes_normal": yes_or_no,
    "yes_cp": yes_or_no,
    "yes_covid": yes_or_no,
    "call": one_of(*CLASSES),
    "confidence_covid": number(0, 100),
    "shown_p_covid": number(0, 1),
    "map_opened": yes_or_no,
    "changed": yes_or_no,
    "note": text_cell,
}
COLUMNS = tuple(_COLUMNS)
_NEVER_EMPTY = (
    *("reader_id", "reader_level", "scan_id", "pass", "aided", "order_index", "chunk"),
    *("yes_normal", "yes_cp", "yes_covid"),
)
_FIELDS = tuple(field.name for field in fields(ReaderRow))
_WITH_DEFAULT = frozenset({"idle_cut", "changed", "call", "note"})


def read_readers(path: Path) -> tuple[ReaderRow, ...]:
    """Read and check readings.

    Raises:
        TableError: the file can't be read, or rows break the rules of paper-spec 13.3; each with its line.
    """
    lines = read_rows(path, "readers.csv", _COLUMNS, _NEVER_EMPTY)
    rows = [(line, _row(values)) for line, values in lines]
    faults = [*_faults_of_rows(rows), *_faults_of_all(rows)]
    if faults:
        raise TableError("readers.csv", faults)
    return tuple(row for _, row in rows)


def write_readers(path: Path, rows: Iterable[ReaderRow]) -> None:
    """Write readings, whole or not at all.

    Raises:
        OSError: they can't be written; what was there before is untouched.
    """
    write_table(path, COLUMNS, ([_cell(getattr(row, name)) for name in _FIELDS] for row in rows))


def _row(values: Mapping[str, Any]) -> ReaderRow:
    named = {"reading_pass" if name == "pass" else name: value for name, value in values.items()}
    return ReaderRow(**{name: value for name, value in named.items() if value is not None or name not in _WITH_DEFAULT})


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _faults_of_rows(rows: Iterable[tuple[int, ReaderRow]]) -> Iterator[Fault]:
    for line, row in rows:
        if row.call != row.reading.call:
            right = row.reading.call or "empty, as there is not exactly one Yes"
            yield Fault(line, f"call must be {right}.")
        if row.shown_p_covid is not None and not row.aided:
            yield Fault(line, "shown_p_covid must be empty, as aided is 0.")


def _faults_of_all(rows: Iterable[tuple[int, ReaderRow]]) -> Iterator[Fault]:
    """What two rows can't both say: the same reading, the same place in an order, two kinds of one reader or pass."""
    scans: dict[tuple[str, str, int], int] = {}
    places: dict[tuple[str, int, int], int] = {}
    levels: dict[str, set[str]] = defaultdict(set)
    for line, row in rows:
        first = scans.setdefault((row.reader_id, row.scan_id, row.reading_pass), line)
        if first != line:
            yield Fault(line, f"scan_id stands in line {first} already, for the same reader and pass.")
        first = places.setdefault((row.reader_id, row.reading_pass, row.order_index), line)
        if first != line:
            yield Fault(line, f"order_index stands in line {first} already, for the same reader and pass.")
        if levels[row.reader_id] and row.reader_level not in levels[row.reader_id]:
            yield Fault(line, f"reader_level of this reader is {min(levels[row.reader_id])} in a line above.")
        levels[row.reader_id].add(row.reader_level)
