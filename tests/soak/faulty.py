"""Runs the program again and again in forked children, and has the N-th call fail in the N-th: see `faults.py`.

`LD_PRELOAD=SHIM python -m tests.soak.faulty FOLDER MODE FIRST STEP LAST`: MODE is the error (EIO, ENOSPC), `short` for
a write that takes half, or ENOSPC+ for a disk that stays full. A line for each failed run goes out, and how it ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import io
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from aicorona_desktop.app import services
from aicorona_desktop.core.errors import AicoronaError
from tests import phantom
from tests.soak import near, program
from tests.soak.ledger import Acknowledged, troubles

LONGEST_RUN_S = 60
WAITS_S = 10  # on a disk that stays full the program waits for room, for ever: then it is killed
SLICES = 18


def main(arguments: list[str]) -> None:
    """Fail each call in its turn."""
    folder, mode, (first, step, last) = Path(arguments[0]), arguments[1], map(int, arguments[2:5])
    shim = ctypes.CDLL(None)
    shim.fault_last.restype = ctypes.c_char_p
    folder.mkdir(exist_ok=True)
    near.put_in_place(services, near.toy(folder / "pack"))
    source = folder / "source"
    phantom.chest("fault").with_slices(SLICES).written_to(source)
    gc.freeze()
    number = first
    while number <= last:
        told = run(shim, folder / "runs" / str(number), source, mode, number)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        if not told["failed"]:
            return
        number += step


def run(shim: ctypes.CDLL, place: Path, source: Path, mode: str, number: int) -> dict[str, object]:
    """One run with one fault, then one without: what was acknowledged must be there, and all of it in the end."""
    place.mkdir(parents=True)
    history = place / "history.sqlite"
    waits = mode.endswith("+")
    report, said = forked(lambda: life(history, source, shim, (mode, number)), WAITS_S if waits else LONGEST_RUN_S)
    facts = json.loads(report or "{}")
    told, wrong = Acknowledged(), []
    told.hear(said)
    if not report and not waits:
        wrong.append("the program crashed or hung")
    false_word = [line for line in said if line.startswith("crash")]
    wrong += false_word[:1]
    wrong += check(history, told)
    _, later = forked(lambda: life(history, source, shim, ("EIO", 0)))
    told.hear(later)
    wrong += [f"at the next start: {one}" for one in check(history, told)]
    if not told.scored or later[-1:] != ["end\n"]:
        wrong.append(f"the next start doesn't finish: {later[-1:]}")
    if not wrong:
        shutil.rmtree(place)
    calls = {"failed": bool(facts.get("failed", waits)), "calls": facts.get("calls", 0), "what": facts.get("what", "")}
    return {"at": number, **calls, "said": [line for line in said if line.startswith("trouble")][:2], "wrong": wrong}


def check(history: Path, told: Acknowledged) -> list[str]:
    """What doesn't hold; where there is no history yet, nothing may have been acknowledged."""
    try:
        return list(dict.fromkeys(troubles(history, told)))
    except AicoronaError as error:
        return [f"could not be opened: {error}"]


def life(history: Path, source: Path, shim: ctypes.CDLL, fault: tuple[str, int]) -> str:
    """Live with one failing call; return how many calls there were, as JSON."""
    mode, number = fault
    error = getattr(errno, mode.rstrip("+"), errno.EIO)
    shim.fault_begin(os.fsencode(history.parent), number, error, mode == "short", mode.endswith("+"))
    try:
        program.main([str(history), str(source.parent / "pack"), "near", f"submit={source}", "backup"])
    except AicoronaError as said:
        program_says(f"trouble {said}")
    except BaseException as wrong:  # noqa: BLE001 - whatever it is, it is what this looks for
        program_says(f"crash {type(wrong).__name__}: {wrong}")
    finally:
        what = (shim.fault_last() or b"").decode()
        facts = {"failed": shim.fault_failed(), "calls": shim.fault_calls(), "what": what}
        shim.fault_begin(b"", 0, 0, 0, 0)
    return json.dumps(facts)


def program_says(line: str) -> None:
    sys.stdout.write(line.replace("\n", " ") + "\n")
    sys.stdout.flush()


def forked(work: object, longest_s: float = LONGEST_RUN_S) -> tuple[str, list[str]]:
    """Do something in a child; return what it returned, "" where it died or hung, and the lines it wrote."""
    said_at, say_at = os.pipe()
    report_at, told_at = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            os.dup2(say_at, 1)
            sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), write_through=True)
            os.write(told_at, work().encode())  # type: ignore[operator]
            status = 0
        os._exit(status)
    os.close(say_at)
    os.close(told_at)
    signal.alarm(0)
    began = time.monotonic()
    pieces = bytearray()
    os.set_blocking(said_at, False)
    while True:
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(said_at, 65536):
                pieces += piece
        done, _ = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - began > longest_s:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.005)
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(said_at, 65536):
            pieces += piece
    os.set_blocking(report_at, False)
    report = b""
    with contextlib.suppress(BlockingIOError):
        report = os.read(report_at, 65536)
    os.close(said_at)
    os.close(report_at)
    return report.decode(), pieces.decode("utf-8", "replace").splitlines(keepends=True)


if __name__ == "__main__":
    main(sys.argv[1:])
