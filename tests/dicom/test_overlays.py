from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import Answer, ReaderError, SliceRead, SliceShown, answer_frames, answer_value
from tests.dicom.ct_files import compressed, ct_data_set, enhanced_file, sha256, with_element, written

LEFT_OUT = Finding(Outcome.WARNED, Reason.OVERLAY_LEFT_OUT)
PIXELS = np.arange(32 * 40, dtype=np.uint16).reshape(32, 40)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


def shown(reader: Reader, content: bytes, frame: int = 0) -> SliceShown:
    ((_, _, answer),) = reader.show_slices([(None, content, sha256(content), (frame,))])
    assert isinstance(answer, SliceShown), str(answer)
    return answer


def bits_of(answer: SliceShown) -> NDArray[np.bool_]:
    assert answer.overlay is not None
    return np.unpackbits(answer.overlay, axis=1, count=answer.hounsfield.shape[1]).astype(bool)


def some_bits(rows: int, columns: int, seed: int = 1) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((rows, columns)) < 0.2


def with_overlay(
    data_set: Dataset,
    bits: NDArray[np.bool_],
    *,
    group: int = 0x6000,
    origin: tuple[int, int] = (1, 1),
    kind: str = "G",
    vr: str = "OW",
    **others: int,
) -> Dataset:
    """Lay bits [rows, columns] or [frames, rows, columns] over a data set, as PS3.3 C.9.2 has it."""
    rows, columns = bits.shape[-2:]
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    values = {0x0010: ("US", rows), 0x0011: ("US", columns), 0x0040: ("CS", kind), 0x0050: ("SS", list(origin))}
    values |= {0x0100: ("US", others.get("allocated", 1)), 0x0102: ("US", others.get("position", 0))}
    if bits.ndim == 3:
        values |= {0x0015: ("IS", bits.shape[0]), 0x0051: ("US", others.get("first", 1))}
    for number, (kind_of, value) in values.items():
        data_set.add_new(group << 16 | number, kind_of, value)
    if "position" not in others:
        data_set.add_new(group << 16 | 0x3000, vr, packed + b"\0" * (len(packed) % 2))
    return data_set


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_an_overlay_comes_bit_for_bit_beside_pixels_that_stay_the_same(reader: Reader, syntax: str, vr: str) -> None:
    bits = some_bits(32, 40)
    plain = written(ct_data_set(PIXELS), syntax)

    answer = shown(reader, written(with_overlay(ct_data_set(PIXELS), bits, vr=vr), syntax))

    assert np.array_equal(bits_of(answer), bits)
    assert np.array_equal(answer.hounsfield, shown(reader, plain).hounsfield)
    assert answer.findings == ()
    assert shown(reader, plain).overlay is None


def test_a_big_endian_file_keeps_its_overlay_in_words_the_other_way_round(reader: Reader) -> None:
    bits = some_bits(32, 40)
    data_set = with_overlay(ct_data_set(PIXELS), bits)
    swapped = np.frombuffer(data_set[0x60003000].value, np.uint8).reshape(-1, 2)[:, ::-1].tobytes()
    data_set[0x60003000].value = swapped
    data_set["PixelData"].value = PIXELS.astype(">u2").tobytes()
    data_set.preamble = b"\0" * 128

    assert np.array_equal(bits_of(shown(reader, written(data_set, ExplicitVRBigEndian))), bits)


def test_several_overlays_become_one_and_what_lies_beside_the_picture_is_cut_off(reader: Reader) -> None:
    first, second = some_bits(10, 12, 1), some_bits(30, 30, 2)
    data_set = with_overlay(ct_data_set(PIXELS), first, origin=(-2, 35), kind="R")
    data_set = with_overlay(data_set, second, group=0x601E, origin=(5, -3))

    expected = np.zeros((32, 40), bool)
    expected[0:7, 34:40] |= first[3:, :6]
    expected[4:32, 0:26] |= second[:28, 4:]
    assert np.array_equal(bits_of(shown(reader, written(data_set))), expected)


def test_an_overlay_in_a_free_bit_of_the_pixels_is_found_and_the_pixels_are_without_it(reader: Reader) -> None:
    bits = some_bits(32, 40)
    stored = (PIXELS & 0x0FFF) | (bits.astype(np.uint16) << 13)
    data_set = with_overlay(ct_data_set(stored, BitsStored=12), bits, allocated=16, position=13)

    answer = shown(reader, written(data_set))

    assert np.array_equal(bits_of(answer), bits)
    assert np.array_equal(answer.hounsfield, (PIXELS & 0x0FFF).astype(np.int16))


def test_each_frame_has_the_frame_of_the_overlay_that_belongs_to_it(reader: Reader) -> None:
    bits = np.stack([some_bits(31, 39, seed) for seed in (1, 2)])  # no whole number of bytes a frame
    content = enhanced_file(np.stack([PIXELS.astype(np.int16)] * 4), (1.0,) * 4)
    data_set = pydicom.dcmread(io.BytesIO(content))
    enhanced = written(with_overlay(data_set, bits, first=2))

    answers = [shown(reader, enhanced, frame) for frame in range(4)]

    assert [answer.overlay is not None for answer in answers] == [False, True, True, False]
    assert np.array_equal(bits_of(answers[1])[:31, :39], bits[0])
    assert np.array_equal(bits_of(answers[2])[:31, :39], bits[1])


def test_an_overlay_over_compressed_pixels_is_shown(reader: Reader) -> None:
    bits = some_bits(32, 40)

    answer = shown(reader, written(with_overlay(compressed(PIXELS, RLELossless), bits), RLELossless))

    assert np.array_equal(bits_of(answer), bits)


@pytest.mark.parametrize(
    ("number", "vr", "value"),
    [
        (0x0010, "US", (65535).to_bytes(2, "little")),
        (0x0010, "US", b"\0\0"),
        (0x0010, "US", b"\1\0\1\0"),
        (0x0011, "US", (4000).to_bytes(2, "little")),
        (0x0040, "CS", b"X "),
        (0x0050, "SS", b"\1\0"),
        (0x0015, "IS", b"99999999"),
        (0x0051, "US", b"\0\0"),
        (0x0100, "US", b"\x10\0"),
        (0x0102, "US", b"\3\0"),
        (0x3000, "OW", b"\1\2"),
    ],
)
def test_a_hostile_overlay_is_left_out_with_a_word_and_the_others_stay(
    reader: Reader, number: int, vr: str, value: bytes
) -> None:
    bits = some_bits(32, 40)
    data_set = with_overlay(with_overlay(ct_data_set(PIXELS), bits), bits, group=0x6004)

    answer = shown(reader, with_element(written(data_set), 0x60000000 | number, vr, value))

    assert answer.findings == (LEFT_OUT,)
    assert np.array_equal(bits_of(answer), bits)


def test_overlays_full_of_nonsense_never_cost_the_slice(reader: Reader) -> None:
    rng = random.Random(4)
    numbers = {0x0010: "US", 0x0011: "US", 0x0015: "IS", 0x0040: "CS", 0x0050: "SS", 0x0051: "US", 0x0100: "US"}
    content = written(with_overlay(ct_data_set(PIXELS), some_bits(32, 40)))
    for _ in range(30):
        broken = content
        for number, vr in rng.sample([*numbers.items()], 2):
            broken = with_element(broken, 0x60000000 | number, vr, rng.randbytes(rng.choice((0, 2, 4, 8))))
        assert np.array_equal(shown(reader, broken).hounsfield, PIXELS.astype(np.int16))
    assert reader.restarts == 0


def test_a_plane_of_another_size_than_its_slice_is_no_answer_of_ours() -> None:
    (frame,) = answer_frames(1, 0.0, SliceShown(PIXELS.astype(np.int16), (), np.zeros((32, 6), np.uint8)))
    assert frame.kind == Answer.SHOWN

    with pytest.raises(ReaderError, match="cannot be"):
        answer_value(frame)


def test_what_scores_never_asks_for_overlays(reader: Reader) -> None:
    content = written(with_overlay(ct_data_set(PIXELS), some_bits(32, 40)))

    ((_, _, answer),) = reader.read_slices([(None, content, sha256(content), (0,))])

    assert isinstance(answer, SliceRead)


def test_the_overlay_of_a_real_scanner_is_read_as_pydicom_reads_it(reader: Reader) -> None:
    path = get_testdata_file("examples_overlay.dcm", download=False)
    if path is None or not Path(path).exists():
        pytest.skip("pydicom's own example is not installed")
    source = pydicom.dcmread(path)
    expected = source.overlay_array(0x6000).astype(bool)
    pixels = np.zeros((source.Rows, source.Columns), np.uint16)
    data_set = ct_data_set(pixels)
    for element in source.group_dataset(0x6000):
        data_set.add(element)

    assert np.array_equal(bits_of(shown(reader, written(data_set))), expected)
