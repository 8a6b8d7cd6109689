"""What we write must be what every DICOM program reads."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import validate_file_meta

from aicorona_desktop.dicom.writing import ELEMENTS, ct_slice, part_10, uid_of
from tests import phantom

UIDS = {"StudyInstanceUID": uid_of(1), "SeriesInstanceUID": uid_of(2), "SOPInstanceUID": uid_of(3)}


def read(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def test_pixels_and_geometry_come_back_as_they_went_in():
    chest = phantom.chest()

    dataset = read(chest.file(7))

    hounsfield = dataset.pixel_array.astype(int) * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)
    assert np.array_equal(hounsfield, chest.hounsfield(7))
    assert tuple(dataset.ImagePositionPatient) == pytest.approx(chest.thorax.positions_mm[7])
    assert list(dataset.PixelSpacing) == pytest.approx([350 / 128] * 2)
    assert list(dataset.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]


def test_the_file_meta_is_valid_and_its_group_length_right():
    data = phantom.chest().file(0)

    dataset = read(data)
    validate_file_meta(dataset.file_meta, enforce_standard=True)
    start = 128 + 4 + 12

    assert data[128:132] == b"DICM"
    assert data[start + dataset.file_meta.FileMetaInformationGroupLength :][:4] == b"\x08\x00\x05\x00"
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


def test_every_element_that_can_be_written_is_known_to_the_standard_under_this_tag():
    for keyword, (tag, vr) in ELEMENTS.items():
        assert pydicom.datadict.tag_for_keyword(keyword) == tag, keyword
        assert vr in pydicom.datadict.dictionary_VR(tag).split(" or "), keyword


def test_tags_stand_in_ascending_order_and_values_have_even_length():
    dataset = read(phantom.chest().with_tags(PatientName="A", StudyID="123").file(0))

    tags = [int(element.tag) for element in dataset]

    assert tags == sorted(tags)
    assert dataset.PatientName == "A"
    assert dataset.StudyID == "123"


@given(st.text("abcäßЖ漢 ^-", max_size=30).map(str.strip))
def test_text_in_any_script_comes_back(name):
    dataset = read(part_10({**UIDS, "SpecificCharacterSet": "ISO_IR 192", "StudyDescription": name}))

    assert dataset.StudyDescription == name


@given(st.floats(-1e12, 1e12, allow_nan=False))
def test_decimal_strings_are_at_most_16_characters_and_as_near_as_that_allows(number):
    dataset = pydicom.dcmread(io.BytesIO(part_10({**UIDS, "SliceThickness": number})))

    text = dataset["SliceThickness"].value.original_string if number else "0"
    assert len(text) <= 16
    assert float(dataset.SliceThickness) == pytest.approx(number, rel=1e-8)


def test_an_element_set_to_none_is_left_out():
    dataset = read(phantom.chest().with_tags(RescaleSlope=None, PatientName=None).file(0))

    assert "RescaleSlope" not in dataset
    assert "PatientName" not in dataset


@pytest.mark.parametrize("values", [{"Nonsense": 1}, {"Rows": -1}, {"Rows": "many"}, {"PatientName": "x" * 70_000}])
def test_what_cannot_be_written_is_said(values):
    with pytest.raises(ValueError, match=r"no such element|is no value|too long"):
        part_10({**UIDS, **values})


def test_values_below_what_can_be_stored_are_said():
    with pytest.raises(ValueError, match="-1024"):
        ct_slice(np.full((32, 32), -1025, np.int16), (0, 0, 0), 1.0, UIDS)


def test_uids_are_the_same_for_the_same_words_and_valid():
    assert uid_of("a", 1) == uid_of("a", 1) != uid_of("a", 2)
    assert pydicom.uid.UID(uid_of("a")).is_valid
    assert uid_of("a").startswith("2.25.")


def test_the_builder_leaves_out_adds_and_changes_what_it_is_told(tmp_path):
    chest = phantom.chest("other").with_slices(6).without_slice(2, 4).with_localizer().with_slice_tags(3, KVP=80)

    folder = chest.written_to(tmp_path / "study")

    datasets = {path.name: pydicom.dcmread(path) for path in folder.iterdir()}
    assert sorted(datasets) == ["IM0000.dcm", "IM0001.dcm", "IM0003.dcm", "IM0005.dcm", "LOC0000.dcm"]
    assert [datasets[f"IM000{i}.dcm"].KVP for i in (1, 3)] == [120, 80]
    assert datasets["LOC0000.dcm"].ImageType[2] == "LOCALIZER"
    assert len({dataset.SeriesInstanceUID for dataset in datasets.values()}) == 2
    assert len({dataset.StudyInstanceUID for dataset in datasets.values()}) == 1
    assert len({dataset.SOPInstanceUID for dataset in datasets.values()}) == 5
