"""One connection to the ledger: its pragmas, the lock of its one writer, and whether its file is sound."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aicorona_desktop.core.durable import ONLY_OURS, sync_folder
from aicorona_desktop.core.errors import AicoronaError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

APPLICATION_ID = 0x41494348  # "AICH", in the header of the file
BUSY_TIMEOUT_S = 5.0
PRAGMAS = (
    # FULL leaves the folder unflushed after the journal has gone: a power cut brings it back, and undoes the commit.
    "PRAGMA synchronous=EXTRA",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA mmap_size=0",
    "PRAGMA secure_delete=FAST",
)
MAGIC = b"SQLite format 3\0"
APPLICATION_ID_AT = 68  # big endian, sqlite.org/fileformat2.html 1.3
SIDECARS = ("-wal", "-shm", "-journal")
NOT_OURS = "This file is not a history of this program; nothing was touched. Name another file."
NOT_OPENED = "The history could not be opened; is the disk full or the file in use?"
IN_USE = "The history is in use by the window or another program; close that first. Nothing was written."

Connect = Callable[..., sqlite3.Connection]


class HistoryError(AicoronaError):
    """The history could not be opened, read or written, or what it holds has been changed."""


class StudyError(HistoryError):
    """What was to be recorded of one study, or is recorded of it, can't be right; the rest of the history is well."""


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """Return WAL where this SQLite has the fix of the WAL-reset bug (lost pages), else DELETE.

    Source: sqlite.org/wal.html, "the WAL reset bug": fixed in 3.51.3, 3.50.7 and 3.44.6.
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if fixed else "DELETE"


def open_file(path: Path, *, writing: bool, connect: Connect = sqlite3.connect) -> sqlite3.Connection:
    """Connect to an existing file; nothing in it changes by that (but the rollback of an interrupted write).

    Raises:
        sqlite3.Error: it can't be opened, or is no database.
    """
    connection = connect(
        f"{path.absolute().as_uri()}?mode={'rw' if writing else 'ro'}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # we say BEGIN ourselves
        check_same_thread=False,
    )
    try:
        connection.row_factory = sqlite3.Row
        for pragma in PRAGMAS:
            connection.execute(pragma)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def says_it_is_ours(path: Path) -> bool:
    """Whether the header of a file carries SQLite's mark and ours; read without SQLite, which might change something.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        header = file.read(APPLICATION_ID_AT + 4)
    return header.startswith(MAGIC) and header[APPLICATION_ID_AT:] == APPLICATION_ID.to_bytes(4, "big")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file itself is broken, and not the disk full or the file busy."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_sound(connection: sqlite3.Connection, *, thorough: bool) -> bool:
    """Whether SQLite finds nothing wrong: the quick check, or the full one with foreign keys."""
    try:
        check = "PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)"
        if [row[0] for row in connection.execute(check)] != ["ok"]:
            return False
        return not thorough or connection.execute("PRAGMA foreign_key_check").fetchone() is None
    except sqlite3.Error as error:
        if is_damage(error):
            return False
        raise


def one_number(connection: sqlite3.Connection, sql: str) -> int:
    """Return the one number that a statement asks for."""
    return int(connection.execute(sql).fetchone()[0])


def create_file(path: Path) -> None:
    """Make an empty file that only its owner may read.

    Raises:
        OSError: it stands there already, or can't be made.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, ONLY_OURS))


def sync(path: Path) -> None:
    """Have the disk keep a file, and the name it has in its folder."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


class WriterLock:
    """The lock of the one writer: held by the system for as long as the process lives, free when it dies.

    Raises:
        HistoryError: somebody else holds it.
        OSError: the folder can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, ONLY_OURS)
        try:
            if sys.platform == "win32":
                msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise HistoryError(IN_USE) from error

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would let two writers in."""
        with suppress(OSError):
            os.close(self._file)
