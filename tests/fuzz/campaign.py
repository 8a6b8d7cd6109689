"""Mutated inputs through the real parsers; what escapes that should not is told with the bytes that caused it.

Headers, archives, disc directories and frames between processes are parsed in this process, so that an exception
shows; slices go through the real reader process, so that a decoder may die as it likes.
"""

from __future__ import annotations

import hashlib
import io
import math
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aicorona_desktop.core.findings import Finding, Outcome
from aicorona_desktop.core.frames import HEAD, MAGIC, FrameError, read_frame, write_frame
from aicorona_desktop.dicom.child.__main__ import examine
from aicorona_desktop.dicom.child.archives import Archive
from aicorona_desktop.dicom.child.dicomdir import directory
from aicorona_desktop.dicom.child.elements import RefusedError
from aicorona_desktop.dicom.child.headers import names_of
from aicorona_desktop.dicom.child.prescan import scan
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import (
    Ask,
    Examined,
    ReaderError,
    Requests,
    SliceRead,
    answer_frames,
    answer_value,
    request_frames,
)
from tests.fuzz.mutator import Seed, mutated, mutated_frame, mutated_header, seed_of

FILE_S = 15.0  # of wall time: what issue and reliability 1.5 allow one file
PARSER_S = 5.0  # of processor time, for bytes that are all in memory


@dataclass(slots=True)
class Report:
    """How a campaign ended: how many inputs, what became of them, what went wrong and with which bytes."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    restarts: int = 0
    troubles: list[tuple[str, bytes]] = field(default_factory=list)

    def trouble(self, what: str, content: bytes) -> None:
        self.troubles.append((what, content))

    def took(self, seconds: float, most: float, content: bytes) -> None:
        self.longest_s = max(self.longest_s, seconds)
        if seconds > most:
            self.trouble(f"took {seconds:.1f} s", content)

    def keep_troubles(self, folder: Path) -> None:
        """Write what went wrong into a folder, by what it is and the hash of its bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        for what, content in self.troubles:
            name = hashlib.sha256(content).hexdigest()[:12]
            (folder / f"{name}.bin").write_bytes(content)
            (folder / f"{name}.txt").write_text(what + "\n", encoding="utf-8")


def _campaign(inputs: Iterable[bytes], parse: Callable[[bytes], str]) -> Report:
    report = Report()
    for content in inputs:
        report.inputs += 1
        began = time.process_time()
        try:
            report.outcomes[parse(content)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            report.trouble(f"{type(error).__name__}: {error}"[:300], content)
        report.took(time.process_time() - began, PARSER_S, content)
    return report


# --- headers --------------------------------------------------------------------------------------------------------


def headers(seeds: Sequence[bytes], count: int, seed: int) -> Report:
    """Pre-scan and header of mutated files: each is examined or refused; identity and pixels lie in the file."""
    chance = random.Random(seed)
    places: list[Seed] = [seed_of(content) for content in seeds]
    return _campaign((mutated_header(chance.choice(places), chance) for _ in range(count)), parse_header)


def parse_header(content: bytes) -> str:
    """What the reader process does when a file is examined, and what its answer must hold."""
    examined = examine(content)
    _prove_travels(examined)
    if examined.finding is not None:
        return f"{examined.finding.outcome.value}: {examined.finding.reason.name}"
    scanned = scan(content)
    assert scanned.pixels is None or scanned.pixels.offset + scanned.pixels.length <= len(scanned.data)
    names_of(scanned)
    for header in examined.headers:
        numbers = (*(header.image_position_mm or ()), *(header.pixel_spacing_mm or ()), header.rescale_slope or 0.0)
        assert all(map(math.isfinite, numbers))
        assert header.study_instance_uid
        assert "/" not in header.study_instance_uid + header.series_instance_uid + header.sop_instance_uid
    return "warned" if any(header.findings for header in examined.headers) else "clean"


def _prove_travels(examined: Examined) -> None:
    """The answer fits the frames and is taken by the other end as it was given."""
    stream = io.BytesIO()
    for frame in answer_frames(1, 0.5, examined):
        write_frame(stream, frame)
    stream.seek(0)
    frame_read = read_frame(stream)
    assert frame_read is not None
    assert answer_value(frame_read)[1] == examined


# --- archives, disc directories, frames between processes ----------------------------------------------------------


def archives(seeds: Sequence[bytes], count: int, seed: int) -> Report:
    chance = random.Random(seed)
    return _campaign((_mutated_archive(chance.choice(seeds), chance) for _ in range(count)), parse_archive)


def _mutated_archive(content: bytes, chance: random.Random) -> bytes:
    """Changes in the directory at the end most often, which is what is believed or not."""
    directory_at = content.rfind(b"PK\x01\x02", 0, content.find(b"PK\x05\x06")) - 300
    return mutated(content, chance, max(0, directory_at) if chance.random() < 0.7 else 0)


def parse_archive(content: bytes) -> str:
    """What the reader process does with an archive: all members are read."""
    try:
        archive = Archive(content)
        sizes = [len(archive.read(index)) for index in range(len(archive.members))]
    except RefusedError as error:
        return error.finding.reason.name
    assert sizes == [size for _, size in archive.members]
    assert sum(sizes) <= 100 * len(content) + 64 * 1024
    return "read"


def directories(seeds: Sequence[bytes], count: int, seed: int) -> Report:
    chance = random.Random(seed)
    return _campaign((mutated(chance.choice(seeds), chance, 128) for _ in range(count)), parse_directory)


def parse_directory(content: bytes) -> str:
    """What the reader process does with a DICOMDIR; no file id may lead out of the disc."""
    ids, findings = directory(content)
    for file_id in ids:
        assert file_id
        assert all(part not in {"", ".", ".."} and not set(part) & set("/\\:\0") for part in file_id)
    return ", ".join(finding.reason.name for finding in findings) or "read"


def pipes(seeds: Sequence[bytes], count: int, seed: int) -> Report:
    """Frames of a child that a decoder's error has taken over: the parent reads a sound value or our error."""
    chance = random.Random(seed)
    sound = sound_frames(seeds)
    return _campaign((_mutated_frames(chance.choice(sound), chance) for _ in range(count)), parse_pipe)


def sound_frames(seeds: Sequence[bytes]) -> list[bytes]:
    """Frames as they go through the pipe, both ways."""
    return [*_answers(seeds), *_requests(seeds)]


def _answers(seeds: Sequence[bytes]) -> Iterator[bytes]:
    for content in seeds:
        examined = examine(content)
        stream = io.BytesIO()
        for frame in answer_frames(7, 0.25, examined):
            write_frame(stream, frame)
        yield stream.getvalue()


def _requests(seeds: Sequence[bytes]) -> Iterator[bytes]:
    for content in seeds[:3]:
        stream = io.BytesIO()
        for frame in request_frames(Ask.READ, 7, content, (0, 1)):
            write_frame(stream, frame)
        yield stream.getvalue()


def _mutated_frames(content: bytes, chance: random.Random) -> bytes:
    """Changed bytes; mostly with a head that fits, so that the checksum alone doesn't end it."""
    changed = mutated(content[HEAD.size :], chance)
    if chance.random() < 0.9:
        _, kind, request, _, _ = HEAD.unpack(content[: HEAD.size])
        kind = kind if chance.random() < 0.9 else chance.randrange(256)
        return HEAD.pack(MAGIC, kind, request, len(changed), zlib.crc32(changed)) + changed
    return mutated(content, chance)


def parse_pipe(content: bytes) -> str:
    """Read a frame as both ends do."""
    try:
        frame = read_frame(io.BytesIO(content))
        if frame is None:
            return "end"
        if frame.kind >= 64:
            answer_value(frame)
            return "answer"
        return "request" if Requests().take(frame) is None else "whole request"
    except (FrameError, ReaderError) as error:
        return type(error).__name__


# --- slices, through the reader process -----------------------------------------------------------------------------


def slices(reader: Reader, seeds: Sequence[bytes], count: int, seed: int) -> Report:
    """Decode mutated slices: pixels of the size that the file says, or a finding, none later than a file may be."""
    chance, report = random.Random(seed), Report()
    scanned = [(content, scan(content)) for content in seeds]
    before = reader.restarts
    contents = (mutated_frame(*chance.choice(scanned), chance) for _ in range(count))
    asked = ((content, content, hashlib.sha256(content).hexdigest(), (0,)) for content in contents)
    began = time.monotonic()
    for content, _, value in reader.read_slices(asked):
        report.inputs += 1
        report.took(time.monotonic() - began, FILE_S, content)
        began = time.monotonic()
        _judge(report, content, value)
    report.restarts = reader.restarts - before
    return report


def _judge(report: Report, content: bytes, value: SliceRead | Finding) -> None:
    if isinstance(value, Finding):
        report.outcomes[value.reason.name] += 1
        if value.outcome not in {Outcome.REFUSED, Outcome.IGNORED, Outcome.UNSUITABLE}:
            report.trouble("a finding that keeps nothing out", content)
        return
    examined = examine(content)
    if examined.finding is not None:
        report.trouble("pixels of a file that is kept out", content)
    elif value.hounsfield.shape != (examined.headers[0].rows, examined.headers[0].columns):
        report.trouble("pixels of another size than the header says", content)
    report.outcomes["pixels"] += 1
