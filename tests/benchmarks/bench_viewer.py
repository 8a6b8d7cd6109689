"""How quickly the viewer draws: `python tests/benchmarks/bench_viewer.py [SLICES]`.

A study of 512 x 512 slices in a hidden window. Printed are, in ms from the request to the end of painting: a slice
change plain and with the map, quiet and while the scorer works on slices that another thread prepares, as it does for
the queue; the first picture of a study of 40 slices; and the memory of the process. The ratio is to one pass of
numpy over the same slice in the same run (grey by table), since machines differ.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from aicorona_desktop.dicom.writing import ct_slice
from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.imaging.voi import VoiWindow, to_grey
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import default_pack
from aicorona_desktop.ui import viewer_state as states
from aicorona_desktop.ui.viewer_place import ViewerPlace
from tests import phantom
from tests.ui.viewer_parts import Room, room_in

ROUNDS = 400


class Waiting:
    """What the tests' qtbot does, without pytest."""

    def waitUntil(self, holds: Callable[[], bool], timeout: int = 60_000) -> None:  # noqa: N802
        ends = time.monotonic() + timeout / 1000
        while not holds():
            if time.monotonic() > ends:
                raise TimeoutError
            QApplication.processEvents()
            time.sleep(0.001)

    def waitExposed(self, _widget: object) -> None:  # noqa: N802
        QApplication.processEvents()

    def wait(self, ms: int) -> None:
        QTest.qWait(ms)


def write_study(folder: Path, name: str, slices: int) -> None:
    """Write slices of four different levels over and over: their number counts, not what they show."""
    thorax = Thorax(slices=slices, matrix=512, slice_spacing_mm=300 / slices)
    chest = phantom.Chest(name, thorax)
    drawn = [thorax.slice(slices * part // 8) for part in (2, 3, 4, 5)]
    folder.mkdir(parents=True)
    for index, position in enumerate(thorax.positions_mm):
        values = {**chest._common(), **chest._of_slice(index)}
        data = ct_slice(drawn[index % 4], position, thorax.pixel_spacing_mm, values)
        (folder / f"IM{index:04d}.dcm").write_bytes(data)


def changes_ms(viewer: ViewerPlace, first: int, last: int) -> list[float]:
    """Go through slices, one event loop turn each; return what each took from the request to its painting."""
    took, pane, indices = [], viewer.main.pane, list(range(first, last))
    for step in range(ROUNDS):
        index = indices[step % len(indices)]
        asked = time.perf_counter()
        viewer.set_state(states.at_slice(viewer.state, index))
        while pane.painted_at < asked or pane.picture is None or pane.picture.slice_index != index:
            QApplication.processEvents()
        took.append(1000 * (pane.painted_at - asked))
    return took


@contextmanager
def queue_at_work() -> Iterator[None]:
    """The scorer on all cores, fed by a thread of ours that prepares the slices, as the engine does."""
    stop, pixels = threading.Event(), Thorax(slices=40, matrix=512).slice(20)

    def work(scorer: Scorer) -> None:
        index = 0
        while not stop.is_set():
            scorer.submit(index, pixels)
            index += 1
            if not scorer.room:
                scorer.next()
        while scorer.next() is not None:
            pass

    with Scorer(default_pack(), "cpu") as scorer:
        thread = threading.Thread(target=work, args=(scorer,))
        thread.start()
        time.sleep(3)
        try:
            yield
        finally:
            stop.set()
            thread.join()


def line(name: str, took: list[float], reference_ms: float) -> None:
    """Print one result."""
    ordered = sorted(took)
    median, worst = statistics.median(ordered), ordered[int(len(ordered) * 0.99) - 1]
    print(f"{name:44} median {median:6.2f} ms, 99th percentile {worst:6.2f} ms, ratio {median / reference_ms:5.1f}")


def reference_ms() -> float:
    pixels = Thorax(slices=40, matrix=512).slice(20)
    window, took = VoiWindow(-600, 1500), []
    for _ in range(50):
        started = time.perf_counter()
        to_grey(pixels, window)
        took.append(1000 * (time.perf_counter() - started))
    return statistics.median(took)


def first_pictures(room: Room, uids: list[str]) -> list[float]:
    took = []
    for uid in uids:
        seen: list[float] = []
        room.viewer.slice_painted.connect(lambda _index, seen=seen: seen.append(time.perf_counter()))
        started = time.perf_counter()
        room.viewer.show_study(uid)
        room.qtbot.waitUntil(lambda seen=seen: bool(seen))
        took.append(1000 * (seen[0] - started))
    return took


def main(slices: int) -> None:
    app = QApplication([])
    app.setQuitOnLastWindowClosed(False)
    sys.setswitchinterval(0.0005)
    with tempfile.TemporaryDirectory() as name, room_in(Path(name), Waiting(), (1600, 1000)) as room:  # type: ignore[arg-type]
        top, viewer = Path(name), room.viewer
        for number in range(5):
            write_study(top / f"small{number}", f"small{number}", 40)
        small = [room.add(top / f"small{number}")[0] for number in range(5)]
        viewer.enter()
        room.open(small[0])
        reference = reference_ms()
        line("first picture of 40 slices, warm reader", first_pictures(room, small[1:]), reference)
        write_study(top / "large", "large", slices)
        [large] = room.add(top / "large")
        started = time.perf_counter()
        room.open(large)
        print(f"{slices} slices loaded in {time.perf_counter() - started:.2f} s")
        used = viewer.series.used if viewer.series else ()
        line("slice change, plain", changes_ms(viewer, used[0], used[-1]), reference)
        room.do("viewer.map")
        room.qtbot.waitUntil(lambda: viewer.maps.limits("covid") is not None)
        line("slice change, map", changes_ms(viewer, used[0], used[-1]), reference)
        with queue_at_work():
            line("slice change, map, queue at work", changes_ms(viewer, used[0], used[-1]), reference)
            room.do("viewer.map")
            line("slice change, plain, queue at work", changes_ms(viewer, used[0], used[-1]), reference)
        room.do("viewer.reformats")
        line("slice change, with coronal and sagittal", changes_ms(viewer, used[0], used[-1]), reference)
        print(f"largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
