"""Disc images (ISO 9660 with Joliet, Rock Ridge or a UDF bridge): which files one holds and where their bytes lie.

Only the structure of an image comes here, in the ranges of bytes that reading it turns out to need; the contents of
its files never do. One breach of a bound refuses the image whole. No name of a file becomes a path.

Source: ECMA-119 (ISO 9660); the parser is pycdlib, which refuses loops of directories by itself.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, cast

from pycdlib import PyCdlib
from pycdlib.dr import DirectoryRecord
from pycdlib.pycdlibexception import PyCdlibException

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.child.archives import DEEPEST_FOLDER, HIGHEST_RATIO, LONGEST_NAME, MOST_BYTES, MOST_ENTRIES
from aicorona_desktop.dicom.child.elements import RefusedError, refused
from aicorona_desktop.dicom.protocol import UNSHOWABLE, ImageFile, ImageListed, ImageNeeds

MOST_BYTES_READ: Final = 256 * 1024 * 1024
"""All reading of one look together: a structure that leads round and round ends here."""
SECTOR_BYTES: Final = 2048
_FIRST_DESCRIPTOR: Final = 16 * SECTOR_BYTES
_VERSION: Final = ";"
_TRUSTED_ERRORS = (PyCdlibException, ValueError, IndexError, KeyError, AttributeError, TypeError, OverflowError)


class MissingError(Exception):
    """A range of the image is needed that has not come."""

    def __init__(self, offset: int, length: int) -> None:
        super().__init__()
        self.needs = ImageNeeds(offset, length)


class _Sparse(io.RawIOBase):
    """An image of which only some ranges are here; a read beyond them asks for more."""

    def __init__(self, size: int, ranges: Sequence[tuple[int, bytes]]) -> None:
        self._size = size
        self._ranges = sorted(ranges, key=lambda one: one[0])
        self._starts = [start for start, _ in self._ranges]
        self._at = 0
        self._read = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise refused(Reason.IMAGE_DAMAGED)
        self._at = base + offset
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self._size - self._at)
        wanted = left if size < 0 else min(size, left)
        self._read += wanted
        if self._read > MOST_BYTES_READ:
            raise refused(Reason.ARCHIVE_TOO_LARGE)
        data = self._here(wanted)
        self._at += len(data)
        return data

    def _here(self, wanted: int) -> bytes:
        if not wanted:
            return b""
        parts, at, end = [], self._at, self._at + wanted
        while at < end:
            place = bisect_right(self._starts, at) - 1
            start, data = self._ranges[place] if place >= 0 else (0, b"")
            if at >= start + len(data):
                raise MissingError(at, end - at)
            part = data[at - start : end - start]
            parts.append(part)
            at += len(part)
        return b"".join(parts)


def listed(size: int, ranges: Sequence[tuple[int, bytes]]) -> ImageListed | ImageNeeds:
    """Return the files of an image of so many bytes, of which some ranges (offset, bytes) are here, or what it needs.

    Raises:
        RefusedError: the image breaks a bound (`ARCHIVE_...`) or can't be understood (`IMAGE_DAMAGED`).
    """
    image = PyCdlib()
    try:
        image.open_fp(cast("BinaryIO", _Sparse(size, ranges)))
        return ImageListed(_checked(size, _files(image)))
    except MissingError as error:
        return error.needs
    except RefusedError:
        raise
    except _TRUSTED_ERRORS:  # what a parser says of foreign bytes is no more than: damaged
        raise refused(Reason.IMAGE_DAMAGED) from None


def _files(image: PyCdlib) -> Iterator[ImageFile]:
    """Yield every file, by the best names that the image has: Rock Ridge, Joliet, else those of ISO 9660."""
    block = image.pvd.logical_block_size()
    rock_ridge = image.has_rock_ridge()
    joliet = None if rock_ridge else image.joliet_vd
    top = joliet or image.pvd
    waiting: list[tuple[DirectoryRecord, tuple[str, ...]]] = [(top.root_directory_record(), ())]
    while waiting:
        folder, above = waiting.pop()
        if len(above) > DEEPEST_FOLDER:
            raise refused(Reason.FOLDER_TOO_DEEP)
        below = []
        continued = {id(one.data_continuation) for one in folder.children if one.data_continuation is not None}
        for record in folder.children:
            if record.is_dot() or record.is_dotdot() or id(record) in continued:
                continue
            parts = (*above, _name_of(record, joliet=joliet is not None, rock_ridge=rock_ridge))
            moved = record.rock_ridge.cl_to_moved_dr if rock_ridge and record.rock_ridge is not None else None
            if moved is not None or record.is_dir():
                below.append((moved or record, parts))
            else:
                yield _file(record, parts, block)
        waiting += reversed(below)


def _file(record: DirectoryRecord, parts: tuple[str, ...], block: int) -> ImageFile:
    name = UNSHOWABLE.sub("\ufffd", "/".join(parts))[:LONGEST_NAME]
    if record.is_symlink():
        return ImageFile(name, (), Finding(Outcome.REFUSED, Reason.LINK))
    extents: list[tuple[int, int]] = []
    one: DirectoryRecord | None = record
    while one is not None:
        if len(extents) > MOST_ENTRIES:
            raise refused(Reason.ARCHIVE_TOO_MANY)
        extents.append((one.extent_location() * block, one.data_length))
        one = one.data_continuation
    return ImageFile(name, tuple(extents))


def _name_of(record: DirectoryRecord, *, joliet: bool, rock_ridge: bool) -> str:
    if rock_ridge and record.rock_ridge is not None and record.rock_ridge.name():
        return str(record.rock_ridge.name().decode("utf-8", "replace"))
    raw = record.file_identifier()
    name = str(raw.decode("utf-16-be" if joliet else "latin-1", "replace"))
    return name.partition(_VERSION)[0].removesuffix(".") or name


def _checked(size: int, files: Iterator[ImageFile]) -> tuple[ImageFile, ...]:
    """Hold the files against the bounds; what only one of them breaks is said of that one."""
    found: list[ImageFile] = []
    total = 0
    for one in files:
        total += sum(max(0, length) for _, length in one.extents)
        if len(found) >= MOST_ENTRIES:
            raise refused(Reason.ARCHIVE_TOO_MANY)
        if total > MOST_BYTES or total > HIGHEST_RATIO * size:
            raise refused(Reason.ARCHIVE_TOO_LARGE)
        if any(part in ("", ".", "..") or "\\" in part for part in one.name.split("/")):
            raise refused(Reason.ARCHIVE_PATH)
        found.append(one)
    starts = sorted({offset for one in found for offset, length in one.extents if length})
    return tuple(_placed(one, size, starts) for one in found)


def _placed(one: ImageFile, size: int, starts: Sequence[int]) -> ImageFile:
    """Return the file, or the finding in its place where it runs out of the image or into another file.

    The parser cuts a file at the end of the image without a word: but a whole image ends with a whole sector.
    """
    for offset, length in one.extents:
        end = offset + length
        if length and (offset < _FIRST_DESCRIPTOR or length < 0 or end > size or (end == size and end % SECTOR_BYTES)):
            return ImageFile(one.name, (), Finding(Outcome.REFUSED, Reason.ARCHIVE_TRUNCATED))
        following = bisect_right(starts, offset)
        if length and following < len(starts) and starts[following] < end:
            return ImageFile(one.name, (), Finding(Outcome.REFUSED, Reason.ARCHIVE_OVERLAP))
    return one
