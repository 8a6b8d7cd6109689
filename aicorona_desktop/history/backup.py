"""Whole copies of the ledger: made and proved, kept seven deep, in a second place if wished, put back."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aicorona_desktop.core.durable import sync_folder
from aicorona_desktop.history import migrations, recording
from aicorona_desktop.history.audit import AuditFile, Plain
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
from aicorona_desktop.history.values import time_text

KEEP = 7
EVERY = timedelta(days=1)
STAMP = "%Y%m%dT%H%M%S%fZ"
RESTORED_FROM = "history restored from"
"""A key of the settings: the backup that was put in place, until the files it doesn't know have been read again."""

NOT_WRITTEN = "The backup of the history could not be written; is the disk full?"
NOT_READ_BACK = "The backup of the history could not be read back; it was not kept."
NOT_THERE = "The second place for backups can't be reached or written; the backup beside the history is made."
UNREADABLE = "This backup can't be read, or is no history of this program; nothing was changed."
TOO_NEW = "This backup was written by a newer version of this program; start that version. Nothing was changed."

_ONE_AT_A_TIME = threading.RLock()  # the daily one and one from the menu may meet


@dataclass(frozen=True, slots=True, order=True)
class Copy:
    """One backup; `number` counts up for ever and tells the order, since clocks jump."""

    number: int
    made_at: datetime
    path: Path


@dataclass(frozen=True, slots=True)
class Affected:
    """What a ledger holds that a backup does not: what will be missing from the list when it is put back.

    `since` is when the backup was made, `until` the newest entry of the ledger, both aware UTC; studies and people's
    answers that were recorded in between.
    """

    since: datetime
    until: datetime
    studies: int
    verdicts: int


def copies(path: Path) -> tuple[Copy, ...]:
    """Return the backups of a ledger, oldest first."""
    return copies_in(_folder(path), path.stem)


def copies_in(folder: Path, stem: str) -> tuple[Copy, ...]:
    """Return the backups of the ledger of a name in one folder, oldest first."""
    name = re.compile(re.escape(stem) + r"-(\d{6,})-(\d{8}T\d{12}Z)\.sqlite3")
    found = ((name.fullmatch(file.name), file) for file in folder.glob("*.sqlite3"))
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


def make(
    connection: sqlite3.Connection,
    path: Path,
    now: datetime,
    alone: threading.RLock | None = None,
) -> Path:
    """Copy the ledger as it stands, prove the copy, keep it; the oldest over seven goes.

    Args:
        connection: the one that writes the ledger.
        path: the ledger's file.
        now: the present moment, aware.
        alone: held while the ledger is read, and no longer: nothing waits for the proof of the copy.

    Raises:
        HistoryError: the copy could not be made or proved; the ledger and older copies are as they were.
    """
    with _ONE_AT_A_TIME:
        folder = _folder(path)
        part = folder / f"{path.stem}.part"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(folder.parent)
            part.unlink(missing_ok=True)
            create_file(part)
            with alone or _ONE_AT_A_TIME:
                connection.execute("VACUUM INTO ?", (part.absolute().as_uri(),))
            if not is_good(part):
                raise HistoryError(NOT_READ_BACK)
            number = max((copy.number for copy in copies(path)), default=0) + 1
            final = folder / f"{path.stem}-{number:06}-{now.astimezone(UTC).strftime(STAMP)}.sqlite3"
            sync(part)
            part.replace(final)
            sync(final)
        except (sqlite3.Error, OSError) as error:
            raise HistoryError(NOT_WRITTEN) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        _thin(copies(path))
        return final


def copy_to(copy: Path, folder: Path, stem: str) -> Path:
    """Put a backup into a second folder as well, prove it there, keep seven there too; return the file.

    Raises:
        HistoryError: the folder isn't there, is full or closed, or gave back something else; older ones stand.
    """
    final, part = folder / copy.name, folder / f"{copy.name}.part"
    if final.exists() and is_good(final):
        return final
    try:
        if not folder.is_dir():
            raise HistoryError(NOT_THERE)
        part.unlink(missing_ok=True)
        create_file(part)
        shutil.copyfile(copy, part)
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        if not is_good(part):
            raise HistoryError(NOT_READ_BACK)
        part.replace(final)
        with suppress(OSError):  # some file systems of sticks and shares can't sync a folder
            sync(final)
    except OSError as error:
        raise HistoryError(NOT_THERE) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    _thin(copies_in(folder, stem))
    return final


def _thin(made: tuple[Copy, ...]) -> None:
    for old in made[:-KEEP]:
        with suppress(OSError):
            old.path.unlink()


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
    The copy asks for what it lacks to be read again (`RESTORED_FROM`).
    """
    part = None if copy is None else _copied(path, copy)
    if part is not None and copy is not None:
        _ask_in(part, copy.name, now)
    aside = path.with_name(f"{path.name}.{why}-{now.astimezone(UTC).strftime(STAMP)}")
    for suffix in (*SIDECARS, ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    if part is not None:
        part.replace(path)
        sync(path)
    return aside


def affected(path: Path, copy: Path) -> Affected | None:
    """Return what will be missing when a backup is put in the ledger's place; None where one of them can't be read."""
    try:
        with closing(open_file(copy, writing=False)) as before, closing(open_file(path, writing=False)) as present:
            known = {row[0] for row in before.execute("SELECT study_instance_uid FROM study")}
            now_known = {row[0] for row in present.execute("SELECT study_instance_uid FROM study")}
            counts = [one_number(one, "SELECT count(*) FROM verdict") for one in (before, present)]
            since, until = _newest_moment(before), _newest_moment(present)
    except (sqlite3.Error, ValueError):
        return None
    return Affected(since, until, len(now_known - known), max(0, counts[1] - counts[0]))


def _newest_moment(connection: sqlite3.Connection) -> datetime:
    moments = [
        connection.execute(f"SELECT max({column}) FROM {table}").fetchone()[0]  # noqa: S608 - names of our own
        for table, column in (("study_state", "at"), ("audit", "at"), ("session", "opened_at"))
    ]
    return max(datetime.fromisoformat(one) for one in moments if one)


def restore(path: Path, copy: Path, now: datetime, by: str = "") -> Path:
    """Put a backup in the ledger's place; return where the ledger that stood there was set aside.

    At every moment a whole ledger stands there, the one before or the backup. The backup's audit goes on with a row
    that says what happened, and a setting (`RESTORED_FROM`) asks the next start to read again what it doesn't know.

    Raises:
        HistoryError: the ledger is in use or not ours, or the backup can't be read; nothing has changed then.
    """
    require_ours(path)
    try:
        lock = WriterLock(path)
        try:
            _require_usable(copy)
            aside = path.with_name(f"{path.name}.replaced-{now.astimezone(UTC).strftime(STAMP)}")
            part = _copied(path, copy)
            lines = _note_restore(part, AuditFile(path), (copy.name, aside.name), now, by)
            _swap(path, part, aside)
            for line in lines.entries:
                AuditFile(path).append(line)
            return aside
        finally:
            lock.release()
    except (OSError, sqlite3.Error) as error:
        raise HistoryError("The backup could not be put in place: the folder can't be written.") from error


def _require_usable(copy: Path) -> None:
    if not is_good(copy):
        raise HistoryError(UNREADABLE)
    with closing(open_file(copy, writing=False)) as connection:
        if migrations.is_newer(connection):
            raise HistoryError(TOO_NEW)


def _copied(path: Path, copy: Path) -> Path:
    """Return the backup as a file of its own beside the ledger, whole on the disk."""
    part = path.with_name(path.name + ".part")
    for suffix in (*SIDECARS, ""):
        part.with_name(part.name + suffix).unlink(missing_ok=True)
    create_file(part)
    shutil.copyfile(copy, part)
    sync(part)
    return part


def _ask_in(part: Path, name: str, now: datetime) -> None:
    with closing(open_file(part, writing=False)) as connection:
        if not migrations.version_of(connection) or migrations.is_newer(connection):
            return  # of a newer version of the program: it is only read, and nothing of ours is in it
    with closing(open_file(part, writing=True)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        ask_to_read_again(connection, name, time_text(now))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    sync(part)


class _HeldLines(AuditFile):
    """Lines of the audit that are written once the ledger that they belong to stands in its place."""

    def __init__(self, ledger: Path) -> None:
        super().__init__(ledger)
        self.entries: list[Mapping[str, Plain]] = []

    def append(self, entry: Mapping[str, Plain]) -> None:
        self.entries.append(entry)


def _note_restore(part: Path, file: AuditFile, names: tuple[str, str], now: datetime, by: str) -> _HeldLines:
    lines = _HeldLines(file.path)
    at = time_text(now)
    with closing(open_file(part, writing=True)) as connection:
        if migrations.version_of(connection):
            connection.execute("BEGIN IMMEDIATE")
            details = f"{names[0]}; what was there is kept as {names[1]}"
            recording.append_audit(connection, lines, [at, by, "backup put back", None, details])
            ask_to_read_again(connection, names[0], at, by)
            connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    sync(part)
    return lines


def ask_to_read_again(connection: sqlite3.Connection, name: str, at: str, by: str = "") -> None:
    """Ask the next start to read our copies that a ledger put back doesn't know; inside a transaction.

    What the ledger was about to do with copies when the backup was made is settled long since: were it done now, copies
    would go that the ledger after it had recorded.
    """
    connection.execute(
        "INSERT OR REPLACE INTO setting (key, value, changed_at, changed_by) VALUES (?, ?, ?, ?)",
        (RESTORED_FROM, name, at, by),
    )
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'copy_intent'").fetchone():
        connection.execute("DELETE FROM copy_intent")


def _swap(path: Path, part: Path, aside: Path) -> None:
    """Put `part` in the ledger's place; the ledger has a second name, `aside`, before it loses its first."""
    if not path.exists():
        part.replace(path)
        sync(path)
        return
    with suppress(sqlite3.Error), closing(open_file(path, writing=True)) as connection:
        # Plays in what an end that was not clean has left beside the file, which is then whole by itself.
        connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    if not _named_twice(path, aside):
        for suffix in (*SIDECARS, ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    part.replace(path)
    sync(path)


def _named_twice(path: Path, aside: Path) -> bool:
    """Whether the ledger got a second name; not where it can't stand alone, or the file system knows one name only."""
    if any(path.with_name(path.name + suffix).exists() for suffix in SIDECARS):
        return False
    try:
        os.link(path, aside)
        sync_folder(path.parent)
    except OSError:
        return aside.exists() and aside.samefile(path)
    return True


def _folder(path: Path) -> Path:
    return path.with_name(path.name + ".backups")
