"""Hashes that show a change made outside the program: over one row, over a chain of rows, and in a second file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from aicorona_desktop.core.durable import ONLY_OURS, sync_folder

Plain = str | int | float | None
FIRST = "0" * 64


def row_sha256(values: Sequence[Plain | Sequence[Plain]]) -> str:
    """Return the SHA-256 over values in their order; a float counts with all its bits."""
    text = json.dumps(values, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def first_break(chain: Iterable[tuple[int, Sequence[Plain], str, str]]) -> int | None:
    """Return the number of the first row that was changed, or that follows a missing one; None when all hold.

    `chain` gives (number, values, hash of the row before, hash of this row) in order. Rows taken from the
    end leave no trace here: the newest hash must be kept elsewhere to notice that.
    """
    previous = FIRST
    for number, values, stated_previous, stated in chain:
        if stated_previous != previous or stated != row_sha256([previous, *values]):
            return number
        previous = stated
    return None


class AuditFile:
    """The audit as lines of JSON in a file beside the ledger, only ever appended to (design D17).

    A line is on the disk before its row is committed, so a crash, or a write that failed, can leave a line that
    no row has; the line after it then has the same `previous_sha256`.
    """

    def __init__(self, ledger: Path) -> None:
        self.path = ledger.with_name(ledger.name + ".audit.jsonl")

    def append(self, entry: Mapping[str, Plain]) -> None:
        """Add a line and have the disk keep it; raises OSError."""
        line = json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        with open(self.path, "a+b", opener=partial(os.open, mode=ONLY_OURS)) as stream:
            is_new = not stream.tell()
            # A line that a crash cut short stays alone.
            stream.write(line if is_new or self._last_byte(stream) == b"\n" else b"\n" + line)
            stream.flush()
            os.fsync(stream.fileno())
        if is_new:
            sync_folder(self.path.parent)

    def ends_with(self, row_sha256: str) -> bool:
        """Whether the newest whole line is this one, or one after it that was never committed; raises OSError."""
        try:
            lines = self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return row_sha256 == FIRST
        newest = next((entry for entry in map(_entry, reversed(lines)) if entry), {})
        return row_sha256 in (newest.get("row_sha256", FIRST), newest.get("previous_sha256", FIRST))

    @staticmethod
    def _last_byte(stream: BinaryIO) -> bytes:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1)


def _entry(line: bytes) -> dict[str, Plain]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
