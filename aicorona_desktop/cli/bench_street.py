"""The part of `bench` that runs whole studies: engine, reader and scorer as the program uses them; wall time.

Started as a process of its own by `cli.bench`; prints one JSON line of lists, one number a round.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core import events
from aicorona_desktop.core.child_process import program
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.writing import ct_slice, uid_of
from aicorona_desktop.history.store import History
from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import KnownAnswer, Pack, default_pack
from aicorona_desktop.model.preprocess import prepare
from aicorona_desktop.model.providers import worker_count
from aicorona_desktop.model.score import contribution_of
from aicorona_desktop.model.scorer.network import OnnxNetwork
from aicorona_desktop.model.selection import selected
from aicorona_desktop.triage.engine import Engine
from aicorona_desktop.triage.reading import FileReading

MODULE = "aicorona_desktop.cli.bench_street"
SIDE_PX = 512
HEADER_FILES, HEADER_PASSES = 250, 4
MIB = 1024 * 1024

Values = dict[str, list[float]]


class StreetError(AicoronaError):
    """A study of the benchmark was not scored."""


def pack_512() -> Pack:
    """Return the shipped pack as one for 512 x 512 pixels with the paper's preparation: for timing only."""
    pack = default_pack()
    wide = replace(pack, input_size=SIDE_PX, map_size=SIDE_PX // 32, preparation="paper-1", statistics=None)
    network = OnnxNetwork(pack.model_bytes(), "cpu", SIDE_PX, 1)
    cam, features = network.run(prepare(pack.known_slice, wide.preparation, SIDE_PX))
    return replace(wide, known_answer=KnownAnswer(contribution_of(cam), cam, features))


def write_study(folder: Path, slices: int, spacing_mm: float) -> list[NDArray[np.int16]]:
    """Write a synthetic chest of 512 x 512 slices; return them."""
    # A tenth of the slices is drawn and repeated, each with a pixel of its own: drawing costs more than scoring.
    drawn = Thorax(
        slices=max(8, slices // 10), matrix=SIDE_PX, slice_spacing_mm=spacing_mm * slices / max(8, slices // 10)
    )
    pictures = list(drawn.volume())
    folder.mkdir()
    written: list[NDArray[np.int16]] = []
    uids = {
        name: uid_of("bench", slices, name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    }
    for index in range(slices):
        picture = pictures[index * len(pictures) // slices].copy()
        picture[0, 0] += index % 7
        values: dict[str, str | int | float] = {
            **uids,
            "SOPInstanceUID": uid_of("bench", slices, index),
            "PatientID": "BENCH",
            "PatientName": "Bench^Synthetic",
            "PatientAge": "050Y",
            "StudyDate": "20260105",
            "BodyPartExamined": "CHEST",
            "SliceThickness": spacing_mm,
            "InstanceNumber": index + 1,
        }
        position = (-175.0, -175.0, index * spacing_mm)
        (folder / f"{index:04}.dcm").write_bytes(ct_slice(picture, position, 350 / SIDE_PX, values))
        written.append(picture)
    return written


class Street:
    """Warm processes, and a fresh engine and history for each run."""

    def __init__(self, folder: Path, reader: Reader, scorer: Scorer) -> None:
        self._folder, self._runs = folder, 0
        self.reader, self.scorer = reader, scorer
        self.at: dict[type[events.Event], float] = {}

    def run(self, study: Path) -> float:
        """Return the seconds from submission to the recorded score; `at` holds when each kind of event first came."""
        self._runs += 1
        self.at = {}
        place = self._folder / f"run-{self._runs}"
        place.mkdir()
        with History.open(place / "history.sqlite") as history:
            engine = Engine(
                reader=self.reader,
                scorer=self.scorer,
                history=history,
                spool=Originals(place / "files"),
                settings=Settings(),
                listener=self._note,
            )
            engine.start()
            engine.wait_until_idle(10)
            started = time.perf_counter()
            engine.submit([study])
            engine.wait_until_idle(600)
            engine.stop()
        if events.FinalScore not in self.at:
            raise StreetError("A study of the benchmark was not scored.")
        return self.at[events.FinalScore] - started

    def _note(self, event: events.Event) -> None:
        self.at.setdefault(type(event), time.perf_counter())
        if isinstance(event, events.Unscored):
            raise StreetError(" ".join(map(str, event.findings)))


@contextmanager
def warm_street(pack: Pack) -> Iterator[Street]:
    """Yield a street whose processes have started."""
    with tempfile.TemporaryDirectory() as folder, Scorer(pack, "cpu") as scorer, Reader() as reader:
        scorer.wait_until_ready()
        yield Street(Path(folder), reader, scorer)


def bare_inference(pack: Pack, pictures: list[NDArray[np.int16]]) -> Callable[[], float]:
    """Return what measures the inference of the used slices alone: prepared, one session, a thread a core."""
    workers = worker_count()
    network = OnnxNetwork(pack.model_bytes(), "cpu", SIDE_PX, workers)
    used = [prepare(pictures[index], pack.preparation, SIDE_PX) for index in selected(len(pictures), pack.slice_rule)]
    pool = ThreadPoolExecutor(workers)

    def measured() -> float:
        started = time.perf_counter()
        list(pool.map(network.run, used))
        return time.perf_counter() - started

    return measured


def study40(rounds: int) -> Values:
    """Files to recorded score of a study of 40 slices, and the inference of its 20 used slices, by turns."""
    pack = pack_512()
    with tempfile.TemporaryDirectory() as folder, warm_street(pack) as street:
        study = Path(folder) / "study40"
        bare = bare_inference(pack, write_study(study, 40, 7.5))
        bare(), street.run(study)
        ratios, seconds = [], []
        for turn in range(rounds):
            gc.collect()
            pair = (bare(), street.run(study)) if turn % 2 else (street.run(study), bare())[::-1]
            ratios.append(pair[1] / pair[0])
            seconds.append(pair[1])
    return {"study40_vs_inference": ratios, "study40_seconds": seconds}


def study400(rounds: int) -> Values:
    """The preliminary score of a study of 400 slices, from its check on, and the peaks of the three processes."""
    pack = pack_512()
    with tempfile.TemporaryDirectory() as folder, warm_street(pack) as street:
        study = Path(folder) / "study400"
        pictures = write_study(study, 400, 0.8)
        values: Values = {"preliminary400_slice_times": []}
        for _ in range(min(rounds, 3)):
            street.run(study)
            checked, first = street.at[events.StudySeen], street.at[events.PreliminaryScore]
            one = _seconds_a_slice(pack, pictures[200])
            values["preliminary400_slice_times"].append((first - checked) / one)
        scorer, reader = _peak_mb(street.scorer.pid), _peak_mb(street.reader.process_id)
        return values | _peaks(main=_peak_of_a_run(study), scorer=scorer, reader=reader)


def _peaks(**peaks_mb: float | None) -> Values:
    return {f"peak_mb_{name}": [peak] for name, peak in peaks_mb.items() if peak is not None}


def _peak_of_a_run(study: Path) -> float | None:
    """The peak of a main process that does nothing but triage this study."""
    ended = subprocess.run([*program(MODULE), "triage", str(study)], capture_output=True, check=True, timeout=600)
    peak = json.loads(ended.stdout.splitlines()[-1])
    return None if peak is None else float(peak)


def triage_alone(study: Path) -> float | None:
    """Triage a study with the shipped pack in this process; return its peak."""
    with warm_street(default_pack()) as street:
        street.run(study)
    return _peak_mb(os.getpid())


def _seconds_a_slice(pack: Pack, picture: NDArray[np.int16]) -> float:
    """The wall time of one slice on one otherwise idle core."""
    network = OnnxNetwork(pack.model_bytes(), "cpu", SIDE_PX, 1)
    prepared = prepare(picture, pack.preparation, SIDE_PX)
    times = []
    for _ in range(8):
        started = time.perf_counter()
        network.run(prepared)
        times.append(time.perf_counter() - started)
    return float(np.median(times[2:]))


def _peak_mb(process: int | None) -> float | None:
    """The largest resident size of a process so far; only Linux tells."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    except OSError:
        return None
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), None)
    return None if peak is None else int(peak) * 1024 / MIB


def headers(rounds: int) -> Values:
    """Headers a second through the reader process, opening and hashing included; the time back after a kill."""
    with tempfile.TemporaryDirectory() as folder, Reader() as reader:
        write_study(Path(folder) / "files", HEADER_FILES, 1.0)
        reading = FileReading(reader, Spool(Path(folder) / "spool"))
        reading.read([Path(folder) / "files"])
        rates, back = [], []
        for _ in range(max(3, rounds // 3)):
            started = time.perf_counter()
            for _ in range(HEADER_PASSES):
                reading.read([Path(folder) / "files"])
            rates.append(HEADER_FILES * HEADER_PASSES / (time.perf_counter() - started))
            if reader.process_id is not None and hasattr(signal, "SIGKILL"):
                os.kill(reader.process_id, signal.SIGKILL)
                started = time.perf_counter()
                reading.read([Path(folder) / "files" / "0000.dcm"])
                back.append(time.perf_counter() - started)
    return {"headers_per_s": rates} | ({"reader_back_s": back} if back else {})


def measure(rounds: int) -> Values:
    """Return every figure of this part."""
    return headers(rounds) | study40(rounds) | study400(rounds)


if __name__ == "__main__":
    print(json.dumps(triage_alone(Path(sys.argv[2])) if sys.argv[1] == "triage" else measure(int(sys.argv[2]))))
