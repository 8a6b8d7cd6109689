"""The account of every import: what became of each file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.imports import ImportCounts, ImportedFile
from aicorona_desktop.history.connection import HistoryError
from aicorona_desktop.history.ledger import Ledger
from aicorona_desktop.history.recording import insert, text_of
from aicorona_desktop.history.values import ImportBatch, finding_of, moment_or_none

NO_IMPORT = "This import is not in the history."

_NO_DICOM = ", ".join(f"'{reason.code}'" for reason in (Reason.NOT_DICOM, Reason.JUNK, Reason.EMPTY_FILE))
# The fates of core.imports.Fate.
_KIND = (
    "CASE WHEN known THEN 'known'"
    f" WHEN code IN ({_NO_DICOM}) THEN 'not_dicom'"
    " WHEN outcome = 'refused' THEN 'damaged'"
    " WHEN outcome = 'ignored' THEN 'ignored'"
    " ELSE 'images' END"
)


class Imports(Ledger):
    """The part of the history that accounts for imports."""

    def begin_import(self, label: str, at: datetime | None = None) -> int:
        """Record that an import begins; return its number."""
        with self._transaction() as connection:
            values = {"label": text_of(label), "started_at": self._at(at)}
            number = insert(connection, "import_batch", values)
            self._audit(connection, "import", None, "", str(number))
            return number

    def add_import_files(self, number: int, files: Iterable[ImportedFile]) -> None:
        """Record what became of some files of an import, in the order in which they are shown.

        Raises:
            HistoryError: there is no such import.
        """
        rows = [(number, *_values(file)) for file in files]
        with self._transaction() as connection:
            _require(connection, number)
            connection.executemany(
                "INSERT INTO import_file (batch, shown, outcome, code, found, needed, name, study_instance_uid, known)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def end_import(self, number: int, *, stopped: bool = False, at: datetime | None = None) -> ImportBatch:
        """Record that an import has ended, early if a person stopped it; return it with its counts.

        Raises:
            HistoryError: there is no such import.
        """
        with self._transaction() as connection:
            connection.execute(
                "UPDATE import_batch SET ended_at = ?, stopped = ? WHERE sequence = ?",
                (self._at(at), int(stopped), number),
            )
            self._audit(connection, "import stopped" if stopped else "import ended", None, "", str(number))
            return _batch(connection, _require(connection, number))

    def import_batch(self, number: int) -> ImportBatch:
        """Return an import with its counts; raises HistoryError where there is none of that number."""
        with self._reading() as connection:
            return _batch(connection, _require(connection, number))

    def imports(self, before: int | None = None, limit: int = 50) -> tuple[ImportBatch, ...]:
        """Return the newest imports, or those before one."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT * FROM import_batch WHERE sequence < coalesce(?, sequence + 1) ORDER BY sequence DESC LIMIT ?",
                (before, limit),
            ).fetchall()
            return tuple(_batch(connection, one) for one in found)

    def unfinished_imports(self) -> tuple[ImportBatch, ...]:
        """Return the imports that have begun and not ended: under way, or cut off with the program."""
        with self._reading() as connection:
            found = connection.execute("SELECT * FROM import_batch WHERE ended_at IS NULL ORDER BY sequence")
            return tuple(_batch(connection, one) for one in found.fetchall())

    def import_files(self, number: int) -> tuple[ImportedFile, ...]:
        """Return what became of every file of an import, in the order of its reading."""
        with self._reading() as connection:
            found = connection.execute("SELECT * FROM import_file WHERE batch = ? ORDER BY sequence", (number,))
            return tuple(_file(one) for one in found)


def _values(file: ImportedFile) -> tuple[object, ...]:
    finding = file.finding
    said = (finding.reason.code, finding.found, finding.needed, finding.name) if finding else ("", None, None, "")
    return text_of(file.shown), file.outcome.value, *said, text_of(file.study_instance_uid), int(file.known)


def _file(found: sqlite3.Row) -> ImportedFile:
    return ImportedFile(
        shown=found["shown"],
        outcome=Outcome(found["outcome"]),
        finding=_finding(found) if found["code"] else None,
        study_instance_uid=found["study_instance_uid"],
        known=bool(found["known"]),
    )


def _finding(found: sqlite3.Row) -> Finding:
    return finding_of(found["outcome"], found["code"], found["found"], found["needed"], found["name"])


def _require(connection: sqlite3.Connection, number: int) -> sqlite3.Row:
    found = connection.execute("SELECT * FROM import_batch WHERE sequence = ?", (number,)).fetchone()
    if found is None:
        raise HistoryError(NO_IMPORT)
    row: sqlite3.Row = found
    return row


def _batch(connection: sqlite3.Connection, found: sqlite3.Row) -> ImportBatch:
    return ImportBatch(
        number=found["sequence"],
        label=found["label"],
        started_at=datetime.fromisoformat(found["started_at"]),
        ended_at=moment_or_none(found["ended_at"]),
        stopped=bool(found["stopped"]),
        counts=_counts(connection, found["sequence"]),
    )


def _counts(connection: sqlite3.Connection, number: int) -> ImportCounts:
    found = connection.execute(
        f"SELECT {_KIND} AS kind, count(*) FROM import_file WHERE batch = ? GROUP BY kind",  # noqa: S608 - our own names
        (number,),
    ).fetchall()
    studies = connection.execute(
        f"SELECT count(DISTINCT study_instance_uid) FROM import_file WHERE batch = ? AND {_KIND} = 'images'"  # noqa: S608
        " AND study_instance_uid <> ''",
        (number,),
    ).fetchone()
    counts = {str(kind): int(count) for kind, count in found}
    return ImportCounts(files=sum(counts.values()), studies=int(studies[0]), **counts)
