"""What must hold of a history and the files beside it after anything at all has happened to the program."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from aicorona_desktop.core.retention import Step
from aicorona_desktop.core.rows import State
from aicorona_desktop.history.store import History

_BLOB = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class Acknowledged:
    """What the program has said is safe: the files of each study by SHA-256, and the studies that were scored."""

    received: dict[str, set[str]] = field(default_factory=dict)
    scored: set[str] = field(default_factory=set)
    removed: int = 0
    backups: int = 0

    def hear(self, lines: Iterable[str]) -> None:
        """Take the lines of `tests.soak.program`; one that was cut short doesn't count."""
        for line in lines:
            if not line.endswith("\n"):
                continue
            word, *rest = line.split()
            if word == "received":
                self.received.setdefault(rest[0], set()).update(rest[1:])
            elif word == "scored":
                self.scored.add(rest[0])
            elif word == "removed":
                self.removed += int(rest[0])
            elif word == "backed-up":
                self.backups += 1

    @property
    def instances(self) -> int:
        return sum(map(len, self.received.values()))


def troubles(path: Path, told: Acknowledged) -> Iterator[str]:
    """Say what doesn't hold of a history that nobody has open; opening it is the next start of the program."""
    with History.open(path) as history:
        yield from (f"opened with the notice: {notice}" for notice in history.notices)
        if (broken := history.broken_audit_row()) is not None:
            yield f"audit row {broken} broken"
        rows = {row.study_instance_uid: row for row in history.rows()}
        for uid, sha256s in told.received.items():
            files = {file.sha256: file for file in history.files(uid)} if uid in rows else {}
            if lost := sha256s - set(files):
                yield f"{len(lost)} of {len(sha256s)} acknowledged instances lost"
            steps = {one.step for one in history.removals(uid)} if uid in rows else set()
            if not steps & {Step.REMOVING, Step.REMOVED}:
                yield from _missing_copies(path.parent, files)
        for uid in told.scored:
            row = rows.get(uid)
            if row is None or history.result(uid) is None or row.state not in {State.DONE, State.PRELIMINARY}:
                yield f"an acknowledged score is lost (state {row.state if row else 'none'})"
    yield from _unsound(path)
    yield from damaged_blobs(path.parent)


def _missing_copies(folder: Path, files: dict[str, object]) -> Iterator[str]:
    """Every file that the history says is ours must lie there (its bytes are proved with all the others)."""
    for sha256, file in files.items():
        place = Path(str(getattr(file, "path", "")))
        if place.is_relative_to(folder) and not place.is_file():
            yield f"the copy of an acknowledged instance is missing: {sha256[:12]}"


def _unsound(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as raw:
        if raw.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            yield "integrity_check failed"
        if raw.execute("PRAGMA foreign_key_check").fetchall():
            yield "foreign_key_check failed"
        twice = raw.execute("SELECT identity FROM instance GROUP BY identity HAVING count(*) > 1").fetchall()
        if twice:
            yield f"{len(twice)} instances stand twice"
        if raw.execute("SELECT count(*) FROM study GROUP BY study_instance_uid HAVING count(*) > 1").fetchall():
            yield "a study stands twice"
    for copy in path.parent.rglob("*.sqlite3"):
        with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as raw:
            if raw.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                yield f"a backup is damaged: {copy.name}"


def damaged_blobs(folder: Path) -> Iterator[str]:
    """Every file that is named by a SHA-256 must hold just that."""
    for top, _, names in os.walk(folder):
        for name in names:
            if _BLOB.fullmatch(name):
                with (Path(top) / name).open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != name:
                        yield f"a copy is not what its name says: {name[:12]}"


def blobs(folder: Path) -> int:
    """How many copies there are."""
    return sum(bool(_BLOB.fullmatch(name)) for _, _, names in os.walk(folder) for name in names)
