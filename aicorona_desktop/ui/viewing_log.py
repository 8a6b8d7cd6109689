"""What the history is told of a study on the screen: opened, map switched on, closed, and how much was seen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from PySide6.QtCore import QObject

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.ui.context import Context

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Viewing:
    """One opening; `number` is set by the ledger lane, `seen` are slices of the series it opened with."""

    study_instance_uid: str
    number: int | None = None
    series_instance_uid: str = ""
    slices: int = 0
    seen: set[int] = field(default_factory=set)
    map_on: bool = False

    @property
    def share(self) -> float | None:
        return len(self.seen) / self.slices if self.slices else None


class ViewingLog(QObject):
    """Keeps one viewing at a time; says nothing where the history can't be written."""

    def __init__(self, context: Context, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._viewing: _Viewing | None = None

    def opened(self, study_instance_uid: str) -> None:
        """A study came to the screen; the one before is closed."""
        if self._viewing is not None and self._viewing.study_instance_uid == study_instance_uid:
            return
        self.closed()
        if not self._context.writable:
            return
        self._viewing = viewing = _Viewing(study_instance_uid)
        history, person = self._context.running.history, self._context.person()

        def record() -> None:
            viewing.number = history.open_viewing(study_instance_uid, person)

        self._run(record)

    def saw(self, series_instance_uid: str, index: int, slices: int) -> None:
        """A slice was painted; the series seen first is the one that counts."""
        viewing = self._viewing
        if viewing is None:
            return
        if not viewing.slices:
            viewing.series_instance_uid, viewing.slices = series_instance_uid, slices
        if viewing.series_instance_uid == series_instance_uid and index < viewing.slices:
            viewing.seen.add(index)

    @property
    def share(self) -> float | None:
        """The share of slices seen in this viewing; None where nothing was painted yet, or nothing is recorded."""
        return None if self._viewing is None else self._viewing.share

    def map_switched_on(self) -> None:
        """A map was painted; the first time counts."""
        viewing = self._viewing
        if viewing is None or viewing.map_on:
            return
        viewing.map_on = True
        history = self._context.running.history

        def record() -> None:
            if viewing.number is not None:
                history.map_switched_on(viewing.number)

        self._run(record)

    def closed(self) -> None:
        """The study left the screen."""
        viewing, self._viewing = self._viewing, None
        if viewing is not None:
            self._run(lambda: self._close(viewing))

    def close_now(self) -> None:
        """The program ends: record it here and now, since the lanes end as well."""
        viewing, self._viewing = self._viewing, None
        if viewing is None:
            return
        try:
            self._close(viewing)
        except AicoronaError as error:
            log.info("the end of a viewing was not recorded", exc_info=error)

    def _close(self, viewing: _Viewing) -> None:
        if viewing.number is not None:
            self._context.running.history.close_viewing(viewing.number, viewing.share)

    def _run(self, record: Callable[[], None]) -> None:
        self._context.jobs.run(record, _nothing, owner=self)


def _nothing(_: None) -> None:
    pass
