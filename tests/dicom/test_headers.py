from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from aicorona_desktop.core.findings import Outcome, Reason
from aicorona_desktop.core.headers import Header
from aicorona_desktop.dicom.client import Reader
from tests.dicom.ct_files import ct_data_set, ct_file, enhanced_file, examined, header_of, sha256, written


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


def reasons(header: Header) -> set[tuple[Reason, str]]:
    return {(finding.reason, finding.name) for finding in header.findings}


def test_a_header_says_what_the_file_says(reader: Reader) -> None:
    content = ct_file(
        PatientBirthDate="19600229",
        PatientSex="F",
        PatientAge="065Y",
        StudyTime="101530.250",
        SeriesTime="1016",
        AccessionNumber="A1",
        InstitutionName="Hospital",
        SeriesNumber=4,
        SeriesDescription="LUNG 1.0",
        ProtocolName="Thorax",
        BodyPartExamined="CHEST",
        PatientPosition="HFS",
        Manufacturer="ACME",
        ManufacturerModelName="One",
        ConvolutionKernel=["B70f", "3"],
        KVP=120,
        SliceThickness=1.25,
        SpacingBetweenSlices=1.0,
        ContrastBolusAgent="Iohexol",
        GantryDetectorTilt=-3.5,
        AcquisitionNumber=2,
        InstanceNumber=17,
        TemporalPositionIdentifier=3,
        FrameOfReferenceUID="1.2.3",
        RescaleIntercept=-1024,
        RescaleType="HU",
        PixelPaddingValue=-2000,
        LossyImageCompression="01",
        LossyImageCompressionRatio=[4.0, 7.5],
        WindowCenter=[-600, 40],
        WindowWidth=[1500, 400],
        BurnedInAnnotation="NO",
        DerivationDescription="made\r\nhere",
    )

    header = header_of(reader, content)

    assert header.patient_birth_date == "1960-02-29"
    assert (header.patient_sex, header.patient_age_years) == ("F", 65.0)
    assert (header.study_date, header.study_time, header.series_time) == ("2026-01-05", "10:15:30", "10:16:00")
    assert (header.accession_number, header.institution_name, header.series_number) == ("A1", "Hospital", 4)
    assert (header.body_part_examined, header.patient_position) == ("CHEST", "HFS")
    assert (header.manufacturer, header.model_name, header.convolution_kernel) == ("ACME", "One", "B70f\\3")
    assert (header.kvp, header.slice_thickness_mm, header.spacing_between_slices_mm) == (120.0, 1.25, 1.0)
    assert (header.contrast_agent, header.gantry_tilt_deg) == ("Iohexol", -3.5)
    assert (header.acquisition_number, header.instance_number, header.temporal_position) == (2, 17, 3)
    assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert (header.image_position_mm, header.pixel_spacing_mm) == ((-100.0, -100.0, 5.0), (0.7, 0.7))
    assert (header.row_cosines, header.column_cosines) == ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    assert (header.rescale_slope, header.rescale_intercept, header.rescale_type) == (1.0, -1024.0, "HU")
    assert (header.pixel_padding_value, header.pixel_padding_range_limit) == (-2000, None)
    assert (header.lossy, header.lossy_ratio) == (True, 7.5)
    assert (header.window_centre_hu, header.window_width_hu) == (-600.0, 1500.0)
    assert header.derivation_description == "made here"
    assert (header.frame, header.number_of_frames, header.sop_instance_uid) == (0, 1, "1.2.826.1")


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_header_does_not_depend_on_how_the_data_set_is_written(reader: Reader, syntax: str) -> None:
    values = {"SliceThickness": 2.5, "PatientAge": "031Y", "PixelPaddingValue": -2000, "FrameOfReferenceUID": "1.2.3"}
    explicit = header_of(reader, ct_file(**values))
    big = syntax == ExplicitVRBigEndian
    data_set = ct_data_set(**values)
    if big:
        data_set.add_new("PixelData", "OW", data_set.PixelData)

    other = header_of(reader, written(data_set, syntax))

    assert dataclasses.replace(other, transfer_syntax_uid=ExplicitVRLittleEndian) == explicit


def test_missing_texts_are_empty_and_missing_numbers_none(reader: Reader) -> None:
    header = header_of(reader, ct_file())

    assert (header.patient_sex, header.study_time, header.convolution_kernel, header.rescale_type) == ("", "", "", "")
    assert header.kvp is header.slice_thickness_mm is header.series_number is header.patient_age_years is None
    assert header.pixel_padding_value is header.window_centre_hu is header.lossy_ratio is None
    assert header.findings == ()


def test_who_the_patient_is_is_warned_about_when_it_is_missing(reader: Reader) -> None:
    header = header_of(reader, ct_file(PatientName="", PatientID=None, StudyDate=None))

    assert reasons(header) == {
        (Reason.NAME_MISSING, ""),
        (Reason.PATIENT_ID_MISSING, ""),
        (Reason.BAD_DATE, "StudyDate"),
    }
    assert {finding.outcome for finding in header.findings} == {Outcome.WARNED}


# --- character sets ---


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("chrArab.dcm", "قباني^لنزار"),
        ("chrH31.dcm", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("chrJapMulti.dcm", "やまだ^たろう"),
        ("chrKoreanMulti.dcm", "김희중"),
        ("chrRuss.dcm", "Люкceмбypг"),
        ("chrX2.dcm", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_of_the_standard_show_without_mojibake(reader: Reader, shared: Path, file: str, name: str) -> None:
    original = pydicom.dcmread(shared / "data" / "dicom" / "character_sets" / file)
    sets = original.SpecificCharacterSet
    sets = sets if isinstance(sets, str) else "\\".join(sets)
    content = ct_file(raw={0x00080005: ("CS", sets.encode()), 0x00100010: ("PN", original.PatientName.original_string)})

    header = header_of(reader, content)

    assert header.patient_name == name
    assert header.findings == ()


def test_an_equals_sign_inside_a_japanese_character_does_not_split_the_name(reader: Reader) -> None:
    # The second byte group of this name is 3D 55 in JIS X 0208, and 3D is "=".
    name = b"Haru=\x1b$B=U\x1b(B"
    content = ct_file(raw={0x00080005: ("CS", b"\\ISO 2022 IR 87"), 0x00100010: ("PN", name)})

    assert header_of(reader, content).patient_name == "Haru=春"


@pytest.mark.parametrize(
    "name", [b"ISO_IR 999", b"rot13", b"hex", b"\\".join([b"ISO 2022 IR 87"] * 10), b"unicode_escape"]
)
def test_a_character_set_that_the_standard_does_not_know_is_no_codec(reader: Reader, name: bytes) -> None:
    content = ct_file(raw={0x00080005: ("CS", name), 0x00100010: ("PN", b"Uryyb^\\x41\\u0042")})

    header = header_of(reader, content)

    assert header.patient_name == "Uryyb^\\x41\\u0042"
    assert (Reason.CHARACTER_SET, "") in reasons(header)


def test_a_misspelt_character_set_is_understood_and_warned_about(reader: Reader) -> None:
    content = ct_file(raw={0x00080005: ("CS", b"ISO-IR 100"), 0x00100010: ("PN", "Müller^J".encode("latin-1"))})

    header = header_of(reader, content)

    assert header.patient_name == "Müller^J"
    assert reasons(header) == {(Reason.CHARACTER_SET, "")}


def test_a_set_that_stands_alone_is_not_mixed_with_others(reader: Reader) -> None:
    sets = b"ISO_IR 192\\ISO 2022 IR 87"
    content = ct_file(raw={0x00080005: ("CS", sets), 0x00100010: ("PN", "Grün^J".encode())})

    header = header_of(reader, content)

    assert header.patient_name == "Grün^J"
    assert reasons(header) == {(Reason.CHARACTER_SET, "")}


def test_utf_8_without_a_declared_set_is_shown_and_marked(reader: Reader) -> None:
    header = header_of(reader, ct_file(raw={0x00100010: ("PN", "Grün^J".encode())}))

    assert header.patient_name == "Grün^J"
    assert reasons(header) == {(Reason.CHARACTER_SET, "")}


def test_bytes_that_do_not_decode_are_replaced_and_marked(reader: Reader) -> None:
    content = ct_file(raw={0x00080005: ("CS", b"ISO_IR 192"), 0x00100010: ("PN", b"Ph\xff\xfe^X")})

    header = header_of(reader, content)

    assert header.patient_name == "Ph��^X"
    assert reasons(header) == {(Reason.CHARACTER_DECODE, "PatientName")}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("A^B\r\nforged line", "A^B forged line"),
        ("A^\u202egnp.exe", "A^�gnp.exe"),
        ("A^\x1b[31mred", "A^�[31mred"),
        ("A\x00B^C", "A�B^C"),
    ],
)
def test_control_and_direction_characters_never_reach_the_screen(reader: Reader, name: str, shown: str) -> None:
    content = ct_file(raw={0x00080005: ("CS", b"ISO_IR 192"), 0x00100010: ("PN", name.encode())})

    header = header_of(reader, content)

    assert header.patient_name == shown
    assert (Reason.CONTROL_CHARACTERS, "PatientName") in reasons(header)


def test_markup_in_a_name_is_kept_as_text(reader: Reader) -> None:
    header = header_of(reader, ct_file(PatientName="<b>A</b>^=cmd"))

    assert header.patient_name == "<b>A</b>^=cmd"
    assert header.findings == ()


def test_texts_over_their_length_are_cut_and_marked(reader: Reader) -> None:
    content = ct_file(raw={0x00100010: ("PN", b"A" * 60000), 0x0008103E: ("LO", b"B" * 66)})

    header = header_of(reader, content)

    assert (len(header.patient_name), len(header.series_description)) == (64, 64)
    assert reasons(header) == {(Reason.TEXT_TOO_LONG, "PatientName"), (Reason.TEXT_TOO_LONG, "SeriesDescription")}


# --- dates, ages, odd values ---


@pytest.mark.parametrize(
    ("age", "born", "years"),
    [
        ("055Y", "19701001", 55.0),
        ("006M", None, 0.5),
        ("010D", None, 10 / 365.25),
        (None, "19860105", pytest.approx(40.0, abs=0.01)),
        ("055Y", "19900101", None),
        (None, "20270101", None),
    ],
)
def test_the_age_is_stated_or_counted_and_unknown_when_the_two_differ(
    reader: Reader, age: str | None, born: str | None, years: float | None
) -> None:
    header = header_of(reader, ct_file(PatientAge=age, PatientBirthDate=born))

    assert header.patient_age_years == years


def test_nonsense_dates_are_empty_and_marked(reader: Reader) -> None:
    header = header_of(reader, ct_file(raw={0x00080020: ("DA", b"20261399"), 0x00100030: ("DA", b"not-a-date")}))

    assert (header.study_date, header.patient_birth_date) == ("", "")
    assert reasons(header) == {(Reason.BAD_DATE, "StudyDate"), (Reason.BAD_DATE, "PatientBirthDate")}


@pytest.mark.parametrize(
    ("tag", "element", "keyword", "field"),
    [
        (0x00180050, ("DS", b"five"), "SliceThickness", "slice_thickness_mm"),
        (0x00180060, ("DS", b"NaN "), "KVP", "kvp"),
        (0x00180088, ("DS", b"1e999"), "SpacingBetweenSlices", "spacing_between_slices_mm"),
        (0x00200011, ("IS", b"1.5"), "SeriesNumber", "series_number"),
        (0x00200013, ("IS", b"99999999999"), "InstanceNumber", "instance_number"),
        (0x00200013, ("OB", b"\1\2\3\4"), "InstanceNumber", "instance_number"),
        (0x00281050, ("DS", b"\xff\xfe"), "WindowCenter", "window_centre_hu"),
    ],
)
def test_values_that_break_their_representation_are_left_out_and_marked(
    reader: Reader, tag: int, element: tuple[str, bytes], keyword: str, field: str
) -> None:
    header = header_of(reader, ct_file(raw={tag: element}))

    assert getattr(header, field) is None
    assert reasons(header) == {(Reason.VALUE_ODD, keyword)}


def test_a_text_with_the_representation_of_a_number_is_left_out(reader: Reader) -> None:
    header = header_of(reader, ct_file(raw={0x0008103E: ("US", b"\1\0")}))

    assert header.series_description == ""
    assert reasons(header) == {(Reason.VALUE_ODD, "SeriesDescription")}


# --- enhanced multi-frame ---


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_an_enhanced_object_gives_one_header_a_frame(reader: Reader, syntax: str) -> None:
    stored = np.zeros((3, 32, 32), np.int16)

    answer = examined(reader, enhanced_file(stored, (1, 2, 3), syntax))

    assert [header.frame for header in answer.headers] == [0, 1, 2]
    assert {header.number_of_frames for header in answer.headers} == {3}
    assert [header.image_position_mm for header in answer.headers] == [(0, 0, 0), (0, 0, 2.5), (0, 0, 5)]
    assert [header.rescale_slope for header in answer.headers] == [1, 2, 3]
    assert [header.temporal_position for header in answer.headers] == [1, 2, 3]
    first = answer.headers[0]
    assert (first.pixel_spacing_mm, first.slice_thickness_mm, first.kvp) == ((0.8, 0.8), 2.5, 110)
    assert (first.convolution_kernel, first.acquisition_number, first.image_type[2]) == ("B70f", 7, "VOLUME")


def test_an_enhanced_object_without_positions_is_unsuitable_but_names_its_study(reader: Reader) -> None:
    stored = np.zeros((2, 32, 32), np.int16)

    answer = examined(reader, enhanced_file(stored, (1, 1), PlanePositionSequence=None))

    assert answer.finding is not None
    assert (answer.finding.outcome, answer.finding.reason) == (Outcome.UNSUITABLE, Reason.ENHANCED_UNUSABLE)
    assert (answer.study_instance_uid, answer.series_instance_uid) == ("1.2.826.2", "1.2.826.3")
    assert answer.patient_id == "P-1"


def test_a_real_enhanced_object_is_read(reader: Reader, shared: Path) -> None:
    content = (shared / "data/dicom/enhanced_multiframe_ct/eCT_Supplemental.dcm").read_bytes()

    answer = examined(reader, content)

    assert [header.image_position_mm for header in answer.headers] == [(99.5, -301.5, -159.0), (99.5, -301.5, -149.0)]
    assert {header.body_part_examined for header in answer.headers} == {"Brain"}
    assert answer.headers[0].contrast_agent == "Iohexol"
    assert answer.headers[0].pixel_spacing_mm == (0.388672, 0.388672)


# --- every file beside the checkout ---


def test_every_real_file_has_headers_or_a_reason(reader: Reader, shared: Path) -> None:
    paths = [path for part in ("dicom", "dicom_bad") for path in (shared / "data" / part).rglob("*") if path.is_file()]
    items = [(path, content := path.read_bytes(), sha256(content)) for path in paths]

    answers = list(reader.examine_all(items))

    assert [path for path, _ in answers] == paths
    assert all((answer.finding is None) == bool(answer.headers) for _, answer in answers)
    assert sum(bool(answer.headers) for _, answer in answers) > 150
    assert reader.restarts == 0
