"""What reader and client say to each other in frames, as values of fixed types.

A request is `Ask`, its number, the bytes of the file (in parts when large) and a few numbers. An answer
starts with the CPU seconds of the reader process so far; the rest is one value of this module, its fields in
the order of the class. The client checks every type, size and name again: a reader that a codec bug has
taken over can hand over nothing that a sound one could not.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, IntEnum
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.frames import Field, Frame
from aicorona_desktop.core.headers import Header

MIB = 1024 * 1024
LARGEST_FILE_BYTES = 256 * 1024 * 1024
LARGEST_ARCHIVE_BYTES = 512 * 1024 * 1024
PART_BYTES = 32 * 1024 * 1024
SMALLEST_SLICE_PX, LARGEST_SLICE_PX = 16, 4096
LARGEST_SIDE_PX = 16384  # of a localizer, which is listed and never read
LARGEST_PICTURE_PX = 4096
LARGEST_VOLUME_BYTES = 512 * MIB  # of a NIfTI volume, unpacked
MOST_FRAMES = 4096
MOST_MEMBERS = 20_000
LONGEST_TEXT = 1024  # characters; VR ST is the longest text that a header holds
PADDING_HU = -32768  # what padding pixels carry; air, bone and metal are clipped to +-32767

_UID = re.compile(r"[0-9A-Za-z.\-]{0,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Control characters, line and paragraph separators, and the marks that turn the direction of text.
UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class ReaderError(AicoronaError):
    """The reader process could not be started, or said something that no reader of ours says."""


class Ask(IntEnum):
    """Kinds of requests."""

    EXAMINE = 1
    READ = 2
    DIRECTORY = 3
    ARCHIVE = 4
    MEMBER = 5
    PICTURE = 6
    PART = 7  # bytes of the request that follows
    SHOW = 8  # as READ, with what lies over the pixels
    NAMES = 9  # the patient's name in every set of CHARACTER_SETS
    IMAGE = 10  # ranges of a disc image, one behind the other; its size, and offset and length of each, as numbers
    VOLUME = 11  # of NIfTI
    VOLUME_SLICES = 12  # by their places from the feet, as frames
    CONTENT = 13  # what tells one image from another, whatever its file says around it

    @property
    def is_of_frames(self) -> bool:
        """Whether each frame that is asked for gets an answer of its own."""
        return self in (Ask.READ, Ask.SHOW, Ask.VOLUME_SLICES)


class Answer(IntEnum):
    """Kinds of answers."""

    READY = 65
    EXAMINED = 66
    SLICE = 67
    LEFT = 68  # a finding instead of what was asked for
    DIRECTORY = 69
    ARCHIVE = 70
    MEMBER = 71
    PICTURE = 72
    PART = 73  # bytes of the answer that follows
    SHOWN = 74
    NAMES = 75
    IMAGE_LISTED = 76
    IMAGE_NEEDS = 77
    VOLUME_LISTED = 78
    VOLUME_SLICE = 79
    CONTENT = 80


@dataclass(frozen=True, slots=True)
class Ready:
    """The reader's first word: which walls stand around it."""

    walls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Examined:
    """What a file turned out to be: one header a frame, or the finding that keeps it out.

    With `finding` set, `headers` is empty and the identifiers are as far as they could be read, else "".
    """

    headers: tuple[Header, ...]
    finding: Finding | None
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str


@dataclass(frozen=True, slots=True, eq=False)
class SliceRead:
    """One slice in HU: int16 [rows, columns], rounded half to even, clipped to +-32767; padding carries -32768."""

    hounsfield: NDArray[np.int16]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SliceShown:
    """One slice as SliceRead, and the overlays over it: uint8 [rows, bytes], one bit a pixel, the highest first.

    `overlay` is None where nothing lies over the slice.
    """

    hounsfield: NDArray[np.int16]
    findings: tuple[Finding, ...]
    overlay: NDArray[np.uint8] | None


CHARACTER_SETS: tuple[str, ...] = (
    *("utf-8", "gb18030", "big5", "shift_jis", "iso2022_jp", "euc_kr"),
    *("cp1251", "koi8_r", "iso8859_5", "cp1252", "iso8859_2", "iso8859_3", "iso8859_4", "iso8859_9"),
    *("cp1253", "cp1255", "cp1256", "iso8859_7", "iso8859_8", "iso8859_6", "tis_620"),
)
"""How a name may be written that its file states wrongly: what DICOM knows, and what scanners write instead."""


@dataclass(frozen=True, slots=True)
class NamesRead:
    """The patient's name as each of CHARACTER_SETS reads its bytes, "" where they are none of that set."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContentDigest:
    """What two files of the same image share, however they are written: SHA-256 in lower-case hex."""

    sha256: str


@dataclass(frozen=True, slots=True)
class DiscDirectory:
    """What a DICOMDIR names, as path components below the disc; only a hint."""

    file_ids: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """One file in an archive; `name` is to be shown, never to be written to."""

    index: int
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ArchiveListed:
    """The files of an archive, directories left out."""

    members: tuple[ArchiveMember, ...]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file in a disc image: what it is called (to be shown, never to be written to) and where its bytes lie.

    `extents` are offset and length in the image, in order. `finding` says why the file is not to be read.
    """

    name: str
    extents: tuple[tuple[int, int], ...]
    finding: Finding | None = None

    @property
    def size_bytes(self) -> int:
        """The bytes of the file."""
        return sum(length for _, length in self.extents)


@dataclass(frozen=True, slots=True)
class ImageListed:
    """The files of a disc image, folders left out."""

    files: tuple[ImageFile, ...]


@dataclass(frozen=True, slots=True)
class ImageNeeds:
    """To list a disc image, this range of it is needed as well."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class MemberRead:
    """The bytes of one member, behind those of the parts before."""

    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A grey picture [rows, columns]."""

    grey: NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class VolumeListed:
    """How many axial slices a NIfTI volume has, of what size, and how far apart they are."""

    slices: int
    rows: int
    columns: int
    spacing_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class VolumeSlice:
    """One axial slice of a volume: int16 [rows to the back, columns to the left], rounded half to even, +-32767.

    What is no number carries -32768. NIfTI has no tag for the padding around a round field: `corner_hu` is the value
    that all corners of all slices hold, None where they differ; `lowest_hu` and `lowest_beside_hu` are the lowest
    values of the volume, with and without that of the first corner.
    """

    hounsfield: NDArray[np.int16]
    corner_hu: int | None
    lowest_hu: int
    lowest_beside_hu: int


VALUES: dict[Answer, type] = {
    Answer.READY: Ready,
    Answer.EXAMINED: Examined,
    Answer.SLICE: SliceRead,
    Answer.SHOWN: SliceShown,
    Answer.NAMES: NamesRead,
    Answer.CONTENT: ContentDigest,
    Answer.LEFT: Finding,
    Answer.DIRECTORY: DiscDirectory,
    Answer.ARCHIVE: ArchiveListed,
    Answer.MEMBER: MemberRead,
    Answer.PICTURE: Picture,
    Answer.IMAGE_LISTED: ImageListed,
    Answer.IMAGE_NEEDS: ImageNeeds,
    Answer.VOLUME_LISTED: VolumeListed,
    Answer.VOLUME_SLICE: VolumeSlice,
}
KINDS = {value: kind for kind, value in VALUES.items()}
_ASKS = frozenset(map(int, Ask))


# --- requests ----------------------------------------------------------------------------------------------------
def request_frames(ask: Ask, number: int, content: bytes, frames: tuple[int, ...] = ()) -> Iterator[Frame]:
    """Yield the frames of one request; all but the last carry a part of the content."""
    start = 0
    while len(content) - start > PART_BYTES:
        yield Frame(Ask.PART, number, (content[start : start + PART_BYTES],))
        start += PART_BYTES
    yield Frame(ask, number, (content[start:] if start else content, frames))


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the reader process sees it; `frames` are frames to read, or the index of an archive's member."""

    ask: Ask
    number: int
    content: bytes
    frames: tuple[int, ...]


class Requests:
    """Puts the parts of requests together, in the reader process.

    Raises:
        ReaderError: a frame is no request, or a request is too large.
    """

    def __init__(self) -> None:
        self._parts = bytearray()

    def take(self, frame: Frame) -> Request | None:
        """Return the request that this frame completes, None after a part."""
        content = frame.fields[0] if frame.fields else None
        if not isinstance(content, bytes) or len(self._parts) + len(content) > LARGEST_ARCHIVE_BYTES:
            raise ReaderError("A request to the reader was not understood.")
        if frame.kind == Ask.PART:
            self._parts += content
            return None
        if self._parts:
            self._parts += content
            content, self._parts = bytes(self._parts), bytearray()
        if frame.kind not in _ASKS or len(frame.fields) != 2:
            raise ReaderError("A request to the reader was not understood.")
        return Request(Ask(frame.kind), frame.request, content, checked(tuple[int, ...], frame.fields[1]))


# --- answers -----------------------------------------------------------------------------------------------------
def answer_frames(number: int, cpu_seconds: float, value: object) -> Iterator[Frame]:
    """Yield the frames of one answer, an instance of one of the classes in `VALUES`."""
    if isinstance(value, MemberRead):
        whole, start = value.content, 0
        while len(whole) - start > PART_BYTES:
            yield Frame(Answer.PART, number, (whole[start : start + PART_BYTES],))
            start += PART_BYTES
        value = MemberRead(whole[start:])
    yield Frame(KINDS[type(value)], number, (cpu_seconds, field_of(value)))


def answer_value(frame: Frame) -> tuple[float, object]:
    """Return the reader's CPU seconds and the checked value of an answer that is not a part.

    Raises:
        ReaderError: anything about the answer is not as a reader of ours would say it.
    """
    if frame.kind not in VALUES or len(frame.fields) != 2:
        raise ReaderError("The reader gave an answer that was not understood.")
    cpu_seconds = checked(float, frame.fields[0])
    value: object = checked(VALUES[Answer(frame.kind)], frame.fields[1])
    plausible = _PLAUSIBLE.get(type(value))
    if plausible is not None and not plausible(value):
        raise ReaderError("The reader gave an answer that cannot be.")
    return cpu_seconds, value


def _plausible_examined(examined: Examined) -> bool:
    uids = (examined.study_instance_uid, examined.series_instance_uid)
    headers = examined.headers
    if (examined.finding is None) == (not headers) or not all(map(_UID.fullmatch, uids)):
        return False
    return len(headers) <= MOST_FRAMES and all(_plausible_header(header, len(headers)) for header in headers)


def _plausible_header(header: Header, frames: int) -> bool:
    return (
        1 <= min(header.rows, header.columns) <= max(header.rows, header.columns) <= LARGEST_SIDE_PX
        and header.number_of_frames == frames
        and 0 <= header.frame < frames
        and all(map(_UID.fullmatch, _uids_of(header)))
    )


_uids_of = attrgetter(*(each.name for each in fields(Header) if each.name.endswith("_uid")))


def _plausible_slice(read: SliceRead | SliceShown | VolumeSlice) -> bool:
    sizes: tuple[int, ...] = read.hounsfield.shape
    return min(sizes) >= SMALLEST_SLICE_PX and max(sizes) <= LARGEST_SLICE_PX


def _plausible_shown(shown: SliceShown) -> bool:
    rows, columns = shown.hounsfield.shape
    return _plausible_slice(shown) and (shown.overlay is None or shown.overlay.shape == (rows, (columns + 7) // 8))


def _plausible_picture(picture: Picture) -> bool:
    sizes: tuple[int, ...] = picture.grey.shape
    return min(sizes) >= 1 and max(sizes) <= LARGEST_PICTURE_PX


def _plausible_archive(listed: ArchiveListed) -> bool:
    return len(listed.members) <= MOST_MEMBERS and all(
        member.index >= 0 and 0 <= member.size_bytes <= LARGEST_FILE_BYTES for member in listed.members
    )


def _plausible_image(listed: ImageListed) -> bool:
    return len(listed.files) <= MOST_MEMBERS and all(
        offset >= 0 and length >= 0 for one in listed.files for offset, length in one.extents
    )


def _plausible_volume(listed: VolumeListed) -> bool:
    sides = listed.rows, listed.columns
    return (
        SMALLEST_SLICE_PX <= min(sides) <= max(sides) <= LARGEST_SLICE_PX
        and 1 <= listed.slices <= MOST_FRAMES
        and listed.spacing_mm > 0
    )


_PLAUSIBLE: dict[type, Callable[[Any], bool]] = {
    Examined: _plausible_examined,
    SliceRead: _plausible_slice,
    SliceShown: _plausible_shown,
    NamesRead: lambda read: len(read.names) == len(CHARACTER_SETS),
    ContentDigest: lambda content: _SHA256.fullmatch(content.sha256) is not None,
    Picture: _plausible_picture,
    VolumeListed: _plausible_volume,
    VolumeSlice: _plausible_slice,
    ArchiveListed: _plausible_archive,
    ImageListed: _plausible_image,
    ImageNeeds: lambda needs: needs.offset >= 0 and needs.length > 0,
}


# --- values and fields -------------------------------------------------------------------------------------------
def field_of(value: Any) -> Field:
    """Return a value of this module as a field of a frame: classes as tuples, enumerations by name."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple):
        return tuple(field_of(member) for member in value)
    if is_dataclass(value):
        return tuple(field_of(getattr(value, each.name)) for each in fields(value))
    return value  # type: ignore[no-any-return]


T = TypeVar("T")


def checked(kind: type[T], field: Field) -> T:
    """Return a field as a value of the type, which may be a class of this module.

    Raises:
        ReaderError: it is not one: another type, a number that is not finite, a text that is too long or
            holds control characters, an unknown name, an array of another form.
    """
    return cast("T", _check_of(cast("Hashable", kind))(field))


def _refuse() -> ReaderError:
    return ReaderError("The reader gave an answer with a field of a wrong type or size.")


@cache
def _check_of(kind: Hashable) -> Callable[[Field], Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _union_check(arguments)
    if origin is tuple:
        return _tuple_check(arguments)
    if origin is np.ndarray:
        return _array_check(np.dtype(typing.get_args(arguments[1])[0]))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum_check(kind)
    if is_dataclass(kind):
        return _class_check(kind)
    return _SIMPLE[kind]


def _text(field: Field) -> str:
    if type(field) is not str or len(field) > LONGEST_TEXT or UNSHOWABLE.search(field):
        raise _refuse()
    return field


def _integer(field: Field) -> int:
    if type(field) is not int:
        raise _refuse()
    return field


def _number(field: Field) -> float:
    if type(field) not in (int, float) or not math.isfinite(field):  # type: ignore[arg-type]
        raise _refuse()
    return float(field)  # type: ignore[arg-type]


def _truth(field: Field) -> bool:
    if type(field) is not bool:
        raise _refuse()
    return field


def _bytes(field: Field) -> bytes:
    if type(field) is not bytes or len(field) > LARGEST_FILE_BYTES:
        raise _refuse()
    return field


def _nothing(field: Field) -> None:
    if field is not None:
        raise _refuse()


_SIMPLE: dict[Any, Callable[[Field], Any]] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _truth,
    bytes: _bytes,
    types.NoneType: _nothing,
}


def _union_check(kinds: tuple[Any, ...]) -> Callable[[Field], Any]:
    checks = [_check_of(kind) for kind in sorted(kinds, key=lambda kind: kind is types.NoneType, reverse=True)]

    def check(field: Field) -> Any:
        for each in checks[:-1]:
            try:
                return each(field)
            except ReaderError:
                continue
        return checks[-1](field)

    def check_optional(field: Field) -> Any:
        return None if field is None else checks[1](field)

    return check_optional if len(checks) == 2 and types.NoneType in kinds else check


def _tuple_check(members: tuple[Any, ...]) -> Callable[[Field], Any]:
    if len(members) == 2 and members[1] is Ellipsis:
        each = _check_of(members[0])

        def check(field: Field) -> Any:
            if type(field) is not tuple:
                raise _refuse()
            return tuple([each(member) for member in field])  # a generator costs twice the time

        return check
    checks = [_check_of(member) for member in members]

    def check_all(field: Field) -> Any:
        if type(field) is not tuple or len(field) != len(checks):
            raise _refuse()
        return tuple([each(member) for each, member in zip(checks, field, strict=True)])

    return check_all


def _class_check(kind: Any) -> Callable[[Field], Any]:
    hints = typing.get_type_hints(kind)
    members = _tuple_check(tuple(hints[each.name] for each in fields(kind)))

    def check(field: Field) -> Any:
        try:
            return kind(*members(field))
        except ValueError as error:  # a finding refuses evidence that is too long
            raise _refuse() from error

    return check


def _enum_check(kind: type[Enum]) -> Callable[[Field], Any]:
    names = kind.__members__

    def check(field: Field) -> Any:
        if type(field) is not str or field not in names:
            raise _refuse()
        return names[field]

    return check


def _array_check(dtype: np.dtype[Any]) -> Callable[[Field], Any]:
    def check(field: Field) -> Any:
        if not isinstance(field, np.ndarray) or field.ndim != 2 or field.dtype != dtype:
            raise _refuse()
        return field

    return check
