"""The pre-scan: what a file must be before pydicom or a decoder sees it (reliability rules 2 to 17).

The rules up to 8 hold for every file: the file meta header, the transfer syntax, and a data set in which
every length lies inside its parent. An object of another kind than CT is then set aside as not ours. For
CT images the header of the pixels, the numbers of the geometry, the identifiers and the structure of the
compressed frames are proved from the bytes; what the rules tolerate becomes a warned finding.

Source: DICOM PS3.3 C.7.6.2, C.7.6.3, C.8.2.1; PS3.5 sections 6 to 8, annexes A and G; PS3.10 section 7.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.child.codestreams import (
    MOST_NEAR,
    Picture,
    check_jpeg_2000,
    check_jpeg_lossless,
    check_jpeg_ls,
    check_rle,
)
from aicorona_desktop.dicom.child.elements import (
    BLANK_VR,
    PIXEL_DATA,
    UNDEFINED,
    Encoding,
    Meta,
    RefusedError,
    Walk,
    keyword,
    read_meta,
    refused,
)

__all__ = ["PixelData", "RefusedError", "Scan", "scan"]

CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT: Final = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
CT_CLASSES: Final = ENHANCED_CT | {CT_IMAGE}
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

FEWEST_PIXELS_A_SIDE: Final = 16
MOST_PIXELS_A_SIDE: Final = 4096
MOST_PIXELS_A_SIDE_OF_A_LOCALIZER: Final = 16384
MOST_FRAMES: Final = 4096
MOST_BYTES_OF_FRAMES: Final = 2 * 1024**3
MOST_FRAGMENTS: Final = 512
ELEMENTS_A_FRAME: Final = 64  # an enhanced object describes each frame in items of its own
FARTHEST_MM: Final = 10_000.0
SPACING_MM: Final = (0.05, 10.0)
LONGEST_NUMBER: Final = 64

_Check = Callable[[bytes, Picture], tuple[Finding, ...]]

# What each compressed transfer syntax must look like; the other ones that we read are native.
_CHECKS: Final[Mapping[str, _Check]] = MappingProxyType(
    {
        "1.2.840.10008.1.2.5": check_rle,
        "1.2.840.10008.1.2.4.57": check_jpeg_lossless,
        "1.2.840.10008.1.2.4.70": check_jpeg_lossless,
        "1.2.840.10008.1.2.4.80": lambda stream, picture: check_jpeg_ls(stream, picture, 0),
        "1.2.840.10008.1.2.4.81": lambda stream, picture: check_jpeg_ls(stream, picture, MOST_NEAR),
        "1.2.840.10008.1.2.4.90": check_jpeg_2000,
        "1.2.840.10008.1.2.4.91": check_jpeg_2000,
        "1.2.840.10008.1.2.4.201": check_jpeg_2000,
        "1.2.840.10008.1.2.4.202": check_jpeg_2000,
        "1.2.840.10008.1.2.4.203": check_jpeg_2000,
    }
)
_NATIVE: Final = MappingProxyType(
    {
        IMPLICIT: Encoding(implicit=True),
        EXPLICIT: Encoding(),
        DEFLATED: Encoding(),
        BIG_ENDIAN: Encoding(big_endian=True),
    }
)
# Nothing of these is decoded, but their data sets can be walked, so that an object of another kind is named as such.
_ONLY_WALKED: Final = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.(?!95$|205$)\d{1,3}")
_NAMES_OF_REFUSED: Final = MappingProxyType(
    {
        "1.2.840.10008.1.2.4.50": "JPEG Baseline, 8 bit with loss",
        "1.2.840.10008.1.2.4.51": "JPEG Extended, 12 bit with loss",
        "1.2.840.10008.1.2.4.53": "JPEG Spectral Selection, retired",
        "1.2.840.10008.1.2.4.55": "JPEG Full Progression, retired",
        "1.2.840.10008.1.2.4.94": "JPIP, pixels elsewhere",
        "1.2.840.10008.1.2.4.95": "JPIP, pixels elsewhere",
        "1.2.840.10008.1.2.4.100": "MPEG-2 video",
        "1.2.840.10008.1.2.4.107": "HEVC video",
    }
)

_UID = re.compile(rb"[0-9]+(?:\.[0-9]+)*")
_UID_TEXT = re.compile(rb"[0-9A-Za-z.-]{1,64}")
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CODE = re.compile(rb"[A-Z0-9_ ]{1,16}")
_LOCALIZER = re.compile(rb"(?<![A-Z0-9])(?:LOCALIZER|SCOUT|TOPOGRAM)(?![A-Z0-9])")
_SECONDARY = re.compile(rb"[^\\]*\\ *SECONDARY *(?:\\|$)")
_DEVICE = re.compile(rb"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?", re.IGNORECASE)

Place = tuple[str, int, int]  # VR ("" where implicit), offset of the value, its length


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where the pixels of the object lie in `Scan.data`.

    `offset` and `length` span the value: for native pixels the samples, for encapsulated ones all items
    before the delimiter. `fragments` are offset and length of each fragment, the offset table left out;
    `frames` are the same, grouped: the fragments of one frame, joined, are its codestream. Both are empty
    for native pixels, where frame k begins at offset + k * rows * columns * 2.
    """

    offset: int
    length: int
    fragments: tuple[tuple[int, int], ...]
    frames: tuple[tuple[tuple[int, int], ...], ...]
    encapsulated: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """A CT image whose structure has been proved.

    `data` are the bytes to hand on instead of the file: the same bytes, without what trails the data set;
    for the deflated syntax preamble, meta header (saying explicit VR little endian) and inflated data set.
    `transfer_syntax_uid` is what the file says. `top_level` maps the tags of the data set, private ones
    left out, to VR ("" where implicit), offset in `data` and length of the value (0xFFFFFFFF where the file
    leaves it open); the values of a big-endian file are big endian there, too. `findings` are all warned.
    """

    data: bytes
    transfer_syntax_uid: str
    sop_class_uid: str
    modality: str
    top_level: Mapping[int, Place]
    data_set_offset: int
    pixels: PixelData | None
    findings: tuple[Finding, ...]
    is_ct: bool


def scan(data: bytes) -> Scan:
    """Prove the structure of one file.

    Args:
        data: the whole file, at most what rule 1 lets through (256 MiB).

    Raises:
        RefusedError: a rule is broken (outcome refused), or this is no CT image (outcome ignored).
    """
    reading = _Reading(data)
    try:
        return _scan(reading)
    except RefusedError as error:
        raise RefusedError(error.finding, *reading.identity()) from None


@dataclass(slots=True)
class _Reading:
    """One file as far as it has been read."""

    data: bytes
    big_endian: bool = False
    top_level: dict[int, Place] = field(default_factory=dict)
    blank_vr: int = 0  # the tag of an element whose VR is two spaces
    findings: list[Finding] = field(default_factory=list)

    def warn(self, reason: Reason, found: float | None = None) -> None:
        if all(finding.reason is not reason for finding in self.findings):
            self.findings.append(Finding(Outcome.WARNED, reason, found=found))

    def value(self, tag: int) -> bytes | None:
        """Return the bytes of a top-level value; None where it is absent or a sequence of open length."""
        vr, offset, length = self.top_level.get(tag, ("", 0, UNDEFINED))
        return None if length == UNDEFINED or vr == "SQ" else self.data[offset : offset + length]

    def identity(self) -> tuple[str, str, str]:
        """Return study UID, series UID and patient ID, "" where they are absent or not what they should be."""
        study, series = (_uid_text(self.value(tag) or b"") or "" for tag in (0x0020000D, 0x0020000E))
        patient = (self.value(0x00100020) or b"")[:64].decode("utf-8", "replace").strip(" \0")
        return study, series, patient if patient.isprintable() else ""


def _scan(reading: _Reading) -> Scan:
    meta = read_meta(reading.data)
    if meta.sop_class_uid == MEDIA_DIRECTORY.encode():
        raise _ignored(Reason.DICOMDIR_FILE)
    if reading.data[:2] == b"MZ" or reading.data[:4] == b"\x7fELF":
        reading.warn(Reason.PREAMBLE_EXECUTABLE)
    if not meta.has_group_length:
        reading.warn(Reason.META_GROUP_LENGTH)
    transfer_syntax, encoding = _encoding_of(meta)
    start = meta.end
    if transfer_syntax == DEFLATED:
        reading.data, start = _inflated(reading.data, meta)
    reading.big_endian = encoding.big_endian
    fragments = _walk(reading, start, encoding)
    sop_class, modality = _kind(reading, meta)
    _check_meta(reading, meta)
    if transfer_syntax not in _CHECKS and transfer_syntax not in _NATIVE:
        raise refused(Reason.TRANSFER_SYNTAX, _NAMES_OF_REFUSED.get(transfer_syntax, transfer_syntax))
    _check_identifiers(reading, meta)
    pixels = _check_ct(reading, sop_class, transfer_syntax, fragments)
    return Scan(
        data=reading.data,
        transfer_syntax_uid=transfer_syntax,
        sop_class_uid=sop_class,
        modality=modality,
        top_level=MappingProxyType(reading.top_level),
        data_set_offset=start,
        pixels=pixels,
        findings=tuple(reading.findings),
        is_ct=True,
    )


def _ignored(reason: Reason, name: str = "") -> RefusedError:
    return RefusedError(Finding(Outcome.IGNORED, reason, name=name))


# --- rules 4 and 5: transfer syntax, deflate ----------------------------------------------------------------------


def _encoding_of(meta: Meta) -> tuple[str, Encoding]:
    uid = meta.transfer_syntax_uid
    if not uid:
        raise refused(Reason.TRANSFER_SYNTAX_MISSING)
    if not _UID.fullmatch(uid) or len(uid) > 64:
        raise refused(Reason.TRANSFER_SYNTAX, "not a UID")
    text = uid.decode("ascii")
    if text in _NATIVE:
        return text, _NATIVE[text]
    if text in _CHECKS or _ONLY_WALKED.fullmatch(text):
        return text, Encoding(encapsulated=True)
    raise refused(Reason.TRANSFER_SYNTAX, _NAMES_OF_REFUSED.get(text, text))


def _inflated(data: bytes, meta: Meta) -> tuple[bytes, int]:
    """Return the file as explicit VR little endian, and where its data set begins.

    Source: DICOM PS3.5 A.5: a raw deflate stream, one byte of padding behind it where its length is odd.
    """
    packed = memoryview(data)[meta.end :]
    most = min(50 * len(packed) + 64 * 1024, 64 * 1024 * 1024)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data_set = inflater.decompress(packed, most + 1)
    except zlib.error:
        raise refused(Reason.DEFLATE_BROKEN) from None
    if len(data_set) > most:
        raise refused(Reason.DEFLATE_TOO_LARGE, found=len(data_set) / max(1, len(packed)), needed=50)
    if not inflater.eof:
        raise refused(Reason.DEFLATE_BROKEN)
    if len(inflater.unused_data) > 1 and not _is_checksum(inflater.unused_data, data_set):
        raise refused(Reason.DEFLATE_TRAILING)
    header = _explicit_header(data, meta)
    return header + data_set, len(header)


def _is_checksum(trailer: bytes, data_set: bytes) -> bool:
    """Whether CRC-32 and size follow, as in gzip; some writers leave them there, and they prove the data."""
    return trailer[:8] == struct.pack("<II", zlib.crc32(data_set), len(data_set)) and len(trailer) <= 9


def _explicit_header(data: bytes, meta: Meta) -> bytes:
    """Return preamble and meta header with the transfer syntax changed, and the group length with it."""
    offset, length = meta.values[0x00020010]
    uid = EXPLICIT.encode() + b"\0" * (len(EXPLICIT) % 2)
    header = bytearray(data[: offset - 2] + struct.pack("<H", len(uid)) + uid + data[offset + length : meta.end])
    if meta.has_group_length:
        place, _ = meta.values[0x00020000]
        struct.pack_into("<I", header, place, len(header) - place - 4)
    return bytes(header)


# --- rules 6 to 8 and 17: the walk --------------------------------------------------------------------------------


def _walk(reading: _Reading, start: int, encoding: Encoding) -> list[tuple[int, int]]:
    """Walk the data set, note its top level, cut what trails it; return the fragments of its pixel data."""
    walk = Walk(reading.data, start, encoding)
    top_level = reading.top_level
    for depth, tag, vr, offset, length in walk:
        if vr == BLANK_VR:
            reading.blank_vr = tag
        if tag == 0x00080005:
            _check_character_set(reading.data, vr, offset, length)
        if depth or tag & 0x10000:
            continue
        top_level[tag] = (vr, offset, length)
        if tag == 0x00280008 and _text(reading, 0x00080016) in ENHANCED_CT:
            walk.most_elements += ELEMENTS_A_FRAME * _frames_declared(reading)
    if PIXEL_DATA in top_level and walk.fragments:
        vr, offset, _ = top_level[PIXEL_DATA]
        last = walk.fragments[-1]
        top_level[PIXEL_DATA] = (vr, offset, last[0] + last[1] - offset)
    trailing = len(reading.data) - walk.at
    if trailing:
        reading.warn(Reason.TRAILING_BYTES, found=trailing)
        reading.data = reading.data[: walk.at]
    return walk.fragments


def _check_character_set(data: bytes, vr: str, offset: int, length: int) -> None:
    """Refuse what makes pydicom fail as a whole; an unknown name of a character set does not."""
    if vr not in {"CS", ""} or length == UNDEFINED or b"\0" in data[offset : offset + length].rstrip(b"\0 "):
        raise refused(Reason.VALUE_VR, keyword(0x00080005))


def _frames_declared(reading: _Reading) -> int:
    text = (reading.value(0x00280008) or b"").strip(b" \0")
    return min(int(text), MOST_FRAMES) if re.fullmatch(rb"[0-9]{1,4}", text) else 0


def _check_meta(reading: _Reading, meta: Meta) -> None:
    """Rules 3, 4 and 6 where the data set could be walked all the same: other objects are still named as such."""
    if not meta.group_length_right:
        raise refused(Reason.META_GROUP_LENGTH)
    own = (reading.value(0x00080018) or b"").rstrip(b"\0 ")
    if own and meta.sop_instance_uid and own != meta.sop_instance_uid:
        raise refused(Reason.META_UID_DIFFERS)
    if reading.blank_vr:
        raise refused(Reason.UNKNOWN_VR, keyword(reading.blank_vr))


def _text(reading: _Reading, tag: int) -> str:
    return (reading.value(tag) or b"").strip(b"\0 ").decode("ascii", "replace")


def _kind(reading: _Reading, meta: Meta) -> tuple[str, str]:
    """Return SOP class and modality of a CT image; everything else ends here.

    A file that is CT by one of the two and silent about the other is refused, not set aside: nobody
    should lose a slice because its header was cut.
    """
    sop_class = _text(reading, 0x00080016)
    modality = _text(reading, 0x00080060).upper()
    shown = modality if _CODE.fullmatch(modality.encode()) else "unknown"
    declared = sop_class or meta.sop_class_uid.decode("ascii", "replace")
    if not declared and (modality == "CT" or PIXEL_DATA in reading.top_level):
        raise refused(Reason.VALUE_MISSING, "SOPClassUID")
    if declared not in CT_CLASSES:
        if modality == "CT" and (declared == SECONDARY_CAPTURE or declared.startswith(SECONDARY_CAPTURE + ".")):
            raise _ignored(Reason.SECONDARY_CAPTURE)
        raise _ignored(Reason.NOT_CT, "CT, another SOP class" if shown == "CT" else shown)
    if modality not in {"CT", ""}:
        raise _ignored(Reason.NOT_CT, shown)
    for present, name in ((sop_class, "SOPClassUID"), (modality, "Modality")):
        if not present:
            raise refused(Reason.VALUE_MISSING, name)
    return sop_class, modality


# --- rules 9 to 16: CT images -------------------------------------------------------------------------------------


def _check_ct(
    reading: _Reading, sop_class: str, transfer_syntax: str, fragments: list[tuple[int, int]]
) -> PixelData | None:
    enhanced = sop_class in ENHANCED_CT
    image_type = (reading.value(0x00080008) or b"").upper()
    localizer = _LOCALIZER.search(image_type) is not None
    if _SECONDARY.match(image_type) and not enhanced and not reading.value(0x00200032):
        raise _ignored(Reason.SECONDARY_CAPTURE)  # a dose report or screen under the class of CT slices
    if {0x7FE00008, 0x7FE00009} & reading.top_level.keys():
        raise refused(Reason.FLOAT_PIXELS)
    if PIXEL_DATA not in reading.top_level:
        raise refused(Reason.VALUE_MISSING, keyword(PIXEL_DATA))
    picture = _picture(reading, localizer=localizer)
    frames = _frames(reading, picture, enhanced=enhanced)
    _check_numbers(reading, needs_place=not enhanced and not localizer)
    if enhanced:
        _check_functional_groups(reading)
    if transfer_syntax in _NATIVE:
        return _native(reading, picture, frames)
    return _encapsulated(reading, picture, frames, fragments, _CHECKS[transfer_syntax])


def _check_functional_groups(reading: _Reading) -> None:
    """Only real sequences have been walked; in a value of another kind nothing is proved."""
    for tag in (0x52009229, 0x52009230):
        vr, _, length = reading.top_level.get(tag, ("SQ", 0, 0))
        if vr != "SQ" and length != UNDEFINED and not (vr == "" and _begins_with_an_item(reading, tag)):
            raise refused(Reason.BAD_STRUCTURE)


def _begins_with_an_item(reading: _Reading, tag: int) -> bool:
    value = reading.value(tag) or b""
    return not value or value.startswith(b"\xfe\xff\x00\xe0")


# --- identifiers ----


def _check_identifiers(reading: _Reading, meta: Meta) -> None:
    for tag in (0x0020000D, 0x0020000E):
        if not reading.value(tag):
            raise refused(Reason.VALUE_MISSING, keyword(tag))
        _check_uid(reading, tag)
    nameless = not reading.value(0x00080018) and not meta.sop_instance_uid
    if nameless or 0x00080018 not in reading.top_level:  # public sets are; an emptied one beside a full one is refused
        reading.warn(Reason.ODD_UID)
    else:
        _check_uid(reading, 0x00080018)
    if reading.value(0x00200052):
        _check_uid(reading, 0x00200052)


def _check_uid(reading: _Reading, tag: int) -> None:
    if reading.top_level[tag][0] not in {"UI", ""}:
        raise refused(Reason.VALUE_VR, keyword(tag))
    text = _uid_text(reading.value(tag) or b"")
    if text is None:
        raise refused(Reason.BAD_UID, keyword(tag))
    if not _UID.fullmatch(text.encode()):
        reading.warn(Reason.ODD_UID)


def _uid_text(value: bytes) -> str | None:
    """Return a UID, or text that can stand for one as public de-identified sets write it; None for any other."""
    text = value.rstrip(b"\0 ")
    if not _UID_TEXT.fullmatch(text) or b".." in text or _DEVICE.fullmatch(text):
        return None
    return text.decode("ascii")


# --- the header of the pixels ----


def _picture(reading: _Reading, *, localizer: bool) -> Picture:
    rows, columns = _unsigned(reading, 0x00280010), _unsigned(reading, 0x00280011)
    least = 1 if localizer else FEWEST_PIXELS_A_SIDE
    most = MOST_PIXELS_A_SIDE_OF_A_LOCALIZER if localizer else MOST_PIXELS_A_SIDE
    for tag, side in ((0x00280010, rows), (0x00280011, columns)):
        if not least <= side <= most:
            raise refused(Reason.ROWS_COLUMNS, keyword(tag), found=side)
    samples = _unsigned(reading, 0x00280002)
    if samples != 1:
        raise refused(Reason.SAMPLES, found=samples)
    photometric = (reading.value(0x00280004) or b"").strip(b" \0")
    if photometric not in {b"MONOCHROME1", b"MONOCHROME2"}:
        raise refused(Reason.PHOTOMETRIC_REFUSED, _photometric_name(photometric))
    stored = _bits_stored(reading)
    representation = _unsigned(reading, 0x00280103)
    if representation > 1:
        raise refused(Reason.PIXEL_REPRESENTATION)
    return Picture(rows, columns, stored, representation)


def _photometric_name(value: bytes) -> str:
    return value.decode("ascii") if _CODE.fullmatch(value) else "missing" if not value else "unknown"


def _bits_stored(reading: _Reading) -> int:
    allocated, stored, high = (_unsigned(reading, tag) for tag in (0x00280100, 0x00280101, 0x00280102))
    for tag, bits, right in (
        (0x00280100, allocated, allocated == 16),
        (0x00280101, stored, 8 <= stored <= 16),
        (0x00280102, high, high == stored - 1),
    ):
        if not right:
            raise refused(Reason.BITS, keyword(tag), found=bits)
    return stored


def _unsigned(reading: _Reading, tag: int) -> int:
    """Return the one number of a US element."""
    value = reading.value(tag)
    if not value:
        raise refused(Reason.VALUE_MISSING, keyword(tag))
    if reading.top_level[tag][0] not in {"US", ""} or len(value) != 2:
        raise refused(Reason.VALUE_VR, keyword(tag))
    return int.from_bytes(value, "big" if reading.big_endian else "little")


def _frames(reading: _Reading, picture: Picture, *, enhanced: bool) -> int:
    value = reading.value(0x00280008)
    if not value:
        return 1
    text = value.strip(b" \0")
    if reading.top_level[0x00280008][0] not in {"IS", ""} or not re.fullmatch(rb"\+?[0-9]{1,12}", text):
        raise refused(Reason.FRAMES)
    frames = int(text)
    size = frames * picture.rows * picture.columns * 2
    if not 1 <= frames <= (MOST_FRAMES if enhanced else 1) or size > MOST_BYTES_OF_FRAMES:
        raise refused(Reason.FRAMES)
    return frames


# --- numbers ----


def _check_numbers(reading: _Reading, *, needs_place: bool) -> None:
    """Check what the geometry and the HU rest on; whether the values suit the model is the gate's question."""
    for tag in (0x00281052, 0x00281053):
        if reading.value(tag) and len(_numbers(reading, tag)) != 1:
            raise refused(Reason.BAD_NUMBER, keyword(tag))
    if reading.value(0x00280030):
        spacing = _numbers(reading, 0x00280030)
        if len(spacing) != 2 or not all(SPACING_MM[0] <= mm <= SPACING_MM[1] for mm in spacing):
            raise refused(Reason.BAD_SPACING)
    for tag, check in ((0x00200032, _check_position), (0x00200037, _check_orientation)):
        if reading.value(tag):
            check(_numbers(reading, tag))
        elif needs_place:
            raise refused(Reason.VALUE_MISSING, keyword(tag))


def _numbers(reading: _Reading, tag: int) -> tuple[float, ...]:
    """Return the finite numbers of a DS element, () where one of them is none."""
    value = reading.value(tag) or b""
    parts = [part.strip(b" ") for part in value.removesuffix(b"\0").split(b"\\")]
    if reading.top_level[tag][0] not in {"DS", ""}:
        raise refused(Reason.VALUE_VR, keyword(tag))
    if len(parts) > 6 or not all(len(part) <= LONGEST_NUMBER and _NUMBER.fullmatch(part) for part in parts):
        return ()
    numbers = tuple(float(part) for part in parts)
    return numbers if all(math.isfinite(number) for number in numbers) else ()


def _check_position(position: tuple[float, ...]) -> None:
    if len(position) != 3 or any(abs(mm) > FARTHEST_MM for mm in position):
        raise refused(Reason.BAD_POSITION)


def _check_orientation(cosines: tuple[float, ...]) -> None:
    if len(cosines) != 6:
        raise refused(Reason.BAD_ORIENTATION)
    row, column = cosines[:3], cosines[3:]
    unit = all(abs(math.hypot(*vector) - 1) <= 0.002 for vector in (row, column))
    if not unit or abs(sum(a * b for a, b in zip(row, column, strict=True))) > 0.001:
        raise refused(Reason.BAD_ORIENTATION)


# --- pixel data ----


def _native(reading: _Reading, picture: Picture, frames: int) -> PixelData:
    vr, offset, length = reading.top_level[PIXEL_DATA]
    if vr not in ({"OW"} if reading.big_endian else {"OW", "OB", ""}):
        raise refused(Reason.VALUE_VR, keyword(PIXEL_DATA))
    needed = picture.rows * picture.columns * 2 * frames
    if length != needed:
        raise refused(Reason.PIXEL_LENGTH, found=length, needed=needed)
    return PixelData(offset, length, (), (), encapsulated=False)


def _encapsulated(
    reading: _Reading, picture: Picture, frames: int, items: list[tuple[int, int]], check: _Check
) -> PixelData:
    _, offset, length = reading.top_level[PIXEL_DATA]
    if not items:
        raise refused(Reason.FRAGMENTS if length in {UNDEFINED, 0} else Reason.PIXEL_ENCAPSULATION)
    table, *fragments = items
    most = picture.rows * picture.columns * 4 * frames + 64 * 1024
    if (
        not 1 <= len(fragments) <= max(MOST_FRAGMENTS, 2 * frames)
        or any(size == 0 for _, size in fragments)
        or sum(size for _, size in fragments) > most
    ):
        raise refused(Reason.FRAGMENTS)
    grouped = _grouped(_offsets(reading.data, table), fragments, frames)
    for pieces in grouped:
        stream = b"".join(reading.data[at : at + size] for at, size in pieces)
        for finding in check(stream, picture):
            if finding.outcome is Outcome.REFUSED:
                raise RefusedError(finding)
            reading.warn(finding.reason, finding.found)
    return PixelData(offset, length, tuple(fragments), grouped, encapsulated=True)


def _offsets(data: bytes, table: tuple[int, int]) -> tuple[int, ...]:
    """Return the entries of the basic offset table, none of them where it is empty."""
    at, length = table
    if length % 4 or length > 4 * MOST_FRAMES:
        raise refused(Reason.OFFSET_TABLE)
    return struct.unpack_from(f"<{length // 4}I", data, at)


def _grouped(
    offsets: tuple[int, ...], fragments: list[tuple[int, int]], frames: int
) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Share the fragments out among the frames, by the offset table or, without one, one for each.

    Source: DICOM PS3.5 A.4: an offset counts from the first fragment's item tag.
    """
    if not offsets:
        if frames > 1 and len(fragments) != frames:
            raise refused(Reason.OFFSET_TABLE)
        return (tuple(fragments),) if frames == 1 else tuple((fragment,) for fragment in fragments)
    first = fragments[0][0]
    index_of = {at - first: index for index, (at, _) in enumerate(fragments)}
    starts = [index_of.get(offset, -1) for offset in offsets]
    if len(starts) != frames or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
        raise refused(Reason.OFFSET_TABLE)
    ends = [*starts[1:], len(fragments)]
    return tuple(tuple(fragments[start:end]) for start, end in zip(starts, ends, strict=True))
