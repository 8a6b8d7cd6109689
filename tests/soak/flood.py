"""Into a watched folder of the program: many files at once, files that are still being copied, a day of a clinic."""

from __future__ import annotations

import os
import random
import statistics
import threading
import time
from collections import Counter
from pathlib import Path

from tests import phantom
from tests.dicom.ct_files import with_element
from tests.soak.child import Child
from tests.soak.faults import shim
from tests.soak.ledger import Acknowledged, troubles
from tests.soak.parts import Soak

STUDIES, FILES_A_STUDY = 200, 50
WITHIN_S = 60.0
WRITERS, STUDIES_OF_DAY = 20, 60
DAY_S = 24 * 3600
SLOPE_BYTES_AN_HOUR = 1_000_000


def flood(soak: Soak) -> None:
    """10,000 files of 200 studies in a watched folder at once: each is named with its state, once, within a minute."""
    folder = soak.place("flood")
    studies = soak.rounds(STUDIES)
    written = write_small(folder / "aside", studies)
    (folder / "watched").mkdir()
    child = Child(
        folder / "history.sqlite", folder / "pack", [f"watch={folder / 'watched'}", "files", "stay", "default"]
    )
    soak.hold(child.open.wait(60), "the program didn't start")
    time.sleep(3)
    began = time.monotonic()
    (folder / "aside").rename(folder / "watched" / "delivery")
    while time.monotonic() - began < 5 * WITHIN_S and sum(line.startswith("file ") for line in child.lines) < written:
        time.sleep(0.2)
    took = time.monotonic() - began
    named = Counter(line.split(maxsplit=2)[2].strip() for line in list(child.lines) if line.startswith("file "))
    states = Counter(line.split()[1] for line in list(child.lines) if line.startswith("file "))
    soak.hold(len(named) == written, f"{len(named)} of {written} files named")
    soak.hold(max(named.values(), default=0) == 1, "a file was named twice")
    soak.hold(took <= WITHIN_S, f"took {took:.0f} s")
    said = Acknowledged()
    said.hear(child.kill())
    for trouble in dict.fromkeys(troubles(folder / "history.sqlite", said)):
        soak.hold(False, trouble)
    soak.say(
        f"  {written} files of {studies} studies: all named with their state {took:.1f} s after they were dropped"
        f" (a look every 10 s and 5 s of settling included); {dict(states)}; {said.instances} instances in the history"
    )


def write_small(folder: Path, studies: int) -> int:
    """Studies of small files: one drawn slice, with its own identity and place each."""
    small = phantom.chest("flood").with_matrix(64).file(10)
    count = 0
    for study in range(studies):
        (folder / str(study)).mkdir(parents=True)
        for index in range(FILES_A_STUDY):
            content = with_identity(small, study, index)
            assert len(content) < 20_000
            (folder / str(study) / f"IM{index:04d}").write_bytes(content)
            count += 1
    return count


def with_identity(content: bytes, study: int, index: int) -> bytes:
    """The slice as one of another study, at another place."""
    own = f"2.25.8{study:04d}{index:04d}"
    meta = content.index(b"\x02\x00\x03\x00UI")
    size = int.from_bytes(content[meta + 6 : meta + 8], "little")
    content = content[: meta + 8] + own.encode().ljust(size, b"\0") + content[meta + 8 + size :]
    for tag, vr, value in (
        (0x00080018, "UI", own.ljust(size, "\0")),
        (0x0020000D, "UI", f"2.25.91{study:04d}"),
        (0x0020000E, "UI", f"2.25.92{study:04d}"),
        (0x00200013, "IS", str(index + 1)),
        (0x00200032, "DS", f"-150\\-150\\{index * 4}"),
        (0x00100020, "LO", f"P{study:04d}"),
    ):
        content = with_element(content, tag, vr, value.encode())
    return content


def writers(soak: Soak) -> None:
    """20 writers copy slice by slice, in pieces, with pauses below the settling time: no file is read early."""
    folder = soak.place("writers")
    (folder / "watched").mkdir()
    child = Child(folder / "history.sqlite", folder / "pack", [f"watch={folder / 'watched'}", "files", "stay"])
    soak.hold(child.open.wait(60), "the program didn't start")
    slices = max(3, soak.rounds(18))
    threads = [
        threading.Thread(target=copy_slowly, args=(folder / "watched", number, slices)) for number in range(WRITERS)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    copying, expected = time.monotonic() - began, WRITERS * slices
    while time.monotonic() - began < copying + 60 and sum(line.startswith("file ") for line in child.lines) < expected:
        time.sleep(0.2)
    lines = list(child.lines)
    named = [line.split(maxsplit=2) for line in lines if line.startswith("file ")]
    said = Acknowledged()
    said.hear(child.kill())
    soak.hold(
        len(named) == len({words[2] for words in named}) == expected, f"{len(named)} of {expected} files, some twice"
    )
    early = [words for words in named if words[1] == "refused"]
    soak.hold(not early, f"{len(early)} files were read early")
    for trouble in dict.fromkeys(troubles(folder / "history.sqlite", said)):
        soak.hold(False, trouble)
    soak.hold(said.instances == expected, f"{said.instances} of {expected} instances in the history")
    soak.say(
        f"  {WRITERS} writers, {expected} files, {copying:.0f} s of copying: {len(early)} read early, each named once"
    )


def copy_slowly(folder: Path, number: int, slices: int) -> None:
    """Write a study piece by piece, each file under its own name from the start, as most exports do."""
    chance = random.Random(number)
    one = phantom.chest(f"writer {number}").with_matrix(64)
    place = folder / str(number)
    place.mkdir()
    for index in range(slices):
        content = one.file(index)
        with (place / f"IM{index:04d}.dcm").open("wb", buffering=0) as file:
            at = 0
            while at < len(content):
                size = chance.choice((100, 2000, 4096, 6000))
                file.write(content[at : at + size])
                at += size
                time.sleep(chance.choice((0.0, 0.05, 0.3, 1.5)))


def day(soak: Soak) -> None:
    """A day of a clinic in minutes: 60 studies come in, the clock goes on by 24 minutes after each."""
    folder = soak.place("day")
    (folder / "watched").mkdir()
    preload = shim(folder)
    if preload is None:
        soak.say("  left out: no C compiler here")
        return
    child = Child(folder / "history.sqlite", folder / "pack", [f"watch={folder / 'watched'}", "stay"], preload)
    soak.hold(child.open.wait(60), "the program didn't start")
    studies, began = max(12, soak.rounds(STUDIES_OF_DAY)), time.monotonic()
    facts: list[tuple[float, int, int, int]] = []
    for number in range(studies):
        hour = 24 * number / studies
        child.say(f"clock={round(hour * 3600)}")
        deliver(folder, number)
        scored = 0
        while scored <= number and time.monotonic() - began < 60 * (number + 1):
            scored = sum(line.startswith(("scored", "unscored")) for line in child.lines)
            time.sleep(0.1)
        if number % 10 == 5:
            child.say("backup")
        at = len(child.lines)
        child.say("facts")
        line = child.heard("facts", at).split()
        if len(line) == 4:
            facts.append((hour, int(line[1]), int(line[2]), int(line[3])))
    lines = child.end()
    said = Acknowledged()
    said.hear(lines)
    damaged = sum(number % 15 == 7 for number in range(studies))  # a slice is missing in the middle: not to be scored
    soak.hold(len(said.scored) == studies - damaged, f"{len(said.scored)} of {studies - damaged} studies scored")
    for trouble in dict.fromkeys(troubles(folder / "history.sqlite", said)):
        soak.hold(False, trouble)
    settled = [one for one in facts if one[0] >= 6]
    slope = statistics.linear_regression([one[0] for one in settled], [one[1] for one in settled]).slope
    handles, threads = ({one[place] for one in settled} for place in (2, 3))
    soak.hold(slope < SLOPE_BYTES_AN_HOUR, f"memory grows by {slope / 1e6:.2f} MB an hour")
    soak.hold(max(handles) - min(handles) <= 2, f"handles from {min(handles)} to {max(handles)}")
    soak.say(
        f"  {studies} studies in 24 simulated hours ({time.monotonic() - began:.0f} s):"
        f" memory {settled[0][1] / 1e6:.0f} to {settled[-1][1] / 1e6:.0f} MB,"
        f" slope {slope / 1e6:+.2f} MB a simulated hour;"
        f" handles {min(handles)} to {max(handles)}, threads {min(threads)} to {max(threads)}"
    )


def deliver(folder: Path, number: int) -> None:
    """A study into the watched folder; every tenth a re-send of an earlier one, every fifteenth broken."""
    one = phantom.chest(f"day {number}").with_slices(18 + number % 5)
    one.written_to(folder / "aside")
    if number % 15 == 7:
        (folder / "aside" / "IM0003.dcm").write_bytes(b"damaged on the way")
    if number % 10 == 9:
        phantom.chest(f"day {number - 5}").with_slices(18 + (number - 5) % 5).written_to(folder / "aside" / "again")
    for top, _, names in os.walk(folder / "aside"):
        for name in names:
            os.utime(Path(top) / name)
    (folder / "aside").rename(folder / "watched" / str(number))
