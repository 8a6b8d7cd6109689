"""The history as a table of CSV, with or without what names a patient; the file is whole or not there."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from aicorona_desktop.core.durable import ONLY_OURS, write_file
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.lanes import Policy
from aicorona_desktop.core.rows import Row
from aicorona_desktop.history.store import Filter, History

PAGE = 500

IDENTITY = ("patient_name", "patient_id", "patient_birth_date", "accession_number", "institution_name")
"""What hidden mode covers (ux.md 12.2); texts and UIDs, in which names are met, go with them."""
FREE_TEXT = ("study_instance_uid", "study_description", "note")
PLAIN = (
    *("code", "patient_age_years", "patient_sex", "study_date", "study_time", "received_at", "state"),
    *("p_normal", "p_cp", "p_covid", "preliminary", "half_spread", "rests_on_one_slice", "doubtful"),
    *("unlike_training_data", "slices_scored", "slices_total", "findings", "pack", "pack_status", "provider"),
    *("impression", "co_rads", "action", "read_by", "read_at", "outcome", "rt_pcr", "removed_at"),
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class TableError(AicoronaError):
    """The table could not be written."""


def columns(*, with_identity: bool) -> tuple[str, ...]:
    """Return the names of the columns; fixed English keys, so that a file reads the same everywhere."""
    return (*IDENTITY, *FREE_TEXT, *PLAIN) if with_identity else PLAIN


def write_table(
    history: History,
    path: Path,
    *,
    wanted: Filter,
    policy: Policy,
    now: datetime,
    code: Callable[[Row], str],
    with_identity: bool,
    stopped: Callable[[], bool] = lambda: False,
) -> int | None:
    """Write the wanted studies, newest first, as UTF-8 that spreadsheets recognise; return how many, None if stopped.

    Args:
        history: where they are read, page by page.
        path: the file; it is replaced at once, after all is on the disk.
        wanted: which studies.
        policy: decides who differs from the model.
        now: the moment of the lanes.
        code: the code that stands for the patient of a row.
        with_identity: whether names, numbers and free texts are in it.
        stopped: looked at between two pages.

    Raises:
        TableError: the file could not be written; what stood there is untouched.
        HistoryError: the history can't be read.
    """
    stream = io.StringIO(newline="")
    names = columns(with_identity=with_identity)
    writer = csv.DictWriter(stream, names, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    count = 0
    for row in _rows(history, wanted, policy, now):
        if stopped():
            return None
        cells = _cells(row, code(row)) | {"co_rads": _co_rads(history, row)}
        writer.writerow({name: _safe(value) for name, value in cells.items()})
        count += 1
    try:
        write_file(path, stream.getvalue().encode("utf-8-sig", "replace"), ONLY_OURS)
    except OSError as error:
        raise TableError("The table could not be written; is the disk full or the folder closed?") from error
    return count


def _rows(history: History, wanted: Filter, policy: Policy, now: datetime) -> Iterator[Row]:
    after: int | None = None
    while True:
        page = history.page(after, PAGE, wanted, now=now, policy=policy)
        yield from page.rows
        after = page.next_key
        if after is None:
            return


def _cells(row: Row, code: str) -> dict[str, object]:
    plain = {name: getattr(row, name) for name in (*IDENTITY, *FREE_TEXT, *PLAIN) if hasattr(row, name)}
    normal, cp, covid = row.probabilities or (None, None, None)
    return plain | {
        "code": code,
        "state": row.state.value,
        "p_normal": normal,
        "p_cp": cp,
        "p_covid": covid,
        "findings": " ".join(one.reason.code for one in row.findings),
    }


def _co_rads(history: History, row: Row) -> int | None:
    if row.read_at is None:
        return None
    said = [one for one in history.verdicts(row.study_instance_uid) if not one.taken_back]
    by_reader = [one for one in said if one.initials.casefold() == row.read_by.casefold()]
    return by_reader[-1].co_rads if by_reader else None


def _safe(value: object) -> str:
    """Return a cell as text; one from a file must not become a formula in a spreadsheet."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value).replace("\0", "")
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
