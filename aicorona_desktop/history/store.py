"""The ledger: one writer, every change one transaction, nothing that was recorded is ever removed.

A program opens it once for writing and holds a lock for as long; all others may read. A file from a newer
version is read and left untouched; a damaged one is set aside and the newest good backup takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.score import Score
from aicorona_desktop.core.study import LeftOut, SeriesChoice, Study
from aicorona_desktop.history import backup, queries, recording, standing
from aicorona_desktop.history.connection import HistoryError, StudyError
from aicorona_desktop.history.imports import Imports
from aicorona_desktop.history.lanes import Lanes
from aicorona_desktop.history.ledger import NOT_READ, NOT_WRITTEN, utc_now
from aicorona_desktop.history.reader_studies import ReaderStudies, ReaderStudyEvent, StoredReaderStudy
from aicorona_desktop.history.recording import text_of
from aicorona_desktop.history.removals import Removals
from aicorona_desktop.history.sources import Sources
from aicorona_desktop.history.values import (
    AuditEntry,
    Column,
    Escalation,
    Filter,
    IdentityChoice,
    ImportBatch,
    LaneCounts,
    LaneKey,
    LanePage,
    NameReading,
    OutcomeKind,
    Page,
    Position,
    SiteVerification,
    SortedPage,
    StateChange,
    StoredMeasure,
    StoredResult,
    StudyNote,
    StudyOutcome,
    Verdict,
    VersionChoice,
    Viewing,
)
from aicorona_desktop.history.verifications import MonthRow, VerificationRun, Verifications
from aicorona_desktop.history.versions import Versions

__all__ = [
    "NOT_READ",
    "NOT_WRITTEN",
    "AuditEntry",
    "Column",
    "Escalation",
    "Filter",
    "History",
    "HistoryError",
    "IdentityChoice",
    "ImportBatch",
    "LaneCounts",
    "LaneKey",
    "LanePage",
    "MonthRow",
    "NameReading",
    "OutcomeKind",
    "Page",
    "Position",
    "ReaderStudyEvent",
    "SiteVerification",
    "SortedPage",
    "StateChange",
    "StoredMeasure",
    "StoredReaderStudy",
    "StoredResult",
    "StudyError",
    "StudyNote",
    "StudyOutcome",
    "Verdict",
    "VerificationRun",
    "VersionChoice",
    "Viewing",
    "utc_now",
]


class History(Versions, Removals, Sources, Imports, Lanes, ReaderStudies, Verifications):
    """The ledger of one workstation, open until `close`; a context manager.

    All methods may be called from any thread, one at a time gets through. Every method that writes is one
    transaction: when it returns, the disk has it. All raise HistoryError when the file can't be read or
    written, or when it is open for reading only; those that write also when the disk is nearly full.

    What people say is written by `People` and `Versions`, the account of imports by `Imports`, what becomes of our
    copies by `Removals`, where files come from by `Sources`; the list is read by `Lanes`.
    """

    # --- what arrives ----------------------------------------------------------------------------------------

    def record_source(self, shown: str, kind: str) -> int:
        """Record where files come from (a folder, a disc); return its number, the same for the same name."""
        with self._transaction() as connection:
            return recording.source_number(connection, shown, kind, self._at(None))

    def record_received(self, study: Study, at: datetime | None = None) -> bool:
        """Record a study as it stands, with all its files; return whether any of them is new.

        What is known already is left alone. New files reopen a study that is past settling: it is `received`
        again, unread again, on the list again if it was taken off, and an older score stays in sight as a preliminary
        one until the next stands.
        """
        with self._transaction() as connection:
            is_new = recording.record_received(connection, study, self._at(at))
            number = recording.study_number(connection, text_of(study.study_instance_uid))
            standing.refresh(connection, number)
            return is_new

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
            raise StudyError("A study without a score is unsuitable, refused, ignored or failed.")
        with self._study(study_instance_uid) as (connection, study):
            if choice is not None:
                recording.choose(connection, study, choice)
            recording.record_unscored(connection, study, state, findings, self._at(None))

    def record_pack(self, sha256: str, title: str, status: str, by: str = "") -> None:
        """Record a model pack once; the first time is in the audit as well."""
        with self._transaction() as connection:
            if recording.record_pack(connection, sha256, title, status, self._at(None)):
                self._audit(connection, "pack", None, by, title)

    # --- the rest ---------------------------------------------------------------------------------------------

    def set_setting(self, key: str, value: str, by: str = "") -> None:
        """Record a site setting."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO setting (key, value, changed_at, changed_by) VALUES (?, ?, ?, ?)",
                (key, value, self._at(None), text_of(by)),
            )
            self._audit(connection, "setting", None, by, key)

    # --- what is read ----------------------------------------------------------------------------------------

    def rows(self, read_since: datetime | None = None) -> list[Row]:
        """Return what ranking needs of every study; of the read ones only those read since a moment, if given."""
        with self._reading() as connection:
            return queries.rows(connection, read_since)

    def row(self, study_instance_uid: str) -> Row | None:
        """Return the row of one study."""
        with self._reading() as connection:
            return queries.row(connection, study_instance_uid)

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

    def knows_files(self) -> bool:
        """Whether the history knows any file at all."""
        with self._reading() as connection:
            return queries.knows_files(connection)

    def known_sha256s(self) -> frozenset[str]:
        """Return the SHA-256 of every file that the history knows, read or left out."""
        with self._reading() as connection:
            return queries.known_sha256s(connection)

    def left_out(self, study_instance_uid: str) -> tuple[LeftOut, ...]:
        """Return the other files that name a study, with the reason for each."""
        with self._reading() as connection:
            return queries.left_out(connection, study_instance_uid)

    def states(self, study_instance_uid: str) -> tuple[StateChange, ...]:
        """Return the dated trail of a study."""
        with self._reading() as connection:
            return queries.states(connection, study_instance_uid)

    def setting(self, key: str) -> str | None:
        """Return a site setting, or None."""
        with self._reading() as connection:
            return queries.setting(connection, key)

    def broken_audit_row(self) -> int | None:
        """Return the first audit row that was changed, or follows a removed one; None when the chain holds."""
        with self._reading() as connection:
            return queries.broken_audit_row(connection)

    # --- copies ----------------------------------------------------------------------------------------------

    def backup(self) -> Path:
        """Make a proved copy; seven are kept. `history.backup.restore` puts one back."""
        self._require_writable()
        return backup.make(self._connection, self.path, self._clock(), self._one_at_a_time)

    @property
    def backup_is_due(self) -> bool:
        """Whether the newest backup is a day old."""
        return not self.read_only_because and backup.is_due(self.path, self._clock())
