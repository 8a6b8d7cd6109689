"""The reader process gives up what reading does not need, before the first foreign byte arrives.

Everything that reading needs has been imported by then: afterwards the process can open no file, reach no
network and start no program (Linux). On Windows the parent's Job Object is the wall; here only crash
dialogs are switched off. What a kernel does not have is left out; `confine` says which walls stand.

Source: Linux manual pages prctl(2), landlock(7), seccomp(2), setrlimit(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys

ADDRESS_SPACE_BYTES = 1536 * 1024 * 1024
CPU_SECONDS = 60

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_VERSION_FLAG = 1
_SECCOMP = 317
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_ALL_THREADS = 1
_ERROR_BOXES_OFF = 0x0001 | 0x0002 | 0x8000  # SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX

# System calls on x86-64 that a reader has no use for: files, network, programs, other processes, the kernel.
_DENIED = (
    *(2, 21, 76, 82, 83, 84, 85, 86, 87, 88, 90, 92, 133, 257, 258, 259, 263, 264, 265, 266, 268, 304, 316, 437),
    *(41, 42, 43, 44, 46, 49, 50, 53, 288, 299, 307),  # socket, connect, accept, send*, bind, listen, socketpair
    *(56, 57, 58, 59, 322, 435),  # clone, fork, vfork, execve, execveat, clone3
    *(62, 101, 310, 311, 424, 434, 438),  # kill, ptrace, process_vm_*, pidfd_*
    *(155, 161, 165, 166, 175, 246, 248, 249, 250, 272, 298, 308, 313, 320, 321, 323, *range(425, 434)),
)
_AUDIT_ARCH_X86_64 = 0xC000003E
_X32_CALLS = 0x40000000


def confine(parent_pid: int | None) -> tuple[str, ...]:
    """Put up every wall that this system has, for good, and return their names.

    `parent_pid` is the process to die with; when it has gone already, this process ends at once.
    """
    if sys.platform == "win32":
        ctypes.windll.kernel32.SetErrorMode(_ERROR_BOXES_OFF)
        return ("no-crash-dialogs",)
    _limit_resources()
    walls = ["limits"]
    if sys.platform == "linux":
        if _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL):
            walls.append("dies-with-parent")
        # The parent may have died before the line above took effect.
        if parent_pid is not None and os.getppid() != parent_pid:
            os._exit(0)
        if _prctl(_PR_SET_NO_NEW_PRIVS, 1):
            walls.append("no-new-privileges")
            walls += ["landlock"] if _landlock() else []
            walls += ["seccomp"] if _seccomp() else []
    return tuple(walls)


def _prctl(option: int, value: int) -> bool:
    return bool(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0)


def _limit_resources() -> None:
    import resource

    limits = {
        resource.RLIMIT_AS: (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES),
        resource.RLIMIT_CPU: (CPU_SECONDS, CPU_SECONDS + 1),
        resource.RLIMIT_NOFILE: (32, 32),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NPROC: (0, 0),
    }
    for kind, (soft, hard) in limits.items():
        _, ceiling = resource.getrlimit(kind)
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)  # noqa: PLW2901
        resource.setrlimit(kind, (soft, hard))


def _landlock() -> bool:
    """Forbid every path and TCP port: a rule set that handles all there is and allows nothing."""
    call = ctypes.CDLL(None).syscall
    version = call(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION_FLAG)
    if version < 1:
        return False
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    ports = 3 if version >= 4 else 0
    scopes = 3 if version >= 6 else 0  # abstract sockets and signals of processes outside
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = ctypes.create_string_buffer(struct.pack("<QQQ", files, ports, scopes)[:size], size)
    rules = call(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    if rules < 0:
        return False
    try:
        return bool(call(_LANDLOCK_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _seccomp() -> bool:
    """Make the denied system calls fail with EPERM; another calling convention than ours ends the process."""
    if platform.machine() != "x86_64" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    program = _filter()
    wrapped = _Program(len(program) // 8, program)
    call = ctypes.CDLL(None).syscall
    return bool(call(_SECCOMP, _SECCOMP_SET_MODE_FILTER, _SECCOMP_ALL_THREADS, ctypes.byref(wrapped)) == 0)


def _filter() -> bytes:
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    allow, deny, end = 0x7FFF0000, 0x00050001, 0x80000000
    count = len(_DENIED)
    code = [
        (load, 0, 0, 4),  # the calling convention
        (equal, 1, 0, _AUDIT_ARCH_X86_64),
        (answer, 0, 0, end),
        (load, 0, 0, 0),  # the number of the call
        (at_least, count + 1, 0, _X32_CALLS),
    ]
    code += [(equal, count - index, 0, number) for index, number in enumerate(_DENIED)]
    code += [(answer, 0, 0, allow), (answer, 0, 0, deny)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
