"""The open ledger: how it is opened and closed, and the two ways to the file that everything else goes through."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from aicorona_desktop.core.space import FreeSpace, Measure, free_bytes
from aicorona_desktop.history import opening, recording, standing
from aicorona_desktop.history.audit import AuditFile
from aicorona_desktop.history.connection import NOT_OPENED, Connect, HistoryError
from aicorona_desktop.history.recording import text_of
from aicorona_desktop.history.values import time_text

NOT_READ = "The history could not be read."
AUDIT_DIFFERS = (
    "The audit file beside the history ends otherwise than the history:"
    " one of them was changed, removed or put back from a copy."
)
NOT_WRITTEN = "The history could not be written, nothing was recorded; is the disk full or the folder closed?"


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


class Ledger:
    """The file, open until `close`; a context manager. What is in it: `store.History`.

    All methods may be called from any thread, one at a time gets through. Every method that writes is one
    transaction: when it returns, the disk has it. All raise HistoryError when the file can't be read or
    written, or when it is open for reading only; those that write also when the disk is nearly full.
    """

    def __init__(
        self, path: Path, opened: opening.Opened, clock: Callable[[], datetime], measure_free: Measure = free_bytes
    ) -> None:
        self.path = path
        self.notices = opened.notices
        """What a person must be told about the opening, such as a backup put in place; one sentence each."""
        self.read_only_because = opened.read_only_because
        """Why nothing can be written; "" where it can."""
        self._connection = opened.connection
        self._lock = opened.lock
        self._clock = clock
        self._one_at_a_time = threading.RLock()
        self._free = FreeSpace(path.parent, measure_free)
        self._audit_file = AuditFile(path)
        self._is_together = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        read_only: bool = False,
        clock: Callable[[], datetime] = utc_now,
        connect: Connect = sqlite3.connect,
        measure_free: Measure = free_bytes,
    ) -> Self:
        """Open the ledger; make it if it is missing, bring it to this version's form.

        Raises:
            HistoryError: another program has it open for writing; it is not ours, on a network drive, or can't
                be read; or the disk is nearly full and there is none yet.
        """
        if read_only:
            return cls(path, opening.open_for_reading(path, connect, opening.ASKED_FOR), clock)
        try:
            opened = opening.open_for_writing(path, clock(), connect, measure_free(path.parent))
        except OSError as error:
            raise HistoryError(NOT_OPENED) from error
        history = cls(path, opened, clock, measure_free)
        try:
            if not history.read_only_because:
                history._audit_opening()
        except BaseException:
            history.close()
            raise
        return history

    def _audit_opening(self) -> None:
        """Record what a person must be told; a history that was replaced needn't end where its audit file does."""
        for notice in self.notices:
            self.audit("history replaced", details=notice)
        if self.notices:
            return
        try:
            with self._reading() as connection:
                agrees = self._audit_file.ends_with(recording.newest_audit(connection))
        except OSError as error:
            raise HistoryError(NOT_READ) from error
        if not agrees:
            self.notices = (AUDIT_DIFFERS,)
            self.audit("audit differs", details=AUDIT_DIFFERS)

    def close(self) -> None:
        """Note that the end was clean and let go of the file; a second call does nothing."""
        with self._one_at_a_time:
            if self._lock is not None:
                with suppress(sqlite3.Error):  # the next start then looks harder, no more
                    self._connection.execute(
                        "UPDATE session SET closed_at = ? WHERE sequence = (SELECT max(sequence) FROM session)",
                        (time_text(self._clock()),),
                    )
                    # One plain file while nobody writes: it can be read where the folder can't be written.
                    self._connection.execute("PRAGMA journal_mode=DELETE").fetchone()
            self._connection.close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def audit(self, event: str, by: str = "", details: str = "") -> None:
        """Add a row about no study in particular to the audit chain; `details` name no patient."""
        with self._transaction() as connection:
            self._audit(connection, event, None, by, details)

    # --- the two ways to the file ------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside one transaction: all of it is on the disk, or nothing is."""
        with self._one_at_a_time:
            if self._is_together:
                with self._part() as connection:
                    yield connection
                return
            self._require_writable()
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        if self._connection.in_transaction:
                            self._connection.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, OSError) as error:
                raise HistoryError(NOT_WRITTEN) from error

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let everything that is written inside be one transaction: all of it is on the disk at the end, or nothing.

        What breaks inside and is caught there takes nothing else with it. Keep it short: all others wait.
        """
        with self._one_at_a_time:
            if self._is_together:
                yield
                return
            with self._transaction():
                self._is_together = True
                try:
                    yield
                finally:
                    self._is_together = False

    @contextmanager
    def _part(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for a part of a transaction, which is undone alone where it breaks."""
        try:
            self._connection.execute("SAVEPOINT part")
            try:
                yield self._connection
                self._connection.execute("RELEASE part")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK TO part")
                    self._connection.execute("RELEASE part")
                raise
        except (sqlite3.Error, OSError) as error:
            raise HistoryError(NOT_WRITTEN) from error

    @contextmanager
    def _study(self, study_instance_uid: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        """Give the connection inside one transaction about a study, and its number; at the end it stands anew."""
        with self._transaction() as connection:
            study = recording.study_number(connection, study_instance_uid)
            yield connection, study
            standing.settle(connection, study)

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Let everything that is read inside be of one moment, and no other thread in between; keep it short."""
        with self._reading() as connection:
            if connection.in_transaction:
                yield
                return
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._one_at_a_time:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise HistoryError(NOT_READ) from error

    def _require_writable(self) -> None:
        if self.read_only_because:
            raise HistoryError(self.read_only_because)
        try:
            because = opening.nearly_full(self._free())
        except OSError:  # the write itself will tell
            return
        if because:
            raise HistoryError(because)

    def _at(self, moment: datetime | None) -> str:
        return time_text(moment or self._clock())

    def _audit(self, connection: sqlite3.Connection, event: str, study: int | None, by: str, details: str = "") -> None:
        values = [self._at(None), text_of(by), event, study, text_of(details)]
        recording.append_audit(connection, self._audit_file, values)
