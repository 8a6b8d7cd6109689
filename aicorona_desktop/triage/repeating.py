"""Stored scores that are computed anew: for their maps, or as a proof that they still come out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import MapsReady, Verified
from aicorona_desktop.triage.maps import maps_of
from aicorona_desktop.triage.rescore import Repetition, repeat
from aicorona_desktop.triage.session import Session

Purpose = Literal["maps", "verify"]


@dataclass(frozen=True, slots=True)
class _Again:
    """A stored score that is computed anew, for its maps or as a proof."""

    study_instance_uid: str
    purpose: Purpose
    repetition: Repetition


class Repeating:
    """What waits to be computed anew; it yields to whatever `is_waited_for`."""

    def __init__(self, session: Session, is_waited_for: Callable[[], bool]) -> None:
        self._session = session
        self._is_waited_for = is_waited_for
        self._again: deque[_Again] = deque()

    def __bool__(self) -> bool:
        return bool(self._again)

    def ask_maps(self, uid: str, *, again: bool) -> None:
        """Have the maps of the score that stands computed, unless they are there."""
        session = self._session
        stored = session.history.result(uid)
        if session.settings.triage_only:
            session.tell(MapsReady(uid, "This site shows no maps."))
        elif stored is None:
            session.tell(MapsReady(uid, "There is no score of this study, and so no map."))
        elif not again and session.maps.has(stored.number):
            session.tell(MapsReady(uid))
        else:
            self.ask(uid, "maps")

    def ask(self, uid: str, purpose: Purpose) -> None:
        """Have the score that stands computed anew."""
        if any((one.study_instance_uid, one.purpose) == (uid, purpose) for one in self._again):
            return
        session = self._session
        cache = session.cache if purpose == "maps" else None
        try:
            repetition = repeat(uid, session.history, session.reader, session.scorer, cache)
        except AicoronaError as error:
            self._tell_trouble(uid, purpose, str(error))
            return
        self._again.append(_Again(uid, purpose, repetition))

    def go_on(self) -> bool:
        """Go on with a stored score that somebody wants computed again; it yields to what arrives."""
        if not self._again:
            return False
        again, stopping = self._again[0], self._session.stopping
        try:
            finished = again.repetition.walk.advance(lambda: stopping.is_set() or self._is_waited_for())
            if finished:
                self._again.popleft()
                if not stopping.is_set():
                    self._close(again)
        except AicoronaError as error:
            self._again.popleft()
            if not stopping.is_set():
                self._tell_trouble(again.study_instance_uid, again.purpose, str(error))
        self._session.tell_notes()
        return True

    def _close(self, again: _Again) -> None:
        uid, repetition, session = again.study_instance_uid, again.repetition, self._session
        if again.purpose == "verify":
            found = repetition.comparison()
            session.tell(Verified(uid, found.agreement.value, found.largest_difference, found.explanation))
            return
        cams, places = repetition.walk.maps()
        stored = repetition.stored
        if len(places) != len(stored.score.slice_indices):
            session.tell(MapsReady(uid, "Not all slices of the score could be read again; no map is shown."))
            return
        maps = maps_of(cams, stored.score.slice_indices, session.scorer.pack.bias, stored.score)
        if not maps.check.within:
            difference = maps.check.largest_slice_difference
            trouble = f"The maps differ from the stored score by {difference:.2g} and are not shown."
            session.tell(MapsReady(uid, trouble))
        elif session.maps.save(stored.number, cams, maps.indices, maps.bias):
            session.tell(MapsReady(uid))
        else:
            session.tell(MapsReady(uid, "The maps could not be kept on the disk; is it full?"))

    def _tell_trouble(self, uid: str, purpose: Purpose, trouble: str) -> None:
        told = MapsReady(uid, trouble) if purpose == "maps" else Verified(uid, "", 0.0, trouble)
        self._session.tell(told)
