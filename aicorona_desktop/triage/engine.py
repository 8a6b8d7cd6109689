"""The engine: paths in, events and worklist rows out; no Qt, one thread.

The terminal and the window are two clients of it. All work happens on the engine's own thread, which is also
the one writer of what is read and scored: files are read, studies checked, and between two slices of a final pass
the engine looks whether something more urgent has arrived (design D11). Looks into watched folders have threads of
their own. What clients ask for waits in a queue; nothing here makes them wait.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from aicorona_desktop import __version__
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import (
    BatchStarted,
    EngineFailed,
    Event,
    FileDone,
    FilesDone,
    FinalScore,
    ImportDone,
    MapsReady,
    NotDone,
    Notice,
    PreliminaryScore,
    Progress,
    SliceScored,
    StudySeen,
    Unscored,
    Verified,
    WatchedFolder,
    WatchState,
)
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.logs import internal_id
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES, FLOOR_WRITE_BYTES, FreeSpace
from aicorona_desktop.core.study import Instance, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.lungs import load_labelling
from aicorona_desktop.dicom.thresholds import GATE
from aicorona_desktop.history.store import History, HistoryError, StudyError, utc_now
from aicorona_desktop.history.values import Filter
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.settling import StudySettling
from aicorona_desktop.intake.walking import Found, shown_text, walk
from aicorona_desktop.model.cache import SliceCache
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.triage.account import Account, Source, keep_account
from aicorona_desktop.triage.catalogue import Catalogue
from aicorona_desktop.triage.choosing import chosen
from aicorona_desktop.triage.identities import has_two_identities, settled
from aicorona_desktop.triage.maps import MapStore, maps_of
from aicorona_desktop.triage.queue import Queue
from aicorona_desktop.triage.reading import Batch, FileRead, FileReading
from aicorona_desktop.triage.rescore import Repetition, repeat
from aicorona_desktop.triage.score_study import StudyResult, StudyScoring
from aicorona_desktop.triage.watching import Watching

log = logging.getLogger(__name__)

IDLE_S = 0.2
MB = 1_000_000
STUDIES_REMEMBERED = 100  # of those done, in a program that stays
COUNTED_FILES = 100_000  # a batch of more is read without a total: counting them would take the memory
SETTLED_LOOK_S = 1.0  # a running pass looks so often whether a study has gone quiet
FINAL_STATES = frozenset({State.DONE, State.UNSUITABLE, State.REFUSED, State.IGNORED})
UNFINISHED_STATES = frozenset(
    {State.RECEIVED, State.SETTLING, State.CHECKING, State.QUEUED, State.PRELIMINARY, State.RUNNING}
)
TELL_EVERY_S = 0.1  # a client is told at most ten times a second (ux.md 3.3)
ARRIVE_EVERY_S = 1.0  # studies of a batch are in the list, and queued ones scored on, while the rest is read
ROOM_AGAIN = 1.1  # so much more than the low-water mark must be free before intake goes on

Purpose = Literal["maps", "verify"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A study that is scored as a person wanted it, not by the rules alone; `before` is the state it was in."""

    before: State
    by: str


@dataclass(frozen=True, slots=True)
class _Again:
    """A stored score that is computed anew, for its maps or as a proof."""

    study_instance_uid: str
    purpose: Purpose
    repetition: Repetition


class Engine:
    """Owns intake, queue and scoring; `listener` is called on the engine's thread with every event.

    All public methods may be called from any thread and return at once, but for `wait_until_idle` and `stop`.
    """

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
        maps: MapStore | None = None,
        resident: bool = False,
        free_space: Callable[[], int] | None = None,
    ) -> None:
        """Prepare the engine.

        Args:
            reader: reads all foreign bytes; the engine's alone.
            scorer: runs the model; the engine's alone.
            history: the ledger, open for writing.
            spool: keeps the files of archives.
            settings: of the site.
            listener: hears every event.
            now: the clock.
            maps: keeps the maps of every score; None keeps none.
            resident: whether the program stays, as the window does: what it knows already is left as it stands when
                it comes again, earlier files of a study that grows count, accounts of imports are kept, a full disk
                is waited for. Without it, what lies under the paths is scored, once, as it lies there.
            free_space: asked for the free bytes of the disk; None measures it.
        """
        self._reader = reader
        self._scorer = scorer
        self._history = history
        self._settings = settings
        self._listener = listener
        self._now = now
        self._maps = maps or MapStore(None)
        self._resident = resident
        self._reading = FileReading(reader, spool, self._file_read, self._must_not_read_on)
        self.catalogue = Catalogue()
        self.results: dict[str, StudyResult] = {}
        self._queue = Queue(timedelta(minutes=settings.wait_cap_minutes))
        self.pack = scorer.pack
        point = scorer.pack.operating_point
        self.operating_point = None if point is None else point.threshold
        self._cache = SliceCache()
        self._walks: dict[str, StudyScoring] = {}
        self._wanted: dict[str, _Wanted] = {}
        self._preliminary_results: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._submitted: queue.Queue[tuple[Source, tuple[Path, ...]]] = queue.Queue()
        self._cancelled: set[int] = set()
        self._asked: queue.Queue[tuple[str, Callable[[], None]]] = queue.Queue()
        self._again: deque[_Again] = deque()
        self._to_resume: deque[str] = deque()
        self._watching = Watching(self._wake_up, now)
        self._watch_states: dict[Path, WatchState] = {}
        self._settling = StudySettling(settings.quiet_time_s)
        self._remembered: set[str] = set()  # studies whose files the catalogue holds
        self._free_space = free_space or FreeSpace(history.path.parent)
        self._paused = False
        self._notes_told = 0
        self.files_done = 0
        self.seen: set[str] = set()
        self._account: Account | None = None  # of the batch that is being read
        self._files_total: int | None = None
        self._files_untold: list[FileDone] = []
        self._told_at = 0.0
        self._arrived_at = 0.0
        self._slice_told_at = 0.0
        self._settled_at = 0.0
        self._yield_at: float | None = None
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._idle_lock = threading.Lock()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self.failure: BaseException | None = None

    # --- what clients may ask ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine's thread."""
        self._thread.start()

    def submit(self, paths: Iterable[Path], label: str = "") -> int:
        """Read and score what lies under these paths now; return the number of the batch.

        `label` is what people call the source; the name of the first path where it is empty.
        """
        given, number = tuple(paths), next(self._numbers)
        source = Source(number, label or shown_text(given[0].name if given else ""))
        with self._idle_lock:
            self._idle.clear()
            self._submitted.put((source, given))
        self._wake.set()
        return number

    def cancel_import(self, number: int) -> None:
        """Stop reading a batch: what is read is kept, recorded and scored; `ImportDone` says that it was stopped."""
        self._cancelled.add(number)
        self._wake.set()

    def watch(self, folder: Path) -> None:
        """Look into a folder for new files until `unwatch`."""
        self._watching.add(folder, self._settings.poll_s)

    def unwatch(self, folder: Path) -> None:
        """Look into a folder no more; what has been read of it stays."""
        self._watching.remove(folder)

    def watching(self) -> tuple[WatchedFolder, ...]:
        """Return the watched folders, each with its state."""
        return self._watching.states()

    @property
    def device(self) -> str:
        """What runs the model; the wish (`auto`) until the scorer has started."""
        return self._scorer.provider

    def look_now(self) -> None:
        """Look into all watched folders now."""
        self._watching.look_now()

    def score_now(self, study_instance_uid: str) -> None:
        """Don't wait until a study of a watched folder has gone quiet, and let it go first in the queue."""
        self._ask(study_instance_uid, partial(self._hurry, study_instance_uid))

    def score_again(
        self, study_instance_uid: str, series_instance_uid: str | None = None, anyway: bool = False, by: str = ""
    ) -> None:
        """Score a study of the history again; the score that stood stays as superseded.

        Args:
            study_instance_uid: the study.
            series_instance_uid: another series than the rules choose.
            anyway: also where the rules find it unsuitable; it is then pinned to those that need a person.
            by: who asked, kept with the reason.

        Ends in `FinalScore` or `Unscored`, or in `NotDone` with everything as it was.
        """
        self._ask(
            study_instance_uid,
            partial(self._score_again, study_instance_uid, series_instance_uid, anyway=anyway, by=by),
        )

    def settle_identity(self, study_instance_uid: str) -> None:
        """Check and score a study anew, after a person has chosen which of its identities stands, or took that back.

        Without a choice that stands it gets no score.
        """
        self._ask(study_instance_uid, partial(self._settle_identity, study_instance_uid))

    def request_maps(self, study_instance_uid: str, *, again: bool = False) -> None:
        """Have the maps of the score that stands computed, unless they are there; `MapsReady` follows."""
        self._ask(study_instance_uid, partial(self._ask_maps, study_instance_uid, again=again))

    def request_verification(self, study_instance_uid: str) -> None:
        """Compute the score that stands anew and compare every slice; nothing is written, `Verified` follows."""
        self._ask(study_instance_uid, partial(self._repeat, study_instance_uid, "verify"))

    def resume(self) -> None:
        """Go on with the studies that an earlier session has left unfinished."""
        self._ask("", self._find_unfinished)

    def back_up(self, told: Callable[[str], None]) -> None:
        """Make a copy of the history; `told` hears on the engine's thread where that failed."""
        self._ask("", partial(self._back_up, told))

    def change_settings(self, settings: Settings) -> None:
        """Take new settings; pack, device and workers are those of the start until the next one."""
        self._ask("", partial(self._take_settings, settings))

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
        self._watching.close()
        self._scorer.cancel()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _ask(self, study_instance_uid: str, work: Callable[[], None]) -> None:
        with self._idle_lock:
            self._idle.clear()
            self._asked.put((study_instance_uid, work))
        self._wake.set()

    def _wake_up(self) -> None:
        self._wake.set()

    # --- the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            load_labelling()  # a tenth of a second that no study should wait for
            while not self._stopping.is_set():
                if not self._step():
                    self._rest()
        except Exception as error:
            log.exception("the engine stopped")
            self.failure = error
            ours = isinstance(error, AicoronaError)
            self._tell(EngineFailed(str(error) if ours else "The program failed; nothing more is read or scored."))
        finally:
            self._note_unread()
            self._idle.set()

    def _note_unread(self) -> None:
        """Leave a trace of what was handed in and not begun, so that the next start can tell."""
        while self._resident:
            try:
                source, _ = self._submitted.get_nowait()
                self._history.begin_import(source.label, self._now())
            except queue.Empty:
                return
            except HistoryError:
                log.warning("an import that was not begun could not be noted")
                return

    def _step(self) -> bool:
        """Do one piece of work, the most urgent first; False where there is none."""
        has_room = self._has_room()
        for change in self._watching.changes(self._watch_states):
            self._tell(change)
        if self._resident and self._free_bytes() < FLOOR_WRITE_BYTES:
            return False  # nothing could be recorded; all of it waits
        return (
            self._obey()
            or (has_room and (self._read_submitted() or self._read_looks()))
            or self._check_settled()
            or self._resume_next()
            or self._compute_again()
            or self._score_next()
        )

    def _rest(self) -> None:
        with self._idle_lock:
            if not (self._settling.growing or self._is_asked() or self._is_intake_waiting()):
                self._idle.set()
        self._wake.wait(IDLE_S)
        self._wake.clear()

    def _is_asked(self) -> bool:
        """Whether something waits that is done before any scoring."""
        return not self._asked.empty() or (not self._paused and self._is_intake_waiting())

    def _is_intake_waiting(self) -> bool:
        return not self._submitted.empty() or self._watching.waiting

    def _obey(self) -> bool:
        """Do one thing that a client has asked for; where it can't be done, the study stays as it was."""
        try:
            uid, work = self._asked.get_nowait()
        except queue.Empty:
            return False
        try:
            work()
        except AicoronaError as error:
            if _is_of_all(error):
                raise
            self._tell(NotDone(uid, str(error)))
        return True

    def _back_up(self, told: Callable[[str], None]) -> None:
        try:
            self._history.backup()
        except HistoryError as error:
            log.warning("no backup could be made")
            told(str(error))

    def _take_settings(self, settings: Settings) -> None:
        self._settings = settings
        self._queue.wait_cap = timedelta(minutes=settings.wait_cap_minutes)
        self._settling.quiet_time_s = settings.quiet_time_s
        self._watching.every(settings.poll_s)

    def _free_bytes(self) -> int:
        try:
            return self._free_space()
        except OSError:  # the disk doesn't answer: the next write will tell
            return FLOOR_INTAKE_BYTES

    def _has_room(self) -> bool:
        """Whether intake may go on; it pauses, told once, while the disk is nearly full (design D18)."""
        if not (self._resident or self._watching):
            return True
        free, needed = self._free_bytes(), FLOOR_INTAKE_BYTES
        pause = free < (needed * ROOM_AGAIN if self._paused else needed)
        if pause != self._paused:
            reason = Reason.DISK_NEARLY_FULL if pause else Reason.DISK_HAS_ROOM
            self._tell(Notice(Finding(Outcome.WARNED, reason, found=free / MB, needed=needed / MB)))
        self._paused = pause
        return not pause

    def _tell(self, event: Event) -> None:
        """Tell the client; what breaks there is the client's, and takes nothing with it here."""
        try:
            self._listener(event)
        except Exception:
            log.exception("a listener failed")

    # --- reading ---------------------------------------------------------------------------------------------

    def _read_submitted(self) -> bool:
        try:
            source, paths = self._submitted.get_nowait()
        except queue.Empty:
            return False
        account = self._import(source, lambda: self._listed(paths))
        self._check(account.touched, account.grown)
        return True

    def _read_looks(self) -> bool:
        worked = False
        for folder, look in self._watching.take():
            worked = True
            source = Source(next(self._numbers), shown_text(folder.name), watched=True)
            self._import(source, partial(self._with_total, look.settled))
        return worked

    def _listed(self, paths: Iterable[Path]) -> Iterable[Found]:
        """List what lies below the paths, so that a total can be told, unless there is too much of it."""
        found = walk(paths)
        first: list[Found] = []
        for one in islice(found, COUNTED_FILES):
            if self._must_not_read_on():
                break
            first.append(one)
        return chain(first, found) if len(first) == COUNTED_FILES else self._with_total(first)

    def _with_total(self, found: Sequence[Found]) -> Iterable[Found]:
        self._files_total = len(found)
        return found

    def _import(self, source: Source, found: Callable[[], Iterable[Found]]) -> Account:
        """Read one batch, record what it brought, and account for every file."""
        account = self._account = Account(source, self._now())
        self._files_total, self._arrived_at, trouble = None, time.monotonic(), ""
        # Begun in the history: an end that is missing there tells the next start that not all was read.
        begun = self._history.begin_import(source.label, self._now()) if self._resident and not source.watched else None
        self._tell(BatchStarted(source.number, source.label, source.watched))
        try:
            self._reading.read_found(found())
        except (AicoronaError, OSError) as error:
            if _is_of_all(error):
                raise
            log.warning("an import broke off: %s", type(error).__name__)
            trouble = str(error) if isinstance(error, AicoronaError) else "A file could not be read from the disk."
        stopped = source.number in self._cancelled or bool(trouble)
        self._arrive(self._reading.batch.portion(), account)
        self._note_stop(account, stopped=stopped)
        self._tell_files(account)
        self._tell(Progress(account.files_read, account.files_read, source.number))
        if not self._stopping.is_set():
            self._close_account(account, trouble, begun)
        self._account = None
        self._let_go_of_known(account)
        return account

    def _let_go_of_known(self, account: Account) -> None:
        """Forget the files of studies that came again unchanged and have their outcome, in a program that stays."""
        if self._resident or account.source.watched:
            for uid in set(account.touched) - account.grown:
                if uid not in self._walks and self._is_under_way(uid):
                    self._forget(uid)

    def _forget(self, uid: str) -> None:
        self.catalogue.forget(uid)
        self._remembered.discard(uid)

    def _close_account(self, account: Account, trouble: str, begun: int | None) -> None:
        cancelled = account.source.number in self._cancelled
        self._cancelled.discard(account.source.number)
        summary = account.summary(self._now(), self.catalogue.studies, cancelled=cancelled, trouble=trouble)
        if self._resident:
            summary = keep_account(summary, self._history, begun)
            self.catalogue.forget_nameless()
        self._tell(ImportDone(summary))

    def _note_stop(self, account: Account, *, stopped: bool) -> None:
        """Warn of studies whose import was stopped: the rest of them may lie where it was not read any more."""
        changed = self.catalogue.note_stop(account.grown, stopped=stopped)
        for study in self._studies(changed):
            self._guarded(study.study_instance_uid, partial(self._history.record_received, study, self._now()))

    def _must_not_read_on(self) -> bool:
        number = None if self._account is None else self._account.source.number
        return self._stopping.is_set() or number in self._cancelled

    def _file_read(self, read: FileRead) -> None:
        """Count a file; now and then tell the client, let studies appear, and score on what is queued."""
        account = self._account
        if account is None:
            return
        self.files_done += 1
        account.add(read)
        finding = read.finding
        self._files_untold.append(FileDone(read.shown, finding.outcome if finding else Outcome.SCORED, finding))
        now = time.monotonic()
        if now - self._told_at > TELL_EVERY_S:
            self._told_at = now
            self._tell_files(account)
            total = None if self._files_total is None else self._files_total + self._reading.members
            self._tell(Progress(account.files_read, total, account.source.number))
        if now - self._arrived_at > ARRIVE_EVERY_S and not self._stopping.is_set():
            self._arrive(self._reading.batch.portion(), account)
            self._score_a_while()
            self._arrived_at = time.monotonic()

    def _tell_files(self, account: Account) -> None:
        told, self._files_untold = self._files_untold, []
        if told:
            self._tell(FilesDone(account.source.number, tuple(told)))

    def _score_a_while(self) -> None:
        """Score on for about as long as has just been read: a long import holds up nobody who came before."""
        self._yield_at = time.monotonic() + ARRIVE_EVERY_S
        try:
            self._score_next()
        finally:
            self._yield_at = None

    def _arrive(self, portion: Batch, account: Account) -> None:
        """Take a part of a batch in and record its studies, so that they are in the list."""
        touched = self.catalogue.add(portion)
        if self._resident or account.source.watched:
            for uid in touched - self._remembered:
                self._recall(uid, {instance.file.sha256 for instance in portion.instances})
            self._remembered |= touched
        for study in self._studies(touched):
            if self._stopping.is_set():
                return  # what is not recorded was never acknowledged; the next start says that the import was cut off
            self._guarded(study.study_instance_uid, partial(self._record, study, account))

    def _record(self, study: Study, account: Account) -> None:
        """Record a study as far as it is read; one of a watched folder settles where it is new or has grown."""
        uid = study.study_instance_uid
        self.seen.add(uid)
        account.before_recording(uid, self._history)
        grown = self._history.record_received(study, self._now())
        if grown:
            account.note_grown(uid)
            self._walks.pop(uid, None)  # what was queued of it is no longer the study
            self._wanted.pop(uid, None)
            self._queue.remove(uid)
        if account.source.watched and (grown or not self._is_under_way(uid)):
            self._settling.arrived(uid, time.monotonic())
            if grown:
                self._history.move(uid, State.SETTLING, "still arriving")
        self._tell(StudySeen(uid))

    def _is_under_way(self, uid: str) -> bool:
        """Whether a study is queued, or has its outcome."""
        row = self._history.row(uid)
        return uid in self._walks or (row is not None and row.state in FINAL_STATES)

    def _recall(self, uid: str, there: set[str]) -> int:
        """Read the files of a study again that the catalogue has forgotten; return how many are gone.

        The history knows where they lie; `there` are the SHA-256 of those that have just been read.
        """
        left_out = (one.file for one in self._history.left_out(uid))
        earlier = {file.sha256: file for file in (*self._history.files(uid), *left_out) if file.sha256 not in there}
        batch, gone = self._reading.read_known(earlier.values())
        self.catalogue.add(batch)
        return gone

    def _let_go(self) -> None:
        """Forget the files of studies done long ago in a program that stays: the history knows where they lie."""
        while (self._resident or self._watching) and len(self.results) > STUDIES_REMEMBERED:
            oldest = next(iter(self.results))
            del self.results[oldest]
            self._forget(oldest)

    # --- what people ask for, and what an earlier session has left ---------------------------------------------

    def _hurry(self, uid: str) -> None:
        self._settling.score_now(uid)
        self._queue.hurry(uid)

    def _score_again(self, uid: str, series_instance_uid: str | None, *, anyway: bool, by: str) -> None:
        row = self._history.row(uid)
        if row is None:
            self._tell(NotDone(uid, "This study is not in the history."))
            return
        study = self._whole_study(uid)
        choice = chosen(study, series_instance_uid, by, anyway=anyway)
        walk = StudyScoring(study, self._reader, self._scorer, choice=choice, cache=self._cache, anyway=anyway)
        wish = "score anyway" if anyway else "another series" if series_instance_uid else "score again"
        self._wanted[uid] = _Wanted(row.state, by)
        self._enqueue(uid, walk, row.received_at, (f"{wish}, asked for{f' by {by}' if by else ''}", "files read again"))
        self._tell(StudySeen(uid))

    def _whole_study(self, uid: str) -> Study:
        """Return a study with all files that the history knows of it; raises AicoronaError where one is gone."""
        if uid not in self._remembered:
            there = self.catalogue.studies([uid])
            gone = self._recall(uid, {one.file.sha256 for study in there for one in _instances(study)})
            if gone:
                raise FilesGoneError(str(Finding(Outcome.UNSUITABLE, Reason.FILES_GONE, found=gone)))
            self._remembered.add(uid)
        study = next(iter(self._studies([uid])), None)
        if study is None:
            raise FilesGoneError("There are no files of this study to score.")
        return study

    def _studies(self, uids: Iterable[str]) -> tuple[Study, ...]:
        """Return studies as far as they are read, each as a person has chosen whose it is."""
        return tuple(
            settled(study, self._history.identity_choice(study.study_instance_uid))
            if has_two_identities(study)
            else study
            for study in self.catalogue.studies(uids)
        )

    def _settle_identity(self, uid: str) -> None:
        study = self._whole_study(uid)
        self._walks.pop(uid, None)
        self._wanted.pop(uid, None)
        self._queue.remove(uid)
        self._history.record_received(study, self._now())
        self._begin(study, grown=True)
        self._tell(StudySeen(uid))

    def _settle_if_changed(self, uid: str) -> None:
        """Do what a choice between identities asks for that was recorded as the program ended."""
        row = self._history.row(uid)
        reasons = {one.reason for one in row.findings} if row else set()
        stands = self._history.identity_choice(uid) is not None
        if (Reason.TWO_PATIENTS if stands else Reason.IDENTITY_CHOSEN) not in reasons:
            return
        if stands and has_two_identities(self._whole_study(uid)):
            self._forget(uid)  # of an identity that came later: nobody has chosen yet
        else:
            self._settle_identity(uid)

    def _find_unfinished(self) -> None:
        for uid in self._history.studies_with_choices():
            self._ask(uid, partial(self._settle_if_changed, uid))
        wanted, after = Filter(states=UNFINISHED_STATES), None
        while True:
            page = self._history.page(after, 200, wanted)
            self._to_resume.extendleft(row.study_instance_uid for row in page.rows)  # the newest first: turned round
            after = page.next_key
            if after is None:
                return

    def _resume_next(self) -> bool:
        """Go on with one study of an earlier session: one that was still arriving settles anew."""
        if not self._to_resume:
            return False
        uid = self._to_resume.popleft()
        row = self._history.row(uid)
        if row is None or row.state not in UNFINISHED_STATES or uid in self._walks or uid in self._settling.growing:
            return True
        self.seen.add(uid)
        self._guarded(uid, partial(self._go_on_with, row))
        return True

    def _go_on_with(self, row: Row) -> None:
        uid = row.study_instance_uid
        # A study of an import that ended is past `received`: of this one, more may lie where it came from.
        was_cut = row.state is State.RECEIVED or any(one.reason is Reason.IMPORT_STOPPED for one in row.findings)
        self.catalogue.note_stop([uid], stopped=was_cut)
        try:
            study = self._whole_study(uid)
        except FilesGoneError as error:
            self._give_up(uid, str(error))
            return
        if was_cut:
            self._history.record_received(study, self._now())
        if row.state in (State.RECEIVED, State.SETTLING):
            self._settling.arrived(uid, time.monotonic())
        else:
            self._begin(study, grown=False)
        self._tell(StudySeen(uid))

    def _give_up(self, uid: str, sentence: str) -> None:
        log.warning("study %s could not be gone on with: %s", internal_id(uid), sentence)
        gone = len([file for file in self._history.files(uid) if not file.path.is_file()])
        findings = (Finding(Outcome.UNSUITABLE, Reason.FILES_GONE, found=gone),)
        self._history.record_unscored(uid, State.FAILED, findings)
        self._tell(Unscored(uid, State.FAILED, findings))

    def _ask_maps(self, uid: str, *, again: bool) -> None:
        stored = self._history.result(uid)
        if self._settings.triage_only:
            self._tell(MapsReady(uid, "This site shows no maps."))
        elif stored is None:
            self._tell(MapsReady(uid, "There is no score of this study, and so no map."))
        elif not again and self._maps.has(stored.number):
            self._tell(MapsReady(uid))
        else:
            self._repeat(uid, "maps")

    def _repeat(self, uid: str, purpose: Purpose) -> None:
        if any((one.study_instance_uid, one.purpose) == (uid, purpose) for one in self._again):
            return
        cache = self._cache if purpose == "maps" else None
        try:
            repetition = repeat(uid, self._history, self._reader, self._scorer, cache)
        except AicoronaError as error:
            self._tell_repeated(uid, purpose, str(error))
            return
        self._again.append(_Again(uid, purpose, repetition))

    def _compute_again(self) -> bool:
        """Go on with a stored score that somebody wants computed again; it yields to what arrives."""
        if not self._again:
            return False
        again = self._again[0]
        uid, purpose = again.study_instance_uid, again.purpose
        try:
            finished = again.repetition.walk.advance(lambda: self._stopping.is_set() or self._is_asked())
            if finished:
                self._again.popleft()
                if not self._stopping.is_set():
                    self._close_again(again)
        except AicoronaError as error:
            self._again.popleft()
            if not self._stopping.is_set():
                self._tell_repeated(uid, purpose, str(error))
        self._tell_notes()
        return True

    def _close_again(self, again: _Again) -> None:
        uid, repetition = again.study_instance_uid, again.repetition
        if again.purpose == "verify":
            found = repetition.comparison()
            self._tell(Verified(uid, found.agreement.value, found.largest_difference, found.explanation))
            return
        cams, places = repetition.walk.maps()
        stored = repetition.stored
        if len(places) != len(stored.score.slice_indices):
            self._tell(MapsReady(uid, "Not all slices of the score could be read again; no map is shown."))
            return
        maps = maps_of(cams, stored.score.slice_indices, self.pack.bias, stored.score)
        if not maps.check.within:
            difference = maps.check.largest_slice_difference
            self._tell(MapsReady(uid, f"The maps differ from the stored score by {difference:.2g} and are not shown."))
        elif self._maps.save(stored.number, cams, maps.indices, maps.bias):
            self._tell(MapsReady(uid))
        else:
            self._tell(MapsReady(uid, "The maps could not be kept on the disk; is it full?"))

    def _tell_repeated(self, uid: str, purpose: Purpose, trouble: str) -> None:
        self._tell(MapsReady(uid, trouble) if purpose == "maps" else Verified(uid, "", 0.0, trouble))

    # --- checking and scoring --------------------------------------------------------------------------------

    def _check_settled(self) -> bool:
        self._settled_at = time.monotonic()
        quiet = self._settling.settled(self._settled_at)
        self._check(quiet, only_new=True)
        return bool(quiet)

    def _check(self, uids: Iterable[str], grown: frozenset[str] = frozenset(), *, only_new: bool = False) -> None:
        if self._stopping.is_set():
            return
        for study in self._studies(uids):
            uid = study.study_instance_uid
            self._guarded(uid, partial(self._begin, study, grown=uid in grown, only_new=only_new))

    def _begin(self, study: Study, *, grown: bool, only_new: bool = False) -> None:
        """Queue a study that is recorded; one that comes again unchanged may be left as it stands."""
        uid = study.study_instance_uid
        row = self._history.row(uid)
        if row is None:
            return
        if (only_new or self._resident) and not grown and (row.state in FINAL_STATES or uid in self._walks):
            return
        walk = StudyScoring(study, self._reader, self._scorer, cache=self._cache)
        if not walk.can_be_scored:
            self._history.move(uid, State.CHECKING, "files read")
            self._close(uid, walk)
            return
        self._enqueue(uid, walk, row.received_at, ("files read", "suitable by its headers"))

    def _enqueue(self, uid: str, walk: StudyScoring, received_at: datetime, causes: Sequence[str]) -> None:
        checked, queued = causes
        self._history.move_through(uid, ((State.CHECKING, checked), (State.QUEUED, queued)))
        self._walks[uid] = walk
        self._queue.add(uid, received_at)

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

    def _guarded(self, uid: str, work: Callable[[], object]) -> None:
        """Do a step of one study; whatever breaks, breaks for this study alone and is told as our failure."""
        try:
            work()
        except Exception as error:
            if _is_of_all(error):
                raise
            log.exception("study %s could not be scored", internal_id(uid))
            if not self._stopping.is_set():
                self._fail(uid)

    def _preliminary(self, uid: str, walk: StudyScoring) -> None:
        score = walk.preliminary()
        if self._stopping.is_set():
            return  # answers may be missing: the study begins again at the next start
        if score is not None and score.preliminary:  # else all slices are scored, and the final pass closes at once
            choice = None if uid in self._wanted else walk.choice  # it stands once the score does
            number = self._history.record_result(uid, score, (), __version__, GATE.version, choice=choice)
            if self._keep_maps(uid, number, walk):
                self._preliminary_results[uid] = number
            self._tell(PreliminaryScore(uid, score))
        self._queue.preliminary_done(uid, score.p_covid if score else 0.0)

    def _final(self, uid: str, walk: StudyScoring) -> None:
        self._history.move(uid, State.RUNNING, "final pass")
        finished = walk.advance(lambda: self._somebody_is_more_urgent(uid, walk))
        self._tell(SliceScored(uid, walk.slices_scored, walk.slices_to_score))
        if finished and not self._stopping.is_set():
            self._close(uid, walk)

    def _somebody_is_more_urgent(self, uid: str, walk: StudyScoring) -> bool:
        now = time.monotonic()
        if now - self._slice_told_at > TELL_EVERY_S:
            self._slice_told_at = now
            self._tell(SliceScored(uid, walk.slices_scored, walk.slices_to_score))
        if self._yield_at is not None:  # files are being read meanwhile: they are told apart from what waits anyway
            return self._stopping.is_set() or now >= self._yield_at
        waiting = self._is_asked() or bool(self._to_resume or self._again)
        settling = bool(self._settling.growing) and now - self._settled_at > SETTLED_LOOK_S
        return self._stopping.is_set() or waiting or settling or self._queue.should_yield(self._now())

    def _close(self, uid: str, walk: StudyScoring) -> None:
        result = walk.result()
        self._walks.pop(uid, None)
        self._queue.final_done(uid)
        wanted = self._wanted.pop(uid, None)
        if result.score is None and wanted is not None and self._is_put_back(result, wanted):
            return
        self.results.pop(uid, None)
        self.results[uid] = result
        self._let_go()
        if result.score is None:
            self._history.record_unscored(uid, result.state, result.findings, choice=result.choice)
            self._tell(Unscored(uid, result.state, result.findings))
            return
        number = self._history.record_result(
            uid, result.score, result.findings, __version__, GATE.version, choice=result.choice
        )
        if any(one.reason is Reason.SCORED_ANYWAY for one in result.findings):
            self._history.pin(uid, wanted.by if wanted else "")  # such a score ranks nobody
        self._keep_maps(uid, number, walk)
        self._maps.forget(self._preliminary_results.pop(uid, 0))
        self._tell(FinalScore(uid, result.score, result.findings))

    def _is_put_back(self, result: StudyResult, wanted: _Wanted) -> bool:
        """Put a study back where it was when what a person asked for gave no score; False where it had none either."""
        uid = result.study.study_instance_uid
        if wanted.before is State.DONE:
            self._history.move(uid, State.DONE, "what was asked for could not be scored")
        elif wanted.before in UNFINISHED_STATES:
            self._begin(result.study, grown=True)
        else:
            return False
        why = str(result.findings[0]) if result.findings else ""
        self._tell(NotDone(uid, f"This could not be scored, the study is as it was. {why}".strip()))
        return True

    def _keep_maps(self, uid: str, number: int, walk: StudyScoring) -> bool:
        """Keep the maps of a score that was just recorded; one that changed nothing has its own already."""
        if self._settings.triage_only or self._maps.folder is None or self._maps.has(number):
            return False
        stored = self._history.result(uid)
        cams, places = walk.maps()
        is_of_it = stored is not None and stored.number == number and stored.score.slice_indices == places
        return is_of_it and self._maps.save(number, cams, places, self.pack.bias)

    def _fail(self, uid: str) -> None:
        """Record that our side broke over a study; what a person asked for beyond a score leaves that standing."""
        finding = Finding(Outcome.UNSUITABLE, Reason.SCORING_FAILED)
        self._walks.pop(uid, None)
        wanted = self._wanted.pop(uid, None)
        self._queue.final_done(uid)
        try:
            if wanted is not None and wanted.before is State.DONE:
                self._history.move(uid, State.DONE, "what was asked for failed")
                self._tell(NotDone(uid, f"The study is as it was. {finding}"))
                return
            self._history.record_unscored(uid, State.FAILED, (finding,))
            self._tell(Unscored(uid, State.FAILED, (finding,)))
        except StudyError as error:  # nothing can be recorded of it now: it stays as it is, and a person is told
            log.warning("study %s stays as it is", internal_id(uid), exc_info=error)
            self._tell(NotDone(uid, str(finding)))


def _is_of_all(error: Exception) -> bool:
    """Whether nothing can be recorded any more: the engine must then stop, and say so."""
    return isinstance(error, HistoryError) and not isinstance(error, StudyError)


class FilesGoneError(AicoronaError):
    """Files of a study are not where the history says, or have changed."""


def _instances(study: Study) -> Iterator[Instance]:
    return chain.from_iterable(series.instances for series in study.series)
