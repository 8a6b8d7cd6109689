"""A reader process that starts when it is first needed: most of those who could ask for one never do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import ReaderError


class LateReader:
    """Owns at most one `Reader`; may be asked for it, and closed, from any thread."""

    def __init__(self, make_reader: Callable[[], Reader] = Reader) -> None:
        self._make_reader = make_reader
        self._reader: Reader | None = None
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def started(self) -> Reader:
        """Return the reader, started by now.

        Raises:
            ReaderError: this was closed, or no process can be started.
        """
        with self._lock:
            if self._closed:
                raise ReaderError("What wanted to read a file is being closed.")
            if self._reader is None:
                self._reader = self._make_reader()
            return self._reader

    def close(self) -> None:
        """End the process, if one was started; a second call does nothing."""
        with self._lock:
            self._closed = True
            if self._reader is not None:
                self._reader.close()
