"""The engine: paths in, events and worklist rows out; no Qt, one thread.

The terminal and the window are two clients of it. All work happens on the engine's own thread, which is also
the one writer of what is read and scored: files are read (`arriving`), studies checked and scored (`scoring`), and
between two slices of a final pass the engine looks whether something more urgent has arrived (design D11). Looks into
watched folders have threads of their own. What clients ask for waits in a queue (`wishes`, `repeating`); nothing here
makes them wait.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import EngineFailed, Event, NotDone, WatchedFolder, WatchState
from aicorona_desktop.core.rows import Row
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.sources import SourceKind, WatchedSource
from aicorona_desktop.core.space import FreeSpace
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.lungs import load_labelling
from aicorona_desktop.history.backup import RESTORED_FROM
from aicorona_desktop.history.store import History, HistoryError, utc_now
from aicorona_desktop.intake.disc import Opened
from aicorona_desktop.intake.media import Medium
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.intake.walking import shown_text
from aicorona_desktop.model.cache import SliceCache
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.triage.account import Source
from aicorona_desktop.triage.arriving import Arriving
from aicorona_desktop.triage.catalogue import Catalogue
from aicorona_desktop.triage.discs import Discs, Neighbours, Wanted
from aicorona_desktop.triage.known import Known
from aicorona_desktop.triage.maps import MapStore
from aicorona_desktop.triage.operating_point import OperatingPoints
from aicorona_desktop.triage.reading import FileReading
from aicorona_desktop.triage.repeating import Repeating
from aicorona_desktop.triage.room import Room
from aicorona_desktop.triage.score_study import StudyResult
from aicorona_desktop.triage.scoring import Scoring
from aicorona_desktop.triage.session import Session, is_of_all
from aicorona_desktop.triage.watching import Watching
from aicorona_desktop.triage.wishes import Resuming, Wishes

log = logging.getLogger(__name__)

IDLE_S = 0.2


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
        spool: Originals,
        settings: Settings,
        listener: Callable[[Event], None],
        now: Callable[[], datetime] = utc_now,
        maps: MapStore | None = None,
        resident: bool = False,
        free_space: Callable[[], int] | None = None,
        cache: SliceCache | None = None,
    ) -> None:
        """Prepare the engine.

        Args:
            reader: reads all foreign bytes; the engine's alone.
            scorer: runs the model; the engine's alone.
            history: the ledger, open for writing.
            spool: keeps our copies: of archives, discs and watched folders, and of whatever is to be copied.
            settings: of the site.
            listener: hears every event.
            now: the clock.
            maps: keeps the maps of every score; None keeps none.
            resident: whether the program stays, as the window does: what it knows already is left as it stands when
                it comes again, earlier files of a study that grows count, accounts of imports are kept, a full disk
                is waited for. Without it, what lies under the paths is scored, once, as it lies there.
            free_space: asked for the free bytes of the disk; None measures it.
            cache: holds what slices scored last have given; None begins an empty one.
        """
        self.points = OperatingPoints(history, scorer.pack, lambda: scorer.provider, now)
        self._session = Session(
            reader=reader,
            scorer=scorer,
            history=history,
            maps=maps or MapStore(None),
            cache=cache or SliceCache(),
            settings=settings,
            listener=listener,
            now=now,
            resident=resident,
            stays=lambda: resident or bool(self._watching),
            points=self.points,
        )
        self._history = history
        self._known = Known(history, FileReading(reader, spool))
        self._scoring = Scoring(self._session, self._known, self._is_waited_for)
        self._originals = spool
        self._room = Room(free_space or FreeSpace(history.path.parent), self._session.tell)
        self._arriving = Arriving(self._session, self._known, self._scoring, spool, self._room)
        self._discs = Discs(Neighbours(spool, reader, self._free_bytes, self._wake_up), self._arriving)
        self._wishes = Wishes(self._session, self._known, self._scoring)
        self._resuming = Resuming(self._session, self._known, self._scoring, self._wishes, self._ask)
        self._repeating = Repeating(self._session, self._is_asked)
        self.pack = scorer.pack
        self._numbers = itertools.count(1)
        self._submitted: queue.Queue[tuple[Source, tuple[Path, ...]]] = queue.Queue()
        self._asked: queue.Queue[tuple[str, Callable[[], None]]] = queue.Queue()
        self._watching = Watching(self._wake_up, now, history)
        self._watch_states: dict[Path, WatchState] = {}
        self._stopping = self._session.stopping
        self._idle = threading.Event()
        self._idle_lock = threading.Lock()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self.failure: BaseException | None = None

    # --- what clients may ask ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine's thread; what an earlier run has left half done goes first."""
        self._sweep_copies()
        self._thread.start()

    def submit(
        self,
        paths: Iterable[Path],
        label: str = "",
        *,
        copied: bool = False,
        kind: SourceKind = SourceKind.PERSON,
    ) -> int:
        """Read and score what lies under these paths now; return the number of the batch.

        Args:
            paths: files and folders.
            label: what people call the source; the name of the first path where it is empty.
            copied: whether what joins a study is kept as a copy of ours; else it is referenced where it lies.
            kind: of the source; what a FOLDER or the RECEIVER gives waits until its study has gone quiet.
        """
        given, number = tuple(paths), next(self._numbers)
        source = Source(number, label or shown_text(given[0].name if given else ""), kind, copied)
        with self._idle_lock:
            self._idle.clear()
            self._submitted.put((source, given))
        self._wake.set()
        return number

    def import_disc(self, medium: Medium, label: str = "", opened: Opened | None = None) -> int:
        """Copy a disc or stick and read it as the copies come; return the number of the import.

        `DiscProgress` tells how far it is, and when the medium is safe to be taken out; `ImportDone` follows. Its
        studies are in the list from the first copies on, and are scored when all is copied. `label` is what people
        call it, `opened` opens its files.
        """
        number = next(self._numbers)
        with self._idle_lock:
            self._idle.clear()
            self._discs.begin(number, Wanted(medium, opened), label)
        return number

    def cancel_import(self, number: int) -> None:
        """Stop reading a batch: what is read is kept, recorded and scored; `ImportDone` says that it was stopped."""
        if not self._discs.stop(number):
            self._arriving.cancel(number)
        self._wake.set()

    def watch(self, source: WatchedSource | Path) -> None:
        """Look into a folder for new files until `unwatch`; a folder that is watched already is watched as said now.

        A path alone is watched with the values of the site, and its files are referenced in place.
        """
        wanted = source if isinstance(source, WatchedSource) else WatchedSource(source, copied=False)
        self._watching.add(wanted, self._session.settings.poll_s)

    def unwatch(self, folder: Path) -> None:
        """Look into a folder no more; what has been read of it stays."""
        self._watching.remove(folder)

    def watching(self) -> tuple[WatchedFolder, ...]:
        """Return the watched folders, each with its state."""
        return self._watching.states()

    @property
    def operating_point(self) -> float | None:
        """The p(COVID-19) from which a study is flagged: the site's own, else the pack's; None where there is none."""
        return self.points.threshold

    @property
    def device(self) -> str:
        """What runs the model; the wish (`auto`) until the scorer has started."""
        return self._session.scorer.provider

    def look_now(self) -> None:
        """Look into all watched folders now."""
        self._watching.look_now()

    def score_now(self, study_instance_uid: str) -> None:
        """Don't wait until a study of a watched folder has gone quiet, and let it go first in the queue."""
        self._ask(study_instance_uid, partial(self._scoring.hurry, study_instance_uid))

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
            partial(self._wishes.score_again, study_instance_uid, series_instance_uid, anyway=anyway, by=by),
        )

    def settle_identity(self, study_instance_uid: str) -> None:
        """Check and score a study anew, after a person has chosen which of its identities stands, or took that back.

        Without a choice that stands it gets no score.
        """
        self._ask(study_instance_uid, partial(self._wishes.settle_identity, study_instance_uid))

    def request_maps(self, study_instance_uid: str, *, again: bool = False) -> None:
        """Have the maps of the score that stands computed, unless they are there; `MapsReady` follows."""
        self._ask(study_instance_uid, partial(self._repeating.ask_maps, study_instance_uid, again=again))

    def request_verification(self, study_instance_uid: str) -> None:
        """Compute the score that stands anew and compare every slice; nothing is written, `Verified` follows."""
        self._ask(study_instance_uid, partial(self._repeating.ask, study_instance_uid, "verify"))

    def resume(self) -> None:
        """Go on with the studies that an earlier session has left unfinished."""
        self._ask("", self._resuming.find)

    def back_up(self, told: Callable[[str], None]) -> None:
        """Make a copy of the history; `told` hears on the engine's thread where that failed."""
        self._ask("", partial(self._back_up, told))

    def change_settings(self, settings: Settings) -> None:
        """Take new settings; pack, device and workers are those of the start until the next one."""
        self._ask("", partial(self._take_settings, settings))

    def rows(self) -> list[Row]:
        """Return the unranked rows of the worklist: all that nobody has read, and what was read today."""
        return self._history.rows(read_since=self._session.now() - timedelta(days=1))

    @property
    def catalogue(self) -> Catalogue:
        """What has been read so far."""
        return self._known.catalogue

    @property
    def results(self) -> dict[str, StudyResult]:
        """The outcomes of this run, by study; only the latest of them in a program that stays."""
        return self._scoring.results

    @property
    def seen(self) -> set[str]:
        """The UIDs of the studies of this run."""
        return self._known.seen

    @property
    def files_done(self) -> int:
        """How many files this run has read."""
        return self._arriving.files_done

    def wait_until_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is left to read or score, or the engine has stopped; False when timed out."""
        return self._idle.wait(timeout_s)

    def stop(self, timeout_s: float = 2.0) -> None:
        """Stop after the slice under way; what is unfinished goes on at the next start."""
        self._stopping.set()
        self._wake.set()
        self._watching.close()
        self._discs.close()
        self._session.scorer.cancel()
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
            self._session.tell(
                EngineFailed(str(error) if ours else "The program failed; nothing more is read or scored.")
            )
        finally:
            self._note_unread()
            self._idle.set()

    def _note_unread(self) -> None:
        """Leave a trace of what was handed in and not begun, so that the next start can tell."""
        while self._session.resident:
            try:
                source, _ = self._submitted.get_nowait()
                self._history.begin_import(source.label, self._session.now())
            except queue.Empty:
                return
            except HistoryError:
                log.warning("an import that was not begun could not be noted")
                return

    def _step(self) -> bool:
        """Do one piece of work, the most urgent first; False where there is none."""
        has_room = self._has_room()
        for change in self._watching.changes(self._watch_states):
            self._session.tell(change)
        for progress in self._discs.news():
            self._session.tell(progress)
        if self._session.resident and not self._room.may_write:
            return False  # nothing could be recorded; all of it waits
        return (
            self._obey()
            or (has_room and (self._read_submitted() or self._read_looks() or self._discs.read_next()))
            or self._scoring.check_settled()
            or self._resuming.go_on()
            or self._repeating.go_on()
            or self._scoring.score_next()
        )

    def _rest(self) -> None:
        with self._idle_lock:
            if not (
                self._scoring.settling.growing or self._is_asked() or self._is_intake_waiting() or self._discs.active
            ):
                self._idle.set()
        self._wake.wait(IDLE_S)
        self._wake.clear()

    def _is_asked(self) -> bool:
        """Whether something waits that is done before any scoring."""
        return not self._asked.empty() or (not self._room.is_paused and self._is_intake_waiting())

    def _is_waited_for(self) -> bool:
        """Whether something waits that a final pass yields to."""
        return self._is_asked() or bool(self._resuming) or bool(self._repeating)

    def _is_intake_waiting(self) -> bool:
        return not self._submitted.empty() or self._watching.waiting or self._discs.waiting

    def _obey(self) -> bool:
        """Do one thing that a client has asked for; where it can't be done, the study stays as it was."""
        try:
            uid, work = self._asked.get_nowait()
        except queue.Empty:
            return False
        try:
            work()
        except AicoronaError as error:
            if is_of_all(error):
                raise
            self._session.tell(NotDone(uid, str(error)))
        return True

    def _back_up(self, told: Callable[[str], None]) -> None:
        try:
            self._history.backup()
        except HistoryError as error:
            log.warning("no backup could be made")
            told(str(error))

    def _take_settings(self, settings: Settings) -> None:
        self._session.settings = settings
        self._scoring.take_settings(settings)
        self._watching.every(settings.poll_s)

    def _free_bytes(self) -> int:
        return self._room.free_bytes

    def _has_room(self) -> bool:
        """Whether intake may go on; it pauses, told once, while the disk is nearly full (design D18)."""
        return not (self._session.resident or self._watching) or self._room.has_room()

    def _sweep_copies(self) -> None:
        """Remove the copies that an earlier run made and did not come to record; those of a lost ledger stay."""
        if self._history.read_only_because:
            return
        is_put_back = bool(self._history.notices or self._history.setting(RESTORED_FROM))
        unrecorded = () if is_put_back else self._history.take_unrecorded_copies(self._originals.folder)
        try:
            self._originals.sweep(unrecorded)
            self._history.forget_intents()
        except AicoronaError:
            log.warning("what an earlier run left behind could not be removed; the next start tries again")

    # --- intake ------------------------------------------------------------------------------------------------

    def _read_submitted(self) -> bool:
        try:
            source, paths = self._submitted.get_nowait()
        except queue.Empty:
            return False
        self._arriving.read_paths(source, paths)
        return True

    def _read_looks(self) -> bool:
        worked = False
        for watched, look in self._watching.take():
            worked = True
            source = Source(
                number=next(self._numbers),
                label=shown_text(watched.name),
                kind=watched.kind,
                copied=watched.copied,
                quiet_time_s=watched.quiet_time_s,
                folder=watched.folder,
            )
            left = self._arriving.read_settled(source, look)
            if left:
                self._watching.try_again(watched.folder, left)
            self._watching.note_taken(watched.folder, self._history.tally(watched.folder))
        return worked
