"""A reader study as a machine of values: its design, who reads what in which order, and what may happen next.

Everything that happens is an event; the state is what follows from the events in their order, so that a study goes on
after a crash exactly where it stood. Nothing here knows a window or a file.

Source: paper-spec 12.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

from aicorona_desktop.app.reader_study_design import SESSIONS, Design, ReaderStudyError
from aicorona_desktop.evaluation.manifest import CLASSES


class Kind(StrEnum):
    """What can happen in a study."""

    PART_OPENED = "part_opened"
    SHOWN = "shown"  # a case came to the screen for the first time in its session
    TIME = "time"  # active seconds on a case
    FIRST = "first"  # the first impression of a sequential design
    REVEALED = "revealed"  # the model's score came to the screen
    MAP = "map"  # a map came to the screen
    ANSWERED = "answered"  # again: changed, while the part is open
    PART_CLOSED = "part_closed"
    UNBLINDED = "unblinded"  # the results are shown before all have finished
    EXPORTED = "exported"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `details` holds plain JSON values, by the names of `Kind`'s rules below."""

    kind: Kind
    at: datetime
    reader: str = ""
    session: int = 0
    case: str = ""
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader says of a case: Yes or No for normal, cp, covid; confidence in COVID-19 of 0 to 100; a note."""

    yes: tuple[bool, bool, bool]
    confidence: float | None = None
    note: str = ""

    def as_details(self) -> dict[str, Any]:
        """Return it as an event keeps it."""
        return {"yes": list(self.yes), "confidence": self.confidence, "note": self.note}


def answer_of(details: Mapping[str, Any]) -> Answer:
    """Return the answer that an event keeps; raises ReaderStudyError for what is none."""
    yes, confidence = details.get("yes"), details.get("confidence")
    fits = isinstance(yes, (list, tuple)) and len(yes) == len(CLASSES) and all(isinstance(one, bool) for one in yes)
    if not fits or yes is None:
        raise ReaderStudyError("An answer says Yes or No to each of the three classes.")
    if confidence is not None and not (isinstance(confidence, (int, float)) and 0 <= confidence <= 100):
        raise ReaderStudyError("A confidence is a number from 0 to 100.")
    return Answer((yes[0], yes[1], yes[2]), confidence, str(details.get("note", "")))


@dataclass(frozen=True, slots=True)
class Reading:
    """One case of one session, as far as it has come; `order_index` and `chunk` count from 1."""

    case: str
    order_index: int
    chunk: int
    started_at: datetime
    seconds: float = 0.0
    idle_cut: bool = False
    first: Answer | None = None
    revealed: bool = False
    shown_p_covid: float | None = None
    map_opened: bool = False
    answer: Answer | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One session of one reader. `chunk` is the part that is open, or was last; 0 before the first."""

    reader: str
    number: int
    aided: bool
    order: tuple[str, ...]
    readings: tuple[Reading, ...] = ()
    chunk: int = 0
    is_open: bool = False
    closed_at: datetime | None = None
    early_because: str = ""

    @property
    def finished(self) -> bool:
        """Whether every case is answered, and locked."""
        return len(self.readings) == len(self.order) and not self.is_open

    @property
    def of_part(self) -> tuple[Reading, ...]:
        """The readings of the present part."""
        return tuple(one for one in self.readings if one.chunk == self.chunk)

    @property
    def part_seconds(self) -> float:
        """Active time in the present part."""
        return sum(one.seconds for one in self.of_part)

    @property
    def unanswered(self) -> str:
        """The code of the case that waits for an answer; "" for none: there is one at most."""
        last = self.readings[-1] if self.readings else None
        return last.case if last is not None and last.answer is None else ""

    def reading(self, case: str) -> Reading | None:
        """Return what there is of a case in this session."""
        return next((one for one in self.readings if one.case == case), None)


class Step(StrEnum):
    """Where a reader stands: what the screen has to show."""

    WAITS = "waits"  # for the end of the washout
    MAY_BEGIN = "may_begin"  # a part can be opened
    PAUSES = "pauses"  # the forced pause between two parts
    READS = "reads"  # a case is, or comes, on the screen
    MAY_CLOSE = "may_close"  # the part is full, or its time over: answers may be changed, then it is closed
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a reader stands; `session` is the present one, `until` when waiting or pausing ends."""

    step: Step
    session: Session
    until: datetime | None = None
    time_is_over: bool = False


@dataclass(frozen=True, slots=True)
class StudyState:
    """A study at one moment: what follows from its events."""

    design: Design
    sessions: Mapping[tuple[str, int], Session]
    unblinded: Event | None = None
    exports: int = 0

    def session(self, reader: str, number: int) -> Session:
        """Return a session; raises ReaderStudyError where there is none."""
        found = self.sessions.get((reader, number))
        if found is None:
            raise ReaderStudyError("This reader or session is not part of the study.")
        return found

    @property
    def finished(self) -> bool:
        """Whether all readers have finished both sessions."""
        return all(session.finished for session in self.sessions.values())

    @property
    def results_are_open(self) -> bool:
        """Whether results may be looked at: all have finished, or somebody answers for showing them before."""
        return self.finished or self.unblinded is not None

    def standing(self, reader: str, now: datetime) -> Standing:
        """Return where a reader stands now."""
        first, second = (self.session(reader, number) for number in SESSIONS)
        if first.finished and second.finished:
            return Standing(Step.FINISHED, second)
        session = second if first.finished else first
        if session.is_open:
            return _in_part(self.design, session)
        if session.chunk:
            ends = _later(session.closed_at, timedelta(minutes=self.design.pause_minutes))
            return Standing(Step.PAUSES if ends and now < ends else Step.MAY_BEGIN, session, ends)
        if session.number == 2:
            ends = _later(first.closed_at, timedelta(days=self.design.washout_days))
            return Standing(Step.WAITS if ends and now < ends else Step.MAY_BEGIN, session, ends)
        return Standing(Step.MAY_BEGIN, session)

    def part_size(self, session: Session) -> int:
        """Return how many cases the present part holds at most."""
        before = sum(one.chunk < session.chunk for one in session.readings)
        return min(self.design.chunk_cases, len(session.order) - before)


def begun(design: Design) -> StudyState:
    """Return a study in which nothing has happened."""
    sessions = {
        (reader.code, number): Session(
            reader.code, number, design.is_aided(reader.code, number), design.order(reader.code, number)
        )
        for reader in design.readers
        for number in SESSIONS
    }
    return StudyState(design, MappingProxyType(sessions))


def replayed(design: Design, events: Iterable[Event]) -> StudyState:
    """Return the study after these events; raises ReaderStudyError where one of them can't have happened."""
    state = begun(design)
    for event in events:
        state = applied(state, event)
    return state


def applied(state: StudyState, event: Event) -> StudyState:
    """Return the study after an event.

    Raises:
        ReaderStudyError: it may not happen now; the text says why.
    """
    if event.kind is Kind.UNBLINDED:
        told = bool(event.details.get("by")) and bool(event.details.get("why"))
        _require(told, "Say who shows the results before all have finished, and why.")
        return replace(state, unblinded=state.unblinded or event)
    if event.kind is Kind.EXPORTED:
        return replace(state, exports=state.exports + 1)
    session = state.session(event.reader, event.session)
    standing = state.standing(event.reader, event.at)
    _require(session == standing.session, "Another session of this reader comes first.")
    after = _RULES[event.kind](state, standing, event)
    return replace(state, sessions=MappingProxyType({**state.sessions, (event.reader, event.session): after}))


# --- the rules ---------------------------------------------------------------------------------------------------


def _opened(_: StudyState, standing: Standing, event: Event) -> Session:
    session, early = standing.session, str(event.details.get("early_because", "")).strip()
    _require(standing.step is not Step.PAUSES, "The pause is not over yet.")
    waits = standing.step is Step.WAITS
    _require(bool(early) or not waits, "The washout is not over; an earlier start needs a reason.")
    _require(standing.step in (Step.MAY_BEGIN, Step.WAITS), "A part is open already.")
    return replace(
        session,
        chunk=session.chunk + 1,
        is_open=True,
        early_because=early if waits else session.early_because,
    )


def _shown(_: StudyState, standing: Standing, event: Event) -> Session:
    session = standing.session
    _require(standing.step is Step.READS and not session.unanswered, "No further case may be shown now.")
    index = len(session.readings)
    _require(session.order[index] == event.case, "Another case comes first in this order.")
    return replace(session, readings=(*session.readings, Reading(event.case, index + 1, session.chunk, event.at)))


def _time(_: StudyState, standing: Standing, event: Event) -> Session:
    reading, seconds = _of_open_part(standing, event), event.details.get("seconds")
    if not isinstance(seconds, (int, float)) or not isfinite(seconds) or seconds < 0:
        raise ReaderStudyError("Active time is a number of seconds.")
    idle = reading.idle_cut or bool(event.details.get("idle_cut"))
    return _with(standing.session, replace(reading, seconds=reading.seconds + seconds, idle_cut=idle))


def _first(state: StudyState, standing: Standing, event: Event) -> Session:
    reading = _of_open_part(standing, event)
    wanted = state.design.sequential and standing.session.aided
    _require(wanted and reading.first is None and not reading.revealed, "There is no first impression to give here.")
    return _with(standing.session, replace(reading, first=_allowed(state.design, event)))


def _revealed(state: StudyState, standing: Standing, event: Event) -> Session:
    reading = _of_open_part(standing, event)
    _require(standing.session.aided, "The model is not shown in this session.")
    _require(not state.design.sequential or reading.first is not None, "The first impression comes before the model.")
    p = event.details.get("p_covid")
    _require(p is None or (isinstance(p, (int, float)) and 0 <= p <= 1), "A score lies between 0 and 1.")
    if reading.revealed:
        return standing.session
    return _with(standing.session, replace(reading, revealed=True, shown_p_covid=p))


def _map(_: StudyState, standing: Standing, event: Event) -> Session:
    reading = _of_open_part(standing, event)
    _require(reading.revealed, "No map is shown here.")
    return _with(standing.session, replace(reading, map_opened=True))


def _answered(state: StudyState, standing: Standing, event: Event) -> Session:
    reading, answer = _of_open_part(standing, event), _allowed(state.design, event)
    _require(reading.revealed or not standing.session.aided, "The model has not been shown yet.")
    changed = reading.changed or (reading.answer is not None and reading.answer != answer)
    return _with(standing.session, replace(reading, answer=answer, changed=changed))


def _closed(_: StudyState, standing: Standing, event: Event) -> Session:
    _require(standing.step is Step.MAY_CLOSE, "This part is not at its end.")
    return replace(standing.session, is_open=False, closed_at=event.at)


_RULES: Final = {
    Kind.PART_OPENED: _opened,
    Kind.SHOWN: _shown,
    Kind.TIME: _time,
    Kind.FIRST: _first,
    Kind.REVEALED: _revealed,
    Kind.MAP: _map,
    Kind.ANSWERED: _answered,
    Kind.PART_CLOSED: _closed,
}


def _in_part(design: Design, session: Session) -> Standing:
    """An open part goes on until it is full, its time is over or nothing is left, with every case answered."""
    over = session.part_seconds >= 60 * design.chunk_minutes and bool(session.of_part)
    full = len(session.of_part) >= design.chunk_cases or len(session.readings) == len(session.order)
    ends = (over or full) and not session.unanswered
    return Standing(Step.MAY_CLOSE if ends else Step.READS, session, time_is_over=over)


def _of_open_part(standing: Standing, event: Event) -> Reading:
    reading = standing.session.reading(event.case)
    if reading is None or not standing.session.is_open or reading.chunk != standing.session.chunk:
        raise ReaderStudyError("The part of this case is closed; its answer stands.")
    return reading


def _with(session: Session, reading: Reading) -> Session:
    """Return the session with a reading in the place of the one of the same case."""
    place = reading.order_index - 1
    return replace(session, readings=(*session.readings[:place], reading, *session.readings[place + 1 :]))


def _allowed(design: Design, event: Event) -> Answer:
    answer = answer_of(event.details)
    _require(not design.exclusive or sum(answer.yes) == 1, "Exactly one class is Yes.")
    _require(design.confidence or answer.confidence is None, "This study asks for no confidence.")
    return answer


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ReaderStudyError(otherwise)


def _later(moment: datetime | None, by: timedelta) -> datetime | None:
    return None if moment is None else moment + by
