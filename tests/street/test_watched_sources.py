"""Watched folders that lose nothing: copied or in place, over restarts, with sources that nobody touches."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aicorona_desktop.core import events
from aicorona_desktop.core.findings import Reason
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.sources import SourceKind, WatchedSource
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.intake import opening
from aicorona_desktop.intake.keeping import SpoolError
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.model.client import Scorer
from tests import phantom
from tests.street.bench import Bench

QUICK = replace(Settings(), quiet_time_s=0.4, poll_s=0.1)


def copied(folder: Path) -> WatchedSource:
    return WatchedSource(folder, "CT 1")


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file with its hash and its time."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def blobs(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "spool").rglob("*") if path.is_file())


def test_copies_are_kept_under_their_hash_and_the_source_is_as_it_was(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest, watched = phantom.chest(), tmp_path / "in"
    chest.written_to(watched / "study")
    (watched / "notes.txt").write_text("no image")
    before = tree(watched)

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        bench.wait_for(events.FinalScore, 1)
        files = bench.history.files(chest.study_instance_uid)
        state = bench.engine.watching()[0]

    images = {sha256 for name, (sha256, _) in before.items() if name != "notes.txt"}
    assert tree(watched) == before
    assert {path.name for path in blobs(tmp_path)} == images
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in blobs(tmp_path))
    assert {file.path.name for file in files} == images
    assert {file.origin.parent for file in files if file.origin} == {(watched / "study").resolve()}
    assert (state.files, state.last_at is not None) == (len(before), True)


def test_a_copied_study_is_scored_and_looked_at_when_its_source_is_gone(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest, watched = phantom.chest(), tmp_path / "in"
    chest.written_to(watched / "study")
    with Bench(reader, scorer, tmp_path, replace(QUICK, quiet_time_s=60), resident=True) as bench:
        bench.engine.watch(copied(watched))
        bench.wait_for(events.ImportDone, 1)
    shutil.rmtree(watched)

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.resume()
        bench.wait_for(events.FinalScore, 1)
        assert bench.history.row(chest.study_instance_uid).state is State.DONE  # type: ignore[union-attr]


def test_a_folder_in_place_keeps_no_copy(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    phantom.chest().written_to(tmp_path / "in" / "study")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(WatchedSource(tmp_path / "in", copied=False))
        bench.wait_for(events.FinalScore, 1)
    assert not blobs(tmp_path)


def test_a_restart_hands_out_what_is_new_and_nothing_else(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    watched = tmp_path / "in"
    phantom.chest("first").written_to(watched / "first")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        bench.wait_for(events.FinalScore, 1)

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        time.sleep(0.6)
        assert not bench.told(events.BatchStarted)
        second = phantom.chest("second")
        count = len(list(second.written_to(watched / "second").rglob("*.dcm")))
        bench.wait_for(events.FinalScore, 1)
        read = [file for event in bench.told(events.ImportDone) for file in event.summary.files]

    assert len(read) == count
    assert {file.study_instance_uid for file in read} == {second.study_instance_uid}


def test_a_folder_that_is_empty_after_a_restart_is_offline(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    watched, away = tmp_path / "in", tmp_path / "away"
    phantom.chest().written_to(watched / "study")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        bench.wait_for(events.FinalScore, 1)
    (watched / "study").rename(away)

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        bench.wait_for(events.SourceLost, 1)
        away.rename(watched / "study")
        bench.wait_for(events.SourceBack, 1)
        time.sleep(0.4)
        assert not bench.told(events.BatchStarted)


def test_late_slices_of_a_copied_study_score_it_anew_and_the_old_score_stays(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest, watched, held = phantom.chest().with_slices(30, 8), tmp_path / "in", tmp_path / "held"
    chest.written_to(watched / "study")
    held.mkdir()
    for path in sorted(watched.rglob("*.dcm"))[22:]:
        path.rename(held / path.name)

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        bench.wait_for(events.FinalScore, 1)
        for path in held.iterdir():
            path.rename(watched / "study" / path.name)
        last = bench.wait_for(events.FinalScore, 2)
        finals = [one for one in bench.history.results(chest.study_instance_uid) if not one.score.preliminary]

    assert last.score.slices_total == 30
    assert [one.score.slices_total for one in finals] == [30, 22]
    assert len(blobs(tmp_path)) == 30


def test_a_file_that_changes_after_it_was_taken_is_a_version_of_its_own(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest, watched = phantom.chest(), tmp_path / "in"
    chest.written_to(watched / "study")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        bench.wait_for(events.FinalScore, 1)
        one = min(watched.rglob("*.dcm"))
        data = bytearray(one.read_bytes())
        data[-100] ^= 1
        one.write_bytes(data)
        told = bench.wait_for(events.Unscored, 1)

    assert Reason.UID_CONFLICT in {finding.reason for finding in told.findings}


def test_the_same_bytes_in_two_places_are_one_copy_and_both_places_are_known(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest, watched = phantom.chest(), tmp_path / "in"
    chest.written_to(watched / "study")
    shutil.copytree(watched / "study", watched / "twice")

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        bench.wait_for(events.FinalScore, 1)
        images = len(list((watched / "study").rglob("*.dcm")))
        assert len(blobs(tmp_path)) == images
        places = bench.history.origins(blobs(tmp_path)[0].name)

    assert {place.relative_to(watched.resolve()).parts[0] for place in places} == {"study", "twice"}


def test_files_that_are_still_written_are_not_read_early(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    watched, made = tmp_path / "in", phantom.chest().written_to(tmp_path / "made")
    (watched / "study").mkdir(parents=True)

    def write(path: Path) -> None:
        data = path.read_bytes()
        with (watched / "study" / path.name).open("wb", buffering=0) as stream:
            for begin in range(0, len(data), len(data) // 8 + 1):
                stream.write(data[begin : begin + len(data) // 8 + 1])
                time.sleep(0.1)

    paths = sorted(made.rglob("*.dcm"))
    writers = [
        threading.Thread(target=lambda part=paths[number::20]: [write(one) for one in part]) for number in range(20)
    ]
    with Bench(reader, scorer, tmp_path, replace(QUICK, quiet_time_s=1.5), resident=True) as bench:
        bench.engine._watching._between_looks_s = 0.5
        bench.engine.watch(copied(watched))
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        score = bench.wait_for(events.FinalScore, 1).score
        read = [file for event in bench.told(events.ImportDone) for file in event.summary.files]

    assert score.slices_total == len(paths)
    assert all(file.finding is None for file in read)
    assert len(read) == len(paths)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_file_that_can_not_be_read_for_now_is_taken_as_soon_as_it_can(
    reader: Reader, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("aicorona_desktop.intake.folders.TRY_AGAIN_S", 0.2)
    monkeypatch.setattr(opening, "TRIES", 1)
    chest, watched = phantom.chest(), tmp_path / "in"
    chest.written_to(watched / "study")
    closed = {min(watched.rglob("*.dcm")).name}
    read = opening._read

    def read_or_not(path: Path, below: Path | None) -> object:
        if path.name in closed:
            raise OSError(number, os.strerror(number))
        return read(path, below)

    monkeypatch.setattr(opening, "_read", read_or_not)
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        first = bench.wait_for(events.FinalScore, 1).score
        time.sleep(1)
        accounts = len(bench.told(events.ImportDone))
        closed.clear()
        second = bench.wait_for(events.FinalScore, 2).score
        files = [one for event in bench.told(events.ImportDone)[accounts:] for one in event.summary.files]

    assert accounts == 1  # said once, however often it is tried
    assert [one.finding for one in files] == [None]
    assert (first.slices_total, second.slices_total) == (len(chest.slices) - 1, len(chest.slices))


def test_what_an_import_that_broke_off_has_left_is_read_again(
    reader: Reader, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicorona_desktop.intake.folders.TRY_AGAIN_S", 0.2)
    chest, watched = phantom.chest(), tmp_path / "in"
    chest.written_to(watched / "study")
    settle, failures = Originals.settle, [1]

    def settle_at_the_second_try(self: Originals) -> tuple[str, ...]:
        if failures:
            failures.pop()
            raise SpoolError("The program could not keep its copy of a file on the disk.")
        return settle(self)

    monkeypatch.setattr(Originals, "settle", settle_at_the_second_try)
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(copied(watched))
        score = bench.wait_for(events.FinalScore, 1).score

    assert score.slices_total == len(chest.slices)
    assert len(blobs(tmp_path)) == len(chest.slices)


def test_an_inbox_of_ours_is_empty_when_all_of_it_is_recorded(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    inbox, chest = tmp_path / "inbox", phantom.chest()
    made = chest.written_to(tmp_path / "made")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        inbox.mkdir()
        bench.engine.watch(WatchedSource(inbox, kind=SourceKind.RECEIVER))
        for number, path in enumerate(sorted(made.rglob("*.dcm"))):
            shutil.copyfile(path, inbox / f"{number:04}")
        (inbox / "9999.dcm").write_bytes(b"damaged")
        bench.wait_for(events.FinalScore, 1)
        time.sleep(0.5)
        assert [one.name for one in inbox.iterdir()] == ["9999.dcm"]  # names no study, so that nothing else has it
        assert not bench.told(events.SourceLost)
        assert len(blobs(tmp_path)) == len(list(made.rglob("*.dcm")))
        assert sum(event.summary.counts.not_dicom for event in bench.told(events.ImportDone)) == 1


def test_a_copy_that_finds_the_disk_full_waits_and_goes_on_by_itself(
    reader: Reader, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicorona_desktop.triage.room.TRY_AGAIN_S", 0.3)
    chest = phantom.chest()
    folder, full = chest.written_to(tmp_path / "in"), threading.Event()
    full.set()
    stage = Originals.stage

    def stage_with_a_quota(self: Originals, data: bytes, sha256: str, *, proved: bool = False) -> Path:
        with monkeypatch.context() as patch:
            if full.is_set() and len(self.staged) > 5:
                patch.setattr("aicorona_desktop.intake.originals.open", no_room, raising=False)
            return stage(self, data, sha256, proved=proved)

    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Originals, "stage", stage_with_a_quota)
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([folder], "Disc", copied=True)
        until = time.monotonic() + 20
        while not any(one.finding.reason is Reason.DISK_NEARLY_FULL for one in bench.told(events.Notice)):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert not bench.told(events.ImportDone)
        full.clear()
        score = bench.wait_for(events.FinalScore, 1).score
        reasons = [one.finding.reason for one in bench.told(events.Notice)]

    assert score.slices_total == len(list(folder.rglob("*.dcm")))
    assert reasons[-1] is Reason.DISK_HAS_ROOM
    assert len(blobs(tmp_path)) == score.slices_total
    assert bench.told(events.ImportDone)[0].summary.counts.images == score.slices_total


def test_copies_that_were_never_recorded_go_at_the_next_start(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    folder = phantom.chest().written_to(tmp_path / "in")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([folder], copied=True)
        bench.done()
        recorded = blobs(tmp_path)
        bench.engine._originals.keep(b"kept by a program that ended before it said whose it is")
        bench.engine._originals.stage(b"half", hashlib.sha256(b"half").hexdigest())
        assert len(blobs(tmp_path)) == len(recorded) + 2

    with Bench(reader, scorer, tmp_path, QUICK, resident=True):
        assert blobs(tmp_path) == recorded


def test_a_folder_has_a_quiet_time_of_its_own(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    phantom.chest().written_to(tmp_path / "in")
    with Bench(reader, scorer, tmp_path, replace(QUICK, quiet_time_s=60), resident=True) as bench:
        bench.engine.watch(WatchedSource(tmp_path / "in", quiet_time_s=0.3, look_every_s=0.1))
        bench.wait_for(events.FinalScore, 1)
