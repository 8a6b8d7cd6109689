"""The folder that a received object is written into: whole and safe on the disk before it is acknowledged.

An object is written under a random name that ends in `.part`, hashed on the way, synced, given the SHA-256 of its
bytes as its name, and the folder is synced. No name is ever made of what a sender says. The same object sent twice
is one file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from aicorona_desktop.core.durable import ONLY_OURS, RENAME_TRIES, sync_folder
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES, FreeSpace, Measure, free_bytes
from aicorona_desktop.receive.protocol import WhatFails

LARGEST_OBJECT_BYTES = 256 * 1024 * 1024
"""As much as the reader takes of one file."""

LARGEST_INBOX_BYTES = 50_000_000_000
"""Beyond it nobody empties the inbox: senders are told that there is no room."""

BUFFER_BYTES = 256 * 1024
SUFFIX, PART_SUFFIX = ".dcm", ".part"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class InboxError(AicoronaError):
    """An object could not be kept; nothing of it is left. `what` is the reason."""

    def __init__(self, what: WhatFails) -> None:
        super().__init__("An object could not be kept.")
        self.what = what


class GroupSync:
    """Syncs a folder for everybody who has renamed something in it: those who come while one runs share the next."""

    def __init__(self, folder: Path, sync: Callable[[Path], None] = sync_folder) -> None:
        self._folder = folder
        self._sync = sync
        self._turn = threading.Condition()
        self._begun = 0  # how many syncs have begun, and the number of the last one that succeeded
        self._done = 0
        self._running = False

    def __call__(self) -> None:
        """Return once a sync that began after this call has succeeded; raises OSError of the one that failed."""
        with self._turn:
            wanted = self._begun + 1
            while self._running and self._done < wanted:
                self._turn.wait()
            if self._done >= wanted:
                return
            self._begun += 1
            mine, self._running = self._begun, True
        try:
            self._sync(self._folder)
        finally:
            with self._turn:
                self._running = False
                self._turn.notify_all()
        with self._turn:
            self._done = max(self._done, mine)
            self._turn.notify_all()


class Inbox:
    """A folder of received objects. `begin` from any thread.

    Raises:
        OSError: the folder can't be made or cleared.
    """

    def __init__(
        self,
        folder: Path,
        *,
        largest_object_bytes: int = LARGEST_OBJECT_BYTES,
        largest_inbox_bytes: int = LARGEST_INBOX_BYTES,
        floor_bytes: int = FLOOR_INTAKE_BYTES,
        measure_free: Measure = free_bytes,
    ) -> None:
        self.folder = folder
        self.largest_object_bytes = largest_object_bytes
        self._largest_inbox_bytes = largest_inbox_bytes
        self._floor_bytes = floor_bytes
        self._free = FreeSpace(folder, measure_free)
        self._held = FreeSpace(folder, _size_of_files)  # asked for as rarely
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.sync = GroupSync(folder)
        self.sweep()

    def sweep(self) -> None:
        """Remove what a killed receiver has left half written: none of it was acknowledged."""
        for part in self.folder.glob(f"*{PART_SUFFIX}"):
            with contextlib.suppress(OSError):
                part.unlink()

    def begin(self, head: bytes) -> Arriving:
        """Begin an object with the first bytes of its file; raises InboxError."""
        if self._free() < self._floor_bytes + self.largest_object_bytes // 8 or self._is_too_full():
            raise InboxError(WhatFails.FULL)
        return Arriving(self, head)

    def _is_too_full(self) -> bool:
        try:
            return self._held() > self._largest_inbox_bytes
        except OSError:
            return False


class Arriving:
    """One object while it arrives. Ends with `keep` or `discard`; both may be called from any thread, once counts."""

    def __init__(self, inbox: Inbox, head: bytes) -> None:
        self._inbox = inbox
        self._path = inbox.folder / f"{secrets.token_hex(16)}{PART_SUFFIX}"
        self._one_at_a_time = threading.Lock()
        self._hash = hashlib.sha256()
        self._stream: BinaryIO | None = None
        self.size_bytes = 0
        try:
            self._stream = open(  # noqa: SIM115 - open until `keep` or `discard`
                self._path, "xb", BUFFER_BYTES, opener=partial(os.open, mode=ONLY_OURS)
            )
        except OSError as error:
            raise InboxError(_what(error)) from error
        self.write(head)

    def write(self, data: bytes) -> None:
        """Add bytes; raises InboxError, and nothing is left then."""
        with self._one_at_a_time:
            if self._stream is None:
                raise InboxError(WhatFails.NOT_WRITTEN)
            self.size_bytes += len(data)
            if self.size_bytes > self._inbox.largest_object_bytes:
                self._drop()
                raise InboxError(WhatFails.NOT_UNDERSTOOD)
            try:
                self._stream.write(data)
            except OSError as error:
                self._drop()
                raise InboxError(_what(error)) from error
            self._hash.update(data)

    def keep(self) -> Path:
        """Make the object safe on the disk and return its file; raises InboxError, and nothing is left then."""
        with self._one_at_a_time:
            if self._stream is None:
                raise InboxError(WhatFails.NOT_WRITTEN)
            final = self._inbox.folder / f"{self._hash.hexdigest()}{SUFFIX}"
            try:
                self._stream.flush()
                os.fsync(self._stream.fileno())
                self._stream.close()
                _rename(self._path, final)
                self._stream = None
                self._inbox.sync()
            except OSError as error:
                self._drop()
                raise InboxError(_what(error)) from error
            return final

    def discard(self) -> None:
        """Leave nothing of an object that was not kept."""
        with self._one_at_a_time:
            self._drop()

    def _drop(self) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError):  # closing writes what is left in the buffer
                self._stream.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._stream = None


def _rename(part: Path, final: Path) -> None:
    for tries_left in reversed(range(RENAME_TRIES)):
        try:
            part.replace(final)
        except PermissionError:  # a virus scanner has it, or whoever empties the inbox reads the same object
            if not tries_left:
                raise
            time.sleep(0.5)
        else:
            return


def _size_of_files(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(_size(entry) for entry in entries)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:  # taken away meanwhile
        return 0


def _what(error: OSError) -> WhatFails:
    return WhatFails.FULL if error.errno in _NO_ROOM else WhatFails.NOT_WRITTEN
