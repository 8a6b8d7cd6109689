"""What people said and when they looked, as rows: each function is a part of one transaction or reading."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal, TypedDict

from aicorona_desktop.core.identities import PatientIdentity
from aicorona_desktop.history.connection import StudyError
from aicorona_desktop.history.recording import insert
from aicorona_desktop.history.values import (
    Escalation,
    IdentityChoice,
    NameReading,
    OutcomeKind,
    StoredMeasure,
    StudyNote,
    StudyOutcome,
    Verdict,
    VersionChoice,
    Viewing,
    moment_or_none,
)

Table = Literal[
    "verdict", "outcome", "escalation", "study_note", "measure", "name_reading", "identity_choice", "version_choice"
]
Plain = str | int | float | None

NAMES: Mapping[Table, str] = {
    "verdict": "verdict",
    "outcome": "outcome",
    "escalation": "escalation",
    "study_note": "note",
    "measure": "measure",
    "name_reading": "reading of the name",
    "identity_choice": "choice of identity",
    "version_choice": "choice of version",
}
_NOTHING_SAID: Mapping[Table, Mapping[str, Plain]] = {
    "verdict": {"impression": "", "co_rads": None, "action": "", "note": ""},
    "outcome": {"kind": "", "value": "", "source": "", "dated": "", "note": ""},
    "escalation": {"told": "", "note": ""},
    "study_note": {"text": ""},
    "measure": {"series_instance_uid": "", "kind": "", "geometry": "{}"},
    "name_reading": {"character_set": "", "patient_name": ""},
    "identity_choice": {
        "patient_id": "",
        "issuer_of_patient_id": "",
        "patient_name": "",
        "whole": 0,
        "seen": "[]",
    },
    "version_choice": {"place": None, "kept": "{}", "seen": "{}", "why": ""},
}
_BESIDE_WHAT: Mapping[Table, tuple[str, ...]] = {"verdict": ("revision", "result"), "outcome": ("result",)}
"""What of the study is kept with the row: the files and the score that it was said beside."""

NO_VIEWING = "This viewing is not in the history."


class _Said(TypedDict):
    number: int
    initials: str
    at: datetime
    taken_back: bool
    taken_back_at: datetime | None
    taken_back_by: str


# --- writing --------------------------------------------------------------------------------------------------


def say(connection: sqlite3.Connection, table: Table, study: int, said: Mapping[str, Plain]) -> int:
    """Record what was said of a study beside the files and the score it has; return the row's number.

    Raises:
        StudyError: a key is unknown, or what it takes back was taken back already.
    """
    beside = _BESIDE_WHAT.get(table, ())
    stands: dict[str, Plain] = {}
    if beside:
        names = ", ".join(beside)
        found = connection.execute(f"SELECT {names} FROM study WHERE sequence = ?", (study,)).fetchone()  # noqa: S608
        stands = dict(zip(beside, found, strict=True))
    try:
        return insert(connection, table, {"study": study} | stands | dict(said))
    except sqlite3.IntegrityError as error:
        raise StudyError(f"This {NAMES[table]} has an unknown key, or was taken back already.") from error


def beside_what(
    connection: sqlite3.Connection, study: int, result: int | None, revision: int | None
) -> Mapping[str, Plain]:
    """Return which score and files a verdict was given beside, as the screen showed them; of the files None: all.

    Raises:
        StudyError: the score is not one of the study's, or the study was never reopened so often.
    """
    is_its_own = connection.execute("SELECT 1 FROM result WHERE sequence = ? AND study = ?", (result, study)).fetchone()
    if result is not None and is_its_own is None:
        raise StudyError("This score is not one of the study's; the impression was not recorded.")
    newest = connection.execute("SELECT revision FROM study WHERE sequence = ?", (study,)).fetchone()[0]
    if revision is not None and not 0 <= revision <= newest:
        raise StudyError("These are not the files of the study; the impression was not recorded.")
    return {"result": result, "revision": newest if revision is None else revision}


def take_back(connection: sqlite3.Connection, table: Table, number: int, initials: str, at: str) -> int:
    """Record that what a row says doesn't stand any more; return the number of its study.

    Raises:
        StudyError: there is no such row, or it was taken back already.
    """
    found = connection.execute(f"SELECT study FROM {table} WHERE sequence = ? AND takes_back IS NULL", (number,))  # noqa: S608
    study = found.fetchone()
    if study is None:
        raise StudyError(f"This {NAMES[table]} is not in the history.")
    nothing = {**_NOTHING_SAID[table], "initials": initials, "takes_back": number, "at": at}
    say(connection, table, study[0], nothing)
    return int(study[0])


def open_viewing(connection: sqlite3.Connection, study: int, by: str, at: str) -> int:
    """Record that a study was opened; return the viewing's number."""
    connection.execute(
        "UPDATE study SET first_opened_at = coalesce(first_opened_at, ?) WHERE sequence = ?", (at, study)
    )
    return insert(connection, "viewing", {"study": study, "opened_at": at, "initials": by})


def viewer_of(connection: sqlite3.Connection, viewing: int) -> tuple[int, str]:
    """Return the number of the study that a viewing is of, and the initials; raises StudyError without it."""
    found = connection.execute("SELECT study, initials FROM viewing WHERE sequence = ?", (viewing,)).fetchone()
    if found is None:
        raise StudyError(NO_VIEWING)
    return int(found["study"]), str(found["initials"])


def close_viewing(connection: sqlite3.Connection, viewing: int, slices_seen: float | None, at: str) -> None:
    """Record the end of a viewing, once; raises StudyError for a share that is none."""
    try:
        connection.execute(
            "UPDATE viewing SET closed_at = ?, slices_seen = ? WHERE sequence = ? AND closed_at IS NULL",
            (at, slices_seen, viewing),
        )
    except sqlite3.IntegrityError as error:
        raise StudyError("The share of slices seen is from 0 to 1.") from error


def map_switched_on(connection: sqlite3.Connection, viewing: int, at: str) -> bool:
    """Record when a map was first on, and whether an impression stood then; return whether this was the first."""
    done = connection.execute(
        "UPDATE viewing SET map_on_at = ?, map_before_impression ="
        " (SELECT impression = '' FROM study WHERE study.sequence = viewing.study)"
        " WHERE sequence = ? AND map_on_at IS NULL",
        (at, viewing),
    )
    return done.rowcount == 1


def map_was_on(connection: sqlite3.Connection, study: int) -> bool:
    """Whether a map was ever switched on in a viewing of this study."""
    found = connection.execute("SELECT 1 FROM viewing WHERE study = ? AND map_on_at IS NOT NULL LIMIT 1", (study,))
    return found.fetchone() is not None


# --- reading --------------------------------------------------------------------------------------------------


def verdicts(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[Verdict, ...]:
    """Return the verdicts on a study, oldest first."""
    return tuple(
        Verdict(
            **_said(one),
            impression=one["impression"],
            co_rads=one["co_rads"],
            action=one["action"],
            note=one["note"],
            result=one["result"],
            revision=one["revision"],
            slices_seen=one["slices_seen"],
            map_seen=None if one["map_seen"] is None else bool(one["map_seen"]),
        )
        for one in _found(connection, "verdict", study_instance_uid)
    )


def outcomes(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[StudyOutcome, ...]:
    """Return the outcomes of a study, oldest first."""
    return tuple(
        StudyOutcome(
            **_said(one),
            kind=OutcomeKind(one["kind"]),
            value=one["value"],
            source=one["source"],
            dated=date.fromisoformat(one["dated"]) if one["dated"] else None,
            note=one["note"],
            result=one["result"],
        )
        for one in _found(connection, "outcome", study_instance_uid)
    )


def escalations(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[Escalation, ...]:
    """Return who was told of a study, oldest first."""
    found = _found(connection, "escalation", study_instance_uid)
    return tuple(Escalation(**_said(one), told=one["told"], note=one["note"]) for one in found)


def notes(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[StudyNote, ...]:
    """Return the notes on a study, oldest first."""
    return tuple(
        StudyNote(**_said(one), text=one["text"]) for one in _found(connection, "study_note", study_instance_uid)
    )


def identity_choices(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[IdentityChoice, ...]:
    """Return the choices between identities in one study, oldest first."""
    return tuple(
        IdentityChoice(
            **_said(one),
            identity=PatientIdentity(one["patient_id"], one["issuer_of_patient_id"], one["patient_name"]),
            whole=bool(one["whole"]),
            seen=tuple(PatientIdentity(*seen) for seen in json.loads(one["seen"])),
        )
        for one in _found(connection, "identity_choice", study_instance_uid)
    )


def version_choices(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[VersionChoice, ...]:
    """Return the choices between versions of the same images in a study, oldest first."""
    return tuple(
        VersionChoice(
            **_said(one),
            place=one["place"],
            kept=json.loads(one["kept"]),
            seen={identity: tuple(files) for identity, files in json.loads(one["seen"]).items()},
            why=one["why"],
        )
        for one in _found(connection, "version_choice", study_instance_uid)
    )


def name_readings(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[NameReading, ...]:
    """Return how a patient's name was read, oldest first."""
    return tuple(
        NameReading(**_said(one), character_set=one["character_set"], patient_name=one["patient_name"])
        for one in _found(connection, "name_reading", study_instance_uid)
    )


def measures(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[StoredMeasure, ...]:
    """Return the measures of a study, oldest first."""
    return tuple(
        StoredMeasure(
            **_said(one),
            series_instance_uid=one["series_instance_uid"],
            kind=one["kind"],
            geometry=json.loads(one["geometry"]),
        )
        for one in _found(connection, "measure", study_instance_uid)
    )


def viewings(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[Viewing, ...]:
    """Return when a study was open, oldest first."""
    found = connection.execute(
        "SELECT viewing.* FROM viewing JOIN study ON study.sequence = viewing.study"
        " WHERE study_instance_uid = ? ORDER BY viewing.sequence",
        (study_instance_uid,),
    )
    return tuple(
        Viewing(
            number=one["sequence"],
            opened_at=datetime.fromisoformat(one["opened_at"]),
            closed_at=moment_or_none(one["closed_at"]),
            by=one["initials"],
            slices_seen=one["slices_seen"],
            map_on_at=moment_or_none(one["map_on_at"]),
            map_before_impression=None if one["map_on_at"] is None else bool(one["map_before_impression"]),
        )
        for one in found
    )


def _found(connection: sqlite3.Connection, table: Table, study_instance_uid: str) -> list[sqlite3.Row]:
    # The + keeps SQLite from walking all rows that take nothing back, by the index of that column.
    sql = (
        f"SELECT said.*, later.at AS later_at, later.initials AS later_by FROM {table} AS said"  # noqa: S608 - our names
        f" JOIN study ON study.sequence = said.study LEFT JOIN {table} AS later ON later.takes_back = said.sequence"
        " WHERE study_instance_uid = ? AND +said.takes_back IS NULL ORDER BY said.sequence"
    )
    return connection.execute(sql, (study_instance_uid,)).fetchall()


def _said(found: sqlite3.Row) -> _Said:
    return {
        "number": found["sequence"],
        "initials": found["initials"],
        "at": datetime.fromisoformat(found["at"]),
        "taken_back": found["later_at"] is not None,
        "taken_back_at": moment_or_none(found["later_at"]),
        "taken_back_by": found["later_by"] or "",
    }
