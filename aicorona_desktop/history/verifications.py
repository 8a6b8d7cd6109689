"""What a site has found with its own labelled studies: runs of the kit, and the operating points that people set."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.history.connection import HistoryError
from aicorona_desktop.history.ledger import Ledger
from aicorona_desktop.history.recording import insert, text_of
from aicorona_desktop.history.values import SiteVerification, moment_or_none, time_text

NO_RUN: Final = "This run over known studies is not in the history."
NOT_UNDERSTOOD: Final = "What was recorded of a verification could not be read."


@dataclass(frozen=True, slots=True)
class VerificationRun:
    """One run over known studies; `labels` gives the class of each Study Instance UID, as it was at the start.

    `ended_at` is missing while studies are left. `folder` is where they lie.
    """

    number: int
    folder: str
    pack_sha256: str
    labels: Mapping[str, str]
    initials: str
    at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class MonthRow:
    """One study of the clinic as the monthly page counts it; "" and None where something is not known.

    `p_covid` is of the score that stands and is final, `model_class` its greatest class, `model_other` the greater of
    the other two. `impression` is what stands, `outcome` the class of later truth. Manufacturer, kernel and thickness
    are of the series that was scored.
    """

    received_at: datetime
    first_opened_at: datetime | None
    state: str
    p_covid: float | None
    model_class: str
    model_other: str
    doubtful: bool
    impression: str
    outcome: str
    manufacturer: str
    kernel: str
    thickness_mm: float | None


class Verifications(Ledger):
    """The part of the history that holds verifications, and what the monthly page counts."""

    def begin_verification_run(self, folder: str, pack_sha256: str, labels: Mapping[str, str], by: str) -> int:
        """Record that known studies are about to be scored; return the run's number."""
        values = {
            "folder": text_of(folder),
            "pack_sha256": pack_sha256,
            "labels": _json(labels),
            "initials": text_of(by),
            "at": self._at(None),
        }
        with self._transaction() as connection:
            number = insert(connection, "verification_run", values)
            self._audit(connection, "verification begun", None, by, str(number))
            return number

    def end_verification_run(self, number: int) -> None:
        """Record that no study of a run is left; a second call changes nothing.

        Raises:
            HistoryError: there is no such run.
        """
        with self._transaction() as connection:
            if _run(connection, number).ended_at is None:
                sql = "UPDATE verification_run SET ended_at = ? WHERE sequence = ?"
                connection.execute(sql, (self._at(None), number))
                self._audit(connection, "verification ended", None, "", str(number))

    def verification_run(self, number: int) -> VerificationRun:
        """Return one run; raises HistoryError where there is none of that number."""
        with self._reading() as connection:
            return _run(connection, number)

    def newest_verification_run(self) -> VerificationRun | None:
        """Return the run that was begun last, None where there never was one."""
        with self._reading() as connection:
            found = connection.execute("SELECT * FROM verification_run ORDER BY sequence DESC LIMIT 1").fetchone()
            return None if found is None else _run_of(found)

    def record_site_verification(self, verification: SiteVerification) -> None:
        """Record what a site has found for a pack that the history knows, and the operating point that a person set."""
        values = {
            "pack_sha256": verification.pack_sha256,
            "preparation": verification.preparation,
            "device": verification.device,
            "operating_point": verification.operating_point,
            "sensitivity": verification.sensitivity,
            "specificity": verification.specificity,
            "studies": verification.studies,
            "initials": text_of(verification.initials),
            "at": time_text(verification.at),
            "run": verification.run,
            "name": text_of(verification.name),
            "why": text_of(verification.why),
            "certificate": _json(verification.certificate),
            "withdrawn": int(verification.withdrawn),
        }
        event = "site verification withdrawn" if verification.withdrawn else "site verification"
        details = f"{verification.operating_point:.6f} {verification.name}: {verification.why}".strip(": ")
        with self._transaction() as connection:
            insert(connection, "site_verification", values)
            self._audit(connection, event, None, verification.initials, details)

    def site_verification(self, pack_sha256: str) -> SiteVerification | None:
        """Return the newest verification of a pack at this site; None also where that was withdrawn."""
        newest = self._newest_verification("WHERE pack_sha256 = ?", (pack_sha256,))
        return None if newest is None or newest.withdrawn else newest

    def last_site_verification(self) -> SiteVerification | None:
        """Return the newest verification of any pack, withdrawn ones too."""
        return self._newest_verification("", ())

    def site_verifications(self) -> tuple[SiteVerification, ...]:
        """Return every verification ever recorded, newest first."""
        with self._reading() as connection:
            found = connection.execute("SELECT * FROM site_verification ORDER BY sequence DESC")
            return tuple(map(_verification, found))

    def month_rows(self, begin: datetime, end: datetime) -> tuple[MonthRow, ...]:
        """Return the studies that arrived from `begin` to before `end`, in their order, those off the list too."""
        with self._reading() as connection:
            found = connection.execute(_MONTH, (time_text(begin), time_text(end)))
            return tuple(map(_month_row, found))

    def first_arrival(self) -> datetime | None:
        """Return when the first study of the history arrived."""
        with self._reading() as connection:
            return moment_or_none(connection.execute("SELECT min(received_at) FROM study").fetchone()[0])

    def scanners(self) -> Mapping[str, tuple[str, str, str, float | None]]:
        """Return manufacturer, model, kernel and slice thickness of the scored series of each study, by its UID."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT study_instance_uid, manufacturer, model_name, convolution_kernel, slice_thickness_mm FROM study"
                " LEFT JOIN series ON series.study = study.sequence"
                " AND series.series_instance_uid = study.series_instance_uid"
            )
            return {uid: (maker or "", model or "", kernel or "", mm) for uid, maker, model, kernel, mm in found}

    def _newest_verification(self, where: str, values: tuple[str, ...]) -> SiteVerification | None:
        sql = f"SELECT * FROM site_verification {where} ORDER BY sequence DESC LIMIT 1"  # noqa: S608 - ours
        with self._reading() as connection:
            found = connection.execute(sql, values).fetchone()
            return None if found is None else _verification(found)


_MONTH = """
    SELECT study.received_at, study.first_opened_at, study.state, study.impression, study.outcome,
        result.probability_normal, result.probability_cp, result.probability_covid, result.preliminary,
        result.doubtful, series.manufacturer, series.convolution_kernel, series.slice_thickness_mm
    FROM study
    LEFT JOIN result ON result.sequence = study.result
    LEFT JOIN series ON series.study = study.sequence AND series.series_instance_uid = study.series_instance_uid
    WHERE study.received_at >= ? AND study.received_at < ?
    ORDER BY study.received_at, study.sequence
"""


def _month_row(found: sqlite3.Row) -> MonthRow:
    scored = found["probability_covid"] is not None and not found["preliminary"]
    answers = {name: found[f"probability_{name}"] for name in CLASSES} if scored else {}
    return MonthRow(
        datetime.fromisoformat(found["received_at"]),
        moment_or_none(found["first_opened_at"]),
        found["state"],
        answers.get("covid"),
        max(answers, key=answers.__getitem__) if answers else "",
        max(("normal", "cp"), key=answers.__getitem__) if answers else "",
        bool(scored and found["doubtful"]),
        found["impression"],
        found["outcome"],
        found["manufacturer"] or "",
        found["convolution_kernel"] or "",
        found["slice_thickness_mm"],
    )


def _run(connection: sqlite3.Connection, number: int) -> VerificationRun:
    found = connection.execute("SELECT * FROM verification_run WHERE sequence = ?", (number,)).fetchone()
    if found is None:
        raise HistoryError(NO_RUN)
    return _run_of(found)


def _run_of(found: sqlite3.Row) -> VerificationRun:
    return VerificationRun(
        found["sequence"],
        found["folder"],
        found["pack_sha256"],
        {uid: str(label) for uid, label in _read(found["labels"]).items()},
        found["initials"],
        datetime.fromisoformat(found["at"]),
        moment_or_none(found["ended_at"]),
    )


def _verification(found: sqlite3.Row) -> SiteVerification:
    return SiteVerification(
        found["pack_sha256"],
        found["preparation"],
        found["device"],
        found["operating_point"],
        found["sensitivity"],
        found["specificity"],
        found["studies"],
        found["initials"],
        datetime.fromisoformat(found["at"]),
        run=found["run"],
        name=found["name"],
        why=found["why"],
        certificate=_read(found["certificate"]),
        withdrawn=bool(found["withdrawn"]),
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def _read(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise HistoryError(NOT_UNDERSTOOD) from error
    if not isinstance(value, dict):
        raise HistoryError(NOT_UNDERSTOOD)
    return value
