"""Misbehaviour on demand, for the tests of the client: a file whose bytes begin with `MARK` names what to do.

Reached only in a reader that was started with --allow-test-faults.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.frames import Field, Frame, write_frame

MARK: Final = b"AICORONA TEST FAULT "


class Faults:
    """Knows the pipe of the answers, which some misbehaviour needs."""

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._kinds: dict[str, Callable[[str], Finding | None]] = {
            "crash": _crash,
            "abort": _abort,
            "spin": _spin,
            "sleep": _sleep,
            "eat": _eat,
            "print": _print,
            "panic": _panic,
            "try": _try,
            "close": self._close,
            "garbage": self._garbage,
            "frame": self._frame,
        }

    def commit(self, content: bytes) -> Finding | None:
        """Do what "MARK kind argument" asks for; a finding is the answer, after None the file is read as usual."""
        if not content.startswith(MARK):
            return None
        kind, _, argument = content[len(MARK) :].decode("ascii").partition(" ")
        return self._kinds[kind](argument)

    def _close(self, _: str) -> None:
        os.close(self._answers)

    def _garbage(self, _: str) -> None:
        os.write(self._answers, b"this is not a frame, however long one looks at it")

    def _frame(self, kind: str) -> None:
        """Send a well-formed frame that no sound reader sends."""
        wrong: dict[str, tuple[int, int, tuple[Field, ...]]] = {
            "request": (66, 4_000_000_000, (0.0, ((), ("REFUSED", "EMPTY_FILE", None, None, ""), "", "", ""))),
            "kind": (250, 1, (0.0, ())),
            "type": (66, 1, (0.0, ((), 7, "", "", ""))),
            "reason": (68, 1, (0.0, ("REFUSED", "NO_SUCH_REASON", None, None, ""))),
            "control": (66, 1, (0.0, ((), ("REFUSED", "EMPTY_FILE", None, None, ""), "", "", "a\x1b[2Jb"))),
            "size": (67, 1, (0.0, (np.zeros((2, 5000), np.int16), ()))),
            "nan": (68, 1, (float("nan"), ("REFUSED", "EMPTY_FILE", None, None, ""))),
        }
        with os.fdopen(os.dup(self._answers), "wb") as answers:
            write_frame(answers, Frame(*wrong[kind]))


class _Panic(BaseException):  # what a panic in a Rust decoder looks like
    pass


def _panic(_: str) -> None:
    raise _Panic


def _crash(_: str) -> None:
    ctypes.string_at(0)


def _abort(_: str) -> None:
    os.abort()


def _spin(_: str) -> None:
    while True:
        pass


def _sleep(seconds: str) -> None:
    time.sleep(float(seconds))


def _eat(_: str) -> None:
    eaten: list[object] = []
    while True:
        eaten.append(np.empty(8 * 1024 * 1024))


def _print(_: str) -> None:
    sys.stdout.write("a library prints\n")
    sys.stdout.flush()
    os.write(1, b"and another one, from C\n")


def _try(what: str) -> Finding:
    """Answer with the error number of an attempt that the walls should stop, 0 when it succeeded."""
    number = 0
    try:
        _ATTEMPTS[what]()
    except OSError as error:
        number = error.errno or -1
    return Finding(Outcome.REFUSED, Reason.DECODE_FAILED, found=number, name=what)


def _open() -> None:
    Path(os.__file__).read_bytes()


def _write() -> None:
    Path("written").write_bytes(b"")


def _socket() -> None:
    if ctypes.CDLL(None, use_errno=True).socket(2, 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "socket")


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _execute() -> None:
    os.execv(sys.executable, [sys.executable, "-c", "pass"])  # noqa: S606


def _signal() -> None:
    os.kill(os.getppid(), 0)


_ATTEMPTS: dict[str, Callable[[], None]] = {
    "open": _open,
    "write": _write,
    "socket": _socket,
    "fork": _fork,
    "execute": _execute,
    "signal": _signal,
}
