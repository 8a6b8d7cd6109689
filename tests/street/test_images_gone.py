"""Studies whose images are gone: removed by a rule of the site, or with the folder that they lay in."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from aicorona_desktop.app.storage import Retention
from aicorona_desktop.app.volume_cache import VolumeCache
from aicorona_desktop.core import events
from aicorona_desktop.core.findings import Reason
from aicorona_desktop.core.retention import GRACE, Rule, Step
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.sources import WatchedSource
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import utc_now
from aicorona_desktop.model.client import Scorer
from tests import phantom
from tests.street.bench import Bench

QUICK = replace(Settings(), quiet_time_s=0.4, poll_s=0.1)
CHEST = phantom.chest().with_slices(44, 8)
LATE = 22
"""So many slices come late: enough for a score of their own."""


def split(folder: Path) -> tuple[Path, Path]:
    """The study in two folders: what comes first, and what comes late."""
    early, late = folder / "early", folder / "late"
    CHEST.written_to(early)
    late.mkdir()
    for path in sorted(early.rglob("*.dcm"))[LATE:]:
        path.rename(late / path.name)
    return early, late


def remove_by_rule(bench: Bench, uid: str) -> None:
    """Read the study, let the rule of the site name it and a week pass, and have its copies removed."""
    bench.history.save_verdict(uid, impression="normal", initials="AB")
    now = [utc_now()]
    rule = Retention(
        bench.history,
        VolumeCache(None),
        Rule(days=7),
        lambda _trouble: None,
        now=lambda: now[0],
        free=lambda: 10**12,
        originals=bench.engine._originals,
    )
    for _ in range(2):
        now[0] += GRACE * 2
        removed = rule.look()
    assert removed == (uid,)
    assert bench.history.removals(uid)[-1].step is Step.REMOVED


def reasons(bench: Bench, uid: str) -> set[Reason]:
    row = bench.history.row(uid)
    assert row is not None
    return {one.reason for one in row.findings}


def test_late_slices_of_a_study_whose_images_were_removed_give_no_score_of_their_own(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    early, late = split(tmp_path)
    uid = CHEST.study_instance_uid
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([early], copied=True)
        bench.wait_for(events.FinalScore)
        bench.done()
        remove_by_rule(bench, uid)
        shutil.rmtree(early)
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([late], copied=True)
        told = bench.wait_for(events.Unscored)
        bench.done()

        assert not bench.told(events.FinalScore)
        [gone] = [one for one in told.findings if one.reason is Reason.FILES_GONE]
        assert gone.found == LATE
        assert [one.score.slices_total for one in bench.history.results(uid) if not one.score.preliminary] == [LATE]


def test_the_same_within_one_session(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    early, late = split(tmp_path)
    uid = CHEST.study_instance_uid
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([early], copied=True)
        bench.wait_for(events.FinalScore)
        bench.done()
        remove_by_rule(bench, uid)
        bench.engine.submit([late], copied=True)
        told = bench.wait_for(events.Unscored)
        bench.done()

        assert len(bench.told(events.FinalScore)) == 1
        assert Reason.FILES_GONE in {one.reason for one in told.findings}


def test_a_study_that_comes_again_whole_after_its_images_were_removed_is_scored_whole(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    early, late = split(tmp_path)
    uid = CHEST.study_instance_uid
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([early], copied=True)
        bench.wait_for(events.FinalScore)
        bench.done()
        remove_by_rule(bench, uid)
    again = early.rename(tmp_path / "again")
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([late], copied=True)
        bench.wait_for(events.Unscored)
        bench.engine.submit([again], copied=True)  # nothing that the history doesn't know, but it was missing
        score = bench.wait_for(events.FinalScore).score
        bench.done()

        assert score.slices_total == len(CHEST.slices)
        assert Reason.FILES_GONE not in reasons(bench, uid)


def test_images_that_come_again_are_where_the_row_leads_to(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    folder, uid = CHEST.written_to(tmp_path / "in"), CHEST.study_instance_uid
    elsewhere = tmp_path / "elsewhere"
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([folder], copied=True)
        bench.wait_for(events.FinalScore)
        bench.done()
        remove_by_rule(bench, uid)
        assert not any(one.path.is_relative_to(tmp_path / "spool") for one in bench.history.files(uid))
        folder.rename(elsewhere)

        bench.engine.submit([elsewhere])
        bench.wait_for(events.ImportDone, 2)
        bench.done()
        in_place = bench.history.files(uid)
        bench.engine.submit([elsewhere], copied=True)
        bench.wait_for(events.ImportDone, 3)
        bench.done()
        copied = bench.history.files(uid)

        assert len(in_place) == len(copied) == len(CHEST.slices)
        assert all(one.path.is_relative_to(elsewhere) and one.path.is_file() for one in in_place)
        assert all(one.path.is_relative_to(tmp_path / "spool") and one.path.is_file() for one in copied)
        row = bench.history.row(uid)
        assert row is not None
        assert row.state is State.DONE
        bench.engine.score_again(uid)
        assert bench.wait_for(events.FinalScore, 2).score.slices_total == len(CHEST.slices)


def test_a_file_in_place_that_was_overwritten_is_not_missed(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    watched, uid = tmp_path / "in", CHEST.study_instance_uid
    early, late = split(tmp_path)
    early.rename(watched)
    broken = min(watched.rglob("*.dcm"))
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(WatchedSource(watched, copied=False))
        bench.wait_for(events.ImportDone)
        bench.done()
    broken.write_bytes(whole)
    for path in late.iterdir():
        path.rename(watched / path.name)
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.watch(WatchedSource(watched, copied=False))
        score = bench.wait_for(events.FinalScore).score
        bench.done()

        assert score.slices_total == len(CHEST.slices)
        assert Reason.FILES_GONE not in reasons(bench, uid)


def test_a_part_of_a_study_that_comes_again_leaves_its_score_as_it_stands(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    folder, uid = CHEST.written_to(tmp_path / "in"), CHEST.study_instance_uid
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([folder], copied=True)
        bench.wait_for(events.FinalScore)
        bench.done()
        remove_by_rule(bench, uid)
    for path in sorted(folder.rglob("*.dcm"))[LATE:]:
        path.unlink()
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([folder], copied=True)
        bench.wait_for(events.ImportDone)
        bench.done()

        row = bench.history.row(uid)
        assert row is not None
        assert row.state is State.DONE
        assert Reason.FILES_GONE not in reasons(bench, uid)
        assert not bench.told(events.Unscored)


def test_a_second_file_of_an_image_is_not_missed(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    early, late = split(tmp_path)
    twin = tmp_path / "twin"
    twin.mkdir()
    one = min(early.rglob("*.dcm"))
    (twin / one.name).write_bytes(b"sent on by another program".ljust(128) + one.read_bytes()[128:])
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        for folder in (early, twin):
            bench.engine.submit([folder])
            bench.wait_for(events.FinalScore)
            bench.done()
    shutil.rmtree(twin)
    with Bench(reader, scorer, tmp_path, QUICK, resident=True) as bench:
        bench.engine.submit([late])
        until = time.monotonic() + 20
        while not (bench.told(events.FinalScore) or bench.told(events.Unscored)) and time.monotonic() < until:
            time.sleep(0.05)

        assert [event.score.slices_total for event in bench.told(events.FinalScore)] == [len(CHEST.slices)]
