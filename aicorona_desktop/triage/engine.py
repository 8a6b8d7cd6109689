"""The engine: paths in, events and worklist rows out; no Qt, one thread.

The terminal and the window are two clients of it. All work happens on the engine's own thread, which is also
the one writer of the history: files are read, studies checked, and between two slices of a final pass the
engine looks whether something more urgent has arrived (design D11).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from aicorona_desktop import __version__
from aicorona_desktop.core.events import (
    Event,
    FileDone,
    FinalScore,
    Notice,
    PreliminaryScore,
    Progress,
    SliceScored,
    SourceBack,
    SourceLost,
    StudySeen,
    Unscored,
)
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.logs import internal_id
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES, FreeSpace
from aicorona_desktop.core.study import Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.lungs import load_labelling
from aicorona_desktop.dicom.thresholds import GATE
from aicorona_desktop.history.store import History, HistoryError, utc_now
from aicorona_desktop.intake.folders import FolderWatch
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.settling import StudySettling
from aicorona_desktop.intake.walking import Found
from aicorona_desktop.model.cache import SliceCache
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.triage.catalogue import Catalogue
from aicorona_desktop.triage.queue import Queue
from aicorona_desktop.triage.reading import Batch, FileReading
from aicorona_desktop.triage.score_study import StudyResult, StudyScoring

log = logging.getLogger(__name__)

IDLE_S = 0.2
MB = 1_000_000
STUDIES_REMEMBERED = 100  # of those done, while watching
FINAL_STATES = frozenset({State.DONE, State.UNSUITABLE, State.REFUSED, State.IGNORED})
PROGRESS_EVERY_S = 0.1  # a client is told at most ten times a second (ux.md 3.3)


@dataclass(slots=True)
class _Watched:
    watch: FolderWatch
    next_look: float = 0.0
    lost: bool = False


class Engine:
    """Owns intake, queue and scoring; `listener` is called on the engine's thread with every event."""

    def __init__(
        self,
        *,
        reader: Reader,
        scorer: Scorer,
        history: History,
        spool: Spool,
        settings: Settings,
        listener: Callable[[Event], None],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._reader = reader
        self._scorer = scorer
        self._history = history
        self._settings = settings
        self._listener = listener
        self._now = now
        self._reading = FileReading(reader, spool, self._file_done, self._is_stopping)
        self.catalogue = Catalogue()
        self.results: dict[str, StudyResult] = {}
        self._queue = Queue(timedelta(minutes=settings.wait_cap_minutes))
        self.pack = scorer.pack
        point = scorer.pack.operating_point
        self.operating_point = None if point is None else point.threshold
        self._cache = SliceCache()
        self._walks: dict[str, StudyScoring] = {}
        self._submitted: queue.Queue[tuple[Path, ...]] = queue.Queue()
        self._watched: list[_Watched] = []
        self._settling = StudySettling(settings.quiet_time_s)
        self._remembered: set[str] = set()  # studies whose files the catalogue holds
        self._free_space = FreeSpace(history.path.parent)
        self._paused = False
        self._notes_told = 0
        self.files_done = 0
        self.seen: set[str] = set()
        self._last_progress = 0.0
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start the engine's thread."""
        self._thread.start()

    def submit(self, paths: Iterable[Path]) -> None:
        """Read and score what lies under these paths now; returns at once."""
        self._idle.clear()
        self._submitted.put(tuple(paths))
        self._wake.set()

    def watch(self, folder: Path) -> None:
        """Look into a folder for new files for as long as the engine runs."""
        self._watched.append(_Watched(FolderWatch(folder)))

    def rows(self) -> list[Row]:
        """Return the unranked rows of the worklist: all that nobody has read, and what was read today."""
        return self._history.rows(read_since=self._now() - timedelta(days=1))

    def wait_until_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is left to read or score, or the engine has stopped; False when timed out."""
        return self._idle.wait(timeout_s)

    def stop(self, timeout_s: float = 2.0) -> None:
        """Stop after the slice under way; what is unfinished goes on at the next start."""
        self._stopping.set()
        self._wake.set()
        self._scorer.cancel()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _is_stopping(self) -> bool:
        return self._stopping.is_set()

    def _work(self) -> None:
        try:
            load_labelling()  # a tenth of a second that no study should wait for
            while not self._stopping.is_set():
                if not (self._read_submitted() or self._look_into_folders() or self._score_next()):
                    self._rest()
        except Exception as error:
            log.exception("the engine stopped")
            self.failure = error
        finally:
            self._idle.set()

    def _rest(self) -> None:
        if not self._settling.growing and self._submitted.empty():
            self._idle.set()
        self._wake.wait(IDLE_S)
        self._wake.clear()

    # --- reading ---------------------------------------------------------------------------------------------

    def _read_submitted(self) -> bool:
        try:
            paths = self._submitted.get_nowait()
        except queue.Empty:
            return False
        self._idle.clear()
        self._check(self._take(self._reading.read(paths)))
        return True

    def _look_into_folders(self) -> bool:
        worked = False
        for watched in self._watched if self._has_room() else ():
            if time.monotonic() >= watched.next_look:
                worked |= self._look(watched)
                watched.next_look = time.monotonic() + self._settings.poll_s
        quiet = self._settling.settled(time.monotonic())
        self._check(quiet, only_new=True)
        return worked or bool(quiet)

    def _has_room(self) -> bool:
        """Whether intake may go on; it pauses, told once, while the disk is nearly full (design D18)."""
        free = self._free_space() if self._watched else FLOOR_INTAKE_BYTES
        if free < FLOOR_INTAKE_BYTES and not self._paused:
            found, needed = free / MB, FLOOR_INTAKE_BYTES / MB
            self._tell(Notice(Finding(Outcome.WARNED, Reason.DISK_NEARLY_FULL, found=found, needed=needed)))
        self._paused = free < FLOOR_INTAKE_BYTES
        return not self._paused

    def _look(self, watched: _Watched) -> bool:
        look = watched.watch.look()
        if look.reachable == watched.lost:
            watched.lost = not look.reachable
            self._tell((SourceLost if watched.lost else SourceBack)(watched.watch.folder))
        if not look.settled:
            return False
        self._idle.clear()
        batch = self._reading.read_found(look.settled)
        touched = self._take(batch)
        self._recall(touched, batch)
        for study in self.catalogue.studies(touched):
            self._note_arrival(study)
        return True

    def _note_arrival(self, study: Study) -> None:
        """Show a study of a watched folder at once, as settling, where it is new or has grown."""
        uid = study.study_instance_uid
        self.seen.add(uid)
        self._settling.arrived(uid, time.monotonic())
        if self._history.record_received(study, self._now()):
            self._history.move(uid, State.SETTLING, "still arriving")
            self._tell(StudySeen(uid))

    def _take(self, batch: Batch) -> frozenset[str]:
        """Take a batch in; return the studies that it touched."""
        self._tell(Progress(self.files_done, self.files_done))
        return self.catalogue.add(batch)

    def _recall(self, touched: frozenset[str], batch: Batch) -> None:
        """Read the files of grown studies again that the catalogue has forgotten: the history knows where they lie."""
        there = {instance.file.path for instance in batch.instances}
        for uid in touched - self._remembered:
            earlier = (file for file in self._history.files(uid) if file.path not in there and file.path.is_file())
            found = [Found(file.path, file.shown, None, Path(file.source)) for file in earlier]
            self.catalogue.add(self._reading.read_found(found))
        self._remembered |= touched

    def _let_go(self) -> None:
        """Forget the files of studies done long ago, when watching: the history has them if they are needed again."""
        while self._watched and len(self.results) > STUDIES_REMEMBERED:
            oldest = next(iter(self.results))
            del self.results[oldest]
            self.catalogue.forget(oldest)
            self._remembered.discard(oldest)

    def _file_done(self, shown: str, finding: Finding | None) -> None:
        self.files_done += 1
        self._tell(FileDone(shown, finding.outcome if finding else Outcome.SCORED, finding))
        if time.monotonic() - self._last_progress > PROGRESS_EVERY_S:
            self._last_progress = time.monotonic()
            self._tell(Progress(self.files_done, None))

    # --- checking and scoring --------------------------------------------------------------------------------

    def _check(self, uids: Iterable[str], *, only_new: bool = False) -> None:
        for study in self.catalogue.studies(uids):
            self._guarded(study.study_instance_uid, partial(self._begin, study, only_new=only_new))

    def _begin(self, study: Study, *, only_new: bool) -> None:
        """Record a study and queue it; one that a restart finds unchanged and settled is left as it stands."""
        uid = study.study_instance_uid
        self.seen.add(uid)
        self._tell(StudySeen(uid))
        self._history.record_received(study, self._now())
        row = self._history.row(uid)
        if row is None or (only_new and row.state in FINAL_STATES):
            return
        walk = StudyScoring(study, self._reader, self._scorer, cache=self._cache)
        if not walk.can_be_scored:
            self._history.move(uid, State.CHECKING, "files read")
            self._close(uid, walk)
            return
        checked = ((State.CHECKING, "files read"), (State.QUEUED, "suitable by its headers"))
        self._history.move_through(uid, checked)
        self._walks[uid] = walk
        self._queue.add(uid, row.received_at)

    def _score_next(self) -> bool:
        turn = self._queue.next(self._now())
        if turn is None:
            return False
        uid, stage = turn
        step = self._preliminary if stage == "preliminary" else self._final
        self._guarded(uid, partial(step, uid, self._walks[uid]))
        self._tell_notes()
        return True

    def _tell_notes(self) -> None:
        """Tell what is new about the machine or the device, such as one that was left; each once."""
        notes = (*self._scorer.machine_notes, *self._scorer.notes)
        for note in notes[self._notes_told :]:
            self._tell(Notice(note))
        self._notes_told = len(notes)

    def _tell(self, event: Event) -> None:
        """Tell the client; what breaks there is the client's, and takes nothing with it here."""
        try:
            self._listener(event)
        except Exception:
            log.exception("a listener failed")

    def _guarded(self, uid: str, work: Callable[[], None]) -> None:
        """Do a step of one study; whatever breaks, breaks for this study alone and is told as our failure."""
        try:
            work()
        except HistoryError:
            raise  # nothing can be recorded any more: the engine must stop, and say so
        except Exception:
            log.exception("study %s could not be scored", internal_id(uid))
            if not self._stopping.is_set():
                self._fail(uid)

    def _preliminary(self, uid: str, walk: StudyScoring) -> None:
        score = walk.preliminary()
        if self._stopping.is_set():
            return  # answers may be missing: the study begins again at the next start
        if score is not None:
            self._history.record_result(uid, score, (), __version__, GATE.version, choice=walk.choice)
            self._tell(PreliminaryScore(uid, score))
        self._queue.preliminary_done(uid, score.p_covid if score else 0.0)

    def _final(self, uid: str, walk: StudyScoring) -> None:
        self._history.move(uid, State.RUNNING, "final pass")
        finished = walk.advance(lambda: self._somebody_is_more_urgent(uid, walk))
        self._tell(SliceScored(uid, walk.slices_scored, walk.slices_to_score))
        if finished and not self._stopping.is_set():
            self._close(uid, walk)

    def _somebody_is_more_urgent(self, uid: str, walk: StudyScoring) -> bool:
        self._tell(SliceScored(uid, walk.slices_scored, walk.slices_to_score))
        arrived = not self._submitted.empty() or any(time.monotonic() >= one.next_look for one in self._watched)
        return self._stopping.is_set() or arrived or self._queue.should_yield(self._now())

    def _close(self, uid: str, walk: StudyScoring) -> None:
        result = walk.result()
        self.results.pop(uid, None)
        self.results[uid] = result
        self._let_go()
        self._walks.pop(uid, None)
        self._queue.final_done(uid)
        if result.score is None:
            self._history.record_unscored(uid, result.state, result.findings, choice=result.choice)
            self._tell(Unscored(uid, result.state, result.findings))
            return
        self._history.record_result(uid, result.score, result.findings, __version__, GATE.version, choice=result.choice)
        self._tell(FinalScore(uid, result.score, result.findings))

    def _fail(self, uid: str) -> None:
        findings = (Finding(Outcome.UNSUITABLE, Reason.SCORING_FAILED),)
        self._walks.pop(uid, None)
        self._queue.final_done(uid)
        self._history.record_unscored(uid, State.FAILED, findings)
        self._tell(Unscored(uid, State.FAILED, findings))
