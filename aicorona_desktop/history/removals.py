"""What becomes of our copies of files: which studies have any, and every step towards their removal, one row each.

The row of a study, its scores and what people said stay for ever. `begin_removal` is on the disk before the first file
goes and `end_removal` after the last one: wherever the program dies in between, the next start finishes it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aicorona_desktop.core.retention import CopiedStudy, Kept, Step
from aicorona_desktop.core.rows import State
from aicorona_desktop.history import queries
from aicorona_desktop.history.connection import StudyError
from aicorona_desktop.history.ledger import Ledger
from aicorona_desktop.history.recording import insert, text_of
from aicorona_desktop.history.values import findings_of, moment_or_none

FINISHED = frozenset({State.DONE, State.UNSUITABLE, State.REFUSED, State.IGNORED, State.FAILED})

_FILES = """
    SELECT series.study, instance.sha256, instance.path, instance.size_bytes FROM instance
    JOIN series ON series.sequence = instance.series
    UNION ALL SELECT study, sha256, path, size_bytes FROM refusal"""

_STUDIES = f"""
    WITH file AS (SELECT study, path, max(size_bytes) AS size_bytes FROM ({_FILES})
        WHERE path >= :first AND path < :last GROUP BY study, path),
    reading AS (SELECT DISTINCT json_extract(one.value, '$.study_instance_uid') AS uid
        FROM reader_study, json_each(reader_study.design, '$.cases') AS one),
    copied AS (SELECT study, count(*) AS files, sum(size_bytes) AS size_bytes FROM file GROUP BY study)
    SELECT study.*, copied.files, copied.size_bytes AS bytes, newest.step, newest.at AS step_at,
        study.study_instance_uid IN (SELECT uid FROM reading) AS in_reader_study,
        EXISTS (SELECT 1 FROM escalation AS said WHERE said.study = study.sequence AND said.takes_back IS NULL
            AND NOT EXISTS (SELECT 1 FROM escalation AS back WHERE back.takes_back = said.sequence)) AS escalated
    FROM copied JOIN study ON study.sequence = copied.study
    LEFT JOIN removal AS newest ON newest.sequence =
        (SELECT max(sequence) FROM removal WHERE removal.study = study.sequence)"""  # noqa: S608 - our names


_SIZES = f"SELECT path, max(size_bytes) FROM ({_FILES}) WHERE study = ? GROUP BY path"  # noqa: S608 - our names


@dataclass(frozen=True, slots=True)
class Removal:
    """One step; `rule` says by which rule of the site, `who` the person or the program, `files` how many, of what size.

    Source: design D18.
    """

    step: Step
    rule: str
    who: str
    files: int
    size_bytes: int
    at: datetime


class Removals(Ledger):
    """The part of the history that knows which files are copies of ours, and what became of them."""

    def copied_studies(self, folder: Path) -> tuple[CopiedStudy, ...]:
        """Return the studies that have files below a folder of ours, as far as the history knows."""
        with self._reading() as connection:
            return tuple(map(_copied, connection.execute(_STUDIES, _below(folder))))

    def mark_for_removal(self, study_instance_uid: str, rule: str, who: str) -> None:
        """Record that a rule has named a study: its copies go after a time in which a person may keep them."""
        with self._study(study_instance_uid) as (connection, study):
            _step(connection, study, Step.MARKED, rule=rule, who=who, at=self._at(None))
            self._audit(connection, "images to be removed", study, who, rule)

    def keep_images(self, study_instance_uid: str, who: str, *, keep: bool = True) -> None:
        """Record that a person keeps a study's images whatever the rules say, or lets the rules have them again."""
        with self._study(study_instance_uid) as (connection, study):
            if not keep and _newest(connection, study) is not Step.KEPT:
                return
            # Let go: as if it had been named now, so that it has its time again before it goes.
            _step(connection, study, Step.KEPT if keep else Step.MARKED, rule="", who=who, at=self._at(None))
            self._audit(connection, "images kept" if keep else "images no longer kept", study, who)

    def begin_removal(self, study_instance_uid: str, folder: Path, rule: str, who: str) -> tuple[str, ...]:
        """Record that a study's copies are about to be removed; return the SHA-256 of those that are its alone.

        Raises:
            HistoryError: something has come up since the study was named: it is unread again, pinned, in doubt.
        """
        with self._study(study_instance_uid) as (connection, study):
            found = connection.execute(f"{_STUDIES} WHERE study.sequence = :study", _below(folder) | {"study": study})
            copied = [_copied(one) for one in found]
            why = copied[0].kept_because if copied else None
            if why is not None:
                raise StudyError(f"The images of this study stay: {_WHY[why]}.")
            sha256s = _own_files(connection, study, folder)
            size = copied[0].size_bytes if copied else 0
            _step(
                connection, study, Step.REMOVING, rule=rule, who=who, files=len(sha256s), size=size, at=self._at(None)
            )
            self._audit(connection, "images being removed", study, who, rule)
            return sha256s

    def unfinished_removals(self, folder: Path) -> tuple[tuple[str, Removal, tuple[str, ...]], ...]:
        """Return the studies whose removal was begun and not ended, what was begun, and the SHA-256 that go."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT study.study_instance_uid AS uid, removal.* FROM removal JOIN study"
                " ON study.sequence = removal.study WHERE step = 'removing'"
                " AND removal.sequence = (SELECT max(later.sequence) FROM removal AS later"
                " WHERE later.study = study.sequence)"
            ).fetchall()
            return tuple((one["uid"], _removal(one), _own_files(connection, one["study"], folder)) for one in found)

    def end_removal(self, study_instance_uid: str, folder: Path, sha256s: Sequence[str], rule: str, who: str) -> None:
        """Record that copies of a study below our folder are gone: how many files, and how much room they took.

        Their rows lead to where the files were found, from now on, so that whatever comes again takes their place.
        """
        with self._study(study_instance_uid) as (connection, study):
            at = self._at(None)
            files, size_bytes = _let_go(connection, study, folder, sha256s)
            _step(connection, study, Step.REMOVED, rule=rule, who=who, files=files, size=size_bytes, at=at)
            self._audit(connection, "images removed", study, who, f"{rule}; {files} file(s), {size_bytes} bytes")

    def removals(self, study_instance_uid: str) -> tuple[Removal, ...]:
        """Return every step that a study's copies have taken, oldest first."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT removal.* FROM removal JOIN study ON study.sequence = removal.study"
                " WHERE study_instance_uid = ? ORDER BY removal.sequence",
                (study_instance_uid,),
            )
            return tuple(map(_removal, found))


_WHY = {
    Kept.UNREAD: "no person has read it",
    Kept.NOT_FINISHED: "it is still being checked or scored",
    Kept.PINNED: "it is pinned",
    Kept.TOLD: "somebody was told of it, or is to be, and there is no outcome yet",
    Kept.CONFLICT: "it is in doubt whose it is, or which of its images stand",
    Kept.READER_STUDY: "it is a case of a reader study",
    Kept.BY_PERSON: "a person keeps them",
}


def _below(folder: Path) -> dict[str, object]:
    """The bounds of all paths below a folder, as the history keeps paths: bytes, in the order of bytes."""
    prefix = os.fsencode(folder / "x")[:-1]
    return {"first": prefix, "last": prefix[:-1] + bytes([prefix[-1] + 1])}


def _copied(found: sqlite3.Row) -> CopiedStudy:
    findings = findings_of(found["findings"]) + findings_of(found["outcome_findings"])
    urgent = bool(found["escalated"]) or found["action"] == "now"
    return CopiedStudy(
        study_instance_uid=found["study_instance_uid"],
        received_at=datetime.fromisoformat(found["received_at"]),
        read_at=moment_or_none(found["read_at"]),
        finished=State(found["state"]) in FINISHED,
        pinned=found["pinned_at"] is not None or found["impression"] == "cannot_judge",
        told=urgent and not (found["outcome"] or found["rt_pcr"]),
        conflict=any(one.reason in queries.IDENTITY_CONFLICTS for one in findings),
        files=found["files"],
        size_bytes=found["bytes"],
        in_reader_study=bool(found["in_reader_study"]),
        step=None if found["step"] is None else Step(found["step"]),
        step_at=moment_or_none(found["step_at"]),
    )


def _own_files(connection: sqlite3.Connection, study: int, folder: Path) -> tuple[str, ...]:
    """Return the SHA-256 of the copies of a study, by which they are named, that no other study has."""
    bounds = _below(folder)
    below = f"SELECT study, path FROM ({_FILES}) WHERE path >= :first AND path < :last"  # noqa: S608 - our names
    own: set[bytes] = set()
    of_others: set[bytes] = set()
    for one in connection.execute(below, bounds):
        (own if one["study"] == study else of_others).add(one["path"])
    return tuple(sorted({Path(os.fsdecode(path)).name for path in own - of_others}))


def _let_go(connection: sqlite3.Connection, study: int, folder: Path, sha256s: Sequence[str]) -> tuple[int, int]:
    """Have no row of a study lead to copies that are gone; return how many those were, and how many bytes."""
    gone = {sha256: (study, os.fsencode(folder / sha256[:2] / sha256)) for sha256 in sha256s}
    sizes = dict(connection.execute(_SIZES, (study,)).fetchall())
    nowhere = folder.with_name(f"{folder.name}.removed")  # where a file of an archive or a disc was found has no path
    for table, of_study in (
        ("instance", "series IN (SELECT sequence FROM series WHERE study = ?)"),
        ("refusal", "study = ?"),
    ):
        connection.executemany(
            f"UPDATE {table} SET path = coalesce(origin, ?), origin = NULL WHERE {of_study} AND path = ?",  # noqa: S608
            [(os.fsencode(nowhere / sha256), *one) for sha256, one in gone.items()],
        )
    return len(gone), sum(sizes.get(path, 0) for _, path in gone.values())


def _newest(connection: sqlite3.Connection, study: int) -> Step | None:
    found = connection.execute("SELECT step FROM removal WHERE study = ? ORDER BY sequence DESC LIMIT 1", (study,))
    newest = found.fetchone()
    return None if newest is None else Step(newest[0])


def _step(
    connection: sqlite3.Connection,
    study: int,
    step: Step,
    *,
    rule: str,
    who: str,
    at: str,
    files: int = 0,
    size: int = 0,
) -> None:
    values: dict[str, object] = {"study": study, "step": step.value, "rule": text_of(rule), "who": text_of(who)}
    insert(connection, "removal", values | {"files": files, "size_bytes": size, "at": at})


def _removal(found: sqlite3.Row) -> Removal:
    return Removal(
        step=Step(found["step"]),
        rule=found["rule"],
        who=found["who"],
        files=found["files"],
        size_bytes=found["size_bytes"],
        at=datetime.fromisoformat(found["at"]),
    )
