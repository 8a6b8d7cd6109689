"""Backups of a program that stays: one a day for as long as it runs, in a second place too if the site names one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from aicorona_desktop.history import backup
from aicorona_desktop.history.store import History, HistoryError

log = logging.getLogger(__name__)

LOOK_EVERY_S = 600.0
"""A computer that sleeps, or a stick that is put in later, is noticed within this time."""


class Backups:
    """Makes a backup when one is due, from its own thread; `told` hears once of each trouble, and once of its end.

    `also_to` is the second place, None for none; it may change at any time. Every backup that the second place
    lacks comes there as soon as it can be reached, the newest only.
    """

    def __init__(
        self,
        history: History,
        told: Callable[[str], None],
        also_to: Path | None = None,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._history = history
        self._told = told
        self._also_to = also_to
        self._every_s = every_s
        self._trouble = ""
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._keep_looking, name="backups", daemon=True)

    def start(self) -> None:
        """Look now, and again and again."""
        self._thread.start()

    def change(self, also_to: Path | None) -> None:
        """Name another second place, or none."""
        self._also_to = also_to
        self._wake.set()

    def make(self) -> Path:
        """Make a backup now, in both places; raises HistoryError, also where only the second place failed."""
        copy = self._history.backup()
        self._copy(copy)
        return copy

    def close(self) -> None:
        """Stop looking; a backup that is being made is finished first."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep_looking(self) -> None:
        while not self._closed:
            self._wake.clear()
            try:
                self._look()
                self._tell("")
            except HistoryError as error:
                log.warning("no backup could be made, or not in the second place", exc_info=error)
                self._tell(str(error))
            self._wake.wait(self._every_s)

    def _look(self) -> None:
        if self._history.backup_is_due:
            self._history.backup()
        newest = backup.copies(self._history.path)[-1:]
        if newest:
            self._copy(newest[0].path)

    def _copy(self, copy: Path) -> None:
        folder = self._also_to
        if folder is not None:
            backup.copy_to(copy, folder, self._history.path.stem)

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self._told(trouble)
        self._trouble = trouble
