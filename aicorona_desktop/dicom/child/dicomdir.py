"""The disc directory (DICOMDIR): the file ids it lists, as a hint and nothing more.

The records are read in one pass over their sequence, never by following offsets; the offsets are then
proved to lie on records and to form no loop. A file id that could leave the disc is dropped.

Source: DICOM PS3.3 annex F (F.3 directory record offsets), PS3.10 section 8 (file ids).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.child.elements import ITEM, Encoding, RefusedError, Walk, read_meta

MOST_RECORDS: Final = 100_000
MOST_ELEMENTS: Final = 20 * MOST_RECORDS
LONGEST_FILE_ID: Final = 512

IMPLICIT = b"1.2.840.10008.1.2"
EXPLICIT = b"1.2.840.10008.1.2.1"

_FIRST_RECORD = 0x00041200
_RECORDS = 0x00041220
_NEXT = 0x00041400
_LOWER = 0x00041420
_FILE_ID = 0x00041500

_VERSION = re.compile(r";[0-9]+$")
_NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f/:*?\"<>|]")
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9]|LPT[0-9])(?:\..*)?", re.IGNORECASE)

FileId = tuple[str, ...]


@dataclass(slots=True)
class _Record:
    """One directory record: where its neighbour and its first child begin, 0 for none; its file id as written."""

    next_record: int = 0
    lower_record: int = 0
    file_id: bytes = b""


@dataclass(slots=True)
class _Directory:
    """What has been read of a directory; records by the offset of their item in the file."""

    first_record: int = 0
    records: dict[int, _Record] = field(default_factory=dict)


def directory(data: bytes) -> tuple[tuple[FileId, ...], tuple[Finding, ...]]:
    """Return the file ids that a DICOMDIR lists, each as its path components, and what was odd about it.

    Ids that climb out of the disc, are absolute, name a device or hold what no file id may are left out.
    Never raises: a directory that can't be read gives the ids found until then, perhaps none.
    """
    found = _Directory()
    reasons = []
    try:
        _read(data, found)
        if not _offsets_are_sound(found):
            reasons.append(Reason.DICOMDIR_LOOP)
    except RefusedError:
        reasons.append(Reason.DICOMDIR_UNREADABLE)
    written = [record.file_id for record in found.records.values() if record.file_id.strip(b" \0")]
    file_ids = [file_id for file_id in map(_components, written) if file_id]
    if not written:
        reasons.append(Reason.DICOMDIR_UNREADABLE)
    if len(file_ids) < len(written):
        reasons.append(Reason.DICOMDIR_PATH)
    findings = tuple(Finding(Outcome.WARNED, reason) for reason in dict.fromkeys(reasons))
    return tuple(file_ids), findings


def _read(data: bytes, found: _Directory) -> None:
    meta = read_meta(data)
    implicit = meta.transfer_syntax_uid == IMPLICIT
    if not implicit and meta.transfer_syntax_uid != EXPLICIT:
        raise RefusedError(Finding(Outcome.REFUSED, Reason.TRANSFER_SYNTAX))
    walk = Walk(data, meta.end, Encoding(implicit=implicit), MOST_ELEMENTS)
    in_records = False
    record = _Record()
    for depth, tag, _, offset, length in walk:
        if depth == 0:
            in_records = tag == _RECORDS
            if tag == _FIRST_RECORD:
                found.first_record = _offset_in(data, offset, length)
        elif in_records and depth == 1:
            if tag == ITEM:
                record = found.records[offset - 8] = _Record()
            _note(record, tag, data, offset, length)
        if len(found.records) > MOST_RECORDS:
            raise RefusedError(Finding(Outcome.REFUSED, Reason.TOO_MANY_ELEMENTS, needed=MOST_RECORDS))


def _note(record: _Record, tag: int, data: bytes, offset: int, length: int) -> None:
    if tag == _NEXT:
        record.next_record = _offset_in(data, offset, length)
    elif tag == _LOWER:
        record.lower_record = _offset_in(data, offset, length)
    elif tag == _FILE_ID:
        record.file_id = data[offset : offset + min(length, LONGEST_FILE_ID + 1)]


def _offset_in(data: bytes, offset: int, length: int) -> int:
    return int(struct.unpack_from("<I", data, offset)[0]) if length == 4 else 0


# --- file ids -----------------------------------------------------------------------------------------------------


def _components(value: bytes) -> FileId:
    """Return the components of a file id, () where it could mean anything else than a file on the disc."""
    text = value.decode("latin-1").strip(" \0")
    if len(text) > LONGEST_FILE_ID:
        return ()
    parts = [part.strip(" ") for part in text.split("\\")]
    parts[-1] = _VERSION.sub("", parts[-1])
    return tuple(parts) if all(map(_is_a_name, parts)) else ()


def _is_a_name(part: str) -> bool:
    if not part or part.endswith((".", " ")):  # with it "." and ".."
        return False
    return not _NOT_IN_A_NAME.search(part) and not _DEVICE.fullmatch(part)


# --- offsets ------------------------------------------------------------------------------------------------------


def _offsets_are_sound(found: _Directory) -> bool:
    """Whether every offset is that of a record, and following them meets no record twice."""
    records = found.records
    if any(offset not in records for offset in _all_offsets(found)):
        return False
    visited: set[int] = set()
    waiting = [found.first_record] if found.first_record else []
    while waiting:
        offset = waiting.pop()
        if offset in visited:
            return False
        visited.add(offset)
        waiting += [place for place in (records[offset].next_record, records[offset].lower_record) if place]
    return True


def _all_offsets(found: _Directory) -> Iterator[int]:
    if found.first_record:
        yield found.first_record
    for record in found.records.values():
        yield from (place for place in (record.next_record, record.lower_record) if place)
