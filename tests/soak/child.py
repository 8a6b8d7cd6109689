"""The program (`tests.soak.program`) as a process that can be watched, asked and killed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, NoReturn

from tests.soak import program

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """One life of the program, and what it has said so far."""

    def __init__(self, history: Path, packs: Path, words: list[str], shim: Path | None = None, **more: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(packs.parent)} | more
        if shim is not None:
            environment["LD_PRELOAD"] = str(shim)
        with (packs.parent / "stderr.txt").open("ab") as complaints:
            self.process = self._started(history, packs, words, complaints, environment)
        self.lines: list[str] = []
        self.open = threading.Event()
        assert self.process.stdout is not None
        self._hearing = threading.Thread(target=self._hear, args=(self.process.stdout,), daemon=True)
        self._hearing.start()

    @staticmethod
    def _started(
        history: Path, packs: Path, words: list[str], complaints: IO[bytes], environment: dict[str, str]
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.soak.program", str(history), str(packs), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip

    def _hear(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(line)
            if line == "open\n":
                self.open.set()
        self.open.set()

    def say(self, line: str) -> None:
        """Have it do something: `tests.soak.program.obey`."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def heard(self, begins: str, since: int = 0, timeout_s: float = 60) -> str:
        """Wait for a line that begins so; return it, "" when none came in time."""
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            found = next((line for line in self.lines[since:] if line.startswith(begins)), "")
            if found or self.process.poll() is not None:
                return found
            time.sleep(0.02)
        return ""

    def heard_all(self, lines: set[str], timeout_s: float = 120) -> bool:
        """Wait until every one of these lines has been said."""
        ends = time.monotonic() + timeout_s
        while not lines <= {line.strip() for line in list(self.lines)}:
            if time.monotonic() > ends or self.is_over:
                return False
            time.sleep(0.02)
        return True

    def end(self) -> list[str]:
        """Let it come to its end by itself; return all that it said."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        return self.wait()

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> list[str]:
        """End it at once; return all that it said."""
        self.process.kill()
        return self.wait()

    def wait(self, timeout_s: float = 300) -> list[str]:
        """Wait for its own end; return all that it said."""
        self.process.wait(timeout_s)
        self._hearing.join(10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        return self.lines


class Fork:
    """One life of the program without processes of its own, forked off this one: begun within milliseconds.

    `near.put_in_place` must have been called, and no thread may run here but those that hear other children.
    """

    def __init__(self, history: Path, packs: Path, words: list[str]) -> None:
        told_at, tell_at = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _live(tell_at, [str(history), str(packs), "near", *words], packs.parent / "stderr.txt")
        os.close(tell_at)
        self.lines: list[str] = []
        self.is_over = False
        self._hearing = threading.Thread(target=self._hear, args=(os.fdopen(told_at, encoding="utf-8"),), daemon=True)
        self._hearing.start()

    def _hear(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.lines.append(line)
        self.is_over = True

    def kill(self) -> list[str]:
        """End it at once; return all that it said."""
        os.kill(self._pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> list[str]:
        """Wait for its own end; return all that it said."""
        os.waitpid(self._pid, 0)
        self._hearing.join(10)
        return self.lines


def _live(tell_at: int, arguments: list[str], complaints: Path) -> NoReturn:
    """Be the program, and nothing of the process that was forked."""
    status = 1
    try:
        os.dup2(tell_at, 1)
        os.dup2(os.open(complaints, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
        sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), write_through=True)
        program.main(arguments)
        status = 0
    finally:
        os._exit(status)
