from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.app.viewing import (
    StudyReader,
    ViewedStudy,
    ViewingError,
    letters,
    standard_directions,
)
from aicorona_desktop.core.findings import Finding, Reason
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.study import SeriesChoice, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import choose_series, studies_of
from aicorona_desktop.dicom.volume import to_standard_orientation
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.triage.reading import FileReading
from tests import phantom
from tests.history import made_up

WAY = [(State.CHECKING, "test"), (State.QUEUED, "test"), (State.RUNNING, "test")]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def viewer(reader: Reader) -> StudyReader:
    return StudyReader(lambda: reader)


def received(history: History, reader: Reader, folder: Path) -> Study:
    batch = FileReading(reader, Spool(folder.parent / "spool")).read([folder])
    left_out = [
        made_up.LeftOut(one.file, one.finding, one.series_instance_uid, one.study_instance_uid, one.patient_id)
        for one in batch.others
        if one.file is not None
    ]
    [study] = studies_of(batch.instances, left_out)
    history.record_received(study)
    return study


def score(history: History, study: Study, choice: SeriesChoice, used: tuple[int, ...]) -> None:
    assert choice.series is not None
    instances = tuple(choice.series.instances[index] for index in used)
    made = made_up.score(replace(study, series=(replace(choice.series, instances=instances),)))
    made = replace(
        made,
        slice_indices=used,
        slice_identities=tuple(one.identity for one in instances),
        slice_sha256=tuple(one.file.sha256 for one in instances),
        slice_contributions=(made.slice_contributions * len(used))[: len(used)],
        slices_total=len(choice.series.instances),
    )
    history.move_through(study.study_instance_uid, WAY)
    history.record_result(study.study_instance_uid, made, (), "0.1", "gate-1", choice=choice)


def all_slices(viewer: StudyReader, viewed: ViewedStudy) -> dict[int, np.ndarray | Finding]:
    series = viewed.series[0]
    return dict(viewer.slices(series, range(len(series.instances))))


def test_a_study_opens_with_its_slices_from_feet_to_head_and_their_places(
    history: History, reader: Reader, viewer: StudyReader, tmp_path: Path
) -> None:
    chest = phantom.chest().without_slice(7)
    study = received(history, reader, chest.written_to(tmp_path / "in"))

    viewed = viewer.open(history, study.study_instance_uid)

    [series] = viewed.series
    assert (len(series.instances), series.rows, series.columns) == (19, 128, 128)
    assert series.geometry is not None
    assert [(gap.after_slice, gap.missing) for gap in series.geometry.gaps] == [(6, 1)]
    assert series.position_mm(18) == pytest.approx(95.0)
    assert series.nearest(94.0) == 18
    assert series.spacing_mm == (chest.thorax.pixel_spacing_mm,) * 2
    assert (viewed.result, series.used, series.scored) == (None, (), False)


def test_the_pixels_are_those_of_the_files_in_the_order_asked_for(
    history: History, reader: Reader, viewer: StudyReader, tmp_path: Path
) -> None:
    chest = phantom.chest()
    study = received(history, reader, chest.written_to(tmp_path / "in"))
    series = viewer.open(history, study.study_instance_uid).series[0]

    read = list(viewer.slices(series, (10, 0, 19, 3)))

    assert [index for index, _ in read] == [10, 0, 19, 3]
    for index, pixels in read:
        assert isinstance(pixels, np.ndarray)
        assert (pixels == chest.hounsfield(index)).all()


def test_slices_are_turned_so_that_the_patients_right_is_on_the_left(
    history: History, reader: Reader, viewer: StudyReader, tmp_path: Path
) -> None:
    # given: rows run to the patient's right and columns to the front, as in a prone scan
    turned = phantom.chest().with_tags(ImageOrientationPatient=(-1, 0, 0, 0, -1, 0))
    study = received(history, reader, turned.written_to(tmp_path / "in"))

    viewed = viewer.open(history, study.study_instance_uid)

    assert standard_directions(viewed.header) == standard_directions(
        replace(viewed.header, row_cosines=(1, 0, 0), column_cosines=(0, 1, 0))
    )
    _, pixels = next(iter(viewer.slices(viewed.series[0], (10,))))
    assert isinstance(pixels, np.ndarray)
    assert (pixels == turned.hounsfield(10)[::-1, ::-1]).all()


def test_directions_follow_the_turn_of_the_pixels_for_every_axial_orientation() -> None:
    # given: a slice whose pixels say where they lie, x + 10 y, stored in each of the eight axial standings
    for row in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)):
        for column in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)):
            if abs(row[0]) == abs(column[0]):
                continue
            one = made_up.header(
                row_cosines=tuple(map(float, row)), column_cosines=tuple(map(float, column)), rows=2, columns=2
            )
            stored = np.array(
                [[x * row[0] + y * column[0] + 10 * (x * row[1] + y * column[1]) for x in (0, 1)] for y in (0, 1)],
                np.int16,
            )

            shown = to_standard_orientation(stored, one)
            directions = standard_directions(one)

            assert directions is not None
            assert (directions.across, directions.down) == ((1, 0, 0), (0, 1, 0))
            assert shown[0, 1] - shown[0, 0] == 1  # to the patient's left
            assert shown[1, 0] - shown[0, 0] == 10  # to the back


def test_letters_name_the_strongest_direction_first_and_leave_weak_ones_out() -> None:
    assert letters((1.0, 0.0, 0.0)) == "L"
    assert letters((-0.9, 0.43, 0.0)) == "RP"
    assert letters((0.1, -0.99, 0.0)) == "A"
    assert letters((0.0, 0.0, -1.0)) == "F"
    assert standard_directions(made_up.header()) is None


def test_a_damaged_slice_comes_as_its_reason_among_the_others(
    history: History, reader: Reader, viewer: StudyReader, tmp_path: Path
) -> None:
    folder = phantom.chest().written_to(tmp_path / "in")
    study = received(history, reader, folder)
    series = viewer.open(history, study.study_instance_uid).series[0]
    damaged = series.instances[4].file.path
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    series.instances[5].file.path.unlink()

    read = all_slices(viewer, viewer.open(history, study.study_instance_uid))

    assert {index: one.reason for index, one in read.items() if isinstance(one, Finding)} == {
        4: Reason.CHANGED_WHILE_READING,
        5: Reason.NOT_FOUND,
    }
    assert len(read) == 20


def test_a_study_whose_files_are_gone_says_why_in_a_sentence(history: History, reader: Reader, tmp_path: Path) -> None:
    folder = phantom.chest("lost").written_to(tmp_path / "in")
    study = received(history, reader, folder)
    for file in folder.iterdir():
        file.unlink()

    with pytest.raises(ViewingError, match="there is no such file or folder"):
        StudyReader(lambda: reader).open(history, study.study_instance_uid)


def test_the_scored_series_comes_first_with_the_slices_that_were_used(
    history: History, reader: Reader, viewer: StudyReader, tmp_path: Path
) -> None:
    # given: two series, the second of them scored, and a localizer
    chest = phantom.chest().with_localizer()
    same = {"StudyInstanceUID": chest.study_instance_uid, "PatientID": "PHANTOM-chest", "PatientName": "Phantom^Chest"}
    short = phantom.chest("short").with_slices(12).with_tags(**same, SeriesNumber=1)
    chest.written_to(tmp_path / "in" / "a")
    short.written_to(tmp_path / "in" / "b")
    study = received(history, reader, tmp_path / "in")
    choice = choose_series(study)
    assert choice.series is not None
    scored, used = choice.series, tuple(range(5, 15))
    score(history, study, choice, used)

    viewed = viewer.open(history, study.study_instance_uid)
    first = viewer.first_look(history, study.study_instance_uid)

    assert viewed.series[0].series_instance_uid == scored.series_instance_uid
    assert (viewed.series[0].used, viewed.series[0].scored) == (used, True)
    assert first is not None
    assert first.slice_index == used[len(used) // 2]
    assert first.instance.identity == viewed.series[0].instances[first.slice_index].identity
    assert not any(one.scored for one in viewed.series[1:])
    assert any(one.geometry is None and len(one.instances) == 1 for one in viewed.series[1:])  # the localizer


def test_a_study_that_was_not_scored_has_no_first_look(
    history: History, reader: Reader, viewer: StudyReader, tmp_path: Path
) -> None:
    study = received(history, reader, phantom.chest().with_slices(4).written_to(tmp_path / "in"))

    assert viewer.first_look(history, study.study_instance_uid) is None


def test_headers_are_read_once_and_pixels_stop_when_nobody_wants_them(
    history: History, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = received(history, reader, phantom.chest("once").written_to(tmp_path / "in"))
    asked: list[str] = []
    examine_all = reader.examine_all
    monkeypatch.setattr(reader, "examine_all", lambda items: examine_all(_noted(items, asked)))
    mine = StudyReader(lambda: reader)

    series = mine.open(history, study.study_instance_uid).series[0]
    mine.open(history, study.study_instance_uid)
    wanted = iter([False, False, True])
    read = list(mine.slices(series, range(20), lambda: next(wanted, True)))

    assert len(asked) == 20
    assert len(read) == 2


def _noted(items: object, asked: list[str]) -> Iterator[object]:
    for item in items:  # type: ignore[attr-defined]
        asked.append(item[2])
        yield item


def test_a_real_study_of_localizers_can_be_looked_at(
    shared: Path, history: History, reader: Reader, viewer: StudyReader
) -> None:
    study = received(history, reader, shared / "data" / "dicom" / "localizer_siemens")

    viewed = viewer.open(history, study.study_instance_uid)

    [(_, pixels)] = viewer.slices(viewed.series[0], (0,))
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (viewed.series[0].rows, viewed.series[0].columns)
