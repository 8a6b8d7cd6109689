"""Our own copies of bytes, named by what they are."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import sys
import time
from pathlib import Path

from aicorona_desktop.core.errors import AicoronaError

RENAME_TRIES = 10 if os.name == "nt" else 1
"""A virus scanner on Windows may hold a new file for seconds."""


class SpoolError(AicoronaError):
    """A copy could not be put on the disk."""


class Spool:
    """Keeps bytes as `<first two digits>/<SHA-256>` below a folder; no name of theirs is ever used.

    A copy that stands under its name is whole and on the disk: it is written beside it, flushed, renamed, and
    the folder is flushed. Keeping the same bytes again does nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, sha256: str) -> Path:
        """Return where bytes with this SHA-256 lie, if they are kept.

        Raises:
            ValueError: this is not a SHA-256 in lower-case hex.
        """
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError("expected a SHA-256 in lower-case hex")
        return self.folder / sha256[:2] / sha256

    def keep(self, data: bytes, sha256: str) -> Path:
        """Put the bytes on the disk and return where.

        Raises:
            ValueError: the bytes have another SHA-256.
            SpoolError: they could not be written; nothing of them is left behind.
        """
        path = self.path_of(sha256)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError("the bytes have another SHA-256")
        try:
            if not _stands(path, len(data)):
                self._make_folders(path.parent)
                _write(path, data)
        except OSError as error:
            raise SpoolError(_sentence(error)) from error
        return path

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        _flush_folder(self.folder)


def _stands(path: Path, size_bytes: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size == size_bytes
    return False


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb", opener=_private) as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        _rename(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    _flush_folder(path.parent)


def _rename(part: Path, path: Path) -> None:
    for attempt in range(RENAME_TRIES):
        try:
            part.replace(path)
            break
        except PermissionError:
            if attempt == RENAME_TRIES - 1:
                raise
            time.sleep(0.5)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _flush_folder(folder: Path) -> None:
    if sys.platform != "win32":  # a folder cannot be flushed there; NTFS journals the rename
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sentence(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full: the program could not keep its copy of a file. Free some space and try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "The program may not write into its own data folder; check the folder's permissions."
    return "The program could not keep its copy of a file on the disk; check the disk and try again."
