"""The order in which an import reaches the disk: what a power cut after each acknowledgement would leave.

kill -9 leaves the page cache alone, so it proves nothing about fsync. Here every call that changes files is written
down, with what the program says in between. Whenever it acknowledges something, nothing that this rests on may be
still on its way: no file that was written and not flushed, no name that was made or removed in a folder not flushed.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests import phantom
from tests.soak.child import Child
from tests.soak.faults import shim
from tests.soak.parts import Soak

ACKNOWLEDGES = ("received", "scored", "unscored", "imported", "backed-up")
# What nothing rests on: locks, the maps (ours and evictable, proved when read), a backup that has no name yet, and the
# pixels kept for the eye.
_LIGHT = re.compile(r"\.(?:lock|part|maps)$|\.maps/|/cache/|/pack/|-shm$|/etilqs_|\.volumes?/")
_COPY = re.compile(r"[0-9a-f]{64}")


def breaches(lines: Iterable[str]) -> Iterator[str]:
    """Say where a power cut would undo what was acknowledged, from the lines that the shim has written."""
    unflushed: set[str] = set()
    unnamed: dict[str, set[str]] = {}  # by folder
    for line in lines:
        kind, path, to = line.rstrip("\n").split("\t")
        folder = path.rpartition("/")[0]
        if kind == "W":
            unflushed.add(path)
            if _COPY.fullmatch(path.rpartition("/")[2]):
                yield "a copy is written under its name"
        elif kind == "S":
            unflushed.discard(path)
            unnamed.pop(path, None)
        elif kind in "CU":
            unnamed.setdefault(folder, set()).add(path)
            unflushed -= {path} if kind == "U" else set()
        elif kind == "R":
            if path in unflushed and not path.endswith(".maps.part"):
                yield f"{_shown(path)} got its name before it was flushed"
            unflushed = {to if one == path else one for one in unflushed}
            unnamed.setdefault(to.rpartition("/")[0], set()).add(to)
            unnamed.setdefault(folder, set()).discard(path)
        elif kind == "M" and path.split()[0] in ACKNOWLEDGES:
            word = path.split()[0]
            names = {one for pending in unnamed.values() for one in pending}
            yield from (f"{word}: {_shown(one)} is not flushed" for one in sorted(unflushed) if _matters(one, word))
            yield from (
                f"{word}: the name of {_shown(one)} is not flushed" for one in sorted(names) if _matters(one, word)
            )


def _matters(path: str, word: str) -> bool:
    """Whether what was acknowledged rests on a file; a backup is made beside the thread that writes the rest."""
    return not _LIGHT.search(path) and (word != "backed-up" or ".backups" in path)


def _shown(path: str) -> str:
    return re.sub(r"[0-9a-f]{64}", "a copy", re.sub(r"-\d{6}-\d+T\d+Z", "", path.rpartition("/")[2]))


def traced(folder: Path, words: list[str]) -> list[str]:
    """Run the program and return every call that changed files, and what it said."""
    preload = shim(folder)
    if preload is None:
        return []
    place, trace = folder / "data", folder / "trace.txt"
    place.mkdir()
    Child(place / "history.sqlite", folder / "pack", ["near", f"trace={trace}", *words], preload).wait()
    return trace.read_text(encoding="utf-8", errors="replace").splitlines()


def order(soak: Soak) -> None:
    """Two studies and a backup: what a power cut would leave at each acknowledgement."""
    folder, began = soak.place("order"), time.monotonic()
    for name in ("one", "two"):
        phantom.chest(f"order {name}").with_slices(18).written_to(folder / "source" / name)
    lines = traced(folder, [f"submit={folder / 'source'}", "backup"])
    if not lines:
        soak.say("  left out: no C compiler here")
        return
    found = Counter(breaches(lines))
    for what, count in found.items():
        soak.hold(False, f"{what} ({count} times)")
    kinds = Counter(line[0] for line in lines)
    soak.say(
        f"  {len(lines)} calls ({kinds['W']} writes, {kinds['S']} flushes, {kinds['R']} renames),"
        f" {kinds['M']} things said: {len(found)} breaches; {time.monotonic() - began:.0f} s"
    )
