"""Many studies at once, written as rows: what the window's list is tested and measured on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.score import Triple
from aicorona_desktop.history import standing
from aicorona_desktop.history.audit import row_sha256
from aicorona_desktop.history.store import History
from aicorona_desktop.history.values import RESULT_FIELDS, findings_text, folded, time_text
from tests.history.made_up import PACK


@dataclass(frozen=True, slots=True)
class Made:
    """One study of a ledger made up; `read` is (at, impression, action, initials) of its verdict."""

    uid: str
    received_at: datetime
    state: State = State.DONE
    probabilities: Triple | None = None
    doubtful: bool = False
    one_slice: bool = False
    unlike: bool = False
    findings: tuple[Finding, ...] = ()
    pinned: bool = False
    read: tuple[datetime, str, str, str] | None = None
    removed: bool = False
    damaged: bool = False
    name: str = "Doe^Jane"
    study_date: str = "2026-11-22"


def fill(history: History, studies: Iterable[Made]) -> None:
    """Write studies as the program would have, in one transaction."""
    made = list(studies)
    with history._transaction() as connection:
        connection.execute("INSERT OR IGNORE INTO pack VALUES (?, 'demo', 'untrained', '')", (PACK,))
        first = connection.execute("SELECT coalesce(max(sequence), 0) + 1 FROM study").fetchone()[0]
        numbered = list(enumerate(made, start=first))
        connection.executemany(
            "INSERT INTO study (sequence, study_instance_uid, received_at, state, outcome_findings, pinned_at,"
            " removed_at, patient_name, patient_id, study_date) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_study(number, one) for number, one in numbered],
        )
        connection.executemany(
            "INSERT INTO study_text (rowid, text) VALUES (?, ?)",
            [(number, f"{folded(one.name)} {one.uid} id-{number}") for number, one in numbered],
        )
        marks = ", ".join("?" * (len(RESULT_FIELDS) + 2))
        connection.executemany(
            f"INSERT INTO result (sequence, {', '.join(RESULT_FIELDS)}, row_sha256) VALUES ({marks})",
            [_result(number, one) for number, one in numbered if one.probabilities is not None],
        )
        connection.execute(
            "UPDATE study SET result = sequence WHERE sequence >= ? AND sequence IN (SELECT sequence FROM result)",
            (first,),
        )
        connection.executemany(
            "INSERT INTO verdict (study, revision, impression, action, note, initials, at)"
            " VALUES (?, 0, ?, ?, '', ?, ?)",
            [_verdict(number, one.read) for number, one in numbered if one.read],
        )
        standing.settle_unsettled(connection)
        connection.executemany(
            "UPDATE result SET row_sha256 = 'x' WHERE sequence = ?",
            [(number,) for number, one in numbered if one.damaged],
        )


def _study(number: int, one: Made) -> Sequence[Any]:
    at = time_text(one.received_at)
    findings = findings_text(one.findings)
    marks = (at if one.pinned else None, at if one.removed else None)
    return number, one.uid, at, one.state.value, findings, *marks, one.name, f"ID-{number}", one.study_date


def _result(number: int, one: Made) -> Sequence[Any]:
    values: dict[str, Any] = dict.fromkeys(RESULT_FIELDS, 0.0) | dict.fromkeys(RESULT_FIELDS[-9:], "")
    values |= dict.fromkeys(("series_instance_uid", "preparation", "provider", "pack", "pack_status"), "x")
    values |= {"study": number, "revision": 0, "preliminary": int(one.state is State.PRELIMINARY), "slices_total": 40}
    values |= dict(
        zip(("probability_normal", "probability_cp", "probability_covid"), one.probabilities or (), strict=True)
    )
    values |= {"rests_on_one_slice": int(one.one_slice), "doubtful": int(one.doubtful), "pack_sha256": PACK}
    values |= {"training_distance": 50.0 if one.unlike else 1.0, "training_distance_limit": 40.0, "findings": "[]"}
    values |= {"seconds_read": 1.0, "seconds_infer": 2.0}
    ordered = [values[name] for name in RESULT_FIELDS]
    return number, *ordered, row_sha256(ordered)


def _verdict(number: int, read: tuple[datetime, str, str, str]) -> Sequence[Any]:
    at, impression, action, initials = read
    return number, impression, action, initials, time_text(at)
