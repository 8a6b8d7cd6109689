"""What real scanners, archives and de-identified collections write, and what must not be held against it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.gate import PixelCheck
from aicorona_desktop.dicom.protocol import PADDING_HU, SliceRead
from aicorona_desktop.dicom.volume import to_standard_orientation
from aicorona_desktop.imaging.phantom import Thorax
from tests.dicom.ct_files import compressed, ct_data_set, ct_file, examined, header_of, sha256, with_element, written
from tests.dicom.phantom_series import chest

THORAX = Thorax(slices=20, matrix=128, slice_spacing_mm=10.0)
STORED = (THORAX.slice(10).astype(np.int32) + 1024).clip(0, 4095).astype(np.uint16)  # 12 bits, as most scanners
CORNERS = np.hypot(*np.ogrid[-63.5:64.5, -63.5:64.5]) > 62


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


def hounsfield_of(reader: Reader, content: bytes) -> NDArray[np.int16]:
    ((_, _, answer),) = reader.read_slices([(None, content, sha256(content), (0,))])
    assert isinstance(answer, SliceRead), str(answer)
    return answer.hounsfield


# --- objects -----------------------------------------------------------------------------------------------------


def test_modality_in_lower_case_is_ct(reader: Reader) -> None:
    assert header_of(reader, with_element(ct_file(), 0x00080060, "CS", b"ct")).modality == "CT"


@pytest.mark.parametrize(
    "image_type", [r"DERIVED\SECONDARY\OTHER\CT_SOM5 PROT", r"ORIGINAL\SECONDARY", r"DERIVED\SECONDARY"]
)
def test_a_dose_report_under_the_class_of_ct_slices_is_set_aside_rather_than_refused(
    reader: Reader, image_type: str
) -> None:
    screen = ct_file(ImageType=image_type.split("\\"), ImagePositionPatient=None, ImageOrientationPatient=None)

    assert examined(reader, screen).finding == Finding(Outcome.IGNORED, Reason.SECONDARY_CAPTURE)


def test_a_slice_that_lost_its_place_is_still_refused(reader: Reader) -> None:
    finding = examined(reader, ct_file(ImagePositionPatient=None)).finding

    assert finding is not None
    assert (finding.outcome, finding.reason) == (Outcome.REFUSED, Reason.VALUE_MISSING)


@pytest.mark.parametrize("word", ["LOCALIZER", "SCOUT", "CT_SOM5 TOPOGRAM"])
def test_a_localizer_needs_no_place_whatever_it_is_called(reader: Reader, word: str) -> None:
    scout = ct_file(ImageType=["ORIGINAL", "PRIMARY", word], ImagePositionPatient=None, ImageOrientationPatient=None)

    assert examined(reader, scout).finding is None


def test_original_secondary_slices_are_scored_with_a_warning() -> None:
    outcomes = chest(image_type=("ORIGINAL", "SECONDARY", "AXIAL")).outcomes()

    assert outcomes == {Reason.DERIVED_SECONDARY: Outcome.WARNED}


# --- texts and numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "years"), [(b"54Y", 54.0), (b"054y", 54.0), (b"54 Y", 54.0), (b"6M", 0.5), (b"000Y", None), (b"000D", None)]
)
def test_an_age_is_read_as_people_write_it_and_none_at_all_is_unknown(
    reader: Reader, age: bytes, years: float | None
) -> None:
    header = header_of(reader, with_element(ct_file(), 0x00101010, "AS", age))

    assert header.patient_age_years == years
    assert Reason.VALUE_ODD not in {finding.reason for finding in header.findings}


def test_a_long_body_part_is_read_to_its_end(reader: Reader) -> None:
    header = header_of(reader, with_element(ct_file(), 0x00180015, "CS", b"ABDOMEN PELVIS CHEST"))

    assert header.body_part_examined == "ABDOMEN PELVIS CHEST"


# --- private sequences -------------------------------------------------------------------------------------------

EXPLICIT_ITEM = struct.pack("<HH2sH", 0x0008, 0x1155, b"UI", 6) + b"1.2.3\0"
IMPLICIT_ITEM = struct.pack("<HHI", 0x0008, 0x1155, 6) + b"1.2.3\0"


def with_sequence(tag: int, vr: bytes, inside: bytes) -> bytes:
    """A file with a sequence of undefined length, of one item, under a tag of group 0028 or 0029."""
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inside)) + inside + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    content = ct_file()
    at = content.index(b"\xe0\x7f\x10\x00OW")
    return content[:at] + struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, 0xFFFFFFFF) + item + content[at:]


@pytest.mark.parametrize("vr", [b"SQ", b"UN"])
@pytest.mark.parametrize("inside", [EXPLICIT_ITEM, IMPLICIT_ITEM])
def test_a_private_sequence_may_be_written_in_either_way(reader: Reader, vr: bytes, inside: bytes) -> None:
    assert examined(reader, with_sequence(0x00291010, vr, inside)).finding is None


@pytest.mark.parametrize(("vr", "inside"), [(b"SQ", IMPLICIT_ITEM), (b"UN", EXPLICIT_ITEM)])
def test_a_public_sequence_may_not(reader: Reader, vr: bytes, inside: bytes) -> None:
    finding = examined(reader, with_sequence(0x00283010, vr, inside)).finding

    assert finding is not None
    assert finding.outcome is Outcome.REFUSED


# --- codestreams -------------------------------------------------------------------------------------------------


def jpeg_lossless(stored: NDArray[np.uint16], precision: int = 16, end: bytes = b"\xff\xd9") -> bytes:
    """Encode by the first predictor, every difference with a code of five bits for its length (T.81 annex H)."""
    rows, columns = stored.shape
    wide = stored.astype(np.int64)
    predicted = np.empty_like(wide)
    predicted[:, 1:] = wide[:, :-1]
    predicted[1:, 0], predicted[0, 0] = wide[:-1, 0], 1 << (precision - 1)
    bits = "".join(map(_difference, (wide - predicted).ravel().tolist()))
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame = struct.pack(">BHHB", precision, rows, columns, 1) + b"\1\x11\0"
    tables = b"\0" + bytes([0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17))
    segments = ((b"\xc3", frame), (b"\xc4", tables), (b"\xda", b"\1\1\0\1\0\0"))
    head = b"".join(b"\xff" + marker + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return b"\xff\xd8" + head + data + end


def _difference(value: int) -> str:
    size = abs(value).bit_length()
    below = (1 << size) - 1 if value < 0 else 0
    return f"{size:05b}" + (f"{value + below:0{size}b}" if size else "")


def holding(stream: bytes, **elements: object) -> bytes:
    """A file of 128 x 128 pixels with a codestream of JPEG lossless."""
    data_set = ct_data_set(STORED, RescaleIntercept=-1024, **elements)
    content = written(data_set)
    data_set = dcmread(io.BytesIO(content))
    data_set.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    data_set.PixelData = encapsulate([stream])
    data_set["PixelData"].VR = "OB"
    data_set["PixelData"].is_undefined_length = True
    stream_of_file = io.BytesIO()
    data_set.save_as(stream_of_file)
    return stream_of_file.getvalue()


@pytest.mark.parametrize("end", [b"\xff\xd9", b"\xff\xff\xd9", b"\xff\xff\xff\xd9", b"\xff\xd9" + b"\0" * 7])
def test_fill_bytes_before_and_padding_behind_the_end_of_a_jpeg_change_nothing(reader: Reader, end: bytes) -> None:
    hounsfield = hounsfield_of(reader, holding(jpeg_lossless(STORED, end=end)))

    assert np.array_equal(hounsfield, STORED.astype(np.int16) - 1024)


@pytest.mark.parametrize(
    "end", [b"", b"\xff", b"\xff\xff", b"\xff\xff\x00\xff\xd9", b"\xff\xd9" + b"\0" * 17, b"\xff\xd9ab"]
)
def test_a_jpeg_without_a_clean_end_is_refused(reader: Reader, end: bytes) -> None:
    finding = examined(reader, holding(jpeg_lossless(STORED, end=end))).finding

    assert finding is not None
    assert finding.reason is Reason.JPEG_DAMAGED


@pytest.mark.parametrize("precision", [12, 14, 16])
def test_a_jpeg_may_have_fewer_bits_than_the_header_states(reader: Reader, precision: int) -> None:
    hounsfield = hounsfield_of(reader, holding(jpeg_lossless(STORED, precision)))

    assert np.array_equal(hounsfield, STORED.astype(np.int16) - 1024)


def test_a_jpeg_with_fewer_bits_than_signed_values_need_is_refused(reader: Reader) -> None:
    finding = examined(reader, holding(jpeg_lossless(STORED, 12), PixelRepresentation=1)).finding

    assert finding is not None
    assert finding.reason is Reason.JPEG_DAMAGED


@pytest.mark.parametrize("signed", [False, True])
def test_a_jpeg_2000_stream_may_have_fewer_bits_than_the_header_states(reader: Reader, signed: bool) -> None:
    stored = STORED.astype(np.int16) - 1024 if signed else STORED
    data_set = compressed(stored, JPEG2000Lossless, BitsStored=14, RescaleIntercept=0 if signed else -1024)
    data_set.BitsStored, data_set.HighBit = 16, 15

    hounsfield = hounsfield_of(reader, written(data_set, JPEG2000Lossless))

    assert np.array_equal(hounsfield, STORED.astype(np.int16) - 1024)


# --- padding -----------------------------------------------------------------------------------------------------


def test_padding_that_needs_more_bits_than_are_stored_is_padding(reader: Reader) -> None:
    stored = np.where(CORNERS, np.uint16(63536), STORED)
    content = ct_file(stored, BitsStored=12, RescaleIntercept=-1024, raw={0x00280120: ("US", b"\x30\xf8")})

    hounsfield = hounsfield_of(reader, content)

    assert np.array_equal(hounsfield == PADDING_HU, CORNERS)
    assert np.array_equal(hounsfield[~CORNERS], STORED[~CORNERS].astype(np.int16) - 1024)


def test_bits_above_the_stored_ones_are_no_value(reader: Reader) -> None:
    content = ct_file(STORED | np.uint16(0x9000), BitsStored=12, RescaleIntercept=-1024)

    assert np.array_equal(hounsfield_of(reader, content), STORED.astype(np.int16) - 1024)


def test_padding_that_is_declared_as_air_is_air(reader: Reader) -> None:
    stored = np.where(CORNERS, np.uint16(0), STORED)
    content = ct_file(stored, RescaleIntercept=-1024, raw={0x00280120: ("US", b"\0\0")})

    assert (hounsfield_of(reader, content)[CORNERS] == -1024).all()


# --- values, judged over a series --------------------------------------------------------------------------------


def found(volume: NDArray[np.int16], pixel_mm: float = 350 / 128) -> set[Reason]:
    _, rows, columns = volume.shape
    tags = {"rows": rows, "columns": columns, "pixel_spacing_mm": (pixel_mm, pixel_mm)}
    series = chest(slices=len(volume), spacing_mm=10.0, **tags).series()
    check = PixelCheck(series)
    for index, one in enumerate(volume):
        check.add(index, to_standard_orientation(one, series.instances[index].header))
    return {finding.reason for finding in check.findings()}


def thorax() -> NDArray[np.int16]:
    return np.stack([THORAX.slice(index) for index in range(THORAX.slices)])


def test_a_wide_field_holds_more_air_and_no_less_body() -> None:
    volume = np.full((THORAX.slices, 256, 256), -1000, np.int16)  # 700 mm, as beside a positron scan
    volume[:, 64:192, 64:192] = thorax()

    assert found(volume) == set()


def test_a_wide_field_without_a_body_is_none() -> None:
    volume = np.full((THORAX.slices, 256, 256), -1000, np.int16)
    volume[:, 110:140, 110:140] = 40

    assert Reason.NO_BODY in found(volume)


def test_a_blanket_that_fills_a_small_field_outside_the_body_is_no_lung() -> None:
    volume = np.full((THORAX.slices, 128, 128), 40, np.int16)
    volume[:, :, 40:80], volume[:, :40, :] = -100, -870  # gut and fat below, a cushion from edge to edge above

    assert Reason.NO_LUNGS in found(volume)


def test_noise_of_air_below_the_range_is_no_damage_where_a_scanner_does_not_clip() -> None:
    noise = np.random.default_rng(1).normal(0, 80, thorax().shape)

    assert found((thorax() + noise).astype(np.int16)) == set()


def test_undeclared_padding_is_seen_beside_noise_below_it() -> None:
    volume = np.where(CORNERS, np.int16(-2048), thorax())
    volume[:, 60:62, 60:62] = -1500

    assert found(volume) == {Reason.PADDING_UNDECLARED}


def test_values_below_the_range_in_patches_stay_a_reason_not_to_score() -> None:
    volume = thorax()
    volume[:, 40:60, 40:60] = np.int16(-3000)

    assert Reason.OUT_OF_RANGE_HU in found(volume)


# --- geometry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("decimals", "spacing_mm"), [(1, 0.625), (2, 0.625), (1, 0.75), (0, 5.0)])
def test_positions_that_are_written_with_few_decimals_are_even(decimals: int, spacing_mm: float) -> None:
    series = chest(slices=400 if spacing_mm < 1 else 60, slice_thickness_mm=spacing_mm).at(
        lambda index: round(-100 + spacing_mm * index, decimals)
    )

    assert series.outcomes() == {}
