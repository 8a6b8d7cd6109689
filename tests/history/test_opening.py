"""Who may open the ledger, in what form, and what happens to one that is broken, newer or not ours."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from aicorona_desktop.core.rows import State
from aicorona_desktop.core.space import FLOOR_WRITE_BYTES
from aicorona_desktop.history import backup, connection, migrations
from aicorona_desktop.history.backup import KEEP, copies, restore
from aicorona_desktop.history.connection import journal_mode
from aicorona_desktop.history.ledger import AUDIT_DIFFERS
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

    assert not (tmp_path.parent / f"{tmp_path.name}.lock").exists()


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
        "synchronous": 3,
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

    assert {one.name for one in path.parent.iterdir()} == {path.name, path.name + ".lock", path.name + ".backups"}
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


def text_file(path: Path) -> None:
    path.write_text("# Notes\nWhat I must not lose.\n")


def dicom_file(path: Path) -> None:
    path.write_bytes(bytes(128) + b"DICM" + os.urandom(2000))


def zip_file(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a" * 1000)


def short_file(path: Path) -> None:
    path.write_bytes(b"S")


def database_of_another_program(path: Path, application: int = 0, mode: str = "DELETE") -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA journal_mode={mode}")
        raw.execute(f"PRAGMA application_id={application}")
        raw.execute("CREATE TABLE theirs (a)")


FOREIGN = [
    text_file,
    dicom_file,
    zip_file,
    short_file,
    database_of_another_program,
    partial(database_of_another_program, application=0x0F055112),
    partial(database_of_another_program, mode="WAL"),
]


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("write", FOREIGN)
def test_the_file_of_another_program_is_left_untouched(
    path: Path, write: Callable[[Path], None], read_only: bool
) -> None:
    path.parent.mkdir()
    write(path)
    before = digest(path)

    with pytest.raises(HistoryError, match="not a history of this program"):
        History.open(path, read_only=read_only)

    assert digest(path) == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_backup_is_not_put_in_the_place_of_another_programs_file(path: Path, tmp_path: Path) -> None:
    with History.open(path) as history:
        copy = history.backup()
    other = tmp_path / "notes.md"
    text_file(other)
    before = digest(other)

    with pytest.raises(HistoryError, match="not a history of this program"):
        restore(other, copy, NOW)

    assert digest(other) == before
    assert not other.with_name("notes.md.lock").exists()


def test_a_history_that_crashed_at_its_first_start_with_the_write_ahead_log_is_ours(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicorona_desktop.history.opening.journal_mode", lambda: "WAL")
    crash = (path.with_name("crash.sqlite3"), path.with_name("crash.sqlite3-wal"))
    with History.open(path) as history:
        history.record_received(study())
        for source, target in zip((path, path.with_name(path.name + "-wal")), crash, strict=True):
            shutil.copyfile(source, target)

    with History.open(crash[0]) as again:
        assert (uids(again), again.notices) == (["1.2.3"], ())


def test_two_histories_in_a_folder_keep_their_backups_apart(path: Path) -> None:
    with History.open(path) as one, History.open(path.with_suffix(".db")) as other:
        copy, its = one.backup(), other.backup()

    assert (copy.parent.name, its.parent.name) == ("history.sqlite3.backups", "history.db.backups")


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
    spoil_pages(filled(path))

    with History.open(path) as history:
        assert uids(history) == []
        assert "no backup" in history.notices[0]


def test_after_a_crash_the_check_is_the_thorough_one(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as raw:  # a broken reference: only the thorough check looks for it
        raw.execute("UPDATE series SET study = 99")
        raw.commit()

    with History.open(path, clock=Clock()) as trusting:
        assert trusting.notices == ()
    crashed(path)
    with History.open(path, clock=Clock()) as thorough:
        assert "damaged" in thorough.notices[0]


def test_once_a_week_the_check_is_the_thorough_one(path: Path) -> None:
    clock = Clock()
    filled(path)
    clock.pass_by(days=8)
    History.open(path, clock=clock).close()  # checked, and remembered
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE series SET study = 99")
        raw.commit()

    notices = []
    for days in (0, 6, 1):
        clock.pass_by(days=days)
        with History.open(path, clock=clock) as history:
            notices.append(history.notices)

    assert notices[:2] == [(), ()]
    assert "damaged" in notices[2][0]


# --- the disk nearly full -------------------------------------------------------------------------------------

NEARLY_FULL = r"The disk is nearly full \(99 MB free, 100 needed\): nothing more is written; viewing goes on\."


def test_on_a_nearly_full_disk_nothing_more_is_written_and_viewing_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicorona_desktop.core.space.ASK_EVERY_S", 0.0)
    free = [FLOOR_WRITE_BYTES]
    with History.open(path, measure_free=lambda _folder: free[0]) as history:
        history.record_received(study("1.0"))
        free[0] = FLOOR_WRITE_BYTES - 1

        for write in (lambda: history.record_received(study("1.1")), history.backup, lambda: history.audit("a")):
            with pytest.raises(HistoryError, match=NEARLY_FULL):
                write()
        assert uids(history) == ["1.0"]

        free[0] = FLOOR_WRITE_BYTES
        history.record_received(study("1.1"))
        assert uids(history) == ["1.0", "1.1"]


def test_a_history_on_a_nearly_full_disk_is_opened_for_reading_only(path: Path) -> None:
    before = digest(filled(path))

    with History.open(path, measure_free=lambda _folder: 99_999_999) as history:
        assert uids(history) == ["1.0"]
        assert re.fullmatch(NEARLY_FULL, history.read_only_because)

    assert digest(path) == before


def test_no_history_is_begun_on_a_nearly_full_disk(path: Path) -> None:
    with pytest.raises(HistoryError, match=NEARLY_FULL):
        History.open(path, measure_free=lambda _folder: 99_999_999)

    assert not path.parent.exists()


def test_a_full_disk_is_told_in_the_error_and_nothing_of_the_write_is_kept(path: Path) -> None:
    with History.open(path) as history:
        pages = history._connection.execute("PRAGMA page_count").fetchone()[0]
        history._connection.execute(f"PRAGMA max_page_count={pages}")  # SQLite then says SQLITE_FULL

        with pytest.raises(HistoryError, match="nothing was recorded; is the disk full") as told:
            history.record_received(study(slices=500))

        assert getattr(told.value.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        assert uids(history) == []


# --- the audit file -------------------------------------------------------------------------------------------


def audited(path: Path) -> Path:
    """Make a ledger with two rows in its audit; return the audit file."""
    with History.open(path) as history:
        history.set_setting("a", "1", "AB")
        history.set_setting("a", "2", "AB")
    return path.with_name(path.name + ".audit.jsonl")


def test_every_audit_row_is_a_line_of_the_audit_file(path: Path) -> None:
    file = audited(path)

    lines = [json.loads(line) for line in file.read_text().splitlines()]

    with closing(sqlite3.connect(path)) as raw:
        raw.row_factory = sqlite3.Row
        rows = [{name: row[name] for name in lines[0]} for row in raw.execute("SELECT * FROM audit ORDER BY sequence")]
    assert lines == rows
    assert len(lines) == 2
    assert lines[1]["previous_sha256"] == lines[0]["row_sha256"]
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def remove_last_row(path: Path, _file: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DELETE FROM audit")
        raw.commit()


def remove_last_line(_path: Path, file: Path) -> None:
    file.write_text(file.read_text().splitlines(keepends=True)[0])


def remove_file(_path: Path, file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("change", [remove_last_row, remove_last_line, remove_file])
def test_an_audit_file_that_ends_otherwise_than_the_history_is_told_once(
    path: Path, change: Callable[[Path, Path], None]
) -> None:
    file = audited(path)
    change(path, file)

    notices = []
    for _ in range(2):
        with History.open(path) as history:
            notices.append(history.notices)

    assert notices == [(AUDIT_DIFFERS,), ()]


@pytest.mark.parametrize("left", [b'{"at": "2026-11', b'{"previous_sha256": "HASH", "row_sha256": "1"}\n'])
def test_a_line_that_a_crash_left_in_the_audit_file_is_no_difference(path: Path, left: bytes) -> None:
    file = audited(path)
    newest = json.loads(file.read_text().splitlines()[-1])["row_sha256"]
    with file.open("ab") as stream:
        stream.write(left.replace(b"HASH", newest.encode()))

    with History.open(path) as history:
        assert history.notices == ()
        history.set_setting("a", "3", "AB")

    assert json.loads(file.read_text().splitlines()[-1])["previous_sha256"] == newest
    with History.open(path) as history:
        assert history.notices == ()


def test_what_can_not_be_put_into_the_audit_file_is_not_recorded(path: Path) -> None:
    audit_file = path.with_name(path.name + ".audit.jsonl")
    with History.open(path) as history:
        audit_file.mkdir()

        with pytest.raises(HistoryError, match="nothing was recorded"):
            history.set_setting("a", "1")

        assert history.setting("a") is None


def test_an_audit_file_that_can_not_be_read_lets_go_of_the_history(path: Path) -> None:
    file = path.with_name(path.name + ".audit.jsonl")
    filled(path)
    file.mkdir()

    with pytest.raises(HistoryError, match="could not be read"):
        History.open(path)

    file.rmdir()
    with History.open(path) as history:
        assert uids(history) == ["1.0"]


# --- what lies beside -----------------------------------------------------------------------------------------


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
    spoil_pages(filled(path))
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


def test_a_backup_that_can_not_be_put_in_place_leaves_the_history_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with History.open(path) as history:
        history.record_received(study("1.0"))
        copy = history.backup()
    before = digest(path)

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(backup.shutil, "copyfile", full)
    with pytest.raises(HistoryError, match="could not be put in place"):
        restore(path, copy, NOW)

    assert digest(path) == before


class _BusyAfterOpening(sqlite3.Connection):
    """A connection to a file that another program locks between opening and the first question."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if str(arguments[0]) == "PRAGMA application_id":
            raise sqlite3.OperationalError("database is locked")
        return super().execute(*arguments)


def test_a_reader_that_meets_a_busy_file_is_told_so(path: Path) -> None:
    filled(path)

    with pytest.raises(HistoryError, match="file in use"):
        History.open(path, read_only=True, connect=partial(sqlite3.connect, factory=_BusyAfterOpening))


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
        assert list(path.with_name(path.name + ".backups").iterdir()) == []


def test_a_backup_that_can_not_be_written_leaves_the_history_working(path: Path) -> None:
    with History.open(path) as history:
        path.with_name(path.name + ".backups").write_text("a file stands where the folder should be")

        with pytest.raises(HistoryError, match="backup"):
            history.backup()

        assert history.record_received(study())


def test_a_history_cut_to_nothing_is_replaced_by_its_backup_and_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with History.open(path) as history:
        history.set_setting("colour", "blue")
        history.backup()
    path.write_bytes(b"")

    with History.open(path) as history:
        assert history.setting("colour") == "blue"
        assert any("missing" in notice for notice in history.notices)
