"""What the list stands on in tests: a real history of made-up studies, a real context, an engine that remembers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QApplication

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.user_settings import UserSettings
from aicorona_desktop.history.store import History
from aicorona_desktop.ui.actions import Actions
from aicorona_desktop.ui.choices import SiteChoices, UserChoices
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.identity import Identities
from aicorona_desktop.ui.jobs import Bridge, Jobs
from aicorona_desktop.ui.theme import ThemeKeeper
from aicorona_desktop.ui.worklist_place import WorklistPlace
from tests.history.made_up import NOW, Clock
from tests.history.many import Made, fill

TOO_FEW = Finding(Outcome.UNSUITABLE, Reason.TOO_FEW_SLICES, found=3.0, needed=16.0)
NO_CHEST = Finding(Outcome.UNSUITABLE, Reason.NO_CHEST_CT)
TILT = Finding(Outcome.WARNED, Reason.TILT, found=3.5)


class Engine:
    """Stands for the engine: remembers what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.folders: tuple[Any, ...] = ()

    def watching(self) -> tuple[Any, ...]:
        return self.folders

    def submit(self, paths: Iterable[Path], label: str = "") -> int:
        self.asked.append(("submit", tuple(paths), label))
        return len(self.asked)

    def score_again(self, uid: str, series: str | None = None, *, anyway: bool = False, by: str = "") -> None:
        self.asked.append(("score_again", uid, by))

    def score_now(self, uid: str) -> None:
        self.asked.append(("score_now", uid))

    def request_verification(self, uid: str) -> None:
        self.asked.append(("verify", uid))


class Now:
    """A clock of the list that a test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


def scored(uid: str, covid: float, minutes: float = 10, **more: Any) -> Made:
    """An unread study with a score."""
    rest = 1 - covid
    probabilities = (0.75 * rest, 0.25 * rest, covid)
    return Made(uid, NOW - timedelta(minutes=minutes), probabilities=probabilities, **more)


def read(uid: str, covid: float, minutes: float = 90, impression: str = "normal") -> Made:
    """A study that somebody has read a moment ago."""
    return scored(uid, covid, minutes, read=(NOW - timedelta(minutes=5), impression, "routine", "AB"))


def unscored(uid: str, minutes: float = 20, finding: Finding = TOO_FEW) -> Made:
    """A study that can't be scored."""
    return Made(uid, NOW - timedelta(minutes=minutes), state=State.UNSUITABLE, findings=(finding,))


@contextmanager
def context_of(
    folder: Path,
    studies: Iterable[Made] = (),
    *,
    writable: bool = True,
    site: Settings | None = None,
    user: UserSettings | None = None,
) -> Iterator[Context]:
    """A context over a real history with some studies."""
    place = folder / "history.sqlite"
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    with History.open(place, clock=Clock()) as history, History.open(place, read_only=True) as reading:
        fill(history, studies)
        jobs = Jobs()
        choices = UserChoices(user or UserSettings(initials="AB"), folder, jobs)
        running = SimpleNamespace(
            engine=Engine() if writable else None,
            history=history,
            pack=SimpleNamespace(operating_point=None),
            points=SimpleNamespace(threshold=None),
            place=place,
            reader_only="" if writable else "In use.",
        )
        try:
            yield Context(
                running=running,  # type: ignore[arg-type]
                reading=reading,
                jobs=jobs,
                bridge=Bridge(),
                site=SiteChoices(site or Settings(), folder, jobs),
                user=choices,
                actions=Actions(),
                undo=QUndoStack(),
                identities=Identities(b"k" * 32),
                theme=ThemeKeeper(application, choices),
                now=Now(),
                person=lambda: choices.value.initials,
            )
        finally:
            jobs.close()


def wait_until(holds: Any, timeout_ms: int = 5000) -> None:
    """Let the window work until something holds."""
    ends = time.monotonic() + timeout_ms / 1000
    while not holds():
        assert time.monotonic() < ends, "it did not come to be"
        loop = QEventLoop()  # QTest.qWait keeps the interpreter to itself
        QTimer.singleShot(3, loop.quit)
        loop.exec()


@contextmanager
def place_over(context: Context, size: tuple[int, int] = (1280, 600)) -> Iterator[WorklistPlace]:
    """The list on the hidden screen, read once."""
    place = WorklistPlace(context)
    try:
        place.resize(*size)
        place.show()
        place.enter()
        wait_until(lambda: place.live.is_loaded)
        yield place
    finally:
        place.leave()
        place.close()
        context.jobs.close()
        place.deleteLater()
        QApplication.processEvents()


def lines_of(place: WorklistPlace) -> list[str]:
    """Return every line as it is drawn: headings in words, studies by UID, fold-outs by their text."""
    model, lines = place.model, []
    for number in range(model.rowCount()):
        row, line = model.row_at(number), model.line(number)
        assert line is not None
        text = str(model.index(number, 0).data())
        lines.append(text if line.detail >= 0 or row is None else row.study_instance_uid)
    return lines


def refreshed(place: WorklistPlace) -> None:
    """Let the list be read once more, and wait for that."""
    seen: list[int] = []
    connection = place.live.read.connect(lambda: seen.append(1))
    place.live.refresh()
    wait_until(lambda: bool(seen))
    place.live.read.disconnect(connection)
