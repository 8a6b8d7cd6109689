"""The engine of a program that stays: accounts of imports, wishes of people, maps, folders that come and go."""

from __future__ import annotations

import io
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aicorona_desktop.app import services
from aicorona_desktop.app.services import Running, Wishes, running
from aicorona_desktop.core import events
from aicorona_desktop.core.findings import Outcome, Reason
from aicorona_desktop.core.imports import Fate, ImportSummary
from aicorona_desktop.core.rows import Lane, State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.sources import WatchedSource
from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES, FLOOR_WRITE_BYTES
from aicorona_desktop.dicom.client import Reader, ReaderError
from aicorona_desktop.history.store import History, utc_now
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.triage.maps import MapStore
from aicorona_desktop.triage.ranking import policy_of, rank
from tests import phantom
from tests.street.bench import Bench

QUICK = Settings(quiet_time_s=0.3, poll_s=0.1)


@pytest.fixture
def bench(reader: Reader, scorer: Scorer, tmp_path: Path) -> Iterator[Bench]:
    with Bench(reader, scorer, tmp_path, QUICK, resident=True, maps=MapStore(tmp_path / "maps")) as bench:
        yield bench


def imported(bench: Bench, *paths: Path, label: str = "") -> ImportSummary:
    before = len(bench.told(events.ImportDone))
    bench.engine.submit(paths, label)
    return bench.wait_for(events.ImportDone, before + 1).summary


# --- accounts ---------------------------------------------------------------------------------------------------


def test_every_file_of_an_import_is_counted_once_and_explained(bench: Bench, tmp_path: Path) -> None:
    folder = phantom.chest().with_localizer().written_to(tmp_path / "in")
    whole = sorted(folder.glob("IM*.dcm"))
    (folder / "copy.dcm").write_bytes(whole[3].read_bytes())
    (folder / "cut.dcm").write_bytes(whole[4].read_bytes()[:900])
    (folder / "readme.txt").write_text("hello")
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("a/again.dcm", whole[5].read_bytes())
        archive.writestr("a/other.dcm", phantom.chest("zipped").file(0))

    summary = imported(bench, folder, label="Disc 7")

    assert (summary.label, summary.cancelled, summary.trouble) == ("Disc 7", False, "")
    assert len(summary.files) == len(list(folder.iterdir())) + 2  # the archive's two beside the archive
    counts = summary.counts
    assert counts.files == counts.images + counts.known + counts.not_dicom + counts.damaged + counts.ignored
    by_name = {one.shown.rpartition("/")[2]: one for one in summary.files}
    fates = {name: one.fate for name, one in by_name.items()}
    assert fates["readme.txt"] is Fate.NOT_DICOM
    assert fates["cut.dcm"] is Fate.DAMAGED
    assert fates["more.zip"] is Fate.IGNORED
    assert fates["again.dcm"] is Fate.KNOWN
    assert {fates["copy.dcm"], fates[whole[3].name]} == {Fate.KNOWN, Fate.IMAGE}
    assert by_name["LOC0000.dcm"].finding is not None
    assert by_name["LOC0000.dcm"].finding.reason is Reason.LOCALIZER
    assert (counts.images, counts.studies) == (21, 2)


def test_an_account_is_kept_in_the_history_and_the_second_one_knows_every_image(bench: Bench, tmp_path: Path) -> None:
    folder = phantom.chest().written_to(tmp_path / "in")
    first = imported(bench, folder)
    bench.done()

    second = imported(bench, folder)
    bench.done()

    assert (first.counts.images, second.counts.known, second.counts.images) == (20, 20, 0)
    kept = bench.history.imports()
    assert [one.number for one in kept] == [second.recorded, first.recorded]
    assert [one.counts for one in kept] == [second.counts, first.counts]
    assert bench.history.import_files(second.recorded or 0) == second.files
    assert len(bench.told(events.FinalScore)) == 1


def test_an_import_that_is_stopped_keeps_what_was_read_and_warns_of_what_may_be_missing(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    folder = phantom.chest().with_slices(60, 5).written_to(tmp_path / "in")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        count, read_on = 0, bench.engine._arriving._file_read

        def stop_at_forty(read: Any) -> None:
            nonlocal count
            count += 1
            if count == 40:
                bench.engine.cancel_import(1)
            read_on(read)

        bench.engine._arriving._reading._told = stop_at_forty
        stopped = imported(bench, folder)
        bench.done()
        bench.engine._arriving._reading._told = read_on
        score = bench.wait_for(events.FinalScore)
        whole = imported(bench, folder)
        bench.done()
        again = bench.wait_for(events.FinalScore, 2)

    assert stopped.cancelled
    assert 40 <= len(stopped.files) < 60
    assert Reason.IMPORT_STOPPED in {finding.reason for finding in score.findings}
    assert bench.history.path.exists()
    assert (whole.counts.known, whole.counts.images) == (len(stopped.files), 60 - len(stopped.files))
    assert again.score.slices_total == 60
    assert Reason.IMPORT_STOPPED not in {finding.reason for finding in again.findings}


def test_an_import_that_is_stopped_before_its_turn_reads_nothing(bench: Bench, tmp_path: Path) -> None:
    folder = phantom.chest().written_to(tmp_path / "in")
    bench.engine._arriving._cancelled.add(1)

    summary = imported(bench, folder)

    assert (summary.cancelled, summary.files) == (True, ())


def test_a_client_is_told_of_files_in_bundles_and_of_a_total(bench: Bench, tmp_path: Path) -> None:
    for number in range(4):
        phantom.chest(f"c{number}").with_slices(60, 5).written_to(tmp_path / "in" / str(number))

    summary = imported(bench, tmp_path / "in")
    bench.engine.stop(5)

    bundles = bench.told(events.FilesDone)
    assert [one.shown for bundle in bundles for one in bundle.files] == [one.shown for one in summary.files]
    assert len(bundles) < 60
    progress = bench.told(events.Progress)
    assert {one.files_total for one in progress} == {240}
    assert progress[-1].files_read == 240
    assert len(progress) < 60


def test_studies_of_a_long_import_are_in_the_list_while_the_rest_is_read(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicorona_desktop.triage.arriving.ARRIVE_EVERY_S", 0.0)
    for number in range(3):
        phantom.chest(f"c{number}").written_to(tmp_path / "in" / str(number))

    summary = imported(bench, tmp_path / "in")
    bench.done()

    kinds = [type(event) for event in bench.events]
    assert kinds.index(events.StudySeen) < kinds.index(events.ImportDone)
    assert summary.counts.images == 60
    assert len(bench.told(events.FinalScore)) == 3
    assert {one.score.slices_total for one in bench.told(events.FinalScore)} == {20}


def test_a_long_import_does_not_hold_up_what_came_before(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicorona_desktop.triage.arriving.ARRIVE_EVERY_S", 0.02)
    first = phantom.chest("first").with_slices(60, 4).written_to(tmp_path / "a")
    for number in range(4):
        phantom.chest(f"c{number}").written_to(tmp_path / "b" / str(number))

    bench.engine.submit([first])
    bench.engine.submit([tmp_path / "b"])
    bench.wait_for(events.ImportDone, 2)

    of_second = bench.events.index(bench.told(events.BatchStarted)[1])
    till_done = bench.events.index(bench.told(events.ImportDone)[1])
    between = [type(event) for event in bench.events[of_second:till_done]]
    assert events.PreliminaryScore in between or events.SliceScored in between
    bench.done(120)
    assert len(bench.told(events.FinalScore)) == 5


def test_an_import_that_breaks_off_says_so_and_the_engine_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = phantom.chest().written_to(tmp_path / "in")

    def fail(*_: object) -> Iterator[Any]:
        raise ReaderError("The reader can't be started.")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(bench.engine._arriving._reading._reader, "examine_all", fail)
        broken = imported(bench, folder)

    assert broken.trouble == "The reader can't be started."
    assert imported(bench, folder).counts.images == 20


def test_an_archive_that_can_not_be_kept_is_refused_with_the_reason(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"in the way")
    with zipfile.ZipFile(tmp_path / "disc.zip", "w") as archive:
        archive.writestr("a.dcm", phantom.chest().file(0))

    summary = imported(bench, tmp_path / "disc.zip")

    assert [one.finding.reason for one in summary.files if one.finding] == [Reason.NOT_KEPT]
    assert summary.files[0].outcome is Outcome.REFUSED


# --- a study that is known --------------------------------------------------------------------------------------


def test_slices_that_come_later_from_elsewhere_join_the_study(bench: Bench, tmp_path: Path) -> None:
    chest = phantom.chest().with_slices(30, 8)
    folder = chest.written_to(tmp_path / "one")
    (tmp_path / "two").mkdir()
    for path in sorted(folder.iterdir())[22:]:
        path.rename(tmp_path / "two" / path.name)
    imported(bench, folder)
    bench.done()
    bench.engine._known.forget(chest.study_instance_uid)  # as after a hundred others

    imported(bench, tmp_path / "two")
    bench.done()

    assert [one.score.slices_total for one in bench.told(events.FinalScore)] == [22, 30]


def test_files_that_come_while_their_study_is_scored_take_it_back_to_the_start(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest = phantom.chest("growing").with_slices(120, 2)
    folder = chest.written_to(tmp_path / "in" / "study")
    (tmp_path / "held").mkdir()
    for path in sorted(folder.iterdir())[110:]:
        path.rename(tmp_path / "held" / path.name)

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(tmp_path / "in")
        bench.wait_for(events.PreliminaryScore)
        for path in (tmp_path / "held").iterdir():
            shutil.copy(path, folder / path.name)
        until = time.monotonic() + 60
        while not any(one.score.slices_total == 120 for one in bench.told(events.FinalScore)):
            assert time.monotonic() < until
            assert bench.engine.failure is None, bench.engine.failure
            time.sleep(0.05)

        assert bench.history.row(chest.study_instance_uid).state is State.DONE  # type: ignore[union-attr]


def test_what_a_session_leaves_unfinished_goes_on_at_the_next_start(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest = phantom.chest("resumed").with_slices(120, 2)
    folder = chest.written_to(tmp_path / "in")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([folder])
        bench.wait_for(events.PreliminaryScore)

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.resume()
        bench.done()

        assert [one.study_instance_uid for one in bench.told(events.FinalScore)] == [chest.study_instance_uid]
        assert bench.told(events.FinalScore)[0].score.slices_total == 120


def test_an_unfinished_study_whose_files_are_gone_needs_a_person(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest = phantom.chest("gone").with_slices(120, 2)
    folder = chest.written_to(tmp_path / "in")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([folder])
        bench.wait_for(events.PreliminaryScore)
    shutil.rmtree(folder)

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.resume()
        told = bench.wait_for(events.Unscored)

        assert (told.state, told.findings[0].reason, told.findings[0].found) == (State.FAILED, Reason.FILES_GONE, 120)
        row = rank(bench.engine.rows(), utc_now(), policy_of(QUICK, None))[0]
        assert row.lane is Lane.NEEDS_PERSON


# --- wishes -----------------------------------------------------------------------------------------------------


def two_series(folder: Path) -> tuple[phantom.Chest, phantom.Chest]:
    """One study with a lung and a soft kernel; the rules choose the soft one."""
    soft = phantom.chest().with_tags(ConvolutionKernel="B30f", SeriesNumber=2)
    series = "2.25.424242"
    sharp = phantom.chest().with_seed(5).with_tags(SeriesInstanceUID=series, SeriesNumber=3, ConvolutionKernel="B70f")
    for index in sharp.slices:
        sharp = sharp.with_slice_tags(index, SOPInstanceUID=f"2.25.42424200{index}")
    soft.written_to(folder / "soft")
    sharp.written_to(folder / "sharp")
    return soft, sharp


def test_another_series_can_be_scored_and_both_scores_are_kept(bench: Bench, tmp_path: Path) -> None:
    soft, sharp = two_series(tmp_path / "in")
    uid = soft.study_instance_uid
    imported(bench, tmp_path / "in")
    bench.done()

    bench.engine.score_again(uid, sharp.series_instance_uid, by="AB")
    bench.done()
    imported(bench, tmp_path / "in")  # the same files again don't undo a person's choice
    bench.done()

    stored = bench.history.results(uid)
    final = [(one.series_instance_uid, one.superseded) for one in stored if not one.score.preliminary]
    assert final == [(sharp.series_instance_uid, False), (soft.series_instance_uid, True)]
    row = bench.history.row(uid)
    assert row is not None
    assert row.series_reason.startswith("series 3: chosen by AB; by the rules: series 2")
    assert any("by AB" in change.cause for change in bench.history.states(uid))


def test_a_wish_that_can_not_be_met_leaves_the_study_as_it_was(bench: Bench, tmp_path: Path) -> None:
    chest = phantom.chest().with_localizer()
    uid = chest.study_instance_uid
    folder = chest.written_to(tmp_path / "in")
    imported(bench, folder)
    bench.done()
    before = bench.history.row(uid)

    bench.engine.score_again(uid, "1.2.3")
    bench.engine.score_again("1.2.3.4")
    shutil.rmtree(folder)
    bench.engine._known.forget(uid)
    bench.engine.score_again(uid)
    bench.done()

    sentences = [one.sentence for one in bench.told(events.NotDone)]
    assert [part in one for part, one in zip(("no slices", "not in the history", "20 file(s)"), sentences, strict=True)]
    assert bench.history.row(uid) == before


def test_an_unsuitable_study_is_scored_when_a_person_wants_it_and_ranks_nobody(bench: Bench, tmp_path: Path) -> None:
    chest = phantom.chest().with_slices(12, 10)
    uid = chest.study_instance_uid
    imported(bench, chest.written_to(tmp_path / "in"))
    bench.done()
    assert bench.told(events.Unscored)[0].state is State.UNSUITABLE

    bench.engine.score_again(uid)
    bench.engine.score_again(uid, anyway=True, by="AB")
    bench.done()

    told = bench.wait_for(events.FinalScore)
    reasons = {finding.reason for finding in told.findings}
    assert {Reason.TOO_FEW_SLICES, Reason.SCORED_ANYWAY} <= reasons
    row = rank(bench.engine.rows(), utc_now(), policy_of(QUICK, None))[0]
    assert (row.state, row.lane) == (State.DONE, Lane.NEEDS_PERSON)
    assert len(bench.told(events.NotDone)) == 1


def test_score_now_does_not_wait_for_quiet(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    chest = phantom.chest()
    chest.written_to(tmp_path / "in" / "study")
    settings = replace(QUICK, quiet_time_s=60)

    with Bench(reader, scorer, tmp_path, settings, resident=True) as bench:
        bench.engine.watch(tmp_path / "in")
        bench.wait_for(events.StudySeen)
        bench.engine.score_now(chest.study_instance_uid)

        assert bench.wait_for(events.FinalScore).score.slices_total == 20


def test_settings_take_effect_while_the_engine_runs(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    chest = phantom.chest()
    chest.written_to(tmp_path / "in" / "study")

    with Bench(reader, scorer, tmp_path, replace(QUICK, quiet_time_s=60), resident=True) as bench:
        bench.engine.watch(tmp_path / "in")
        bench.wait_for(events.StudySeen)
        bench.engine.change_settings(QUICK)

        assert bench.wait_for(events.FinalScore).score.slices_total == 20


# --- maps and proofs --------------------------------------------------------------------------------------------


def test_the_maps_of_every_score_are_kept_and_add_up_to_it(bench: Bench, tmp_path: Path) -> None:
    chest = phantom.chest()
    imported(bench, chest.written_to(tmp_path / "in"))
    bench.done()

    stored = bench.history.result(chest.study_instance_uid)
    assert stored is not None
    maps = MapStore(tmp_path / "maps").load(stored)

    assert maps is not None
    assert maps.check.within
    assert maps.check.largest_slice_difference == 0.0
    assert maps.indices == stored.score.slice_indices
    assert np.allclose(maps.check.sums, stored.score.logits, atol=1e-12)
    assert [path.name for path in (tmp_path / "maps").iterdir()] == [f"{stored.number}.maps"]  # not the preliminary's


def test_maps_that_are_gone_are_computed_again_bit_by_bit(bench: Bench, tmp_path: Path) -> None:
    chest = phantom.chest()
    imported(bench, chest.written_to(tmp_path / "in"))
    bench.done()
    (path,) = (tmp_path / "maps").iterdir()
    whole = path.read_bytes()
    path.unlink()

    bench.engine.request_maps(chest.study_instance_uid)
    told = bench.wait_for(events.MapsReady)

    assert told.trouble == ""
    assert path.read_bytes() == whole


def test_maps_that_can_not_be_had_are_explained(bench: Bench, tmp_path: Path) -> None:
    chest = phantom.chest()
    folder = chest.written_to(tmp_path / "in")
    imported(bench, folder)
    bench.done()
    shutil.rmtree(tmp_path / "maps")
    shutil.rmtree(folder)

    bench.engine.request_maps(chest.study_instance_uid)
    bench.engine.request_maps("1.2.3")
    bench.engine.change_settings(replace(QUICK, triage_only=True))
    bench.engine.request_maps(chest.study_instance_uid)
    bench.wait_for(events.MapsReady, 3)

    troubles = [one.trouble for one in bench.told(events.MapsReady)]
    assert [part in one for part, one in zip(("gone", "no score", "no maps"), troubles, strict=True)] == [True] * 3


def test_a_site_for_triage_only_keeps_no_maps(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    settings = replace(QUICK, triage_only=True)
    with Bench(reader, scorer, tmp_path, settings, resident=True, maps=MapStore(tmp_path / "maps")) as bench:
        imported(bench, phantom.chest().written_to(tmp_path / "in"))
        bench.done()

    assert not (tmp_path / "maps").exists()


def test_a_stored_score_can_be_proved(bench: Bench, tmp_path: Path) -> None:
    chest = phantom.chest()
    imported(bench, chest.written_to(tmp_path / "in"))
    bench.done()

    bench.engine.request_verification(chest.study_instance_uid)
    bench.engine.request_verification("1.2.3")
    bench.done()

    proved = next(one for one in bench.told(events.Verified) if one.agreement)
    failed = next(one for one in bench.told(events.Verified) if not one.agreement)
    assert (proved.agreement, proved.largest_difference) == ("identical", 0.0)
    assert "no stored score" in failed.sentence


# --- folders and disks ------------------------------------------------------------------------------------------


def test_a_folder_is_watched_until_it_is_not(bench: Bench, tmp_path: Path) -> None:
    watched = tmp_path / "in"
    watched.mkdir()
    bench.engine.watch(watched)
    assert [(one.folder, one.state) for one in bench.engine.watching()] == [(watched, events.WatchState.WATCHING)]
    phantom.chest("seen").written_to(watched / "a")
    bench.wait_for(events.FinalScore)

    bench.engine.unwatch(watched)
    phantom.chest("unseen").written_to(watched / "b")
    time.sleep(0.5)

    assert bench.engine.watching() == ()
    assert {one.summary.studies for one in bench.told(events.ImportDone)} == {
        (phantom.chest("seen").study_instance_uid,)
    }
    assert all(one.summary.watched for one in bench.told(events.ImportDone))


def test_a_folder_that_answers_nothing_holds_up_nobody_and_counts_as_lost(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    hangs, folder = threading.Event(), phantom.chest().written_to(tmp_path / "in")

    class Dead:
        def look(self) -> None:
            hangs.wait(30)

    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine._watching._make = lambda _folder: Dead()  # type: ignore[assignment, return-value]
        bench.engine._watching._hangs_after_s = 0.2
        bench.engine.watch(tmp_path / "dead")
        imported(bench, folder)
        bench.wait_for(events.FinalScore)
        lost = bench.wait_for(events.SourceLost)

        assert lost.folder == tmp_path / "dead"
        assert bench.engine.watching()[0].state is events.WatchState.LOST
        started = time.monotonic()
        bench.engine.stop(5)
        assert time.monotonic() - started < 2
    hangs.set()


def test_a_folder_that_may_not_be_listed_says_so(bench: Bench, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    try:
        next(closed.iterdir(), None)
    except PermissionError:
        pass
    else:
        pytest.skip("this user may list everything")

    bench.engine.watch(closed)

    assert bench.wait_for(events.SourceLost).state is events.WatchState.REFUSED


def test_a_disk_that_fills_up_pauses_the_engine_and_room_lets_it_go_on(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    folder = phantom.chest().written_to(tmp_path / "in")
    free = FLOOR_INTAKE_BYTES - 1
    with Bench(reader, scorer, tmp_path, QUICK, resident=True, free_space=lambda: free) as bench:
        bench.engine.submit([folder])
        assert bench.wait_for(events.Notice).finding.reason is Reason.DISK_NEARLY_FULL
        time.sleep(0.3)
        assert not bench.told(events.BatchStarted)
        free = FLOOR_WRITE_BYTES - 1
        time.sleep(0.3)
        free = 2 * FLOOR_INTAKE_BYTES
        bench.wait_for(events.FinalScore)

        assert [one.finding.reason for one in bench.told(events.Notice)][:2] == [
            Reason.DISK_NEARLY_FULL, Reason.DISK_HAS_ROOM
        ]  # fmt: skip


def test_what_is_queued_is_scored_while_intake_is_paused(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    first = phantom.chest("first").with_slices(60, 4).written_to(tmp_path / "a")
    second = phantom.chest("second").written_to(tmp_path / "b")
    free = 2 * FLOOR_INTAKE_BYTES
    with Bench(reader, scorer, tmp_path, QUICK, resident=True, free_space=lambda: free) as bench:
        bench.engine.submit([first])
        bench.wait_for(events.StudySeen)
        free = FLOOR_INTAKE_BYTES - 1
        bench.engine.submit([second])

        bench.wait_for(events.FinalScore)

        assert len(bench.told(events.ImportDone)) == 1


def test_an_engine_that_fails_says_so(bench: Bench, tmp_path: Path) -> None:
    bench.engine._asked.put(("", lambda: 1 / 0))  # type: ignore[arg-type, return-value]
    bench.engine._wake.set()
    until = time.monotonic() + 10
    while not bench.told(events.EngineFailed):
        assert time.monotonic() < until
        time.sleep(0.02)

    assert isinstance(bench.engine.failure, ZeroDivisionError)
    assert bench.engine.wait_until_idle(1)


# --- the whole of it --------------------------------------------------------------------------------------------


@pytest.fixture
def start(reader: Reader, scorer: Scorer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """`running` on a history of the test's, with the processes of the session."""

    class Kept:
        def __init__(self, thing: object) -> None:
            self.thing = thing

        def __call__(self, *_: object) -> Kept:
            return self

        def __enter__(self) -> object:
            return self.thing

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(services, "Scorer", Kept(scorer))
    monkeypatch.setattr(services, "Reader", Kept(reader))
    return partial(running, told=lambda _sentence: None)


def wait_for_score(told: list[events.Event], timeout_s: float = 60) -> events.FinalScore:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        for event in told:
            if isinstance(event, events.FinalScore):
                return event
        time.sleep(0.02)
    raise AssertionError("no score")


def test_a_program_that_stays_has_all_parts_and_a_second_one_may_only_read(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    folder = phantom.chest().written_to(tmp_path / "in")
    wishes = Wishes(history=tmp_path / "h.sqlite", settings=QUICK)
    told: list[events.Event] = []
    parts: Running
    with start(wishes, told.append) as parts:
        assert parts.engine is not None
        parts.engine.submit([folder])
        wait_for_score(told)
        stored = parts.history.result(phantom.chest().study_instance_uid)
        assert stored is not None
        maps = parts.maps.load(stored)
        with start(wishes, told.append) as second:
            assert second.engine is None
            assert "for reading only" in second.reader_only
            assert second.history.row(phantom.chest().study_instance_uid).state is State.DONE
            assert second.maps.load(stored) is not None

    assert maps is not None
    assert maps.check.within
    assert parts.reader_only == ""


def test_the_watched_folders_of_the_settings_are_watched_from_the_start(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    settings = replace(QUICK, watched=(WatchedSource(tmp_path / "in"), WatchedSource(tmp_path / "missing")))
    (tmp_path / "in").mkdir()

    with start(Wishes(history=tmp_path / "h.sqlite", settings=settings), lambda _event: None) as parts:
        assert [one.folder for one in parts.engine.watching()] == [tmp_path / "in", tmp_path / "missing"]


def test_a_history_that_is_broken_otherwise_is_told_as_before(start: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "h.sqlite").write_bytes(io.BytesIO(b"not a history" * 100).getvalue())

    with (
        pytest.raises(services.AicoronaError, match="not a history"),
        start(Wishes(history=tmp_path / "h.sqlite"), lambda _event: None),
    ):
        pass


def test_a_crash_between_two_sessions_leaves_a_history_that_opens(bench: Bench, tmp_path: Path) -> None:
    imported(bench, phantom.chest().written_to(tmp_path / "in"))
    bench.done()

    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("history.sqlite*"):
        if path.is_file():
            shutil.copy(path, copy / path.name)

    with History.open(copy / "history.sqlite") as history:
        assert history.row(phantom.chest().study_instance_uid).state is State.DONE  # type: ignore[union-attr]
        assert history.imports()[0].counts.images == 20
