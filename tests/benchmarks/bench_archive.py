"""How `score-archive` grows with its workers: `python tests/benchmarks/bench_archive.py [--rounds N] [--studies N]`.

Measured: studies a minute of 1 and 2 local workers, interleaved, on phantom studies of 40 slices, from the first
record to the last (starting a worker takes some seconds, once); what the run's own process costs a study; how fast an
archive is listed. Simulated: more workers, from those numbers, with the queue below.

The queue: each worker has a core (or GPU) of its own and takes a study as long as one measured alone took, drawn at
random; the run's process hands out and records one study at a time. It knows nothing of slow disks or networks.
"""

from __future__ import annotations

import argparse
import heapq
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.archive.index import ArchiveIndex
from aicorona_desktop.evaluation.archive.results import PartJournals
from aicorona_desktop.evaluation.archive.scoring import ArchiveRun, score_archive
from aicorona_desktop.evaluation.records import Record
from aicorona_desktop.model.pack import default_pack
from tests import phantom

SIMULATED = (4, 8, 16, 64, 256)
STUDIES_SIMULATED = 20_000


def archive_of(folder: Path, studies: int) -> Path:
    for number in range(studies):
        chest = phantom.chest(f"bench{number}").with_slices(40, 7.5).with_matrix(256).with_seed(number)
        chest.written_to(folder / f"study{number}")
    return folder


def measured(root: Path, out: Path, workers: int) -> tuple[float, list[float]]:
    """Studies a minute between the first and the last record, and the seconds that each study took its worker."""
    moments: list[float] = []

    def told(step: str, done: int, _all: int | None) -> None:
        if step == "score" and done:
            moments.append(time.monotonic())

    score_archive(ArchiveRun(root=root, pack=default_pack(), provider="cpu", workers=workers), out, told)
    seconds = [(record.ms_total or 0) / 1000 for record in PartJournals(out / "parts").records()]
    return 60 * (len(moments) - 1) / (moments[-1] - moments[0]), seconds


def serial_seconds(folder: Path, record: Record, studies: int = 200) -> float:
    """What recording one study costs the run's process, flushed to the disk."""
    journals = PartJournals(folder)
    started = time.monotonic()
    for number in range(studies):
        journals.append(replace(record, name=f"1.2.{number}"))
    return (time.monotonic() - started) / studies


def simulated(workers: int, service: Sequence[float], serial: float, studies: int = STUDIES_SIMULATED) -> float:
    """Studies a minute of a closed queue: workers in parallel, then one recorder."""
    chance = random.Random(workers)
    ends = [chance.choice(service) for _ in range(workers)]
    heapq.heapify(ends)
    free = 0.0
    for _ in range(studies):
        free = max(free, heapq.heappop(ends)) + serial
        heapq.heappush(ends, free + chance.choice(service))
    return 60 * studies / free


def listed(root: Path, folder: Path) -> float:
    """Files a second."""
    with Reader() as reader:
        started = time.monotonic()
        counts = ArchiveIndex(folder).build(root, reader)
        return counts.files / (time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--studies", type=int, default=8)
    arguments = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    service: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        root = archive_of(place / "in", arguments.studies)
        for number in range(arguments.rounds):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                rate, seconds = measured(root, place / f"out-{number}-{workers}", workers)
                rates[workers].append(rate)
                service += seconds[1:] if workers == 1 else []
        sample = next(PartJournals(place / "out-0-1" / "parts").records())
        serial = serial_seconds(place / "serial", sample)
        files = listed(root, place / "list")
    ratio = statistics.median(two / one for one, two in zip(rates[1], rates[2], strict=True))
    print(f"{arguments.rounds} rounds of {arguments.studies} studies of 40 slices; load {os.getloadavg()[0]:.1f}")
    print(f"listing: {files:.0f} files a second; recording: {1000 * serial:.2f} ms a study")
    print(f"2 workers against 1, median of the rounds' ratios: {ratio:.2f}")
    print("| Workers | Studies a minute | Against one | |\n|---|---|---|---|")
    one = statistics.median(rates[1])
    for workers in (1, 2):
        rate = statistics.median(rates[workers])
        print(f"| {workers} | {rate:.1f} | {rate / one:.2f} | measured |")
    alone = simulated(1, service, serial)
    for workers in SIMULATED:
        rate = simulated(workers, service, serial)
        print(f"| {workers} | {rate:.1f} | {rate / alone:.2f} | simulated |")


if __name__ == "__main__":
    main()
