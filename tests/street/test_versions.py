"""The same image with other bytes: both are kept, nothing is scored until a person has chosen, in either order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.app.versions import (
    ImageVersions,
    VersionReader,
    VersionsError,
    differences,
    read_versions,
)
from aicorona_desktop.app.viewing import StudyReader
from aicorona_desktop.core.findings import Finding, Reason
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import History, StudyError
from aicorona_desktop.model.cache import SliceCache
from aicorona_desktop.model.client import Scorer
from tests import phantom
from tests.street.bench import Bench

FIRST = phantom.chest("twice")
LATER = replace(FIRST.with_tags(SeriesDescription="LUNG, corrected").with_ground_glass(0.8), name="twice")
UID = FIRST.study_instance_uid


@pytest.fixture
def bench(reader: Reader, scorer: Scorer, cache: SliceCache, tmp_path: Path) -> Iterator[Bench]:
    with Bench(reader, scorer, tmp_path, Settings(), resident=True, cache=cache) as bench:
        yield bench


@pytest.fixture
def two(bench: Bench, tmp_path: Path) -> tuple[ImageVersions, ...]:
    """A whole series, then three of its images with other bytes."""
    bench.engine.submit([FIRST.written_to(tmp_path / "first")])
    bench.done()
    assert row(bench).state is State.DONE
    give(bench, tmp_path / "later", LATER, 8, 9, 10)
    return read_versions(bench.history, UID)


def give(bench: Bench, folder: Path, chest: phantom.Chest, *indices: int) -> None:
    folder.mkdir()
    for index in indices:
        (folder / f"IM{index:04d}.dcm").write_bytes(chest.file(index))
    bench.engine.submit([folder])
    bench.done()


def row(bench: Bench) -> Row:
    found = bench.history.row(UID)
    assert found is not None
    return found


def reasons(bench: Bench) -> set[Reason]:
    return {one.reason for one in row(bench).findings}


def choose(bench: Bench, images: tuple[ImageVersions, ...], place: int | None) -> int:
    seen = {one.identity: one.seen for one in images}
    number = bench.history.choose_version(UID, place, seen, why="sent again", initials="AB")
    bench.engine.settle_identity(UID)
    bench.done()
    return number


def scored_files(bench: Bench) -> set[str]:
    result = bench.history.result(UID)
    assert result is not None
    return set(result.score.slice_sha256)


def test_two_versions_take_the_score_away_and_both_are_told_by_their_arrival(
    bench: Bench, two: tuple[ImageVersions, ...]
) -> None:
    found = row(bench)
    assert (found.state, found.identity_conflict, found.probabilities) == (State.UNSUITABLE, True, None)
    conflict = next(one for one in found.findings if one.reason is Reason.UID_CONFLICT)
    assert str(conflict).startswith("There are two versions of 3 image(s)")
    assert [one.versions[0].instance.header.instance_number for one in two] == [9, 10, 11]
    for image in two:
        first, later = image.versions
        assert first.arrived_at is not None
        assert later.arrived_at is not None
        assert first.arrived_at < later.arrived_at
        assert (Path(first.file.source).name, Path(later.file.source).name) == ("first", "later")
        told = differences(first.instance.header, later.instance.header)
        assert [(one.name, one.first, one.other) for one in told] == [("series_description", "LUNG", "LUNG, corrected")]


def test_the_pictures_of_both_and_where_they_differ_are_there_to_compare(two: tuple[ImageVersions, ...]) -> None:
    with VersionReader() as reader:
        compared = reader.compared(two[0])

    first, later = compared.pixels
    assert not isinstance(first, Finding)
    assert not isinstance(later, Finding)
    expected = FIRST.hounsfield(8) != LATER.hounsfield(8)
    assert compared.differing[1] is not None
    np.testing.assert_array_equal(compared.differing[1], expected)
    assert expected.any()
    assert not expected.all()
    assert compared.differing[0] is not None
    assert not compared.differing[0].any()


@pytest.mark.parametrize("place", [0, 1])
def test_the_version_that_was_chosen_is_scored_and_looked_at_and_nothing_of_the_other(
    bench: Bench, two: tuple[ImageVersions, ...], place: int
) -> None:
    choose(bench, two, place)

    assert (row(bench).state, row(bench).slices_total, row(bench).identity_conflict) == (State.DONE, 20, False)
    assert Reason.VERSION_CHOSEN in reasons(bench)
    kept, other = {one.seen[place] for one in two}, {one.seen[1 - place] for one in two}
    assert scored_files(bench) >= kept  # all three lie in the middle half
    assert not scored_files(bench) & other
    with StudyReader() as viewer:
        [series] = viewer.open(bench.history, UID).series
    shown = {one.file.sha256 for one in series.instances}
    assert len(series.instances) == 20
    assert shown >= kept
    assert not shown & other
    left = {one.file.sha256 for one in bench.history.left_out(UID) if one.finding.reason is Reason.OTHER_VERSION_CHOSEN}
    assert left == other


def test_a_choice_that_is_taken_back_takes_the_score_with_it_and_another_may_follow(
    bench: Bench, two: tuple[ImageVersions, ...]
) -> None:
    number = choose(bench, two, 1)
    bench.history.take_back_version(number, "CD")
    bench.engine.settle_identity(UID)
    bench.done()
    assert (row(bench).state, row(bench).probabilities) == (State.UNSUITABLE, None)
    assert Reason.UID_CONFLICT in reasons(bench)
    assert read_versions(bench.history, UID) == two  # with the arrivals of before

    choose(bench, two, 0)

    assert row(bench).state is State.DONE
    assert not [
        one
        for one in bench.history.left_out(UID)
        if one.finding.reason is Reason.UID_CONFLICT and one.file.sha256 in scored_files(bench)
    ]
    kept = bench.history.version_choices(UID)
    assert [(one.place, one.taken_back, one.taken_back_by, one.why) for one in kept] == [
        (1, True, "CD", "sent again"),
        (0, False, "", "sent again"),
    ]
    events = [one.event for one in bench.history.trail(UID)]
    assert [one for one in events if "version" in one] == [
        "version chosen",
        "choice of version taken back",
        "version chosen",
    ]


def test_a_study_may_stay_without_a_score_and_says_so(bench: Bench, two: tuple[ImageVersions, ...]) -> None:
    choose(bench, two, None)

    assert row(bench).state is State.UNSUITABLE
    assert {Reason.VERSIONS_NOT_SCORED} == reasons(bench) & {Reason.VERSIONS_NOT_SCORED, Reason.UID_CONFLICT}


def test_a_third_version_takes_the_choice_away(bench: Bench, two: tuple[ImageVersions, ...], tmp_path: Path) -> None:
    choose(bench, two, 1)
    assert row(bench).state is State.DONE

    give(bench, tmp_path / "third", LATER.with_tags(SeriesDescription="once more"), 9)

    assert row(bench).state is State.UNSUITABLE
    assert Reason.UID_CONFLICT in reasons(bench)
    images = read_versions(bench.history, UID)
    assert sorted(len(one.versions) for one in images) == [2, 2, 3]
    choose(bench, images, 2)  # the third of the one, the last of the others
    assert scored_files(bench) >= {one.seen[-1] for one in images}


def test_the_same_bytes_again_are_no_third_version(
    bench: Bench, two: tuple[ImageVersions, ...], tmp_path: Path
) -> None:
    choose(bench, two, 1)

    give(bench, tmp_path / "again", LATER, 8, 9)

    assert (row(bench).state, row(bench).slices_total) == (State.DONE, 20)


def test_a_choice_that_was_recorded_as_the_program_ended_is_fulfilled_at_the_next_start(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    with Bench(reader, scorer, tmp_path, Settings(), resident=True) as bench:
        bench.engine.submit([FIRST.written_to(tmp_path / "first")])
        bench.done()
        give(bench, tmp_path / "later", LATER, 8)
        images = read_versions(bench.history, UID)
    with History.open(tmp_path / "history.sqlite") as history:
        history.choose_version(UID, 1, {one.identity: one.seen for one in images}, why="so", initials="AB")

    with Bench(reader, scorer, tmp_path, Settings(), resident=True) as bench:
        bench.engine.resume()
        bench.done()
        assert row(bench).state is State.DONE
        assert scored_files(bench) >= {images[0].seen[1]}


def test_names_decide_nothing(bench: Bench, tmp_path: Path) -> None:
    """Two patients of one name are two studies; one study under two spellings of a name stays one, unmatched."""
    twin = phantom.chest("twin").with_tags(PatientName="Phantom^Twice", PatientID="PHANTOM-twice")
    renamed = FIRST.with_tags(PatientName="Somebody^Else")
    bench.engine.submit([FIRST.written_to(tmp_path / "one"), twin.written_to(tmp_path / "two")])
    bench.done()
    give(bench, tmp_path / "renamed", renamed, 9)

    other = bench.history.row(twin.study_instance_uid)
    assert other is not None
    assert other.state is State.DONE  # untouched by its namesake
    assert Reason.UID_CONFLICT in reasons(bench)  # the same UID with another name is a version, not another patient


def test_without_two_versions_there_is_nothing_to_choose(bench: Bench, tmp_path: Path) -> None:
    bench.engine.submit([FIRST.written_to(tmp_path / "first")])
    bench.done()

    with pytest.raises(VersionsError, match="one version each"):
        read_versions(bench.history, UID)
    for place, seen in ((0, {}), (0, {"1.2": ("a",)}), (2, {"1.2": ("a", "b")}), (-1, {"1.2": ("a", "b")})):
        with pytest.raises(StudyError, match="no such versions"):
            bench.history.choose_version(UID, place, seen, why="x", initials="AB")
