"""A bounded walk through the elements of a DICOM data set, from its bytes alone.

Nothing here recurses, allocates what a length merely claims, or looks inside a value: the walk proves
that every element, item and delimiter lies where its parent says, and tells the caller where.

Source: DICOM PS3.5 section 7 (data set), annex A.4 (encapsulated pixel data), PS3.10 section 7.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aicorona_desktop.core.findings import Finding, Outcome, Reason

UNDEFINED: Final = 0xFFFFFFFF
DEEPEST: Final = 16
MOST_ELEMENTS: Final = 20_000
LARGEST_ELEMENT_BYTES: Final = 16 * 1024 * 1024
LARGEST_META_BYTES: Final = 8 * 1024
LONGEST_FRAGMENT_BYTES: Final = 0x7FFFFFFF

ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
PIXEL_DATA: Final = 0x7FE00010
AFTER_PIXEL_DATA: Final = frozenset({0xFFFCFFFC, 0xFFFAFFFA})  # padding, digital signatures

KEYWORDS: Final = {
    0x00020001: "FileMetaInformationVersion",
    0x00020002: "MediaStorageSOPClassUID",
    0x00020003: "MediaStorageSOPInstanceUID",
    0x00020010: "TransferSyntaxUID",
    0x00020012: "ImplementationClassUID",
    0x00041220: "DirectoryRecordSequence",
    0x00080005: "SpecificCharacterSet",
    0x00080008: "ImageType",
    0x00080016: "SOPClassUID",
    0x00080018: "SOPInstanceUID",
    0x00080020: "StudyDate",
    0x00080021: "SeriesDate",
    0x00080022: "AcquisitionDate",
    0x00080023: "ContentDate",
    0x00080030: "StudyTime",
    0x00080031: "SeriesTime",
    0x00080032: "AcquisitionTime",
    0x00080033: "ContentTime",
    0x00080050: "AccessionNumber",
    0x00080060: "Modality",
    0x00080070: "Manufacturer",
    0x00080080: "InstitutionName",
    0x00080090: "ReferringPhysicianName",
    0x00081010: "StationName",
    0x00081030: "StudyDescription",
    0x0008103E: "SeriesDescription",
    0x00081090: "ManufacturerModelName",
    0x00081140: "ReferencedImageSequence",
    0x00082111: "DerivationDescription",
    0x00082112: "SourceImageSequence",
    0x00100010: "PatientName",
    0x00100020: "PatientID",
    0x00100021: "IssuerOfPatientID",
    0x00100030: "PatientBirthDate",
    0x00100040: "PatientSex",
    0x00101010: "PatientAge",
    0x00180010: "ContrastBolusAgent",
    0x00180015: "BodyPartExamined",
    0x00180050: "SliceThickness",
    0x00180060: "KVP",
    0x00180088: "SpacingBetweenSlices",
    0x00181030: "ProtocolName",
    0x00181120: "GantryDetectorTilt",
    0x00181210: "ConvolutionKernel",
    0x00185100: "PatientPosition",
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
    0x00200010: "StudyID",
    0x00200011: "SeriesNumber",
    0x00200012: "AcquisitionNumber",
    0x00200013: "InstanceNumber",
    0x00200032: "ImagePositionPatient",
    0x00200037: "ImageOrientationPatient",
    0x00200052: "FrameOfReferenceUID",
    0x00201041: "SliceLocation",
    0x00280002: "SamplesPerPixel",
    0x00280004: "PhotometricInterpretation",
    0x00280008: "NumberOfFrames",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280030: "PixelSpacing",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280102: "HighBit",
    0x00280103: "PixelRepresentation",
    0x00280106: "SmallestImagePixelValue",
    0x00280107: "LargestImagePixelValue",
    0x00280120: "PixelPaddingValue",
    0x00280121: "PixelPaddingRangeLimit",
    0x00280301: "BurnedInAnnotation",
    0x00281050: "WindowCenter",
    0x00281051: "WindowWidth",
    0x00281052: "RescaleIntercept",
    0x00281053: "RescaleSlope",
    0x00281054: "RescaleType",
    0x00282110: "LossyImageCompression",
    0x00282112: "LossyImageCompressionRatio",
    0x0040A730: "ContentSequence",
    0x00880200: "IconImageSequence",
    0x52009229: "SharedFunctionalGroupsSequence",
    0x52009230: "PerFrameFunctionalGroupsSequence",
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    PIXEL_DATA: "PixelData",
}

# GE screen saves write Pixel Padding Value with it. pydicom reads on out of step behind it, so the walk tells the
# caller, who must not hand such a file on.
BLANK_VR: Final = "  "

# bytes of the VR: its name, what its length must be a multiple of, whether its length has four bytes
VRS: Final[dict[bytes, tuple[str, int, bool]]] = {
    vr.encode(): (vr, unit, long)
    for vrs, unit, long in (
        (("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI", BLANK_VR), 1, False),
        (("US", "SS"), 2, False),
        (("AT", "FL", "SL", "UL"), 4, False),
        (("FD",), 8, False),
        (("OB", "SQ", "UC", "UN", "UR", "UT"), 1, True),
        (("OW",), 2, True),
        (("OF", "OL"), 4, True),
        (("OD", "OV", "SV", "UV"), 8, True),
    )
    for vr in vrs
}

# A length may be odd here: old writers did not pad their pixel data (PS3.5 8.1.1 asks for it). For CT the
# exact length is checked elsewhere, so nothing hides behind this.
ODD_LENGTH_TOLERATED: Final = frozenset({PIXEL_DATA})

Element = tuple[int, int, str, int, int]  # depth, tag, VR ("" where implicit), offset of the value, its length

_EXPLICIT_HEAD = {False: struct.Struct("<HH2sH").unpack_from, True: struct.Struct(">HH2sH").unpack_from}
_IMPLICIT_HEAD = {False: struct.Struct("<HHI").unpack_from, True: struct.Struct(">HHI").unpack_from}
_LONG_LENGTH = {False: struct.Struct("<I").unpack_from, True: struct.Struct(">I").unpack_from}
_NO_DATA_SET = (0, 2)  # groups of commands and of the file meta header
_ENDS = AFTER_PIXEL_DATA | {PIXEL_DATA}
_ITEM_BYTES = b"\xfe\xff\x00\xe0"


class RefusedError(Exception):
    """Ends the reading of one file; control flow inside the reader process only.

    `finding` says whether the file is refused or only not ours (ignored), and why. The identifiers are
    those that had been read by then, "" otherwise, so that a series can know what it lacks.
    """

    def __init__(
        self, finding: Finding, study_instance_uid: str = "", series_instance_uid: str = "", patient_id: str = ""
    ) -> None:
        super().__init__(str(finding))
        self.finding = finding
        self.study_instance_uid = study_instance_uid
        self.series_instance_uid = series_instance_uid
        self.patient_id = patient_id


def refused(reason: Reason, name: str = "", found: float | None = None, needed: float | None = None) -> RefusedError:
    """Return the error to raise for one broken rule."""
    return RefusedError(Finding(Outcome.REFUSED, reason, found=found, needed=needed, name=name))


def keyword(tag: int) -> str:
    """Return the DICOM keyword of a tag, or "(gggg,eeee)" for one that we never name."""
    return KEYWORDS.get(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a transfer syntax writes a data set."""

    implicit: bool = False
    big_endian: bool = False
    encapsulated: bool = False


@dataclass(slots=True)
class _Level:
    """What is open: a list of elements (the data set, an item) or a list of items (a sequence)."""

    end: int  # the parent's, where the own length is undefined
    holds_items: bool
    undefined: bool
    implicit: bool
    tag: int
    last_tag: int = -1


class Walk:
    """Iterate over the elements and items of a data set in the order in which they lie.

    Yields tuples (depth, tag, VR, offset, length): depth 0 is the data set itself, the items of its
    sequences and what is in them have depth 1. Length is `UNDEFINED` where the file leaves it open.
    After pixel data the walk ends at the first thing that may not stand there; `at` then says where.

    `most_elements` counts elements, items and fragments and may be raised while the walk goes on.
    `fragments` are offsets and lengths of the encapsulated pixel data of the data set, the offset table first.

    Raises:
        RefusedError: anything lies outside its parent, out of order, too deep, too large or unclosed.
    """

    def __init__(self, data: bytes, start: int, encoding: Encoding, most_elements: int = MOST_ELEMENTS) -> None:
        self._data = data
        self._encoding = encoding
        self._explicit_head = _EXPLICIT_HEAD[encoding.big_endian]
        self._implicit_head = _IMPLICIT_HEAD[encoding.big_endian]
        self._long_length = _LONG_LENGTH[encoding.big_endian]
        self._levels = [_Level(len(data), holds_items=False, undefined=False, implicit=encoding.implicit, tag=0)]
        self._count = 0
        self.most_elements = most_elements
        self.at = start
        self.fragments: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[Element]:
        levels = self._levels
        while levels:
            level = levels[-1]
            if self.at >= level.end:
                self._close(level)
                continue
            self._count += 1
            if self._count > self.most_elements:
                raise refused(Reason.TOO_MANY_ELEMENTS, needed=self.most_elements)
            element: Element | None = None
            if level.end - self.at < 8:
                self._cut_short(level)
            elif level.holds_items:
                element = self._item(level)
            elif level.implicit:
                element = self._implicit(level)
            else:
                element = self._explicit(level)
            if element is not None:
                yield element

    # --- one element ------------------------------------------------------------------------------------------

    def _explicit(self, level: _Level) -> Element | None:
        at = self.at
        group, number, vr_bytes, length = self._explicit_head(self._data, at)
        tag = group << 16 | number
        if (tag <= level.last_tag or group in _NO_DATA_SET or group > 0x7FE0) and not self._in_place(level, tag, at):
            return None
        level.last_tag = tag
        kind = VRS.get(vr_bytes)
        if kind is None:
            raise refused(Reason.UNKNOWN_VR, keyword(tag))
        vr, unit, long = kind
        if not long:
            return self._value(level, tag, (vr, unit), at + 8, length)
        if level.end - at < 12:
            self._cut_short(level)
            return None
        return self._value(level, tag, (vr, unit), at + 12, self._long_length(self._data, at + 8)[0])

    def _implicit(self, level: _Level) -> Element | None:
        at = self.at
        group, number, length = self._implicit_head(self._data, at)
        tag = group << 16 | number
        if (tag <= level.last_tag or group in _NO_DATA_SET or group > 0x7FE0) and not self._in_place(level, tag, at):
            return None
        level.last_tag = tag
        return self._value(level, tag, ("", 1), at + 8, length)

    def _value(self, level: _Level, tag: int, kind: tuple[str, int], at: int, length: int) -> Element:
        vr, unit = kind
        depth = len(self._levels) >> 1
        if length == UNDEFINED:
            self._undefined(level, tag, vr, at)
            return depth, tag, vr, at, length
        end = at + length
        if end > level.end:
            raise self._past_the_end(level, tag, at, length)
        if length & 1 and tag not in ODD_LENGTH_TOLERATED:
            raise refused(Reason.ODD_LENGTH, keyword(tag))
        if unit > 1 and length % unit and tag not in ODD_LENGTH_TOLERATED:
            raise refused(Reason.VR_LENGTH, keyword(tag))
        if vr == "SQ" or (not vr and self._looks_like_a_sequence(tag, at, length)):
            self._open_sequence(tag, at, end, undefined=False, implicit=level.implicit)
            return depth, tag, vr, at, length
        if length > LARGEST_ELEMENT_BYTES and (tag != PIXEL_DATA or depth):
            raise refused(Reason.ELEMENT_LENGTH, keyword(tag))
        self.at = end
        return depth, tag, vr, at, length

    def _looks_like_a_sequence(self, tag: int, at: int, length: int) -> bool:
        """Whether a value of implicit VR begins as a sequence does; then its inside is proved as well."""
        return length >= 8 and not tag >> 16 & 1 and self._data.startswith(_ITEM_BYTES, at)

    def _undefined(self, level: _Level, tag: int, vr: str, at: int) -> None:
        if tag == PIXEL_DATA and vr != "SQ":
            self._open_pixel_data(level, vr, at)
        elif vr in {"SQ", "UN", ""}:  # UN of undefined length is a sequence in implicit VR (PS3.5 6.2.2, note 4)
            self._open_sequence(tag, at, level.end, undefined=True, implicit=level.implicit or vr != "SQ")
        else:
            raise refused(Reason.UNDEFINED_LENGTH, keyword(tag))

    # --- sequences and items ----------------------------------------------------------------------------------

    def _open_sequence(self, tag: int, at: int, end: int, *, undefined: bool, implicit: bool) -> None:
        if len(self._levels) > 2 * (DEEPEST - 1):
            raise refused(Reason.NESTED_TOO_DEEP, needed=DEEPEST)
        self.at = at
        self._levels.append(_Level(end, holds_items=True, undefined=undefined, implicit=implicit, tag=tag))

    def _item(self, level: _Level) -> Element | None:
        at = self.at
        group, number, length = self._implicit_head(self._data, at)
        tag = group << 16 | number
        self.at = at + 8
        if tag == SEQUENCE_END:
            self._delimit(level, length)
            return None
        if tag != ITEM:
            raise refused(Reason.ITEM_LENGTH, keyword(level.tag))
        undefined = length == UNDEFINED
        end = level.end if undefined else at + 8 + length
        if end > level.end:
            raise refused(Reason.ITEM_LENGTH, keyword(level.tag))
        depth = len(self._levels) >> 1
        implicit = self._is_implicit(level, at + 8)
        self._levels.append(_Level(end, holds_items=False, undefined=undefined, implicit=implicit, tag=level.tag))
        return depth, ITEM, "", at + 8, length

    def _is_implicit(self, level: _Level, at: int) -> bool:
        """How the item at `at` is written: some writers leave private sequences in the other of the two ways.

        Nothing in there is ever named; GDCM knows them as UNExplicit and ExplicitImplicit data elements.
        """
        if self._encoding.implicit or not level.tag >> 16 & 1:
            return level.implicit
        return self._data[at + 4 : at + 6] not in VRS

    def _delimit(self, level: _Level, length: int) -> None:
        if not level.undefined or length:
            raise refused(Reason.DELIMITER, keyword(level.tag))
        self._levels.pop()

    def _close(self, level: _Level) -> None:
        if level.undefined:
            raise refused(Reason.DELIMITER, keyword(level.tag))
        self._levels.pop()

    # --- encapsulated pixel data ------------------------------------------------------------------------------

    def _open_pixel_data(self, level: _Level, vr: str, at: int) -> None:
        if not self._encoding.encapsulated or vr not in {"OB", "OW"}:
            raise refused(Reason.PIXEL_ENCAPSULATION)
        fragments: list[tuple[int, int]] = []
        while True:
            if level.end - at < 8:
                raise refused(Reason.TRUNCATED, keyword(PIXEL_DATA))
            group, number, length = self._implicit_head(self._data, at)
            tag, at = group << 16 | number, at + 8
            if tag != ITEM:
                break
            self._prove_fragment(level, at, length)
            fragments.append((at, length))
            at += length
        if tag != SEQUENCE_END or length:
            raise refused(Reason.FRAGMENTS)
        self.at = at
        if len(self._levels) == 1:
            self.fragments = fragments

    def _prove_fragment(self, level: _Level, at: int, length: int) -> None:
        self._count += 1
        if self._count > self.most_elements:
            raise refused(Reason.TOO_MANY_ELEMENTS, needed=self.most_elements)
        if length & 1 or length > LONGEST_FRAGMENT_BYTES:
            raise refused(Reason.FRAGMENTS)
        if at + length > level.end:
            raise refused(Reason.TRUNCATED, keyword(PIXEL_DATA))

    # --- what stands where it may not -------------------------------------------------------------------------

    def _in_place(self, level: _Level, tag: int, at: int) -> bool:
        """Look closer at a tag that is no common one; False where it ends something, or the walk."""
        if len(self._levels) == 1 and level.last_tag in _ENDS:
            return self._after_pixel_data(level, tag)
        if tag == ITEM_END and len(self._levels) > 1:
            self.at = at + 8
            self._delimit(level, self._implicit_head(self._data, at)[2])
            return False
        if tag >> 16 in _NO_DATA_SET or tag >> 16 == 0xFFFE:
            raise refused(Reason.TAG_IN_WRONG_PLACE, keyword(tag))
        if tag <= level.last_tag:
            raise refused(Reason.TAG_TWICE if tag == level.last_tag else Reason.TAG_ORDER, keyword(tag))
        return True

    def _after_pixel_data(self, level: _Level, tag: int) -> bool:
        if tag == PIXEL_DATA == level.last_tag:
            raise refused(Reason.TAG_TWICE, keyword(tag))
        if tag in AFTER_PIXEL_DATA and tag > level.last_tag:
            return True
        self._levels.clear()
        return False

    def _cut_short(self, level: _Level) -> None:
        """Handle a rest too short for a header: trailing bytes after pixel data, else a breach."""
        if len(self._levels) == 1 and level.last_tag in _ENDS:
            self._levels.clear()
            return
        name = keyword(level.tag) if level.tag else ""
        raise refused(Reason.TRUNCATED if level.end == len(self._data) else Reason.PARENT_LENGTH, name)

    def _past_the_end(self, level: _Level, tag: int, at: int, length: int) -> RefusedError:
        if level.implicit and self._data[at - 4 : at - 2] in VRS:
            return refused(Reason.UNKNOWN_VR, keyword(tag))
        if level.end < len(self._data):
            return refused(Reason.PARENT_LENGTH, keyword(tag))
        believable = length <= LARGEST_ELEMENT_BYTES or tag == PIXEL_DATA
        return refused(Reason.TRUNCATED if believable else Reason.ELEMENT_LENGTH, keyword(tag))


# --- the file meta header -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meta:
    """The file meta header: the three UIDs that matter, and where things lie.

    `values` has the offset and length of each element's value; `end` is where the data set begins.
    """

    transfer_syntax_uid: bytes | None
    sop_class_uid: bytes
    sop_instance_uid: bytes
    values: dict[int, tuple[int, int]]
    end: int
    has_group_length: bool
    group_length_right: bool


def read_meta(data: bytes) -> Meta:
    """Read the file meta header, which is explicit VR little endian whatever follows it.

    Raises:
        RefusedError: there is no DICM mark, or the header is cut, too long or no list of elements.

    Source: DICOM PS3.10 7.1.
    """
    if not data:
        raise refused(Reason.EMPTY_FILE)
    if len(data) < 132 or data[128:132] != b"DICM":
        raise refused(Reason.NOT_DICOM)
    if len(data) == 132:
        raise refused(Reason.TRUNCATED, "the file meta header")
    values, end = _meta_values(data)

    def value(tag: int) -> bytes | None:
        if tag not in values:
            return None
        offset, length = values[tag]
        return data[offset : offset + length].rstrip(b"\0 ")

    return Meta(
        transfer_syntax_uid=value(0x00020010),
        sop_class_uid=value(0x00020002) or b"",
        sop_instance_uid=value(0x00020003) or b"",
        values=values,
        end=end,
        has_group_length=0x00020000 in values,
        group_length_right=_is_group_length_right(data, values.get(0x00020000), end),
    )


def _meta_values(data: bytes) -> tuple[dict[int, tuple[int, int]], int]:
    values: dict[int, tuple[int, int]] = {}
    at, last_tag, size = 132, -1, len(data)
    while at < size:
        if size - at < 8:
            raise refused(Reason.TRUNCATED, "the file meta header")
        group, number, vr_bytes, length = _EXPLICIT_HEAD[False](data, at)
        if group != 2:
            break
        tag = group << 16 | number
        if tag <= last_tag:
            raise refused(Reason.TAG_TWICE if tag == last_tag else Reason.TAG_ORDER, keyword(tag))
        at, length = _meta_value_at(data, at, vr_bytes, length, tag)
        values[tag] = (at, length)
        last_tag, at = tag, at + length
    return values, at


def _meta_value_at(data: bytes, at: int, vr_bytes: bytes, length: int, tag: int) -> tuple[int, int]:
    """Return offset and length of one value of the file meta header, both proved."""
    kind = VRS.get(vr_bytes)
    if kind is None:
        raise refused(Reason.UNKNOWN_VR, keyword(tag))
    at += 8
    if kind[2]:
        if len(data) - at < 4:
            raise refused(Reason.TRUNCATED, "the file meta header")
        length = _LONG_LENGTH[False](data, at)[0]
        at += 4
    if at + length > 132 + 12 + LARGEST_META_BYTES:
        raise refused(Reason.META_TOO_LONG)
    if at + length > len(data):
        raise refused(Reason.TRUNCATED, "the file meta header")
    if length & 1:
        raise refused(Reason.ODD_LENGTH, keyword(tag))
    return at, length


def _is_group_length_right(data: bytes, place: tuple[int, int] | None, end: int) -> bool:
    if place is None:
        return True
    offset, length = place
    if length != 4:
        return False
    group_length = _LONG_LENGTH[False](data, offset)[0]
    if group_length > LARGEST_META_BYTES:
        raise refused(Reason.META_TOO_LONG)
    if offset + length + group_length > len(data):
        raise refused(Reason.TRUNCATED, "the file meta header")
    return bool(offset + length + group_length == end)
