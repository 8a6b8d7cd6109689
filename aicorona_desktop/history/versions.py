"""Which version of the same images stands, said by a person; a row of its own, and taken back by a later one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

from aicorona_desktop.history import trails
from aicorona_desktop.history.connection import StudyError
from aicorona_desktop.history.people import People
from aicorona_desktop.history.recording import text_of
from aicorona_desktop.history.values import VersionChoice

_ARRIVALS = """
    SELECT sha256, min(at) AS at FROM (
        SELECT instance.sha256, instance.received_at AS at FROM instance
        JOIN series ON series.sequence = instance.series WHERE series.study = :study
        UNION ALL SELECT sha256, recorded_at FROM refusal WHERE study = :study
    ) GROUP BY sha256 ORDER BY 2, 1"""


class Versions(People):
    """The part of the history that holds what people have chosen between versions of the same images."""

    def choose_version(
        self,
        study_instance_uid: str,
        place: int | None,
        seen: Mapping[str, Sequence[str]],
        *,
        why: str = "",
        initials: str = "",
    ) -> int:
        """Record which of several versions stands; return the choice's number.

        Args:
            study_instance_uid: the study.
            place: by arrival, 0 for the version that came first; of an image with fewer versions, its last one. None:
                the study is not scored.
            seen: by the identity of each image, the SHA-256 of its versions in the order of their arrival.
            why: in the person's words.
            initials: of the person.

        It takes effect when the engine looks at the study again.

        Raises:
            HistoryError: an image has no two versions, or none has so many.
        """
        most = max((len(set(files)) for files in seen.values()), default=0)
        if most < 2 or any(len(set(files)) < 2 for files in seen.values()) or not (place is None or 0 <= place < most):
            raise StudyError("There are no such versions of these images; nothing was recorded.")
        kept = {} if place is None else {one: files[min(place, len(files) - 1)] for one, files in seen.items()}
        said: dict[str, trails.Plain] = {
            "place": place,
            "kept": _json(kept),
            "seen": _json({one: list(files) for one, files in seen.items()}),
            "why": text_of(why),
            "initials": text_of(initials),
            "at": self._at(None),
        }
        with self._study(study_instance_uid) as (connection, study):
            choice = trails.say(connection, "version_choice", study, said)
            what = "not scored" if place is None else f"version {place + 1}"
            self._audit(connection, "version chosen", study, initials, f"{what} of {len(seen)} image(s)")
            return choice

    def take_back_version(self, choice: int, initials: str = "") -> None:
        """Take a choice between versions back; raises as `take_back_verdict`."""
        self._take_back("version_choice", choice, initials)

    def version_choices(self, study_instance_uid: str) -> tuple[VersionChoice, ...]:
        """Return the choices between versions in a study, oldest first, those taken back among them."""
        with self._reading() as connection:
            return trails.version_choices(connection, study_instance_uid)

    def version_choice(self, study_instance_uid: str) -> VersionChoice | None:
        """Return the newest choice between versions that stands; None where nobody has chosen."""
        standing = (one for one in reversed(self.version_choices(study_instance_uid)) if not one.taken_back)
        return next(standing, None)

    def studies_with_version_choices(self) -> tuple[str, ...]:
        """Return the studies in which somebody has chosen between versions, whether that stands or not."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT study_instance_uid FROM study WHERE sequence IN (SELECT study FROM version_choice)"
            )
            return tuple(one[0] for one in found)

    def arrivals(self, study_instance_uid: str) -> Mapping[str, datetime]:
        """Return when each file of a study was first recorded, by its SHA-256, the earliest first."""
        with self._reading() as connection:
            return _arrivals(connection, study_instance_uid)


def _arrivals(connection: sqlite3.Connection, study_instance_uid: str) -> Mapping[str, datetime]:
    found = connection.execute("SELECT sequence FROM study WHERE study_instance_uid = ?", (study_instance_uid,))
    study = found.fetchone()
    if study is None:
        return {}
    rows = connection.execute(_ARRIVALS, {"study": study[0]})
    return {one["sha256"].hex(): datetime.fromisoformat(one["at"]) for one in rows}


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
