"""Decoded slices kept for the next look: whole series in standard orientation, one file each, ours and evictable.

A file is named by what it holds: the study, the slices with the SHA-256 of the files they were read from, in their
order, and the version of the program that decoded them. Another set of files, or another program, is another name, so
an old picture is never shown under new files. What is damaged or of another form is removed and read anew from the
originals; nothing here is ever the only copy.

Files are read, not mapped into memory: a mapped file that is cut short, or whose disk fails, ends the program.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import shutil
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop import __version__
from aicorona_desktop.core.durable import ONLY_OURS
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.frames import Field, Frame, read_frame, write_frame
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES, free_bytes
from aicorona_desktop.core.study import Instance
from aicorona_desktop.dicom.protocol import checked, field_of

log = logging.getLogger(__name__)

FORM = 1
"""Counts up with the form of the files and with the orientation that slices are brought into."""

GB = 1_000_000_000
MOST_GB = 10
SHARE_OF_DISK = 0.1
"""The cache takes no more than this share of the disk, however much the site allows."""

VOLUME, HEADERS, PART = ".volume", ".headers", ".part"
_SLICE, _INDEX, _EXAMINED = 1, 2, 3
_TAIL = struct.Struct("<4sQ")
_TAIL_MAGIC = b"AICV"

Examination = tuple[Header, ...] | Finding


@dataclass(frozen=True, slots=True, eq=False)
class ShownSlice:
    """One slice in standard orientation: `pixels` int16 [rows, columns] in HU, and what lies over them.

    `overlay` is uint8 [rows, bytes], one bit a pixel as `np.packbits` puts them, None where nothing lies over the
    slice; `overlay_left_out` says that there is more which could not be read.
    """

    pixels: NDArray[np.int16]
    overlay: NDArray[np.uint8] | None = None
    overlay_left_out: Finding | None = None

    @property
    def overlay_bits(self) -> NDArray[np.bool_] | None:
        """The overlay unpacked, bool [rows, columns]."""
        if self.overlay is None:
            return None
        return np.unpackbits(self.overlay, axis=1, count=self.pixels.shape[1]).view(np.bool_)


class _OddFileError(AicoronaError):
    """A file of the cache is damaged, cut short or of another form."""


def volume_key(instances: Sequence[Instance]) -> str:
    """Return the name of a series as these files show it, in this order, decoded by this program."""
    digest = hashlib.sha256(f"{FORM} {__version__}\n".encode())
    for one in instances:
        digest.update(f"{one.identity} {one.file.sha256}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def headers_key(sha256s: Iterable[str]) -> str:
    """Return the name of what the reader says of these files, whatever their order."""
    return hashlib.sha256("\n".join((f"{FORM} {__version__}", *sorted(set(sha256s)))).encode()).hexdigest()


class VolumeCache:
    """The files of one folder; those used longest ago go when there are too many bytes. Without a folder none is kept.

    May be used from any thread. Nothing here raises: what can't be kept or read costs time, no more.
    """

    def __init__(self, folder: Path | None, most_gb: float = MOST_GB) -> None:
        self.folder = folder
        self.most_gb = most_gb
        self._one_at_a_time = threading.Lock()

    @property
    def most_bytes(self) -> int:
        """How much the files may take: what the site allows, and never more than a tenth of the disk."""
        if self.folder is None:
            return 0
        return min(round(self.most_gb * GB), round(SHARE_OF_DISK * _disk_bytes(self.folder)))

    @property
    def size_bytes(self) -> int:
        """How much they take."""
        return sum(size for _, size, _ in self._files())

    def volume(self, study_instance_uid: str, instances: Sequence[Instance]) -> CachedVolume | None:
        """Return the slices of a series if they are kept; to be closed."""
        path = self._path(study_instance_uid, volume_key(instances), VOLUME)
        if path is None:
            return None
        try:
            stream = path.open("rb")
        except OSError:
            return None
        try:
            offsets = _offsets(stream, len(instances))
        except (AicoronaError, OSError, struct.error):
            stream.close()
            self._odd(path)
            return None
        _touch(path)
        return CachedVolume(stream, offsets, partial(self._odd, path))

    def writing(self, study_instance_uid: str, instances: Sequence[Instance], size_bytes: int) -> VolumeWriting | None:
        """Begin to keep the slices of a series; None where there is no room, or they are kept already."""
        path = self._path(study_instance_uid, volume_key(instances), VOLUME)
        if path is None or self.folder is None or size_bytes > self.most_bytes or path.exists():
            return None
        try:
            if free_bytes(self.folder) - size_bytes < 2 * FLOOR_INTAKE_BYTES:
                return None
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = _part_of(path)
            stream = open(part, "xb", opener=partial(os.open, mode=ONLY_OURS))  # noqa: SIM115 - closed by the writer
        except OSError as error:
            log.warning("slices could not be kept: %s", type(error).__name__)
            return None
        return VolumeWriting(stream, part, path, len(instances), self.make_room)

    def examined(self, study_instance_uid: str, sha256s: Sequence[str]) -> Mapping[str, Examination] | None:
        """Return what the reader said of all these files, by SHA-256, if that is kept."""
        path = self._path(study_instance_uid, headers_key(sha256s), HEADERS)
        if path is None:
            return None
        try:
            with path.open("rb") as stream:
                found = dict(_examinations(stream))
        except OSError:
            return None
        except (AicoronaError, struct.error, ValueError):
            self._odd(path)
            return None
        if set(found) != set(sha256s):
            self._odd(path)
            return None
        _touch(path)
        return found

    def keep_examined(self, study_instance_uid: str, examined: Mapping[str, Examination]) -> None:
        """Keep what the reader said of all files of a study, by SHA-256."""
        path = self._path(study_instance_uid, headers_key(examined), HEADERS)
        if path is None or self.folder is None or not self.most_bytes:
            return
        part = _part_of(path)
        try:
            if free_bytes(self.folder) < 2 * FLOOR_INTAKE_BYTES:
                return
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(part, "xb", opener=partial(os.open, mode=ONLY_OURS)) as stream:
                for number, (sha256, answer) in enumerate(examined.items()):
                    write_frame(stream, Frame(_EXAMINED, number, _examined_fields(sha256, answer)))
            part.replace(path)
        except (OSError, AicoronaError) as error:
            log.warning("headers could not be kept: %s", type(error).__name__)
            _remove(part)

    def forget(self, study_instance_uid: str) -> None:
        """Remove everything of a study."""
        for _, _, path in self._files():
            if path.name.startswith(f"{_study_name(study_instance_uid)}-"):
                _remove(path)

    def clear(self) -> int:
        """Remove everything; return how many bytes that gave."""
        return self._evict(0)

    def make_room(self, wanted_bytes: int = 0) -> int:
        """Remove what was used longest ago until the rest fits, and until so many bytes more are free; return them."""
        with self._one_at_a_time:
            before = self.size_bytes
            return self._evict(max(min(before - wanted_bytes, self.most_bytes), 0))

    def _evict(self, most_bytes: int) -> int:
        found = sorted(self._files(), key=lambda one: one[0])
        left = before = sum(size for _, size, _ in found)
        for _, size, path in found:
            if left <= most_bytes:
                break
            if _remove(path):
                left -= size
        return before - left

    def _path(self, study_instance_uid: str, key: str, suffix: str) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / f"{_study_name(study_instance_uid)}-{key[:32]}{suffix}"

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Yield time of last use, size and path of every file."""
        for suffix in (VOLUME, HEADERS):
            for path in self.folder.glob(f"*{suffix}") if self.folder is not None else ():
                with contextlib.suppress(OSError):  # gone meanwhile
                    status = path.stat()
                    yield status.st_mtime, status.st_size, path

    def _odd(self, path: Path) -> None:
        log.warning("a file of kept slices was damaged or of another form; it is read anew from the originals")
        _remove(path)

    def sweep(self) -> None:
        """Remove what an earlier session has begun and not ended; for the one program that writes a history."""
        for path in self.folder.glob(f"*{PART}") if self.folder is not None else ():
            _remove(path)


class CachedVolume:
    """The kept slices of a series, by index; a context manager."""

    def __init__(self, stream: BinaryIO, offsets: tuple[int, ...], odd: Callable[[], None]) -> None:
        self._stream = stream
        self._offsets = offsets
        self._odd = odd

    def __enter__(self) -> CachedVolume:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def slice(self, index: int) -> ShownSlice | None:
        """Return a slice; None where the file is damaged, which then goes."""
        try:
            self._stream.seek(self._offsets[index])
            return _shown(read_frame(self._stream), index)
        except (AicoronaError, OSError, struct.error):
            self._odd()
            return None


class VolumeWriting:
    """A series on its way into the cache: whole or not at all. Slices may come in any order."""

    def __init__(self, stream: BinaryIO, part: Path, path: Path, count: int, make_room: Callable[[], object]) -> None:
        self._stream: BinaryIO | None = stream
        self._part, self._path = part, path
        self._offsets = [0] * count
        self._missing = set(range(count))
        self._make_room = make_room

    @property
    def missing(self) -> tuple[int, ...]:
        """The slices that have not come."""
        return tuple(sorted(self._missing))

    def add(self, index: int, shown: ShownSlice) -> None:
        """Take a slice; where the disk is full the whole is given up."""
        if self._stream is None or index not in self._missing:
            return
        left_out = None if shown.overlay_left_out is None else field_of(shown.overlay_left_out)
        try:
            self._offsets[index] = self._stream.tell()
            write_frame(self._stream, Frame(_SLICE, index, (shown.pixels, shown.overlay, left_out)))
        except (OSError, AicoronaError) as error:
            log.warning("slices could not be kept: %s", type(error).__name__)
            self.give_up()
        else:
            self._missing.discard(index)

    def finish(self) -> bool:
        """Put the whole in its place; False, and nothing is left, where slices are missing or the disk is full."""
        stream = self._stream
        if stream is None or self._missing:
            self.give_up()
            return False
        try:
            at = stream.tell()
            write_frame(stream, Frame(_INDEX, 0, (FORM, tuple(self._offsets))))
            stream.write(_TAIL.pack(_TAIL_MAGIC, at))
            stream.close()
            self._part.replace(self._path)
        except OSError as error:
            log.warning("slices could not be kept: %s", type(error).__name__)
            self.give_up()
            return False
        self._stream = None
        self._make_room()
        return True

    def give_up(self) -> None:
        """Leave nothing behind; safe to call at any time."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
            _remove(self._part)


def _offsets(stream: BinaryIO, count: int) -> tuple[int, ...]:
    stream.seek(-_TAIL.size, os.SEEK_END)
    magic, at = _TAIL.unpack(stream.read(_TAIL.size))
    if magic != _TAIL_MAGIC:
        raise _OddFileError("This is no file of slices.")
    stream.seek(at)
    frame = read_frame(stream)
    if frame is None or frame.kind != _INDEX or len(frame.fields) != 2 or frame.fields[0] != FORM:
        raise _OddFileError("This is no file of slices.")
    offsets = checked(tuple[int, ...], frame.fields[1])
    if len(offsets) != count or not all(0 <= one < at for one in offsets):
        raise _OddFileError("This file holds other slices.")
    return offsets


def _shown(frame: Frame | None, index: int) -> ShownSlice:
    if frame is None or frame.kind != _SLICE or frame.request != index or len(frame.fields) != 3:
        raise _OddFileError("This is not the slice that was kept.")
    pixels, overlay, left_out = frame.fields
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.int16 or pixels.ndim != 2:
        raise _OddFileError("This slice has no pixels.")
    lines = overlay.astype(np.uint8, copy=False) if isinstance(overlay, np.ndarray) else None
    finding = None if left_out is None else checked(Finding, left_out)
    return ShownSlice(pixels.view(np.int16), lines, finding)


def _examined_fields(sha256: str, answer: Examination) -> tuple[Field, ...]:
    if isinstance(answer, Finding):
        return (sha256, field_of(answer), ())
    return (sha256, None, tuple(field_of(one) for one in answer))


def _examinations(stream: BinaryIO) -> Iterator[tuple[str, Examination]]:
    while (frame := read_frame(stream)) is not None:
        if frame.kind != _EXAMINED or len(frame.fields) != 3:
            raise _OddFileError("This is no file of headers.")
        sha256, finding, headers = frame.fields
        answer = checked(tuple[Header, ...], headers) if finding is None else checked(Finding, finding)
        yield checked(str, sha256), answer


def _study_name(study_instance_uid: str) -> str:
    return hashlib.sha256(study_instance_uid.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")


def _disk_bytes(folder: Path) -> int:
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    try:
        return shutil.disk_usage(there).total
    except OSError:
        return 0


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(path)  # used now: it goes last


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("a file of kept slices could not be removed: %s", type(error).__name__)
        return False
    return True
