from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import PADDING_HU, SliceRead
from tests.dicom.ct_files import compressed, ct_data_set, ct_file, enhanced_file, sha256, written

SYNTAXES = "data/dicom/transfer_syntaxes"
ORIGINAL = "ct_implicit_original.dcm"
LOSSLESS = (
    "ct_DeflatedExplicitVRLittleEndian_1.2.840.10008.1.2.1.99.dcm",
    "ct_HTJ2K_lossless_1.2.840.10008.1.2.4.201.dcm",
    "ct_JPEG2000LosslessOnly_1.2.840.10008.1.2.4.90.dcm",
    "ct_JPEGLSLossless_1.2.840.10008.1.2.4.80.dcm",
    "ct_JPEGProcess14SV1_1.2.840.10008.1.2.4.70.dcm",
    "ct_JPEGProcess14_1.2.840.10008.1.2.4.57.dcm",
    "ct_RLELossless_1.2.840.10008.1.2.5.dcm",
)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


def answers_of(reader: Reader, content: bytes, *frames: int) -> list[SliceRead | Finding]:
    return [answer for _, _, answer in reader.read_slices([(None, content, sha256(content), frames or (0,))])]


def slice_of(reader: Reader, content: bytes, frame: int = 0) -> SliceRead:
    (answer,) = answers_of(reader, content, frame)
    assert isinstance(answer, SliceRead), str(answer)
    return answer


def hounsfield_of(reader: Reader, content: bytes) -> NDArray[np.int16]:
    return slice_of(reader, content).hounsfield


def stored_as(dtype: type, *values: int) -> NDArray[np.int16]:
    """A 32 x 32 slice that repeats these stored values; bits are kept as they are."""
    return np.resize(np.array(values, np.int64).astype(np.uint16).view(dtype), (32, 32))


def first(hounsfield: NDArray[np.int16], count: int) -> list[int]:
    return [int(value) for value in hounsfield[0, :count]]


# --- one slice in many encodings ---


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_lossless_encoding_gives_the_same_pixels(reader: Reader, shared: Path, name: str) -> None:
    original = hounsfield_of(reader, (shared / SYNTAXES / ORIGINAL).read_bytes())

    read = slice_of(reader, (shared / SYNTAXES / name).read_bytes())

    assert read.hounsfield.dtype == np.int16
    assert np.array_equal(read.hounsfield, original)
    assert read.findings == ()


def test_the_pixels_are_those_that_the_file_holds(reader: Reader, shared: Path) -> None:
    data_set = pydicom.dcmread(shared / SYNTAXES / ORIGINAL)
    stored = np.frombuffer(data_set.PixelData, "<i2").reshape(data_set.Rows, data_set.Columns)
    expected = stored * float(data_set.RescaleSlope) + float(data_set.RescaleIntercept)

    assert np.array_equal(hounsfield_of(reader, (shared / SYNTAXES / ORIGINAL).read_bytes()), expected)


@pytest.mark.parametrize(
    ("name", "reason", "largest_error"),
    [
        ("ct_JPEGLSLossy_1.2.840.10008.1.2.4.81.dcm", Reason.NEAR_LOSSLESS, 1),
        ("ct_HTJ2K_lossy_1.2.840.10008.1.2.4.203.dcm", Reason.LOSSY, 300),
    ],
)
def test_loss_that_the_codestream_shows_is_named(
    reader: Reader, shared: Path, name: str, reason: Reason, largest_error: int
) -> None:
    original = hounsfield_of(reader, (shared / SYNTAXES / ORIGINAL).read_bytes())
    content = (shared / SYNTAXES / name).read_bytes()

    read = slice_of(reader, content)

    assert [finding.reason for finding in read.findings] == [reason]
    assert 0 < np.abs(read.hounsfield.astype(int) - original).max() <= largest_error
    assert reader.examine(content, sha256(content)).headers[0].lossy


def test_a_frame_in_several_fragments_is_joined(reader: Reader, shared: Path) -> None:
    path = shared / SYNTAXES / "fo_CT1_RLE_FRAGS.dcm"
    data_set = pydicom.dcmread(path)

    hounsfield = hounsfield_of(reader, path.read_bytes())

    stored = data_set.pixel_array
    seen = stored != data_set.PixelPaddingValue
    assert np.array_equal(hounsfield[seen], stored[seen] + int(data_set.RescaleIntercept))
    assert (hounsfield[~seen] == PADDING_HU).all()


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_all_sixteen_bits_survive_compression(reader: Reader, syntax: str, dtype: type) -> None:
    stored = np.random.default_rng(1).integers(0, 1 << 16, (64, 48)).astype(np.uint16).view(dtype)

    hounsfield = hounsfield_of(reader, written(compressed(stored, syntax), syntax))

    assert np.array_equal(hounsfield, hounsfield_of(reader, ct_file(stored)))


def test_a_sign_that_the_codestream_denies_follows_the_header_and_is_marked(reader: Reader) -> None:
    stored = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    data_set = compressed(stored, JPEG2000Lossless, BitsStored=12)
    data_set.PixelRepresentation = 1

    read = slice_of(reader, written(data_set, JPEG2000Lossless))

    assert np.array_equal(read.hounsfield, stored)
    assert [finding.reason for finding in read.findings] == [Reason.SIGN_DIFFERS]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_byte_order_of_the_file_is_followed(reader: Reader, syntax: str) -> None:
    stored = np.arange(-512, 512, dtype=np.int16).reshape(32, 32)
    data_set = ct_data_set(stored, PixelPaddingValue=-512)
    if syntax == ExplicitVRBigEndian:
        data_set.PixelData = stored.astype(">i2").tobytes()

    hounsfield = hounsfield_of(reader, written(data_set, syntax))

    assert first(hounsfield, 3) == [PADDING_HU, -511, -510]
    assert hounsfield[-1, -1] == 511


# --- stored bits ---


def test_what_lies_above_the_stored_bits_is_masked(reader: Reader) -> None:
    stored = stored_as(np.uint16, 0xF000, 0xA123, 0x0FFF)

    hounsfield = hounsfield_of(reader, ct_file(stored, BitsStored=12, RescaleIntercept=-1024))

    assert first(hounsfield, 3) == [-1024, 0x123 - 1024, 0xFFF - 1024]


def test_the_sign_is_carried_into_the_unused_bits(reader: Reader) -> None:
    stored = stored_as(np.int16, 0x0FFF, 0xA800, 0x57FF)

    hounsfield = hounsfield_of(reader, ct_file(stored, BitsStored=12))

    assert first(hounsfield, 3) == [-1, -2048, 2047]


def test_unsigned_values_above_the_middle_stay_positive(reader: Reader) -> None:
    hounsfield = hounsfield_of(reader, ct_file(stored_as(np.uint16, 40000, 32768), RescaleIntercept=-32768))

    assert first(hounsfield, 2) == [7232, 0]


# --- rescale ---


def test_halves_are_rounded_to_even(reader: Reader) -> None:
    hounsfield = hounsfield_of(reader, ct_file(stored_as(np.int16, 1, 3, 5, -1, -3), RescaleSlope=0.5))

    assert first(hounsfield, 5) == [0, 2, 2, 0, -2]


@pytest.mark.parametrize("slope", [1, 2.5])
def test_values_beyond_sixteen_bits_are_clipped_and_never_look_like_padding(reader: Reader, slope: float) -> None:
    stored = stored_as(np.int16, -32768, 32767, 0)

    hounsfield = hounsfield_of(reader, ct_file(stored, RescaleSlope=slope, RescaleIntercept=-1024))

    assert first(hounsfield, 3) == [-32767, 31743 if slope == 1 else 32767, -1024]


def test_a_negative_slope_is_applied(reader: Reader) -> None:
    assert first(hounsfield_of(reader, ct_file(stored_as(np.int16, 7, -9), RescaleSlope=-2)), 2) == [-14, 18]


def test_without_rescale_the_stored_values_are_given(reader: Reader) -> None:
    content = ct_file(stored_as(np.uint16, 5, 6), RescaleSlope=None, RescaleIntercept=None)

    assert first(hounsfield_of(reader, content), 2) == [5, 6]
    assert reader.examine(content, sha256(content)).headers[0].rescale_slope is None


def test_each_slice_follows_its_own_rescale(reader: Reader) -> None:
    stored = stored_as(np.int16, 100)
    files = [ct_file(stored, RescaleSlope=slope, RescaleIntercept=-slope) for slope in (1, 2, 0.25)]

    answers = list(reader.read_slices((index, file, sha256(file), (0,)) for index, file in enumerate(files)))

    assert [(key, frame) for key, frame, _ in answers] == [(0, 0), (1, 0), (2, 0)]
    assert [answer.hounsfield[0, 0] for _, _, answer in answers if isinstance(answer, SliceRead)] == [99, 198, 25]


@settings(max_examples=40, deadline=None)
@given(
    stored=st.lists(st.integers(-32768, 32767), min_size=1, max_size=40),
    slope=st.sampled_from([1.0, 1.0, 0.1, -1.0, 3.7, 1e-3, 9.99]),
    intercept=st.sampled_from([0.0, -1024.0, 0.5, -8192.0, 8192.0, 12.3456]),
)
def test_hounsfield_units_are_those_of_the_formula(
    reader: Reader, stored: list[int], slope: float, intercept: float
) -> None:
    values = stored_as(np.int16, *stored)

    hounsfield = hounsfield_of(reader, ct_file(values, RescaleSlope=slope, RescaleIntercept=intercept))

    expected = np.clip(np.rint(values.astype(np.float64) * slope + intercept), -32767, 32767)
    assert np.array_equal(hounsfield, expected)


# --- padding and photometric interpretation ---


def test_padding_is_found_on_the_stored_values(reader: Reader) -> None:
    stored = stored_as(np.int16, -2000, -1000, 24)

    content = ct_file(stored, PixelPaddingValue=-2000, RescaleIntercept=-1000)

    assert first(hounsfield_of(reader, content), 3) == [PADDING_HU, -2000, -976]


@pytest.mark.parametrize(("value", "limit"), [(-2000, -1990), (-1990, -2000)])
def test_padding_may_be_a_range_either_way_round(reader: Reader, value: int, limit: int) -> None:
    stored = stored_as(np.int16, -2001, -2000, -1995, -1990, -1989)

    content = ct_file(stored, PixelPaddingValue=value, PixelPaddingRangeLimit=limit)

    padding = [PADDING_HU] * 3
    assert first(hounsfield_of(reader, content), 5) == [-2001, *padding, -1989]


def test_padding_written_with_the_wrong_sign_is_understood(reader: Reader) -> None:
    stored = stored_as(np.int16, -2000, 7)

    content = ct_file(stored, raw={0x00280120: ("US", (65536 - 2000).to_bytes(2, "little"))})

    assert first(hounsfield_of(reader, content), 2) == [PADDING_HU, 7]


def test_a_padding_value_of_zero_counts(reader: Reader) -> None:
    content = ct_file(stored_as(np.uint16, 0, 7), raw={0x00280120: ("US", b"\0\0")})

    assert first(hounsfield_of(reader, content), 2) == [PADDING_HU, 7]


def test_a_slice_of_padding_alone_is_padding(reader: Reader) -> None:
    content = ct_file(stored_as(np.int16, -2000), PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1")

    assert (hounsfield_of(reader, content) == PADDING_HU).all()


def test_monochrome1_is_inverted_over_what_is_no_padding(reader: Reader) -> None:
    stored = stored_as(np.int16, -2000, -1000, 500, 0)

    content = ct_file(stored, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1")

    assert first(hounsfield_of(reader, content), 4) == [PADDING_HU, 500, -1000, -500]


# --- frames ---


def test_each_frame_of_an_enhanced_object_follows_its_own_groups(reader: Reader) -> None:
    stored = np.stack([np.full((32, 32), value, np.int16) for value in (10, 20, 30)])
    content = enhanced_file(stored, (1, 2, 0.5))

    answers = answers_of(reader, content, 2, 0, 1)

    assert [answer.hounsfield[5, 5] for answer in answers if isinstance(answer, SliceRead)] == [5, 0, 30]


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_frames_are_found_one_by_one(reader: Reader, syntax: str) -> None:
    frames = np.random.default_rng(2).integers(-1000, 1000, (3, 32, 32)).astype(np.int16)
    streams = [next(generate_frames(compressed(frame, syntax).PixelData, number_of_frames=1)) for frame in frames]
    enhanced = pydicom.dcmread(io.BytesIO(enhanced_file(frames, (1, 1, 1))))
    enhanced.PixelData = encapsulate(streams)
    enhanced["PixelData"].VR = "OB"
    enhanced["PixelData"].is_undefined_length = True

    answers = answers_of(reader, written(enhanced, syntax), 0, 1, 2)

    for frame, answer in zip(frames, answers, strict=True):
        assert isinstance(answer, SliceRead)
        assert np.array_equal(answer.hounsfield, frame - 10)


def test_a_frame_that_is_not_there_is_answered_with_a_finding(reader: Reader) -> None:
    (answer,) = answers_of(reader, ct_file(), 5)

    assert isinstance(answer, Finding)
    assert answer.outcome is Outcome.UNSUITABLE


def test_a_refused_file_answers_every_frame_with_its_reason(reader: Reader) -> None:
    answers = answers_of(reader, b"no DICOM", 0, 1)

    assert [answer.reason for answer in answers if isinstance(answer, Finding)] == [Reason.NOT_DICOM] * 2


@pytest.mark.parametrize("name", LOSSLESS)
def test_damaged_pixels_never_cost_more_than_their_own_slice(reader: Reader, shared: Path, name: str) -> None:
    content = (shared / SYNTAXES / name).read_bytes()
    dice = random.Random(name)
    damaged = []
    for _ in range(12):
        bytes_of = bytearray(content)
        for _ in range(3):
            bytes_of[dice.randrange(len(content) // 10, len(content))] = dice.randrange(256)
        damaged.append(bytes(bytes_of))

    answers = list(reader.read_slices((index, file, sha256(file), (0,)) for index, file in enumerate(damaged)))

    assert [key for key, _, _ in answers] == list(range(12))
    assert isinstance(slice_of(reader, content), SliceRead)


# --- pictures ---


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


GREY = np.arange(48 * 32, dtype=np.uint16).reshape(48, 32)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_eight_bit_pictures_are_read_exactly(reader: Reader, kind: str) -> None:
    grey = (GREY % 251).astype(np.uint8)
    content = encoded(Image.fromarray(grey), kind, lossless=True)

    picture = reader.picture(content, sha256(content))

    assert isinstance(picture, np.ndarray)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, grey)


def test_sixteen_bit_pictures_keep_their_bits(reader: Reader) -> None:
    content = encoded(Image.fromarray(GREY * 40), "PNG")

    picture = reader.picture(content, sha256(content))

    assert isinstance(picture, np.ndarray)
    assert picture.dtype == np.uint16
    assert np.array_equal(picture, GREY * 40)


def test_colour_pictures_become_luminance(reader: Reader) -> None:
    content = encoded(Image.new("RGB", (40, 50), (200, 100, 50)), "JPEG", quality=95)

    picture = reader.picture(content, sha256(content))

    assert isinstance(picture, np.ndarray)
    assert picture.shape == (50, 40)
    assert np.abs(picture.astype(int) - 124).max() <= 2


@pytest.mark.parametrize(
    "content",
    [
        encoded(Image.new("L", (8, 8)), "GIF"),
        encoded(Image.new("L", (8, 8)), "TIFF"),
        encoded(Image.new("L", (4097, 8)), "PNG"),
        encoded(Image.new("1", (30000, 30000)), "PNG"),
        encoded(Image.new("L", (64, 64)), "PNG")[:-30],
        b"<svg/>",
        b"",
    ],
    ids=["gif", "tiff", "too wide", "bomb", "cut", "text", "empty"],
)
def test_other_pictures_are_refused(reader: Reader, content: bytes) -> None:
    answer = reader.picture(content, sha256(content))

    assert isinstance(answer, Finding)
    assert answer.outcome is Outcome.REFUSED
