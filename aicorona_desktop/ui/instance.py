"""One window a history: the second start asks the first to come to the front, without a socket.

The lock is the system's, on a file beside the history, so that it ends with the process whatever happens. A second
start leaves a `raise` file there; the first looks for it twice a second (reliability.md 4).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from aicorona_desktop.core.durable import ONLY_OURS, write_file
from aicorona_desktop.history.connection import WriterLock
from aicorona_desktop.history.store import HistoryError

LOOK_EVERY_MS = 500


class Instance(QObject):
    """Holds the lock of the window and hears of later starts; see `first_instance`."""

    raise_asked = Signal()

    def __init__(self, place: Path, lock: WriterLock | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = lock
        self._file = raise_file(place)
        with suppress(OSError):  # one left behind by a start that came too late asks for nothing
            self._file.unlink(missing_ok=True)
        self._timer = QTimer(self, interval=LOOK_EVERY_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def look(self) -> None:
        """Look whether another start has asked for the window; the file is taken away."""
        if not self._file.exists():
            return
        with suppress(OSError):
            self._file.unlink()
        self.raise_asked.emit()

    def release(self) -> None:
        """Let the next start be the first."""
        self._timer.stop()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def raise_file(place: Path) -> Path:
    """Return the file that asks the window over a history to come to the front."""
    return place.with_name(f"{place.name}.raise")


def first_instance(place: Path) -> Instance | None:
    """Return the hold on being the one window over a history; None where another one is, which was asked to rise.

    A folder that can't be written holds no lock: any number of windows may read there.
    """
    try:
        lock = WriterLock(place.with_name(f"{place.name}.window"))
    except HistoryError:
        with suppress(OSError):
            write_file(raise_file(place), b"", ONLY_OURS)
        return None
    except OSError:
        return Instance(place, None)
    return Instance(place, lock)
