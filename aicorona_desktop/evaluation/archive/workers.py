"""The workers of a run: what all kinds of them can do, and those that are processes of this machine."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from aicorona_desktop.core.child_process import ChildLostError, ChildProcess
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.frames import Frame, FrameError
from aicorona_desktop.evaluation.archive.index import StudyFiles
from aicorona_desktop.evaluation.archive.unit import UnitSetup
from aicorona_desktop.evaluation.archive.worker import Kind
from aicorona_desktop.evaluation.records import Record, record_from

log = logging.getLogger(__name__)

MODULE: Final = "aicorona_desktop.evaluation.archive.worker"
START_TIMEOUT_S: Final = 300.0
STUDY_TIMEOUT_S: Final = 3600.0
"""A worker's reader and scorer have deadlines of their own; this one is for a worker that hangs beside them."""

POLL_S: Final = 0.02


class WorkersError(AicoronaError):
    """No worker can be started."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a study that was handed out: its record, or None where its worker was lost with it."""

    study: StudyFiles
    record: Record | None


class Workers(Protocol):
    """Score studies, several at a time. One thread submits and takes answers.

    A lost worker is replaced; the study that it had is answered without a record, and is the caller's again.
    """

    @property
    def room(self) -> bool:
        """Whether another study would be begun at once."""

    @property
    def busy(self) -> bool:
        """Whether a study is under way."""

    def submit(self, study: StudyFiles) -> None:
        """Hand out a study; there must be room."""

    def next(self) -> Answer:
        """Wait for the next answer; something must be under way.

        Raises:
            WorkersError: no worker can be started.
        """

    def close(self) -> None:
        """End all workers at once."""


@dataclass(slots=True, eq=False)
class _Worker:
    child: ChildProcess
    study: StudyFiles | None = None
    ready: bool = False
    since: float = 0.0


class LocalWorkers:
    """Processes of this machine, each with a reader and a scorer of its own."""

    def __init__(self, setup: UnitSetup, count: int) -> None:
        self._setup = setup
        self._workers: list[_Worker] = []
        self._lost_at_start = 0
        try:
            for _ in range(count):
                self._workers.append(self._started())
        except BaseException:
            self.close()
            raise

    @property
    def room(self) -> bool:
        """Whether another study would be begun at once."""
        return any(worker.study is None for worker in self._workers)

    @property
    def busy(self) -> bool:
        """Whether a study is under way."""
        return any(worker.study is not None for worker in self._workers)

    def submit(self, study: StudyFiles) -> None:
        """Hand out a study; there must be room."""
        worker = next(one for one in self._workers if one.study is None)
        worker.study, worker.since = study, time.monotonic()
        worker.child.post(Frame(Kind.STUDY, 0, (study.encoded(),)))

    def next(self) -> Answer:
        """Wait for the next answer; something must be under way.

        Raises:
            WorkersError: no worker can be started.
        """
        while True:
            for place, worker in enumerate(self._workers):
                if worker.study is None:
                    continue
                try:
                    record = self._taken(worker)
                except (ChildLostError, ValueError, TypeError, KeyError) as error:
                    return self._lost(place, worker.study, error)
                if record is not None:
                    answer, worker.study = Answer(worker.study, record), None
                    return answer
            time.sleep(POLL_S)

    def close(self) -> None:
        """End all workers at once."""
        for worker in self._workers:
            worker.child.kill()
        for worker in self._workers:
            worker.child.close()
        self._workers.clear()

    def _taken(self, worker: _Worker) -> Record | None:
        """Return a worker's answer if it is there; raises where it is lost, late or no answer."""
        frame = worker.child.receive_within(0)
        if frame is None:
            limit = STUDY_TIMEOUT_S if worker.ready else START_TIMEOUT_S
            if time.monotonic() - worker.since > limit:
                raise ChildLostError("A worker took too long.")
            return None
        if frame.kind == Kind.READY and not worker.ready:
            worker.ready, worker.since = True, time.monotonic()
            self._lost_at_start = 0
            return None
        if frame.kind != Kind.RECORD or len(frame.fields) != 1 or not isinstance(frame.fields[0], bytes):
            raise ChildLostError(f"A worker failed: {frame.fields[:1]}")
        return record_from(json.loads(frame.fields[0]))

    def _lost(self, place: int, study: StudyFiles, error: Exception) -> Answer:
        worker = self._workers[place]
        log.warning("a worker was lost: %s\n%s", type(error).__name__, worker.child.last_words())
        worker.child.kill()
        worker.child.close()
        self._lost_at_start += not worker.ready
        if self._lost_at_start > 2 * len(self._workers):
            raise WorkersError("The workers can't be started. Keep the log and report it.") from error
        self._workers[place] = self._started()
        return Answer(study, None)

    def _started(self) -> _Worker:
        child = ChildProcess(MODULE)
        with suppress(FrameError):
            child.post(Frame(Kind.SETUP, 0, (self._setup.encoded(),)))
        return _Worker(child, since=time.monotonic())
