"""The daily backup of a program that runs for weeks, and what is read again once one was put back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from aicorona_desktop.app.backups import Backups
from aicorona_desktop.app.services import Wishes, running
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.history.backup import RESTORED_FROM, copies, restore
from aicorona_desktop.history.store import History, utc_now
from tests import phantom
from tests.history.made_up import Clock, study


def until(holds: Callable[[], object], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_a_program_that_runs_for_days_makes_a_backup_each_day(tmp_path: Path) -> None:
    clock = Clock()
    with History.open(tmp_path / "history.sqlite", clock=clock) as history:
        backups = Backups(history, print, every_s=0.02)
        backups.start()
        try:
            for day in range(1, 4):
                until(lambda day=day: len(copies(history.path)) == day)
                history.record_received(study(f"1.{day}"))
                clock.pass_by(hours=12)
                time.sleep(0.1)
                assert len(copies(history.path)) == day
                clock.pass_by(hours=12)
        finally:
            backups.close()


def test_a_stick_that_is_put_in_later_gets_the_newest_backup_and_its_absence_is_told_once(tmp_path: Path) -> None:
    stick, told = tmp_path / "stick", []
    with History.open(tmp_path / "history.sqlite") as history:
        backups = Backups(history, told.append, also_to=stick, every_s=0.02)
        backups.start()
        try:
            until(lambda: told)
            time.sleep(0.2)
            assert len(told) == 1
            assert "second place" in told[0]
            stick.mkdir()
            until(lambda: [one for one in stick.iterdir() if one.suffix == ".sqlite3"])
        finally:
            backups.close()

    assert [one.name for one in stick.iterdir()] == [one.path.name for one in copies(history.path)]


def test_a_full_disk_is_told_once_and_the_backup_is_made_when_there_is_room(tmp_path: Path) -> None:
    free, told = [1_000], []
    history = History.open(tmp_path / "history.sqlite", measure_free=lambda _: 10**12)
    history._free = lambda: free[0]  # type: ignore[assignment]
    with history:
        backups = Backups(history, told.append, every_s=0.02)
        backups.start()
        try:
            until(lambda: told)
            time.sleep(0.1)
            assert len(told) == 1
            assert copies(history.path) == ()
            free[0] = 10**12
            until(lambda: copies(history.path))
        finally:
            backups.close()


def test_a_copy_of_ours_that_a_backup_lacks_is_read_again_at_the_next_start(tmp_path: Path) -> None:
    from aicorona_desktop.app.storage import originals_beside
    from aicorona_desktop.intake.originals import Originals

    chest = phantom.chest().with_slices(20)
    place = tmp_path / "program" / "history.sqlite"
    place.parent.mkdir()
    with History.open(place) as history:
        made = history.backup()
        history.record_received(study("1.1"))
    originals = Originals(originals_beside(place))
    for file in sorted(chest.written_to(tmp_path / "in").iterdir()):
        originals.keep(file.read_bytes())
    restore(place, made, utc_now())
    ended = threading.Event()

    wishes = Wishes(history=place, provider="cpu", settings=Settings(provider="cpu"))
    with running(wishes, lambda _: None, lambda _: None) as services:
        assert services.engine is not None
        assert services.engine.wait_until_idle(60)
        ended.set()
        row = services.history.row(chest.study_instance_uid)
        assert row is not None
        assert row.probabilities is not None
        assert not services.history.setting(RESTORED_FROM)
