"""A reader study as the history keeps it and as files hold it: the design, the orders, readers.csv.

Source: paper-spec 13.3.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aicorona_desktop.app.reader_study import Answer, Event, Kind, Reading, Session, StudyState, replayed
from aicorona_desktop.app.reader_study_design import SESSIONS, Case, Design, Participant, ReaderStudyError
from aicorona_desktop.core.durable import write_file
from aicorona_desktop.evaluation.readers import ReaderRow, write_readers
from aicorona_desktop.evaluation.tasks import Reading as SaidOfClasses
from aicorona_desktop.history.store import History, ReaderStudyEvent, StoredReaderStudy

FORM: Final = 1
"""The form of a kept design, and of design.json."""

READERS_NAME, DESIGN_NAME = "readers.csv", "design.json"


# --- in the history ----------------------------------------------------------------------------------------------


def make_study(history: History, design: Design, by: str) -> int:
    """Keep a new study; return its number. Raises HistoryError."""
    return history.add_reader_study(design.name, {"form": FORM, **asdict(design)}, by)


def read_study(history: History, number: int) -> tuple[StudyState, tuple[Event, ...]]:
    """Return a study as it stands, with its events, oldest first.

    Raises:
        HistoryError: the history can't be read or doesn't know it.
        ReaderStudyError: what is kept is no study that this version understands.
    """
    design = design_of(history.reader_study(number))
    events = tuple(map(event_of, history.reader_study_events(number)))
    return replayed(design, events), events


class EventLog:
    """What happened in a study on its way into the history, in its order; for any thread.

    `add` only notes, `write` brings all that is noted onto the disk; what could not be written waits for the next time.
    """

    def __init__(self, history: History, number: int) -> None:
        self._history = history
        self._number = number
        self._waiting: list[Event] = []
        self._one_at_a_time = threading.Lock()

    def add(self, *events: Event) -> None:
        """Note events."""
        self._waiting += events

    def write(self) -> None:
        """Keep everything that is noted, all of it or none. Raises HistoryError."""
        with self._one_at_a_time:
            events = tuple(self._waiting)
            if events:
                self._history.add_reader_study_events(self._number, tuple(map(_stored, events)))
                del self._waiting[: len(events)]


def design_of(stored: StoredReaderStudy) -> Design:
    """Return the design of a kept study; raises ReaderStudyError for a form of another version."""
    values = dict(stored.design)
    if values.pop("form", None) != FORM:
        raise ReaderStudyError("This reader study was made by another version of the program.")
    try:
        cases = tuple(Case(**one) for one in values.pop("cases"))
        readers = tuple(Participant(**one) for one in values.pop("readers"))
        return Design(cases=cases, readers=readers, **values)
    except (TypeError, KeyError, AttributeError) as error:
        raise ReaderStudyError("The design of this reader study is damaged.") from error


def event_of(stored: ReaderStudyEvent) -> Event:
    """Return a kept event; raises ReaderStudyError for a kind of another version."""
    try:
        kind = Kind(stored.kind)
    except ValueError as error:
        raise ReaderStudyError("This reader study was gone on with by another version of the program.") from error
    return Event(kind, stored.at, stored.reader, stored.session, stored.case, stored.details)


def _stored(event: Event) -> ReaderStudyEvent:
    return ReaderStudyEvent(event.kind.value, event.at, event.reader, event.session, event.case, dict(event.details))


# --- files -------------------------------------------------------------------------------------------------------


def reader_rows(state: StudyState, *, closed_only: bool = False) -> tuple[ReaderRow, ...]:
    """Return the answered readings as rows of readers.csv, by reader, session and order.

    `closed_only` leaves out those that may still be changed.
    """
    sessions = ((reader, state.session(reader.code, number)) for reader in state.design.readers for number in SESSIONS)
    return tuple(
        _row(state.design, reader, session, reading, reading.answer)
        for reader, session in sessions
        for reading in session.readings
        if reading.answer is not None and not (closed_only and _is_open(session, reading))
    )


def _is_open(session: Session, reading: Reading) -> bool:
    return session.is_open and reading.chunk == session.chunk


def _row(design: Design, reader: Participant, session: Session, reading: Reading, answer: Answer) -> ReaderRow:
    normal, cp, covid = answer.yes
    return ReaderRow(
        reader_id=reader.code,
        reader_level=reader.level,
        years=reader.years,
        scan_id=design.case(reading.case).scan_id,
        reading_pass=session.number,
        aided=session.aided,
        order_index=reading.order_index,
        chunk=reading.chunk,
        started_at=reading.started_at,
        seconds=round(reading.seconds, 3),
        idle_cut=reading.idle_cut,
        yes_normal=normal,
        yes_cp=cp,
        yes_covid=covid,
        call=SaidOfClasses(answer.yes).call,
        confidence_covid=answer.confidence,
        shown_p_covid=reading.shown_p_covid if session.aided else None,
        map_opened=reading.map_opened if session.aided else None,
        changed=reading.changed,
        note=" ".join(answer.note.split()),
    )


def design_json(state: StudyState, events: Iterable[Event], now: datetime) -> dict[str, Any]:
    """Return what design.json holds: options, seed, orders, early starts, first impressions; no UID, no name.

    Scans go by their `scan_id`, as in readers.csv.
    """
    design = state.design
    scan_of = {one.code: one.scan_id for one in design.cases}
    options = {name: value for name, value in asdict(design).items() if name not in ("cases", "readers")}
    return {
        "form": FORM,
        "written_at": now.isoformat(timespec="seconds"),
        **options,
        "readers": [asdict(one) for one in design.readers],
        "cases": [
            {"code": one.code, "scan_id": one.scan_id, "subject_id": one.subject_id, "label_raw": one.truth}
            for one in design.cases
        ],
        "sessions": [_session_json(design, session, scan_of) for session in state.sessions.values()],
        "unblinded": None if state.unblinded is None else _unblinded_json(state.unblinded),
        "events": sum(1 for _ in events),
    }


def _session_json(design: Design, session: Session, scan_of: Mapping[str, str]) -> dict[str, Any]:
    firsts = {scan_of[one.case]: one.first.as_details() for one in session.readings if one.first is not None}
    return {
        "reader": session.reader,
        "pass": session.number,
        "aided": session.aided,
        "order": [scan_of[code] for code in session.order],
        "finished": session.finished,
        "started_early_because": session.early_because,
        **({"first_impressions": firsts} if design.sequential and session.aided else {}),
    }


def _unblinded_json(event: Event) -> dict[str, Any]:
    return {"at": event.at.isoformat(timespec="seconds"), **event.details}


def write_study(folder: Path, state: StudyState, events: Iterable[Event], now: datetime) -> tuple[Path, Path]:
    """Write readers.csv and design.json into a folder; return their paths.

    Raises:
        ReaderStudyError: they can't be written.
    """
    readers, design = folder / READERS_NAME, folder / DESIGN_NAME
    text = json.dumps(design_json(state, events, now), indent=2, ensure_ascii=False, sort_keys=False)
    try:
        write_readers(readers, reader_rows(state))
        write_file(design, f"{text}\n".encode("utf-8", "replace"))
    except OSError as error:
        raise ReaderStudyError("The files could not be written; is the disk full or the folder closed?") from error
    return readers, design
