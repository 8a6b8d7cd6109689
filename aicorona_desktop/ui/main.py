"""Start of the window."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from aicorona_desktop import __version__
from aicorona_desktop.app.services import HISTORY_NAME, Wishes
from aicorona_desktop.core.places import data_dir
from aicorona_desktop.history.store import utc_now
from aicorona_desktop.ui.backups import put_back
from aicorona_desktop.ui.instance import first_instance
from aicorona_desktop.ui.main_window import TITLE, MainWindow

SWITCH_INTERVAL_S = 0.0005
"""How long another thread may keep Python's lock while the window's thread waits for it. The usual 5 ms are a third
of a frame, and the window asks for the lock several times a frame; what it costs the engine is below what can be
measured, since its work is done in other processes and in calls that give the lock up."""
SIGNALS_EVERY_MS = 200


def run(wishes: Wishes, made: Callable[[MainWindow], None] | None = None) -> int:
    """Show the window until it is closed; return the exit code. A second start brings the first to the front.

    `made` gets the window before it is shown, for benchmarks.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    application = QApplication.instance() or QApplication(sys.argv[:1])
    application.setApplicationName(TITLE)
    application.setApplicationVersion(__version__)
    instance = first_instance(history_of(wishes)) if wishes.kept or wishes.history else None
    if instance is None and (wishes.kept or wishes.history):
        return 0
    told: tuple[str, ...] = ()
    try:
        while True:
            window = MainWindow(wishes, data_dir(), told)
            if instance is not None:
                instance.raise_asked.connect(window.bring_to_front)
            if made is not None:
                made(window)
            code = _shown(window, application)
            if window.restore_from is None:
                return code
            # Nobody has the history open now: the lock of this program on it went with the services.
            told = (put_back(history_of(wishes), window.restore_from, utc_now()),)
            wishes = replace(wishes, settings=window.site.value)
            window.deleteLater()
    finally:
        if instance is not None:
            instance.release()


def _shown(window: MainWindow, application: QCoreApplication) -> int:
    """Show a window until it is closed, and take everything down that it has opened."""
    stop = _close_on_termination(window)
    try:
        window.show()
        return application.exec()
    finally:
        stop()
        window.shut_down()


def history_of(wishes: Wishes) -> Path:
    """Return the history that a window with these wishes opens."""
    return wishes.history.resolve() if wishes.history is not None else data_dir() / HISTORY_NAME


def _close_on_termination(window: MainWindow) -> Callable[[], None]:
    """Close the window on Ctrl+C and on a termination, in order; return what puts the old handlers back.

    Python runs its handlers between two of its own steps only: a timer makes some while Qt waits for events.
    """
    asked: list[int] = []
    before = {one: signal.signal(one, lambda number, _frame: asked.append(number)) for one in _signals()}
    timer = QTimer(window, interval=SIGNALS_EVERY_MS)
    timer.timeout.connect(lambda: window.close() if asked else None)
    timer.start()

    def put_back() -> None:
        timer.stop()
        for one, handler in before.items():
            signal.signal(one, handler)

    return put_back


def _signals() -> tuple[signal.Signals, ...]:
    return signal.SIGINT, signal.SIGTERM
