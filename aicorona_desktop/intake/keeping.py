"""Our own copies of bytes, named by what they are."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from pathlib import Path

from aicorona_desktop.core.durable import ONLY_OURS, sync_folder, write_file
from aicorona_desktop.core.errors import AicoronaError


class SpoolError(AicoronaError):
    """A copy could not be put on the disk."""


class SpoolFullError(SpoolError):
    """The disk, or what we may use of it, is full."""


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
                write_file(path, data, ONLY_OURS)
        except OSError as error:
            raise error_of(error) from error
        return path

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self.folder)


def _stands(path: Path, size_bytes: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size == size_bytes
    return False


def error_of(error: OSError) -> SpoolError:
    """Return what a person is told where a copy could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpoolFullError("The disk is full: the program could not keep its copy of a file; free some space.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SpoolError("The program may not write into its own data folder; check the folder's permissions.")
    return SpoolError("The program could not keep its copy of a file on the disk; check the disk and try again.")
