"""Backups: proved, in two places, put back whole or not at all, whatever ends the program meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from aicorona_desktop.history import backup
from aicorona_desktop.history.backup import KEEP, RESTORED_FROM, affected, copies, copies_in, copy_to, is_good, restore
from aicorona_desktop.history.store import History, HistoryError
from tests.history import backup_child
from tests.history.made_up import NOW, Clock, study

ROUNDS = int(os.environ.get("AICORONA_KILL_ROUNDS", "15"))  # of making and of putting back each; 300 as a soak
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


def uids(history: History) -> set[str]:
    return {row.study_instance_uid for row in history.rows()}


def child(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, backup_child.__file__, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


# --- a second place ----------------------------------------------------------------------------------------------


def test_a_backup_in_the_second_place_is_the_same_file_and_proved_and_seven_stay(path: Path, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "letters.txt").write_text("not ours")
    clock = Clock()
    with History.open(path, clock=clock) as history:
        for number in range(KEEP + 2):
            history.record_received(study(f"1.{number}"))
            made = history.backup()
            there = copy_to(made, stick, path.stem)
            clock.pass_by(days=1)

    assert there.read_bytes() == made.read_bytes()
    assert [one.number for one in copies_in(stick, path.stem)] == list(range(3, KEEP + 3))
    assert (stick / "letters.txt").exists()
    with History.open(there, read_only=True) as copy:
        assert len(uids(copy)) == KEEP + 2


def test_a_second_place_that_is_gone_or_gives_back_something_else_is_told_and_keeps_no_half(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with History.open(path) as history:
        history.record_received(study("1.0"))
        made = history.backup()
    with pytest.raises(HistoryError, match="second place"):
        copy_to(made, tmp_path / "gone", path.stem)
    stick = tmp_path / "stick"
    stick.mkdir()

    def torn(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:5000])

    monkeypatch.setattr(shutil, "copyfile", torn)
    with pytest.raises(HistoryError, match="could not be read back"):
        copy_to(made, stick, path.stem)

    assert list(stick.iterdir()) == []


# --- what is affected, and what is told --------------------------------------------------------------------------


def test_what_a_backup_lacks_is_counted_before_it_is_put_back(path: Path) -> None:
    clock = Clock()
    with History.open(path, clock=clock) as history:
        history.record_received(study("1.0"))
        made = history.backup()
        clock.pass_by(hours=5)
        history.record_received(study("1.1"))
        history.record_received(study("1.2"))
        history.save_verdict("1.0", action="routine")

    lost = affected(path, made)

    assert lost is not None
    assert (lost.studies, lost.verdicts) == (2, 1)
    assert (lost.until - lost.since).total_seconds() == 5 * 3600


def test_a_ledger_that_was_put_back_says_so_in_its_audit_and_asks_for_its_files_to_be_read(path: Path) -> None:
    with History.open(path) as history:
        history.record_received(study("1.0"))
        made = history.backup()
        history.record_received(study("1.1"))

    aside = restore(path, made, NOW, by="AB")

    with History.open(path) as history:
        assert history.notices == ()  # the audit file goes on where the ledger ends
        assert history.broken_audit_row() is None
        assert history.setting(RESTORED_FROM) == made.name
        history.audit("a row after it")
        assert history.broken_audit_row() is None
    with closing(backup.open_file(path, writing=False)) as raw:
        (row,) = raw.execute("SELECT who, details FROM audit WHERE event = 'backup put back'").fetchall()
    assert tuple(row) == ("AB", f"{made.name}; what was there is kept as {aside.name}")


def test_a_backup_of_a_newer_version_is_not_put_back(path: Path) -> None:
    with History.open(path) as history:
        made = history.backup()
    with closing(backup.open_file(made, writing=True)) as raw:
        raw.execute("PRAGMA user_version = 9999")
    before = path.read_bytes()

    with pytest.raises(HistoryError, match="newer version"):
        restore(path, made, NOW)

    assert path.read_bytes() == before


def test_a_backup_is_put_back_where_the_last_end_was_not_clean_and_nothing_of_what_was_there_is_lost(
    path: Path,
) -> None:
    with History.open(path) as history:
        made = history.backup()
    writer = child("make", path)
    assert writer.stdout is not None
    with closing(writer.stdout):
        told = [writer.stdout.readline() for _ in range(5)]
        writer.kill()
        told += list(writer.stdout)
    writer.wait()
    recorded = {f"1.{line.split()[1]}" for line in told if line.startswith("recorded") and line.endswith("\n")}

    aside = restore(path, made, NOW)

    with History.open(path) as history, History.open(aside, read_only=True) as before:
        assert uids(history) == set()
        assert recorded <= uids(before)


# --- the program ends meanwhile ----------------------------------------------------------------------------------


def test_a_program_killed_while_it_makes_a_backup_leaves_ledger_and_backups_whole(path: Path) -> None:
    moments = random.Random(7)
    recorded: set[str] = set()
    made: list[str] = []
    with History.open(path) as history:
        for number in range(300):
            history.record_received(study(f"9.{number}"))
    for _ in range(ROUNDS):
        maker = child("make", path)
        assert maker.stdout is not None
        with closing(maker.stdout):
            told = [maker.stdout.readline() for _ in range(1 + moments.randrange(3))]
            time.sleep(moments.uniform(0, 0.06))
            maker.kill()
            told += list(maker.stdout)
        maker.wait()
        whole = [line.split() for line in told if line.endswith("\n")]
        recorded |= {f"1.{line[1]}" for line in whole if line[0] == "recorded"}
        made += [line[1] for line in whole if line[0] == "made"]

    with History.open(path) as history:
        assert history.notices == ()
        assert recorded <= uids(history)
        last = history.backup()
    there = copies(path)
    assert all(is_good(one.path) for one in there)
    assert len(there) <= KEEP
    assert {one.path for one in there} == set(last.parent.iterdir())  # no half is left behind
    newest_told = max(made, default="")
    assert newest_told in {one.path.name for one in there}


def test_a_program_killed_while_it_puts_a_backup_back_leaves_one_ledger_or_the_other(
    path: Path, tmp_path: Path
) -> None:
    moments = random.Random(8)
    kept = tmp_path / "kept"
    kept.mkdir()
    with History.open(path) as history:
        for number in range(200):
            history.record_received(study(f"1.{number}"))
        few = shutil.copy(history.backup(), kept / "few.sqlite3")
        for number in range(200, 300):
            history.record_received(study(f"1.{number}"))
        many = shutil.copy(history.backup(), kept / "many.sqlite3")
    seen: set[int] = set()
    for _ in range(ROUNDS):
        restorer = child("restore", path, few, many)
        assert restorer.stdout is not None
        with closing(restorer.stdout):
            for _ in range(1 + moments.randrange(3)):
                assert restorer.stdout.readline() == "begun\n"
            time.sleep(moments.uniform(0, 0.08))
            restorer.kill()
        restorer.wait()

        assert path.exists()
        assert is_good(path)
        with History.open(path, read_only=True) as history:
            seen.add(len(uids(history)))

    assert seen <= {200, 300}
    with History.open(path) as history:
        assert not [one for one in history.notices if "damaged" in one or "missing" in one]
    for aside in path.parent.glob("*.replaced-*"):
        assert is_good(aside)


def test_two_backups_at_once_are_two_whole_backups_and_nobody_waits_for_the_proof(path: Path) -> None:
    with History.open(path) as history:
        for number in range(50):
            history.record_received(study(f"1.{number}"))
        made: list[Path] = []
        threads = [threading.Thread(target=lambda: made.append(history.backup())) for _ in range(2)]
        for thread in threads:
            thread.start()
        history.record_received(study("1.50"))
        for thread in threads:
            thread.join()

    assert len(set(made)) == 2
    assert all(is_good(one) for one in made)
