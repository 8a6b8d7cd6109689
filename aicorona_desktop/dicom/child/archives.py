"""ZIP archives, in memory and proved whole before anything of them is used.

Both directories of an archive are read here, by one parser, so that no two programs can disagree about
what is in it. Opening checks the names, the sizes, the places and, by inflating every member once and
throwing it away, every size and checksum. One breach refuses the archive whole. Nothing is ever unpacked
to disk, and no name of a member becomes a path.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from aicorona_desktop.core.findings import Reason
from aicorona_desktop.dicom.child.elements import refused

MOST_ENTRIES: Final = 20_000
MOST_BYTES: Final = 8 * 1024**3
MOST_BYTES_OF_A_MEMBER: Final = 64 * 1024**2
HIGHEST_RATIO: Final = 100
LONGEST_NAME: Final = 512
DEEPEST_FOLDER: Final = 64
CHUNK_BYTES: Final = 256 * 1024

_END = struct.Struct("<4s4H2IH")
_END_64_PLACE = struct.Struct("<4sIQI")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_FULL: Final = 0xFFFFFFFF  # the value stands in the ZIP64 field
_STORED, _DEFLATED, _AES = 0, 8, 99
_ENCRYPTED_FLAGS = 0x0001 | 0x0040 | 0x2000
_SIZES_FOLLOW, _NAME_IS_UTF8 = 0x0008, 0x0800

_ARCHIVE_NAMES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".iso", ".cab", ".zipx")
# ZIP containers that a disc or an export may well hold, and that nothing here ever opens.
_DOCUMENT_NAMES = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".epub", ".xpi")
_ARCHIVE_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
_NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f:]")
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9]|LPT[0-9]) *(?:\..*)?", re.IGNORECASE)
_REGULAR_OR_FOLDER = frozenset({0, 0o100000, 0o040000})
_WINDOWS_REPARSE_POINT, _WINDOWS_FOLDER = 0x400, 0x10
_MADE_ON_UNIX = frozenset({3, 19})  # 19: macOS


@dataclass(frozen=True, slots=True)
class _Entry:
    """One member as the central directory describes it; `raw_name` as written."""

    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int
    is_folder: bool


class Archive:
    """A ZIP archive that has been proved whole; its members are read into memory one by one.

    `members` are name (separators as "/") and size in bytes of each file, in the order of the central
    directory; folders are left out, files of other programs are not.

    Raises:
        RefusedError: the archive breaks a rule; the reason says which (`ARCHIVE_...`).
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        entries = _central_directory(data)
        _check_names(entries)
        _check_sizes(entries, len(data))
        self._starts = _proved_places(data, entries)
        for entry, start in zip(entries, self._starts, strict=True):
            _prove(data, entry, start)
        self._files = [index for index, entry in enumerate(entries) if not entry.is_folder]
        self._entries = entries
        self.members: tuple[tuple[str, int], ...] = tuple(
            (entries[index].name, entries[index].size_bytes) for index in self._files
        )

    def read(self, index: int) -> bytes:
        """Return the bytes of one of `members`.

        Raises:
            RefusedError: the member is larger than the 64 MiB that one member may have.
        """
        entry, start = self._entries[self._files[index]], self._starts[self._files[index]]
        if entry.size_bytes > MOST_BYTES_OF_A_MEMBER:
            raise refused(Reason.ARCHIVE_TOO_LARGE)
        return b"".join(_unpacked(self._data, entry, start))


# --- the central directory ----------------------------------------------------------------------------------------


def _central_directory(data: bytes) -> list[_Entry]:
    count, size, start = _place_of_directory(data)
    if count > MOST_ENTRIES:
        raise refused(Reason.ARCHIVE_TOO_MANY)
    entries, at, end = [], start, start + size
    for _ in range(count):
        entry, at = _entry_at(data, at, end)
        entries.append(entry)
    if at != end:
        raise refused(Reason.ARCHIVE_TRUNCATED)
    return entries


def _place_of_directory(data: bytes) -> tuple[int, int, int]:
    """Return number of entries, size and offset of the central directory."""
    at = data.rfind(b"PK\x05\x06", max(0, len(data) - _END.size - 0xFFFF))
    if at < 0 or at + _END.size > len(data):
        raise refused(Reason.ARCHIVE_TRUNCATED)
    _, disk, first_disk, here, count, size, start, comment = _END.unpack_from(data, at)
    if at + _END.size + comment != len(data):
        raise refused(Reason.ARCHIVE_TRUNCATED)
    if 0xFFFF in {here, count} or _FULL in {size, start}:
        return _place_in_zip64(data, at)
    if disk or first_disk or here != count or start + size != at:
        raise refused(Reason.ARCHIVE_TRUNCATED)
    return count, size, start


def _place_in_zip64(data: bytes, end: int) -> tuple[int, int, int]:
    at = end - _END_64_PLACE.size
    if at < _END_64.size or data[at : at + 4] != b"PK\x06\x07":
        raise refused(Reason.ARCHIVE_TRUNCATED)
    _, _, place, _ = _END_64_PLACE.unpack_from(data, at)
    if place > at - _END_64.size or data[place : place + 4] != b"PK\x06\x06":
        raise refused(Reason.ARCHIVE_TRUNCATED)
    _, _, _, _, disk, first_disk, here, count, size, start = _END_64.unpack_from(data, place)
    if disk or first_disk or here != count or start + size != place:
        raise refused(Reason.ARCHIVE_TRUNCATED)
    return count, size, start


def _entry_at(data: bytes, at: int, end: int) -> tuple[_Entry, int]:
    """Return the entry of the central directory at a place, and where the next one begins."""
    if at + _ENTRY.size > end:
        raise refused(Reason.ARCHIVE_TRUNCATED)
    (magic, version, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes, comment_bytes, disk, _,
     attributes, offset) = _ENTRY.unpack_from(data, at)  # fmt: skip
    name_at = at + _ENTRY.size
    next_at = name_at + name_bytes + extra_bytes + comment_bytes
    if magic != b"PK\x01\x02" or next_at > end or disk not in {0, 0xFFFF}:
        raise refused(Reason.ARCHIVE_TRUNCATED)
    if flags & _ENCRYPTED_FLAGS or method == _AES:
        raise refused(Reason.ARCHIVE_ENCRYPTED)
    if method not in {_STORED, _DEFLATED}:
        raise refused(Reason.ARCHIVE_METHOD)
    raw_name = data[name_at : name_at + name_bytes]
    extra = data[name_at + name_bytes : name_at + name_bytes + extra_bytes]
    size, packed, offset = _wide(extra, (size, packed, offset))
    entry = _Entry(
        raw_name=raw_name,
        name=_decoded(raw_name, flags).replace("\\", "/"),
        flags=flags,
        method=method,
        crc=crc,
        packed_bytes=packed,
        size_bytes=size,
        offset=offset,
        is_folder=_is_folder(raw_name, version >> 8, attributes, size),
    )
    return entry, next_at


def _decoded(raw_name: bytes, flags: int) -> str:
    try:
        return raw_name.decode("utf-8" if flags & _NAME_IS_UTF8 else "cp437")
    except UnicodeDecodeError:
        return raw_name.decode("cp437")


def _wide(extra: bytes, narrow: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return size, packed size and offset, each from the ZIP64 field where the narrow one is full (4.5.3)."""
    if _FULL not in narrow:
        return narrow
    wide = iter(_zip64_field(extra))
    size, packed, offset = (next(wide, -1) if value == _FULL else value for value in narrow)
    if -1 in {size, packed, offset}:
        raise refused(Reason.ARCHIVE_SIZE)
    return size, packed, offset


def _zip64_field(extra: bytes) -> tuple[int, ...]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            count = min(length, len(extra) - at - 4) // 8
            return struct.unpack_from(f"<{count}Q", extra, at + 4)
        at += 4 + length
    return ()


def _is_folder(raw_name: bytes, system: int, attributes: int, size: int) -> bool:
    """Whether an entry is a folder.

    Raises:
        RefusedError: it is a link or a device.
    """
    mode = attributes >> 16 & 0o170000
    if (system in _MADE_ON_UNIX or mode == 0o120000) and mode not in _REGULAR_OR_FOLDER:
        raise refused(Reason.ARCHIVE_LINK)
    if attributes & _WINDOWS_REPARSE_POINT and system not in _MADE_ON_UNIX:
        raise refused(Reason.ARCHIVE_LINK)
    return raw_name.endswith((b"/", b"\\")) or (size == 0 and bool(attributes & _WINDOWS_FOLDER))


# --- names and sizes ----------------------------------------------------------------------------------------------


def _check_names(entries: list[_Entry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        _check_name(entry.name)
        if entry.is_folder:
            continue
        if entry.name.casefold().endswith(_ARCHIVE_NAMES):
            raise refused(Reason.ARCHIVE_NESTED)
        compared = _as_the_strictest_file_system_compares(entry.name)
        if compared in seen:
            raise refused(Reason.ARCHIVE_TWICE)
        seen.add(compared)


def _as_the_strictest_file_system_compares(name: str) -> str:
    """Without case, with composed letters, and without what Windows drops at the end of a component."""
    parts = unicodedata.normalize("NFC", name).casefold().split("/")
    return "/".join(part.rstrip(" .") for part in parts)


def _check_name(name: str) -> None:
    """Refuse what could lead out of a folder or mean something else than a file, though no name becomes a path."""
    parts = name.removesuffix("/").split("/")
    if len(name) > LONGEST_NAME or len(parts) > DEEPEST_FOLDER or _NOT_IN_A_NAME.search(name):
        raise refused(Reason.ARCHIVE_PATH)
    if any(not part.strip(" .") or _DEVICE.fullmatch(part) for part in parts):
        raise refused(Reason.ARCHIVE_PATH)


def _check_sizes(entries: list[_Entry], archive_bytes: int) -> None:
    total = sum(entry.size_bytes for entry in entries)
    if total > MOST_BYTES or total > HIGHEST_RATIO * archive_bytes:
        raise refused(Reason.ARCHIVE_TOO_LARGE)


# --- places and contents ------------------------------------------------------------------------------------------


def _proved_places(data: bytes, entries: list[_Entry]) -> list[int]:
    """Return where each member's packed bytes begin, once no two members share any."""
    directory = _place_of_directory(data)[2]
    starts = [_start_of(data, entry, directory) for entry in entries]
    spans = sorted((entry.offset, start + entry.packed_bytes) for entry, start in zip(entries, starts, strict=True))
    if any(end > following for (_, end), (following, _) in pairwise(spans)):
        raise refused(Reason.ARCHIVE_OVERLAP)
    if any(end > directory for _, end in spans):
        raise refused(Reason.ARCHIVE_OVERLAP)
    return starts


def _start_of(data: bytes, entry: _Entry, directory: int) -> int:
    """Return where a member's packed bytes begin; its local header must say what the central directory says."""
    if entry.offset + _LOCAL.size > directory:
        raise refused(Reason.ARCHIVE_TRUNCATED)
    magic, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack_from(data, entry.offset)
    name_at = entry.offset + _LOCAL.size
    if magic != b"PK\x03\x04" or method != entry.method or data[name_at : name_at + name_bytes] != entry.raw_name:
        raise refused(Reason.ARCHIVE_TRUNCATED)
    if flags & _ENCRYPTED_FLAGS:
        raise refused(Reason.ARCHIVE_ENCRYPTED)
    if not flags & _SIZES_FOLLOW:
        extra = data[name_at + name_bytes : name_at + name_bytes + extra_bytes]
        size, packed, _ = _wide(extra, (size, packed, 0))
        if (size, packed) != (entry.size_bytes, entry.packed_bytes):
            raise refused(Reason.ARCHIVE_SIZE)
        if crc != entry.crc:
            raise refused(Reason.ARCHIVE_CHECKSUM)
    return int(name_at + name_bytes + extra_bytes)


def _prove(data: bytes, entry: _Entry, start: int) -> None:
    """Unpack a member and throw it away; only its size, checksum and first bytes matter."""
    checksum, first = 0, b""
    for chunk in _unpacked(data, entry, start):
        checksum = zlib.crc32(chunk, checksum)
        first = first or chunk[:8]
    if checksum != entry.crc:
        raise refused(Reason.ARCHIVE_CHECKSUM)
    if first.startswith(_ARCHIVE_MAGIC) and not entry.name.casefold().endswith(_DOCUMENT_NAMES):
        raise refused(Reason.ARCHIVE_NESTED)


def _unpacked(data: bytes, entry: _Entry, start: int) -> Iterator[bytes]:
    """Yield the bytes of a member in chunks, never more of them than it says it has."""
    packed = memoryview(data)[start : start + entry.packed_bytes]
    chunks = _inflated(packed) if entry.method == _DEFLATED else _stored(packed)
    left = entry.size_bytes
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise refused(Reason.ARCHIVE_SIZE)
        yield chunk
    if left:
        raise refused(Reason.ARCHIVE_SIZE)


def _stored(packed: memoryview) -> Iterator[bytes]:
    for at in range(0, len(packed), CHUNK_BYTES):
        yield bytes(packed[at : at + CHUNK_BYTES])


def _inflated(packed: memoryview) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    taken = 0
    try:
        while not inflater.eof:
            waiting: bytes | memoryview = inflater.unconsumed_tail
            if not waiting:
                waiting = packed[taken : taken + CHUNK_BYTES]
                taken += len(waiting)
            chunk = inflater.decompress(waiting, CHUNK_BYTES)
            if not chunk and not waiting:
                break
            yield chunk
    except zlib.error:
        raise refused(Reason.ARCHIVE_TRUNCATED) from None
    if not inflater.eof or inflater.unused_data or taken < len(packed):
        raise refused(Reason.ARCHIVE_TRUNCATED)
