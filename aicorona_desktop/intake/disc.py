"""Copying a disc or stick: once, in the order in which its files lie, with patience where it is scratched.

Every file is read whole and handed to whoever keeps it, under its SHA-256. What can't be read is left, tried again
when all else is copied, and then told with the number of bytes that are lost; a medium that is pulled out is waited
for, and nothing is read twice. Only when the copies have been read back is a medium safe to be taken out. Nothing
is ever written to it.

Source: reliability rules, section 3.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aicorona_desktop.core.discs import CopyProgress, Phase
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.intake.disc_order import Plan, Planned
from aicorona_desktop.intake.opening import file_finding, opened_regular

TRIES = 3
PAUSE_S = 1.0
"""A spot that can't be read is tried so often, so far apart, in each of two passes."""
BLOCK_BYTES = 1024 * 1024
SECTOR_BYTES = 2048
LONGEST_SALVAGE_S = 20.0
MOST_BAD_SECTORS = 64
"""Counting the bytes that are lost in one file ends here: a bad sector may take seconds to fail."""
WAIT_S = 1.0

_BAD_SPOT = frozenset({errno.EIO, getattr(errno, "ENODATA", errno.EIO), getattr(errno, "EREMOTEIO", errno.EIO)})
_BAD_SPOT_ON_WINDOWS = frozenset({23, 27, 30, 483, 1117})  # CRC, sector not found, read fault, device errors


@dataclass(frozen=True, slots=True)
class Copied:
    """A file that is kept: where its copy lies and the SHA-256 of what was read. `again`: it was copied before."""

    file: Planned
    path: Path
    sha256: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """A file that could not be copied, and why."""

    file: Planned
    finding: Finding


@dataclass(frozen=True, slots=True)
class Left:
    """A file that is not ours to keep (a viewer, a read-me), and why: read no further than to know that."""

    file: Planned
    finding: Finding


class OpenFile(Protocol):
    """A file on a medium while it is read."""

    size_bytes: int

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; raises OSError."""


Opened = Callable[[Path, Planned], contextlib.AbstractContextManager[OpenFile]]
"""Opens a planned file below the root of the medium; raises OSError."""
Judge = Callable[[Planned, bytes], Finding | None]
"""Says by its first bytes why a file is not to be kept, None where it is."""
Ended = Copied | Left | Lost
Step = Ended | CopyProgress
Attempt = Callable[[Path, Planned], Ended | None]


# --- copying ------------------------------------------------------------------------------------------------------


class Copying:
    """Copies what is planned; `steps` is what happens, in order."""

    def __init__(
        self,
        planned: Plan,
        where: Callable[[], Path | None],
        keep: Callable[[bytes, str], Path],
        *,
        before: Mapping[Planned, tuple[str, Path]] | None = None,
        opened: Opened | None = None,
        judge: Judge = lambda _file, _head: None,
        stopped: Callable[[], bool] = lambda: False,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to copy.

        Args:
            planned: the files, in order.
            where: the root of this very medium at present, None while it is away.
            keep: puts bytes with this SHA-256 on our disk and returns where; what it raises goes up.
            before: SHA-256 and place of the copies that an earlier, broken-off run has made.
            opened: opens a file of the medium.
            judge: says which files are not to be kept.
            stopped: asked between blocks; what is copied stays.
            pause: waits so many seconds.
            clock: seconds that never go back.
        """
        self._plan = planned
        self._where = where
        self._keep = keep
        self._before = before or {}
        self._opened = opened or open_on_medium
        self._judge = judge
        self._stopped = stopped
        self._pause = pause
        self._clock = clock
        self._phase = Phase.COPYING
        self._copied: list[Copied] = []
        self._files_left = 0
        self._lost: list[Lost] = []
        self._waiting: list[Planned] = []
        self._bytes_read = 0
        self._bytes_copied = 0
        self._bytes_lost = 0
        self._seconds_read = 0.0

    @property
    def copied(self) -> tuple[Copied, ...]:
        """What is kept so far."""
        return tuple(self._copied)

    @property
    def progress(self) -> CopyProgress:
        """How far it is."""
        return CopyProgress(
            phase=self._phase,
            files_total=len(self._plan.files),
            files_copied=len(self._copied) + self._files_left,
            files_waiting=len(self._waiting),
            files_lost=len(self._lost),
            bytes_total=self._plan.size_bytes,
            bytes_copied=self._bytes_copied,
            bytes_lost=self._bytes_lost,
            seconds_left=self._seconds_left(),
        )

    def steps(self) -> Iterator[Step]:
        """Yield every file that was copied or lost, with the progress after each, until it is safe or stopped.

        A file whose copy, read back, is not what was read from the medium comes as lost once more, and the last
        phase is then `FAILED` instead of `SAFE`.

        Raises:
            AicoronaError, OSError: what `keep` raises: the copy can't be put on our disk.
        """
        yield self.progress
        yield from self._pass(self._plan.files, self._first_try)
        self._phase, again, self._waiting = Phase.RETRYING, tuple(self._waiting), list(self._waiting)
        yield from self._pass(again, self._last_try)
        if self._stopped():
            self._phase = Phase.STOPPED
            yield self.progress
            return
        self._phase = Phase.VERIFYING
        yield self.progress
        bad = yield from self._verified()
        self._phase = Phase.STOPPED if self._stopped() else Phase.FAILED if bad else Phase.SAFE
        yield self.progress

    def _pass(self, files: Iterable[Planned], attempt: Attempt) -> Iterator[Step]:
        for one in files:
            if self._stopped():
                return
            step = yield from self._patiently(one, attempt)
            if step is not None:
                self._note(step)
                yield step
            yield self.progress

    def _patiently(self, one: Planned, attempt: Attempt) -> Generator[Step, None, Ended | None]:
        """Try a file; while the medium is away, say so and wait. The value is what became of the file."""
        while not self._stopped():
            root = self._where()
            if root is not None:
                try:
                    return attempt(root, one)
                except _AwayError:
                    pass
            phase, self._phase = self._phase, Phase.AWAY
            while self._where() is None and not self._stopped():
                yield self.progress
                self._pause(WAIT_S)
            self._phase = phase
        return None

    def _note(self, step: Ended) -> None:
        if step.file in self._waiting:
            self._waiting.remove(step.file)
        if isinstance(step, Copied):
            self._copied.append(step)
            self._bytes_copied += step.file.size_bytes
        elif isinstance(step, Left):
            self._files_left += 1
            self._bytes_copied += step.file.size_bytes
        else:
            self._lost.append(step)

    def _first_try(self, root: Path, one: Planned) -> Ended | None:
        """Copy a file; None where it has to be tried again when all else is copied."""
        copied = self._before.get(one)
        if copied is not None and _has_size(copied[1], one.size_bytes):
            return Copied(one, copied[1], copied[0], again=True)
        step = self._tried(root, one)
        if step is None:
            self._waiting.append(one)
        return step

    def _last_try(self, root: Path, one: Planned) -> Ended | None:
        step = self._tried(root, one)
        if step is None and not self._stopped():
            lost = self._bytes_unreadable(root, one)
            self._bytes_lost += lost
            return Lost(one, Finding(Outcome.REFUSED, Reason.DISC_UNREADABLE, found=lost))
        return step

    def _tried(self, root: Path, one: Planned) -> Ended | None:
        """Read a file, three times where a spot is bad; None when that was in vain."""
        for number in range(TRIES):
            if number:
                self._pause(PAUSE_S)
            if self._stopped():
                return None
            began = self._clock()
            try:
                data = self._read(root, one)
            except OSError as error:
                if not self._is_a_bad_spot(error):
                    return Lost(one, file_finding(error))
                continue
            if isinstance(data, Left | Lost):
                return data
            if data is None:
                return None
            self._seconds_read += self._clock() - began
            self._bytes_read += len(data)
            sha256 = hashlib.sha256(data).hexdigest()
            return Copied(one, self._keep(data, sha256), sha256)
        return None

    def _read(self, root: Path, one: Planned) -> bytes | Left | Lost | None:
        """Return the whole file, or why it is not to be had or kept; None when stopped. Raises OSError."""
        blocks, offset = [], 0
        with self._opened(root, one) as stream:
            while offset < one.size_bytes:
                if self._stopped():
                    return None
                block = stream.read(offset, min(BLOCK_BYTES, one.size_bytes - offset))
                if not block:
                    break
                if not offset and (finding := self._judge(one, block)) is not None:
                    return Left(one, finding)
                blocks.append(block)
                offset += len(block)
            if offset != one.size_bytes or stream.size_bytes != one.size_bytes:
                return Lost(one, Finding(Outcome.REFUSED, Reason.CHANGED_WHILE_READING))
        return b"".join(blocks)

    def _bytes_unreadable(self, root: Path, one: Planned) -> int:
        """Read around what is bad, sector by sector, and return how many bytes are lost; at least one sector."""
        lost, bad, ends = 0, 0, self._clock() + LONGEST_SALVAGE_S
        for offset in range(0, one.size_bytes, SECTOR_BYTES):
            size = min(SECTOR_BYTES, one.size_bytes - offset)
            try:
                with self._opened(root, one) as stream:
                    stream.read(offset, size)
            except OSError as error:
                self._is_a_bad_spot(error)
                lost, bad = lost + size, bad + 1
            if bad >= MOST_BAD_SECTORS or self._clock() > ends or self._stopped():
                break
        return lost or min(SECTOR_BYTES, one.size_bytes)

    def _is_a_bad_spot(self, error: OSError) -> bool:
        """Whether the medium has a bad spot here.

        Raises:
            _AwayError: the medium itself has gone.
        """
        if self._where() is None:
            raise _AwayError from error
        return error.errno in _BAD_SPOT or getattr(error, "winerror", None) in _BAD_SPOT_ON_WINDOWS

    def _verified(self) -> Generator[Step, None, int]:
        """Read every copy back from our disk; the value is how many are not what was read."""
        bad = 0
        for number, one in enumerate(tuple(self._copied)):
            if self._stopped():
                break
            if _hash_on_disk(one.path) != one.sha256:
                bad += 1
                yield Lost(one.file, Finding(Outcome.REFUSED, Reason.COPY_DIFFERS))
            if number % 64 == 63:
                yield self.progress
        return bad

    def _seconds_left(self) -> float | None:
        if self._phase is not Phase.COPYING or not self._bytes_read or self._seconds_read <= 0:
            return None
        waiting = sum(one.size_bytes for one in self._waiting)
        left = self._plan.size_bytes - self._bytes_copied - waiting
        return max(0.0, left * self._seconds_read / self._bytes_read)


class _AwayError(Exception):
    """The medium is not there any more."""


# --- the files themselves -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Descriptor:
    descriptor: int
    size_bytes: int = field(default=0)

    def read(self, offset: int, size: int) -> bytes:
        if sys.platform == "win32":
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.read(self.descriptor, size)
        else:  # noqa: RET505 - the type checker reads one branch on each system
            return os.pread(self.descriptor, size, offset)


@contextlib.contextmanager
def open_on_medium(root: Path, one: Planned) -> Iterator[OpenFile]:
    """Open a file of a medium for reading, if it is a regular one; no link is followed.

    Raises:
        OSError: it can't be opened, or something else has taken its place.
    """
    with opened_regular(root / one.below, root) as (descriptor, status):
        yield _Descriptor(descriptor, status.st_size)


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False


def _hash_on_disk(path: Path) -> str:
    """Return the SHA-256 of a file as it stands on the disk: what the system still holds in memory is let go first."""
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as stream:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while block := stream.read(BLOCK_BYTES):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
