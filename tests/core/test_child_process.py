from __future__ import annotations

import ctypes
import gc
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.core import child_process, windows_job
from aicorona_desktop.core.child_process import STDERR_LINES, ChildLostError, ChildProcess
from aicorona_desktop.core.frames import Frame, FrameError
from aicorona_desktop.core.windows_job import JobError, JobLimits, WindowsJob, extended_limits

ECHO = """
import os, sys, time
from aicorona_desktop.core.frames import Frame, read_frame, write_frame
mode = sys.argv[1] if len(sys.argv) > 1 else "echo"
if mode == "deaf":
    time.sleep(60)
if mode == "babble":
    sys.stdout.buffer.write(b"no frame at all, but enough bytes for one"); sys.stdout.flush(); time.sleep(60)
if mode == "chatter":
    for number in range(10_000):
        print("line", number, file=sys.stderr)
while (frame := read_frame(sys.stdin.buffer)) is not None:
    if mode == "mute":
        continue
    if mode == "leave":
        sys.exit("leaving")
    if mode == "about":
        answer = (os.getcwd(), str(os.listdir()), str(sorted(os.environ)), str(sys.flags.isolated))
        frame = Frame(frame.kind, frame.request, answer)
    write_frame(sys.stdout.buffer, frame)
if mode == "stubborn":
    time.sleep(60)
"""

Start = Callable[..., ChildProcess]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts children that echo, or do what their argument says; closes them all."""
    (tmp_path / "echo_child.py").write_text(ECHO)
    monkeypatch.syspath_prepend(str(tmp_path))
    children: list[ChildProcess] = []

    def begin(*arguments: str) -> ChildProcess:
        children.append(ChildProcess("echo_child", arguments))
        return children[-1]

    yield begin
    for child in children:
        child.kill()
        child.close()


def test_what_is_sent_comes_back(start: Start) -> None:
    child = start()

    child.send(Frame(1, 2, ("text", 5, np.arange(1000, dtype=np.int16))), timeout_s=20)
    frame = child.receive(timeout_s=20)

    assert (frame.kind, frame.request, frame.fields[:2]) == (1, 2, ("text", 5))
    assert np.array_equal(np.asarray(frame.fields[2]), np.arange(1000))


def test_posted_frames_leave_in_order_and_nobody_waits(start: Start) -> None:
    child = start()

    for number in range(50):
        child.post(Frame(1, number, (bytes(200_000),)))

    assert [child.receive(timeout_s=20).request for _ in range(50)] == list(range(50))


def test_the_child_lives_in_an_empty_folder_and_an_empty_environment(start: Start) -> None:
    child = start("about")
    child.send(Frame(1, 1, ()), timeout_s=20)

    folder, listing, names, isolated = child.receive(timeout_s=20).fields

    assert Path(str(folder)) != Path.cwd()
    assert (listing, isolated) == ("[]", "1")
    allowed = {"LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "SystemRoot", "TEMP", "TMP", "TMPDIR"}
    assert {name for name in eval(str(names)) if not name.endswith("_NUM_THREADS")} <= allowed
    child.close()
    assert not Path(str(folder)).exists()


def test_a_silent_child_is_killed_at_its_deadline(start: Start) -> None:
    child = start("mute")
    child.send(Frame(1, 1, ()), timeout_s=20)

    with pytest.raises(ChildLostError, match="too long"):
        child.receive(timeout_s=0.2)

    child.close()
    assert not child.alive


def test_waiting_in_vain_may_leave_the_child_alive(start: Start) -> None:
    child = start()

    assert child.receive_within(0.1) is None
    assert child.receive_within(0) is None
    child.send(Frame(1, 1, ()), timeout_s=20)

    assert child.receive(timeout_s=20).request == 1


def test_a_child_that_takes_nothing_is_killed_at_its_deadline(start: Start) -> None:
    child = start("deaf")

    with pytest.raises(ChildLostError, match="too long"):
        child.send(Frame(1, 1, (bytes(8_000_000),)), timeout_s=0.3)

    child.close()
    assert not child.alive


def test_a_child_that_ends_is_lost_and_leaves_its_last_words(start: Start) -> None:
    child = start("leave")
    child.post(Frame(1, 1, ()))

    with pytest.raises(ChildLostError, match="stopped"):
        child.receive(timeout_s=20)

    child.close()
    assert child.last_words() == "leaving"
    with pytest.raises(ChildLostError):
        child.send(Frame(1, 2, (bytes(100),)), timeout_s=5)


def test_what_is_no_frame_ends_the_child(start: Start) -> None:
    child = start("babble")

    with pytest.raises(ChildLostError, match="stopped") as lost:
        child.receive(timeout_s=20)

    assert isinstance(lost.value.__cause__, FrameError)


def test_a_frame_that_cannot_be_written_costs_nobody_anything(start: Start) -> None:
    child = start()

    for wrong in (2**70, "x" * 5000):
        with pytest.raises(FrameError):
            child.send(Frame(1, 1, (wrong,)), timeout_s=20)

    child.send(Frame(1, 3, ()), timeout_s=20)
    assert child.receive(timeout_s=20).request == 3


def test_only_the_last_lines_of_a_chatterer_are_kept(start: Start) -> None:
    child = start("chatter")
    child.send(Frame(1, 1, ()), timeout_s=20)
    child.receive(timeout_s=20)
    child.close()

    lines = child.last_words().splitlines()

    assert (len(lines), lines[-1]) == (STDERR_LINES, "line 9999")


def test_closing_does_not_wait_for_a_stubborn_child(start: Start) -> None:
    child = start("stubborn")
    child.send(Frame(1, 1, ()), timeout_s=20)
    child.receive(timeout_s=20)
    begun = time.monotonic()

    child.close(timeout_s=0.2)

    assert time.monotonic() - begun < 10
    assert not child.alive


def test_a_child_that_can_not_be_started_is_lost_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(child_process, "program", lambda _module: [str(tmp_path / "no such program")])

    with pytest.raises(ChildLostError, match="could not be started"):
        ChildProcess("anything")

    assert list(tmp_path.iterdir()) == []


def test_closed_children_leave_no_thread_and_no_open_pipe(start: Start) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    child = start()
    child.send(Frame(1, 1, ()), timeout_s=20)
    child.receive(timeout_s=20)

    child.close(timeout_s=10)

    left = [thread.name for thread in threading.enumerate() if thread.ident not in before]
    assert [name for name in left if not name.startswith("child starter")] == []
    gc.collect()  # an open pipe would be a warning, and so an error, here


# --- the walls on Windows, as far as another system can prove them ---


class FakeWindows:
    """Plays kernel32 and ntdll: remembers the calls, and fails the one it is told to fail."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.calls: list[tuple[object, ...]] = []
        self.limits: windows_job.ExtendedLimits | None = None

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: object) -> int:
            self.calls.append((name, *arguments))
            if name == "SetInformationJobObject" and arguments[1] == windows_job.EXTENDED_LIMITS:
                self.limits = arguments[2]._obj  # type: ignore[attr-defined]
            failed = name == self.failing
            if name == "NtResumeProcess":
                return -1 if failed else 0
            return 0 if failed else {"CreateJobObjectW": 70, "OpenProcess": 71}.get(name, 1)

        return call

    def names(self) -> list[object]:
        return [call[0] for call in self.calls]


def test_the_structures_have_the_layout_of_64_bit_windows() -> None:
    assert ctypes.sizeof(windows_job.BasicLimits) == 64
    assert ctypes.sizeof(windows_job.ExtendedLimits) == 144
    assert windows_job.BasicLimits.limit_flags.offset == 16
    assert windows_job.BasicLimits.active_process_limit.offset == 40
    assert windows_job.ExtendedLimits.process_memory_limit.offset == 112


def test_a_job_allows_one_process_with_so_much_memory_that_ends_with_us() -> None:
    limits = extended_limits(JobLimits(memory_bytes=1536 * 1024 * 1024))

    assert limits.basic.limit_flags == 0x2000 | 0x400 | 0x100 | 0x8
    assert limits.basic.active_process_limit == 1
    assert limits.process_memory_limit == 1536 * 1024 * 1024
    assert extended_limits(JobLimits()).basic.limit_flags == 0x2000 | 0x400 | 0x8


def test_a_process_is_walled_in_before_it_runs() -> None:
    windows = FakeWindows()

    job = WindowsJob(4711, JobLimits(memory_bytes=1, desktop=False), windows, windows)
    job.close()
    job.close()

    assert windows.names() == [
        "CreateJobObjectW",
        "SetInformationJobObject",
        "SetInformationJobObject",
        "OpenProcess",
        "AssignProcessToJobObject",
        "NtResumeProcess",
        "CloseHandle",
        "CloseHandle",
    ]
    assert ("AssignProcessToJobObject", 70, 71) in windows.calls
    assert windows.calls[-2:] == [("CloseHandle", 71), ("CloseHandle", 70)]
    assert windows.limits is not None
    assert windows.limits.process_memory_limit == 1


@pytest.mark.parametrize(
    "failing", ["SetInformationJobObject", "OpenProcess", "AssignProcessToJobObject", "NtResumeProcess"]
)
def test_without_walls_nothing_runs_and_nothing_is_left_open(failing: str) -> None:
    windows = FakeWindows(failing)

    with pytest.raises(JobError):
        WindowsJob(4711, JobLimits(), windows, windows)

    opened = 1 + ("AssignProcessToJobObject" in windows.names())
    assert windows.names().count("CloseHandle") == opened
    assert (failing == "NtResumeProcess") == ("NtResumeProcess" in windows.names())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has them")
def test_elsewhere_there_are_no_jobs() -> None:
    with pytest.raises(JobError):
        WindowsJob(1, JobLimits())
