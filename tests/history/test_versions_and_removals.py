"""A ledger of the version before gets the tables of versions and removals, and loses nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aicorona_desktop.core.retention import Step
from aicorona_desktop.core.rows import State
from aicorona_desktop.history import migrations
from aicorona_desktop.history.connection import APPLICATION_ID
from aicorona_desktop.history.store import History, StudyError
from tests.history.made_up import Clock, study


def before_versions(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as the version before wrote it: one study, read."""
    place = next(number for number, step in enumerate(migrations.STEPS) if step.__name__.startswith("m005"))
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw, monkeypatch.context() as earlier:
        earlier.setattr(migrations, "STEPS", migrations.STEPS[:place])
        raw.execute(f"PRAGMA application_id={APPLICATION_ID}")
        migrations.migrate(raw)
        raw.execute(
            "INSERT INTO study (study_instance_uid, received_at, state, standing, read_at) VALUES"
            " ('1.7', '2026-01-01T00:00:00.000000+00:00', 'done', 'read', '2026-01-02T00:00:00.000000+00:00')"
        )
        assert not raw.execute("SELECT 1 FROM sqlite_schema WHERE name IN ('version_choice', 'removal')").fetchall()
    return path


def test_a_ledger_of_before_takes_choices_and_removals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = before_versions(tmp_path / "history.sqlite", monkeypatch)

    with History.open(path, clock=Clock()) as history:
        row = history.row("1.7")
        assert row is not None
        assert (row.state, row.read_at is not None) == (State.DONE, True)
        assert (history.version_choices("1.7"), history.removals("1.7")) == ((), ())
        history.choose_version("1.7", None, {"i": ("a" * 64, "b" * 64)}, why="so", initials="AB")
        history.mark_for_removal("1.7", "rule", "who")

    with History.open(path, read_only=True) as history:
        choice = history.version_choice("1.7")
        assert choice is not None
        assert (choice.place, dict(choice.kept), choice.why) == (None, {}, "so")
        assert [one.step for one in history.removals("1.7")] == [Step.MARKED]
        assert history.broken_audit_row() is None


def test_a_choice_is_taken_back_once(tmp_path: Path) -> None:
    with History.open(tmp_path / "history.sqlite", clock=Clock()) as history:
        history.record_received(study("1.9"))
        number = history.choose_version("1.9", 1, {"i": ("a" * 64, "b" * 64, "c" * 64)}, why="so", initials="AB")
        choice = history.version_choice("1.9")
        assert choice is not None
        assert choice.kept == {"i": "b" * 64}
        history.take_back_version(number, "CD")

        assert history.version_choice("1.9") is None
        with pytest.raises(StudyError):
            history.take_back_version(number, "CD")


def test_of_an_image_with_fewer_versions_the_last_one_is_kept(tmp_path: Path) -> None:
    with History.open(tmp_path / "history.sqlite", clock=Clock()) as history:
        history.record_received(study("1.9"))
        seen = {"i": ("a" * 64, "b" * 64, "c" * 64), "j": ("d" * 64, "e" * 64)}
        history.choose_version("1.9", 2, seen, why="so", initials="AB")

        choice = history.version_choice("1.9")
        assert choice is not None
        assert choice.kept == {"i": "c" * 64, "j": "e" * 64}
        assert choice.seen == seen


def test_letting_go_of_images_that_nobody_keeps_changes_nothing(tmp_path: Path) -> None:
    with History.open(tmp_path / "history.sqlite", clock=Clock()) as history:
        history.record_received(study("1.9"))
        history.keep_images("1.9", "AB", keep=False)

        assert history.removals("1.9") == ()
