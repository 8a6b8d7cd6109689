"""A disk that fills up at ten places of an import, its scoring and a backup; then there is room again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from tests import phantom
from tests.soak.child import Child
from tests.soak.ledger import Acknowledged, troubles
from tests.soak.parts import Soak
from tests.soak.small_disk import can_mount, small_disk

POINTS = 10
FULL_S = 8.0  # so long the disk stays full; by then the program waits for room
DISK_BYTES = 48_000_000
WORDS = ["near", "floorless", "backup"]


def space(soak: Soak, points: Sequence[int] = range(1, POINTS + 1)) -> None:
    """Fill a disk so that an import runs out of room after one, two ... ten elevenths of what it needs."""
    if not can_mount():
        soak.say("  left out: nothing may be mounted here")
        return
    folder = soak.place("space")
    phantom.chest("full disk").with_slices(18).written_to(folder / "source")
    needed = used_by_one_import(folder)
    began, stopped, received = time.monotonic(), 0, 0
    for point in points:
        with small_disk(folder / f"disk-{point}", DISK_BYTES) as disk:
            left = needed * point // (POINTS + 1)
            (disk / "filler").write_bytes(b"\0" * (shutil.disk_usage(disk).free - left))
            told, lines = live(soak, folder, disk, f"with {left} bytes free")
            stopped += any(line.startswith(("trouble", "notice")) for line in lines)
            received += told.instances
            if not told.scored:  # it could not even begin: the next start has room
                told, lines = live(soak, folder, disk, f"with room again after {left}")
            soak.hold(lines[-1:] == ["end\n"] and bool(told.scored), f"with room again after {left}: no score")
            for trouble in dict.fromkeys(troubles(disk / "history.sqlite", told)):
                soak.hold(False, f"with room again after {left}: {trouble}")
    soak.say(
        f"  {len(points)} places of {needed} bytes, on tmpfs: {stopped} runs ran out of room and said so,"
        f" {received} instances acknowledged in them; {time.monotonic() - began:.0f} s"
    )


def used_by_one_import(folder: Path) -> int:
    """How many bytes of a disk the whole takes, its end and the largest moment of it."""
    with small_disk(folder / "measured", DISK_BYTES) as disk:
        free = shutil.disk_usage(disk).free
        child = Child(disk / "history.sqlite", folder / "pack", [*WORDS, f"submit={folder / 'source'}"])
        least = free
        while child.process.poll() is None:
            least = min(least, shutil.disk_usage(disk).free)
            time.sleep(0.002)
        assert child.wait()[-1] == "end\n"
        return free - least


def live(soak: Soak, folder: Path, disk: Path, when: str) -> tuple[Acknowledged, list[str]]:
    """One life on the disk: it waits for room, or says why it cannot; then there is room, and it goes on by itself."""
    told = Acknowledged()
    child = Child(disk / "history.sqlite", folder / "pack", [*WORDS, f"submit={folder / 'source'}"])
    ends = time.monotonic() + FULL_S
    while not child.is_over and time.monotonic() < ends:
        time.sleep(0.05)
    (disk / "filler").unlink(missing_ok=True)
    lines = child.wait()
    told.hear(lines)
    soak.hold(lines[-1:] == ["end\n"] or any("trouble" in line for line in lines), f"{when}: no word")
    return told, lines
