"""The other study, or other series, beside the one on the screen: opened, linked by position, scrolled along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QCoreApplication, QObject, Signal

from aicorona_desktop.app.viewing import StudyReader, ViewedSeries, ViewedStudy
from aicorona_desktop.core.rows import Row
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.jobs import cancelled
from aicorona_desktop.ui.priors import link, matching_slice
from aicorona_desktop.ui.slice_store import Shelf, SliceStore
from aicorona_desktop.ui.slice_view import Person, SliceView

translate = QCoreApplication.translate


class PriorBeside(QObject):
    """Fills the second picture; `opened` comes when there is something to show, `changed` when a slice came."""

    opened = Signal()
    changed = Signal()
    say = Signal(str)

    def __init__(
        self, context: Context, reader: StudyReader, shelf: Shelf, view: SliceView, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._context, self._reader, self._shelf, self._view = context, reader, shelf, view
        self._viewed: ViewedStudy | None = None
        self._store: SliceStore | None = None
        self._person = Person()
        self._offset_mm = 0.0
        self._asked = ""

    @property
    def is_open(self) -> bool:
        """Whether there is another study or series to show."""
        return self._viewed is not None

    def forget(self) -> None:
        """Let go of it: another study comes to the screen."""
        self._viewed, self._asked = None, ""
        self._take_store(None)

    def open_study(self, study_instance_uid: str) -> None:
        """Read another study; `opened` follows."""
        reading, reader, self._asked = self._context.reading, self._reader, study_instance_uid

        def read() -> tuple[Row | None, ViewedStudy]:
            return reading.row(study_instance_uid), reader.open(reading, study_instance_uid, cancelled)

        def take(found: tuple[Row | None, ViewedStudy]) -> None:
            row, viewed = found
            if self._asked == study_instance_uid:
                self._take(viewed, Person(row, None if row is None else self._context.identity(row)))

        self._context.jobs.run(read, take, self.say.emit, lane="prior", key="open prior", owner=self)

    def open_other_series(self, viewed: ViewedStudy, current: ViewedSeries, person: Person) -> bool:
        """Show another series of the same study; False where it has only one."""
        others = tuple(one for one in viewed.series if one is not current)
        if others:
            self._asked = viewed.study_instance_uid
            self._take(replace(viewed, series=others), person)
        return bool(others)

    def follow(self, series: ViewedSeries | None, store: SliceStore | None, study: str, index: int) -> None:
        """Link to the series on the screen, and load from the slice that belongs to this one."""
        viewed = self._viewed
        if viewed is None or series is None:
            return
        other = viewed.series[0]
        linked = link(series, other)
        self._offset_mm = linked.offset_mm
        self._take_store(self._shelf.store(viewed.study_instance_uid, other, store))
        self._view.person = self._person
        self._view.note = self._note(viewed, same=viewed.study_instance_uid == study, measured=linked.measured)
        start = matching_slice(series, index, other, self._offset_mm)
        if self._store is not None:
            self._store.load(self._context.jobs, self._reader, start, "prior pictures")

    def index_for(self, series: ViewedSeries | None, index: int) -> int | None:
        """Return the slice that belongs to this one, and have it loaded next."""
        if self._store is None or series is None:
            return None
        found = matching_slice(series, index, self._store.series, self._offset_mm)
        self._store.want(found)
        return found

    def scroll(self, series: ViewedSeries | None, index: int, slices: int) -> bool:
        """Scroll the other study alone; from here on the two are linked with that offset. False where none can be."""
        if self._store is None or series is None:
            return False
        other = self._store.series
        wanted = min(max(matching_slice(series, index, other, self._offset_mm) + slices, 0), len(other.instances) - 1)
        here, there = series.position_mm(index), other.position_mm(wanted)
        if here is None or there is None:
            return False
        self._offset_mm = there - here
        return True

    def rename(self, shown: Callable[[Row], Person]) -> None:
        """Show the patient as it may be shown now."""
        if self._person.row is not None:
            self._person = shown(self._person.row)
            if self._store is not None:
                self._view.person = self._person

    def _take(self, viewed: ViewedStudy, person: Person) -> None:
        self._viewed, self._person = viewed, person
        self.opened.emit()

    def _take_store(self, store: SliceStore | None) -> None:
        if store is self._store:
            self._view.show_store(store)
            return
        if self._store is not None:
            self._store.changed.disconnect(self._came)
        self._store = store
        self._view.show_store(store)
        if store is not None:
            store.changed.connect(self._came)

    def _came(self, _index: int) -> None:
        self.changed.emit()

    @staticmethod
    def _note(viewed: ViewedStudy, *, same: bool, measured: bool) -> str:
        what = translate("ViewerPlace", "Another series of this study")
        if not same:
            what = translate("ViewerPlace", "Other study, {date}").format(date=viewed.header.study_date)
        if measured:
            return what
        return "\n".join((what, translate("ViewerPlace", "Linked by the middle of the lungs")))
