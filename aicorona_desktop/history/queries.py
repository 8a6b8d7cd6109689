"""What is read from the ledger: rows for the worklist, stored results, files, trails; each proved where it can be."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.score import Fragility, Score, Triple
from aicorona_desktop.core.study import LeftOut
from aicorona_desktop.history.audit import Plain, first_break, row_sha256
from aicorona_desktop.history.connection import StudyError
from aicorona_desktop.history.values import (
    AUDIT_FIELDS,
    RESULT_FIELDS,
    AuditEntry,
    Page,
    StateChange,
    StoredResult,
    finding_of,
    findings_of,
    folded,
    moment_or_none,
    time_text,
)

Values = Sequence[str | int | float]
LARGEST = 2**63 - 1

IDENTITY_CONFLICTS = (Reason.TWO_PATIENTS, Reason.UID_CONFLICT, Reason.SERIES_IN_TWO_STUDIES)
CHANGED = "A stored score was changed outside the program, or the disk is failing; score the study again."

_STUDY_FIELDS = (
    "sequence",
    "study_instance_uid",
    "received_at",
    "revision",
    "state",
    "series_instance_uid",
    "series_reason",
    "findings",
    "outcome_findings",
    "read_at",
    "impression",
    "pinned_at",
    "patient_id",
    "patient_name",
    "patient_sex",
    "patient_age_years",
    "study_date",
    "study_time",
    "study_description",
    "patient_birth_date",
    "accession_number",
    "institution_name",
    "files_received",
    "files_refused",
    "action",
    "read_by",
    "note",
    "outcome",
    "rt_pcr",
    "rt_pcr_negative",
    "first_opened_at",
    "removed_at",
    "result",
    "name_read_as",
)
_COLUMNS = ", ".join(
    [f"study.{name} AS s_{name}" for name in _STUDY_FIELDS]
    + [f"result.{name} AS r_{name}" for name in (*RESULT_FIELDS, "row_sha256")]
    + ["series.series_description, series.series_number"]
    + ["(SELECT count(*) FROM result_slice WHERE result_slice.result = study.result) AS slices_scored"]
)
_ROWS = (
    f"SELECT {_COLUMNS} FROM study LEFT JOIN result ON result.sequence = study.result"  # noqa: S608 - our own names
    " LEFT JOIN series ON series.study = study.sequence AND series.series_instance_uid = study.series_instance_uid"
)


# --- the worklist ---------------------------------------------------------------------------------------------


def rows(connection: sqlite3.Connection, read_since: datetime | None = None) -> list[Row]:
    """Return every study in order of arrival; of the read ones only those read since a moment, if one is given."""
    if read_since is None:
        return [_row(one) for one in connection.execute(f"{_ROWS} ORDER BY study.sequence")]
    where = "WHERE study.read_at IS NULL OR study.read_at >= ?"
    return [
        _row(one) for one in connection.execute(f"{_ROWS} {where} ORDER BY study.sequence", (time_text(read_since),))
    ]


def row(connection: sqlite3.Connection, study_instance_uid: str) -> Row | None:
    """Return one study's row."""
    found = connection.execute(f"{_ROWS} WHERE study.study_instance_uid = ?", (study_instance_uid,)).fetchone()
    return _row(found) if found else None


def row_of(connection: sqlite3.Connection, study: int) -> Row:
    """Return the row of the study with a number, which is there."""
    return _row(connection.execute(f"{_ROWS} WHERE study.sequence = ?", (study,)).fetchone())


def rows_of(connection: sqlite3.Connection, studies: Sequence[int]) -> tuple[Row, ...]:
    """Return the rows of the studies with these numbers, which are there, in that order."""
    found = connection.execute(
        f"{_ROWS} WHERE study.sequence IN (SELECT value FROM json_each(?))",  # noqa: S608 - our own names
        (json.dumps(list(studies)),),
    )
    by_number = {one["s_sequence"]: _row(one) for one in found}
    return tuple(by_number[study] for study in studies)


def page(connection: sqlite3.Connection, after_key: int | None, limit: int, where: str, values: Values) -> Page:
    """Return the next studies that a condition holds for, newest first, after the key that the page before gave."""
    found = connection.execute(
        f"SELECT sequence FROM study WHERE sequence < ? AND {where} ORDER BY sequence DESC LIMIT ?",  # noqa: S608
        (after_key if after_key is not None else LARGEST, *values, limit),
    ).fetchall()
    numbers = [one[0] for one in found]
    return Page(rows_of(connection, numbers), numbers[-1] if len(numbers) == limit else None)


_PART_OF_UID = re.compile(r"[0-9]*\.[0-9.]+|[0-9]+\.")


def text_condition(text: str) -> tuple[str, Values]:
    """Return the condition on `study.sequence` that names and numbers hold every word of a text, and its values.

    Words of three letters or more are found by the index; shorter ones, common in Chinese names, by looking
    through the texts that are left. A text without words finds nothing. What looks like a part of a UID is also
    looked for in the UID of the study, and only that: nearly every short number stands somewhere in some UID.
    """
    words = folded(text.replace("\0", " ")).split()
    if not words:
        return "0", ()
    named, values = _naming_condition(words)
    if len(words) == 1 and _PART_OF_UID.fullmatch(words[0]):
        of_uid = "SELECT sequence FROM study WHERE instr(study_instance_uid, ?)"
        return f"(sequence IN ({of_uid}) OR {named})", (words[0], *values)
    return named, values


def _naming_condition(words: Sequence[str]) -> tuple[str, Values]:
    long = " ".join('"' + word.replace('"', '""') + '"' for word in words if len(word) >= 3)
    short = [word for word in words if len(word) < 3]
    conditions = ["study_text MATCH ?"] * bool(long) + ["instr(text, ?)"] * len(short)
    sql = f"sequence IN (SELECT rowid FROM study_text WHERE {' AND '.join(conditions)})"  # noqa: S608 - our own names
    return sql, (*([long] if long else []), *short)


def search(connection: sqlite3.Connection, text: str, limit: int) -> tuple[Row, ...]:
    """Return the newest studies whose names and numbers hold every word of a text, in any script."""
    return page(connection, None, limit, *text_condition(text)).rows


def _row(found: sqlite3.Row) -> Row:
    findings = tuple(dict.fromkeys(findings_of(found["s_findings"]) + findings_of(found["s_outcome_findings"])))
    plain = Row(
        study_instance_uid=found["s_study_instance_uid"],
        received_at=datetime.fromisoformat(found["s_received_at"]),
        state=State(found["s_state"]),
        series_instance_uid=found["s_series_instance_uid"],
        patient_id=found["s_patient_id"],
        patient_name=found["s_patient_name"],
        patient_sex=found["s_patient_sex"],
        patient_age_years=found["s_patient_age_years"],
        study_date=found["s_study_date"],
        study_time=found["s_study_time"],
        study_description=found["s_study_description"],
        identity_conflict=any(finding.reason in IDENTITY_CONFLICTS for finding in findings),
        pinned=found["s_pinned_at"] is not None or found["s_impression"] == "cannot_judge",
        read_at=moment_or_none(found["s_read_at"]),
        findings=findings,
        series_reason=found["s_series_reason"],
        patient_birth_date=found["s_patient_birth_date"],
        accession_number=found["s_accession_number"],
        institution_name=found["s_institution_name"],
        series_description=found["series_description"] or "",
        series_number=found["series_number"],
        files_received=found["s_files_received"],
        files_refused=found["s_files_refused"],
        impression=found["s_impression"],
        action=found["s_action"],
        read_by=found["s_read_by"],
        note=found["s_note"],
        outcome=found["s_outcome"],
        rt_pcr=found["s_rt_pcr"],
        rt_pcr_negative=bool(found["s_rt_pcr_negative"]),
        first_opened_at=moment_or_none(found["s_first_opened_at"]),
        removed_at=moment_or_none(found["s_removed_at"]),
        result=found["s_result"],
        revision=found["s_revision"],
        name_read_as=found["s_name_read_as"],
    )
    if found["r_row_sha256"] is None:
        return plain
    if not _is_unchanged(found, "r_"):
        damaged = Finding(Outcome.UNSUITABLE, Reason.RESULT_DAMAGED)
        return replace(plain, state=State.FAILED, read_at=None, findings=(damaged, *findings))
    return _with_result(plain, found)


def _with_result(row: Row, found: sqlite3.Row) -> Row:
    distance, limit = found["r_training_distance"], found["r_training_distance_limit"]
    return replace(
        row,
        probabilities=_triple(found, "r_probability"),
        # A score of before the late files stays in sight, as one that is not the last word.
        preliminary=bool(found["r_preliminary"]) or found["r_revision"] < found["s_revision"],
        half_spread=found["r_half_spread"],
        rests_on_one_slice=bool(found["r_rests_on_one_slice"]),
        doubtful=bool(found["r_doubtful"]),
        unlike_training_data=distance is not None and limit is not None and distance > limit,
        pack=found["r_pack"],
        pack_status=found["r_pack_status"],
        provider=found["r_provider"],
        slices_scored=found["slices_scored"],
        slices_total=found["r_slices_total"],
    )


def _triple(found: sqlite3.Row, name: str) -> Triple:
    return found[f"{name}_normal"], found[f"{name}_cp"], found[f"{name}_covid"]


def _is_unchanged(found: sqlite3.Row, prefix: str = "") -> bool:
    try:
        stated: str = found[f"{prefix}row_sha256"]
        return row_sha256([found[prefix + name] for name in RESULT_FIELDS]) == stated
    except ValueError:  # an infinite number is never stored by us
        return False


# --- one study ------------------------------------------------------------------------------------------------


def results(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[StoredResult, ...]:
    """Return all scores of a study, newest first.

    Raises:
        StudyError: one of them was changed since it was recorded.
    """
    found = connection.execute(
        "SELECT result.*, study.result IS NOT result.sequence AS superseded FROM result"
        " JOIN study ON study.sequence = result.study WHERE study_instance_uid = ? ORDER BY result.sequence DESC",
        (study_instance_uid,),
    ).fetchall()
    return tuple(_stored_result(connection, one) for one in found)


def result(connection: sqlite3.Connection, study_instance_uid: str) -> StoredResult | None:
    """Return the score that stands, or None; raises as `results` does."""
    found = connection.execute(
        "SELECT result.*, 0 AS superseded FROM result JOIN study ON study.result = result.sequence"
        " WHERE study_instance_uid = ?",
        (study_instance_uid,),
    ).fetchone()
    return _stored_result(connection, found) if found else None


def _stored_result(connection: sqlite3.Connection, found: sqlite3.Row) -> StoredResult:
    slices = connection.execute(
        "SELECT * FROM result_slice WHERE result = ? ORDER BY slice_index", (found["sequence"],)
    ).fetchall()
    values = [
        (one["slice_index"], one["identity"], one["sha256"].hex(), *_triple(one, "contribution")) for one in slices
    ]
    if not _is_unchanged(found) or row_sha256(values) != found["slices_sha256"]:
        raise StudyError(CHANGED)
    return StoredResult(
        number=found["sequence"],
        score=_score(found, slices),
        findings=findings_of(found["findings"]),
        series_instance_uid=found["series_instance_uid"],
        application_version=found["application_version"],
        gate_version=found["gate_version"],
        recorded_at=datetime.fromisoformat(found["recorded_at"]),
        superseded=bool(found["superseded"]),
    )


def _score(found: sqlite3.Row, slices: list[sqlite3.Row]) -> Score:
    fragility = None
    if found["half_spread"] is not None:
        fragility = Fragility(found["half_spread"], bool(found["rests_on_one_slice"]), bool(found["doubtful"]))
    return Score(
        logits=_triple(found, "logit"),
        probabilities=_triple(found, "probability"),
        slice_indices=tuple(one["slice_index"] for one in slices),
        slice_identities=tuple(one["identity"] for one in slices),
        slice_sha256=tuple(one["sha256"].hex() for one in slices),
        slice_contributions=tuple(_triple(one, "contribution") for one in slices),
        slices_total=found["slices_total"],
        preliminary=bool(found["preliminary"]),
        standard_error=_triple(found, "standard_error"),
        fragility=fragility,
        training_distance=found["training_distance"],
        training_distance_limit=found["training_distance_limit"],
        pack=found["pack"],
        pack_sha256=found["pack_sha256"],
        pack_status=found["pack_status"],
        preparation=found["preparation"],
        provider=found["provider"],
        seconds_read=found["seconds_read"],
        seconds_infer=found["seconds_infer"],
    )


def files(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[FileRef, ...]:
    """Return the files of a study's instances, each once, in order of arrival."""
    found = connection.execute(
        "SELECT instance.*, source.shown AS source_shown FROM instance"
        " JOIN series ON series.sequence = instance.series JOIN study ON study.sequence = series.study"
        " JOIN source ON source.id = instance.source WHERE study_instance_uid = ? ORDER BY instance.sequence",
        (study_instance_uid,),
    )
    return tuple({one["sha256"]: _file(one) for one in found}.values())


def left_out(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[LeftOut, ...]:
    """Return the files that name a study and are not among its instances, with the reason for each."""
    found = connection.execute(
        "SELECT refusal.*, source.shown AS source_shown FROM refusal JOIN study ON study.sequence = refusal.study"
        " JOIN source ON source.id = refusal.source WHERE study_instance_uid = ? ORDER BY refusal.sequence",
        (study_instance_uid,),
    )
    return tuple(
        LeftOut(
            _file(one),
            finding_of(one["outcome"], one["code"], one["found"], one["needed"], one["name"]),
            one["series_instance_uid"],
        )
        for one in found
    )


def _file(found: sqlite3.Row) -> FileRef:
    return FileRef(
        path=Path(os.fsdecode(found["path"])),
        shown=found["shown"],
        size_bytes=found["size_bytes"],
        mtime_ns=found["mtime_ns"],
        sha256=found["sha256"].hex(),
        source=found["source_shown"],
        origin=None if found["origin"] is None else Path(os.fsdecode(found["origin"])),
    )


def states(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[StateChange, ...]:
    """Return the way of a study, oldest step first."""
    found = connection.execute(
        "SELECT study_state.* FROM study_state JOIN study ON study.sequence = study_state.study"
        " WHERE study_instance_uid = ? ORDER BY study_state.sequence",
        (study_instance_uid,),
    )
    return tuple(
        StateChange(State(one["state"]), one["cause"], findings_of(one["findings"]), datetime.fromisoformat(one["at"]))
        for one in found
    )


# --- the rest -------------------------------------------------------------------------------------------------


def setting(connection: sqlite3.Connection, key: str) -> str | None:
    """Return the stored value of a site setting, or None."""
    found = connection.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
    return str(found[0]) if found else None


def broken_audit_row(connection: sqlite3.Connection) -> int | None:
    """Return the number of the first audit row that was changed, or follows a removed one; None when all hold."""
    return first_break(
        (one["sequence"], _audit_values(one), one["previous_sha256"], one["row_sha256"])
        for one in connection.execute("SELECT * FROM audit ORDER BY sequence")
    )


def audit_of(connection: sqlite3.Connection, study_instance_uid: str) -> tuple[AuditEntry, ...]:
    """Return the audit rows about a study, oldest first."""
    found = connection.execute(
        "SELECT audit.* FROM audit JOIN study ON study.sequence = audit.study WHERE study_instance_uid = ?"
        " ORDER BY audit.sequence",
        (study_instance_uid,),
    )
    return tuple(
        AuditEntry(one["sequence"], datetime.fromisoformat(one["at"]), one["who"], one["event"], one["details"])
        for one in found
    )


def _audit_values(found: sqlite3.Row) -> list[Plain]:
    return [found[name] for name in AUDIT_FIELDS]


def known_sha256s(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the SHA-256 of every file that the history knows, read or left out."""
    found = connection.execute("SELECT sha256 FROM instance UNION SELECT sha256 FROM refusal")
    return frozenset(row[0].hex() for row in found)


def knows_files(connection: sqlite3.Connection) -> bool:
    """Whether the history knows any file at all."""
    found = connection.execute("SELECT EXISTS (SELECT 1 FROM instance) OR EXISTS (SELECT 1 FROM refusal)").fetchone()
    return bool(found[0])
