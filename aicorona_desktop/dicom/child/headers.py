"""The named tags of a slice, decoded by pydicom value by value; nothing else of the file is looked at.

The pre-scan has proved where each element lies, so that no data set is parsed here: the bytes of the named
elements alone go to pydicom's converters. Identity and everything that touches pixels was refused there when
it broke a rule; what breaks here costs its own value and a warning.

Source: DICOM PS3.5 6.2 (value representations), PS3.3 C.12.1.1.2 (character sets), C.7.6.16 (functional groups).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydicom import config
from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS
from pydicom.values import convert_SQ, convert_value

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.headers import Header, Vector
from aicorona_desktop.dicom.child.elements import UNDEFINED
from aicorona_desktop.dicom.child.prescan import BIG_ENDIAN, ENHANCED_CT, IMPLICIT, Scan
from aicorona_desktop.dicom.protocol import CHARACTER_SETS, UNSHOWABLE

MOST_IMAGE_TYPES = 16
KOREAN_BEGINS = b"\x1b$)C"  # ISO 2022 IR 149, which Python writes otherwise
LONGEST_NAME = 3 * 64  # characters; three groups (PS3.5 6.2)
LARGEST_POSITION_MM = 10_000.0
UNIT_TOLERANCE, RIGHT_ANGLE_TOLERANCE = 0.002, 0.001
SMALLEST_SPACING_MM, LARGEST_SPACING_MM = 0.05, 10.0
AGES_DIFFER_YEARS = 2.0

_SPECIFIC_CHARACTER_SET = 0x00080005
_CODE_MEANING = 0x00080104
_SHARED_GROUPS, _FRAME_GROUPS = 0x52009229, 0x52009230
_NUMBER_VRS = frozenset({"DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "SV", "UV"})
_TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UT"})
_LINE_BREAKS = re.compile(r"[\r\n\t\f]+")
_UID = re.compile(r"[0-9A-Za-z.\-]{1,64}")
_AGE = re.compile(r"(\d{1,3}) ?([DWMY])", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})[.\-]?(\d{2})[.\-]?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2}))?(?::?(\d{2}))?(?:\.\d{1,6})?")
_DAYS_OF = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}

config.settings.reading_validation_mode = config.WARN


class _Value(NamedTuple):
    """One element: its bytes as they lie in the file, or the items of a sequence that pydicom has parsed."""

    vr: str
    content: bytes
    items: tuple[Any, ...] = ()


# --- character sets ----------------------------------------------------------------------------------------------
_STAND_ALONE = frozenset({"ISO_IR 192", "GBK", "GB18030"})
_MOST_CHARACTER_SETS = 9
_KNOWN_SETS = {re.sub("[^A-Z0-9]", "", name): name for name in python_encoding if name}


class _Characters(NamedTuple):
    """How the texts of a data set are written: pydicom's codecs, whether the file says so, and says it soundly."""

    codecs: list[str]
    declared: bool
    sound: bool


def _characters(scan: Scan) -> _Characters:
    """Return how the texts of a data set are written.

    Only names of the standard count: pydicom would take any name that Python knows as a codec, such as rot13.
    An unknown set is read as ASCII. Where nothing is declared only ASCII is allowed; UTF-8 is then the best
    guess, as it cannot be mistaken for another set.
    """
    vr, offset, length = scan.top_level.get(_SPECIFIC_CHARACTER_SET, ("CS", 0, 0))
    content = scan.data[offset : offset + length] if vr in {"CS", ""} and length != UNDEFINED else b"?"
    written = [name.strip() for name in content.decode("latin_1").strip(" \0").split("\\")]
    if written == [""]:
        return _Characters(["UTF8"], declared=False, sound=True)
    names = [_KNOWN_SETS.get(re.sub("[^A-Z0-9]", "", name.upper()), "") for name in written]
    several = len(names) > 1
    sound = names == written and len(set(names)) == len(names) <= _MOST_CHARACTER_SETS
    sound = sound and not (several and _STAND_ALONE & set(names))
    if several:
        names = names[:1] if names[0] in _STAND_ALONE else [name for name in names if name not in _STAND_ALONE]
    unknown = "ascii" if any(written[:1]) and not names[0] else python_encoding[""]
    codecs = [python_encoding[name] if name else unknown for name in names]
    return _Characters(list(dict.fromkeys(codecs)), declared=True, sound=sound)


# --- where values come from --------------------------------------------------------------------------------------
class _Source:
    """Looks up elements of one frame: its functional groups first, then the data set."""

    def __init__(self, scan: Scan, characters: _Characters, groups: Mapping[int, _Value] | None = None) -> None:
        self.little_endian = scan.transfer_syntax_uid != BIG_ENDIAN
        self.characters = characters
        self._implicit = scan.transfer_syntax_uid == IMPLICIT
        self._scan = scan
        self._groups = groups or {}

    def value(self, tag: int) -> _Value | None:
        """The element, None where it is absent or empty."""
        found = self._groups.get(tag)
        if found is None:
            place = self._scan.top_level.get(tag)
            if place is None:
                return None
            vr, offset, length = place
            end = self._next_offset(offset) if length == UNDEFINED else offset + length
            found = _Value(vr, self._scan.data[offset:end])
        if found.vr in {"", "UN"}:
            found = _Value(_known_vr(tag), found.content)
        empty = not (found.content.strip(b" \0") if found.vr in _TEXT_VRS else found.content or found.items)
        return None if empty else found

    def _next_offset(self, offset: int) -> int:
        """Where the value of the next element begins; the reading of a sequence ends before, at its delimiter."""
        after = (place[1] for place in self._scan.top_level.values() if place[1] > offset)
        return min(after, default=len(self._scan.data))

    def items(self, tag: int) -> list[Any]:
        """The items of a sequence as pydicom data sets; [] where it is absent."""
        value = self.value(tag)
        if value is None or value.items:
            return list(value.items) if value else []
        # UN of undefined length is written in implicit VR whatever the file is (PS3.5 6.2.2, note 4).
        place = self._scan.top_level.get(tag)
        implicit = self._implicit or (place is not None and place[0] == "UN")
        return list(convert_SQ(value.content, implicit, self.little_endian, self.characters.codecs))


def _known_vr(tag: int) -> str:
    return str(dictionary_VR(tag)).split(" or ", maxsplit=1)[0]


# --- from bytes to values ----------------------------------------------------------------------------------------
class _Reader:
    """Converts elements of a source and remembers, each once, what was odd about them."""

    def __init__(self, source: _Source, findings: dict[tuple[Reason, str], Finding]) -> None:
        self._source = source
        self._findings = findings

    def note(self, reason: Reason, name: str = "") -> None:
        """Remember a warning."""
        self._findings.setdefault((reason, name), Finding(Outcome.WARNED, reason, name=name))

    def text(self, tag: int, name: str, longest: int, *, required: Reason | None = None) -> str:
        """A text, decoded, without control characters, cut to its length; "" where it is missing."""
        text = self._text_of(self._source.value(tag), name, longest)
        if not text and required is not None:
            self.note(required)
        return text

    def meaning(self, tag: int) -> str:
        """The words of a coded concept, such as a contrast agent or a region of the body; "" where it is missing."""
        items = self._source.items(tag)
        code = items[0].get_item(_CODE_MEANING) if items else None
        if not isinstance(code, RawDataElement):
            return "coded" if items else ""
        return self._text_of(_Value("LO", code.value or b""), "CodeMeaning", 64)

    def _text_of(self, value: _Value | None, name: str, longest: int) -> str:
        if value is None:
            return ""
        if value.vr not in _TEXT_VRS:
            self.note(Reason.VALUE_ODD, name)
            return ""
        text = self._clean(self._decoded(value, name, longest), name)
        return text if len(text) <= longest else self._cut(text, name, longest)

    def person(self, tag: int, name: str) -> str:
        """A person's name in DICOM's form, its groups (alphabetic, ideographic, phonetic) joined by "="."""
        value = self._source.value(tag)
        if value is None:
            self.note(Reason.NAME_MISSING)
            return ""
        text = self._clean(self._decoded(value, name, 3 * 64, PN_DELIMS), name)
        groups = [group if len(group) <= 64 else self._cut(group, name, 64) for group in text.split("=")[:3]]
        return "=".join(groups).rstrip("=^ ")

    def uid(self, tag: int, name: str) -> str:
        """A UID; one that is none is "" and odd."""
        text = self.text(tag, name, 64)
        if not text or _UID.fullmatch(text):
            return text
        self.note(Reason.VALUE_ODD, name)
        return ""

    def words(self, tag: int, name: str) -> tuple[str, ...]:
        """The values of a multi-valued code string."""
        text = self.text(tag, name, 17 * MOST_IMAGE_TYPES)
        return tuple(word.strip()[:16] for word in text.split("\\")[:MOST_IMAGE_TYPES]) if text else ()

    def date(self, tag: int, name: str, *, required: bool = False) -> str:
        """An ISO date; "" and a warning for one that is none."""
        text = self.text(tag, name, 18)
        match = _DATE.fullmatch(text)
        if match:
            try:
                return dt.date(*map(int, match.groups())).isoformat()
            except ValueError:
                match = None
        if text or required:
            self.note(Reason.BAD_DATE, name)
        return ""

    def time(self, tag: int, name: str) -> str:
        """A time as HH:MM:SS; "" and a warning for one that is none."""
        text = self.text(tag, name, 28)
        match = _TIME.fullmatch(text)
        if match:
            hours, minutes, seconds = (int(part or 0) for part in match.groups())
            if hours < 24 and minutes < 60 and seconds <= 60:
                return f"{hours:02d}:{minutes:02d}:{min(seconds, 59):02d}"
        if text:
            self.note(Reason.VALUE_ODD, name)
        return ""

    def numbers(self, tag: int, name: str) -> tuple[float, ...]:
        """The finite numbers of an element; () where it is missing or one of them is none."""
        value = self._source.value(tag)
        if value is None:
            return ()
        try:
            converted = self._converted(tag, value)
            found = tuple(float(each) for each in (converted if _is_list(converted) else [converted]))
        except (ValueError, TypeError, OverflowError, ArithmeticError):
            found = ()
        if not found or not all(map(math.isfinite, found)):
            self.note(Reason.VALUE_ODD, name)
            return ()
        return found

    def number(self, tag: int, name: str) -> float | None:
        """The first number of an element."""
        found = self.numbers(tag, name)
        return found[0] if found else None

    def integer(self, tag: int, name: str) -> int | None:
        """The first number of an element where it is a whole one."""
        found = self.number(tag, name)
        if found is None:
            return None
        if not found.is_integer() or abs(found) >= 2**31:
            self.note(Reason.VALUE_ODD, name)
            return None
        return int(found)

    def word16(self, tag: int, *, signed: bool) -> int | None:
        """A 16-bit value by the pixels' own sign, whichever of US and SS the file says."""
        value = self._source.value(tag)
        if value is None or len(value.content) < 2:
            return None
        order = "little" if self._source.little_endian else "big"
        return int.from_bytes(value.content[:2], order, signed=signed)  # type: ignore[arg-type]

    def _converted(self, tag: int, value: _Value) -> Any:
        if value.vr not in _NUMBER_VRS:
            raise TypeError(value.vr)
        content = value.content.rstrip(b"\0") if value.vr in {"DS", "IS"} else value.content
        raw = RawDataElement(
            BaseTag(tag), value.vr, len(content), content, 0, is_implicit_VR=False,
            is_little_endian=self._source.little_endian,
        )  # fmt: skip
        return convert_value(value.vr, raw, self._source.characters.codecs)

    def _decoded(self, value: _Value, name: str, longest: int, delimiters: set[int] = TEXT_VR_DELIMS) -> str:
        content = value.content.rstrip(b" \0")
        # Four bytes a character and some escape sequences: what goes beyond would be cut anyway.
        if len(content) > 4 * longest + 256:
            self.note(Reason.TEXT_TOO_LONG, name)
            content = content[: 4 * longest]
        with heard_warnings() as heard:
            text = decode_bytes(content, self._source.characters.codecs, delimiters)
        if heard or "\ufffd" in text:
            self.note(Reason.CHARACTER_DECODE, name)
        if not self._source.characters.declared and not text.isascii():
            self.note(Reason.CHARACTER_SET)
        return str(text)

    def _clean(self, text: str, name: str) -> str:
        if UNSHOWABLE.search(text):
            self.note(Reason.CONTROL_CHARACTERS, name)
            text = UNSHOWABLE.sub("\ufffd", _LINE_BREAKS.sub(" ", text))
        return text.strip(" ")

    def _cut(self, text: str, name: str, longest: int) -> str:
        self.note(Reason.TEXT_TOO_LONG, name)
        return text[:longest]


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)


@contextlib.contextmanager
def heard_warnings() -> Iterator[list[str]]:
    """Collect warnings by the name of their class instead of printing them; their texts may quote values."""
    heard: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: heard.append(type(message).__name__)
        yield heard


# --- one file ----------------------------------------------------------------------------------------------------
class UnusableFramesError(Exception):
    """An enhanced multi-frame object whose functional groups say too little; `identity` as in `identity_of`."""

    def __init__(self, scan: Scan) -> None:
        super().__init__("unusable functional groups")
        self.identity = identity_of(scan)


def names_of(scan: Scan) -> tuple[str, ...]:
    """Return the patient's name as each of CHARACTER_SETS reads its bytes, "" where they are none of that set."""
    value = _Source(scan, _characters(scan)).value(0x00100010)
    content = b"" if value is None else value.content.rstrip(b" \0")[: 4 * LONGEST_NAME]
    return tuple(_name_in(content, codec) for codec in CHARACTER_SETS)


def _name_in(content: bytes, codec: str) -> str:
    if codec == "euc_kr":
        content = content.replace(KOREAN_BEGINS, b"")
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        return ""
    if UNSHOWABLE.search(text):  # what a wrong set gives is full of them
        return ""
    groups = (group.strip(" ")[:64] for group in text.split("=")[:3])
    return "=".join(groups).rstrip("=^ ")


def identity_of(scan: Scan) -> tuple[str, str, str]:
    """Return study UID, series UID and patient ID of a file without headers."""
    read = _Reader(_Source(scan, _characters(scan)), {})
    study, series = read.uid(0x0020000D, "StudyInstanceUID"), read.uid(0x0020000E, "SeriesInstanceUID")
    return study, series, read.text(0x00100020, "PatientID", 64)


def headers(scan: Scan) -> tuple[Header, ...]:
    """Return the header of a slice, or one a frame of an enhanced multi-frame object.

    Raises:
        UnusableFramesError: frames of an enhanced object lack position, orientation or spacing.
    """
    characters = _characters(scan)
    shared: dict[tuple[Reason, str], Finding] = {(each.reason, each.name): each for each in scan.findings}
    if not characters.sound:
        shared[Reason.CHARACTER_SET, ""] = Finding(Outcome.WARNED, Reason.CHARACTER_SET)
    groups = _functional_groups(scan, characters)
    found: list[Header] = []
    for frame, group in enumerate(groups):
        findings = dict(shared)
        reader = _Reader(_Source(scan, characters, group), findings)
        found.append(_header(scan, reader, findings, frame, len(groups)))
    if scan.sop_class_uid in ENHANCED_CT and not all(map(_has_a_place, found)):
        raise UnusableFramesError(scan)
    return tuple(found)


def _has_a_place(header: Header) -> bool:
    return None not in (header.image_position_mm, header.row_cosines, header.pixel_spacing_mm)


def _header(scan: Scan, read: _Reader, findings: dict[tuple[Reason, str], Finding], frame: int, frames: int) -> Header:
    enhanced = scan.sop_class_uid in ENHANCED_CT
    facts = _facts(read)
    study_date = read.date(0x00080020, "StudyDate", required=True)
    birth_date = read.date(0x00100030, "PatientBirthDate")
    row_cosines, column_cosines = _cosines(read)
    lossy = read.text(0x00282110, "LossyImageCompression", 16) == "01"
    return Header(
        sop_class_uid=scan.sop_class_uid,
        sop_instance_uid=read.uid(0x00080018, "SOPInstanceUID"),
        study_instance_uid=read.uid(0x0020000D, "StudyInstanceUID"),
        series_instance_uid=read.uid(0x0020000E, "SeriesInstanceUID"),
        frame_of_reference_uid=read.uid(0x00200052, "FrameOfReferenceUID"),
        transfer_syntax_uid=scan.transfer_syntax_uid,
        frame=frame,
        number_of_frames=frames,
        patient_id=read.text(0x00100020, "PatientID", 64, required=Reason.PATIENT_ID_MISSING),
        issuer_of_patient_id=read.text(0x00100021, "IssuerOfPatientID", 64),
        patient_name=read.person(0x00100010, "PatientName"),
        patient_birth_date=birth_date,
        patient_sex=read.text(0x00100040, "PatientSex", 16),
        patient_age_years=_age(read, birth_date, study_date),
        study_date=study_date,
        study_time=read.time(0x00080030, "StudyTime"),
        study_description=read.text(0x00081030, "StudyDescription", 64),
        study_id=read.text(0x00200010, "StudyID", 16),
        accession_number=read.text(0x00080050, "AccessionNumber", 16),
        institution_name=read.text(0x00080080, "InstitutionName", 64),
        series_number=read.integer(0x00200011, "SeriesNumber"),
        series_description=read.text(0x0008103E, "SeriesDescription", 64),
        protocol_name=read.text(0x00181030, "ProtocolName", 64),
        series_time=read.time(0x00080031, "SeriesTime"),
        modality=scan.modality,
        image_type=(enhanced and read.words(0x00089007, "FrameType")) or read.words(0x00080008, "ImageType"),
        body_part_examined=read.text(0x00180015, "BodyPartExamined", 64) or (enhanced and _anatomy(read)) or "",
        patient_position=read.text(0x00185100, "PatientPosition", 16),
        burned_in_annotation=read.text(0x00280301, "BurnedInAnnotation", 16),
        derivation_description=read.text(0x00082111, "DerivationDescription", 1024),
        manufacturer=read.text(0x00080070, "Manufacturer", 64),
        model_name=read.text(0x00081090, "ManufacturerModelName", 64),
        convolution_kernel=read.text(0x00181210, "ConvolutionKernel", 64),
        kvp=read.number(0x00180060, "KVP"),
        slice_thickness_mm=read.number(0x00180050, "SliceThickness"),
        spacing_between_slices_mm=read.number(0x00180088, "SpacingBetweenSlices"),
        contrast_agent=read.text(0x00180010, "ContrastBolusAgent", 64) or read.meaning(0x00180012),
        gantry_tilt_deg=read.number(0x00181120, "GantryDetectorTilt"),
        acquisition_number=_acquisition(read, enhanced=enhanced),
        acquisition_time=read.time(0x00080032, "AcquisitionTime"),
        instance_number=frame + 1 if enhanced else read.integer(0x00200013, "InstanceNumber"),
        temporal_position=_temporal_position(read, enhanced=enhanced),
        image_position_mm=_position(read),
        row_cosines=row_cosines,
        column_cosines=column_cosines,
        pixel_spacing_mm=_spacing(read),
        rows=facts.rows,
        columns=facts.columns,
        bits_stored=facts.bits_stored,
        pixel_representation=facts.pixel_representation,
        photometric=facts.photometric,
        rescale_slope=facts.slope,
        rescale_intercept=facts.intercept,
        rescale_type=read.text(0x00281054, "RescaleType", 64),
        pixel_padding_value=facts.padding,
        pixel_padding_range_limit=facts.padding_limit,
        lossy=lossy or any(each.reason in _LOSS for each in scan.findings),
        lossy_ratio=max(read.numbers(0x00282112, "LossyImageCompressionRatio"), default=None),
        window_centre_hu=read.number(0x00281050, "WindowCenter"),
        window_width_hu=read.number(0x00281051, "WindowWidth"),
        findings=tuple(findings.values()),
    )


_LOSS = frozenset({Reason.LOSSY, Reason.NEAR_LOSSLESS})


def _age(read: _Reader, birth_date: str, study_date: str) -> float | None:
    """Age in years: as stated, else from the dates; None where the two are more than two years apart."""
    text = read.text(0x00101010, "PatientAge", 16)
    match = _AGE.fullmatch(text)
    if text and not match:
        read.note(Reason.VALUE_ODD, "PatientAge")
    stated = int(match[1]) * _DAYS_OF[match[2].upper()] / _DAYS_OF["Y"] if match else None
    if stated == 0:  # nobody is: de-identified sets write 000Y, and an infant's age counts days or months
        stated = None
    if not birth_date or not study_date:
        return stated
    days = (dt.date.fromisoformat(study_date) - dt.date.fromisoformat(birth_date)).days
    counted = days / _DAYS_OF["Y"]
    if stated is None:
        return counted if counted >= 0 else None
    # "055Y" counts whole years, as people do.
    return stated if -AGES_DIFFER_YEARS <= counted - stated <= AGES_DIFFER_YEARS + 1 else None


def _position(read: _Reader) -> Vector | None:
    mm = read.numbers(0x00200032, "ImagePositionPatient")
    return (mm[0], mm[1], mm[2]) if len(mm) == 3 and max(map(abs, mm)) <= LARGEST_POSITION_MM else None


def _cosines(read: _Reader) -> tuple[Vector, Vector] | tuple[None, None]:
    cosines = read.numbers(0x00200037, "ImageOrientationPatient")
    if len(cosines) != 6:
        return None, None
    row, column = (cosines[0], cosines[1], cosines[2]), (cosines[3], cosines[4], cosines[5])
    units = all(abs(math.hypot(*vector) - 1) <= UNIT_TOLERANCE for vector in (row, column))
    skew = abs(sum(a * b for a, b in zip(row, column, strict=True)))
    return (row, column) if units and skew <= RIGHT_ANGLE_TOLERANCE else (None, None)


def _spacing(read: _Reader) -> tuple[float, float] | None:
    mm = read.numbers(0x00280030, "PixelSpacing")
    return (mm[0], mm[1]) if len(mm) == 2 and SMALLEST_SPACING_MM <= min(mm) <= max(mm) <= LARGEST_SPACING_MM else None


def _acquisition(read: _Reader, *, enhanced: bool) -> int | None:
    own = read.integer(0x00209156, "FrameAcquisitionNumber") if enhanced else None
    return read.integer(0x00200012, "AcquisitionNumber") if own is None else own


def _temporal_position(read: _Reader, *, enhanced: bool) -> int | None:
    own = read.integer(0x00209128, "TemporalPositionIndex") if enhanced else None
    return read.integer(0x00200100, "TemporalPositionIdentifier") if own is None else own


def _anatomy(read: _Reader) -> str:
    return read.meaning(0x00082218)


# --- pixels ------------------------------------------------------------------------------------------------------
class PixelFacts(NamedTuple):
    """What turns the stored values of a frame into HU."""

    rows: int
    columns: int
    bits_stored: int
    pixel_representation: int
    photometric: str
    slope: float | None
    intercept: float | None
    padding: int | None
    padding_limit: int | None


def pixel_facts(scan: Scan, frames: tuple[int, ...]) -> tuple[PixelFacts, ...]:
    """Return what turns each of these frames into HU; IndexError for a frame that the object does not have."""
    characters = _Characters(["ascii"], declared=True, sound=True)
    groups = _functional_groups(scan, characters)
    return tuple(_facts(_Reader(_Source(scan, characters, groups[frame]), {})) for frame in frames)


def _facts(read: _Reader) -> PixelFacts:
    signed = read.integer(0x00280103, "PixelRepresentation") == 1
    return PixelFacts(
        rows=read.integer(0x00280010, "Rows") or 0,
        columns=read.integer(0x00280011, "Columns") or 0,
        bits_stored=read.integer(0x00280101, "BitsStored") or 0,
        pixel_representation=int(signed),
        photometric=read.text(0x00280004, "PhotometricInterpretation", 16),
        slope=read.number(0x00281053, "RescaleSlope"),
        intercept=read.number(0x00281052, "RescaleIntercept"),
        padding=read.word16(0x00280120, signed=signed),
        padding_limit=read.word16(0x00280121, signed=signed),
    )


# --- functional groups -------------------------------------------------------------------------------------------
def _functional_groups(scan: Scan, characters: _Characters) -> list[dict[int, _Value]]:
    """Return, for each frame, the elements of its functional groups, the shared ones below its own.

    Each group is a sequence of one item; the elements of these items do not collide, so that one look-up
    by tag finds position, spacing or rescale in whichever group the standard puts it.
    """
    if scan.sop_class_uid not in ENHANCED_CT:
        return [{}]
    source = _Source(scan, characters)
    frames = _Reader(source, {}).integer(0x00280008, "NumberOfFrames") or 1
    shared, own = source.items(_SHARED_GROUPS), source.items(_FRAME_GROUPS)
    if len(own) != frames or len(shared) > 1:
        raise UnusableFramesError(scan)
    below = _flattened(shared[0]) if shared else {}
    return [below | _flattened(item) for item in own]


def _flattened(item: Any) -> dict[int, _Value]:
    found: dict[int, _Value] = {}
    for tag in list(item.keys()):
        group = _items_of(item, tag) if _is_sequence(tag) else ()
        if len(group) == 1:
            found |= {int(inner): _element(group[0], inner) for inner in list(group[0].keys())}
    return found


def _element(item: Any, tag: int) -> _Value:
    if _is_sequence(tag):
        return _Value("SQ", b"", _items_of(item, tag))
    raw = item.get_item(tag)
    return _Value(raw.VR or "", raw.value or b"") if isinstance(raw, RawDataElement) else _Value("", b"")


def _items_of(item: Any, tag: int) -> tuple[Any, ...]:
    """The items of what the standard has as a sequence; () where the file has something else there."""
    element = item[tag] if item.get_item(tag).VR in {"SQ", "UN", None} else None
    return tuple(element.value or ()) if element is not None and element.VR == "SQ" else ()


def _is_sequence(tag: int) -> bool:
    return bool(dictionary_has_tag(tag)) and str(dictionary_VR(tag)) == "SQ"
