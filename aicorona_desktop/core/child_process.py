"""One disposable child process at the end of a pair of pipes; the reader and the scorer are two of them.

A plain `subprocess` with a frame protocol: nothing unpickles, nothing is forked. Threads write the
requests and read the answers, so that every wait has a deadline on every system.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, BinaryIO, cast

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.frames import Frame, FrameError, read_frame, write_frame
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.core.windows_job import CREATE_NO_WINDOW, CREATE_SUSPENDED, JobLimits, WindowsJob

STDERR_LINES = 200
PIPE_BYTES = 1024 * 1024  # two CT slices fit; the system's default of 64 KiB wakes both ends eight times a slice

# A child may ask Linux to die with the thread that started it (confine.py). The callers' threads come and go,
# so that one thread, which lives as long as the program, starts all children.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="child starter")


class ChildLostError(AicoronaError):
    """The child process ended, hung past its deadline or answered with something else than a frame."""


class ChildProcess:
    """A running child: `send` a frame, `receive` the next answer, `kill` it. Not reusable once lost.

    The environment of the child is empty but for what a process needs to start; the working folder is an
    empty one of its own; standard error is kept to its last lines, for the log. `limits` are its walls on
    Windows; elsewhere the child confines itself.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        limits: JobLimits = JobLimits(),  # noqa: B008 - a frozen value
    ) -> None:
        self._folder = scratch_folder()
        command = [*program(module), *arguments]
        self._closed = False
        self._job: WindowsJob | None = None
        try:
            self._process = _started(command, self._folder.name, _environment(self._folder.name))
            if sys.platform == "win32":
                self._job = _enclosed(self._process, limits)
        except (OSError, AicoronaError) as error:
            self._folder.cleanup()
            raise ChildLostError("A helper process of the program could not be started.") from error
        self._stdin = cast("BinaryIO", self._process.stdin)
        self._requests: queue.SimpleQueue[tuple[Frame, Future[None]] | None] = queue.SimpleQueue()
        self._answers: queue.Queue[Frame | FrameError | None] = queue.Queue()
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        work = (self._write_requests, self._collect_answers, self._collect_stderr)
        self._threads = [threading.Thread(target=each, name=f"{module} pipe", daemon=True) for each in work]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process id, for limits set from outside and for tests."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def post(self, frame: Frame) -> Future[None]:
        """Hand one frame to the writing thread and return at once; frames leave in the order of the calls.

        The future ends when the frame is in the pipe, or with the error that `send` would raise from.
        """
        written: Future[None] = Future()
        if self._closed:
            written.set_exception(BrokenPipeError())
        else:
            self._requests.put((frame, written))
        return written

    def send(self, frame: Frame, timeout_s: float) -> None:
        """Write one frame.

        Raises:
            ChildLostError: the child is gone, or did not take the frame in time (it is then killed).
            FrameError: a field has no place in a frame, or the frame is too large; nothing was written.
        """
        try:
            self.post(frame).result(timeout_s)
        except TimeoutError as error:
            self.kill()
            raise ChildLostError("A helper process of the program took too long.") from error
        except (OSError, ValueError) as error:
            raise ChildLostError("A helper process of the program stopped.") from error

    def receive(self, timeout_s: float) -> Frame:
        """Return the next answer.

        Raises:
            ChildLostError: the child is gone, sent no frame, or was late (it is then killed).
        """
        answer = self.receive_within(timeout_s)
        if answer is None:
            self.kill()
            raise ChildLostError("A helper process of the program took too long.")
        return answer

    def receive_within(self, timeout_s: float) -> Frame | None:
        """Return the next answer, None when there is none in time (the child lives on); raises as `receive` does."""
        try:
            answer = self._answers.get(timeout=timeout_s) if timeout_s > 0 else self._answers.get_nowait()
        except queue.Empty:
            return None
        if isinstance(answer, Frame):
            return answer
        self.kill()
        raise ChildLostError("A helper process of the program stopped.") from answer

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def close(self, timeout_s: float = 1.0) -> None:
        """Close the pipe, wait for the process to end by itself, kill it when it does not."""
        self._closed = True
        self._requests.put(None)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        if self._job is not None:
            self._job.close()
        for thread in self._threads:
            thread.join(timeout_s)
        self._folder.cleanup()

    def last_words(self) -> str:
        """The last lines of the child's standard error."""
        return "\n".join(self._stderr)

    def _write_requests(self) -> None:
        while (request := self._requests.get()) is not None:
            frame, written = request
            try:
                write_frame(self._stdin, frame)
            except (OSError, ValueError, FrameError) as error:
                written.set_exception(error)
            else:
                written.set_result(None)
        with contextlib.suppress(OSError, ValueError):
            self._stdin.close()

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
    # In a virtual environment on Windows `sys.executable` starts the real Python as a second process, which a
    # job of one process forbids; the search path makes up for the environment.
    python = getattr(sys, "_base_executable", sys.executable) if sys.platform == "win32" else sys.executable
    paths = [str(Path(path).resolve()) for path in sys.path]  # the child has another working folder
    return [python, "-I", "-X", "utf8", "-c", _START.format(paths=paths, module=module)]


# `-I` drops the current folder and PYTHON* variables; the parent's own search path is handed over instead, so
# that the child runs the same code from a checkout, an installed wheel or a test run.
_START = "import sys; sys.path[:] = {paths!r}; import runpy; runpy.run_module({module!r}, run_name='__main__')"


def _started(command: Sequence[str], folder: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    flags = CREATE_SUSPENDED | CREATE_NO_WINDOW if sys.platform == "win32" else 0
    process = _STARTER.submit(
        subprocess.Popen,
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment,
        close_fds=True,
        creationflags=flags,
        process_group=None if sys.platform == "win32" else 0,  # Ctrl+C is for the program, not for its helpers
    ).result()
    _widen(process)
    return process


def _enclosed(process: subprocess.Popen[bytes], limits: JobLimits) -> WindowsJob:
    try:
        return WindowsJob(process.pid, limits)
    except AicoronaError:
        process.kill()
        raise


def _widen(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "linux":
        import fcntl

        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # the system's limit for all pipes of a user may be reached
                fcntl.fcntl(cast("IO[bytes]", pipe), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _environment(folder: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("SystemRoot", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"TEMP": folder, "TMP": folder, "TMPDIR": folder, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
