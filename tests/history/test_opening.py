"""Who may open the ledger, in what form, and what happens to one that is broken, newer or not ours."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from aicorona_desktop.core.rows import State
from aicorona_desktop.history import backup, connection, migrations
from aicorona_desktop.history.backup import KEEP, copies, restore
from aicorona_desktop.history.connection import journal_mode
from aicorona_desktop.history.store import History, HistoryError
from tests.history.made_up import NOW, Clock, study


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data folder é%20#?" / "history.sqlite3"


def filled(path: Path, studies: int = 1) -> Path:
    with History.open(path, clock=Clock()) as history:
        for number in range(studies):
            history.record_received(study(f"1.{number}", 20))
    return path


def crashed(path: Path) -> Path:
    """Leave the ledger as a crash does: the last session was never closed."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE session SET closed_at = NULL")
        raw.commit()
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def uids(history: History) -> list[str]:
    return [row.study_instance_uid for row in history.rows()]


def later_migration(raw: sqlite3.Connection) -> None:
    raw.execute("ALTER TABLE study ADD COLUMN opened_at TEXT")


# --- one writer -----------------------------------------------------------------------------------------------


def test_a_second_writer_is_told_who_has_the_history_and_nothing_is_written(path: Path) -> None:
    filled(path)
    with History.open(path) as first:
        before = digest(path)

        with pytest.raises(HistoryError, match="in use by the window or another program"):
            History.open(path)

        assert digest(path) == before
        first.record_received(study("1.9"))
    with History.open(path) as second:
        assert uids(second) == ["1.0", "1.9"]


def test_another_process_finds_the_history_locked_and_may_read_it(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from aicorona_desktop.history.store import *\n"
        "path = Path(sys.argv[1])\n"
        "try: History.open(path)\n"
        "except HistoryError as error: print(error)\n"
        "print(len(History.open(path, read_only=True).rows()))"
    )
    with History.open(path) as history:
        history.record_received(study())

        run = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True)

        assert run.stdout == f"{connection.IN_USE}\n1\n"


def test_a_reader_writes_nothing_and_says_why(path: Path) -> None:
    filled(path)
    before = digest(path)

    with History.open(path, read_only=True) as history:
        assert uids(history) == ["1.0"]
        with pytest.raises(HistoryError, match="reading only"):
            history.move("1.0", State.CHECKING, "")
        with pytest.raises(HistoryError, match="reading only"):
            history.backup()

    assert digest(path) == before


def test_there_is_nothing_to_read_before_the_first_writer_came(path: Path) -> None:
    with pytest.raises(HistoryError, match="no history yet"):
        History.open(path, read_only=True)


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_only_its_owner_may_read_the_history_its_lock_and_its_backups(path: Path) -> None:
    with History.open(path) as history:
        history.record_received(study())
        copy = history.backup()
        modes = [stat.S_IMODE(one.stat().st_mode) for one in (path, copy, path.with_name(path.name + ".lock"))]

    assert modes == [0o600, 0o600, 0o600]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_where_no_lock_can_be_made_the_history_can_be_read(path: Path) -> None:
    lock = filled(path).with_name(path.name + ".lock")
    lock.unlink()
    lock.mkdir()

    with History.open(path) as history:
        assert uids(history) == ["1.0"]
        assert "can't be written" in history.read_only_because


def test_where_nothing_can_be_made_there_is_no_history(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(HistoryError, match="could not be opened"):
        History.open(tmp_path / "file" / "history.sqlite3")


@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_in_the_place_of_the_history_is_told(tmp_path: Path, read_only: bool) -> None:
    with pytest.raises(HistoryError, match="could not be opened"):
        History.open(tmp_path, read_only=read_only)

    (tmp_path.parent / f"{tmp_path.name}.lock").unlink(missing_ok=True)


def test_threads_take_turns_and_lose_nothing(path: Path) -> None:
    with History.open(path) as history:

        def write(thread: int) -> int:
            for number in range(20):
                history.record_received(study(f"1.{thread}.{number}", 2))
            return len(history.rows())

        with ThreadPoolExecutor(4) as threads:
            seen = list(threads.map(write, range(4)))

        assert max(seen) == len(history.rows()) == 80


# --- the connection -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "DELETE"),
        ((3, 44, 5), "DELETE"),
        ((3, 44, 6), "WAL"),
        ((3, 45, 0), "DELETE"),
        ((3, 50, 6), "DELETE"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 2), "DELETE"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
    ],
)
def test_the_write_ahead_log_is_used_only_where_its_bug_is_mended(version: tuple[int, int, int], mode: str) -> None:
    assert journal_mode(version) == mode


def test_the_connection_is_set_to_lose_nothing(path: Path) -> None:
    wanted = {
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "mmap_size": 0,
        "secure_delete": 2,
        "busy_timeout": 5000,
        "application_id": connection.APPLICATION_ID,
        "journal_mode": journal_mode().lower(),
    }

    with History.open(path) as history:
        found = {name: history._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted}

    assert found == wanted


def test_every_table_is_strict(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as raw:
        tables = raw.execute(
            "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
            " AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlite_%'"
        ).fetchall()

    assert {name for name, strict in tables if not strict} == set()
    assert {"source", "instance", "series", "study", "study_state", "result", "result_slice", "refusal"} <= dict(
        tables
    ).keys()


def test_with_the_write_ahead_log_the_closed_history_is_one_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicorona_desktop.history.opening.journal_mode", lambda: "WAL")
    with History.open(path) as history:
        history.record_received(study())
        copy = history.backup()
        assert path.with_name(path.name + "-wal").exists()

    assert {one.name for one in path.parent.iterdir()} == {path.name, path.name + ".lock", "backups"}
    assert [one.name for one in copy.parent.iterdir()] == [copy.name]


# --- its form -------------------------------------------------------------------------------------------------


def test_a_history_of_the_version_before_is_copied_and_brought_up_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, later_migration))

    with History.open(path) as history:
        columns = [one["name"] for one in history._connection.execute("PRAGMA table_info(study)")]
        assert uids(history) == ["1.0"]
        assert history.read_only_because == ""

    assert "opened_at" in columns
    (before,) = copies(path)
    with closing(sqlite3.connect(before.path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone()[0] == len(migrations.STEPS) - 1


def test_a_step_that_fails_leaves_the_history_as_it_was_for_reading(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)

    def broken_migration(raw: sqlite3.Connection) -> None:
        later_migration(raw)
        raw.execute("ALTER TABLE study ADD COLUMN opened_at TEXT")

    with monkeypatch.context() as newer:
        newer.setattr(migrations, "STEPS", (*migrations.STEPS, broken_migration))
        with History.open(path) as history:
            assert uids(history) == ["1.0"]
            assert "could not be brought" in history.read_only_because
    with History.open(path) as history:
        assert history.read_only_because == ""
        columns = [one["name"] for one in history._connection.execute("PRAGMA table_info(study)")]

    assert "opened_at" not in columns


@pytest.mark.parametrize("sign", ["number", "step"])
def test_a_history_of_a_newer_version_is_read_and_left_untouched(path: Path, sign: str) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as raw:
        later_migration(raw)
        if sign == "number":
            raw.execute(f"PRAGMA user_version={len(migrations.STEPS) + 1}")
        else:
            raw.execute("INSERT INTO _sqlite_migrations VALUES (99, 'history', 'm002_of_2031', '')")
        raw.commit()
    before = digest(path)

    with History.open(path) as history:
        assert uids(history) == ["1.0"]
        assert "newer version" in history.read_only_because
        with pytest.raises(HistoryError, match="newer version"):
            history.record_received(study("1.9"))

    assert digest(path) == before
    assert copies(path) == ()


def test_the_file_of_another_program_is_left_untouched(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE theirs (a)")
    before = digest(path)

    with pytest.raises(HistoryError, match="not a history of this program"):
        History.open(path)

    assert digest(path) == before


def test_an_empty_file_left_by_a_crash_at_the_very_first_start_is_begun_again(path: Path) -> None:
    path.parent.mkdir()
    path.touch()

    with History.open(path) as history:
        history.record_received(study())

    assert history.notices == ()


# --- damage ---------------------------------------------------------------------------------------------------


def spoil_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"no database any more")


def spoil_pages(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("spoil", [spoil_header, spoil_pages, cut_short])
def test_a_damaged_history_is_set_aside_and_the_newest_good_backup_takes_its_place(path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    with History.open(path, clock=Clock()) as history:
        history.record_received(study("1.0"))
        history.backup()
        history.record_received(study("1.1"))
        spoil_header(history.backup())  # the newest copy is bad as well: the one before is taken
        history.record_received(study("1.2"))
    spoil(path)
    spoilt = digest(path)

    with History.open(path, clock=Clock()) as history:
        assert uids(history) == ["1.0"]
        (notice,) = history.notices
        assert "damaged and has been set aside" in notice
        assert "2026-11-23 08:00 UTC" in notice
        assert history._connection.execute("SELECT event FROM audit").fetchone()[0] == "history replaced"

    (aside,) = path.parent.glob("*.damaged-*")
    assert digest(aside) == spoilt


def test_damage_without_a_backup_starts_an_empty_history_and_says_so(path: Path) -> None:
    spoil_header(filled(path))

    with History.open(path) as history:
        assert uids(history) == []
        assert "no backup" in history.notices[0]


def test_after_a_crash_the_check_is_the_thorough_one(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as raw:  # a broken reference: only the thorough check looks for it
        raw.execute("UPDATE series SET study = 99")
        raw.commit()

    with History.open(path) as trusting:
        assert trusting.notices == ()
    crashed(path)
    with History.open(path) as thorough:
        assert "damaged" in thorough.notices[0]


def test_what_sqlite_keeps_beside_a_damaged_file_is_set_aside_with_it(path: Path) -> None:
    spoil_header(filled(path))
    journal = path.with_name(path.name + "-journal")
    journal.write_bytes(b"left behind")

    backup.replace_ledger(path, None, NOW, "damaged")

    assert not journal.exists()
    assert [one.name for one in path.parent.glob("*-journal")] == [
        "history.sqlite3.damaged-20261123T080000123456Z-journal"
    ]


def test_a_reader_of_a_damaged_history_changes_nothing(path: Path) -> None:
    spoil_header(filled(path))
    before = digest(path)

    with pytest.raises(HistoryError, match="damaged"):
        History.open(path, read_only=True)

    assert digest(path) == before


def test_a_missing_history_comes_back_from_its_backup(path: Path) -> None:
    with History.open(path) as history:
        history.record_received(study())
        history.backup()
    path.unlink()

    with History.open(path) as history:
        assert uids(history) == ["1.2.3"]
        assert "was missing" in history.notices[0]


# --- backups --------------------------------------------------------------------------------------------------


def test_seven_backups_are_kept_and_each_can_be_opened(path: Path) -> None:
    clock = Clock()
    with History.open(path, clock=clock) as history:
        for number in range(KEEP + 2):
            history.record_received(study(f"1.{number}"))
            history.backup()
            clock.pass_by(days=-1)  # even a clock that runs backwards doesn't lose the newest

    kept = copies(path)
    assert [one.number for one in kept] == list(range(3, KEEP + 3))
    for one in kept:
        with History.open(one.path, read_only=True) as copy:
            assert len(uids(copy)) == one.number


def test_a_backup_is_due_once_a_day(path: Path) -> None:
    clock = Clock()
    with History.open(path, clock=clock) as history:
        due = [history.backup_is_due]
        history.backup()
        due.append(history.backup_is_due)
        clock.pass_by(hours=24)
        due.append(history.backup_is_due)

    assert due == [True, False, True]


def test_a_backup_put_back_replaces_the_history_and_keeps_what_was_there(path: Path) -> None:
    with History.open(path) as history:
        history.record_received(study("1.0"))
        copy = history.backup()
        history.record_received(study("1.1"))

        with pytest.raises(HistoryError, match="in use"):
            restore(path, copy, NOW)

    aside = restore(path, copy, NOW)

    with History.open(path) as history, History.open(aside, read_only=True) as before:
        assert uids(history) == ["1.0"]
        assert uids(before) == ["1.0", "1.1"]


def test_a_backup_that_is_no_history_is_not_put_back(path: Path, tmp_path: Path) -> None:
    filled(path)
    before = digest(path)
    other = tmp_path / "other.sqlite3"
    other.write_bytes(b"something else")

    with pytest.raises(HistoryError, match="can't be read"):
        restore(path, other, NOW)

    assert digest(path) == before


class _BadDisk(sqlite3.Connection):
    """A connection to a disk that keeps something else than it was given, when a copy is made."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        done = super().execute(*arguments)
        if str(arguments[0]).startswith("VACUUM INTO"):
            spoil_pages(Path(url2pathname(urlsplit(arguments[1][0]).path)))
        return done


def test_a_backup_that_can_not_be_read_back_is_not_kept(path: Path) -> None:
    def bad_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        bad: sqlite3.Connection = sqlite3.connect(*arguments, factory=_BadDisk, **options)
        return bad

    with History.open(path, connect=bad_connect) as history:
        with pytest.raises(HistoryError, match="could not be read back"):
            history.backup()

        assert history.record_received(study())
        assert list((path.parent / "backups").iterdir()) == []


def test_a_backup_that_can_not_be_written_leaves_the_history_working(path: Path) -> None:
    with History.open(path) as history:
        (path.parent / "backups").write_text("a file stands where the folder should be")

        with pytest.raises(HistoryError, match="backup"):
            history.backup()

        assert history.record_received(study())
