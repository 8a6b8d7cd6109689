"""The walls around a child process on Windows: a Job Object that limits it and ends it together with us.

The structures are spelled with fixed sizes instead of `ctypes.wintypes`, whose DWORD has eight bytes on
Linux: so their layout can be tested anywhere.

Source: Microsoft, winnt.h and jobapi2.h, 64-bit.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aicorona_desktop.core.errors import AicoronaError

CREATE_SUSPENDED = 0x00000004
CREATE_NO_WINDOW = 0x08000000

EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
UI_RESTRICTIONS = 4  # JobObjectBasicUIRestrictions
LIMIT_ACTIVE_PROCESS = 0x00000008
LIMIT_PROCESS_MEMORY = 0x00000100
LIMIT_DIE_ON_UNHANDLED_EXCEPTION = 0x00000400
LIMIT_KILL_ON_JOB_CLOSE = 0x00002000
NO_HANDLES_CLIPBOARD_SETTINGS_DESKTOP_LOGOFF = 0x000000FF  # every JOB_OBJECT_UILIMIT there is

PROCESS_TERMINATE = 0x0001
PROCESS_SET_QUOTA = 0x0100
PROCESS_SUSPEND_RESUME = 0x0800


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("per_process_user_time", ctypes.c_int64),
        ("per_job_user_time", ctypes.c_int64),
        ("limit_flags", ctypes.c_uint32),
        ("minimum_working_set", ctypes.c_size_t),
        ("maximum_working_set", ctypes.c_size_t),
        ("active_process_limit", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority_class", ctypes.c_uint32),
        ("scheduling_class", ctypes.c_uint32),
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION; the six counters in between are IO_COUNTERS."""

    _fields_ = (
        ("basic", BasicLimits),
        ("io_counters", ctypes.c_uint64 * 6),
        ("process_memory_limit", ctypes.c_size_t),
        ("job_memory_limit", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


class JobError(AicoronaError):
    """Windows did not let us put walls around a helper process; it was not started."""


@dataclass(frozen=True, slots=True)
class JobLimits:
    """What a child may have on Windows: bytes of memory (None: no limit), and whether it may touch the desktop."""

    memory_bytes: int | None = None
    desktop: bool = True


def extended_limits(limits: JobLimits) -> ExtendedLimits:
    """Return the structure that says: one process, this much memory, no crash dialog, ends when we end."""
    extended = ExtendedLimits()
    flags = LIMIT_KILL_ON_JOB_CLOSE | LIMIT_ACTIVE_PROCESS | LIMIT_DIE_ON_UNHANDLED_EXCEPTION
    if limits.memory_bytes is not None:
        flags |= LIMIT_PROCESS_MEMORY
        extended.process_memory_limit = limits.memory_bytes
    extended.basic.limit_flags = flags
    extended.basic.active_process_limit = 1
    return extended


class WindowsJob:
    """A Job Object around one suspended process; closing it, or our own end, ends that process.

    `kernel32` and `ntdll` are the system's libraries; tests on other systems hand in others.
    """

    def __init__(self, pid: int, limits: JobLimits, kernel32: Any = None, ntdll: Any = None) -> None:
        self._kernel32 = kernel32 or _library("kernel32")
        self._ntdll = ntdll or _library("ntdll")
        self._job = self._kernel32.CreateJobObjectW(None, None)
        if not self._job:
            raise JobError("Windows gave no Job Object for a helper process.")
        try:
            self._limit(limits)
            self._enclose_and_resume(pid)
        except JobError:
            self.close()
            raise

    def close(self) -> None:
        """Close the job, which ends the process in it; safe to call twice."""
        if self._job:
            self._kernel32.CloseHandle(self._job)
            self._job = None

    def _limit(self, limits: JobLimits) -> None:
        self._set(EXTENDED_LIMITS, extended_limits(limits))
        if not limits.desktop:
            self._set(UI_RESTRICTIONS, ctypes.c_uint32(NO_HANDLES_CLIPBOARD_SETTINGS_DESKTOP_LOGOFF))

    def _set(self, information_class: int, information: ctypes.Structure | ctypes.c_uint32) -> None:
        size = ctypes.sizeof(information)
        if not self._kernel32.SetInformationJobObject(self._job, information_class, ctypes.byref(information), size):
            raise JobError("Windows did not limit a helper process.")

    def _enclose_and_resume(self, pid: int) -> None:
        with self._process(pid) as process:
            if not self._kernel32.AssignProcessToJobObject(self._job, process):
                raise JobError("Windows did not put a helper process into its Job Object.")
            # `subprocess` closes the handle of the first thread, so the process is resumed as a whole.
            if self._ntdll.NtResumeProcess(process) < 0:
                raise JobError("Windows did not start a helper process.")

    @contextlib.contextmanager
    def _process(self, pid: int) -> Iterator[int]:
        access = PROCESS_TERMINATE | PROCESS_SET_QUOTA | PROCESS_SUSPEND_RESUME
        process = self._kernel32.OpenProcess(access, False, pid)
        if not process:
            raise JobError("Windows did not open a helper process.")
        try:
            yield process
        finally:
            self._kernel32.CloseHandle(process)


def _library(name: str) -> Any:
    if sys.platform == "win32":
        return _declared(ctypes.WinDLL(name), name)
    raise JobError("Job Objects exist on Windows only.")


def _declared(library: Any, name: str) -> Any:
    if name == "kernel32":
        # Handles are pointers: the default, a 32-bit int, would cut them.
        pointer, word = ctypes.c_void_p, ctypes.c_uint32
        library.CreateJobObjectW.restype = pointer
        library.CreateJobObjectW.argtypes = (pointer, pointer)
        library.SetInformationJobObject.argtypes = (pointer, ctypes.c_int, pointer, word)
        library.OpenProcess.restype = pointer
        library.OpenProcess.argtypes = (word, ctypes.c_int, word)
        library.AssignProcessToJobObject.argtypes = (pointer, pointer)
        library.CloseHandle.argtypes = (pointer,)
    else:
        library.NtResumeProcess.argtypes = (ctypes.c_void_p,)
        library.NtResumeProcess.restype = ctypes.c_int32
    return library
