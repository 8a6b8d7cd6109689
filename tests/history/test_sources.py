"""What the ledger knows of copies and watched folders; a ledger of the version before loses nothing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from aicorona_desktop.core.study import Study
from aicorona_desktop.history import migrations
from aicorona_desktop.history.connection import APPLICATION_ID, StudyError
from aicorona_desktop.history.sources import FolderTally, Taken
from aicorona_desktop.history.store import History
from tests.history.made_up import NOW, Clock, sha256, study


def copied(one: Study, folder: Path) -> Study:
    """The study with copies of ours in place of its files."""
    series = []
    for each in one.series:
        instances = tuple(
            replace(
                instance,
                file=replace(
                    instance.file,
                    path=folder / instance.file.sha256[:2] / instance.file.sha256,
                    origin=instance.file.path,
                ),
            )
            for instance in each.instances
        )
        series.append(replace(each, instances=instances))
    return replace(one, series=tuple(series))


def test_a_ledger_of_before_keeps_its_files_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.sqlite"
    place = next(number for number, step in enumerate(migrations.STEPS) if step.__name__.startswith("m006"))
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw, monkeypatch.context() as earlier:
        earlier.setattr(migrations, "STEPS", migrations.STEPS[:place])
        raw.execute(f"PRAGMA application_id={APPLICATION_ID}")
        migrations.migrate(raw)
        raw.execute("INSERT INTO source (shown, kind, recorded_at) VALUES ('/in', '', '')")
        raw.execute(
            "INSERT INTO study (study_instance_uid, received_at, state)"
            " VALUES ('1.7', '2026-01-01T00:00:00.000000+00:00', 'done')"
        )
        raw.execute("INSERT INTO series (study, series_instance_uid) VALUES (1, '1.7.1')")
        raw.execute(
            "INSERT INTO instance (series, identity, sha256, path, shown, source, size_bytes, mtime_ns, received_at)"
            " VALUES (1, 'i', ?, ?, 'a', 1, 5, 6, '')",
            (bytes.fromhex(sha256("a")), os.fsencode("/in/a")),
        )

    with History.open(path, clock=Clock()) as history:
        (file,) = history.files("1.7")
        assert (file.path, file.origin, file.location) == (Path("/in/a"), None, "/in/a")
        assert history.tally(tmp_path) == FolderTally()
        assert history.taken(tmp_path) == {}
        assert history.broken_audit_row() is None


def test_a_copy_is_what_a_row_leads_to_also_when_the_file_is_read_in_place_later(tmp_path: Path) -> None:
    here = study()
    ours = copied(here, tmp_path)
    with History.open(tmp_path / "history.sqlite", clock=Clock()) as history:
        for one in (here, ours, here):
            history.record_received(one)
        files = history.files("1.2.3")

    assert {file.path.parent.parent for file in files} == {tmp_path}
    assert {file.origin for file in files} == {each.file.path for each in here.series[0].instances}


def test_what_nothing_was_recorded_of_is_known_at_the_next_start(tmp_path: Path) -> None:
    ours = copied(study(), tmp_path)
    files = [one.file for one in ours.series[0].instances]
    with History.open(tmp_path / "history.sqlite", clock=Clock()) as history:
        history.intend_copies([*(file.sha256 for file in files), sha256("nobody's")])
        history.record_received(ours)
        assert history.take_unrecorded_copies(tmp_path) == (sha256("nobody's"),)  # a crash before the next call

        recorded = history.record_files(files)
        again = replace(files[0], origin=Path("/elsewhere"))
        history.record_files([again])
        assert recorded == {file.sha256 for file in files}
        assert set(history.origins(files[0].sha256)) == {files[0].origin, Path("/elsewhere")}
        assert history.record_files([replace(files[0], sha256=sha256("nobody's"))]) == frozenset()
        history.forget_intents()
        assert history.take_unrecorded_copies(tmp_path) == ()


def test_a_folder_keeps_the_newest_version_of_each_file(tmp_path: Path) -> None:
    name = os.fsdecode(b"IM\xff1")
    first = Taken(name, 10, 20, str(2**64 - 1), sha256("a"))
    with History.open(tmp_path / "history.sqlite", clock=Clock()) as history:
        history.note_taken(tmp_path, [first, Taken("b", 1, 2, "3", code="junk")])
        history.note_taken(tmp_path, [replace(first, size_bytes=11)])
        assert history.taken(tmp_path) == {
            name: replace(first, size_bytes=11),
            "b": Taken("b", 1, 2, "3", code="junk"),
        }
        assert history.tally(tmp_path) == FolderTally(2, NOW)
        assert history.taken(tmp_path / "other") == {}


def write_and_fail(history: History, folder: Path) -> None:
    with history.together():
        history.record_received(study("1.1"))
        history.note_taken(folder, [Taken("a", 1, 2, "3")])
        raise ZeroDivisionError


def test_what_is_written_together_is_there_altogether_or_not_at_all(tmp_path: Path) -> None:
    with History.open(tmp_path / "history.sqlite", clock=Clock()) as history:
        with pytest.raises(ZeroDivisionError):
            write_and_fail(history, tmp_path)
        assert history.row("1.1") is None
        assert history.taken(tmp_path) == {}

        with history.together():
            history.record_received(study("1.1"))
            with pytest.raises(StudyError):
                history.keep_images("1.9", "AB")
            history.record_received(study("1.2", first=10))
        assert {row.study_instance_uid for row in history.rows()} == {"1.1", "1.2"}
