"""One file's bytes with their proof, or the reason for having none.

Only regular files are opened: not a link, pipe, device or socket, not even one that takes the place of a
regular file between look and open. Sources are never changed.

Source: reliability rules, section 1.4 rule 1 and section 3.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PurePath

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.intake.walking import long_name, shown_text

if sys.platform != "win32":
    import fcntl

LARGEST_FILE_BYTES = 256 * 1024 * 1024
TRIES = 3
"""How often a medium with read errors is asked."""

DICOM_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
ARCHIVE_SUFFIXES = (".gz", ".tgz", ".7z", ".rar", ".tar", ".bz2", ".xz", ".zst", ".cab")

_MIB = 1024 * 1024
_LONGEST_PATH_BYTES = 4000  # PATH_MAX is 4096 on Linux
# File names that scanners and archives write without a suffix: IM00012, 0000001A is rare, CT.1.2.840.113619.2
_NAMED_BY_A_MACHINE = re.compile(r"[A-Za-z]{0,4}[._-]?[0-9][0-9.]*")
# A data set without preamble starts with group 0002 or 0008, little endian.
_BARE_DATA_SET = re.compile(rb"(?:\x02\x00[\x00-\x16]\x00|\x08\x00[\x00-\x18]\x00)")
_BUSY_ON_WINDOWS = (32, 33)  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION

Standing = tuple[str, int | None]
"""A name and the handle of the folder it stands in (None: from the working folder)."""


def open_regular(
    path: Path, shown: str = "", source: str = "", below: Path | None = None, pause_s: float = 1.0
) -> tuple[bytes, FileRef] | Finding:
    """Read a whole file and hash it.

    Args:
        path: the file.
        shown: what a person calls it; the cleaned name where that is empty.
        source: where it came from, kept in the reference.
        below: a folder above the file below which no link is followed, as a walk gives it in `Found.root`.
        pause_s: wait between two tries on a medium with read errors.

    Returns:
        The bytes and their reference, or the reason why not: refused, in every case.
    """
    try:
        answer = _read_patiently(path, below, pause_s)
    except OSError as error:
        return file_finding(error)
    if isinstance(answer, Finding):
        return answer
    data, sha256, mtime_ns = answer
    return data, FileRef(path, shown or shown_text(path.name), len(data), mtime_ns, sha256, source)


def read_again(ref: FileRef) -> bytes | Finding:
    """Return the bytes of a file read before; refused when they are not the same any more."""
    opened = open_regular(ref.path, ref.shown, ref.source)
    if isinstance(opened, Finding):
        return opened
    data, found = opened
    return data if found.sha256 == ref.sha256 else Finding(Outcome.REFUSED, Reason.CHANGED_WHILE_READING)


@contextlib.contextmanager
def opened_regular(path: Path, below: Path | None = None) -> Iterator[tuple[int, os.stat_result]]:
    """Open a file for who reads it in parts, as safely as `open_regular`; give its handle and what it is.

    Raises:
        OSError: it can't be opened, or is no regular file.
    """
    with _standing(path, below) as standing, _opened(standing) as descriptor:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        yield descriptor, status


def status_of(path: Path) -> os.stat_result:
    """Return a file's size, times and identity, at any length of path, without following a link.

    Raises:
        OSError: as `os.lstat`.
    """
    with _standing(path, None) as (name, folder):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)


def is_busy(path: Path) -> bool:
    """Whether another program holds the file locked: it is then not complete."""
    try:
        with _standing(path, None) as standing, _opened(standing) as descriptor:
            return _is_locked(descriptor)
    except OSError as error:
        return getattr(error, "winerror", None) in _BUSY_ON_WINDOWS


def not_dicom(shown: str, head: bytes = b"") -> Finding:
    """Return what becomes of a file that the reader found not to be DICOM.

    One that claims to be (by its suffix, by a name as scanners give, or because it starts like a data set
    without preamble) is refused, so that a damaged slice is never missed in silence. An archive that we do
    not open is refused with the way out. Any other (a read-me, a photo, a viewer) is ignored.

    Args:
        shown: the file's name or path.
        head: its first bytes, where they are at hand.
    """
    name = PurePath(shown.replace("\\", "/")).name.rstrip(". ")
    suffix = PurePath(name).suffix.lower()
    if suffix in DICOM_SUFFIXES or _NAMED_BY_A_MACHINE.fullmatch(name) or _BARE_DATA_SET.match(head):
        return Finding(Outcome.REFUSED, Reason.NOT_DICOM)
    if suffix in ARCHIVE_SUFFIXES:
        return Finding(Outcome.REFUSED, Reason.ARCHIVE_KIND)
    return Finding(Outcome.IGNORED, Reason.JUNK)


def file_finding(error: OSError) -> Finding:
    """Return why a file could not be opened or read."""
    if getattr(error, "winerror", None) in _BUSY_ON_WINDOWS:
        return Finding(Outcome.REFUSED, Reason.LOCKED)
    reasons = {
        errno.EACCES: Reason.NO_PERMISSION,
        errno.EPERM: Reason.NO_PERMISSION,
        errno.ELOOP: Reason.LINK,
        errno.ENOTDIR: Reason.LINK,
        errno.EISDIR: Reason.NOT_A_FILE,
        errno.ENXIO: Reason.NOT_A_FILE,
        errno.ENODEV: Reason.NOT_A_FILE,
        errno.ENOENT: Reason.NOT_FOUND,
    }
    return Finding(Outcome.REFUSED, reasons.get(error.errno or 0, Reason.UNREADABLE))


def _read_patiently(path: Path, below: Path | None, pause_s: float) -> tuple[bytes, str, int] | Finding:
    for _ in range(TRIES - 1):
        try:
            return _read(path, below)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            time.sleep(pause_s)
    return _read(path, below)


def _read(path: Path, below: Path | None) -> tuple[bytes, str, int] | Finding:
    """Return bytes, SHA-256 and modification time, or why not."""
    with _standing(path, below) as standing:
        name, folder = standing
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (refusal := _refusal(seen)) is not None:
            return refusal
        with _opened(standing) as descriptor:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != (seen.st_dev, seen.st_ino):
                return Finding(Outcome.REFUSED, Reason.CHANGED_WHILE_READING)
            if (refusal := _refusal(status)) is not None:
                return refusal
            if _is_locked(descriptor):
                return Finding(Outcome.REFUSED, Reason.LOCKED)
            return _read_all(descriptor, status)


def _read_all(descriptor: int, status: os.stat_result) -> tuple[bytes, str, int] | Finding:
    digest, blocks, left = hashlib.sha256(), [], status.st_size
    while left:
        block = os.read(descriptor, min(left, _MIB))
        if not block:
            return Finding(Outcome.REFUSED, Reason.CHANGED_WHILE_READING)
        digest.update(block)
        blocks.append(block)
        left -= len(block)
    after = os.fstat(descriptor)
    if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        return Finding(Outcome.REFUSED, Reason.CHANGED_WHILE_READING)
    data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
    return data, digest.hexdigest(), status.st_mtime_ns


def _refusal(status: os.stat_result) -> Finding | None:
    if stat.S_ISLNK(status.st_mode) or getattr(status, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_REPARSE_POINT:
        return Finding(Outcome.REFUSED, Reason.LINK)
    if not stat.S_ISREG(status.st_mode):
        return Finding(Outcome.REFUSED, Reason.NOT_A_FILE)
    if status.st_size == 0:
        return Finding(Outcome.REFUSED, Reason.EMPTY_FILE)
    if status.st_size > LARGEST_FILE_BYTES:
        found, needed = status.st_size / _MIB, LARGEST_FILE_BYTES / _MIB
        return Finding(Outcome.REFUSED, Reason.TOO_LARGE_FILE, found=found, needed=needed)
    return None


@contextlib.contextmanager
def _opened(standing: Standing) -> Iterator[int]:
    name, folder = standing
    if sys.platform == "win32":
        flags = os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT | os.O_SEQUENTIAL
    else:
        # O_NONBLOCK: a pipe that has taken the file's place must not hold us.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _standing(path: Path, below: Path | None) -> Iterator[Standing]:
    """Give the file's name and the handle of its folder, reached step by step where that is needed."""
    if sys.platform == "win32" or (below is None and len(os.fsencode(path)) < _LONGEST_PATH_BYTES):
        yield long_name(path), None
    else:
        top = below or Path(path.anchor or ".")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = os.open(top, flags)
        try:
            for part in path.relative_to(top).parts[:-1]:
                inner = os.open(part, flags | (os.O_NOFOLLOW if below else 0), dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield path.name, descriptor
        finally:
            os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    """Whether another program holds an exclusive lock; the question leaves none of ours behind."""
    if sys.platform != "win32":  # on Windows the locked file could not have been opened, or is not read
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
    return False
