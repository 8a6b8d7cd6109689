"""Whole copies of the ledger: made and proved, kept seven deep, put back."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aicorona_desktop.history.connection import (
    APPLICATION_ID,
    NOT_OPENED,
    NOT_OURS,
    SIDECARS,
    HistoryError,
    WriterLock,
    create_file,
    is_sound,
    one_number,
    open_file,
    says_it_is_ours,
    sync,
)

KEEP = 7
EVERY = timedelta(days=1)
STAMP = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True, order=True)
class Copy:
    """One backup; `number` counts up for ever and tells the order, since clocks jump."""

    number: int
    made_at: datetime
    path: Path


def copies(path: Path) -> tuple[Copy, ...]:
    """Return the backups of a ledger, oldest first."""
    name = re.compile(re.escape(path.stem) + r"-(\d{6,})-(\d{8}T\d{12}Z)\.sqlite3")
    found = ((name.fullmatch(file.name), file) for file in _folder(path).glob("*.sqlite3"))
    return tuple(
        sorted(
            Copy(int(match[1]), datetime.strptime(match[2], STAMP).replace(tzinfo=UTC), file)
            for match, file in found
            if match
        )
    )


def is_due(path: Path, now: datetime) -> bool:
    """Whether the newest backup is a day old, or there is none; a clock set back makes one due as well."""
    made = copies(path)
    return not made or abs(now - made[-1].made_at) >= EVERY


def make(connection: sqlite3.Connection, path: Path, now: datetime) -> Path:
    """Copy the ledger as it stands, prove the copy, keep it; the oldest over seven goes.

    Raises:
        HistoryError: the copy could not be made or proved; the ledger and older copies are as they were.
    """
    folder = _folder(path)
    part = folder / f"{path.stem}.part"
    number = max((copy.number for copy in copies(path)), default=0) + 1
    final = folder / f"{path.stem}-{number:06}-{now.astimezone(UTC).strftime(STAMP)}.sqlite3"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        create_file(part)
        connection.execute("VACUUM INTO ?", (part.absolute().as_uri(),))
        if not is_good(part):
            raise HistoryError("The backup of the history could not be read back; it was not kept.")
        sync(part)
        part.replace(final)
        sync(final)
    except (sqlite3.Error, OSError) as error:
        raise HistoryError("The backup of the history could not be written; is the disk full?") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    for old in copies(path)[:-KEEP]:
        with suppress(OSError):
            old.path.unlink()
    return final


def is_good(copy: Path) -> bool:
    """Whether a file is a ledger of ours that holds together."""
    try:
        with closing(open_file(copy, writing=False)) as connection:
            ours = one_number(connection, "PRAGMA application_id") == APPLICATION_ID
            return ours and is_sound(connection, thorough=True)
    except sqlite3.Error:
        return False


def newest_good(path: Path) -> Copy | None:
    """Return the newest backup that can be read back."""
    return next((copy for copy in reversed(copies(path)) if is_good(copy.path)), None)


def require_ours(path: Path) -> None:
    """Prove that what stands at the ledger's place is a ledger, new (0 bytes), missing, or has backups of its name.

    Nothing is touched: before this, no lock may be taken, and without it nothing may be set aside.

    Raises:
        HistoryError: it is something else, or can't be read.
    """
    try:
        if not path.exists():
            return
        if not path.is_file():
            raise HistoryError(NOT_OPENED)
        if path.stat().st_size and not says_it_is_ours(path) and not copies(path):
            raise HistoryError(NOT_OURS)
    except OSError as error:
        raise HistoryError(NOT_OPENED) from error


def replace_ledger(path: Path, copy: Path | None, now: datetime, why: str) -> Path:
    """Set the ledger aside and put a copy (or nothing) in its place; return the name it has now.

    Nothing is repaired or removed, and the copy is whole on the disk before anything is renamed. What SQLite
    keeps beside the file is renamed first: a journal left behind would be played into the next file of that name.
    """
    part = path.with_name(path.name + ".part")
    if copy is not None:
        part.unlink(missing_ok=True)
        create_file(part)
        shutil.copyfile(copy, part)
        sync(part)
    aside = path.with_name(f"{path.name}.{why}-{now.astimezone(UTC).strftime(STAMP)}")
    for suffix in (*SIDECARS, ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    if copy is not None:
        part.replace(path)
        sync(path)
    return aside


def restore(path: Path, copy: Path, now: datetime) -> Path:
    """Put a backup in the ledger's place; return where the ledger that stood there was set aside.

    Raises:
        HistoryError: the ledger is in use or not ours, or the backup can't be read; nothing has changed then.
    """
    require_ours(path)
    try:
        lock = WriterLock(path)
        try:
            if not is_good(copy):
                raise HistoryError("This backup can't be read, or is no history of this program; nothing was changed.")
            return replace_ledger(path, copy, now, "replaced")
        finally:
            lock.release()
    except OSError as error:
        raise HistoryError("The backup could not be put in place: the folder can't be written.") from error


def _folder(path: Path) -> Path:
    return path.with_name(path.name + ".backups")
