"""Reading tables strictly: every fault with its line and column, in one sentence, before anything is computed.

Columns that a table does not know are left alone. Cells are stripped; an empty one is None.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from math import isfinite
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final, TypeVar

from aicorona_desktop.evaluation.errors import EvaluationError

Parse = Callable[[str], Any]
"""From the text of a cell that is not empty to its value; ValueError says what it must be."""

LARGEST_BYTES: Final = 256 * 1024 * 1024
SHOWN: Final = 20
LARGEST_COUNT: Final = 10_000_000

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a table: the line in the file (1 is the header; 0: no line), and what."""

    line: int
    sentence: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.sentence}" if self.line else self.sentence


class TableError(EvaluationError):
    """A table can't be used as it is; `faults` names all that is wrong, in the order of lines."""

    def __init__(self, what: str, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
        shown = [*map(str, self.faults[:SHOWN]), *(["..."] if len(self.faults) > SHOWN else [])]
        count = "a fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n  ".join([f"{what} has {count}:", *shown]))


def read_rows(
    path: Path, what: str, columns: Mapping[str, Parse], never_empty: Collection[str], may_lack: Collection[str] = ()
) -> list[tuple[int, dict[str, Any]]]:
    """Return the rows of a table with their lines in the file; each row has every column, None where it is empty.

    Args:
        path: the file: CSV, UTF-8, with a header.
        what: what it is, as a sentence begins, such as "readers.csv".
        columns: how each column is read.
        never_empty: columns whose cells must not be empty.
        may_lack: columns that may be missing altogether.

    Raises:
        TableError: it can't be read, or a cell is not what it must be.
    """
    faults: list[Fault] = []
    rows = list(rows_of(content_of(path, faults), columns, never_empty, may_lack, faults))
    if faults:
        raise TableError(what, faults)
    return rows


def content_of(path: Path, faults: list[Fault]) -> bytes:
    """Return the bytes of a table; what is wrong goes to `faults`."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
    except OSError:
        faults.append(Fault(0, "The file could not be read; is the name right?"))
        return b""
    if len(data) > LARGEST_BYTES:
        faults.append(Fault(0, "The file is larger than any table of this kind."))
    return data


def rows_of(
    data: bytes,
    columns: Mapping[str, Parse],
    never_empty: Collection[str],
    may_lack: Collection[str],
    faults: list[Fault],
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a table as `read_rows` returns them; a row with a fault has None in the place of its value.

    What is wrong goes to `faults`; where there is something before, nothing is read.
    """
    if faults:
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.append(Fault(line, "The text is not UTF-8; save the table as CSV in UTF-8."))
        return
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        faults += [Fault(1, f"The column {name} is missing.") for name in columns if name not in {*header, *may_lack}]
        faults += [Fault(1, f"The column {name} stands twice.") for name in columns if header.count(name) > 1]
        if faults:
            return
        line = lines.line_num + 1
        for cells in lines:
            if len(cells) == len(header):
                yield line, _row(dict(zip(header, cells, strict=True)), columns, never_empty, line, faults)
            elif cells:  # an empty line is none
                faults.append(Fault(line, f"There are {len(cells)} cells, where the header has {len(header)}."))
            line = lines.line_num + 1
    except csv.Error as error:
        faults.append(Fault(lines.line_num, f"This is not CSV ({error})."))


def _row(
    cells: Mapping[str, str], columns: Mapping[str, Parse], never_empty: Collection[str], line: int, faults: list[Fault]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, parse in columns.items():
        text = cells.get(name, "").strip()
        values[name] = None
        if not text and name in never_empty:
            faults.append(Fault(line, f"{name} must not be empty."))
        elif text:
            try:
                values[name] = parse(text)
            except ValueError as error:
                faults.append(Fault(line, f"{name} {error}"))
    return values


# --- cells -------------------------------------------------------------------------------------------------------


def text_cell(text: str) -> str:
    """Return printable text."""
    if not text.isprintable() or len(text) > 4096:
        raise ValueError("must be printable text of a reasonable length.")
    return text


def one_of(*names: str) -> Callable[[str], str]:
    """Return how a cell is read that holds one of some words."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"must be one of {', '.join(names)}.")
        return text

    return parse


def choice(kind: type[_Choice]) -> Callable[[str], _Choice]:
    """Return how a cell is read that holds one word of an enumeration."""

    def parse(text: str) -> _Choice:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"must be one of {', '.join(filter(None, kind))}.") from None

    return parse


def whole(lowest: int, highest: int = LARGEST_COUNT) -> Callable[[str], int]:
    """Return how a cell is read that holds a whole number within limits."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and lowest <= int(text) <= highest):
            raise ValueError(f"must be a whole number from {lowest} to {highest}.")
        return int(text)

    return parse


def number(lowest: float, highest: float) -> Callable[[str], float]:
    """Return how a cell is read that holds a number within limits."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (isfinite(value) and lowest <= value <= highest) or "_" in text:
            raise ValueError(f"must be a number with a decimal point, from {lowest:g} to {highest:g}.")
        return value

    return parse


def yes_or_no(text: str) -> bool:
    """Return whether a cell says 1."""
    return one_of("0", "1")(text) == "1"


def day(text: str) -> date:
    """Return a date such as 2020-03-31."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:  # fromisoformat takes weeks and dates without strokes as well
        raise ValueError("must be a date such as 2020-03-31.")
    return found


def moment(text: str) -> datetime:
    """Return a time such as 2020-03-31T14:05:00, with or without a zone."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a time such as 2020-03-31T14:05:00.") from None


def inside_path(text: str) -> str:
    """Return a path that stays below its folder, on every system."""
    parts = PurePosixPath(text).parts
    outside = text.startswith("/") or PureWindowsPath(text).drive or ".." in parts or "\\" in text
    if outside or not text.isprintable():
        raise ValueError("must be relative, with / between folders, and stay below the folder of the data.")
    return text
