from __future__ import annotations

import hashlib

import pydicom
import pytest

from aicorona_desktop.app.demo import STUDIES, DemoError, write_demo


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, write_demo(folder)


def test_the_demo_holds_one_study_a_folder_all_of_them_readable(demo):
    _, folders = demo

    studies = set()
    for folder, study in zip(folders, STUDIES, strict=True):
        datasets = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
        assert len(datasets) == study.picture.slices + study.localizer
        assert len({dataset.SOPInstanceUID for dataset in datasets}) == len(datasets)
        studies |= {dataset.StudyInstanceUID for dataset in datasets}
        assert datasets[0].pixel_array.shape == (256, 256)
    assert len(studies) == len(STUDIES)


def test_everything_in_it_says_that_it_is_synthetic(demo):
    _, folders = demo

    for number, folder in enumerate(folders, 1):
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            assert dataset.InstitutionName == "Synthetic phantom"
            assert str(dataset.PatientName).startswith("Demo^")
            assert dataset.PatientID == f"DEMO-{number}"
            assert dataset.StudyInstanceUID.startswith("2.25.")


def test_it_shows_each_way_a_study_can_go(demo):
    _, folders = demo

    sizes = [len(list(folder.glob("CT*.dcm"))) for folder in folders]
    parts = [pydicom.dcmread(folder / "CT0001.dcm", stop_before_pixels=True).BodyPartExamined for folder in folders]

    assert min(sizes) == 12
    assert sorted(sizes)[1] >= 32
    assert parts == ["CHEST"] * 5 + ["HEAD"]
    assert (folders[0] / "LOC0001.dcm").exists()


def test_it_is_the_same_every_time(demo, tmp_path):
    folder, _ = demo

    write_demo(tmp_path)

    assert digests(tmp_path) == digests(folder)


def test_a_second_call_leaves_what_stands_there(demo):
    folder, folders = demo
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    again = write_demo(folder)

    assert again == folders
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_something_else_of_the_same_name_is_never_touched(tmp_path):
    own = tmp_path / STUDIES[0].folder
    own.mkdir()
    (own / "holiday.txt").write_text("mine")

    with pytest.raises(DemoError, match="already holds something else"):
        write_demo(tmp_path)

    assert [path.name for path in own.iterdir()] == ["holiday.txt"]


def test_a_failure_leaves_no_half_study_behind(tmp_path, monkeypatch):
    def full_disk(_number, _study, index):
        if index == 3:
            raise OSError(28, "No space left on device")
        return b"x"

    monkeypatch.setattr("aicorona_desktop.app.demo._slice", full_disk)

    with pytest.raises(DemoError, match="could not be written"):
        write_demo(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_said(tmp_path):
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(DemoError):
        write_demo(tmp_path / "file" / "demo")
