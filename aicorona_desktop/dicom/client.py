"""The other end of the reader process: asks, times out, kills, starts again.

Nothing here parses a file. A reader that dies, hangs, or answers with anything but what it was asked for is
replaced, and the file under way is tried again alone; a file that stops the reader three times is set aside.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from types import TracebackType
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.child_process import ChildLostError, ChildProcess
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.frames import Frame
from aicorona_desktop.core.windows_job import JobLimits
from aicorona_desktop.dicom.protocol import (
    LARGEST_ARCHIVE_BYTES,
    LARGEST_FILE_BYTES,
    MIB,
    Answer,
    ArchiveListed,
    ArchiveMember,
    Ask,
    ContentDigest,
    DiscDirectory,
    Examined,
    ImageFile,
    ImageListed,
    ImageNeeds,
    MemberRead,
    NamesRead,
    Picture,
    ReaderError,
    Ready,
    SliceRead,
    SliceShown,
    VolumeListed,
    VolumeSlice,
    answer_value,
    request_frames,
)

MODULE = "aicorona_desktop.dicom.child"
TRIES_TO_START = 3
VOLUMES = ("--volumes",)
"""The argument of a reader that will be asked for NIfTI volumes; others don't load what reads them."""
NOT_STARTED = "The reader process could not be started; reinstall the program, or see the log."
IMAGE_RANGE_BYTES = MIB
MOST_RANGES = 64
MOST_IMAGE_BYTES = 128 * MIB  # of structure: a disc with 20,000 files has about 3
FILES_BEFORE_A_SPARE = 50  # who reads a handful of files needs no second process

log = logging.getLogger(__name__)

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """How long, how much and how often, in seconds and counts; slow machines may set more.

    `slice_s` and `file_s` are deadlines for one answer; `retry_s` is that of the second try of a file that
    was late. A reader is replaced after `files` or `cpu_s`, long before its own walls end it. `deaths`
    within `deaths_window_s` mean trouble beyond one file.
    """

    start_s: float = 30.0
    slice_s: float = 2.0
    file_s: float = 10.0
    retry_s: float = 2.0
    bytes_a_second: float = 32 * MIB  # added to the deadlines, for what is large
    in_flight: int = 3
    files: int = 2000
    cpu_s: float = 40.0
    strikes: int = 3
    deaths: int = 5
    deaths_window_s: float = 600.0
    struggle_s: float = 60.0
    memory_bytes: int = 1536 * MIB


@dataclass(slots=True)
class _Request:
    """One request on its way: what was asked, what has been answered, what became of it."""

    ask: Ask
    content: bytes
    sha256: str
    expected: tuple[type, ...]
    frames: tuple[int, ...] = ()
    number: int = 0  # 0: not sent to the present reader
    alone: bool = False
    late: bool = False
    answered: int = 0
    values: deque[object] = field(default_factory=deque)  # answers and findings nobody has fetched
    parts: bytearray = field(default_factory=bytearray)

    @property
    def answers(self) -> int:
        return len(self.frames) if self.ask.is_of_frames else 1

    @property
    def done(self) -> bool:
        return self.answered == self.answers

    @property
    def frames_left(self) -> tuple[int, ...]:
        return self.frames[self.answered :] if self.ask.is_of_frames else self.frames

    def give(self, value: object) -> None:
        """Add an answer."""
        self.values.append(value)
        self.answered += 1

    def give_up(self, value: object) -> None:
        """Answer all that is left with the same."""
        while not self.done:
            self.give(value)


class Reader:
    """Reads DICOM files, disc directories, archives and pictures in a process of its own.

    Several threads may ask; the one process answers them in the order of their requests. A warm second
    process waits in the background, so that the next one is there at once when the first ends.

    Raises:
        ReaderError: from any method, when no reader process can be started at all.
    """

    def __init__(self, limits: ReaderLimits | None = None, arguments: Sequence[str] = ()) -> None:
        self.limits = limits or ReaderLimits()
        self.restarts = 0  # after a death; replacing a reader that has read enough does not count
        self.walls: tuple[str, ...] = ()
        self._lock = threading.RLock()  # over everything below, also while an answer is waited for
        self._arguments = ("--parent", str(os.getpid()), *arguments)
        self._queue: deque[_Request] = deque()  # not done yet, in the order of the answers
        self._last_number = 0
        self._files = 0
        self._cpu_seconds = 0.0
        self._strikes: Counter[str] = Counter()
        self._deaths: deque[float] = deque(maxlen=self.limits.deaths)
        self._archive: _Request | None = None
        self._archive_loaded = False
        self._ready = False
        self._spare: ChildProcess | None = None
        self._child = self._start()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both processes; what is under way is lost."""
        with self._lock:
            self._queue.clear()
            self._archive = None
            for child in (self._child, self._spare):
                if child is not None:
                    child.close()
            self._spare = None

    @property
    def process_id(self) -> int:
        """The process that reads at present."""
        return self._child.pid

    @property
    def waiting_process_id(self) -> int | None:
        """The process that would take over; None until enough has been read to be worth one."""
        return None if self._spare is None else self._spare.pid

    @property
    def struggling(self) -> bool:
        """Whether the reader has died so often lately that whoever feeds it should pause."""
        if len(self._deaths) < self.limits.deaths:
            return False
        now = time.monotonic()
        return now - self._deaths[0] < self.limits.deaths_window_s and now - self._deaths[-1] < self.limits.struggle_s

    # --- what can be asked ----------------------------------------------------------------------------------------
    def examine(self, data: bytes, sha256: str) -> Examined:
        """Return the headers of a file, or the finding that keeps it out."""
        return next(self.examine_all([(None, data, sha256)]))[1]

    def examine_all(self, items: Iterable[tuple[Key, bytes, str]]) -> Iterator[tuple[Key, Examined]]:
        """Examine files (key, bytes, SHA-256) in their order, the next ones while the first is under way."""
        requests = ((key, _Request(Ask.EXAMINE, data, sha256, (Examined, Finding))) for key, data, sha256 in items)
        for key, _, value in self._answers(requests):
            yield key, Examined((), value, "", "", "") if isinstance(value, Finding) else cast("Examined", value)

    def read_slices(
        self, items: Iterable[tuple[Key, bytes, str, tuple[int, ...]]]
    ) -> Iterator[tuple[Key, int, SliceRead | Finding]]:
        """Read frames of files (key, bytes, SHA-256, frames) in HU, in their order, ahead of the caller."""
        requests = (
            (key, _Request(Ask.READ, data, sha256, (SliceRead, Finding), frames)) for key, data, sha256, frames in items
        )
        for key, frame, value in self._answers(requests):
            yield key, frame, value if isinstance(value, Finding) else cast("SliceRead", value)

    def show_slices(
        self, items: Iterable[tuple[Key, bytes, str, tuple[int, ...]]]
    ) -> Iterator[tuple[Key, int, SliceShown | Finding]]:
        """Read frames as `read_slices` does, with the overlays that come with them: what the viewer asks for."""
        requests = (
            (key, _Request(Ask.SHOW, data, sha256, (SliceShown, Finding), frames))
            for key, data, sha256, frames in items
        )
        for key, frame, value in self._answers(requests):
            yield key, frame, value if isinstance(value, Finding) else cast("SliceShown", value)

    def names(self, data: bytes, sha256: str) -> tuple[str, ...] | Finding:
        """Return the patient's name of a file as each of `protocol.CHARACTER_SETS` reads it, "" where none does."""
        value = self._answer(_Request(Ask.NAMES, data, sha256, (NamesRead, Finding)))
        return value if isinstance(value, Finding) else cast("NamesRead", value).names

    def contents(self, items: Iterable[tuple[Key, bytes, str]]) -> Iterator[tuple[Key, str | Finding]]:
        """Yield for each file (key, bytes, their SHA-256) what tells its image from others, however it is written."""
        requests = ((key, _Request(Ask.CONTENT, data, sha256, (ContentDigest, Finding))) for key, data, sha256 in items)
        for key, _, value in self._answers(requests):
            yield key, value if isinstance(value, Finding) else cast("ContentDigest", value).sha256

    def disc_directory(self, data: bytes, sha256: str) -> DiscDirectory:
        """Return what a DICOMDIR names; nothing and a warning where it cannot be read."""
        value = self._answer(_Request(Ask.DIRECTORY, data, sha256, (DiscDirectory, Finding)))
        if isinstance(value, Finding):
            return DiscDirectory((), (Finding(Outcome.WARNED, Reason.DICOMDIR_UNREADABLE),))
        return cast("DiscDirectory", value)

    def archive(self, data: bytes, sha256: str) -> tuple[ArchiveMember, ...] | Finding:
        """List an archive and keep it for `archive_member`, until the next one or `forget_archive`."""
        self.forget_archive()
        if len(data) > LARGEST_ARCHIVE_BYTES:
            most = LARGEST_ARCHIVE_BYTES / MIB
            return Finding(Outcome.REFUSED, Reason.ARCHIVE_TOO_LARGE, found=len(data) / MIB, needed=most)
        request = _Request(Ask.ARCHIVE, data, sha256, (ArchiveListed, Finding))
        with self._lock:
            value = self._answer(request)
            if isinstance(value, Finding):
                return value
            self._archive, self._archive_loaded = request, True
        return cast("ArchiveListed", value).members

    def archive_member(self, member: ArchiveMember) -> bytes | Finding:
        """Return the bytes of one file of the archive listed last.

        Raises:
            ReaderError: no archive has been listed.
        """
        while True:
            with self._lock:
                archive = self._loaded_archive()
                if isinstance(archive, Finding):
                    return archive
                identity = f"{archive.sha256}#{member.index}"
                value = self._answer(_Request(Ask.MEMBER, b"", identity, (MemberRead, Finding), (member.index,)))
            if isinstance(value, Finding):
                return value
            if isinstance(value, MemberRead):
                same = len(value.content) == member.size_bytes
                return value.content if same else Finding(Outcome.REFUSED, Reason.ARCHIVE_SIZE)
            # Otherwise the reader was replaced, and the new one has to be given the archive first.

    def forget_archive(self) -> None:
        """Let go of the bytes of the archive listed last."""
        self._archive, self._archive_loaded = None, False

    def image(self, size: int, read: Callable[[int, int], bytes], sha256: str) -> tuple[ImageFile, ...] | Finding:
        """List a disc image of so many bytes; `read` gives bytes from an offset, and may raise OSError.

        The reader gets the ranges that it asks for and no others; it is asked anew with each. `sha256` stands for
        the image in the count of files that stop the reader.
        """
        ranges = [(0, read(0, min(size, IMAGE_RANGE_BYTES)))]
        for _ in range(MOST_RANGES):
            content = b"".join(data for _, data in ranges)
            numbers = (size, *chain.from_iterable((offset, len(data)) for offset, data in ranges))
            value = self._answer(_Request(Ask.IMAGE, content, sha256, (ImageListed, ImageNeeds, Finding), numbers))
            if not isinstance(value, ImageNeeds):
                return value if isinstance(value, Finding) else cast("ImageListed", value).files
            length = min(max(value.length, IMAGE_RANGE_BYTES), size - value.offset)
            if length <= 0 or len(content) + length > MOST_IMAGE_BYTES:
                break
            ranges.append((value.offset, read(value.offset, length)))
        return Finding(Outcome.REFUSED, Reason.ARCHIVE_TOO_LARGE)

    def picture(self, data: bytes, sha256: str) -> NDArray[np.uint8] | NDArray[np.uint16] | Finding:
        """Return a PNG, JPEG or WebP picture as grey values [rows, columns]."""
        value = self._answer(_Request(Ask.PICTURE, data, sha256, (Picture, Finding)))
        return value if isinstance(value, Finding) else cast("Picture", value).grey

    def volume(self, data: bytes, sha256: str) -> VolumeListed | Finding:
        """Return the size of a NIfTI volume, by its header; for a reader with `VOLUMES`, others refuse it."""
        value = self._answer(_Request(Ask.VOLUME, data, sha256, (VolumeListed, Finding)))
        return value if isinstance(value, Finding) else cast("VolumeListed", value)

    def volume_slices(
        self, data: bytes, sha256: str, listed: VolumeListed, indices: Sequence[int]
    ) -> Iterator[VolumeSlice | Finding]:
        """Read slices of a volume by their places from the feet; `listed` is what `volume` said of it.

        Raises:
            ReaderError: a slice has another size than was listed.
        """
        request = _Request(Ask.VOLUME_SLICES, data, sha256, (VolumeSlice, Finding), tuple(indices))
        for _, _, value in self._answers([(None, request)]):
            if isinstance(value, VolumeSlice) and value.hounsfield.shape != (listed.rows, listed.columns):
                raise ReaderError("The reader gave a slice of another size than it had listed.")
            yield cast("VolumeSlice | Finding", value)

    # --- from questions to answers --------------------------------------------------------------------------------
    def _answer(self, request: _Request) -> object:
        return next(self._answers([(None, request)]))[2]

    def _answers(self, requests: Iterable[tuple[Key, _Request]]) -> Iterator[tuple[Key, int, object]]:
        """Yield key, frame and answer of each request, having asked for the next ones before."""
        coming, asked = iter(requests), deque[tuple[Key, _Request]]()
        try:
            while True:
                for key, request in islice(coming, self.limits.in_flight - len(asked)):
                    with self._lock:
                        self._ask(request)
                    asked.append((key, request))
                if not asked:
                    return
                key, request = asked[0]
                for frame in request.frames if request.ask.is_of_frames else (0,):
                    yield key, frame, self._next_value(request)
                asked.popleft()
        finally:  # the caller may have lost interest
            with self._lock:
                for _, request in asked:
                    if request.number == 0 and request in self._queue:
                        self._queue.remove(request)

    def _ask(self, request: _Request) -> None:
        size = len(request.content)
        if request.answers and self._strikes[request.sha256] >= self.limits.strikes:
            request.give_up(self._stopped(request))
        elif size > LARGEST_FILE_BYTES and request.ask is not Ask.ARCHIVE:
            most = LARGEST_FILE_BYTES / MIB
            request.give_up(Finding(Outcome.REFUSED, Reason.TOO_LARGE_FILE, found=size / MIB, needed=most))
        elif not request.done:
            self._queue.append(request)
            if self._ready:
                self._send_waiting()

    def _next_value(self, request: _Request) -> object:
        with self._lock:
            while not request.values:
                self._advance()
            return request.values.popleft()

    def _advance(self) -> None:
        """Bring the first request in the queue one answer on, or one death."""
        self._make_ready()
        self._send_waiting()
        head = self._queue[0]
        try:
            frame = self._child.receive_within(self._deadline_s(head))
            if frame is None:
                self._lost(head, late=True)
            else:
                self._take(head, frame)
        except (ChildLostError, ReaderError):
            self._lost(head, late=False)
        if head.done:
            self._queue.remove(head)

    def _send_waiting(self) -> None:
        sent = any(request.number for request in self._queue)
        if self._worn_out and sent:
            return  # let it finish first
        died_idle = not sent and not self._child.alive  # no file is to blame
        if self._worn_out or died_idle:
            self.restarts += died_idle
            self._replace()
            self._make_ready()
        depth = 1 if self._queue and self._queue[0].alone else self.limits.in_flight
        for request in list(islice(self._queue, depth)):
            if request.number == 0:
                self._send(request)

    def _send(self, request: _Request) -> None:
        if request.ask is Ask.MEMBER and not self._archive_loaded:
            request.give_up(None)
            self._queue.remove(request)
            return
        self._last_number = self._last_number % 0xFFFFFFFF + 1
        request.number = self._last_number
        self._files += 1
        for frame in request_frames(request.ask, request.number, request.content, request.frames_left):
            self._child.post(frame)

    def _deadline_s(self, request: _Request) -> float:
        """How long to wait for the next answer, from now: the reader is at work on nothing else."""
        limits = self.limits
        by_slice = request.ask.is_of_frames and request.ask is not Ask.VOLUME_SLICES  # the first takes the whole
        seconds = limits.slice_s if by_slice else limits.file_s
        if request.late:
            seconds = min(seconds, limits.retry_s)
        return seconds + (len(request.content) / limits.bytes_a_second if request.answered == 0 else 0)

    def _take(self, head: _Request, frame: Frame) -> None:
        """Check an answer and give it to its request.

        Raises:
            ReaderError: it is none that a sound reader gives to this request.
        """
        if frame.request != head.number:
            raise ReaderError("The reader answered something that was not asked.")
        if frame.kind == Answer.PART and head.ask is Ask.MEMBER:
            part = frame.fields[0] if frame.fields else None
            if not isinstance(part, bytes) or len(head.parts) + len(part) > LARGEST_FILE_BYTES:
                raise ReaderError("The reader gave more than was asked for.")
            head.parts += part
            return
        self._cpu_seconds, value = answer_value(frame)
        if not isinstance(value, head.expected):
            raise ReaderError("The reader answered something that was not asked.")
        if isinstance(value, MemberRead) and head.parts:
            value = MemberRead(bytes(head.parts) + value.content)
        head.give(value)
        if self._spare is None and self._files >= FILES_BEFORE_A_SPARE:
            self._spare = self._start()

    # --- life and death of the processes --------------------------------------------------------------------------
    def _start(self) -> ChildProcess:
        limits = JobLimits(memory_bytes=self.limits.memory_bytes, desktop=False)
        try:
            return ChildProcess(MODULE, self._arguments, limits=limits)
        except ChildLostError as error:
            raise ReaderError(NOT_STARTED) from error

    def _make_ready(self) -> None:
        """Wait until the reader has put up its walls.

        Raises:
            ReaderError: no reader got that far, several times.
        """
        for _ in range(TRIES_TO_START):
            if self._ready:
                return
            try:
                _, ready = answer_value(self._child.receive(self.limits.start_s))
            except (ChildLostError, ReaderError):
                log.warning("the reader process did not start: %s", self._child.last_words()[-2000:])
                self._replace()
                continue
            if isinstance(ready, Ready):
                self.walls, self._ready = ready.walls, True
                return
        if not self._ready:
            raise ReaderError(NOT_STARTED)

    @property
    def _worn_out(self) -> bool:
        return self._files >= self.limits.files or self._cpu_seconds >= self.limits.cpu_s

    def _lost(self, head: _Request, *, late: bool) -> None:
        """Replace a reader that died over a request, and decide what becomes of the request."""
        self.restarts += 1
        self._strikes[head.sha256] += 1
        self._deaths.append(time.monotonic())
        log.warning("the reader process %s and was replaced", "was late" if late else "stopped")
        self._replace()
        if self._strikes[head.sha256] >= self.limits.strikes:
            head.give_up(self._stopped(head))
        elif head.ask is Ask.MEMBER:
            head.give_up(None)
        elif late and head.late:
            head.give_up(Finding(Outcome.REFUSED, Reason.READER_TIMEOUT))
        head.alone, head.late = True, late

    def _replace(self) -> None:
        """Put the waiting process, or a new one, in the place of the present one; nothing has been sent to it."""
        old, self._child = self._child, self._spare if self._spare is not None else self._start()
        self._spare = None
        self._ready = self._archive_loaded = False
        self._files, self._cpu_seconds = 0, 0.0
        for request in self._queue:
            request.number = 0
            request.parts.clear()
        old.kill()
        old.close()

    def _stopped(self, request: _Request) -> Finding:
        return Finding(Outcome.REFUSED, Reason.STOPPED_THE_READER, found=self._strikes[request.sha256])

    def _loaded_archive(self) -> _Request | Finding:
        """Return the archive listed last, handed to the present reader if it has not been yet."""
        if self._archive is None:
            raise ReaderError("No archive is open.")
        if not self._archive_loaded:
            again = _Request(Ask.ARCHIVE, self._archive.content, self._archive.sha256, self._archive.expected)
            value = self._answer(again)
            if isinstance(value, Finding):
                return value
            self._archive_loaded = True
        return self._archive
