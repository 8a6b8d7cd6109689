"""Background work and engine events as signals of the window's thread; nothing else in the window starts a thread."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, SignalInstance, Slot
from shiboken6 import isValid

from aicorona_desktop.core import events
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import Event

log = logging.getLogger(__name__)

T = TypeVar("T")
Deliver = Callable[[], None]

TURN_S = 0.008  # how long one turn of deliveries may keep the window's thread
ITEMS_WAITING = 256  # a stream waits when the window doesn't keep up
FLUSH_S = 0.1  # the window hears of the engine at most ten times a second (ux.md 3.3)

_running = threading.local()


class _StoppedError(Exception):
    """Ends the work of a stream that nobody waits for any more."""


class Job:
    """One piece of background work; `cancel` may be called from any thread, any number of times."""

    def __init__(self, lane: str, key: str | None, owner: QObject | None) -> None:
        self.lane = lane
        self.key = key
        self._owner = owner
        self._cancelled = threading.Event()
        self.finished = False

    def cancel(self) -> None:
        """Let the work be skipped, or end early if it looks; nothing of it is delivered from now on."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for this work: cancelled, overtaken, or its owner is gone."""
        if self._owner is not None and not isValid(self._owner):
            self._cancelled.set()
        return self._cancelled.is_set()


def cancelled() -> bool:
    """Whether the work that this thread is doing is no longer wanted; for long work to look at now and then."""
    job = getattr(_running, "job", None)
    return isinstance(job, Job) and job.cancelled


class Jobs(QObject):
    """Runs work on one thread a lane and delivers the answers on the thread that this object was made on.

    In a lane work is done in the order of asking. A key is a question that only its newest asking is of use for:
    a request with the key of an earlier one overtakes it, whether that waits, runs, or is done and its answer still
    waits for the window. Nothing is delivered after the owner of a request was destroyed, or after `close`.
    """

    failed = Signal(str)
    """What went wrong in a job whose asker gave no `failed`; one sentence for a person."""

    _woken = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lanes: dict[str, _Lane] = {}
        self._newest: weakref.WeakValueDictionary[tuple[str, str], Job] = weakref.WeakValueDictionary()
        self._deliveries: deque[tuple[Job, Deliver]] = deque()
        self._lock = threading.Lock()
        self._wake_sent = False
        self._closed = False
        self._woken.connect(self._deliver)

    def run(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[str], None] | None = None,
        *,
        lane: str = "ledger",
        key: str | None = None,
        owner: QObject | None = None,
    ) -> Job:
        """Do `work` on the lane's thread; `done` or `failed` is called on the window's thread.

        Args:
            work: anything that touches no widget; long work looks at `cancelled()`.
            done: gets what `work` returned.
            failed: gets one sentence for a person; by default the signal `failed` is sent.
            lane: which thread: ledger, pictures, intake or any other name.
            key: the question; an earlier request of the same key is dropped.
            owner: the object that `done` belongs to.
        """
        job = Job(lane, key, owner)

        def task() -> None:
            answer = work()
            self.post(job, lambda: done(answer), last=True)

        self._start(job, task, failed)
        return job

    def stream(
        self,
        work: Callable[[Callable[[object], None]], None],
        each: Callable[[object], None],
        done: Callable[[], None] | None = None,
        failed: Callable[[str], None] | None = None,
        *,
        lane: str = "pictures",
        key: str | None = None,
        owner: QObject | None = None,
    ) -> Job:
        """Do work that gives many things, one by one; `each` gets them on the window's thread, in order.

        `work` gets a function to call with every item. It ends the work, by an exception, once nobody waits for
        it, and waits while the window is behind. Whatever has gathered meanwhile is handed out in one turn.
        """
        job = Job(lane, key, owner)
        stream = _Stream(self, job, each)

        def task() -> None:
            with contextlib.suppress(_StoppedError):
                work(stream.give)
                self.post(job, done or _nothing, last=True)

        self._start(job, task, failed)
        return job

    def close(self, timeout_s: float = 2.0) -> bool:
        """Cancel everything and join the threads; return whether all of them ended in time."""
        with self._lock:
            self._closed = True
            self._deliveries.clear()
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.stop()
        deadline = time.monotonic() + timeout_s
        ended = [lane.join(max(0.0, deadline - time.monotonic())) for lane in lanes]
        return all(ended)

    def _start(self, job: Job, task: Callable[[], None], failed: Callable[[str], None] | None) -> None:
        def guarded() -> None:
            if job.cancelled:
                return
            _running.job = job
            try:
                task()
            except AicoronaError as error:
                log.info("a job failed", exc_info=error)
                self._fail(job, str(error), failed)
            except Exception:
                log.exception("a job failed")
                self._fail(job, _our_failure(), failed)
            finally:
                _running.job = None

        with self._lock:
            if self._closed:
                job.cancel()
                return
            lane = self._lanes.get(job.lane)
            if lane is None:
                lane = self._lanes[job.lane] = _Lane(job.lane)
            earlier = self._overtaken(job)
        if earlier is not None:
            earlier.cancel()
        lane.add(job, guarded)

    def _overtaken(self, job: Job) -> Job | None:
        """Note a job as the newest of its key; return the one before, wherever its answers are."""
        if job.key is None:
            return None
        earlier = self._newest.get((job.lane, job.key))
        self._newest[job.lane, job.key] = job
        return earlier

    def _fail(self, job: Job, sentence: str, failed: Callable[[str], None] | None) -> None:
        self.post(job, lambda: (failed or self.failed.emit)(sentence), last=True)

    def post(self, job: Job, deliver: Deliver, *, last: bool = False) -> None:
        """Have something called on the window's thread; from any thread."""

        def final() -> None:
            job.finished = True
            deliver()

        with self._lock:
            if self._closed:
                return
            self._deliveries.append((job, final if last else deliver))
            wake, self._wake_sent = not self._wake_sent, True
        if wake:
            _send(self, self._woken)

    @Slot()
    def _deliver(self) -> None:
        """Hand out answers for one turn; what is left waits for the next, so that keys and paint come between."""
        ends = time.monotonic() + TURN_S
        try:
            while time.monotonic() < ends:
                with self._lock:
                    if not self._deliveries:
                        break
                    job, deliver = self._deliveries.popleft()
                if not job.cancelled:
                    deliver()
        finally:
            with self._lock:
                left = bool(self._deliveries)
                self._wake_sent = left
            if left:
                QTimer.singleShot(0, self, self._deliver)


@dataclass(eq=False)
class _Lane:
    """One thread and what waits for it."""

    name: str
    waiting: deque[tuple[Job, Callable[[], None]]] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)
    current: Job | None = None
    stopping: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name=f"lane {self.name}", daemon=True)
        self._thread.start()

    def add(self, job: Job, task: Callable[[], None]) -> None:
        with self.changed:
            self.waiting.append((job, task))
            self.changed.notify()

    def stop(self) -> None:
        with self.changed:
            self.stopping = True
            for job, _ in self.waiting:
                job.cancel()
            self.waiting.clear()
            if self.current is not None:
                self.current.cancel()
            self.changed.notify()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            with self.changed:
                self.current = None
                self.changed.wait_for(lambda: self.waiting or self.stopping)
                if not self.waiting:
                    return
                self.current, task = self.waiting.popleft()
            task()


class _Stream:
    """Posts the items of one stream, and holds the work back while the window is behind."""

    def __init__(self, jobs: Jobs, job: Job, each: Callable[[object], None]) -> None:
        self._jobs = jobs
        self._job = job
        self._each = each
        self._room = threading.Semaphore(ITEMS_WAITING)

    def give(self, item: object) -> None:
        """Take one item; called by the work, on its thread."""
        while not self._room.acquire(timeout=0.05):
            self._end_if_unwanted()
        self._end_if_unwanted()
        self._jobs.post(self._job, lambda: self._hand(item))

    def _hand(self, item: object) -> None:
        self._room.release()
        self._each(item)

    def _end_if_unwanted(self) -> None:
        if self._job.cancelled:
            raise _StoppedError


class Bridge(QObject):
    """The engine's listener: call it from any thread; its signals arrive on the thread that it was made on.

    What comes in between is joined: the window hears at most ten times a second which studies changed and how far
    the reading is, and of everything that happens once in the order in which it happened.
    """

    studies_changed = Signal(object)  # frozenset[str] of Study Instance UIDs
    batch_started = Signal(object)  # events.BatchStarted
    progress = Signal(object)  # events.Progress, the newest
    disc_progress = Signal(object)  # events.DiscProgress
    import_done = Signal(object)  # events.ImportDone
    maps_ready = Signal(str)  # Study Instance UID
    maps_failed = Signal(str, str)  # Study Instance UID, and why in one sentence
    not_done = Signal(object)  # events.NotDone
    verified = Signal(object)  # events.Verified
    notice = Signal(object)  # events.Notice
    sources_changed = Signal()
    engine_failed = Signal(str)

    _woken = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._studies: set[str] = set()
        self._progress: object | None = None
        self._others: list[Callable[[], None]] = []
        self._wake_sent = False
        self._flushed_at = 0.0
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self.flush)
        self._woken.connect(self._wait_or_flush)

    def __call__(self, event: Event) -> None:
        """Take an event of the engine, on whatever thread."""
        with self._lock:
            self._note(event)
            wake, self._wake_sent = not self._wake_sent, True
        if wake:
            _send(self, self._woken)

    @Slot()
    def flush(self) -> None:
        """Send out what has gathered; on the window's thread."""
        with self._lock:
            studies, self._studies = frozenset(self._studies), set()
            progress, self._progress = self._progress, None
            others, self._others = self._others, []
            self._wake_sent = False
        self._flushed_at = time.monotonic()
        if progress is not None:
            self.progress.emit(progress)
        if studies:
            self.studies_changed.emit(studies)
        for send in others:
            send()

    @Slot()
    def _wait_or_flush(self) -> None:
        rest_s = self._flushed_at + FLUSH_S - time.monotonic()
        if rest_s <= 0:
            self.flush()
        else:
            self._timer.start(int(rest_s * 1000) + 1)

    def _note(self, event: Event) -> None:
        match event:
            case events.Progress():
                self._progress = event
            case events.FilesDone():
                pass  # told one by one in the summary of the import
            case events.BatchStarted():
                self._later(self.batch_started, event)
            case events.DiscProgress():
                self._later(self.disc_progress, event)
            case events.ImportDone():
                self._progress = None  # or the end would be told before the last step
                self._later(self.import_done, event)
            case events.Notice():
                self._later(self.notice, event)
            case events.SourceLost() | events.SourceBack() | events.ReceiverChanged():
                self._later(self.sources_changed)
            case events.EngineFailed(sentence):
                self._later(self.engine_failed, sentence)
            case _:
                self._note_study(event)

    def _note_study(
        self,
        event: events.StudySeen
        | events.SliceScored
        | events.PreliminaryScore
        | events.FinalScore
        | events.Unscored
        | events.NotDone
        | events.MapsReady
        | events.Verified,
    ) -> None:
        match event:
            case events.MapsReady(uid, ""):
                self._later(self.maps_ready, uid)
            case events.MapsReady(uid, trouble):
                self._later(self.maps_failed, uid, trouble)
            case events.NotDone():
                self._later(self.not_done, event)
            case events.Verified():
                self._later(self.verified, event)
            case _:
                self._studies.add(event.study_instance_uid)

    def _later(self, signal: SignalInstance, *told: object) -> None:
        self._others.append(lambda: signal.emit(*told))


def _send(sender: QObject, signal: SignalInstance) -> None:
    """Emit, unless the window is gone already: a thread may outlive it by a moment."""
    if isValid(sender):
        with contextlib.suppress(RuntimeError):  # gone between the look and the call
            signal.emit()


def _nothing() -> None:
    pass


def _our_failure() -> str:
    return QCoreApplication.translate("jobs", "This could not be done; the log has the details.")
