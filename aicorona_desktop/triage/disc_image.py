"""A disc image (ISO 9660) as a source: the reader process says where its files lie, the bytes are cut out here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from pathlib import PurePosixPath
from types import TracebackType

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import ImageFile
from aicorona_desktop.intake.opening import LARGEST_FILE_BYTES, file_finding, opened_regular
from aicorona_desktop.intake.walking import Found

IMAGE_SUFFIXES = (".iso",)
NESTED_SUFFIXES = (".zip", ".iso")
_HEAD_BYTES = 64 * 1024
_MIB = 1024 * 1024


class ImageError(AicoronaError):
    """A disc image can't be read; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def is_image_name(shown: str) -> bool:
    """Whether a file's name says that it is a disc image."""
    return PurePosixPath(shown).suffix.lower() in IMAGE_SUFFIXES


class DiscImage:
    """An open disc image: `files` as the reader lists them, the bytes of each by `read`.

    Raises:
        ImageError: on entering: the image can't be opened, is damaged or breaks a bound.
        ReaderError: no reader process can be started.
    """

    def __init__(self, image: Found, reader: Reader) -> None:
        self.path = image.path
        self.files: tuple[ImageFile, ...] = ()
        self.mtime_ns = 0
        self._root = image.root
        self._reader = reader
        self._descriptor = -1
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> DiscImage:
        try:
            self._descriptor, status = self._closing.enter_context(opened_regular(self.path, self._root))
            self.mtime_ns = status.st_mtime_ns
            head = self._bytes(0, _HEAD_BYTES)
            sha256 = hashlib.sha256(head + f"{status.st_size} {status.st_mtime_ns}".encode("ascii")).hexdigest()
            files = self._reader.image(status.st_size, self._bytes, sha256)
        except OSError as error:
            self._closing.close()
            raise ImageError(file_finding(error)) from error
        if isinstance(files, Finding):
            self._closing.close()
            raise ImageError(files)
        self.files = files
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def read(self, one: ImageFile) -> bytes | Finding:
        """Return the bytes of one of `files`, or why there are none."""
        if one.finding is not None:
            return one.finding
        if one.name.lower().endswith(NESTED_SUFFIXES):
            return Finding(Outcome.REFUSED, Reason.ARCHIVE_NESTED)
        if not one.size_bytes:
            return Finding(Outcome.REFUSED, Reason.EMPTY_FILE)
        if one.size_bytes > LARGEST_FILE_BYTES:
            found, needed = one.size_bytes / _MIB, LARGEST_FILE_BYTES / _MIB
            return Finding(Outcome.REFUSED, Reason.TOO_LARGE_FILE, found=found, needed=needed)
        try:
            content = b"".join(self._bytes(offset, length) for offset, length in one.extents)
        except OSError as error:
            return file_finding(error)
        return content if len(content) == one.size_bytes else Finding(Outcome.REFUSED, Reason.ARCHIVE_TRUNCATED)

    def _bytes(self, offset: int, size: int) -> bytes:
        parts = []
        while size > 0:
            if sys.platform == "win32":
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                part = os.read(self._descriptor, min(size, _MIB))
            else:
                part = os.pread(self._descriptor, min(size, _MIB), offset)
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)
