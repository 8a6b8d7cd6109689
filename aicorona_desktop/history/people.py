"""What people say of a study, and that they looked: verdicts, outcomes, notes, measures, who was told, viewings.

Nothing is changed or removed: to take something back is a row of its own, and so is to say it again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from datetime import date, datetime

from aicorona_desktop.core.identities import PatientIdentity
from aicorona_desktop.history import queries, standing, trails
from aicorona_desktop.history.connection import HistoryError, StudyError
from aicorona_desktop.history.ledger import Ledger
from aicorona_desktop.history.recording import text_of
from aicorona_desktop.history.values import (
    OUTCOME_VALUES,
    AuditEntry,
    Escalation,
    IdentityChoice,
    NameReading,
    OutcomeKind,
    StoredMeasure,
    StudyNote,
    StudyOutcome,
    Verdict,
    Viewing,
)


class People(Ledger):
    """The part of the history that people write; all of it is in the audit with their initials."""

    # --- verdicts --------------------------------------------------------------------------------------------

    def save_verdict(
        self,
        study_instance_uid: str,
        *,
        impression: str = "",
        action: str = "",
        co_rads: int | None = None,
        note: str = "",
        initials: str = "",
        slices_seen: float | None = None,
        map_seen: bool | None = None,
        at: datetime | None = None,
        result: int | None = None,
        revision: int | None = None,
    ) -> int:
        """Record a person's impression or action; return the verdict's number, for taking it back.

        Impressions: `normal`, `cp`, `covid`, `cannot_judge`; actions: `now`, `routine`, `repeat`. The study
        counts as read from here on; `cannot_judge` keeps it with those that need a person. `slices_seen` is the
        share of slices that had been on the screen; `map_seen`, where not told, is what the viewings say. `result`
        is the number of the score on the screen (None: none), `revision` that of its files: the answer belongs to
        these, whatever has come since; without both, to what stands now.

        Raises:
            HistoryError: neither is given, a key or number is unknown, or the score is another study's.
        """
        if not (impression or action):
            raise HistoryError("A verdict needs an impression or an action.")
        at_text = self._at(at)
        with self._study(study_instance_uid) as (connection, study):
            if map_seen is None:
                map_seen = trails.map_was_on(connection, study)
            said = {
                "impression": impression,
                "co_rads": co_rads,
                "action": action,
                "note": text_of(note),
                "slices_seen": slices_seen,
                "map_seen": int(map_seen),
                "initials": text_of(initials),
                "at": at_text,
            }
            if result is not None or revision is not None:
                said |= trails.beside_what(connection, study, result, revision)
            verdict = trails.say(connection, "verdict", study, said)
            standing.set_verdict(connection, study)
            standing.set_note(connection, study)
            self._audit(connection, "verdict", study, initials)
            return verdict

    def take_back_verdict(self, verdict: int, initials: str = "") -> None:
        """Take a verdict back; both stay in the history, and the one before it, if any, stands again.

        Raises:
            HistoryError: there is no such verdict, or it was taken back already.
        """
        self._take_back("verdict", verdict, initials)

    def verdicts(self, study_instance_uid: str) -> tuple[Verdict, ...]:
        """Return what people have said of a study, oldest first, those taken back among them."""
        with self._reading() as connection:
            return trails.verdicts(connection, study_instance_uid)

    # --- later truth -----------------------------------------------------------------------------------------

    def record_outcome(
        self,
        study_instance_uid: str,
        kind: OutcomeKind,
        value: str,
        *,
        source: str = "",
        dated: date | None = None,
        note: str = "",
        initials: str = "",
        at: datetime | None = None,
    ) -> int:
        """Record what turned out later, of which day and from where; return its number, for taking it back.

        Raises:
            HistoryError: the kind doesn't have this value (`values.OUTCOME_VALUES`).
        """
        if value not in OUTCOME_VALUES[kind]:
            raise HistoryError("An outcome of this kind has no such value.")
        with self._study(study_instance_uid) as (connection, study):
            said = {
                "kind": kind.value,
                "value": value,
                "source": text_of(source),
                "dated": dated.isoformat() if dated else "",
                "note": text_of(note),
                "initials": text_of(initials),
                "at": self._at(at),
            }
            outcome = trails.say(connection, "outcome", study, said)
            standing.set_outcome(connection, study)
            self._audit(connection, "outcome", study, initials, kind.value)
            return outcome

    def take_back_outcome(self, outcome: int, initials: str = "") -> None:
        """Take an outcome back; raises as `take_back_verdict`."""
        self._take_back("outcome", outcome, initials)

    def outcomes(self, study_instance_uid: str) -> tuple[StudyOutcome, ...]:
        """Return the outcomes of a study in the order of their entry, those taken back among them."""
        with self._reading() as connection:
            return trails.outcomes(connection, study_instance_uid)

    # --- who was told, notes, measures ------------------------------------------------------------------------

    def record_escalation(self, study_instance_uid: str, told: str, initials: str, note: str = "") -> int:
        """Record who was told of a study, by whom; return its number."""
        with self._study(study_instance_uid) as (connection, study):
            said = {"told": text_of(told), "note": text_of(note), "initials": text_of(initials), "at": self._at(None)}
            escalation = trails.say(connection, "escalation", study, said)
            self._audit(connection, "escalation", study, initials)
            return escalation

    def take_back_escalation(self, escalation: int, initials: str = "") -> None:
        """Take an entry of who was told back; raises as `take_back_verdict`."""
        self._take_back("escalation", escalation, initials)

    def escalations(self, study_instance_uid: str) -> tuple[Escalation, ...]:
        """Return who was told of a study, oldest first."""
        with self._reading() as connection:
            return trails.escalations(connection, study_instance_uid)

    def add_note(self, study_instance_uid: str, text: str, initials: str = "", at: datetime | None = None) -> int:
        """Record a free note on a study; return its number. Raises HistoryError for an empty one."""
        if not text.strip():
            raise HistoryError("A note needs a text.")
        with self._study(study_instance_uid) as (connection, study):
            said = {"text": text_of(text), "initials": text_of(initials), "at": self._at(at)}
            note = trails.say(connection, "study_note", study, said)
            standing.set_note(connection, study)
            self._audit(connection, "note", study, initials)
            return note

    def take_back_note(self, note: int, initials: str = "") -> None:
        """Take a note back; raises as `take_back_verdict`."""
        self._take_back("study_note", note, initials)

    def notes(self, study_instance_uid: str) -> tuple[StudyNote, ...]:
        """Return the notes on a study, oldest first, those taken back among them."""
        with self._reading() as connection:
            return trails.notes(connection, study_instance_uid)

    # --- whose study it is -------------------------------------------------------------------------------------

    def choose_identity(
        self,
        study_instance_uid: str,
        identity: PatientIdentity,
        seen: Sequence[PatientIdentity],
        *,
        whole: bool,
        initials: str = "",
    ) -> int:
        """Record which of the identities `seen` in one study stands; return the choice's number.

        `whole`: the files of the others are this patient's, too; otherwise they are left out of the study. It takes
        effect when the engine looks at the study again.

        Raises:
            HistoryError: the identity is none of those seen.
        """
        if identity.key not in {one.key for one in seen}:
            raise StudyError("This identity does not stand in the study; nothing was recorded.")
        fields = [[text_of(part) for part in astuple(one)] for one in seen]
        said: dict[str, trails.Plain] = {
            "patient_id": text_of(identity.patient_id),
            "issuer_of_patient_id": text_of(identity.issuer_of_patient_id),
            "patient_name": text_of(identity.patient_name),
            "whole": int(whole),
            "seen": json.dumps(fields, ensure_ascii=True, separators=(",", ":")),
            "initials": text_of(initials),
            "at": self._at(None),
        }
        with self._study(study_instance_uid) as (connection, study):
            choice = trails.say(connection, "identity_choice", study, said)
            details = "all files are one patient's" if whole else "files of others left out"
            self._audit(connection, "identity chosen", study, initials, details)
            return choice

    def take_back_identity(self, choice: int, initials: str = "") -> None:
        """Take a choice between identities back; raises as `take_back_verdict`."""
        self._take_back("identity_choice", choice, initials)

    def identity_choices(self, study_instance_uid: str) -> tuple[IdentityChoice, ...]:
        """Return the choices between identities in a study, oldest first, those taken back among them."""
        with self._reading() as connection:
            return trails.identity_choices(connection, study_instance_uid)

    def identity_choice(self, study_instance_uid: str) -> IdentityChoice | None:
        """Return the newest choice between identities that stands; None where nobody has chosen."""
        standing = (one for one in reversed(self.identity_choices(study_instance_uid)) if not one.taken_back)
        return next(standing, None)

    def studies_with_choices(self) -> tuple[str, ...]:
        """Return the studies in which somebody has chosen between identities, whether that stands or not."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT study_instance_uid FROM study WHERE sequence IN (SELECT study FROM identity_choice)"
            )
            return tuple(one[0] for one in found)

    def read_name_as(self, study_instance_uid: str, character_set: str, patient_name: str, initials: str = "") -> int:
        """Record how the patient's name is to be shown; what the file gives stays as it is. Return the number.

        Raises:
            HistoryError: there is no name.
        """
        if not patient_name.strip():
            raise StudyError("Read so, there is no name; nothing was recorded.")
        said = {
            "character_set": text_of(character_set),
            "patient_name": text_of(patient_name),
            "initials": text_of(initials),
            "at": self._at(None),
        }
        with self._study(study_instance_uid) as (connection, study):
            reading = trails.say(connection, "name_reading", study, said)
            standing.set_name(connection, study)
            self._audit(connection, "name read anew", study, initials, character_set)
            return reading

    def take_back_name(self, reading: int, initials: str = "") -> None:
        """Take a reading of the name back; raises as `take_back_verdict`."""
        self._take_back("name_reading", reading, initials)

    def name_readings(self, study_instance_uid: str) -> tuple[NameReading, ...]:
        """Return how the patient's name was read, oldest first, readings taken back among them."""
        with self._reading() as connection:
            return trails.name_readings(connection, study_instance_uid)

    # --- measures, viewings -----------------------------------------------------------------------------------

    def save_measure(
        self,
        study_instance_uid: str,
        series_instance_uid: str,
        kind: str,
        geometry: Mapping[str, object],
        initials: str = "",
    ) -> int:
        """Record a measure; return its number. To change one is to take it back and save the new one.

        Raises:
            HistoryError: the geometry is not made of finite numbers, texts, lists and mappings.
        """
        try:
            plain = json.dumps(geometry, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise HistoryError("A measure is made of finite numbers and texts; this one was not kept.") from error
        with self._study(study_instance_uid) as (connection, study):
            said = {
                "series_instance_uid": text_of(series_instance_uid),
                "kind": text_of(kind),
                "geometry": plain,
                "initials": text_of(initials),
                "at": self._at(None),
            }
            measure = trails.say(connection, "measure", study, said)
            self._audit(connection, "measure", study, initials)
            return measure

    def take_back_measure(self, measure: int, initials: str = "") -> None:
        """Delete a measure from the picture; both stay in the history. Raises as `take_back_verdict`."""
        self._take_back("measure", measure, initials)

    def measures(self, study_instance_uid: str) -> tuple[StoredMeasure, ...]:
        """Return the measures of a study that stand, oldest first."""
        with self._reading() as connection:
            return tuple(one for one in trails.measures(connection, study_instance_uid) if not one.taken_back)

    # --- looking ---------------------------------------------------------------------------------------------

    def open_viewing(self, study_instance_uid: str, by: str = "") -> int:
        """Record that a study was opened; return the number for `close_viewing` and `map_switched_on`."""
        with self._study(study_instance_uid) as (connection, study):
            viewing = trails.open_viewing(connection, study, text_of(by), self._at(None))
            self._audit(connection, "opened", study, by)
            return viewing

    def close_viewing(self, viewing: int, slices_seen: float | None = None) -> None:
        """Record that a study was closed, and the share of its slices that were on the screen; the first time counts.

        Raises:
            HistoryError: there is no such viewing, or the share is not from 0 to 1.
        """
        with self._transaction() as connection:
            study, by = trails.viewer_of(connection, viewing)
            trails.close_viewing(connection, viewing, slices_seen, self._at(None))
            self._audit(connection, "closed", study, by)

    def map_switched_on(self, viewing: int) -> None:
        """Record that a map was switched on, and whether an impression stood by then; the first time counts.

        Raises:
            HistoryError: there is no such viewing.
        """
        with self._transaction() as connection:
            study, by = trails.viewer_of(connection, viewing)
            if trails.map_switched_on(connection, viewing, self._at(None)):
                self._audit(connection, "map switched on", study, by)

    def viewings(self, study_instance_uid: str) -> tuple[Viewing, ...]:
        """Return when a study was open, oldest first."""
        with self._reading() as connection:
            return trails.viewings(connection, study_instance_uid)

    def trail(self, study_instance_uid: str) -> tuple[AuditEntry, ...]:
        """Return what the audit says of a study, oldest first."""
        with self._reading() as connection:
            return queries.audit_of(connection, study_instance_uid)

    # --- the list --------------------------------------------------------------------------------------------

    def pin(self, study_instance_uid: str, by: str = "", *, pinned: bool = True) -> None:
        """Pin a study to those that need a person, or let it go."""
        with self._study(study_instance_uid) as (connection, study):
            moment = self._at(None) if pinned else None
            connection.execute("UPDATE study SET pinned_at = ? WHERE sequence = ?", (moment, study))
            self._audit(connection, "pinned" if pinned else "unpinned", study, by)

    def remove(self, study_instance_uid: str, by: str = "") -> None:
        """Take a study off the list: out of every lane, counted, and in the history as before; late files undo it."""
        with self._study(study_instance_uid) as (connection, study):
            connection.execute("UPDATE study SET removed_at = ? WHERE sequence = ?", (self._at(None), study))
            self._audit(connection, "removed from the list", study, by)

    def put_back(self, study_instance_uid: str, by: str = "") -> None:
        """Put a study that was taken off the list back."""
        with self._study(study_instance_uid) as (connection, study):
            connection.execute("UPDATE study SET removed_at = NULL WHERE sequence = ?", (study,))
            self._audit(connection, "put back on the list", study, by)

    def _take_back(self, table: trails.Table, number: int, initials: str) -> None:
        with self._transaction() as connection:
            study = trails.take_back(connection, table, number, text_of(initials), self._at(None))
            _stands_anew(connection, study)
            self._audit(connection, f"{trails.NAMES[table]} taken back", study, initials)


def _stands_anew(connection: sqlite3.Connection, study: int) -> None:
    standing.set_verdict(connection, study)
    standing.set_outcome(connection, study)
    standing.set_note(connection, study)
    standing.set_name(connection, study)
    standing.settle(connection, study)
