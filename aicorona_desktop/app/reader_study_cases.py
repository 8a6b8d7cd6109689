"""The cases of a reader study: from a table of labels, or from studies of the history whose later truth is known.

The table is CSV with a column `label` and one that says which study it is: `study_instance_uid`, `patient_id` or
`folder`. `scan_id` and `subject_id` may be there too, and are what comes out in readers.csv.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aicorona_desktop.app.reader_study_design import Case
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.manifest import LABELS, Fault
from aicorona_desktop.evaluation.strict_csv import Parse, TableError, one_of, read_rows, text_cell
from aicorona_desktop.history.store import History

UID, PATIENT, FOLDER, LABEL = "study_instance_uid", "patient_id", "folder", "label"
WHICH: Final = (UID, PATIENT, FOLDER)
_COLUMNS: Final[Mapping[str, Parse]] = {
    UID: text_cell,
    PATIENT: text_cell,
    FOLDER: text_cell,
    LABEL: one_of(*LABELS),
    "scan_id": text_cell,
    "subject_id": text_cell,
}
LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that is taken for another when read aloud or copied by hand
UNREADABLE: Final = frozenset({State.REFUSED, State.IGNORED})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study that may become a case; `truth` one of the labels. `scan_id`, `subject_id` are "" where nobody gave any.

    `row` is for showing who it is to the person who makes the study, never to a reader.
    """

    row: Row
    truth: str
    scan_id: str = ""
    subject_id: str = ""


def candidates_of_table(path: Path, history: History) -> tuple[Candidate, ...]:
    """Return the studies that a table of labels names.

    Raises:
        TableError: it can't be read, or a line names no study of the history, several, or one that stands before.
        HistoryError: the history can't be read.
    """
    lines = read_rows(path, "The case list", _COLUMNS, (LABEL,), (*WHICH, "scan_id", "subject_id"))
    rows = {row.study_instance_uid: row for row in history.rows()}
    faults: list[Fault] = []
    found: dict[str, Candidate] = {}
    scans: dict[str, int] = {}
    for line, values in lines:
        uids = _studies(values, rows, history, path.parent)
        scan_id = values["scan_id"] or ""
        fault = _which_fault(values, uids) or _state_fault(rows[uids[0]], found)
        if not fault and scan_id and scans.setdefault(scan_id, line) != line:
            fault = f"scan_id stands in line {scans[scan_id]} already."
        if fault:
            faults.append(Fault(line, fault))
            continue
        found[uids[0]] = Candidate(rows[uids[0]], values[LABEL], scan_id, values["subject_id"] or "")
    if faults:
        raise TableError("The case list", faults)
    return tuple(found.values())


def candidates_of_outcomes(rows: Iterable[Row]) -> tuple[Candidate, ...]:
    """Return the studies whose later truth names a class, in the order of arrival."""
    known = (row for row in rows if row.outcome in CLASSES and row.state not in UNREADABLE)
    return tuple(Candidate(row, row.outcome) for row in sorted(known, key=lambda row: row.received_at))


def cases_of(candidates: Sequence[Candidate], seed: int) -> tuple[Case, ...]:
    """Return the cases, each with a code that says nothing of the study; its place in the list shows nowhere."""
    shuffled = sorted(candidates, key=lambda one: _digest(seed, "code", one.row.study_instance_uid))
    codes = {one.row.study_instance_uid: f"{_letters(seed, place)}" for place, one in enumerate(shuffled)}
    subjects = {_subject(one): "" for one in shuffled}
    names = {subject: f"S-{place:04d}" for place, subject in enumerate(subjects, 1)}
    found = []
    for one in shuffled:
        code = codes[one.row.study_instance_uid]
        subject = one.subject_id or names[_subject(one)]
        found.append(Case(code, one.row.study_instance_uid, one.truth, one.scan_id or code, subject))
    return tuple(found)


def _studies(values: Mapping[str, Any], rows: Mapping[str, Row], history: History, folder: Path) -> list[str]:
    if values[UID]:
        return [values[UID]] if values[UID] in rows else []
    if values[PATIENT]:
        return [uid for uid, row in rows.items() if row.patient_id == values[PATIENT]]
    if values[FOLDER]:
        return [uid for uid in history.studies_below((folder / values[FOLDER]).absolute()) if uid in rows]
    return []


def _which_fault(values: Mapping[str, Any], uids: Sequence[str]) -> str:
    if not any(values[name] for name in WHICH):
        return f"One of {', '.join(WHICH)} must say which study it is."
    if not uids:
        return "No such study is in the history; read its files first."
    return f"{len(uids)} studies fit; name one by its {UID}." if len(uids) > 1 else ""


def _state_fault(row: Row, found: Mapping[str, Candidate]) -> str:
    if row.state in UNREADABLE:
        return "This study has no pictures that can be shown."
    return "This study stands in a line above already." if row.study_instance_uid in found else ""


def _subject(candidate: Candidate) -> str:
    row = candidate.row
    return candidate.subject_id or row.patient_id or row.study_instance_uid


def _letters(seed: int, place: int) -> str:
    """A code of four letters, never twice in a study: the last three tell the place, mixed by the seed."""
    base = len(LETTERS)
    # A walk through all numbers of four letters: the step has no common factor with their count.
    number = (int.from_bytes(_digest(seed, "codes")[:4], "big") + place * 500_009) % base**4
    letters = []
    for _ in range(4):
        number, digit = divmod(number, base)
        letters.append(LETTERS[digit])
    return "".join(letters)


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("|".join(map(str, parts)).encode()).digest()
