"""What is on a disc or stick, and in which order it is best read: as its files lie on it, as far as that is known.

Source: FIEMAP and FIBMAP: Linux, Documentation/filesystems/fiemap.rst and linux/fs.h.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.intake.media import DISC_SYSTEMS, is_disc_directory
from aicorona_desktop.intake.opening import LARGEST_FILE_BYTES, file_finding, status_of
from aicorona_desktop.intake.walking import Found, natural_key, walk_folder

if sys.platform != "win32":
    import fcntl

_MIB = 1024 * 1024
_FIBMAP, _FIEMAP = 1, 0xC020660B
_FIEMAP_HEADER = struct.Struct("=QQIIII")
_FIEMAP_EXTENT = struct.Struct("=QQQQQIIII")
_MOSTLY = 0.9  # tiny files may lie within the file system's own structures


class Order(StrEnum):
    """By what the files of a medium were put in order."""

    EXTENT = "extent"
    """By where the system says that the first byte of each lies."""
    ENTRY = "entry"
    """By the file number, which on a disc says where the file's entry lies; the data mostly follow that order."""
    INDEX = "index"
    """As the DICOMDIR names them; what it doesn't name follows by name."""
    NAME = "name"
    """By name: nothing else is known."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One file to be copied; `below` is its path below the root of the medium, with the name's own bytes."""

    below: Path
    shown: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be copied, in which order, and what is on the medium and not to be read (with the reason)."""

    files: tuple[Planned, ...]
    left: tuple[Found, ...]
    order: Order

    @property
    def size_bytes(self) -> int:
        """The bytes of all files that are to be copied."""
        return sum(one.size_bytes for one in self.files)


def plan(
    root: Path,
    file_system: str = "",
    index: Iterable[tuple[str, ...]] = (),
    place_of: Callable[[Path], int | None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Plan:
    """List a medium and put its files in order; a DICOMDIR comes first, for what it names helps with the rest.

    Args:
        root: the medium.
        file_system: its type, as the system calls it.
        index: what its DICOMDIR names, as path components; compared without case. Only a hint.
        place_of: where the data of a file begin, None where nobody can tell.
        stopped: asked between files; what has been listed until then is returned.
    """
    files: list[tuple[Planned, int]] = []
    left: list[Found] = []
    for found in walk_folder(root):
        if stopped():
            break
        one = _planned(root, found)
        if isinstance(one, Found):
            left.append(one)
        else:
            files.append(one)
    ordered, order = _ordered(root, files, file_system, tuple(index), place_of or place_on_medium)
    first = [one for one in ordered if is_disc_directory(one.below.name)]
    return Plan(tuple(first + [one for one in ordered if one not in first]), tuple(left), order)


def _planned(root: Path, found: Found) -> tuple[Planned, int] | Found:
    """What is to be copied, with its file number; or what is not to be read, with the reason."""
    if found.finding is not None:
        return found
    try:
        status = status_of(found.path)
    except OSError as error:
        return Found(found.path, found.shown, file_finding(error), found.root)
    if not stat.S_ISREG(status.st_mode):
        return Found(found.path, found.shown, Finding(Outcome.REFUSED, Reason.NOT_A_FILE), found.root)
    if not status.st_size:
        return Found(found.path, found.shown, Finding(Outcome.REFUSED, Reason.EMPTY_FILE), found.root)
    if status.st_size > LARGEST_FILE_BYTES:
        found_mib, most = status.st_size / _MIB, LARGEST_FILE_BYTES / _MIB
        too_large = Finding(Outcome.REFUSED, Reason.TOO_LARGE_FILE, found=found_mib, needed=most)
        return Found(found.path, found.shown, too_large, found.root)
    planned = Planned(found.path.relative_to(root), found.shown, status.st_size, status.st_mtime_ns)
    return planned, status.st_ino


def _ordered(
    root: Path,
    files: list[tuple[Planned, int]],
    file_system: str,
    index: tuple[tuple[str, ...], ...],
    place_of: Callable[[Path], int | None],
) -> tuple[list[Planned], Order]:
    places = {one.below: place_of(root / one.below) for one, _ in files}
    known = {below: place for below, place in places.items() if place is not None}
    if known and len(known) >= _MOSTLY * len(places):
        return sorted((one for one, _ in files), key=lambda one: known.get(one.below, -1)), Order.EXTENT
    if file_system in DISC_SYSTEMS and sys.platform != "win32":
        return [one for one, _ in sorted(files, key=lambda pair: pair[1])], Order.ENTRY
    by_name = sorted((one for one, _ in files), key=lambda one: [natural_key(part) for part in one.below.parts])
    if index:
        named = {"/".join(parts).casefold(): number for number, parts in reversed(list(enumerate(index)))}
        last = len(named) + len(index)
        return sorted(by_name, key=lambda one: named.get(one.below.as_posix().casefold(), last)), Order.INDEX
    return by_name, Order.NAME


def place_on_medium(path: Path) -> int | None:
    """Return where the first byte of a file lies on its device, None where the system doesn't tell.

    FIEMAP answers for most file systems of disks, FIBMAP for discs and old sticks, but only to an administrator.
    """
    if sys.platform == "win32":
        return None
    else:  # noqa: RET505 - the type checker reads one branch on each system
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return _by_fiemap(descriptor)
        except OSError:
            return _by_fibmap(descriptor)
        finally:
            os.close(descriptor)


def _by_fiemap(descriptor: int) -> int | None:
    request = bytearray(_FIEMAP_HEADER.pack(0, 0xFFFFFFFFFFFFFFFF, 0, 0, 1, 0) + bytes(_FIEMAP_EXTENT.size))
    fcntl.ioctl(descriptor, _FIEMAP, request)
    if not _FIEMAP_HEADER.unpack_from(request)[3]:
        return None
    place = int(_FIEMAP_EXTENT.unpack_from(request, _FIEMAP_HEADER.size)[1])
    return place or None  # 0: not on the device yet, or within another structure


def _by_fibmap(descriptor: int) -> int | None:
    request = bytearray(struct.pack("=i", 0))
    try:
        fcntl.ioctl(descriptor, _FIBMAP, request)
    except OSError:
        return None
    return int(struct.unpack("=i", request)[0]) or None
