"""Reader studies: the design, laid down once, and everything that happened, in its order; nothing is ever changed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aicorona_desktop.history.connection import HistoryError
from aicorona_desktop.history.ledger import Ledger
from aicorona_desktop.history.recording import insert, text_of

NO_STUDY: Final = "This reader study is not in the history."
AUDITED: Final = frozenset({"part_closed", "unblinded", "exported"})
"""Kinds of events that go into the audit as well: the others come by the hundred, and stand in their own table."""


@dataclass(frozen=True, slots=True)
class StoredReaderStudy:
    """A study as it was laid down; `design` is JSON of the study's own making, `by` initials."""

    number: int
    name: str
    design: Mapping[str, Any]
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ReaderStudyEvent:
    """One thing that happened; the words are those of `app.reader_study`, `reader` and `case` are codes."""

    kind: str
    at: datetime
    reader: str
    session: int
    case: str
    details: Mapping[str, Any]


class ReaderStudies(Ledger):
    """The part of the history that holds reader studies."""

    def add_reader_study(self, name: str, design: Mapping[str, Any], by: str) -> int:
        """Record the design of a study; return its number."""
        values = {"name": text_of(name), "design": _json(design), "initials": text_of(by), "at": self._at(None)}
        with self._transaction() as connection:
            number = insert(connection, "reader_study", values)
            self._audit(connection, "reader study made", None, by, str(number))
            return number

    def reader_studies(self) -> tuple[StoredReaderStudy, ...]:
        """Return all studies, oldest first."""
        with self._reading() as connection:
            return tuple(map(_study, connection.execute("SELECT * FROM reader_study ORDER BY sequence")))

    def reader_study(self, number: int) -> StoredReaderStudy:
        """Return one study; raises HistoryError where there is none of that number."""
        with self._reading() as connection:
            return _study(_require(connection, number))

    def add_reader_study_events(self, number: int, events: Sequence[ReaderStudyEvent]) -> None:
        """Record what happened, in this order, all of it or nothing.

        Raises:
            HistoryError: there is no such study.
        """
        with self._transaction() as connection:
            _require(connection, number)
            for event in events:
                insert(connection, "reader_study_event", {"study": number, **self._values(event)})
                if event.kind in AUDITED or event.details.get("early_because"):
                    by = str(event.details.get("by", event.reader))
                    self._audit(connection, f"reader study: {event.kind}", None, by, str(number))

    def reader_study_events(self, number: int) -> tuple[ReaderStudyEvent, ...]:
        """Return what happened in a study, oldest first."""
        with self._reading() as connection:
            _require(connection, number)
            found = connection.execute("SELECT * FROM reader_study_event WHERE study = ? ORDER BY sequence", (number,))
            return tuple(map(_event, found))

    def studies_below(self, folder: Path) -> tuple[str, ...]:
        """Return the studies that have a file below a folder, where it was found or where it lies now."""
        prefix = os.fsencode(folder / "x")[:-1]
        bounds = {"first": prefix, "last": prefix[:-1] + bytes([prefix[-1] + 1])}
        with self._reading() as connection:
            found = connection.execute(
                "SELECT DISTINCT study_instance_uid FROM instance"
                " JOIN series ON series.sequence = instance.series JOIN study ON study.sequence = series.study"
                " WHERE (instance.path >= :first AND instance.path < :last) OR instance.sha256 IN"
                " (SELECT sha256 FROM file_origin WHERE path >= :first AND path < :last) ORDER BY 1",
                bounds,
            )
            return tuple(one[0] for one in found)

    def _values(self, event: ReaderStudyEvent) -> dict[str, object]:
        return {
            "kind": event.kind,
            "reader": text_of(event.reader),
            "session": event.session,
            "case_code": event.case,
            "details": _json(event.details),
            "at": self._at(event.at),
        }


def _require(connection: sqlite3.Connection, number: int) -> sqlite3.Row:
    found: sqlite3.Row | None = connection.execute(
        "SELECT * FROM reader_study WHERE sequence = ?", (number,)
    ).fetchone()
    if found is None:
        raise HistoryError(NO_STUDY)
    return found


def _study(found: sqlite3.Row) -> StoredReaderStudy:
    at = datetime.fromisoformat(found["at"])
    return StoredReaderStudy(found["sequence"], found["name"], _read(found["design"]), found["initials"], at)


def _event(found: sqlite3.Row) -> ReaderStudyEvent:
    return ReaderStudyEvent(
        found["kind"],
        datetime.fromisoformat(found["at"]),
        found["reader"],
        found["session"],
        found["case_code"],
        _read(found["details"]),
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def _read(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise HistoryError("A reader study of the history could not be read.") from error
    if not isinstance(value, dict):
        raise HistoryError("A reader study of the history could not be read.")
    return value
