"""A fault at every call that changes files, one a run, until a run comes through without having met it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.soak.parts import Soak

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MOST_CALLS = 100_000
# What fails, and every how manieth call: all of them for an error that comes once.
MODES = (("EIO", 1), ("ENOSPC", 4), ("ENOSPC+", 4), ("short", 4))


def shim(folder: Path) -> Path | None:
    """Build the shim; None where there is no C compiler, or no way to load it before libc."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    built = folder / "faults.so"
    command = [compiler, "-shared", "-fPIC", "-O2", str(HERE / "faults.c"), "-o", str(built), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return built


def runs(folder: Path, mode: str, first: int, step: int, last: int = MOST_CALLS) -> list[dict[str, Any]]:
    """Run the program with a fault at call first, first + step ...; return what became of each run."""
    built = shim(folder)
    if built is None:
        return []
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "LD_PRELOAD": str(built),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    arguments = map(str, (folder / mode, mode, first, step, last))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.soak.faulty", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, cwd=ROOT, env=environment,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def faults(soak: Soak) -> None:
    """Every write, fsync, rename ... of an import with copies, its scoring and a backup fails once."""
    folder = soak.place("faults")
    for mode, step in MODES:
        began = time.monotonic()
        (folder / mode).mkdir()
        every = max(1, round(step / soak.share))
        told = runs(folder, mode, 1 + every // 2, every)
        if not told:
            soak.say("  left out: no C compiler here")
            return
        met = [one for one in told if one["failed"]]
        wrong = [one for one in told if one["wrong"]]
        what = Counter(one["what"] for one in met)
        soak.say(
            f"  {mode}: {len(met)} runs of {told[-1]['calls']} calls each, {len(wrong)} wrong;"
            f" failed were {dict(what)}; {time.monotonic() - began:.0f} s"
        )
        soak.hold(not told[-1]["failed"], f"{mode}: no run came through")
        for one in wrong[:20]:
            soak.hold(False, f"{mode} at call {one['at']} ({one['what']}): {one['wrong']} {one['said']}")
