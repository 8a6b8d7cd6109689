"""The process of one local worker: takes studies through standard input, answers with records, ends with the pipe."""

from __future__ import annotations

import json
import logging
import os
import sys
from enum import IntEnum
from typing import BinaryIO

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.frames import Field, Frame, FrameError, read_frame, write_frame
from aicorona_desktop.evaluation.archive.index import StudyFiles
from aicorona_desktop.evaluation.archive.unit import StudyUnit, UnitSetup
from aicorona_desktop.evaluation.records import record_object

log = logging.getLogger(__name__)


class Kind(IntEnum):
    """The frames between a run and its local workers; the one field of each is JSON."""

    SETUP = 1
    STUDY = 2
    READY = 3
    RECORD = 4
    FAILED = 5


def main() -> None:
    """Answer until the pipe closes."""
    questions, answers = sys.stdin.buffer, _own_standard_output()
    try:
        _serve(questions, answers)
    except AicoronaError as error:
        log.warning("the worker stopped: %s", error)
        write_frame(answers, Frame(Kind.FAILED, 0, (str(error)[:500],)))


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    first = read_frame(questions)
    if first is None or first.kind != Kind.SETUP:
        return
    with StudyUnit(UnitSetup.decoded(_bytes(first.fields))) as unit:
        write_frame(answers, Frame(Kind.READY, 0, (unit.device,)))
        while (frame := read_frame(questions)) is not None:
            record = unit.record(StudyFiles.decoded(_bytes(frame.fields)))
            write_frame(answers, Frame(Kind.RECORD, frame.request, (json.dumps(record_object(record)).encode(),)))


def _bytes(fields: tuple[Field, ...]) -> bytes:
    if len(fields) != 1 or not isinstance(fields[0], bytes):
        raise FrameError("A frame to a worker has another form.")
    return fields[0]


def _own_standard_output() -> BinaryIO:
    """Keep standard output for frames: whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    return answers


if __name__ == "__main__":
    main()
