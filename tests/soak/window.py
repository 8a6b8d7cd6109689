"""The real window: no stall while every bad input comes in, and how soon a file that appears has its row."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aicorona_desktop.core.sources import WatchedSource
from tests import bad_inputs, phantom
from tests.soak.parts import SHARED, Soak, real

LONGEST_STALL_MS = 200.0
LOOK_S, SETTLE_S, SLACK_S = 10.0, 5.0, 2.0
DELIVERIES = 5


def application() -> Any:
    """Return the Qt application, made where there is none yet."""
    from PySide6.QtWidgets import QApplication  # the other parts need no Qt

    from aicorona_desktop.ui.main import SWITCH_INTERVAL_S

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return QApplication.instance() or QApplication([])


def stalls(soak: Soak) -> None:
    """All bad inputs, the shared ones and our own, in one import of the real window: how long does it stand still?"""
    from tests.benchmarks import bench_window as bench  # it brings Qt along

    qt, folder = application(), soak.place("stalls")
    source = folder / "inputs"
    bad_inputs.write(source / "own")
    if real("tools") is not None:
        command = [sys.executable, str(SHARED / "tools" / "make_bad_inputs.py"), str(source / "shared")]
        subprocess.run(command, check=True, capture_output=True)
    bad = real("data/dicom_bad")
    sources = [source, *([bad] if bad is not None else [])]
    with bench.window_over(folder / "data") as window:
        done: list[Any] = []
        window.bridge.import_done.connect(done.append)
        began, heart = time.monotonic(), bench.Heart()
        window.submit(sources)
        bench.wait(lambda: bool(done), 1800)
        took, gap = time.monotonic() - began, heart.stop()
        assert qt is not None
    summary = done[0].summary
    counts = summary.counts
    soak.hold(gap <= LONGEST_STALL_MS, f"the window stood still for {gap:.0f} ms")
    soak.hold(not summary.trouble, f"the import broke off: {summary.trouble}")
    soak.say(
        f"  {counts.files} files of bad inputs imported in {took:.0f} s:"
        f" longest stall of the window {gap:.0f} ms; {counts}"
    )


def first_row(soak: Soak) -> None:
    """A study appears in a watched folder while the window is open, at default times: when does its row stand?"""
    from tests.benchmarks import bench_window as bench  # it brings Qt along

    qt, folder = application(), soak.place("first-row")
    (folder / "watched").mkdir()
    waits = []
    with bench.window_over(folder / "data") as window:
        assert qt is not None
        engine = bench.engine_of(window)
        watch(engine, folder / "watched")
        for number in range(soak.rounds(DELIVERIES)):
            bench.rest(1.3 + 2.7 * number)  # at another moment between two looks
            one = phantom.chest(f"first row {number}").with_slices(18)
            one.written_to(folder / "watched" / str(number))
            began = time.monotonic()
            uid = one.study_instance_uid
            bench.wait(lambda uid=uid: in_list(window, uid), 120)
            waits.append(time.monotonic() - began)
    most = LOOK_S + SETTLE_S + SLACK_S
    soak.hold(max(waits) <= most, f"a row took {max(waits):.1f} s")
    soak.say(
        f"  {len(waits)} studies into a watched folder of the open window:"
        f" row after {', '.join(f'{one:.1f}' for one in waits)} s (at most {most:.0f} s)"
    )


def in_list(window: Any, uid: str) -> bool:
    """Whether the list of the window has a row of the study."""
    from aicorona_desktop.ui.actions import WORKLIST  # it brings Qt along

    return window.places[WORKLIST].model.line_of(uid) is not None


def watch(engine: Any, folder: Path) -> None:
    """Have the engine watch a folder as the window does."""
    engine.watch(WatchedSource(folder))
