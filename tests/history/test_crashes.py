"""What the ledger has acknowledged survives: a killed program, a full disk, an error at any call."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.core.rows import State
from aicorona_desktop.history.store import History, HistoryError
from tests.history import writing_child
from tests.history.made_up import score, study

ROUNDS = 20
ROOT = Path(__file__).resolve().parents[2]
Acknowledged = dict[str, set[str]]


def start(path: Path, first: int, largest_bytes: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, writing_child.__file__, str(path), str(first), str(largest_bytes)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def acknowledged(lines: list[str]) -> Acknowledged:
    """Return the studies of each word: received, scored, read. A line that was cut short doesn't count."""
    told: Acknowledged = {"received": set(), "scored": set(), "read": set()}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in told and line.endswith("\n"):
            told[word].add(rest.strip())
    return told


def missing(path: Path, told: Acknowledged) -> Acknowledged:
    """Return what was acknowledged and isn't there."""
    with History.open(path, read_only=True) as history:
        rows = {row.study_instance_uid: row for row in history.rows()}
        there = {
            "received": {uid for uid in rows if len(history.files(uid)) == 6},
            "scored": {uid for uid in rows if history.result(uid) is not None and rows[uid].state is State.DONE},
            "read": {uid for uid, row in rows.items() if row.read_at is not None},
        }
    return {word: told[word] - there[word] for word in told}


NOTHING: Acknowledged = {"received": set(), "scored": set(), "read": set()}


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as raw:
        sound: list[Any] = raw.execute("PRAGMA integrity_check").fetchall()
        return sound == [("ok",)] and raw.execute("PRAGMA foreign_key_check").fetchall() == []


def test_nothing_acknowledged_is_lost_when_the_program_is_killed_at_any_moment(tmp_path: Path) -> None:
    path, moments = tmp_path / "history.sqlite3", random.Random(19)
    told: Acknowledged = {"received": set(), "scored": set(), "read": set()}

    for number in range(ROUNDS):
        child = start(path, number * 1000)
        assert child.stdout is not None
        with closing(child.stdout):
            assert child.stdout.readline() == "open\n"
            lines = [child.stdout.readline() for _ in range(moments.randrange(10))]
            time.sleep(moments.uniform(0, 0.02))
            child.kill()
            now = acknowledged(lines + list(child.stdout))
        child.wait()
        told = {word: told[word] | now[word] for word in told}

    with History.open(path) as history:  # rolls back what was cut short, and checks thoroughly
        assert history.notices == ()
        assert history.broken_audit_row() is None
    assert len(told["received"]) > ROUNDS
    assert missing(path, told) == NOTHING
    assert is_whole(path)


@pytest.mark.skipif(os.name != "posix", reason="the size of a file is limited by POSIX")
def test_on_a_full_disk_nothing_is_acknowledged_that_is_not_there_and_reading_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"

    child = start(path, 0, largest_bytes=400_000)
    output, _ = child.communicate(timeout=60)

    lines = output.splitlines(keepends=True)
    told = acknowledged(lines)
    assert child.returncode == 0
    assert lines[-2].startswith("said The history could not be written, nothing was recorded")
    assert int(lines[-1].split()[1]) >= len(told["received"]) > 3
    with History.open(path) as history:
        assert history.notices == ()
        history.record_received(study("2.1"))  # there is room again
    assert missing(path, told) == NOTHING
    assert is_whole(path)


class _Faulty(sqlite3.Connection):
    """A connection whose n-th statement fails as a broken disk would make it fail."""

    left = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return super().executemany(*arguments)

    @classmethod
    def _count(cls) -> None:
        cls.left -= 1
        if cls.left == 0:
            raise sqlite3.OperationalError("disk I/O error")


def faulty_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
    connection: sqlite3.Connection = sqlite3.connect(*arguments, factory=_Faulty, **options)
    return connection


def walk(path: Path, told: list[str]) -> None:
    """Take one study all the way and tell each step that returned."""
    with History.open(path, connect=faulty_connect) as history:
        history.record_received(study(slices=6))
        told.append("received")
        history.move("1.2.3", State.CHECKING, "")
        history.move("1.2.3", State.QUEUED, "")
        history.record_result("1.2.3", score(study(slices=6)), (), "1.0", "gate-1")
        told.append("scored")
        history.save_verdict("1.2.3", action="routine")
        told.append("read")


def test_an_error_at_any_statement_loses_nothing_and_acknowledges_nothing_false(tmp_path: Path) -> None:
    failed = 0
    for number in range(1, 1000):
        path, told = tmp_path / f"{number}.sqlite3", []
        _Faulty.left = number
        with suppress(HistoryError):
            walk(path, told)
            if _Faulty.left > 0:  # no statement failed any more
                break
        failed += 1

        with History.open(path) as history:
            assert history.notices == ()
            row = history.row("1.2.3")
            seen = (
                row is not None,
                row is not None and row.probabilities is not None,
                row is not None and bool(row.read_at),
            )
        assert seen == tuple(word in told for word in ("received", "scored", "read"))
        assert is_whole(path)

    assert failed > 60
