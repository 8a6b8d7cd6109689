"""The decoded slices of the series on the screen: loaded outward from where somebody looks, kept for a return.

Each slice is an array of its own, which nobody writes to any more: the loading thread adds and drops slices, and what
the window's thread is drawing stays whole. Of a series that is larger than its share of memory only the slices around
the one on the screen are kept. The series looked at last stay, within a budget of bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import IntEnum
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from aicorona_desktop.app.viewing import Pixels, StudyReader, ViewedSeries
from aicorona_desktop.app.volume_cache import ShownSlice
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.ui.jobs import Job, Jobs, cancelled

BUDGET_BYTES = 400 * 1024 * 1024
"""With the window itself, one series of 500 slices and the rest of this stay below 800 MB."""
LARGEST_STORE_BYTES = 384 * 1024 * 1024
"""768 slices of 512 x 512. Two such series beside each other, and the window, stay below 1.2 GB."""
FEWEST_SLICES = 8


class Mark(IntEnum):
    """How a slice stands."""

    WAITING = 0
    THERE = 1
    BROKEN = 2


class Outward:
    """The indices that are not loaded yet, always the one nearest to `want` next; any thread may call.

    It ends where the nearest lies outside the `room` slices around `want`, which are those at the end of the series
    when it is near.
    """

    def __init__(self, missing: set[int], wanted: int, slices: int, room: int) -> None:
        self._missing = missing
        self._wanted = wanted
        self._slices, self._room = slices, room
        self._lock = threading.Lock()

    @property
    def wanted(self) -> int:
        """Where somebody looks."""
        return self._wanted

    def put_back(self, index: int) -> None:
        """Take an index that is missing again."""
        with self._lock:
            self._missing.add(index)

    def want(self, index: int) -> None:
        """Say where somebody looks now."""
        with self._lock:
            self._wanted = index

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            if not self._missing:
                raise StopIteration
            wanted = self._wanted
            nearest = min(self._missing, key=lambda index: (abs(index - wanted), index))
            first = min(max(wanted - self._room // 2, 0), self._slices - self._room)
            if not first <= nearest < first + self._room:
                raise StopIteration
            self._missing.discard(nearest)
            return nearest


class SliceStore(QObject):
    """The slices of one series; `changed` comes with each index that has become whole or broken."""

    changed = Signal(int)
    finished = Signal()
    failed = Signal(str)

    def __init__(self, study_instance_uid: str, series: ViewedSeries, largest_bytes: int = LARGEST_STORE_BYTES) -> None:
        super().__init__()
        self.study_instance_uid = study_instance_uid
        self.series = series
        count = len(series.instances)
        self.room = min(count, max(FEWEST_SLICES, largest_bytes // max(2 * series.rows * series.columns, 1)))
        """How many slices are kept at a time."""
        self.marks: NDArray[np.uint8] = np.zeros(count, np.uint8)
        self.changes = 0
        """Counts the slices that came and went: the same number, the same slices."""
        self._kept: dict[int, ShownSlice | Finding] = {}
        self._lock = threading.Lock()
        self._order = Outward(set(), 0, count, self.room)
        self._job: Job | None = None
        self._again: Callable[[int], None] | None = None

    @property
    def slices(self) -> int:
        """How many slices the series has."""
        return len(self.marks)

    @property
    def loaded(self) -> int:
        """How many of them have been read, or can't be."""
        return int(np.count_nonzero(self.marks))

    @property
    def size_bytes(self) -> int:
        """How much memory the slices take once as many as may be are there."""
        return self.room * 2 * self.series.rows * self.series.columns

    @property
    def is_whole(self) -> bool:
        """Whether all slices are kept at once."""
        return self.room == self.slices

    def shown(self, index: int) -> ShownSlice | Finding | None:
        """Return a slice with what lies over it, the reason why there is none, or None while it is not there."""
        return self._kept.get(index)

    def pixels(self, index: int) -> Pixels | None:
        """Return the pixels of a slice, the reason why there are none, or None while they are not there."""
        kept = self._kept.get(index)
        return kept.pixels if isinstance(kept, ShownSlice) else kept

    def rows_at(self, row: int) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """Return one row of every slice, int16 [slices, columns], and which of the slices it was read from."""
        return self._lines(lambda pixels: pixels[row], self.series.columns)

    def columns_at(self, column: int) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """Return one column of every slice, int16 [slices, rows], and which of the slices it was read from."""
        return self._lines(lambda pixels: pixels[:, column], self.series.rows)

    def _lines(
        self, cut: Callable[[NDArray[np.int16]], NDArray[np.int16]], length: int
    ) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        lines, read = np.zeros((self.slices, length), np.int16), np.zeros(self.slices, np.bool_)
        usual = (self.series.rows, self.series.columns)
        for index, kept in list(self._kept.items()):
            if isinstance(kept, ShownSlice) and kept.pixels.shape == usual:
                lines[index], read[index] = cut(kept.pixels), True
        return lines, read

    def take(self, index: int, shown: ShownSlice | Finding) -> None:
        """Keep a slice; on whatever thread, before anybody is told. The farthest one goes when there are too many."""
        if isinstance(shown, ShownSlice) and not shown.pixels.flags.owndata:
            shown = replace(shown, pixels=np.array(shown.pixels))  # a view of what came through the pipe, unaligned
        with self._lock:
            self._kept[index] = shown
            self.marks[index] = Mark.BROKEN if isinstance(shown, Finding) else Mark.THERE
            self.changes += 1
            if len(self._kept) > self.room:
                self._drop_farthest()

    def _drop_farthest(self) -> None:
        wanted = self._order.wanted
        farthest = max(self._kept, key=lambda index: (abs(index - wanted), index))
        self.forget(farthest)
        self._order.put_back(farthest)

    def forget(self, index: int) -> None:
        """Let go of a slice."""
        self.marks[index] = Mark.WAITING
        self._kept.pop(index, None)
        self.changes += 1

    def want(self, index: int) -> None:
        """Load this slice next, and those around it after it."""
        self._order.want(index)
        near = self.marks[max(index - self.room // 4, 0) : index + self.room // 4 + 1]
        if self._again is not None and self._job is not None and self._job.finished and not near.all():
            self._again(index)

    def load(self, jobs: Jobs, reader: StudyReader, start: int, lane: str) -> None:
        """Load what is missing, outward from `start`; a store that is loading goes on from there."""
        self._order.want(start)
        if self._job is not None and not self._job.finished and not self._job.cancelled:
            return
        missing = set(np.flatnonzero(self.marks != Mark.THERE).tolist())  # a medium may have come back
        if not missing:
            return
        self._order = order = Outward(missing, start, self.slices, self.room)

        def work(give: Callable[[object], None]) -> None:
            for index, shown in reader.shown_slices(self.series, order, cancelled):
                self.take(index, shown)
                give(index)

        # What lies farther off is loaded when somebody comes near it.
        self._again = None if self.is_whole else partial(self.load, jobs, reader, lane=lane)
        self._job = jobs.stream(
            work, self._told, self.finished.emit, self._fail, lane=lane, key=f"slices {lane}", owner=self
        )

    def stop(self) -> None:
        """Stop loading; what is there stays."""
        self._again = None
        if self._job is not None:
            self._job.cancel()

    def _told(self, index: object) -> None:
        self.changed.emit(index)

    def _fail(self, sentence: str) -> None:
        self._again = None
        self.failed.emit(sentence)


class Shelf:
    """The stores looked at last, newest last, as many as the budget holds; the newest always."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget = budget_bytes
        self._stores: dict[tuple[str, ...], SliceStore] = {}

    def __len__(self) -> int:
        return len(self._stores)

    def store(self, study_instance_uid: str, series: ViewedSeries, beside: SliceStore | None = None) -> SliceStore:
        """Return the store of a series: the one of before when its files are the same, else a new one.

        `beside` is on the screen too and stays, whatever the budget says.
        """
        key = (study_instance_uid, series.series_instance_uid, *(one.file.sha256 for one in series.instances))
        store = self._stores.pop(key, None) or SliceStore(study_instance_uid, series)
        self._stores[key] = store
        self._make_room((store, beside))
        return store

    def clear(self) -> None:
        """Let go of everything."""
        for store in self._stores.values():
            store.stop()
        self._stores.clear()

    def _make_room(self, kept: tuple[SliceStore | None, ...]) -> None:
        for key, store in list(self._stores.items()):
            if sum(one.size_bytes for one in self._stores.values()) <= self._budget:
                return
            if store not in kept:
                self._stores.pop(key).stop()


def hand_over(old: SliceStore, new: SliceStore) -> None:
    """Take what was read already into a store of the same series: the first look, and slices before late files."""
    if old.series.series_instance_uid != new.series.series_instance_uid:
        return
    places = {one.identity: index for index, one in enumerate(new.series.instances)}
    for index, instance in enumerate(old.series.instances):
        shown, place = old.shown(index), places.get(instance.identity)
        if shown is not None and place is not None and new.shown(place) is None:
            new.take(place, shown)


def place_after(old: SliceStore, new: SliceStore, index: int) -> int | None:
    """Return where a slice of the old store stands in the new one of the same series; None where nobody knows.

    What counts is the identity of the nearest slice that was read: late files move the others.
    """
    read = np.flatnonzero(old.marks != Mark.WAITING)
    if old.series.series_instance_uid != new.series.series_instance_uid or not read.size:
        return None
    nearest = int(read[np.argmin(np.abs(read - index))])
    identity = old.series.instances[nearest].identity
    places = (place for place, one in enumerate(new.series.instances) if one.identity == identity)
    found = next(places, None)
    return None if found is None else found + index - nearest
