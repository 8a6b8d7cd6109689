"""Discs and sticks: which are in this computer, which one is new, and whether it holds DICOM.

Nothing on a medium is ever started or opened beyond its list of files and the first bytes of a few of them.
Linux tells its mounts in `/proc/self/mountinfo` (proc(5)) and wakes whoever polls it when they change; Windows is
asked for its drive letters (`GetLogicalDrives`, `GetDriveTypeW`, `GetVolumeInformationW`).
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from aicorona_desktop.core.drives import MOUNTS, NETWORK_TYPES, Mount, mounts
from aicorona_desktop.intake.walking import Found, long_name, shown_text, walk_folder

BLOCK_DEVICES = Path("/sys/dev/block")
VOLUME_NAMES = Path("/dev/disk/by-label")
VOLUME_SERIALS = Path("/dev/disk/by-uuid")
LOOK_EVERY_S = 2.0
FILES_TRIED = 40
"""So many files of a medium without a DICOMDIR are opened to see whether they are DICOM."""
MOST_COUNTED = 50_000
LONGEST_LOOK_S = 10.0
"""Counting the files of a medium ends here: a scratched disc may take minutes to list."""

DISC_SYSTEMS = frozenset({"iso9660", "udf", "cdfs"})
STICK_SYSTEMS = frozenset({"vfat", "exfat", "msdos", "fat32", "fat", "ntfs", "ntfs3", "fuseblk", "hfsplus"})
MOUNT_FOLDERS = ("/media/", "/run/media/", "/mnt/")
NOT_A_MEDIUM = NETWORK_TYPES | {"tmpfs", "devtmpfs", "overlay", "squashfs", "proc", "sysfs", "autofs", "ramfs"}
DRIVE_REMOVABLE, DRIVE_CDROM = 2, 5  # winbase.h
DISC_DIRECTORY = "dicomdir"

_UDEV_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


class MediumKind(StrEnum):
    """What a medium is: a disc that turns, or a stick or card."""

    DISC = "disc"
    STICK = "stick"


@dataclass(frozen=True, slots=True)
class Medium:
    """A disc or stick that can be read now. `label` is what its volume is called, "" where it has no name.

    `serial` is the number of its volume, `device` that of the drive or partition (Linux); "" where nobody knows.
    """

    root: Path
    kind: MediumKind
    label: str = ""
    file_system: str = ""
    serial: str = ""
    device: str = ""

    @property
    def shown(self) -> str:
        """What a person calls it: the name of its volume, or where it is."""
        return shown_text(self.label or self.root.name or str(self.root))


@dataclass(frozen=True, slots=True)
class MediumLook:
    """What a quick look found: `files` and `bytes` as far as they were counted, `whole` says that this is all."""

    has_dicom: bool
    files: int = 0
    size_bytes: int = 0
    whole: bool = True
    readable: bool = True


# --- which media there are ----------------------------------------------------------------------------------------


def media() -> tuple[Medium, ...]:
    """Return the discs and sticks that can be read now, in the order in which the system tells them."""
    if sys.platform == "win32":
        return _windows_media()
    try:
        text = MOUNTS.read_bytes()
    except OSError:  # no Linux: the person chooses the folder
        return ()
    there = (one for one in mounts(text) if is_present(one.device))
    return tuple(media_of(there, is_removable, volume_name, lambda source: volume_name(source, VOLUME_SERIALS)))


def medium_at(root: Path) -> Medium:
    """Return the medium whose root this is, or a folder as if it were one."""
    for one in media():
        if one.root == root:
            return one
    return Medium(root, MediumKind.STICK)


def media_of(
    found: Iterable[Mount],
    removable: Callable[[str], bool],
    label_of: Callable[[str], str],
    serial_of: Callable[[str], str],
) -> Iterator[Medium]:
    """Yield the mounts that are a disc or a stick, each device once.

    Args:
        found: the mounts.
        removable: whether the device with this number can be taken out.
        label_of: what the volume in a device file is called, "" where nobody knows.
        serial_of: the serial number of that volume, "" where nobody knows.
    """
    seen: set[str] = set()
    for one in found:
        kind = _kind_of(one, removable)
        if kind is None or one.device in seen:
            continue
        seen.add(one.device)
        yield Medium(one.folder, kind, label_of(one.source), one.file_system, serial_of(one.source), one.device)


def _kind_of(mount: Mount, removable: Callable[[str], bool]) -> MediumKind | None:
    """A disc by its file system; a stick where the device can be taken out, or it is mounted where sticks are."""
    if mount.file_system in NOT_A_MEDIUM or mount.top != "/" or str(mount.folder) == "/":
        return None
    if mount.file_system in DISC_SYSTEMS:
        return MediumKind.DISC
    if removable(mount.device):
        return MediumKind.STICK
    stands = str(PurePosixPath(mount.folder)).startswith(MOUNT_FOLDERS)
    return MediumKind.STICK if stands and mount.file_system in STICK_SYSTEMS else None


def is_removable(device: str, devices: Path = BLOCK_DEVICES) -> bool:
    """Whether the system says that a block device, or the one that it is a part of, can be taken out."""
    place = devices / device
    for folder in (place, place / ".."):
        try:
            return (folder / "removable").read_text("ascii").strip() == "1"
        except (OSError, UnicodeDecodeError):
            continue
    return False


def is_present(device: str, devices: Path = BLOCK_DEVICES) -> bool:
    """Whether a medium is in the drive: one that was pulled out may stay mounted, with nothing behind it.

    What is no block device (FUSE, a network) is taken as there.
    """
    try:
        return (devices / device / "size").read_text("ascii").strip() != "0"
    except (OSError, UnicodeDecodeError):
        return device.startswith("0:")


def volume_name(source: str, names: Path = VOLUME_NAMES) -> str:
    """Return what udev calls the volume in a device file in one of its folders of links, "" where it says nothing."""
    try:
        with os.scandir(names) as entries:
            for entry in entries:
                if os.path.realpath(entry.path) == os.path.realpath(source):
                    return _UDEV_ESCAPE.sub(lambda match: chr(int(match[1], 16)), entry.name)
    except OSError:
        return ""
    return ""


def drive_roots(mask: int) -> tuple[str, ...]:
    """Return the roots of the drive letters in a mask as `GetLogicalDrives` gives it."""
    return tuple(f"{chr(ord('A') + bit)}:\\" for bit in range(26) if mask >> bit & 1)


def drives_of(
    mask: int, type_of: Callable[[str], int], volume_of: Callable[[str], tuple[str, int, str] | None]
) -> Iterator[Medium]:
    """Yield the discs and sticks among Windows' drives.

    Args:
        mask: the drive letters, as `GetLogicalDrives` gives them.
        type_of: the type of the drive at a root, as `GetDriveTypeW` gives it.
        volume_of: label, serial number and file system of the volume at a root; None where no medium is in it.
    """
    kinds = {DRIVE_REMOVABLE: MediumKind.STICK, DRIVE_CDROM: MediumKind.DISC}
    for root in drive_roots(mask):
        kind = kinds.get(type_of(root))
        volume = None if kind is None else volume_of(root)
        if kind is not None and volume is not None:
            label, serial, file_system = volume
            yield Medium(Path(root), kind, label, file_system.lower(), f"{serial:08x}")


def _windows_media() -> tuple[Medium, ...]:
    import ctypes

    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - unknown to the type checker elsewhere

    def volume_of(root: str) -> tuple[str, int, str] | None:
        name, system = ctypes.create_unicode_buffer(261), ctypes.create_unicode_buffer(261)
        serial = ctypes.c_uint32()
        there = kernel.GetVolumeInformationW(
            ctypes.c_wchar_p(root), name, 261, ctypes.byref(serial), None, None, system, 261
        )
        return (name.value, serial.value, system.value) if there else None

    # An empty drive must answer with an error and no dialog: SEM_FAILCRITICALERRORS, on this thread.
    kernel.SetThreadErrorMode(1, None)
    return tuple(
        drives_of(kernel.GetLogicalDrives(), lambda root: int(kernel.GetDriveTypeW(ctypes.c_wchar_p(root))), volume_of)
    )


# --- what is on one -----------------------------------------------------------------------------------------------


def fingerprint(medium: Medium) -> str:
    """Return what tells this medium from others, as SHA-256: its volume's name and type, and what stands at its root.

    The drive it lies in counts for nothing: a disc that comes back in another drive is the same disc.

    Raises:
        OSError: the medium can't be listed.
    """
    digest = hashlib.sha256()
    volume = f"{medium.label}\0{medium.file_system}\0{medium.serial}\0"
    digest.update(volume.encode("utf-8", "surrogateescape"))
    with os.scandir(long_name(medium.root)) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            status = entry.stat(follow_symlinks=False)
            digest.update(os.fsencode(entry.name))
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode("ascii"))
    return digest.hexdigest()


class Whereabouts:
    """Where a medium is at present; called, it returns its root, or None while it is away.

    Cheap while nothing changes. A medium that comes back in another place is found by its fingerprint.
    """

    def __init__(self, medium: Medium, look: Callable[[], tuple[Medium, ...]] | None = None) -> None:
        self._medium = medium
        self._look = look or media
        self._fingerprint = fingerprint(medium)
        self._root = medium.root
        self._device = medium.device
        self._stands_on = Path(long_name(medium.root)).stat().st_dev

    def __call__(self) -> Path | None:
        if self._is_still_there():
            return self._root
        for one in self._look():
            if one.kind is self._medium.kind and _fingerprint_or_none(one) == self._fingerprint:
                self._root, self._device = one.root, one.device
                self._stands_on = Path(long_name(one.root)).stat().st_dev
                return self._root
        return None

    def _is_still_there(self) -> bool:
        try:
            status = Path(long_name(self._root)).stat()
        except OSError:
            return False
        if status.st_dev != self._stands_on or (self._device and not is_present(self._device)):
            return False
        return sys.platform != "win32" or _fingerprint_or_none(self._medium) == self._fingerprint


def _fingerprint_or_none(medium: Medium) -> str | None:
    try:
        return fingerprint(medium)
    except OSError:
        return None


def look_at(
    root: Path, now: Callable[[], float] = time.monotonic, stopped: Callable[[], bool] = lambda: False
) -> MediumLook:
    """Look whether a medium holds DICOM, by a DICOMDIR in any spelling or the first files, and count its files."""
    has_dicom, files, size, tried = False, 0, 0, 0
    ends, whole = now() + LONGEST_LOOK_S, True
    for found in walk_folder(root):
        if stopped() or files >= MOST_COUNTED or now() > ends:
            whole = False
            break
        if found.finding is not None:
            if found.path == root:
                return MediumLook(False, readable=False)
            continue
        files += 1
        size += _size_of(found)
        if not has_dicom and tried < FILES_TRIED:
            tried += 1
            has_dicom = is_disc_directory(found.path.name) or _starts_as_dicom(found)
    return MediumLook(has_dicom, files, size, whole)


def is_disc_directory(name: str) -> bool:
    """Whether a file's name is DICOMDIR in any spelling: any case, with a version or a dot behind it."""
    return name.partition(";")[0].rstrip(". ").lower() == DISC_DIRECTORY


def _size_of(found: Found) -> int:
    try:
        return os.lstat(long_name(found.path)).st_size
    except OSError:
        return 0


def _starts_as_dicom(found: Found) -> bool:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(long_name(found.path), flags)
    except OSError:
        return False
    try:
        return os.read(descriptor, 132)[128:] == b"DICM"
    except OSError:
        return False
    finally:
        os.close(descriptor)


# --- what comes and goes ------------------------------------------------------------------------------------------


class MediaWatch:
    """Tells which media have come and which have gone since it was asked last; those of the start count as come."""

    def __init__(self, look: Callable[[], tuple[Medium, ...]] = media) -> None:
        self._look = look
        self._there: dict[tuple[Path, str, str, str], Medium] = {}

    def changes(self) -> tuple[tuple[Medium, ...], tuple[Medium, ...]]:
        """Return what has come and what has gone."""
        now = {(one.root, one.device, one.serial, one.label): one for one in self._look()}
        come = tuple(one for key, one in now.items() if key not in self._there)
        gone = tuple(one for key, one in self._there.items() if key not in now)
        self._there = now
        return come, gone


def wait_for_change(seconds: float = LOOK_EVERY_S) -> None:
    """Wait until the system's mounts change, or until the time is over where it tells of no change."""
    try:
        descriptor = os.open(MOUNTS, os.O_RDONLY)
    except OSError:
        time.sleep(seconds)
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLPRI | select.POLLERR)
        poll.poll(seconds * 1000)
    finally:
        os.close(descriptor)
