"""The structure of one compressed frame, proved before a decoder sees it.

Nothing is decoded here but the lengths of run-length segments: each check reads the headers, compares
them with the DICOM header, and follows the markers to the end of the stream. A broken rule is returned
as a refused finding; what is only worth knowing (loss, a contradicting sign) as a warned one.

Source: ITU-T T.81 annexes B and H (JPEG), T.87 annex C (JPEG-LS), T.800 annex A (JPEG 2000), T.814
(high throughput), DICOM PS3.5 annex G (RLE).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from aicorona_desktop.core.findings import Finding, Outcome, Reason

MOST_NEAR: Final = 10
SMALLEST_TILE_PX: Final = 32
MOST_SEGMENTS: Final = 1000
MOST_PADDING_BYTES: Final = 16
FEWEST_BITS_OF_CT: Final = 12

Findings = tuple[Finding, ...]

_BE16 = struct.Struct(">H").unpack_from
_JPEG_FRAME = struct.Struct(">BHHB").unpack_from
_SIZE = struct.Struct(">HHIIIIIIIIHBBB")
_TILE_PART = struct.Struct(">HHHIBB")
_RLE_HEADER = struct.Struct("<16I")

# PackBits: how far each control byte moves on, and how many bytes it stands for.
_ADVANCE = tuple(2 + code if code < 128 else 1 if code == 128 else 2 for code in range(256))
_EXPANDS = tuple(1 + code if code < 128 else 0 if code == 128 else 257 - code for code in range(256))

# The first marker inside entropy-coded data, restart markers aside; a stuffed byte follows FF elsewhere.
# Any number of FF may stand before a marker to fill (T.81 B.1.1.2).
_MARKER_IN_JPEG = re.compile(rb"\xff(?:\xff*[\x01-\xcf\xd8-\xfe]|\xff)")
_MARKER_IN_JPEG_LS = re.compile(rb"\xff(?:\xff*[\x80-\xcf\xd8-\xfe]|\xff)")


@dataclass(frozen=True, slots=True)
class Picture:
    """What the DICOM header says about a frame."""

    rows: int
    columns: int
    bits_stored: int
    pixel_representation: int


def _refused(reason: Reason, name: str = "") -> Findings:
    return (Finding(Outcome.REFUSED, reason, name=name),)


# --- RLE ----------------------------------------------------------------------------------------------------------


def check_rle(stream: bytes, picture: Picture) -> Findings:
    """Prove that two segments follow each other and expand to exactly one byte plane each."""
    if len(stream) < _RLE_HEADER.size:
        return _refused(Reason.RLE_DAMAGED)
    count, first, second, *unused = _RLE_HEADER.unpack_from(stream)
    if count != 2 or not _RLE_HEADER.size <= first < second < len(stream) or any(unused):
        return _refused(Reason.RLE_DAMAGED)
    pixels = picture.rows * picture.columns
    if not _expands_to(stream[first:second], pixels) or not _expands_to(stream[second:], pixels):
        return _refused(Reason.RLE_DAMAGED)
    return ()


def _expands_to(segment: bytes, pixels: int) -> bool:
    """Whether PackBits data give exactly so many bytes, with at most one byte of padding behind them."""
    advance, expands = _ADVANCE, _EXPANDS
    at = expanded = 0
    size = len(segment)
    while expanded < pixels and at < size:
        code = segment[at]
        at += advance[code]
        expanded += expands[code]
    return expanded == pixels and 0 <= size - at <= 1


# --- JPEG lossless and JPEG-LS ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Jpeg:
    """One of the two codings that share JPEG's markers: its own, its reason, and how it stuffs bytes."""

    frame_marker: int
    other_markers: frozenset[int]  # allowed before the scan
    reason: Reason
    marker_in_data: re.Pattern[bytes]
    may_be_narrower: bool  # than the header states: proved for this decoder


_APPLICATION = frozenset({*range(0xE0, 0xF0), 0xFE})  # APPn, COM
_LOSSLESS = _Jpeg(0xC3, frozenset({0xC4, 0xDB, 0xDD}) | _APPLICATION, Reason.JPEG_DAMAGED, _MARKER_IN_JPEG, True)
_JPEG_LS = _Jpeg(0xF7, frozenset({0xF8, 0xDD}) | _APPLICATION, Reason.JPEG_LS_DAMAGED, _MARKER_IN_JPEG_LS, False)
_NO_MARKER = ""


def check_jpeg_lossless(stream: bytes, picture: Picture) -> Findings:
    """Check a JPEG stream of process 14 (SOF3): one lossless scan of one component, whole to its end."""
    scan = _scan_of(stream, picture, _LOSSLESS)
    if isinstance(scan, str):
        return _refused(Reason.JPEG_DAMAGED, scan)
    predictor, _, approximation = scan
    if not 1 <= predictor <= 7 or approximation:
        return _refused(Reason.JPEG_DAMAGED, "SOS")
    return ()


def check_jpeg_ls(stream: bytes, picture: Picture, most_near: int) -> Findings:
    """Check a JPEG-LS stream (SOF55); a NEAR above 0 but allowed is named in a warning."""
    scan = _scan_of(stream, picture, _JPEG_LS)
    if isinstance(scan, str):
        return _refused(Reason.JPEG_LS_DAMAGED)
    near, interleave, point_transform = scan
    if near > most_near or interleave or point_transform:
        return _refused(Reason.JPEG_LS_DAMAGED)
    return (Finding(Outcome.WARNED, Reason.NEAR_LOSSLESS, found=near),) if near else ()


def _scan_of(stream: bytes, picture: Picture, coding: _Jpeg) -> tuple[int, int, int] | str:
    """Return the three parameter bytes of the only scan, or the name of the marker where trouble is."""
    if stream[:2] != b"\xff\xd8":
        return "SOI"
    at, frame_seen, size = 2, False, len(stream)
    for _ in range(MOST_SEGMENTS):
        if at + 4 > size or stream[at] != 0xFF:
            return "end of stream"
        marker = stream[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        length = _BE16(stream, at + 2)[0]
        if length < 2 or at + 2 + length > size:
            return _name_of(marker)
        body = stream[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xDA:
            return _check_scan(stream, at, body, coding) if frame_seen else "SOS"
        problem = _check_segment(marker, body, picture, coding, frame_seen=frame_seen)
        if problem:
            return problem
        frame_seen = frame_seen or marker == coding.frame_marker
    return "end of header"


def _check_segment(marker: int, body: bytes, picture: Picture, coding: _Jpeg, *, frame_seen: bool) -> str:
    if marker == coding.frame_marker:
        return _name_of(marker) if frame_seen or not _fits(body, picture, coding) else _NO_MARKER
    if marker not in coding.other_markers:
        return _name_of(marker)
    if marker == 0xC4 and not _are_huffman_tables(body):
        return "DHT"
    if marker == 0xF8 and body[:1] != b"\1":  # only thresholds: another kind could change the size
        return "LSE"
    return _NO_MARKER


def _fits(body: bytes, picture: Picture, coding: _Jpeg) -> bool:
    """Whether a frame header says what the DICOM header says: one component of the same size."""
    if len(body) != 9:
        return False
    precision, rows, columns, components = _JPEG_FRAME(body)
    return (
        rows == picture.rows
        and columns == picture.columns
        and components == 1
        and body[7] == 0x11
        and _holds(precision, picture, signed=False)
        and (coding.may_be_narrower or precision >= picture.bits_stored)
    )


def _holds(precision: int, picture: Picture, *, signed: bool) -> bool:
    """Whether samples of so many bits hold what the header states.

    Archives often state 16 bits for a stream of 12 or 14 (pydicom#2012): that is as good, unless the sign that
    the header wants has no place in the stream.
    """
    if picture.bits_stored <= precision <= 16:
        return True
    return FEWEST_BITS_OF_CT <= precision < picture.bits_stored and signed == bool(picture.pixel_representation)


def _are_huffman_tables(body: bytes) -> bool:
    """Whether each table fits its segment and its codes can exist (T.81 annex C: no more than the bits give)."""
    at = 0
    while at < len(body):
        counts = body[at + 1 : at + 17]
        used = sum(count << (15 - index) for index, count in enumerate(counts))
        at += 17 + sum(counts)
        if len(counts) < 16 or used > 1 << 16 or at > len(body):
            return False
    return at > 0


def _check_scan(stream: bytes, at: int, body: bytes, coding: _Jpeg) -> tuple[int, int, int] | str:
    """Follow the coded data to the end of the image, which must be the end of the stream."""
    if len(body) != 6 or body[0] != 1:
        return "SOS"
    end = coding.marker_in_data.search(stream, at)
    if end is None:
        return "EOI"
    if not end.group().endswith(b"\xff\xd9") or end.start() == at:
        return _name_of(end.group()[-1])
    if not _is_padding(stream[end.end() :]):
        return "EOI"
    return body[3], body[4], body[5]


def _is_padding(trailer: bytes) -> bool:
    """Whether nothing follows the end: encoders pad to even or whole words, and not all of them with zero."""
    return len(trailer) <= 1 or (len(trailer) <= MOST_PADDING_BYTES and not trailer.strip(b"\0"))


def _name_of(marker: int) -> str:
    if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
        return f"SOF{marker - 0xC0}"
    names = {0xC4: "DHT", 0xD8: "SOI", 0xD9: "EOI", 0xDA: "SOS", 0xDC: "DNL", 0xF7: "SOF55", 0xF8: "LSE"}
    return names.get(marker, f"FF {marker:02X}")


# --- JPEG 2000 and HTJ2K ------------------------------------------------------------------------------------------


def check_jpeg_2000(stream: bytes, picture: Picture) -> Findings:
    """Check a raw JPEG 2000 codestream: its size, one component, tiles no smaller than 32, whole to its end.

    A stream in a JP2 file is refused: PS3.5 8.2.4 forbids it, and the box reader is where the decoder was weak.
    """
    if len(stream) < 4 + _SIZE.size or stream[:4] != b"\xff\x4f\xff\x51":
        return _refused(Reason.JPEG_2000_DAMAGED)
    length, _, width, height, left, top, tile_width, tile_height, tile_left, tile_top, components, *component = (
        _SIZE.unpack_from(stream, 4)
    )
    depth, horizontal, vertical = component
    signed, bits = depth >> 7, (depth & 0x7F) + 1
    fits = (
        length == 41
        and components == 1
        and (width, height, left, top, tile_left, tile_top) == (picture.columns, picture.rows, 0, 0, 0, 0)
        and tile_width >= min(SMALLEST_TILE_PX, width)
        and tile_height >= min(SMALLEST_TILE_PX, height)
        and _holds(bits, picture, signed=bool(signed))
        and horizontal == vertical == 1
    )
    if not fits:
        return _refused(Reason.JPEG_2000_DAMAGED)
    reversible = _walk_to_the_end(stream, 4 + length)
    if reversible is None:
        return _refused(Reason.JPEG_2000_DAMAGED)
    loss = () if reversible else (Finding(Outcome.WARNED, Reason.LOSSY),)
    sign = (Finding(Outcome.WARNED, Reason.SIGN_DIFFERS),) if signed != picture.pixel_representation else ()
    return loss + sign


def _walk_to_the_end(stream: bytes, at: int) -> bool | None:
    """Follow the main header and the tile-parts; whether the wavelet is reversible, None where it breaks."""
    reversible: bool | None = None
    for _ in range(MOST_SEGMENTS):
        if at + 4 > len(stream) or stream[at] != 0xFF:
            return None
        marker, length = stream[at + 1], _BE16(stream, at + 2)[0]
        if marker == 0x90:  # SOT: the main header is over
            return reversible if _tile_parts_end_well(stream, at) else None
        short = 12 if marker == 0x52 else 2
        if length < short or at + 2 + length > len(stream) or marker == 0x51:  # one size is enough
            return None
        if marker == 0x52:  # COD
            reversible = stream[at + 13] == 1
        at += 2 + length
    return None


def _tile_parts_end_well(stream: bytes, at: int) -> bool:
    """Whether the tile-parts, by their own lengths, lead to the end of the codestream and no further."""
    size = stream.rfind(b"\xff\xd9") + 2
    if size < 2 or not _is_padding(stream[size:]):
        return False
    while at + _TILE_PART.size <= size:
        marker, length, _, part, _, _ = _TILE_PART.unpack_from(stream, at)
        if marker != 0xFF90 or length != 10:
            return False
        if part == 0:  # the last one: to the end
            return True
        if part < 14:
            return False
        at += part
    return at == size - 2
