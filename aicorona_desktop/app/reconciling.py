"""After a backup took the ledger's place: our copies that it doesn't know are read again, so that no study stays away.

The mark that asks for it (`RESTORED_FROM`) comes with the backup itself, put back by a person or by the program, and
goes when the import of those copies has ended: one that is cut off is begun again at the next start. Until then
nothing is swept (`Engine.start`), so that a copy which nobody has recorded yet is never taken for a leftover.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from aicorona_desktop.app.storage import originals_beside
from aicorona_desktop.core.events import Event, ImportDone
from aicorona_desktop.history.backup import RESTORED_FROM
from aicorona_desktop.history.store import History, HistoryError
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.triage.engine import Engine

log = logging.getLogger(__name__)

LABEL = "Files from after the backup"
FROM_NOTHING = "an empty history"
"""Stands in RESTORED_FROM where there was no backup: the ledger is gone, and its copies are there."""


class Reconciling:
    """Hears what the engine says, and begins and ends the reading of what a backup lacks."""

    def __init__(self, history: History, listener: Callable[[Event], None]) -> None:
        self._history = history
        self._listener = listener
        self._number: int | None = None  # of the import, once there is one
        self._lock = threading.Lock()

    def hear(self, event: Event) -> None:
        """Hand an event on; at the end of the import of those copies nothing is left to ask for."""
        self._listener(event)
        if isinstance(event, ImportDone) and not event.summary.cancelled and not event.summary.trouble:
            with self._lock:  # its number is known by now
                is_ours = event.summary.number == self._number
            if is_ours:
                self._history.set_setting(RESTORED_FROM, "")

    def begin(self, engine: Engine) -> int:
        """Hand the engine every copy of ours that the history doesn't know; return how many, 0 unless it is asked for.

        Their verdicts are in the ledger that was set aside; the copies are only read, and prove themselves by their
        hash. Reading a file twice records nothing twice.
        """
        try:
            missing = self._missing()
        except (HistoryError, OSError) as error:
            log.warning("what a backup lacks could not be read; the next start tries again", exc_info=error)
            return 0
        if missing:
            with self._lock:
                self._number = engine.submit(missing, LABEL)
        return len(missing)

    def _missing(self) -> list[Path]:
        originals = Originals(originals_beside(self._history.path))
        if not self._history.setting(RESTORED_FROM):
            if self._history.knows_files() or next(originals.listing(), None) is None:
                return []
            # All copies are recorded before anybody counts on them, so that a ledger with these is gone.
            self._history.set_setting(RESTORED_FROM, FROM_NOTHING)
        known = self._history.known_sha256s()
        missing = sorted(originals.path_of(sha256) for sha256, _ in originals.listing() if sha256 not in known)
        if not missing:
            self._history.set_setting(RESTORED_FROM, "")
        return missing
