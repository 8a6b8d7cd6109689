"""How the whole window behaves: `python tests/benchmarks/bench_window.py [PART ...]`, parts as in `PARTS`.

start     process start to first paint, warm, beside a bare Qt window started in the same rounds (target 1.5 s)
import    largest gap of a 5 ms heartbeat on the window's thread while 1,000 files are imported, beside the largest
          gap of the same window at rest for as long (target: median of the rounds at most 50 ms)
list      from the list's entering to its first rows, of 100,000 studies (target 50 ms in SQL; this is on the screen)
viewer    first picture of a study of 40 slices (target 300 ms), memory with a study of 500 slices open (target 800 MB)

The window is a real one on a hidden screen, with the real engine in its own processes, over a folder of its own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QElapsedTimer, QEventLoop, Qt, QTimer
from PySide6.QtWidgets import QApplication

from aicorona_desktop.app.services import Wishes
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.user_settings import UserSettings, save_user_settings
from aicorona_desktop.history.store import History, utc_now
from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.model.pack import default_pack
from aicorona_desktop.triage.engine import Engine
from aicorona_desktop.ui.actions import VIEWER, WORKLIST
from aicorona_desktop.ui.main import SWITCH_INTERVAL_S
from aicorona_desktop.ui.main_window import MainWindow
from tests import phantom
from tests.history.many import Made, fill

ROOT = Path(__file__).resolve().parents[2]
ROUNDS_START, ROUNDS_IMPORT, ROUNDS_PICTURE = 7, 5, 5
BEAT_MS = 5
STUDIES_OF_IMPORT, SLICES_OF_IMPORT = 25, 40
STUDIES_OF_LIST = 100_000

STARTED = """
import os, sys, time
from pathlib import Path
from aicorona_desktop.app.services import Wishes
from aicorona_desktop.ui.main import run
def made(window):
    window.painted.connect(lambda: (print(time.time(), flush=True), window.close()))
run(Wishes(history=Path(sys.argv[1])), made)
"""
BARE = """
import time
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QWidget
application = QApplication([])
class Window(QWidget):
    def paintEvent(self, event):
        print(time.time(), flush=True)
        QTimer.singleShot(0, application.quit)
window = Window()
window.show()
application.exec()
"""


def start(folder: Path) -> None:
    """Process start to first paint; the first round warms the caches and is left out."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(folder)}
    took: dict[str, list[float]] = {"window": [], "bare": []}
    for _ in range(ROUNDS_START + 1):
        for name, program in (("window", STARTED), ("bare", BARE)):
            began = time.time()
            done = subprocess.run(
                [sys.executable, "-c", program, folder / "history.sqlite"],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            took[name].append(float(done.stdout.split()[0]) - began)
    window, bare = (sorted(took[name][1:]) for name in ("window", "bare"))
    ratio = statistics.median(one / other for one, other in zip(took["window"][1:], took["bare"][1:], strict=True))
    print(
        f"start to first paint: median {statistics.median(window):.2f} s, longest {window[-1]:.2f} s;"
        f" a bare Qt window {statistics.median(bare):.2f} s, ratio {ratio:.1f}"
    )


def imports(folder: Path) -> None:
    """The heartbeat during an import of 1,000 files, and at rest."""
    gaps, rests, seconds = [], [], []
    for number in range(ROUNDS_IMPORT):
        source = folder / f"source-{number}"
        for study in range(STUDIES_OF_IMPORT):
            chest = phantom.chest().named(f"bench {number} {study}").with_slices(SLICES_OF_IMPORT, 5.0)
            chest.written_to(source / str(study))
        with window_over(folder / f"import-{number}") as window:
            began = time.monotonic()
            heart = Heart()
            done: list[object] = []
            window.bridge.import_done.connect(done.append)
            window.submit([source])
            wait(lambda done=done: bool(done))
            took = time.monotonic() - began
            gaps.append(heart.stop())
            seconds.append(took)
            heart = Heart()
            engine = engine_of(window)
            engine.stop()
            rest(min(took, 5.0))
            rests.append(heart.stop())
    print(
        f"largest gap of a {BEAT_MS} ms heartbeat while {STUDIES_OF_IMPORT * SLICES_OF_IMPORT} files are imported"
        f" ({statistics.median(seconds):.1f} s): median {statistics.median(gaps):.0f} ms of {len(gaps)} runs"
        f" ({', '.join(f'{one:.0f}' for one in gaps)}); at rest {statistics.median(rests):.0f} ms"
    )


def long_list(folder: Path) -> None:
    """The first rows of 100,000 studies on the screen."""
    place = folder / "list"
    place.mkdir()
    now = utc_now()
    with History.open(place / "history.sqlite") as history:
        fill(
            history,
            (
                Made(
                    f"1.2.3.{number}",
                    now - timedelta(seconds=7 * number),
                    probabilities=(0.5, 0.5 - (number % 97) / 200, (number % 97) / 200),
                    name=f"Family{number % 5000}^Given{number % 900}",
                )
                for number in range(STUDIES_OF_LIST)
            ),
        )
    with window_over(place) as window:
        worklist = window.places[WORKLIST]
        clock = QElapsedTimer()
        took = []
        for _ in range(15):
            window.show_place(VIEWER)
            rest(0.1)
            clock.start()
            window.show_place(WORKLIST)
            worklist.repaint()
            took.append(clock.nsecsElapsed() / 1e6)
        print(
            f"{STUDIES_OF_LIST} studies: list in front again, painted: median {statistics.median(took):.0f} ms,"
            f" longest {max(took):.0f} ms; memory {memory_mb():.0f} MB"
        )


def viewer(folder: Path) -> None:
    """The first picture of studies not seen before, and the memory with a long one."""
    source = folder / "pictures"
    for number in range(ROUNDS_PICTURE):
        chest(f"picture {number}", 40, 2.5).written_to(source / str(number))
    chest("long", 500, 0.6).written_to(source / "long")
    with window_over(folder / "viewer") as window:
        done: list[object] = []
        window.bridge.import_done.connect(done.append)
        window.submit([source])
        wait(lambda: bool(done))
        wait(lambda: engine_of(window).wait_until_idle(0), 900)
        took = []
        for number in range(ROUNDS_PICTURE):
            took.append(first_picture_ms(window, chest(f"picture {number}", 40, 2.5).study_instance_uid))
            window.show_place(WORKLIST)
            rest(1.0)
        first_picture_ms(window, chest("long", 500, 0.6).study_instance_uid)
        rest(20)
        print(
            f"first picture of a 40-slice study: median {statistics.median(took):.0f} ms, longest {max(took):.0f} ms;"
            f" memory of the window's process with a 500-slice study open: {memory_mb():.0f} MB"
        )


def chest(name: str, slices: int, spacing_mm: float) -> phantom.Chest:
    """A study of slices of 512 x 512."""
    return phantom.Chest(name=name, thorax=Thorax(slices=slices, slice_spacing_mm=spacing_mm))


def first_picture_ms(window: MainWindow, uid: str) -> float:
    """Open a study as a key does; return the time until a slice of it is painted."""
    painted: list[int] = []
    place = window.places[VIEWER]
    place.slice_painted.connect(painted.append)  # type: ignore[attr-defined]
    began = time.perf_counter()
    window.open_study(uid)
    wait(lambda: bool(painted))
    took = 1000 * (time.perf_counter() - began)
    place.slice_painted.disconnect(painted.append)  # type: ignore[attr-defined]
    return took


class Heart:
    """A timer of 5 ms on the window's thread, and the longest time between two of its beats."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._largest = 0.0
        self._timer = QTimer(interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def stop(self) -> float:
        """Return the largest gap in ms."""
        self._timer.stop()
        return self._largest

    def _beat(self) -> None:
        now = time.perf_counter()
        self._largest = max(self._largest, 1000 * (now - self._last))
        self._last = now


@contextmanager
def window_over(folder: Path) -> Iterator[MainWindow]:
    """A window with its services and places, the list in front."""
    folder.mkdir(exist_ok=True)
    save_user_settings(UserSettings().with_acknowledged(default_pack().sha256), folder)
    window = MainWindow(Wishes(history=folder / "history.sqlite", settings=Settings(provider="cpu")), folder)
    window.resize(1480, 920)
    ready: list[object] = []
    window.ready.connect(lambda: ready.append(1))
    window.show()
    wait(lambda: bool(ready))
    rest(2.0)  # the scorer starts beside it
    try:
        yield window
    finally:
        window.close()
        window.deleteLater()
        QApplication.processEvents()


def engine_of(window: MainWindow) -> Engine:
    """Return the engine of a window that can write."""
    assert window.context is not None
    assert window.context.running.engine is not None
    return window.context.running.engine


def wait(holds: Callable[[], bool], timeout_s: float = 300) -> None:
    """Let the window work until something holds, without keeping its thread busy."""
    ends = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > ends:
            raise TimeoutError
        rest(0.02)


def rest(seconds: float) -> None:
    """Let the window's own event loop run for so long."""
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def memory_mb() -> float:
    """Return the memory of this process that is in RAM now."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return float("nan")


PARTS = {"start": start, "import": imports, "list": long_list, "viewer": viewer}


def main(parts: list[str]) -> None:
    """Measure the parts that were named, or all."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    application = QApplication([])
    application.setQuitOnLastWindowClosed(False)
    with tempfile.TemporaryDirectory() as folder:
        for part in parts or PARTS:
            PARTS[part](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
