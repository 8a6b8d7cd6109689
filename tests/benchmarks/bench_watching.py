"""Watched folders at their default times: when the first row appears, and how long 10,000 files at once take.

python -m tests.benchmarks.bench_watching [--files 10000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from aicorona_desktop.core import events
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.sources import WatchedSource
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import default_pack
from aicorona_desktop.triage.engine import Engine
from tests import phantom
from tests.soak.flood import FILES_A_STUDY, write_small

FIRST_ROW_S = 10 + 5 + 2
FLOOD_S = 60


def main() -> None:
    """Print one line for each figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--copied", choices=("yes", "no"), default="yes")
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, Reader() as reader, Scorer(default_pack(), "cpu") as scorer:
        folder = Path(temporary)
        scorer.wait_until_ready()
        told: list[tuple[float, events.Event]] = []
        with History.open(folder / "history.sqlite") as history:
            engine = Engine(
                reader=reader,
                scorer=scorer,
                history=history,
                spool=Originals(folder / "files", history.intend_copies),
                settings=Settings(),
                listener=lambda event: told.append((time.monotonic(), event)),
                resident=True,
            )
            engine.start()
            watched = folder / "in"
            watched.mkdir()
            engine.watch(WatchedSource(watched, copied=wishes.copied == "yes"))
            time.sleep(1.0)  # just after a look: the longest wait for the next one
            _first_row(folder, watched, told)
            engine.unwatch(watched)
            flooded = folder / "flood"
            flooded.mkdir()
            engine.watch(WatchedSource(flooded, copied=wishes.copied == "yes"))
            time.sleep(1.0)
            _flood(folder, flooded, told, wishes.files)
            engine.stop(10)


def _first_row(folder: Path, watched: Path, told: list[tuple[float, events.Event]]) -> None:
    chest = phantom.chest("first")
    chest.written_to(folder / "aside")
    began = time.monotonic()
    (folder / "aside").rename(watched / "study")
    took = _wait(told, lambda event: isinstance(event, events.StudySeen)) - began
    print(f"first row of a watched folder: {took:.1f} s, at most {FIRST_ROW_S} s (10 s looks, 5 s settling)")


def _flood(folder: Path, watched: Path, told: list[tuple[float, events.Event]], files: int) -> None:
    studies = max(1, files // FILES_A_STUDY)
    written = write_small(folder / "aside", studies)
    told.clear()
    began = time.monotonic()
    (folder / "aside").rename(watched / "delivery")
    named: Counter[str] = Counter()
    done = 0
    first = 0.0
    while sum(named.values()) < written and time.monotonic() - began < 10 * FLOOD_S:
        time.sleep(0.1)
        for _, event in told[done:]:
            if isinstance(event, events.FilesDone):
                first = first or time.monotonic()
                named.update(file.shown for file in event.files)
            done += 1
    took = time.monotonic() - began
    once = "each once" if max(named.values(), default=0) == 1 and len(named) == written else "NOT each once"
    print(
        f"{written} files of {studies} studies at once: all named after {took:.1f} s, at most {FLOOD_S} s; {once};"
        f" {written / (time.monotonic() - first):.0f} files/s once they had settled"
    )


def _wait(told: list[tuple[float, events.Event]], wanted: object) -> float:
    arrived = threading.Event()
    while not arrived.wait(0.02):
        for at, event in list(told):
            if callable(wanted) and wanted(event):
                return at
    return 0.0


if __name__ == "__main__":
    sys.exit(main())
