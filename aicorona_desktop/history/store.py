"""The ledger: one writer, every change one transaction, nothing that was recorded is ever removed.

A program opens it once for writing and holds a lock for as long; all others may read. A file from a newer
version is read and left untouched; a damaged one is set aside and the newest good backup takes its place.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.score import Score
from aicorona_desktop.core.space import FreeSpace, Measure, free_bytes
from aicorona_desktop.core.study import LeftOut, SeriesChoice, Study
from aicorona_desktop.history import backup, opening, queries, recording
from aicorona_desktop.history.audit import AuditFile
from aicorona_desktop.history.connection import NOT_OPENED, Connect, HistoryError
from aicorona_desktop.history.recording import text_of
from aicorona_desktop.history.values import (
    Page,
    SiteVerification,
    StateChange,
    StoredResult,
    Verdict,
    time_text,
)

__all__ = ["History", "HistoryError", "Page", "SiteVerification", "StateChange", "StoredResult", "Verdict"]

NOT_READ = "The history could not be read."
AUDIT_DIFFERS = (
    "The audit file beside the history ends otherwise than the history:"
    " one of them was changed, removed or put back from a copy."
)
NOT_WRITTEN = "The history could not be written, nothing was recorded; is the disk full or the folder closed?"


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


class History:
    """The ledger of one workstation, open until `close`; a context manager.

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

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        read_only: bool = False,
        clock: Callable[[], datetime] = utc_now,
        connect: Connect = sqlite3.connect,
        measure_free: Measure = free_bytes,
    ) -> History:
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

    def __enter__(self) -> History:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what arrives ----------------------------------------------------------------------------------------

    def record_source(self, shown: str, kind: str) -> int:
        """Record where files come from (a folder, a disc); return its number, the same for the same name."""
        with self._transaction() as connection:
            return recording.source_number(connection, shown, kind, self._at(None))

    def record_received(self, study: Study, at: datetime | None = None) -> bool:
        """Record a study as it stands, with all its files; return whether any of them is new.

        What is known already is left alone. New files reopen a study that is past settling: it is `received`
        again, unread again, and an older score stays in sight as a preliminary one until the next stands.
        """
        with self._transaction() as connection:
            return recording.record_received(connection, study, self._at(at))

    def move(self, study_instance_uid: str, state: State, cause: str, at: datetime | None = None) -> None:
        """Record a study's next state and why; staying in a state leaves no trace.

        Raises:
            HistoryError: no such study, or the state can't follow the one it is in.
        """
        with self._study(study_instance_uid) as (connection, study):
            recording.move(connection, study, state, cause, self._at(at))

    def move_through(self, study_instance_uid: str, steps: Sequence[tuple[State, str]]) -> None:
        """Record several states, each with its cause, in one transaction; raises as `move`."""
        with self._study(study_instance_uid) as (connection, study):
            for state, cause in steps:
                recording.move(connection, study, state, cause, self._at(None))

    # --- what the model says ---------------------------------------------------------------------------------

    def record_result(
        self,
        study_instance_uid: str,
        score: Score,
        findings: Sequence[Finding],
        application_version: str,
        gate_version: str,
        *,
        choice: SeriesChoice | None = None,
        at: datetime | None = None,
    ) -> int:
        """Record a score and move the study to `preliminary` or `done`; return the result's number.

        The score that stood before is superseded, never removed. The same slices, pack and gate as in the
        score that stands give that one's number and record nothing; so does a preliminary score where a
        final one of the same files stands. `choice` says which series it is of, and why.
        """
        circumstances = recording.Circumstances(application_version, gate_version, findings, self._at(at))
        with self._study(study_instance_uid) as (connection, study):
            if choice is not None:
                recording.choose(connection, study, choice)
            return recording.record_result(connection, study, score, circumstances)

    def record_unscored(
        self,
        study_instance_uid: str,
        state: State,
        findings: Sequence[Finding],
        *,
        choice: SeriesChoice | None = None,
    ) -> None:
        """Record that a study gets no score, and why; a score that stood before is superseded.

        Raises:
            HistoryError: the state is not one of those without a score, or can't follow.
        """
        if state not in recording.OUTCOMES:
            raise HistoryError("A study without a score is unsuitable, refused, ignored or failed.")
        with self._study(study_instance_uid) as (connection, study):
            if choice is not None:
                recording.choose(connection, study, choice)
            recording.record_unscored(connection, study, state, findings, self._at(None))

    def record_pack(self, sha256: str, title: str, status: str, by: str = "") -> None:
        """Record a model pack once; the first time is in the audit as well."""
        with self._transaction() as connection:
            if recording.record_pack(connection, sha256, title, status, self._at(None)):
                self._audit(connection, "pack", None, by, title)

    # --- what people say -------------------------------------------------------------------------------------

    def pin(self, study_instance_uid: str, by: str = "", *, pinned: bool = True) -> None:
        """Pin a study to those that need a person, or let it go."""
        with self._study(study_instance_uid) as (connection, study):
            moment = self._at(None) if pinned else None
            connection.execute("UPDATE study SET pinned_at = ? WHERE sequence = ?", (moment, study))
            self._audit(connection, "pinned" if pinned else "unpinned", study, by)

    def save_verdict(
        self,
        study_instance_uid: str,
        *,
        impression: str = "",
        action: str = "",
        co_rads: int | None = None,
        note: str = "",
        initials: str = "",
        at: datetime | None = None,
    ) -> int:
        """Record a person's impression or action; return the verdict's number, for taking it back.

        Impressions: `normal`, `cp`, `covid`, `cannot_judge`; actions: `now`, `routine`, `repeat`. The study
        counts as read from here on; `cannot_judge` keeps it with those that need a person.

        Raises:
            HistoryError: neither is given, or a key is unknown.
        """
        if not (impression or action):
            raise HistoryError("A verdict needs an impression or an action.")
        at_text = self._at(at)
        with self._study(study_instance_uid) as (connection, study):
            values = (impression, co_rads, action, note, initials, None, at_text)
            verdict = recording.insert_verdict(connection, study, values)
            recording.read_again_as(connection, study)
            self._audit(connection, "verdict", study, initials)
            return verdict

    def take_back_verdict(self, verdict: int, initials: str = "") -> None:
        """Take a verdict back; both stay in the history, and the one before it, if any, stands again.

        Raises:
            HistoryError: there is no such verdict, or it was taken back already.
        """
        with self._transaction() as connection:
            study = recording.study_of_verdict(connection, verdict)
            recording.insert_verdict(connection, study, ("", None, "", "", initials, verdict, self._at(None)))
            recording.read_again_as(connection, study)
            self._audit(connection, "verdict taken back", study, initials)

    def record_escalation(self, study_instance_uid: str, told: str, initials: str, note: str = "") -> None:
        """Record who was told of a study, by whom."""
        with self._study(study_instance_uid) as (connection, study):
            connection.execute(
                "INSERT INTO escalation (study, told, initials, note, at) VALUES (?, ?, ?, ?, ?)",
                (study, text_of(told), text_of(initials), text_of(note), self._at(None)),
            )
            self._audit(connection, "escalation", study, initials)

    def record_site_verification(self, verification: SiteVerification) -> None:
        """Record what a site has found for a pack that the history knows."""
        with self._transaction() as connection:
            recording.insert_site_verification(connection, verification)
            self._audit(connection, "site verification", None, verification.initials)

    def set_setting(self, key: str, value: str, by: str = "") -> None:
        """Record a site setting."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO setting (key, value, changed_at, changed_by) VALUES (?, ?, ?, ?)",
                (key, value, self._at(None), text_of(by)),
            )
            self._audit(connection, "setting", None, by, key)

    def audit(self, event: str, by: str = "", details: str = "") -> None:
        """Add a row about no study in particular to the audit chain; `details` name no patient."""
        with self._transaction() as connection:
            self._audit(connection, event, None, by, details)

    # --- what is read ----------------------------------------------------------------------------------------

    def rows(self, read_since: datetime | None = None) -> list[Row]:
        """Return what ranking needs of every study; of the read ones only those read since a moment, if given."""
        with self._reading() as connection:
            return queries.rows(connection, read_since)

    def row(self, study_instance_uid: str) -> Row | None:
        """Return the row of one study."""
        with self._reading() as connection:
            return queries.row(connection, study_instance_uid)

    def page(self, after_key: int | None = None, limit: int = 200) -> Page:
        """Return studies, newest first, after the `next_key` of the page before."""
        with self._reading() as connection:
            return queries.page(connection, after_key, limit)

    def search(self, text: str, limit: int = 200) -> tuple[Row, ...]:
        """Return the newest studies whose names and numbers hold every word of the text."""
        with self._reading() as connection:
            return queries.search(connection, text, limit)

    def result(self, study_instance_uid: str) -> StoredResult | None:
        """Return the score that stands; raises HistoryError also when it was changed since it was recorded."""
        with self._reading() as connection:
            return queries.result(connection, study_instance_uid)

    def results(self, study_instance_uid: str) -> tuple[StoredResult, ...]:
        """Return every score a study ever had, newest first; raises as `result` does."""
        with self._reading() as connection:
            return queries.results(connection, study_instance_uid)

    def files(self, study_instance_uid: str) -> tuple[FileRef, ...]:
        """Return the files of a study's instances."""
        with self._reading() as connection:
            return queries.files(connection, study_instance_uid)

    def left_out(self, study_instance_uid: str) -> tuple[LeftOut, ...]:
        """Return the other files that name a study, with the reason for each."""
        with self._reading() as connection:
            return queries.left_out(connection, study_instance_uid)

    def states(self, study_instance_uid: str) -> tuple[StateChange, ...]:
        """Return the dated trail of a study."""
        with self._reading() as connection:
            return queries.states(connection, study_instance_uid)

    def verdicts(self, study_instance_uid: str) -> tuple[Verdict, ...]:
        """Return what people have said of a study, oldest first."""
        with self._reading() as connection:
            return queries.verdicts(connection, study_instance_uid)

    def setting(self, key: str) -> str | None:
        """Return a site setting, or None."""
        with self._reading() as connection:
            return queries.setting(connection, key)

    def site_verification(self, pack_sha256: str) -> SiteVerification | None:
        """Return the newest verification of a pack at this site."""
        with self._reading() as connection:
            return queries.site_verification(connection, pack_sha256)

    def broken_audit_row(self) -> int | None:
        """Return the first audit row that was changed, or follows a removed one; None when the chain holds."""
        with self._reading() as connection:
            return queries.broken_audit_row(connection)

    # --- copies ----------------------------------------------------------------------------------------------

    def backup(self) -> Path:
        """Make a proved copy; seven are kept. `history.backup.restore` puts one back."""
        with self._one_at_a_time:
            self._require_writable()
            return backup.make(self._connection, self.path, self._clock())

    @property
    def backup_is_due(self) -> bool:
        """Whether the newest backup is a day old."""
        return not self.read_only_because and backup.is_due(self.path, self._clock())

    # --- the two ways to the file ------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside one transaction: all of it is on the disk, or nothing is."""
        with self._one_at_a_time:
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
    def _study(self, study_instance_uid: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        with self._transaction() as connection:
            yield connection, recording.study_number(connection, study_instance_uid)

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
