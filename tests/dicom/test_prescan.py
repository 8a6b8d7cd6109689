"""What the pre-scan lets through, what it refuses and with which reason; on files made here and on real ones."""

from __future__ import annotations

import csv
import gzip
import io
import random
import re
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from aicorona_desktop.core.findings import Outcome, Reason
from aicorona_desktop.dicom.child.prescan import RefusedError, Scan, scan

SIDE = 64
CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED = "1.2.840.10008.5.1.4.1.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
NEAR_LOSSLESS = "1.2.840.10008.1.2.4.81"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
LONG_VRS = {"OB", "OW", "OF", "SQ", "UN", "UT"}

Value = bytes | str | int | tuple[str, bytes | str | int]


# --- a tiny writer --------------------------------------------------------------------------------------------------

HEADER: dict[int, tuple[str, bytes | str | int]] = {
    0x00080008: ("CS", "ORIGINAL\\PRIMARY\\AXIAL"),
    0x00080016: ("UI", CT),
    0x00080018: ("UI", "2.25.11"),
    0x00080060: ("CS", "CT"),
    0x00100020: ("LO", "ID-7"),
    0x0020000D: ("UI", "2.25.21"),
    0x0020000E: ("UI", "2.25.31"),
    0x00200032: ("DS", "-150\\-150\\12.5"),
    0x00200037: ("DS", "1\\0\\0\\0\\1\\0"),
    0x00280002: ("US", 1),
    0x00280004: ("CS", "MONOCHROME2"),
    0x00280010: ("US", SIDE),
    0x00280011: ("US", SIDE),
    0x00280030: ("DS", "0.7\\0.7"),
    0x00280100: ("US", 16),
    0x00280101: ("US", 16),
    0x00280102: ("US", 15),
    0x00280103: ("US", 1),
    0x00281052: ("DS", "-1024"),
    0x00281053: ("DS", "1"),
}
PIXELS = np.random.default_rng(5).normal(1000, 30, (SIDE, SIDE)).astype("<i2").tobytes()


def element(tag: int, vr: str, value: bytes | str | int, length: int | None = None, syntax: str = EXPLICIT) -> bytes:
    order = ">" if syntax == BIG else "<"
    if isinstance(value, int):
        value = struct.pack(order + "H", value)
    elif isinstance(value, str):
        value = value.encode() + (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    length = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<I", length) + value
    if vr in LONG_VRS:
        return head + vr.encode() + struct.pack(order + "HI", 0, length) + value
    return head + vr.encode() + struct.pack(order + "H", length) + value


def item(value: bytes = b"", number: int = 0xE000, length: int | None = None) -> bytes:
    return struct.pack("<HHI", 0xFFFE, number, len(value) if length is None else length) + value


def meta(syntax: str | None = EXPLICIT, preamble: bytes = b"\0" * 128, *, group_length: int | None = 0) -> bytes:
    body = element(0x00020002, "UI", CT) + element(0x00020003, "UI", "2.25.11")
    body += element(0x00020010, "UI", syntax) if syntax is not None else b""
    if group_length is None:
        return preamble + b"DICM" + body
    return preamble + b"DICM" + element(0x00020000, "UL", struct.pack("<I", group_length or len(body))) + body


def data_set(changes: dict[int, Value | None] | None = None, syntax: str = EXPLICIT) -> bytes:
    """The header above with changes (None removes; a tuple changes the VR too; bytes of a tag not known stand raw)."""
    pixels: Value = np.frombuffer(PIXELS, "<i2").astype(">i2" if syntax == BIG else "<i2").tobytes()
    elements: dict[int, Value | None] = {**HEADER, 0x7FE00010: ("OW", pixels), **(changes or {})}
    written = []
    for tag in sorted(elements):
        value = elements[tag]
        if isinstance(value, tuple):
            written.append(element(tag, *value, syntax=syntax))
        elif isinstance(value, bytes) and (tag not in HEADER):
            written.append(value)
        elif value is not None:
            written.append(element(tag, HEADER[tag][0], value, syntax=syntax))
    return b"".join(written)


def ct(changes: dict[int, Value | None] | None = None, syntax: str = EXPLICIT, behind: bytes = b"") -> bytes:
    return meta(syntax) + data_set(changes, syntax) + behind


def compressed(stream: bytes | list[bytes], syntax: str, changes: dict[int, Value | None] | None = None) -> bytes:
    fragments = [stream] if isinstance(stream, bytes) else stream
    body = item() + b"".join(item(fragment + b"\0" * (len(fragment) % 2)) for fragment in fragments)
    pixels = element(0x7FE00010, "OB", body + item(number=0xE0DD), length=0xFFFFFFFF)
    return ct({**(changes or {}), 0x7FE00010: pixels}, syntax)


def run_lengths(plane: bytes) -> bytes:
    return b"".join(bytes([len(run) - 1]) + run for run in (plane[at : at + 128] for at in range(0, len(plane), 128)))


def rle(pixels: bytes = PIXELS) -> bytes:
    high, low = run_lengths(pixels[1::2]), run_lengths(pixels[::2])
    high += b"\0" * (len(high) % 2)
    return struct.pack("<16I", 2, 64, 64 + len(high), *[0] * 13) + high + low


def jpeg_lossless(side: int = SIDE, precision: int = 16, marker: int = 0xC3, end: bytes = b"\xff\xd9") -> bytes:
    frame = struct.pack(">HBHHB", 11, precision, side, side, 1) + b"\1\x11\0"
    tables = b"\0" + bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    head = b"\xff\xd8\xff" + bytes([marker]) + frame + b"\xff\xc4" + struct.pack(">H", 2 + len(tables)) + tables
    return head + b"\xff\xda\0\x08\1\1\0\1\0\0" + b"\x12\x34\xff\0\x56" * 40 + end


def jpeg_ls(near: int = 0, side: int = SIDE) -> bytes:
    frame = struct.pack(">HBHHB", 11, 16, side, side, 1) + b"\1\x11\0"
    return b"\xff\xd8\xff\xf7" + frame + b"\xff\xda\0\x08\1\1\0" + bytes([near, 0, 0]) + b"\x11" * 64 + b"\xff\xd9"


def jpeg_2000(side: int = SIDE, depth: int = 16, *, signed: bool = True, tile: int = SIDE, wavelet: int = 1) -> bytes:
    size = struct.pack(">HIIIIIIIIHBBB", 0, side, side, 0, 0, tile, tile, 0, 0, 1, depth - 1 | signed << 7, 1, 1)
    coding = b"\0\0\0\1\0\5\4\4\0" + bytes([wavelet])
    body = b"\xff\x93" + b"\x01" * 20
    tile_part = struct.pack(">HHHIBB", 0xFF90, 10, 0, 12 + len(body), 0, 1) + body
    head = b"\xff\x4f\xff\x51" + struct.pack(">H", 2 + len(size)) + size
    return head + b"\xff\x52" + struct.pack(">H", 2 + len(coding)) + coding + tile_part + b"\xff\xd9"


def refusal(data: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        scan(data)
    return caught.value


def reasons(result: Scan) -> list[Reason]:
    return [finding.reason for finding in result.findings]


def answer(data: bytes) -> Scan | RefusedError:
    try:
        return scan(data)
    except RefusedError as error:
        return error


# --- what passes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_a_native_slice_passes_and_says_where_its_pixels_and_elements_lie(syntax: str):
    data = ct(syntax=syntax)

    result = scan(data)

    assert result.data is data
    assert result.findings == ()
    assert (result.sop_class_uid, result.modality, result.transfer_syntax_uid) == (CT, "CT", syntax)
    assert result.pixels is not None
    assert not result.pixels.encapsulated
    assert result.pixels.length == SIDE * SIDE * 2
    first = data[result.pixels.offset : result.pixels.offset + 2]
    assert first == (PIXELS[1::-1] if syntax == BIG else PIXELS[:2])
    vr, offset, length = result.top_level[0x00280030]
    assert vr == ("" if syntax == IMPLICIT else "DS")
    assert data[offset : offset + length].strip() == b"0.7\\0.7"


def test_a_deflated_slice_is_handed_on_inflated_and_pydicom_agrees():
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = meta(DEFLATED) + packer.compress(data_set()) + packer.flush()

    result = scan(data)
    dataset = pydicom.dcmread(io.BytesIO(result.data))

    assert result.transfer_syntax_uid == DEFLATED
    assert result.data[result.data_set_offset :] == data_set()
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    assert dataset.PixelData == PIXELS


@pytest.mark.parametrize(
    ("stream", "syntax"),
    [(rle(), RLE), (jpeg_lossless(), JPEG_LOSSLESS), (jpeg_ls(), JPEG_LS), (jpeg_2000(), JPEG_2000)],
    ids=["rle", "jpeg-lossless", "jpeg-ls", "jpeg-2000"],
)
def test_a_sound_codestream_passes_in_one_fragment_or_in_several(stream: bytes, syntax: str):
    half = len(stream) // 2 & ~1
    for fragments in ([stream], [stream[:half], stream[half:]]):
        result = scan(compressed(fragments, syntax))

        assert result.pixels is not None
        assert result.pixels.encapsulated
        assert len(result.pixels.frames) == 1
        joined = b"".join(result.data[at : at + length] for at, length in result.pixels.frames[0])
        assert joined[: len(stream)] == stream
        assert result.findings == ()


def test_a_deflated_file_without_group_length_is_inflated_too():
    result = scan(meta(DEFLATED, group_length=None) + zlib.compress(data_set(), wbits=-15))

    assert pydicom.dcmread(io.BytesIO(result.data)).PixelData == PIXELS
    assert reasons(result) == [Reason.META_GROUP_LENGTH]


def test_an_icon_may_be_compressed_as_the_picture_is():
    icon = item() + item(rle()) + item(number=0xE0DD)
    sequence = element(0x00880200, "SQ", item(element(0x7FE00010, "OB", icon, length=0xFFFFFFFF)))

    result = scan(compressed(rle(), RLE, {0x00880200: sequence}))

    assert result.pixels is not None
    assert len(result.pixels.fragments) == 1


def test_fill_bytes_and_open_tile_parts_are_part_of_their_standards():
    filled = jpeg_lossless().replace(b"\xff\xc4", b"\xff\xff\xff\xc4", 1)
    open_part = jpeg_2000().replace(b"\x22\0\1\xff\x93", b"\0\0\1\xff\x93")

    assert open_part != jpeg_2000()
    assert scan(compressed(filled, JPEG_LOSSLESS)).is_ct
    assert scan(compressed(open_part, JPEG_2000)).is_ct


def test_what_is_tolerated_is_named_in_a_warning():
    assert reasons(scan(meta(preamble=b"MZ" + b"\0" * 126) + data_set())) == [Reason.PREAMBLE_EXECUTABLE]
    assert reasons(scan(meta(group_length=None) + data_set())) == [Reason.META_GROUP_LENGTH]
    assert reasons(scan(ct({0x0020000D: "3D2C6DD1-AB"}))) == [Reason.ODD_UID]
    assert reasons(scan(ct({0x00080018: None}))) == [Reason.ODD_UID]
    assert reasons(scan(compressed(jpeg_ls(near=3), NEAR_LOSSLESS))) == [Reason.NEAR_LOSSLESS]
    assert reasons(scan(compressed(jpeg_2000(wavelet=0), JPEG_2000))) == [Reason.LOSSY]
    assert reasons(scan(compressed(jpeg_2000(signed=False), JPEG_2000))) == [Reason.SIGN_DIFFERS]


def test_trailing_bytes_are_cut_off_before_anyone_else_reads_them():
    clean = ct()

    result = scan(clean + b"MZ" + b"\x90" * 400)

    assert result.data == clean
    assert reasons(result) == [Reason.TRAILING_BYTES]
    assert result.findings[0].found == 402


def test_padding_and_signatures_may_follow_the_pixel_data():
    behind = element(0xFFFAFFFA, "SQ", item()) + element(0xFFFCFFFC, "OB", b"\0" * 32)

    assert scan(ct(behind=behind)).findings == ()


def test_sequences_of_either_length_and_unknown_ones_are_walked():
    inner = element(0x00080100, "SH", "A ")
    open_item = item(inner + item(number=0xE00D), length=0xFFFFFFFF)
    open_sequence = element(0x00081140, "SQ", open_item + item(number=0xE0DD), length=0xFFFFFFFF)
    unknown = item(element(0x00080100, "SH", "A ", syntax=IMPLICIT)) + item(number=0xE0DD)

    assert scan(ct({0x00081140: open_sequence})).findings == ()
    assert scan(ct({0x00081140: element(0x00081140, "SQ", item(inner))})).findings == ()
    assert scan(ct({0x00081140: element(0x00081140, "UN", unknown, length=0xFFFFFFFF)})).findings == ()


def test_a_localizer_may_be_larger_than_a_slice_and_needs_no_position():
    changes: dict[int, Value | None] = {
        0x00080008: "ORIGINAL\\PRIMARY\\LOCALIZER",
        0x00200032: None,
        0x00280010: 5000,
        0x7FE00010: ("OW", b"\0" * (5000 * SIDE * 2)),
    }

    assert scan(ct(changes)).is_ct
    assert refusal(ct({**changes, 0x00080008: None})).finding.reason is Reason.ROWS_COLUMNS


def test_the_frames_of_an_enhanced_object_are_told_apart():
    changes: dict[int, Value | None] = {0x00080016: ENHANCED, 0x00280008: ("IS", "2")}

    result = scan(compressed([rle(), rle()], RLE, changes))

    assert result.pixels is not None
    assert [len(frame) for frame in result.pixels.frames] == [1, 1]
    assert refusal(compressed([rle(), rle(), rle()], RLE, changes)).finding.reason is Reason.OFFSET_TABLE


# --- what is not ours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sop_class", "modality", "reason", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.4", "MR", Reason.NOT_CT, "MR"),
        ("1.2.840.10008.5.1.4.1.1.2", "PT", Reason.NOT_CT, "PT"),
        ("1.2.840.10008.5.1.4.1.1.7", "OT", Reason.NOT_CT, "OT"),
        ("1.2.840.10008.5.1.4.1.1.7", "CT", Reason.SECONDARY_CAPTURE, ""),
        ("1.2.840.10008.5.1.4.1.1.66", "CT", Reason.NOT_CT, "CT, another SOP class"),
        ("1.2.840.10008.5.1.4.1.1.4", "evil\x1b[31m", Reason.NOT_CT, "unknown"),
    ],
)
def test_an_object_of_another_kind_is_set_aside(sop_class: str, modality: str, reason: Reason, name: str):
    error = refusal(ct({0x00080016: sop_class, 0x00080060: modality, 0x7FE00010: None, 0x00280010: None}))

    assert (error.finding.outcome, error.finding.reason, error.finding.name) == (Outcome.IGNORED, reason, name)


def test_an_object_of_another_kind_is_set_aside_whatever_its_compression():
    error = refusal(ct({0x00080016: "1.2.840.10008.5.1.4.1.1.6.1", 0x00080060: "US"}, "1.2.840.10008.1.2.4.50"))

    assert error.finding.outcome is Outcome.IGNORED


def test_a_disc_directory_is_set_aside_unread():
    data = meta().replace(CT.encode() + b"\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0") + b"anything"

    assert refusal(data).finding.reason is Reason.DICOMDIR_FILE


def test_a_ct_file_that_was_cut_before_its_modality_is_refused_and_not_set_aside():
    data = ct()
    cut = data.index(element(0x00080060, "CS", "CT"))

    assert refusal(data[:cut]).finding.reason is Reason.VALUE_MISSING
    assert refusal(data[:cut]).finding.outcome is Outcome.REFUSED


# --- what is refused --------------------------------------------------------------------------------------------------

NEST = 17
BREACHES: dict[str, tuple[bytes, Reason]] = {
    "empty": (b"", Reason.EMPTY_FILE),
    "not DICOM": (b"x" * 400, Reason.NOT_DICOM),
    "group length": (meta(group_length=40) + data_set(), Reason.META_GROUP_LENGTH),
    "meta too long": (meta(group_length=0x7FFFFFFF) + data_set(), Reason.META_TOO_LONG),
    "no transfer syntax": (meta(None) + data_set(), Reason.TRANSFER_SYNTAX_MISSING),
    "unknown transfer syntax": (ct(syntax="1.2.3.4"), Reason.TRANSFER_SYNTAX),
    "lossy transfer syntax": (ct(syntax="1.2.840.10008.1.2.4.51"), Reason.TRANSFER_SYNTAX),
    "meta UID differs": (ct({0x00080018: "2.25.12"}), Reason.META_UID_DIFFERS),
    "odd length": (ct({0x0008103E: element(0x0008103E, "LO", b"ABC")}), Reason.ODD_LENGTH),
    "order": (ct({0x0008103E: element(0x00080005, "CS", "X ")}), Reason.TAG_ORDER),
    "twice": (ct({0x0008103E: element(0x0008103E, "LO", "X ") * 2}), Reason.TAG_TWICE),
    "unknown VR": (ct({0x0008103E: element(0x0008103E, "ZZ", "X ")}), Reason.UNKNOWN_VR),
    "blank VR": (ct({0x00280120: element(0x00280120, "  ", 1)}), Reason.UNKNOWN_VR),
    "implicit called explicit": (meta() + data_set(syntax=IMPLICIT), Reason.UNKNOWN_VR),
    "explicit called implicit": (meta(IMPLICIT) + data_set(), Reason.UNKNOWN_VR),
    "length of the VR": (ct({0x00280120: element(0x00280120, "FD", b"1234")}), Reason.VR_LENGTH),
    "meta in the data set": (ct({0x00080005: element(0x00000010, "UI", "1 ")}), Reason.TAG_IN_WRONG_PLACE),
    "character set of another VR": (ct({0x00080005: ("SS", b"ISO_IR 192")}), Reason.VALUE_VR),
    "NUL in a character set": (ct({0x00080005: ("CS", b"ISO_IR\x00100")}), Reason.VALUE_VR),
    "stray delimiter": (ct({0x0008103E: item(number=0xE0DD)}), Reason.TAG_IN_WRONG_PLACE),
    "giant": (ct({0x00091001: element(0x00091001, "OB", b"x", length=0x7FFFFFFE)}), Reason.ELEMENT_LENGTH),
    "undefined": (ct({0x00091001: element(0x00091001, "OB", b"x", length=0xFFFFFFFF)}), Reason.UNDEFINED_LENGTH),
    "nested": (
        ct({0x00081140: (element(0x00081140, "SQ", item(length=0xFFFFFFFF), length=0xFFFFFFFF)) * NEST}),
        Reason.NESTED_TOO_DEEP,
    ),
    "item too long": (ct({0x00081140: element(0x00081140, "SQ", item(b"x" * 8, length=99))}), Reason.ITEM_LENGTH),
    "element past its item": (
        ct({0x00081140: element(0x00081140, "SQ", item(element(0x00080100, "SH", "A ", length=64)))}),
        Reason.PARENT_LENGTH,
    ),
    "delimiter with length": (
        ct({0x00081140: element(0x00081140, "SQ", item(number=0xE0DD, value=b"12"), length=0xFFFFFFFF)}),
        Reason.DELIMITER,
    ),
    "many items": (ct({0x00081140: element(0x00081140, "SQ", item() * 20_001)}), Reason.TOO_MANY_ELEMENTS),
    "pixels cut": (ct()[:-2], Reason.TRUNCATED),
    "pixels missing": (ct({0x7FE00010: None}), Reason.VALUE_MISSING),
    "pixels twice": (ct(behind=element(0x7FE00010, "OW", PIXELS)), Reason.TAG_TWICE),
    "pixels short": (ct({0x7FE00010: ("OW", PIXELS[:-2])}), Reason.PIXEL_LENGTH),
    "pixels long": (ct({0x7FE00010: ("OW", PIXELS + b"\0\0")}), Reason.PIXEL_LENGTH),
    "float pixels": (ct({0x7FE00008: ("OF", PIXELS)}), Reason.FLOAT_PIXELS),
    "native in JPEG": (ct(syntax=JPEG_LOSSLESS), Reason.PIXEL_ENCAPSULATION),
    "JPEG in native": (compressed(jpeg_lossless(), EXPLICIT), Reason.PIXEL_ENCAPSULATION),
    "rows of another VR": (ct({0x00280010: ("UL", struct.pack("<I", SIDE))}), Reason.VALUE_VR),
    "two rows": (ct({0x00280010: ("US", struct.pack("<HH", SIDE, SIDE))}), Reason.VALUE_VR),
    "no columns": (ct({0x00280011: 0}), Reason.ROWS_COLUMNS),
    "allocated": (ct({0x00280100: 2048}), Reason.BITS),
    "high bit": (ct({0x00280102: 11}), Reason.BITS),
    "representation": (ct({0x00280103: 2}), Reason.PIXEL_REPRESENTATION),
    "samples": (ct({0x00280002: 3}), Reason.SAMPLES),
    "palette": (ct({0x00280004: "PALETTE COLOR"}), Reason.PHOTOMETRIC_REFUSED),
    "frames": (ct({0x00280008: ("IS", "2")}), Reason.FRAMES),
    "no study": (ct({0x0020000D: None}), Reason.VALUE_MISSING),
    "path for a UID": (ct({0x0020000E: "../../evil"}), Reason.BAD_UID),
    "device for a UID": (ct({0x0020000E: "COM1.dcm"}), Reason.BAD_UID),
    "NUL in a UID": (ct({0x0020000E: b"1.2\x003.4 "}), Reason.BAD_UID),
    "65 characters": (ct({0x0020000E: "1" * 65}), Reason.BAD_UID),
    "empty UID": (ct({0x00080018: b""}), Reason.BAD_UID),
    "slope NaN": (ct({0x00281053: "NaN"}), Reason.BAD_NUMBER),
    "slope underscore": (ct({0x00281053: "1_0"}), Reason.BAD_NUMBER),
    "slope overflow": (ct({0x00281053: "1e999"}), Reason.BAD_NUMBER),
    "spacing zero": (ct({0x00280030: "0\\0"}), Reason.BAD_SPACING),
    "no position": (ct({0x00200032: None}), Reason.VALUE_MISSING),
    "far position": (ct({0x00200032: "0\\0\\10001"}), Reason.BAD_POSITION),
    "not perpendicular": (ct({0x00200037: "1\\0\\0\\0.6\\0.8\\0"}), Reason.BAD_ORIENTATION),
    "not unit": (ct({0x00200037: "1.01\\0\\0\\0\\1\\0"}), Reason.BAD_ORIENTATION),
    "no fragment": (compressed([], RLE), Reason.FRAGMENTS),
    "empty fragment": (compressed([rle(), b""], RLE), Reason.FRAGMENTS),
    "many fragments": (compressed([b"ab"] * 600, RLE), Reason.FRAGMENTS),
    "RLE short": (compressed(rle(PIXELS[:-512]), RLE), Reason.RLE_DAMAGED),
    "RLE long": (compressed(rle(PIXELS + PIXELS[:512]), RLE), Reason.RLE_DAMAGED),
    "RLE header": (compressed(struct.pack("<16I", 3, 64, 66, *[0] * 13) + rle()[64:], RLE), Reason.RLE_DAMAGED),
    "JPEG without end": (compressed(jpeg_lossless(end=b""), JPEG_LOSSLESS), Reason.JPEG_DAMAGED),
    "JPEG with a tail": (compressed(jpeg_lossless(end=b"\xff\xd9abcd"), JPEG_LOSSLESS), Reason.JPEG_DAMAGED),
    "JPEG baseline inside": (compressed(jpeg_lossless(marker=0xC0), JPEG_LOSSLESS), Reason.JPEG_DAMAGED),
    "JPEG of another size": (compressed(jpeg_lossless(2 * SIDE), JPEG_LOSSLESS), Reason.JPEG_DAMAGED),
    "JPEG of 8 bit": (compressed(jpeg_lossless(precision=8), JPEG_LOSSLESS), Reason.JPEG_DAMAGED),
    "JPEG-LS near in lossless": (compressed(jpeg_ls(near=1), JPEG_LS), Reason.JPEG_LS_DAMAGED),
    "JPEG-LS far from lossless": (compressed(jpeg_ls(near=11), NEAR_LOSSLESS), Reason.JPEG_LS_DAMAGED),
    "JPEG-LS of another size": (compressed(jpeg_ls(side=65535), JPEG_LS), Reason.JPEG_LS_DAMAGED),
    "JPEG 2000 in a file": (compressed(b"\0\0\0\x0cjP  \r\n" + jpeg_2000(), JPEG_2000), Reason.JPEG_2000_DAMAGED),
    "JPEG 2000 tiles": (compressed(jpeg_2000(tile=8), JPEG_2000), Reason.JPEG_2000_DAMAGED),
    "JPEG 2000 depth": (compressed(jpeg_2000(depth=11), JPEG_2000), Reason.JPEG_2000_DAMAGED),
    "JPEG without scan": (compressed(b"\xff\xd8" + b"\xff\xfe\0\2" * 1001, JPEG_LOSSLESS), Reason.JPEG_DAMAGED),
    "JPEG with bad tables": (
        compressed(jpeg_lossless().replace(b"\0\0\0\0\x11", b"\xff\0\0\0\x11"), JPEG_LOSSLESS),
        Reason.JPEG_DAMAGED,
    ),
    "JPEG of predictor 0": (
        compressed(jpeg_lossless().replace(b"\1\1\0\1\0\0", b"\1\1\0\0\0\0"), JPEG_LOSSLESS),
        Reason.JPEG_DAMAGED,
    ),
    "JPEG-LS with oversize": (
        compressed(jpeg_ls().replace(b"\xff\xda", b"\xff\xf8\0\x06\4\2\1\1\xff\xda"), JPEG_LS),
        Reason.JPEG_LS_DAMAGED,
    ),
    "JPEG 2000 with two sizes": (compressed(jpeg_2000()[:45] + jpeg_2000()[2:], JPEG_2000), Reason.JPEG_2000_DAMAGED),
    "JPEG 2000 of short coding": (
        compressed(jpeg_2000().replace(b"\xff\x52\0\x0c", b"\xff\x52\0\x0b"), JPEG_2000),
        Reason.JPEG_2000_DAMAGED,
    ),
    "JPEG 2000 without tiles": (compressed(jpeg_2000()[:59] + b"\xff\xd9", JPEG_2000), Reason.JPEG_2000_DAMAGED),
    "JPEG 2000 out of step": (
        compressed(jpeg_2000().replace(b"\x22\0\1\xff\x93", b"\x12\0\1\xff\x93"), JPEG_2000),
        Reason.JPEG_2000_DAMAGED,
    ),
    "JPEG 2000 of short tile-part": (
        compressed(jpeg_2000().replace(b"\xff\x90\0\x0a\0\0\0\0\0\x22", b"\xff\x90\0\x0a\0\0\0\0\0\x02"), JPEG_2000),
        Reason.JPEG_2000_DAMAGED,
    ),
    "JPEG 2000 of many segments": (
        compressed(jpeg_2000()[:45] + b"\xff\x64\0\2" * 1001 + jpeg_2000()[45:], JPEG_2000),
        Reason.JPEG_2000_DAMAGED,
    ),
    "large text": (ct({0x00091001: element(0x00091001, "UT", b" " * (16 * 2**20 + 2))}), Reason.ELEMENT_LENGTH),
    "meta cut in a long length": (meta() + element(0x00020100, "OB", b"")[:-4], Reason.TRUNCATED),
    "UID of another VR": (ct({0x0020000D: ("LO", "1.2 ")}), Reason.VALUE_VR),
    "slope of another VR": (ct({0x00281053: ("FD", b"\0" * 8)}), Reason.VALUE_VR),
    "pixels of another VR": (ct({0x7FE00010: ("UN", PIXELS)}), Reason.VALUE_VR),
    "functional groups unread": (
        ct({0x00080016: ENHANCED, 0x52009229: element(0x52009229, "UN", b"\xfe\xff\x00\xe0\0\0\0\0")}),
        Reason.BAD_STRUCTURE,
    ),
    "functional groups of no items": (
        ct({0x00080016: ENHANCED, 0x52009229: element(0x52009229, "SQ", b"12345678", syntax=IMPLICIT)}, IMPLICIT),
        Reason.BAD_STRUCTURE,
    ),
    "JPEG 2000 cut": (compressed(jpeg_2000()[:-8], JPEG_2000), Reason.JPEG_2000_DAMAGED),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_each_broken_rule_is_refused_with_its_own_reason(breach: str):
    data, reason = BREACHES[breach]

    error = refusal(data)

    assert (error.finding.outcome, error.finding.reason) == (Outcome.REFUSED, reason)


def test_a_refused_slice_still_names_its_study_so_that_the_series_knows_what_it_lacks():
    error = refusal(ct()[:-2])

    assert (error.study_instance_uid, error.series_instance_uid, error.patient_id) == ("2.25.21", "2.25.31", "ID-7")


def test_an_identifier_that_breaks_the_rules_does_not_travel():
    error = refusal(ct({0x0020000D: "../../x"}))

    assert (error.study_instance_uid, error.series_instance_uid) == ("", "2.25.31")


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (lambda raw: raw[:-9], Reason.DEFLATE_BROKEN),
        (lambda raw: raw + raw, Reason.DEFLATE_TRAILING),
        (lambda raw: raw + b"\0" * 8, Reason.DEFLATE_TRAILING),
        (lambda raw: b"\x78\x9c" + raw, Reason.DEFLATE_BROKEN),
    ],
    ids=["cut", "second stream", "wrong checksum", "zlib header"],
)
def test_a_deflated_data_set_is_one_whole_stream(packed, reason: Reason):
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    raw = packer.compress(data_set()) + packer.flush()
    checksum = struct.pack("<II", zlib.crc32(data_set()), len(data_set()))

    assert scan(meta(DEFLATED) + raw + checksum).findings == ()
    assert refusal(meta(DEFLATED) + packed(raw)).finding.reason is reason


def test_a_deflate_bomb_is_refused_before_it_has_grown():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = b"".join(packer.compress(b"\0" * 2**20) for _ in range(48)) + packer.flush()

    error = refusal(meta(DEFLATED) + raw)

    assert error.finding.reason is Reason.DEFLATE_TOO_LARGE
    assert error.finding.found is not None
    assert error.finding.found < 60


# --- broken inputs of the generator -----------------------------------------------------------------------------------

NOT_THE_PRESCANS = {"txt", "trunc-last-slice-of-study", "trunc-three-middle-slices", "ts-big-endian"}


def cases(bad_inputs: Path, kind: str) -> Iterator[tuple[dict[str, str], Path]]:
    with (bad_inputs / "manifest.csv").open(newline="", encoding="utf-8") as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["class"] == kind]
    for row in rows:
        if row["case"] in NOT_THE_PRESCANS:
            continue
        path = bad_inputs / row["path"]
        for file in [path] if path.is_file() else sorted(path.rglob("*.dcm"))[:3]:
            yield row, file


@pytest.mark.parametrize("kind", ["truncated", "length", "transfer-syntax", "value", "pixel-data", "bomb", "good"])
def test_generated_inputs_end_as_their_manifest_says(bad_inputs: Path, kind: str):
    wrong, seen = [], 0
    for row, file in cases(bad_inputs, kind):
        seen += 1
        result = answer(file.read_bytes())
        if isinstance(result, RefusedError):
            outcome, text = result.finding.outcome.value, str(result.finding)
        else:
            outcome, text = "warned" if result.findings else "scored", "; ".join(map(str, result.findings))
        if outcome != row["expected"] or not re.search(row["reason"], text, re.IGNORECASE):
            wrong.append((row["case"], row["expected"], row["reason"], outcome, text))

    assert seen
    assert wrong == []


# --- real files -------------------------------------------------------------------------------------------------------

# Every refusal among the real files, and why it is right.
REFUSED_OF_THE_REAL = {
    "ct_JPEGProcess1_1.2.840.10008.1.2.4.50.dcm": Reason.TRANSFER_SYNTAX,  # 8 bit with loss: no HU in it
    "ct_JPEGProcess2_4_1.2.840.10008.1.2.4.51.dcm": Reason.TRANSFER_SYNTAX,  # 12 bit with loss: no decoder shipped
    "ct_JPEGProcess6_8_1.2.840.10008.1.2.4.53.dcm": Reason.TRANSFER_SYNTAX,  # retired
    "ct_JPEGProcess10_12_1.2.840.10008.1.2.4.55.dcm": Reason.TRANSFER_SYNTAX,  # retired
    "CT0012_fragmented.dcm": Reason.TRANSFER_SYNTAX,  # 12 bit with loss
    "rtstruct.dcm": Reason.NOT_DICOM,  # no DICM mark
    "us_jpegls.dcm": Reason.TAG_IN_WRONG_PLACE,  # an item without its sequence
}


def real_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".csv"]


def test_no_real_file_is_refused_for_needless_strictness(shared: Path):
    refusals = {}
    for path in real_files(shared / "data" / "dicom"):
        result = answer(path.read_bytes())
        if isinstance(result, RefusedError) and result.finding.outcome is Outcome.REFUSED:
            refusals[path.name] = result.finding.reason

    assert refusals == REFUSED_OF_THE_REAL


@pytest.mark.parametrize("folder", ["dicom", "dicom_bad"])
def test_every_real_and_every_hostile_file_gets_an_answer_in_time(shared: Path, folder: str):
    slow = []
    for path in real_files(shared / "data" / folder):
        data = gzip.decompress(path.read_bytes()) if "Nested" in path.name else path.read_bytes()
        start = time.process_time()
        answer(data)
        if time.process_time() - start > 0.3:
            slow.append(path.name)

    assert slow == []


HOSTILE = {
    "mk_deflate_bomb_96mb.dcm": Reason.DEFLATE_TOO_LARGE,
    "ot_Deeply-Nested-Sequence.dcm.gz": Reason.NESTED_TOO_DEEP,
    "d4_3gb-bulk-data-truncated": Reason.TRUNCATED,
    "mk_truncated_half.dcm": Reason.TRUNCATED,
    "mk_truncated_meta.dcm": Reason.TRUNCATED,
    "pdd_jpeg2k_too_short.dcm": Reason.TRUNCATED,
    "mk_rows_zero.dcm": Reason.ROWS_COLUMNS,
    "mk_spacing_slope_zero.dcm": Reason.BAD_SPACING,
    "mk_no_dicm.dcm": Reason.NOT_DICOM,
    "pd_meta_missing_tsyntax.dcm": Reason.TRANSFER_SYNTAX_MISSING,
    "mk_preamble_mz.dcm": Reason.PREAMBLE_EXECUTABLE,
    "mk_preamble_elf.dcm": Reason.PREAMBLE_EXECUTABLE,
    "pd_J2K_pixelrep_mismatch.dcm": Reason.SIGN_DIFFERS,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_called_what_they_are(shared: Path, name: str):
    data = (shared / "data" / "dicom_bad" / name).read_bytes()

    result = answer(gzip.decompress(data) if name.endswith(".gz") else data)

    found = [result.finding.reason] if isinstance(result, RefusedError) else reasons(result)
    assert found == [HOSTILE[name]]


def read_alike(result: Scan) -> bool:
    """Whether pydicom finds the same elements, and the same size and identity in them."""
    dataset = pydicom.dcmread(io.BytesIO(result.data))
    order = "big" if result.transfer_syntax_uid == BIG else "little"
    for tag, (_, offset, length) in result.top_level.items():
        value = result.data[offset : offset + length]
        if tag in {0x00280010, 0x00280011, 0x00280100, 0x00280101} and (
            int.from_bytes(value, order) != dataset[tag].value
        ):
            return False
        if tag in {0x00080018, 0x0020000D, 0x0020000E} and value.rstrip(b"\0 ").decode() != dataset[tag].value:
            return False
    return {tag for tag in dataset.keys() if tag.group % 2 == 0} == set(result.top_level)  # noqa: SIM118


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_pydicom_reads_the_same_from_what_the_prescan_lets_through(shared: Path):
    seen = set()
    for path in real_files(shared / "data" / "dicom"):
        result = answer(path.read_bytes())
        if isinstance(result, RefusedError):
            continue
        seen.add(result.transfer_syntax_uid)
        assert read_alike(result), path.name

    assert len(seen) >= 12


# --- mutations --------------------------------------------------------------------------------------------------------

MARKS = [struct.pack("<I", value) for value in (0, 0xFFFFFFFF, 0xFFFFFFFE, 0xE000FFFE, 0xE0DDFFFE, 0x00107FE0)]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One small change, mostly in the header."""
    changed = bytearray(data)
    at = chance.randrange(min(len(data), 1600) if chance.random() < 0.8 else len(data))
    match chance.randrange(5):
        case 0:
            changed[at] ^= 1 << chance.randrange(8)
        case 1:
            changed[at : at + 4] = chance.choice(MARKS)
        case 2:
            del changed[at : at + chance.randrange(1, 40)]
        case 3:
            changed[at:at] = chance.randbytes(chance.randrange(1, 20))
        case _:
            del changed[at:]
    return bytes(changed)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_pydicom_reads_the_same_even_from_mutated_files_that_pass(syntax: str):
    inner = item(element(0x00080100, "SH", "A ", syntax=syntax))
    sequence: Value = b"" if syntax == BIG else element(0x00081140, "SQ", inner, syntax=syntax)
    seed = ct({0x00081140: sequence}, syntax)
    if syntax == DEFLATED:
        seed = meta(DEFLATED) + zlib.compress(data_set({0x00081140: sequence}), wbits=-15)
    chance, passed = random.Random(7), 0
    for _ in range(800):
        result = answer(mutated(seed, chance))
        if isinstance(result, Scan):
            passed += 1
            assert read_alike(result)

    assert passed >= (3 if syntax == DEFLATED else 150)


@pytest.mark.parametrize(
    "seed",
    [
        ct(),
        ct(syntax=IMPLICIT),
        compressed(rle(), RLE),
        compressed(jpeg_lossless(), JPEG_LOSSLESS),
        compressed(jpeg_ls(), JPEG_LS),
        compressed(jpeg_2000(), JPEG_2000),
        meta(DEFLATED) + zlib.compress(data_set(), wbits=-15),
    ],
    ids=["explicit", "implicit", "rle", "jpeg-lossless", "jpeg-ls", "jpeg-2000", "deflate"],
)
def test_a_mutated_file_is_either_proved_or_refused_and_nothing_else(seed: bytes):
    chance, refusals = random.Random(20261123), 0
    for _ in range(1500):
        data = mutated(seed, chance)
        result = answer(data)
        if isinstance(result, RefusedError):
            refusals += 1
            continue
        assert result.pixels is not None
        assert result.pixels.offset + result.pixels.length <= len(result.data)

    assert 300 < refusals < 1500
