"""What all parts of the engine share in one run: neighbours, settings, clock, and how it tells of things."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from aicorona_desktop.core.events import Event, Notice
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import History, HistoryError, StudyError
from aicorona_desktop.model.cache import SliceCache
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.triage.maps import MapStore
from aicorona_desktop.triage.operating_point import OperatingPoints

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Session:
    """One run of the engine; everything here belongs to its thread, but for `stopping`.

    `stays` says whether the program stays when all is done, as with the window or a watched folder.
    """

    reader: Reader
    scorer: Scorer
    history: History
    maps: MapStore
    cache: SliceCache
    settings: Settings
    listener: Callable[[Event], None]
    now: Callable[[], datetime]
    resident: bool
    stays: Callable[[], bool]
    points: OperatingPoints
    stopping: threading.Event = field(default_factory=threading.Event)
    _notes_told: int = 0

    def tell(self, event: Event) -> None:
        """Tell the client; what breaks there is the client's, and takes nothing with it here."""
        try:
            self.listener(event)
        except Exception:
            log.exception("a listener failed")

    def tell_notes(self) -> None:
        """Tell what is new about the machine or the device, such as one that was left; each once."""
        notes = (*self.scorer.machine_notes, *self.scorer.notes)
        for note in notes[self._notes_told :]:
            self.tell(Notice(note))
        self._notes_told = len(notes)


def is_of_all(error: Exception) -> bool:
    """Whether nothing can be recorded any more: the engine must then stop, and say so."""
    return isinstance(error, HistoryError) and not isinstance(error, StudyError)
