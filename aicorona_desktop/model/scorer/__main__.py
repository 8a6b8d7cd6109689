"""The scorer process: takes slices through standard input, answers with maps and features, ends with the pipe.

The main thread does nothing but read, so that the end of the program is noticed at once even when every worker
is busy: the pipe ends with the process that holds its other end, on every system.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.frames import Frame, FrameError, read_frame, write_frame
from aicorona_desktop.model.preprocess import prepare, prepare_picture
from aicorona_desktop.model.protocol import Kind
from aicorona_desktop.model.scorer.network import Network, available_providers, device_text, load, runtime_version

log = logging.getLogger(__name__)

BELOW_NORMAL_PRIORITY_CLASS = 0x4000
NICENESS = 10

Prepare = Callable[[NDArray[Any], str, int], NDArray[np.float32]]


class Scoring:
    """The loaded model and its worker threads; the answers go through one stream, frame by frame."""

    def __init__(self, network: Network, preparation: str, input_size: int, answers: BinaryIO) -> None:
        self._network = network
        self._preparation = preparation
        self._input_size = input_size
        self._answers = answers
        self._writing = threading.Lock()
        self._waiting: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        for number in range(network.parallel):
            threading.Thread(target=self._work, name=f"scoring {number}", daemon=True).start()

    def take(self, frame: Frame) -> None:
        """Queue a slice, or forget the queue."""
        if frame.kind != Kind.CANCEL:
            self._waiting.put(frame)
            return
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()

    def answer(self, kind: Kind, request: int, *fields: str | float | tuple[str, ...] | np.ndarray) -> None:
        """Send one answer; several threads do."""
        with self._writing:
            write_frame(self._answers, Frame(kind, request, fields))

    def _work(self) -> None:
        while True:
            frame = self._waiting.get()
            try:
                self._score(frame)
            except Exception as error:  # the end of a worker's task: the client throws this process away
                log.exception("a slice could not be scored")
                self.answer(Kind.FAILED, frame.request, type(error).__name__)

    def _score(self, frame: Frame) -> None:
        (values,) = frame.fields
        if not isinstance(values, np.ndarray):
            raise FrameError("A slice has no pixels.")
        prepare_it: Prepare = prepare if frame.kind == Kind.SLICE else prepare_picture
        started = time.perf_counter()
        prepared = prepare_it(values, self._preparation, self._input_size)
        ready = time.perf_counter()
        cam, features = self._network.run(prepared)
        self.answer(Kind.SCORE, frame.request, cam, features, ready - started, time.perf_counter() - ready)


def main() -> None:
    """Answer until the pipe closes."""
    questions, answers = sys.stdin.buffer, _own_standard_output()
    _step_back()
    try:
        _serve(questions, answers)
    except Exception:  # the end of the process: the client sees the pipe close and reads the log
        log.exception("the scorer stopped")
        _end(1)
    _end(0)


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    frame = read_frame(questions)
    if frame is None or frame.kind != Kind.LOAD:
        return
    try:
        scoring = _load(frame, answers)
    except AicoronaError as error:
        write_frame(answers, Frame(Kind.FAILED, frame.request, (str(error)[:500],)))
        raise
    while (frame := read_frame(questions)) is not None:
        scoring.take(frame)


def _load(frame: Frame, answers: BinaryIO) -> Scoring:
    model, preparation, input_size, provider, workers = cast("tuple[bytes, str, int, str, int]", frame.fields)
    network = load(model, provider, input_size, workers)
    scoring = Scoring(network, preparation, input_size, answers)
    facts = network.provider, available_providers(), runtime_version(network.provider), device_text()
    scoring.answer(Kind.READY, frame.request, *facts)
    return scoring


def _step_back() -> None:
    """Take the cores that the window's thread leaves: a person who scrolls goes before a score in the queue.

    Before the runtime makes its threads: they inherit the priority.
    """
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.WinDLL("kernel32")
        kernel.SetPriorityClass(ctypes.c_void_p(-1), BELOW_NORMAL_PRIORITY_CLASS)  # -1: this process
    else:
        with contextlib.suppress(OSError):
            os.nice(NICENESS)


def _own_standard_output() -> BinaryIO:
    """Keep standard output for frames: whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    return answers


def _end(code: int) -> None:
    # Not `sys.exit`: a run under way, or a driver that hangs, must not hold the process.
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
