"""What people ask for a study, and what an earlier session of the program has left unfinished."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from aicorona_desktop.core.events import NotDone, StudySeen, Unscored
from aicorona_desktop.core.findings import Reason
from aicorona_desktop.core.logs import internal_id
from aicorona_desktop.core.rows import UNFINISHED_STATES, Row, State
from aicorona_desktop.history.values import Filter
from aicorona_desktop.triage.identities import BY_CHOICE, asks_for_more
from aicorona_desktop.triage.known import FilesGoneError, Known
from aicorona_desktop.triage.scoring import Scoring
from aicorona_desktop.triage.session import Session

log = logging.getLogger(__name__)


class Wishes:
    """Fulfils what people ask for one study; raises AicoronaError where it can't be done, and nothing has changed."""

    def __init__(self, session: Session, known: Known, scoring: Scoring) -> None:
        self._session = session
        self._known = known
        self._scoring = scoring

    def score_again(self, uid: str, series_instance_uid: str | None, *, anyway: bool, by: str) -> None:
        """Queue a study of the history once more, as `Engine.score_again` says."""
        row = self._session.history.row(uid)
        if row is None:
            self._session.tell(NotDone(uid, "This study is not in the history."))
            return
        study = self._known.whole_study(uid)
        self._scoring.score_again(study, row.received_at, row.state, series_instance_uid, anyway=anyway, by=by)
        self._session.tell(StudySeen(uid))

    def settle_identity(self, uid: str) -> None:
        """Record and queue a study anew, as it is after a person has said whose it is, or what of it stands."""
        study = self._known.whole_study(uid)
        self._scoring.drop(uid)
        self._session.history.record_received(study, self._session.now())
        self._scoring.begin(study, grown=True)
        self._session.tell(StudySeen(uid))


class Resuming:
    """Goes on with the studies that an earlier session has left unfinished, one at a time; `ask` queues a wish."""

    def __init__(
        self,
        session: Session,
        known: Known,
        scoring: Scoring,
        wishes: Wishes,
        ask: Callable[[str, Callable[[], None]], None],
    ) -> None:
        self._session = session
        self._known = known
        self._scoring = scoring
        self._wishes = wishes
        self._ask = ask
        self._waiting: deque[str] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def find(self) -> None:
        """Find what is unfinished in the history."""
        history = self._session.history
        for uid in dict.fromkeys((*history.studies_with_choices(), *history.studies_with_version_choices())):
            self._ask(uid, partial(self._settle_if_changed, uid))
        wanted, after = Filter(states=UNFINISHED_STATES), None
        while True:
            page = history.page(after, 200, wanted)
            self._waiting.extendleft(row.study_instance_uid for row in page.rows)  # the newest first: turned round
            after = page.next_key
            if after is None:
                return

    def go_on(self) -> bool:
        """Go on with one study of an earlier session: one that was still arriving settles anew."""
        if not self._waiting:
            return False
        uid, scoring = self._waiting.popleft(), self._scoring
        row = self._session.history.row(uid)
        if row is None or row.state not in UNFINISHED_STATES:
            return True
        if scoring.is_queued(uid) or uid in scoring.settling.growing:
            return True
        self._known.seen.add(uid)
        scoring.guarded(uid, partial(self._go_on_with, row))
        return True

    def _go_on_with(self, row: Row) -> None:
        uid = row.study_instance_uid
        # A study of an import that ended is past `received`: of this one, more may lie where it came from.
        was_cut = row.state is State.RECEIVED or any(one.reason is Reason.IMPORT_STOPPED for one in row.findings)
        self._known.catalogue.note_stop([uid], stopped=was_cut)
        try:
            study = self._known.whole_study(uid)
        except FilesGoneError as error:
            self._give_up(uid, error)
            return
        if was_cut:
            self._session.history.record_received(study, self._session.now())
        if row.state in (State.RECEIVED, State.SETTLING):
            self._scoring.settling.arrived(uid, time.monotonic())
        else:
            self._scoring.begin(study, grown=False)
        self._session.tell(StudySeen(uid))

    def _give_up(self, uid: str, error: FilesGoneError) -> None:
        log.warning("study %s could not be gone on with: %s", internal_id(uid), error)
        self._session.history.record_unscored(uid, State.FAILED, (error.finding,))
        self._session.tell(Unscored(uid, State.FAILED, (error.finding,)))

    def _settle_if_changed(self, uid: str) -> None:
        """Do what a choice between identities or versions asks for that was recorded as the program ended."""
        history = self._session.history
        row = history.row(uid)
        reasons = {one.reason for one in row.findings} & BY_CHOICE if row else set()
        if not asks_for_more(reasons, history, uid):
            return
        now = {one.reason for one in self._known.whole_study(uid).findings} & BY_CHOICE
        if now == reasons:
            self._known.forget(uid)  # of an identity or a version that came later: nobody has chosen yet
        else:
            self._wishes.settle_identity(uid)
