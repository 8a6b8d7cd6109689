"""Hashes that show a change made outside the program: over one row, and over a chain of rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

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
