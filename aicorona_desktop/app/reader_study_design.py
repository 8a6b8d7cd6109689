"""The design of a reader study: who reads which cases, under which rules, and in which order.

Source: paper-spec 12.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.evaluation.manifest import LABELS
from aicorona_desktop.evaluation.readers import LEVELS

T = TypeVar("T")

SESSIONS: Final = (1, 2)
WASHOUT_DAYS: Final = 28
CHUNK_CASES: Final = 20
CHUNK_MINUTES: Final = 30
PAUSE_MINUTES: Final = 5


class ReaderStudyError(AicoronaError):
    """A reader study can't be made, or doesn't allow this step now."""


@dataclass(frozen=True, slots=True)
class Case:
    """One scan of the study: readers see `code` alone; `scan_id` and `subject_id` are for the files that come out.

    `truth` is one of `evaluation.manifest.LABELS`.
    """

    code: str
    study_instance_uid: str
    truth: str
    scan_id: str
    subject_id: str


@dataclass(frozen=True, slots=True)
class Participant:
    """One who reads: a code in place of a name, the level and, where told, years of practice."""

    code: str
    level: str
    years: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What was laid down before the first case was read, and never changes.

    `seed` fixes every order. `exclusive`: exactly one Yes; else each class by itself. `sequential`: in the aided
    session a first impression is given before the model is shown. `crossover`: half the readers start aided.
    """

    name: str
    cases: tuple[Case, ...]
    readers: tuple[Participant, ...]
    seed: int
    washout_days: int = WASHOUT_DAYS
    chunk_cases: int = CHUNK_CASES
    chunk_minutes: int = CHUNK_MINUTES
    pause_minutes: int = PAUSE_MINUTES
    exclusive: bool = True
    confidence: bool = False
    sequential: bool = False
    crossover: bool = False

    def __post_init__(self) -> None:
        """Refuse what no study can be.

        Raises:
            ReaderStudyError: says in one sentence what is wrong.
        """
        fault = next(_faults(self), "")
        if fault:
            raise ReaderStudyError(fault)

    def case(self, code: str) -> Case:
        """Return the case of a code; raises ReaderStudyError where there is none."""
        return _found((one for one in self.cases if one.code == code), "This case is not part of the study.")

    def reader(self, code: str) -> Participant:
        """Return the reader of a code; raises ReaderStudyError where there is none."""
        return _found((one for one in self.readers if one.code == code), "This reader is not part of the study.")

    def starts_aided(self, reader: str) -> bool:
        """Whether this reader's first session is the aided one: half of them in a crossover, nobody otherwise."""
        if not self.crossover:
            return False
        drawn = sorted((one.code for one in self.readers), key=lambda code: _draw(self.seed, "crossover", code))
        return reader in drawn[: len(drawn) // 2]

    def is_aided(self, reader: str, session: int) -> bool:
        """Whether the model is shown in a session of a reader."""
        return (session == 2) != self.starts_aided(reader)

    def order(self, reader: str, session: int) -> tuple[str, ...]:
        """Return the codes in the order in which a reader gets them; the two sessions' are never the same.

        By a hash of the seed, so that the order can be made again with any program, at any time.
        """
        first = self._shuffled(reader, 1, 0)
        if session == 1:
            return first
        tries = (self._shuffled(reader, 2, turn) for turn in range(10_000))
        return next(order for order in tries if order != first)

    def _shuffled(self, reader: str, session: int, turn: int) -> tuple[str, ...]:
        codes = (one.code for one in self.cases)
        return tuple(sorted(codes, key=lambda code: _draw(self.seed, reader, session, turn, code)))


def _faults(design: Design) -> Iterator[str]:
    if not design.name.strip():
        yield "Give the study a name."
    if len(design.cases) < 2:
        yield "A reader study needs two cases at least: its two orders must differ."
    if not design.readers:
        yield "A reader study needs a reader."
    if design.crossover and len(design.readers) < 2:
        yield "A crossover needs two readers at least."
    if min(design.washout_days, design.pause_minutes) < 0 or min(design.chunk_cases, design.chunk_minutes) < 1:
        yield "Parts need a case and a minute at least; washout and pause can't be less than nothing."
    yield from _faults_of_cases(design.cases)
    yield from _faults_of_readers(design.readers)


def _faults_of_cases(cases: Sequence[Case]) -> Iterator[str]:
    if _twice(one.code for one in cases):
        yield "The code of a case stands twice in the list."
    if _twice(one.scan_id for one in cases) or _twice(one.study_instance_uid for one in cases):
        yield "A scan stands twice in the list."
    if not all(one.truth in LABELS for one in cases):
        yield f"The label of a case is one of {', '.join(LABELS)}."


def _faults_of_readers(readers: Sequence[Participant]) -> Iterator[str]:
    if _twice(one.code for one in readers):
        yield "The code of a reader stands twice in the list."
    if not all(one.code.strip() and one.code.isprintable() for one in readers):
        yield "Each reader needs a code."
    if not all(one.level in LEVELS and (one.years is None or 0 <= one.years <= 80) for one in readers):
        yield f"The level of a reader is one of {', '.join(LEVELS)}, the years are 0 to 80."


def _twice(names: Iterable[str]) -> bool:
    known = tuple(names)
    return len(set(known)) < len(known)


def _found(those: Iterable[T], otherwise: str) -> T:
    for one in those:
        return one
    raise ReaderStudyError(otherwise)


def _draw(*parts: object) -> bytes:
    return hashlib.sha256("|".join(map(str, parts)).encode("utf-8", "replace")).digest()
