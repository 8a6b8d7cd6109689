"""Begins a reading, answers one case, says so, and waits to be killed. Arguments: the program's folder."""

from __future__ import annotations

import os
import sys
import time

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from pathlib import Path
from types import SimpleNamespace

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from aicorona_desktop.app.services import Wishes
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.ui.main_window import MainWindow
from tests.ui.reader_study_parts import desk_at


def wait_until(holds, timeout: int) -> None:
    ends = time.monotonic() + timeout / 1000
    while not holds():
        assert time.monotonic() < ends
        QTest.qWait(20)


def main(folder: Path) -> None:
    application = QApplication([])
    window = MainWindow(Wishes(history=folder / "history.sqlite", settings=Settings(provider="cpu")), folder)
    ready: list[int] = []
    window.ready.connect(lambda: ready.append(1))
    window.show()
    wait_until(lambda: bool(ready), 30_000)
    qtbot = SimpleNamespace(waitUntil=wait_until, waitExposed=lambda _: QTest.qWait(50))
    desk = desk_at(window, qtbot)  # type: ignore[arg-type]
    desk.make()
    desk.sit_down()
    desk.begin()
    first = desk.reading.case
    QTest.qWait(300)
    desk.say(Qt.Key.Key_F8)
    desk.wait(lambda: desk.reading.case != first)
    second = desk.wait_for_case()
    desk.wait(lambda: any(one.case == second for one in desk.state.session("R-17", 1).readings))
    desk.press(Qt.Key.Key_F6)  # chosen, not saved
    print(first, second, flush=True)  # noqa: T201
    application.exec()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
