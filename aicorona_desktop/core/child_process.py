"""One disposable child process at the end of a pair of pipes; the reader and the scorer are two of them.

A plain `subprocess` with a frame protocol: nothing unpickles, nothing is forked. A thread reads the
child's answers, so that every wait has a deadline on every system.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, BinaryIO, cast

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.frames import Frame, FrameError, read_frame, write_frame

STDERR_LINES = 200


class ChildLostError(AicoronaError):
    """The child process ended, hung past its deadline or answered with something else than a frame."""


class ChildProcess:
    """A running child: `send` a frame, `receive` the next answer, `kill` it. Not reusable once lost.

    The environment of the child is empty but for what a process needs to start; the working folder is an
    empty one of its own; standard error is kept to its last lines, for the log.
    """

    def __init__(self, module: str, arguments: Sequence[str] = (), environment: dict[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="aicorona-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [*program(module), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._folder.name,
            env=_environment(self._folder.name) | (environment or {}),
            close_fds=True,
        )
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._answers: queue.Queue[Frame | FrameError | None] = queue.Queue()
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        for work in (self._collect_answers, self._collect_stderr):
            threading.Thread(target=work, name=f"{module} pipe", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id, for limits set from outside and for tests."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def send(self, frame: Frame, timeout_s: float) -> None:
        """Write one frame.

        Raises:
            ChildLostError: the child is gone, or did not take the frame in time (it is then killed).
        """
        watchdog = threading.Timer(timeout_s, self.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            write_frame(cast("BinaryIO", self._stdin), frame)
        except (OSError, ValueError) as error:
            raise ChildLostError("A helper process of the program stopped.") from error
        finally:
            watchdog.cancel()

    def receive(self, timeout_s: float) -> Frame:
        """Return the next answer.

        Raises:
            ChildLostError: the child is gone, sent no frame, or was late (it is then killed).
        """
        try:
            answer = self._answers.get(timeout=timeout_s)
        except queue.Empty as error:
            self.kill()
            raise ChildLostError("A helper process of the program took too long.") from error
        if isinstance(answer, Frame):
            return answer
        self.kill()
        raise ChildLostError("A helper process of the program stopped.") from answer

    def receive_now(self) -> Frame | None:
        """Return an answer that is already there, else None; raises as `receive` does."""
        return None if self._answers.empty() else self.receive(0.1)

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def close(self, timeout_s: float = 1.0) -> None:
        """Close the pipe, wait for the process to end by itself, kill it when it does not."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._folder.cleanup()

    def last_words(self) -> str:
        """The last lines of the child's standard error."""
        return "\n".join(self._stderr)

    def _collect_answers(self) -> None:
        stdout = cast("BinaryIO", self._process.stdout)
        try:
            while (frame := read_frame(stdout)) is not None:
                self._answers.put(frame)
            self._answers.put(None)
        except FrameError as error:
            self._answers.put(error)
        except (OSError, ValueError):
            self._answers.put(None)
        finally:
            with contextlib.suppress(OSError):
                stdout.close()

    def _collect_stderr(self) -> None:
        stderr = cast("IO[bytes]", self._process.stderr)
        with contextlib.suppress(OSError, ValueError), stderr:
            for line in iter(lambda: stderr.readline(4096), b""):
                self._stderr.append(line.decode("utf-8", "replace").rstrip())


def program(module: str) -> list[str]:
    """Return the command that runs one of our modules: from source, or as the frozen program beside us."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "--child", module]
    return [sys.executable, "-I", "-X", "utf8", "-c", _START.format(paths=sys.path, module=module)]


# `-I` drops the current folder and PYTHON* variables; the parent's own search path is handed over instead, so
# that the child runs the same code from a checkout, an installed wheel or a test run.
_START = "import sys; sys.path[:] = {paths!r}; import runpy; runpy.run_module({module!r}, run_name='__main__')"


def _environment(folder: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("SystemRoot", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"TEMP": folder, "TMP": folder, "TMPDIR": folder, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
