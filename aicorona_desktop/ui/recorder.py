"""What people say goes into the history here, so that Ctrl+Z takes it back and both entries stay in the history."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand
from shiboken6 import isValid

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.ui.context import Context

log = logging.getLogger(__name__)

LANE = "writing"
"""A lane of its own: what a person has said doesn't wait behind a long search or export."""


@dataclass(slots=True, eq=False)
class Entry:
    """One thing said of a study: how it is saved, how it is taken back; `number` while it stands in the history.

    `then` hears, on the thread of the window, that it was saved (stands=True) or taken back.
    """

    study_instance_uid: str
    save: Callable[[], int]
    take_back: Callable[[int], None]
    number: int | None = None
    then: Callable[..., None] | None = None

    def put(self, *, stands: bool) -> None:
        """Save it, or take it back; on the lane's thread. What already is as asked stays so."""
        if stands and self.number is None:
            self.number = self.save()
        elif not stands and self.number is not None:
            self.take_back(self.number)
            self.number = None


class Recorder(QObject):
    """One for the whole window, see `recorder_of`; `refused` says in one sentence why something was not recorded."""

    recorded = Signal(str)  # Study Instance UID: something was saved or taken back
    refused = Signal(str, str)  # Study Instance UID, why

    def __init__(self, context: Context) -> None:
        super().__init__(context.bridge)
        self._context = context
        self._unfinished: list[_Task] = []

    def record(self, text: str, entry: Entry) -> None:
        """Save an entry; `text` is what it is called where it can be undone."""
        self._context.undo.push(_Said(self, text, entry, adds=True))

    def take_back(self, text: str, entry: Entry) -> None:
        """Take an entry back that stands in the history already."""
        self._context.undo.push(_Said(self, text, entry, adds=False))

    def finish(self) -> None:
        """Record now what still waits for its turn: the program ends, and nothing that was said is lost."""
        waiting, self._unfinished = self._unfinished, []
        for task in waiting:
            try:
                task.run()
            except AicoronaError as error:
                log.warning("an entry was not recorded", exc_info=error)

    def put(self, command: _Said, entry: Entry, *, stands: bool) -> None:
        """Have an entry saved or taken back; a command whose entry could not be goes from the undo stack."""
        task = _Task(lambda: entry.put(stands=stands))
        self._unfinished.append(task)
        uid = entry.study_instance_uid

        def over() -> None:
            if task in self._unfinished:
                self._unfinished.remove(task)

        def done(_: None) -> None:
            over()
            self._context.bridge.studies_changed.emit(frozenset({uid}))
            self.recorded.emit(uid)
            if entry.then is not None:
                entry.then(stands=stands)

        def failed(sentence: str) -> None:
            over()
            if isValid(command):
                command.setObsolete(True)
            self.refused.emit(uid, sentence)

        self._context.jobs.run(task.run, done, failed, lane=LANE, owner=self)


def recorder_of(context: Context) -> Recorder:
    """Return the recorder of a window, made at the first call."""
    found = context.bridge.findChild(Recorder)
    return found if isinstance(found, Recorder) else Recorder(context)


class _Task:
    """Work that is done once, by whichever thread comes first; the other waits until it is done."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Callable[[], None] | None = work
        self._one_at_a_time = threading.Lock()

    def run(self) -> None:
        with self._one_at_a_time:
            work, self._work = self._work, None
            if work is not None:
                work()


class _Said(QUndoCommand):
    """One entry saved, or taken back."""

    def __init__(self, recorder: Recorder, text: str, entry: Entry, *, adds: bool) -> None:
        super().__init__(text)
        self._recorder, self._entry, self._adds = recorder, entry, adds

    def redo(self) -> None:
        """Do it."""
        self._recorder.put(self, self._entry, stands=self._adds)

    def undo(self) -> None:
        """Take it back: a later entry, both stay in the history."""
        self._recorder.put(self, self._entry, stands=not self._adds)
