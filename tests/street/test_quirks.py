"""Whole studies as scanners and archives deliver them end as a reasonable expert would say."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from aicorona_desktop.dicom.writing import Value
from tests import phantom
from tests.street.conftest import Street

Files = dict[str, bytes]


def rewritten(files: Files, change: Callable[[Dataset, int], None]) -> Files:
    changed = {}
    for index, (name, content) in enumerate(files.items()):
        data_set = dcmread(io.BytesIO(content))
        change(data_set, index)
        changed[name] = _bytes_of(data_set)
    return changed


def _bytes_of(data_set: Dataset) -> bytes:
    stream = io.BytesIO()
    data_set.save_as(stream)
    return stream.getvalue()


def written(files: Files, folder: Path) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def _group(**elements: object) -> Sequence:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return Sequence([item])


def enhanced(chest: phantom.Chest, kind: int) -> Files:
    """The chest as one enhanced (1) or legacy converted enhanced (2) multi-frame object."""
    slices = [dcmread(io.BytesIO(content)) for content in chest.files().values()]
    whole = dcmread(io.BytesIO(chest.file(0)))
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = _group(PixelSpacing=whole.PixelSpacing, SliceThickness=whole.SliceThickness)
    shared.PlaneOrientationSequence = _group(ImageOrientationPatient=whole.ImageOrientationPatient)
    shared.PixelValueTransformationSequence = _group(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU")
    for one in slices:
        frame = Dataset()
        frame.PlanePositionSequence = _group(ImagePositionPatient=one.ImagePositionPatient)
        frame.CTImageFrameTypeSequence = _group(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
        frames.append(frame)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(whole, keyword)
    for keyword in ("RescaleIntercept", "RescaleSlope", "RescaleType"):
        delattr(whole, keyword)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = f"1.2.840.10008.5.1.4.1.1.2.{kind}"
    whole.NumberOfFrames = len(slices)
    whole.SharedFunctionalGroupsSequence = Sequence([shared])
    whole.PerFrameFunctionalGroupsSequence = Sequence(frames)
    whole.PixelData = np.stack([one.pixel_array for one in slices]).tobytes()
    return {"enhanced": _bytes_of(whole)}


@pytest.mark.parametrize("kind", [1, 2])
def test_a_multi_frame_chest_scores_as_its_single_slices_do(
    kind: int, run: Callable[..., Street], tmp_path: Path
) -> None:
    chest = phantom.chest()

    single = run(written(chest.files(), tmp_path / "single")).study
    multi = run(written(enhanced(chest, kind), tmp_path / "multi")).study

    assert (multi["state"], multi["slices_total"]) == ("done", 20)
    assert multi["logits"] == single["logits"]


def test_a_dose_report_within_the_series_is_no_lost_slice(run: Callable[..., Street], tmp_path: Path) -> None:
    def as_screen(data_set: Dataset, _: int) -> None:
        data_set.ImageType = ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]
        data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = "1.2.826.1"
        del data_set.ImagePositionPatient, data_set.ImageOrientationPatient

    chest = phantom.chest()
    screen = rewritten({"screen": chest.file(0)}, as_screen)

    study = run(written({**chest.files(), **screen}, tmp_path / "in")).study

    assert (study["state"], study["codes"]) == ("done", [])
    assert sorted(outcome["outcome"] for outcome in study["files"].values()).count("ignored") == 1


@pytest.mark.parametrize(
    ("tags", "codes"),
    [
        ({"Modality": "ct"}, []),
        ({"PatientAge": "54Y", "PatientBirthDate": ""}, []),
        ({"PatientAge": "000Y", "PatientBirthDate": ""}, ["AGE_UNKNOWN"]),
        ({"BodyPartExamined": "ABDOMEN PELVIS CHEST", "StudyDescription": ""}, []),
        ({"ImageType": ("ORIGINAL", "SECONDARY", "AXIAL")}, ["DERIVED_SECONDARY"]),
    ],
)
def test_a_chest_with_an_odd_header_is_scored(
    tags: dict[str, Value], codes: list[str], run: Callable[..., Street], tmp_path: Path
) -> None:
    study = run(phantom.chest().with_tags(**tags).written_to(tmp_path / "in")).study

    assert (study["state"], study["codes"]) == ("done", codes)
