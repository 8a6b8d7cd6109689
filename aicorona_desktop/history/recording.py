"""What is written into the ledger: each function is a part of one transaction that `store` has begun."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.score import CLASSES, Score
from aicorona_desktop.core.study import LeftOut, Series, SeriesChoice, Study
from aicorona_desktop.history.audit import FIRST, AuditFile, Plain, row_sha256
from aicorona_desktop.history.connection import StudyError
from aicorona_desktop.history.values import (
    AUDIT_FIELDS,
    RESULT_FIELDS,
    findings_text,
    folded,
)

OUTCOMES = frozenset({State.UNSUITABLE, State.REFUSED, State.IGNORED, State.FAILED})
_BACK = frozenset({State.RECEIVED, State.CHECKING})  # late files, or checked again
_AGAIN = _BACK | {State.QUEUED, State.SUPERSEDED}

NEXT_STATES: dict[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.SETTLING, State.CHECKING, State.FAILED}),
    State.SETTLING: _BACK | {State.FAILED},
    State.CHECKING: OUTCOMES | {State.RECEIVED, State.SETTLING, State.QUEUED},
    State.QUEUED: OUTCOMES | _BACK | {State.PRELIMINARY, State.RUNNING, State.DONE},
    State.PRELIMINARY: OUTCOMES | _BACK | {State.QUEUED, State.RUNNING, State.DONE},
    State.RUNNING: OUTCOMES | _BACK | {State.QUEUED, State.DONE},
    State.DONE: _AGAIN,
    State.UNSUITABLE: _AGAIN,
    State.REFUSED: _AGAIN,
    State.IGNORED: _AGAIN,
    State.FAILED: _AGAIN,
    State.SUPERSEDED: frozenset({State.RECEIVED}),
}
"""Which state may follow which (design D16); staying in a state is always allowed and leaves no trace."""

NOT_FINITE = "The score is not a finite number and was not recorded."
UNKNOWN_STUDY = "This study is not in the history."


@dataclass(frozen=True, slots=True)
class Circumstances:
    """With what a score was made, beside what stands in the score: versions, findings, when."""

    application_version: str
    gate_version: str
    findings: Sequence[Finding]
    at: str


# --- small pieces ---------------------------------------------------------------------------------------------


def study_number(connection: sqlite3.Connection, study_instance_uid: str) -> int:
    """Return the number that stands for a study in the ledger; raises StudyError where it isn't there."""
    found = connection.execute("SELECT sequence FROM study WHERE study_instance_uid = ?", (study_instance_uid,))
    number = found.fetchone()
    if number is None:
        raise StudyError(UNKNOWN_STUDY)
    return int(number[0])


def insert(connection: sqlite3.Connection, table: str, values: Mapping[str, object], on_conflict: str = "") -> int:
    """Insert a row and return its number; names come from this file, values are bound."""
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    sql = f"INSERT INTO {table} ({names}) VALUES ({marks}) {on_conflict}"  # noqa: S608 - see above
    return int(connection.execute(sql, tuple(values.values())).lastrowid or 0)


def text_of(foreign: str) -> str:
    """Return text that UTF-8 can hold; names of files may carry bytes that no text has."""
    return foreign.encode("utf-8", "replace").decode()


# --- states -------------------------------------------------------------------------------------------------


def move(
    connection: sqlite3.Connection, number: int, state: State, cause: str, at: str, *, findings: str = "[]"
) -> None:
    """Record the next state of a study; raises StudyError where it can't follow."""
    now = State(connection.execute("SELECT state FROM study WHERE sequence = ?", (number,)).fetchone()[0])
    if state is now:
        return
    if state not in NEXT_STATES[now]:
        raise StudyError(f"A study can't go from {now} to {state}.")
    _append_state(connection, number, state, cause, at, findings=findings)


def _append_state(
    connection: sqlite3.Connection, number: int, state: State, cause: str, at: str, *, findings: str = "[]"
) -> None:
    insert(
        connection,
        "study_state",
        {"study": number, "state": state.value, "cause": cause, "findings": findings, "at": at},
    )
    connection.execute("UPDATE study SET state = ? WHERE sequence = ?", (state.value, number))


# --- what arrives -------------------------------------------------------------------------------------------


def record_received(connection: sqlite3.Connection, study: Study, at: str) -> bool:
    """Record a study with its files; reopen it when there are new ones. Return whether there are."""
    number = _study(connection, study, at)
    before = _known_files(connection, number)
    sources: dict[str, int] = {}
    for series in study.series:
        _record_series(connection, number, series, sources, at)
        _count_in(connection, number, series)
    further = _record_further_files(connection, study, number, sources, at)
    for one in (*study.left_out, *(one for series in study.series for one in series.left_out)):
        _record_left_out(connection, number, one, sources, at)
    is_new = bool(_known_files(connection, number) - before - further)
    if is_new and before:
        _reopen(connection, number, at)
    return is_new


def _study(connection: sqlite3.Connection, study: Study, at: str) -> int:
    """Record a study's own facts; a first sight of it is its state `received`."""
    uid = text_of(study.study_instance_uid)
    facts = _study_facts(study)
    found = connection.execute("SELECT sequence FROM study WHERE study_instance_uid = ?", (uid,)).fetchone()
    if found is None:
        values = {"study_instance_uid": uid, "received_at": at, "state": State.RECEIVED.value}
        number = insert(connection, "study", values)
        _append_state(connection, number, State.RECEIVED, "first files", at)
    else:
        number = int(found[0])
    columns = facts | {"findings": findings_text(study.findings)}
    changes = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE study SET {changes} WHERE sequence = ?", (*columns.values(), number))  # noqa: S608
    if found is None or facts:
        set_search_text(connection, number)
    return number


def _study_facts(study: Study) -> dict[str, object]:
    left_out = (*(one for series in study.series for one in series.left_out), *study.left_out)
    patient_id = text_of(next((one.patient_id for one in left_out if one.patient_id), ""))
    header = _telling_header(study, left_out)
    if header is None:
        return {"patient_id": patient_id} if patient_id else {}
    return {
        "patient_id": text_of(header.patient_id) or patient_id,
        "issuer_of_patient_id": text_of(header.issuer_of_patient_id),
        "patient_name": text_of(header.patient_name),
        "patient_birth_date": text_of(header.patient_birth_date),
        "patient_sex": text_of(header.patient_sex),
        "patient_age_years": header.patient_age_years,
        "study_date": text_of(header.study_date),
        "study_time": text_of(header.study_time),
        "study_description": text_of(header.study_description),
        "study_id": text_of(header.study_id),
        "accession_number": text_of(header.accession_number),
        "institution_name": text_of(header.institution_name),
    }


def _telling_header(study: Study, left_out: Sequence[LeftOut]) -> Header | None:
    """Return the header that speaks for a study: of its largest series, else of a file left out, best with a patient.

    A study of localizers or reformats alone gets no score; a person must still see whose it is.
    """
    largest = max(study.series, key=lambda series: len(series.instances), default=None)
    if largest is not None and largest.instances:
        return largest.instances[0].header
    headers = [one.header for one in left_out if one.header is not None]
    return max(headers, key=lambda header: bool(header.patient_id or header.patient_name), default=None)


def set_search_text(connection: sqlite3.Connection, study: int) -> None:
    """Set by which words a study is found."""
    text = _search_text(connection.execute("SELECT * FROM study WHERE sequence = ?", (study,)).fetchone())
    connection.execute("INSERT OR REPLACE INTO study_text (rowid, text) VALUES (?, ?)", (study, text))


def _search_text(study: sqlite3.Row) -> str:
    names = [study["patient_name"], *filter(None, [study["name_read_as"]])]
    # A family and a given name are also found when typed as one word, as Chinese names are.
    texts = [text for name in names for text in (name, name.replace("^", ""))]
    keys = ("patient_id", "accession_number", "study_id", "study_description")
    return " ".join(folded(text) for text in (*texts, *(study[key] for key in keys)))


# A copy of ours stays what a row leads to, also when the same bytes are read in place later.
_KEEPS = "instance.origin IS NOT NULL AND excluded.origin IS NULL"


def _record_series(
    connection: sqlite3.Connection, study: int, series: Series, sources: dict[str, int], at: str
) -> None:
    header = series.instances[0].header if series.instances else None
    facts = _series_facts(header) | {"findings": findings_text(series.findings)}
    changes = ", ".join(f"{name} = excluded.{name}" for name in facts)
    uid = text_of(series.series_instance_uid)
    insert(
        connection,
        "series",
        {"study": study, "series_instance_uid": uid} | facts,
        f"ON CONFLICT (study, series_instance_uid) DO UPDATE SET {changes}",
    )
    found = connection.execute("SELECT sequence FROM series WHERE study = ? AND series_instance_uid = ?", (study, uid))
    number = int(found.fetchone()[0])
    connection.executemany(
        "INSERT INTO instance (series, identity, sha256, path, shown, source, size_bytes, mtime_ns, origin,"
        " received_at)"
        # A version of an image that was left out until now arrived when it was left out.
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, coalesce((SELECT min(recorded_at) FROM refusal"
        " WHERE refusal.study = ? AND refusal.sha256 = ?), ?))"
        " ON CONFLICT (identity, sha256) DO UPDATE SET series = excluded.series,"
        " path = iif(keeps, path, excluded.path), shown = iif(keeps, shown, excluded.shown),"
        " source = iif(keeps, source, excluded.source), mtime_ns = iif(keeps, mtime_ns, excluded.mtime_ns),"
        " origin = iif(keeps, origin, excluded.origin)"
        " WHERE (series, path, source) IS NOT (excluded.series, excluded.path, excluded.source)".replace(
            "keeps", _KEEPS
        ),
        [
            (
                number,
                text_of(one.identity),
                bytes.fromhex(one.file.sha256),
                *_file_values(connection, one.file, sources, at),
                study,
                bytes.fromhex(one.file.sha256),
                at,
            )
            for one in series.instances
        ],
    )


_SAME_IMAGE = Finding(Outcome.IGNORED, Reason.SAME_IMAGE)
_BY_CHOICE = (Reason.OTHER_IDENTITY.code, Reason.OTHER_VERSION_CHOSEN.code, Reason.UID_CONFLICT.code)


def _record_further_files(
    connection: sqlite3.Connection, study: Study, number: int, sources: dict[str, int], at: str
) -> frozenset[bytes]:
    """Record the files that hold an image of the study in other bytes; return their SHA-256: they are nothing new."""
    own = study.own_sha256s
    further = {
        file.sha256: LeftOut(file, _SAME_IMAGE, series.series_instance_uid, study.study_instance_uid)
        for series in study.series
        for file in series.duplicates
        if file.sha256 not in own
    }
    further |= {one.file.sha256: one for one in study.left_out if one.finding.reason is Reason.SAME_IMAGE}
    for one in further.values():
        _record_left_out(connection, number, one, sources, at)
    _let_go(connection, number, further, _BY_CHOICE)
    return frozenset(map(bytes.fromhex, further))


def _count_in(connection: sqlite3.Connection, study: int, series: Series) -> None:
    """Let go of the note that a slice is left out by a choice, where another choice has made it one of the study."""
    codes = (*_BY_CHOICE, Reason.SAME_IMAGE.code)
    _let_go(connection, study, (one.file.sha256 for one in series.instances), codes)


def _let_go(connection: sqlite3.Connection, study: int, sha256s: Iterable[str], codes: Sequence[str]) -> None:
    marks = ", ".join("?" * len(codes))
    connection.executemany(
        f"DELETE FROM refusal WHERE study = ? AND sha256 = ? AND code IN ({marks})",  # noqa: S608 - see `insert`
        [(study, bytes.fromhex(one), *codes) for one in sha256s],
    )


def _series_facts(header: Header | None) -> dict[str, object]:
    if header is None:
        return {}
    return {
        "series_number": header.series_number,
        "series_description": text_of(header.series_description),
        "protocol_name": text_of(header.protocol_name),
        "modality": text_of(header.modality),
        "manufacturer": text_of(header.manufacturer),
        "model_name": text_of(header.model_name),
        "convolution_kernel": text_of(header.convolution_kernel),
        "kvp": header.kvp,
        "slice_thickness_mm": header.slice_thickness_mm,
        "contrast_agent": text_of(header.contrast_agent),
    }


def _record_left_out(
    connection: sqlite3.Connection, study: int, one: LeftOut, sources: dict[str, int], at: str
) -> None:
    path, shown, source, size_bytes, mtime_ns, origin = _file_values(connection, one.file, sources, at)
    values: dict[str, object] = {
        "study": study,
        "series_instance_uid": text_of(one.series_instance_uid),
        "outcome": one.finding.outcome.value,
        "code": one.finding.reason.code,
        "found": one.finding.found,
        "needed": one.finding.needed,
        "name": one.finding.name,
        "sha256": bytes.fromhex(one.file.sha256),
        "path": path,
        "shown": shown,
        "source": source,
        "size_bytes": size_bytes,
        "mtime_ns": mtime_ns,
        "origin": origin,
        "recorded_at": at,
    }
    newer = ("path", "shown", "source", "origin", "outcome", "found", "needed", "name")
    changes = ", ".join(f"{name} = excluded.{name}" for name in newer)
    insert(connection, "refusal", values, f"ON CONFLICT (study, sha256, code) DO UPDATE SET {changes}")


def _file_values(
    connection: sqlite3.Connection, file: FileRef, sources: dict[str, int], at: str
) -> tuple[bytes, str, int, int, int, bytes | None]:
    if file.source not in sources:
        sources[file.source] = source_number(connection, file.source, "", at)
    # Bytes: a name on a Linux disk need not be text.
    origin = None if file.origin is None else os.fsencode(file.origin)
    return os.fsencode(file.path), text_of(file.shown), sources[file.source], file.size_bytes, file.mtime_ns, origin


def source_number(connection: sqlite3.Connection, shown: str, kind: str, at: str) -> int:
    """Record a source where it is new, and its kind where that is told; return its number."""
    connection.execute(
        "INSERT INTO source (shown, kind, recorded_at) VALUES (?, ?, ?)"
        " ON CONFLICT (shown) DO UPDATE SET kind = excluded.kind WHERE excluded.kind <> ''",
        (text_of(shown), kind, at),
    )
    return int(connection.execute("SELECT id FROM source WHERE shown = ?", (text_of(shown),)).fetchone()[0])


def _known_files(connection: sqlite3.Connection, study: int) -> frozenset[bytes]:
    found = connection.execute(
        "SELECT sha256 FROM instance JOIN series ON series.sequence = instance.series WHERE series.study = ?"
        " UNION SELECT sha256 FROM refusal WHERE study = ?",
        (study, study),
    )
    return frozenset(one[0] for one in found)


def _reopen(connection: sqlite3.Connection, study: int, at: str) -> None:
    state = State(connection.execute("SELECT state FROM study WHERE sequence = ?", (study,)).fetchone()[0])
    if state in (State.RECEIVED, State.SETTLING):
        return
    _append_state(connection, study, State.RECEIVED, "more files came", at)
    # A person has read, and perhaps judged, what was there before; not this.
    connection.execute(
        "UPDATE study SET revision = revision + 1, removed_at = NULL, outcome_findings = '[]' WHERE sequence = ?",
        (study,),
    )


# --- what the model says ------------------------------------------------------------------------------------


def record_result(connection: sqlite3.Connection, number: int, score: Score, with_: Circumstances) -> int:
    """Record a score where it says something new, and the state it brings; return the number of the one that stands."""
    study = connection.execute("SELECT * FROM study WHERE sequence = ?", (number,)).fetchone()
    standing = connection.execute(
        "SELECT * FROM result WHERE sequence = ? AND revision = ?", (study["result"], study["revision"])
    ).fetchone()
    if standing is not None and score.preliminary and not standing["preliminary"]:
        return int(standing["sequence"])
    state = State.PRELIMINARY if score.preliminary else State.DONE
    move(connection, number, state, f"{len(score.slice_indices)} of {score.slices_total} slices scored", with_.at)
    key = _result_key(score, with_.gate_version)
    if standing is not None and (standing["result_key"], standing["preliminary"]) == (key, int(score.preliminary)):
        return int(standing["sequence"])
    record_pack(connection, score.pack_sha256, score.pack, score.pack_status, with_.at)
    findings = findings_text(with_.findings)
    values: dict[str, Plain] = _result_values(score, study) | {
        "application_version": with_.application_version,
        "gate_version": with_.gate_version,
        "findings": findings,
        "result_key": key,
        "recorded_at": with_.at,
    }
    result = _insert_result(connection, values, score)
    connection.execute(
        "UPDATE study SET result = ?, outcome_findings = ? WHERE sequence = ?", (result, findings, number)
    )
    return result


def record_unscored(
    connection: sqlite3.Connection, number: int, state: State, findings: Sequence[Finding], at: str
) -> None:
    """Record the state of a study without a score, and why."""
    text = findings_text(findings)
    move(connection, number, state, "no score", at, findings=text)
    connection.execute("UPDATE study SET result = NULL, outcome_findings = ? WHERE sequence = ?", (text, number))


def choose(connection: sqlite3.Connection, study: int, choice: SeriesChoice) -> None:
    """Record which series stands for a study, and why."""
    uid = choice.series.series_instance_uid if choice.series else ""
    connection.execute(
        "UPDATE study SET series_instance_uid = ?, series_reason = ? WHERE sequence = ?",
        (text_of(uid), text_of(choice.reason), study),
    )


def record_pack(connection: sqlite3.Connection, sha256: str, title: str, status: str, at: str) -> bool:
    """Record a pack; return whether it was new."""
    done = connection.execute(
        "INSERT INTO pack (sha256, title, status, recorded_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (sha256, title, status, at),
    )
    return done.rowcount == 1


def _result_key(score: Score, gate_version: str) -> str:
    return row_sha256([sorted(score.slice_sha256), score.pack_sha256, gate_version])


def _result_values(score: Score, study: sqlite3.Row) -> dict[str, Plain]:
    fragility = score.fragility
    values: dict[str, Plain] = {
        "study": study["sequence"],
        "revision": study["revision"],
        "series_instance_uid": study["series_instance_uid"],
        "preliminary": int(score.preliminary),
        "slices_total": score.slices_total,
        "half_spread": float(fragility.half_spread) if fragility else None,
        "rests_on_one_slice": int(fragility.rests_on_one_slice) if fragility else None,
        "doubtful": int(fragility.doubtful) if fragility else None,
        "training_distance": _number_or_none(score.training_distance),
        "training_distance_limit": _number_or_none(score.training_distance_limit),
        "pack": score.pack,
        "pack_sha256": score.pack_sha256,
        "pack_status": score.pack_status,
        "preparation": score.preparation,
        "provider": score.provider,
        "seconds_read": float(score.seconds_read),
        "seconds_infer": float(score.seconds_infer),
        "slices_sha256": row_sha256(_slice_values(score)),
    }
    for name, triple in (
        ("logit", score.logits),
        ("probability", score.probabilities),
        ("standard_error", score.standard_error),
    ):
        values |= {f"{name}_{one}": float(value) for one, value in zip(CLASSES, triple, strict=True)}
    if not all(isfinite(value) for value in values.values() if isinstance(value, float)):
        raise StudyError(NOT_FINITE)
    return values


def _number_or_none(value: float | None) -> float | None:
    return None if value is None else float(value)


def _slice_values(score: Score) -> list[tuple[Plain, ...]]:
    """Return (index, identity, sha256, contributions) of the scored slices, by index: what their hash covers."""
    if not all(isfinite(value) for triple in score.slice_contributions for value in triple):
        raise StudyError(NOT_FINITE)
    return sorted(
        (index, identity, sha256, *map(float, contribution))
        for index, identity, sha256, contribution in zip(
            score.slice_indices, score.slice_identities, score.slice_sha256, score.slice_contributions, strict=True
        )
    )


def _insert_result(connection: sqlite3.Connection, values: dict[str, Plain], score: Score) -> int:
    proof = row_sha256([values[name] for name in RESULT_FIELDS])
    result = insert(connection, "result", {**values, "row_sha256": proof})
    connection.executemany(
        "INSERT INTO result_slice (result, slice_index, identity, sha256, contribution_normal, contribution_cp,"
        " contribution_covid) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (result, index, identity, bytes.fromhex(str(sha256)), *contribution)
            for index, identity, sha256, *contribution in _slice_values(score)
        ],
    )
    return result


# --- the audit ------------------------------------------------------------------------------------------------


def newest_audit(connection: sqlite3.Connection) -> str:
    """Return the hash that the chain ends with."""
    newest = connection.execute("SELECT row_sha256 FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
    return newest[0] if newest else FIRST


def append_audit(connection: sqlite3.Connection, file: AuditFile, values: Sequence[Plain]) -> None:
    """Add (at, who, event, study, details) to the chain, on the disk before the transaction ends; raises OSError."""
    previous = newest_audit(connection)
    proof: dict[str, Plain] = {"previous_sha256": previous, "row_sha256": row_sha256([previous, *values])}
    entry = dict(zip(AUDIT_FIELDS, values, strict=True)) | proof
    file.append(entry)
    insert(connection, "audit", entry)
