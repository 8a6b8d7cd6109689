"""From a study that is read to its outcome: checked, queued, scored slice by slice, recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from aicorona_desktop import __version__
from aicorona_desktop.core.events import FinalScore, NotDone, PreliminaryScore, SliceScored, Unscored
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.logs import internal_id
from aicorona_desktop.core.rows import UNFINISHED_STATES, State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.study import Study
from aicorona_desktop.dicom.thresholds import GATE
from aicorona_desktop.history.store import StudyError
from aicorona_desktop.intake.settling import StudySettling
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.triage.choosing import chosen
from aicorona_desktop.triage.known import Known, stands
from aicorona_desktop.triage.queue import Queue
from aicorona_desktop.triage.score_study import StudyResult, StudyScoring
from aicorona_desktop.triage.session import Session, is_of_all

log = logging.getLogger(__name__)

STUDIES_REMEMBERED = 100  # of those done, in a program that stays
SETTLED_LOOK_S = 1.0  # a running pass looks so often whether a study has gone quiet
TELL_EVERY_S = 0.1  # a client is told at most ten times a second (ux.md 3.3)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A study that is scored as a person wanted it, not by the rules alone; `before` is the state it was in."""

    before: State
    by: str


class Scoring:
    """Owns the queue and what is under way; `is_waited_for` says whether something waits that goes first."""

    def __init__(self, session: Session, known: Known, is_waited_for: Callable[[], bool]) -> None:
        self._session = session
        self._known = known
        self._is_waited_for = is_waited_for
        self.settling = StudySettling(session.settings.quiet_time_s)
        self.results: dict[str, StudyResult] = {}
        self._queue = Queue(timedelta(minutes=session.settings.wait_cap_minutes))
        self._walks: dict[str, StudyScoring] = {}
        self._wanted: dict[str, _Wanted] = {}
        self._preliminary_results: dict[str, int] = {}
        self._slice_told_at = 0.0
        self._settled_at = 0.0
        self._yield_at: float | None = None

    @property
    def _pack(self) -> Pack:
        return self._session.scorer.pack

    def take_settings(self, settings: Settings) -> None:
        """Take the wait cap and the quiet time anew."""
        self._queue.wait_cap = timedelta(minutes=settings.wait_cap_minutes)
        self.settling.quiet_time_s = settings.quiet_time_s

    # --- which studies -----------------------------------------------------------------------------------------

    def is_queued(self, uid: str) -> bool:
        """Whether a study is checked and waits for its score."""
        return uid in self._walks

    def is_under_way(self, uid: str) -> bool:
        """Whether a study is queued, or has its outcome."""
        return uid in self._walks or stands(self._session.history.row(uid))

    def drop(self, uid: str) -> None:
        """Take a study out of the queue: it isn't any more what it was when it was queued."""
        self._walks.pop(uid, None)
        self._wanted.pop(uid, None)
        self._queue.remove(uid)

    def hurry(self, uid: str) -> None:
        """Don't wait until a study has gone quiet, and let it go first."""
        self.settling.score_now(uid)
        self._queue.hurry(uid)

    def check_settled(self) -> bool:
        """Queue the studies that have gone quiet; False where there are none."""
        self._settled_at = time.monotonic()
        quiet = self.settling.settled(self._settled_at)
        self.check(quiet, only_new=True)
        return bool(quiet)

    def check(self, uids: Iterable[str], grown: frozenset[str] = frozenset(), *, only_new: bool = False) -> None:
        """Queue studies that are recorded; `grown` are those of which the history did not know all files."""
        if self._session.stopping.is_set():
            return
        for study in self._known.studies(uids):
            uid = study.study_instance_uid
            if self._known.catalogue.is_still_copied(uid):
                continue  # the disc's end asks again: nothing is final until then
            self.guarded(uid, partial(self.begin, study, grown=uid in grown, only_new=only_new))

    def begin(self, study: Study, *, grown: bool, only_new: bool = False) -> None:
        """Queue a study that is recorded; one that comes again unchanged may be left as it stands."""
        uid, session = study.study_instance_uid, self._session
        row = session.history.row(uid)
        if row is None:
            return
        if (only_new or session.resident) and not grown and (uid in self._walks or stands(row)):
            return
        threshold = session.points.threshold
        walk = StudyScoring(study, session.reader, session.scorer, cache=session.cache, threshold=threshold)
        if not walk.can_be_scored:
            session.history.move(uid, State.CHECKING, "files read")
            self._close(uid, walk)
            return
        self._enqueue(uid, walk, row.received_at, ("files read", "suitable by its headers"))

    def score_again(
        self,
        study: Study,
        received_at: datetime,
        before: State,
        series_instance_uid: str | None,
        *,
        anyway: bool,
        by: str,
    ) -> None:
        """Queue a study as a person wants it scored (`Engine.score_again`)."""
        uid, session = study.study_instance_uid, self._session
        choice = chosen(study, series_instance_uid, by, anyway=anyway)
        walk = StudyScoring(
            *(study, session.reader, session.scorer),
            choice=choice,
            cache=session.cache,
            anyway=anyway,
            threshold=session.points.threshold,
        )
        wish = "score anyway" if anyway else "another series" if series_instance_uid else "score again"
        self._wanted[uid] = _Wanted(before, by)
        self._enqueue(uid, walk, received_at, (f"{wish}, asked for{f' by {by}' if by else ''}", "files read again"))

    def _enqueue(self, uid: str, walk: StudyScoring, received_at: datetime, causes: Sequence[str]) -> None:
        checked, queued = causes
        self._session.history.move_through(uid, ((State.CHECKING, checked), (State.QUEUED, queued)))
        self._walks[uid] = walk
        self._queue.add(uid, received_at)

    # --- one pass ----------------------------------------------------------------------------------------------

    def score_next(self) -> bool:
        """Do one pass, or as much of it as may be done before something else; False where nothing waits."""
        turn = self._queue.next(self._session.now())
        if turn is None:
            return False
        uid, stage = turn
        step = self._preliminary if stage == "preliminary" else self._final
        self.guarded(uid, partial(step, uid, self._walks[uid]))
        self._session.tell_notes()
        return True

    def score_for(self, seconds: float) -> None:
        """Do one pass for about so long: a long import holds up nobody who came before."""
        self._yield_at = time.monotonic() + seconds
        try:
            self.score_next()
        finally:
            self._yield_at = None

    def guarded(self, uid: str, work: Callable[[], object]) -> None:
        """Do a step of one study; whatever breaks, breaks for this study alone and is told as our failure."""
        try:
            work()
        except Exception as error:
            if is_of_all(error):
                raise
            log.exception("study %s could not be scored", internal_id(uid))
            if not self._session.stopping.is_set():
                self._fail(uid)

    def _preliminary(self, uid: str, walk: StudyScoring) -> None:
        score = walk.preliminary()
        if self._session.stopping.is_set():
            return  # answers may be missing: the study begins again at the next start
        if score is not None and score.preliminary:  # else all slices are scored, and the final pass closes at once
            choice = None if uid in self._wanted else walk.choice  # it stands once the score does
            number = self._session.history.record_result(uid, score, (), __version__, GATE.version, choice=choice)
            if self._keep_maps(uid, number, walk):
                self._preliminary_results[uid] = number
            self._session.tell(PreliminaryScore(uid, score))
        self._queue.preliminary_done(uid, score.p_covid if score else 0.0)

    def _final(self, uid: str, walk: StudyScoring) -> None:
        self._session.history.move(uid, State.RUNNING, "final pass")
        finished = walk.advance(lambda: self._somebody_is_more_urgent(uid, walk))
        self._session.tell(SliceScored(uid, walk.slices_scored, walk.slices_to_score))
        if finished and not self._session.stopping.is_set():
            self._close(uid, walk)

    def _somebody_is_more_urgent(self, uid: str, walk: StudyScoring) -> bool:
        now = time.monotonic()
        if now - self._slice_told_at > TELL_EVERY_S:
            self._slice_told_at = now
            self._session.tell(SliceScored(uid, walk.slices_scored, walk.slices_to_score))
        if self._yield_at is not None:  # files are being read meanwhile: they are told apart from what waits anyway
            return self._session.stopping.is_set() or now >= self._yield_at
        settling = bool(self.settling.growing) and now - self._settled_at > SETTLED_LOOK_S
        waiting = self._is_waited_for() or settling
        return self._session.stopping.is_set() or waiting or self._queue.should_yield(self._session.now())

    # --- its end -----------------------------------------------------------------------------------------------

    def _close(self, uid: str, walk: StudyScoring) -> None:
        session, result = self._session, walk.result()
        self._walks.pop(uid, None)
        self._queue.final_done(uid)
        wanted = self._wanted.pop(uid, None)
        if result.score is None and wanted is not None and self._is_put_back(result, wanted):
            return
        self.results.pop(uid, None)
        self.results[uid] = result
        self._let_go()
        if result.score is None:
            session.history.record_unscored(uid, result.state, result.findings, choice=result.choice)
            session.tell(Unscored(uid, result.state, result.findings))
            return
        number = session.history.record_result(
            uid, result.score, result.findings, __version__, GATE.version, choice=result.choice
        )
        if any(one.reason is Reason.SCORED_ANYWAY for one in result.findings):
            session.history.pin(uid, wanted.by if wanted else "")  # such a score ranks nobody
        self._keep_maps(uid, number, walk)
        session.maps.forget(self._preliminary_results.pop(uid, 0))
        session.tell(FinalScore(uid, result.score, result.findings))

    def _is_put_back(self, result: StudyResult, wanted: _Wanted) -> bool:
        """Put a study back where it was when what a person asked for gave no score; False where it had none either."""
        uid = result.study.study_instance_uid
        if wanted.before is State.DONE:
            self._session.history.move(uid, State.DONE, "what was asked for could not be scored")
        elif wanted.before in UNFINISHED_STATES:
            self.begin(result.study, grown=True)
        else:
            return False
        why = str(result.findings[0]) if result.findings else ""
        self._session.tell(NotDone(uid, f"This could not be scored, the study is as it was. {why}".strip()))
        return True

    def _let_go(self) -> None:
        """Forget the files of studies done long ago in a program that stays: the history knows where they lie."""
        while self._session.stays() and len(self.results) > STUDIES_REMEMBERED:
            oldest = next(iter(self.results))
            del self.results[oldest]
            self._known.forget(oldest)

    def _keep_maps(self, uid: str, number: int, walk: StudyScoring) -> bool:
        """Keep the maps of a score that was just recorded; one that changed nothing has its own already."""
        session = self._session
        if session.settings.triage_only or session.maps.folder is None or session.maps.has(number):
            return False
        stored = session.history.result(uid)
        cams, places = walk.maps()
        is_of_it = stored is not None and stored.number == number and stored.score.slice_indices == places
        return is_of_it and session.maps.save(number, cams, places, self._pack.bias)

    def _fail(self, uid: str) -> None:
        """Record that our side broke over a study; what a person asked for beyond a score leaves that standing."""
        finding = Finding(Outcome.UNSUITABLE, Reason.SCORING_FAILED)
        self._walks.pop(uid, None)
        wanted = self._wanted.pop(uid, None)
        self._queue.final_done(uid)
        history, tell = self._session.history, self._session.tell
        try:
            if wanted is not None and wanted.before is State.DONE:
                history.move(uid, State.DONE, "what was asked for failed")
                tell(NotDone(uid, f"The study is as it was. {finding}"))
                return
            history.record_unscored(uid, State.FAILED, (finding,))
            tell(Unscored(uid, State.FAILED, (finding,)))
        except StudyError as error:  # nothing can be recorded of it now: it stays as it is, and a person is told
            log.warning("study %s stays as it is", internal_id(uid), exc_info=error)
            tell(NotDone(uid, str(finding)))
