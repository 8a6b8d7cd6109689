"""How the ledger is opened: locked, checked, replaced when broken, brought to this version's form, or only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from aicorona_desktop import __version__
from aicorona_desktop.core.drives import is_on_network
from aicorona_desktop.core.space import FLOOR_WRITE_BYTES
from aicorona_desktop.history import backup, migrations, standing
from aicorona_desktop.history.connection import (
    APPLICATION_ID,
    NOT_OPENED,
    NOT_OURS,
    Connect,
    HistoryError,
    WriterLock,
    create_file,
    is_damage,
    is_sound,
    journal_mode,
    one_number,
    open_file,
)
from aicorona_desktop.history.values import time_text

NEWER = "The history was written by a newer version of this program; it is opened for reading only, nothing is scored."
NOT_MIGRATED = (
    "The history could not be brought to this version's form; it is opened for reading only, nothing is scored."
)
FOLDER_CLOSED = "The folder of the history can't be written; it is opened for reading only, nothing is scored."
ASKED_FOR = "The history was opened for reading only."
NO_HISTORY = "There is no history yet."
DAMAGED = "The history is damaged; start the program that writes it, which puts a backup in its place."
ON_NETWORK = "The history can't lie on a network drive, where it can break; choose a folder on a disk of this computer."

THOROUGH_EVERY = timedelta(days=7)
CHECKED_AT = "history checked thoroughly at"  # a key of the settings


class _DamagedError(Exception):
    """The file is not readable as a whole: a backup must take its place."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection, and what goes with it: the lock of the writer, or the reason why there is none."""

    connection: sqlite3.Connection
    lock: WriterLock | None
    read_only_because: str = ""
    notices: tuple[str, ...] = ()


def open_for_reading(path: Path, connect: Connect, because: str, notices: tuple[str, ...] = ()) -> Opened:
    """Open what is there, without a change.

    Raises:
        HistoryError: it is missing, not ours, or can't be read.
    """
    backup.require_ours(path)
    if not path.exists():
        raise HistoryError(NO_HISTORY)
    try:
        connection = _in_this_form(_opened_if(path, connect, (_require_ours, _require_begun), writing=False))
    except sqlite3.Error as error:
        raise HistoryError(DAMAGED if is_damage(error) else NOT_OPENED) from error
    return Opened(connection, None, because, notices)


def _in_this_form(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a ledger as this version reads it: one of an older version as a passing copy, its file left alone."""
    if migrations.version_of(connection) >= len(migrations.STEPS) and not standing.is_unsettled(connection):
        return connection
    # A file of SQLite's own that has no name and is gone when it is closed.
    copy = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    try:
        copy.row_factory = sqlite3.Row
        connection.backup(copy)
        with suppress(sqlite3.Error):  # then it is read as far as it came
            migrations.migrate(copy)
        standing.settle_unsettled(copy)
    except BaseException:
        copy.close()
        raise
    finally:
        connection.close()
    return copy


def nearly_full(free_bytes: int) -> str:
    """Return why nothing may be written on a disk with so many free bytes, or ""."""
    if free_bytes >= FLOOR_WRITE_BYTES:
        return ""
    free, needed = free_bytes // 1_000_000, FLOOR_WRITE_BYTES // 1_000_000
    return f"The disk is nearly full ({free} MB free, {needed} needed): nothing more is written; viewing goes on."


def open_for_writing(path: Path, now: datetime, connect: Connect, free_bytes: int = FLOOR_WRITE_BYTES) -> Opened:
    """Open as the one writer; make the ledger if it is missing. Read only where it must not be changed.

    Raises:
        HistoryError: another program writes it; it is not ours, on a network drive, or can't be opened; or
            the disk is nearly full and there is none yet. Nothing has been touched then.
    """
    backup.require_ours(path)
    if is_on_network(path.parent):
        raise HistoryError(ON_NETWORK)
    if because := nearly_full(free_bytes):
        if path.exists():
            return open_for_reading(path, connect, because)
        raise HistoryError(because)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = WriterLock(path)
    except OSError as error:
        if path.exists():
            return open_for_reading(path, connect, FOLDER_CLOSED)
        raise HistoryError(NOT_OPENED) from error
    try:
        connection, notices = _open_sound(path, now, connect)
        because = _made_ready(connection, path, now)
    except (sqlite3.Error, OSError) as error:
        lock.release()
        raise HistoryError(NOT_OPENED) from error
    except BaseException:
        lock.release()
        raise
    if not because:
        return Opened(connection, lock, "", notices)
    connection.close()
    lock.release()
    return open_for_reading(path, connect, because, notices)


def _open_sound(path: Path, now: datetime, connect: Connect) -> tuple[sqlite3.Connection, tuple[str, ...]]:
    """Open a file that holds together: this one, or what takes its place, with a sentence about that."""
    notices: tuple[str, ...] = ()
    if not path.exists() or not path.stat().st_size:  # cut to nothing is as good as gone
        copy = backup.newest_good(path)
        if copy is not None:
            backup.replace_ledger(path, copy.path, now, "missing")
            notices = (f"The history was missing. {_put_back(copy)}",)
        elif not path.exists():
            create_file(path)
    try:
        return _open_checked(path, now, connect), notices
    except _DamagedError:
        copy = backup.newest_good(path)
        backup.replace_ledger(path, copy.path if copy else None, now, "damaged")
        if copy is None:
            create_file(path)
        what = _put_back(copy) if copy else "There was no backup, so an empty one was started."
        notices = (f"The history was damaged and has been set aside. {what}",)
    try:
        return _open_checked(path, now, connect), notices
    except _DamagedError as error:
        raise HistoryError(DAMAGED) from error


def _put_back(copy: backup.Copy) -> str:
    return (
        f"The backup of {copy.made_at:%Y-%m-%d %H:%M} UTC has taken its place;"
        " what was recorded after it is missing from it."
    )


def _open_checked(path: Path, now: datetime, connect: Connect) -> sqlite3.Connection:
    """Open the file and look whether it is ours and sound; harder after an end that was not clean, and weekly."""
    try:
        return _opened_if(path, connect, (_require_ours, partial(_require_sound, now=now)), writing=True)
    except sqlite3.Error as error:
        if is_damage(error):
            raise _DamagedError from error
        raise


def _opened_if(
    path: Path, connect: Connect, checks: Iterable[Callable[[sqlite3.Connection], None]], *, writing: bool
) -> sqlite3.Connection:
    """Open a file and let the checks look at it; what one of them raises closes it again."""
    connection = open_file(path, writing=writing, connect=connect)
    try:
        for check in checks:
            check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_ours(connection: sqlite3.Connection) -> None:
    application = one_number(connection, "PRAGMA application_id")
    is_empty = application == 0 and one_number(connection, "SELECT count(*) FROM sqlite_schema") == 0
    if application != APPLICATION_ID and not is_empty:
        raise HistoryError(NOT_OURS)


def _require_begun(connection: sqlite3.Connection) -> None:
    if migrations.version_of(connection) == 0:
        raise HistoryError(NO_HISTORY)


def _require_sound(connection: sqlite3.Connection, now: datetime) -> None:
    if not is_sound(connection, thorough=_thorough_is_due(connection, now)):
        raise _DamagedError


def _thorough_is_due(connection: sqlite3.Connection, now: datetime) -> bool:
    """Whether the last end was not clean, or the last thorough check is a week old; so also when the clock jumped."""
    if not _ended_cleanly(connection):
        return True
    if migrations.version_of(connection) == 0:
        return False
    found = connection.execute("SELECT value FROM setting WHERE key = ?", (CHECKED_AT,)).fetchone()
    return found is None or abs(now - datetime.fromisoformat(found[0])) >= THOROUGH_EVERY


def _ended_cleanly(connection: sqlite3.Connection) -> bool:
    if migrations.version_of(connection) == 0:
        return True
    newest = connection.execute("SELECT closed_at FROM session ORDER BY sequence DESC LIMIT 1").fetchone()
    return newest is None or newest[0] is not None


def _made_ready(connection: sqlite3.Connection, path: Path, now: datetime) -> str:
    """Begin to write: journal, missing steps, session; return why nothing may be written instead, or ""."""
    try:
        if migrations.is_newer(connection):
            return NEWER
        if migrations.version_of(connection) == 0:
            # Before all else, and before the write-ahead log: from the first byte on, the file says whose it is.
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA journal_mode={journal_mode()}").fetchone()
        because = _brought_up_to_date(connection, path, now)
        if not because:
            _begin_session(connection, now)
    except BaseException:
        connection.close()
        raise
    return because


def _begin_session(connection: sqlite3.Connection, now: datetime) -> None:
    # Still as it was when the file was checked; one that is new has nothing to check.
    if _thorough_is_due(connection, now):
        connection.execute(
            "INSERT OR REPLACE INTO setting (key, value, changed_at, changed_by) VALUES (?, ?, ?, '')",
            (CHECKED_AT, time_text(now), time_text(now)),
        )
    connection.execute(
        "INSERT INTO session (opened_at, application_version) VALUES (?, ?)", (time_text(now), __version__)
    )


def _brought_up_to_date(connection: sqlite3.Connection, path: Path, now: datetime) -> str:
    """Take the missing steps, after a backup; return why that failed, or ""."""
    version = migrations.version_of(connection)
    try:
        if version < len(migrations.STEPS):
            if version:
                backup.make(connection, path, now)
            migrations.migrate(connection)
        standing.settle_for_this_version(connection, now)
    except (sqlite3.Error, HistoryError):
        if version == 0:
            raise
        return NOT_MIGRATED
    return ""
