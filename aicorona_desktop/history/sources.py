"""What is known of where files come from: copies about to stand, where each was found, what a watched folder gave."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.history.ledger import Ledger
from aicorona_desktop.history.recording import source_number, text_of
from aicorona_desktop.history.values import moment_or_none

_IS_KNOWN = "SELECT EXISTS (SELECT 1 FROM instance WHERE sha256 = ?) OR EXISTS (SELECT 1 FROM refusal WHERE sha256 = ?)"


@dataclass(frozen=True, slots=True)
class Taken:
    """A file of a watched folder as it was when it was read; `path` is below the folder, in the name's own bytes.

    `file_number` is the inode or file index as text: it may take all 64 bits. `sha256` and `code` (the reason for
    being no slice) are "" where there is none.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    file_number: str
    sha256: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class FolderTally:
    """How many files a watched folder has given so far, and when the last one."""

    files: int = 0
    last_at: datetime | None = None


class Sources(Ledger):
    """The part of the history that lets watched folders repeat nothing, and copies never stand without a row."""

    # --- copies of ours -----------------------------------------------------------------------------------------

    def intend_copies(self, sha256s: Iterable[str]) -> None:
        """Record that copies are about to stand: those that nothing is recorded of go at the next start."""
        at = self._at(None)
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO copy_intent (sha256, at) VALUES (?, ?)",
                [(bytes.fromhex(one), at) for one in sha256s],
            )

    def record_files(self, files: Iterable[FileRef]) -> frozenset[str]:
        """Record where the copies among files were found, each place of each content, and that they are ours now.

        In one transaction with the studies they belong to (`together`), after them. Return the SHA-256 of those that
        a study has: only these are safe.
        """
        at, recorded = self._at(None), set[str]()
        sources: dict[str, int] = {}
        with self._transaction() as connection:
            for file in files:
                sha256 = bytes.fromhex(file.sha256)
                if not connection.execute(_IS_KNOWN, (sha256, sha256)).fetchone()[0]:
                    continue
                recorded.add(file.sha256)
                connection.execute("DELETE FROM copy_intent WHERE sha256 = ?", (sha256,))
                if file.origin is None:
                    continue
                if file.source not in sources:
                    sources[file.source] = source_number(connection, file.source, "", at)
                values = (sha256, os.fsencode(file.origin), sources[file.source], text_of(file.shown), at)
                connection.execute(
                    "INSERT OR IGNORE INTO file_origin (sha256, path, source, shown, at) VALUES (?, ?, ?, ?, ?)", values
                )
        return frozenset(recorded)

    def take_unrecorded_copies(self, folder: Path) -> tuple[str, ...]:
        """Return the SHA-256 of copies that were about to stand and that nothing was recorded of.

        For the start: whatever is under way belongs to nobody yet. `forget_intents` follows when they are gone.
        """
        with self._reading() as connection:
            found = connection.execute("SELECT sha256 FROM copy_intent").fetchall()
            return tuple(one[0].hex() for one in found if not _is_recorded(connection, one[0], folder))

    def forget_intents(self) -> None:
        """Record that nothing is about to stand any more."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM copy_intent")

    def origins(self, sha256: str) -> tuple[Path, ...]:
        """Return every place where a content was found, in order of their finding."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT path FROM file_origin WHERE sha256 = ? ORDER BY at, path", (bytes.fromhex(sha256),)
            )
            return tuple(Path(os.fsdecode(one[0])) for one in found)

    # --- watched folders ----------------------------------------------------------------------------------------

    def taken(self, folder: Path) -> Mapping[str, Taken]:
        """Return what a watched folder has given, by path below it: at the next start none of it is read again."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT taken.* FROM taken JOIN watched_folder ON watched_folder.id = taken.folder"
                " WHERE watched_folder.path = ?",
                (os.fsencode(folder),),
            )
            return {one.path: one for one in map(_taken, found)}

    def note_taken(self, folder: Path, files: Iterable[Taken]) -> None:
        """Record what has become of files of a watched folder: each by the version that was read."""
        at = self._at(None)
        with self._transaction() as connection:
            number = _folder_number(connection, folder)
            connection.executemany(
                "INSERT INTO taken (folder, path, size_bytes, mtime_ns, file_number, sha256, code, at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (folder, path) DO UPDATE SET"
                " size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, file_number = excluded.file_number,"
                " sha256 = excluded.sha256, code = excluded.code, at = excluded.at",
                [_taken_values(number, one, at) for one in files],
            )
            connection.execute(
                "UPDATE watched_folder SET last_at = ?, files = (SELECT count(*) FROM taken WHERE folder = ?)"
                " WHERE id = ?",
                (at, number, number),
            )

    def tally(self, folder: Path) -> FolderTally:
        """Return how many files a watched folder has given, and when."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT files, last_at FROM watched_folder WHERE path = ?", (os.fsencode(folder),)
            ).fetchone()
            return FolderTally(found["files"], moment_or_none(found["last_at"])) if found else FolderTally()


def _folder_number(connection: sqlite3.Connection, folder: Path) -> int:
    path = os.fsencode(folder)
    connection.execute("INSERT OR IGNORE INTO watched_folder (path) VALUES (?)", (path,))
    return int(connection.execute("SELECT id FROM watched_folder WHERE path = ?", (path,)).fetchone()[0])


def _taken_values(folder: int, one: Taken, at: str) -> tuple[object, ...]:
    sha256 = bytes.fromhex(one.sha256) if one.sha256 else None
    return folder, os.fsencode(one.path), one.size_bytes, one.mtime_ns, one.file_number, sha256, one.code, at


def _taken(found: sqlite3.Row) -> Taken:
    return Taken(
        path=os.fsdecode(found["path"]),
        size_bytes=found["size_bytes"],
        mtime_ns=found["mtime_ns"],
        file_number=found["file_number"],
        sha256=found["sha256"].hex() if found["sha256"] else "",
        code=found["code"],
    )


def _is_recorded(connection: sqlite3.Connection, sha256: bytes, folder: Path) -> bool:
    """Whether a row names the copy of this content below our folder."""
    text = sha256.hex()
    values = (sha256, os.fsencode(folder / text[:2] / text))
    return any(
        connection.execute(f"SELECT 1 FROM {table} WHERE sha256 = ? AND path = ?", values).fetchone()  # noqa: S608
        for table in ("instance", "refusal")
    )
