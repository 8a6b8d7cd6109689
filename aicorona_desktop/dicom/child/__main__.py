"""The reader process: answers frames until the pipe closes.

It imports and tries what reading needs, gives up everything else (confine.py), and says so in its first
frame. From then on only bytes come in and only values of dicom.protocol go out.
"""

from __future__ import annotations

import argparse
import codecs
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pydicom.charset import python_encoding

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.frames import read_frame, write_frame
from aicorona_desktop.dicom.child.archives import Archive
from aicorona_desktop.dicom.child.confine import confine
from aicorona_desktop.dicom.child.contents import content_digest
from aicorona_desktop.dicom.child.dicomdir import directory
from aicorona_desktop.dicom.child.disc_images import listed
from aicorona_desktop.dicom.child.faults import Faults
from aicorona_desktop.dicom.child.headers import PixelFacts, UnusableFramesError, headers, names_of, pixel_facts
from aicorona_desktop.dicom.child.overlays import shown_frames
from aicorona_desktop.dicom.child.pictures import keep_named_formats, read_picture
from aicorona_desktop.dicom.child.pixels import keep_one_decoder_each, read_frames
from aicorona_desktop.dicom.child.prescan import RefusedError, Scan, scan
from aicorona_desktop.dicom.child.volumes import import_nibabel, list_volume, volume_slices
from aicorona_desktop.dicom.protocol import (
    CHARACTER_SETS,
    UNSHOWABLE,
    ArchiveListed,
    ArchiveMember,
    Ask,
    DiscDirectory,
    Examined,
    MemberRead,
    NamesRead,
    Ready,
    Request,
    Requests,
    answer_frames,
)

LONGEST_NAME = 1024


class Worker:
    """Answers requests; keeps the archive it was given last."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._archive: Archive | None = None
        self._faults = faults

    def answers(self, request: Request) -> Iterator[object]:
        """Yield the answers to one request: one, or one a frame when slices are read. Never raises."""
        left = len(request.frames) if request.ask.is_of_frames else 1
        try:
            for value in self._answers(request):
                left -= 1
                yield value
        except GeneratorExit:
            raise
        except RefusedError as error:
            finding = error.finding
        except BaseException as error:  # noqa: BLE001 - panics of a Rust decoder are no Exception
            _log(error)
            finding = Finding(Outcome.REFUSED, Reason.READER_FAILED, name=type(error).__name__[:64])
        else:
            return
        for _ in range(left):
            yield finding

    def _answers(self, request: Request) -> Iterator[object]:
        if self._faults is not None and (wrong := self._faults.commit(request.content)) is not None:
            yield wrong
            return
        if request.ask is Ask.READ:
            yield from read(request.content, request.frames, read_frames)
        elif request.ask is Ask.SHOW:
            yield from read(request.content, request.frames, shown_frames)
        elif request.ask is Ask.VOLUME_SLICES:
            yield from volume_slices(request.content, request.frames)
        else:
            yield self._answer(request)

    def _answer(self, request: Request) -> object:
        match request.ask:
            case Ask.EXAMINE:
                return examine(request.content)
            case Ask.NAMES:
                return NamesRead(names_of(scan(request.content)))
            case Ask.CONTENT:
                return content_digest(request.content)
            case Ask.PICTURE:
                return read_picture(request.content)
            case Ask.VOLUME:
                return list_volume(request.content)
            case _:
                return self._answer_of_many(request)

    def _answer_of_many(self, request: Request) -> object:
        """Answer what is asked of a directory, an archive or an image: of what holds files."""
        match request.ask:
            case Ask.DIRECTORY:
                return DiscDirectory(*directory(request.content))
            case Ask.ARCHIVE:
                self._archive = None  # before the next one is unpacked: two may not fit
                self._archive = Archive(request.content)
                return _listed(self._archive)
            case Ask.MEMBER if self._archive is not None:
                return MemberRead(self._archive.read(request.frames[0]))
            case Ask.IMAGE:
                return listed(request.frames[0], tuple(_ranges(request)))
            case _:
                raise ValueError(request.ask)


def examine(content: bytes) -> Examined:
    """Return what a file is: its headers, or the finding that keeps it out."""
    try:
        found = headers(scan(content))
    except RefusedError as error:
        return Examined((), error.finding, error.study_instance_uid, error.series_instance_uid, error.patient_id)
    except UnusableFramesError as error:
        return Examined((), Finding(Outcome.UNSUITABLE, Reason.ENHANCED_UNUSABLE), *error.identity)
    first = found[0]
    return Examined(found, None, first.study_instance_uid, first.series_instance_uid, first.patient_id)


def read(
    content: bytes,
    frames: tuple[int, ...],
    by: Callable[[Scan, tuple[int, ...], tuple[PixelFacts, ...]], Iterator[object]],
) -> Iterator[object]:
    """Yield each of these frames in HU, or why it is left; `by` reads them, with or without what lies over them."""
    try:
        scanned = scan(content)
        facts = pixel_facts(scanned, frames)
    except (RefusedError, UnusableFramesError, IndexError) as error:
        unusable = Finding(Outcome.UNSUITABLE, Reason.ENHANCED_UNUSABLE)
        yield from (error.finding if isinstance(error, RefusedError) else unusable for _ in frames)
        return
    yield from by(scanned, frames, facts)


def _ranges(request: Request) -> Iterator[tuple[int, bytes]]:
    """Yield the ranges of a disc image: offset and bytes."""
    at, numbers = 0, request.frames[1:]
    for offset, length in zip(numbers[::2], numbers[1::2], strict=True):
        yield offset, request.content[at : at + length]
        at += length


def _listed(archive: Archive) -> ArchiveListed:
    members = (
        ArchiveMember(index, UNSHOWABLE.sub("\ufffd", name)[:LONGEST_NAME], size)
        for index, (name, size) in enumerate(archive.members)
    )
    return ArchiveListed(tuple(members))


def _log(error: BaseException) -> None:
    """Say where it happened; the message of a foreign error may quote the file and stays out."""
    places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__, -4)]
    sys.stderr.write(f"{type(error).__name__} at {' > '.join(places)}\n")


def warm_up() -> None:
    """Import, look up and set now what later would need a file."""
    for name in {*python_encoding.values(), *CHARACTER_SETS, "ascii", "cp437", "utf-16-be", "utf-8", "latin-1"}:
        codecs.lookup(name)
    logging.disable(logging.CRITICAL)  # pydicom's log quotes values
    time.strptime("2000", "%Y")  # its module is imported at the first use, by the reader of disc images
    keep_one_decoder_each()
    keep_named_formats()


def own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the two pipes for the frames alone: what a library prints goes to standard error."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def serve(requests: BinaryIO, answers: BinaryIO, worker: Worker) -> None:
    """Answer until the pipe closes."""
    waiting = Requests()
    while (frame := read_frame(requests)) is not None:
        request = waiting.take(frame)
        if request is None:
            continue
        for value in worker.answers(request):
            for answer in answer_frames(request.number, time.process_time(), value):
                write_frame(answers, answer)


def main(arguments: list[str]) -> None:
    """Run the reader process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int)
    parser.add_argument("--volumes", action="store_true", help="volumes will be asked for: import what reads them")
    parser.add_argument("--allow-test-faults", action="store_true")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    requests, answers = own_pipes()
    warm_up()
    if options.volumes:
        import_nibabel()
    walls = confine(options.parent)
    for frame in answer_frames(0, time.process_time(), Ready(walls)):
        write_frame(answers, frame)
    serve(requests, answers, Worker(Faults(answers.fileno()) if options.allow_test_faults else None))
    os._exit(0)  # nothing is left to tidy up, and the parent waits


if __name__ == "__main__":
    main(sys.argv[1:])
