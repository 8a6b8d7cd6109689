"""The decoded slices of the series on the screen: loaded outward from where somebody looks, kept for a return.

One int16 volume a series, allocated once and filled by the loading thread; the window's thread reads a slice only
when its mark says that it is whole. The series looked at last stay, within a budget of bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from aicorona_desktop.app.viewing import Pixels, StudyReader, ViewedSeries
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.ui.jobs import Job, Jobs, cancelled

BUDGET_BYTES = 400 * 1024 * 1024
"""With the window itself, one series of 500 slices and the rest of this stay below 800 MB."""


class Mark(IntEnum):
    """How a slice stands."""

    WAITING = 0
    THERE = 1
    BROKEN = 2


class Outward:
    """The indices that are not loaded yet, always the one nearest to `want` next; any thread may call."""

    def __init__(self, missing: set[int], wanted: int) -> None:
        self._missing = missing
        self._wanted = wanted
        self._lock = threading.Lock()

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
            self._missing.discard(nearest)
            return nearest


class SliceStore(QObject):
    """The slices of one series; `changed` comes with each index that has become whole or broken."""

    changed = Signal(int)
    finished = Signal()
    failed = Signal(str)

    def __init__(self, study_instance_uid: str, series: ViewedSeries) -> None:
        super().__init__()
        self.study_instance_uid = study_instance_uid
        self.series = series
        count = len(series.instances)
        self.volume: NDArray[np.int16] = np.empty((count, series.rows, series.columns), np.int16)
        self.marks: NDArray[np.uint8] = np.zeros(count, np.uint8)
        self._others: dict[int, Pixels] = {}  # of another size, or the reason why there are none
        self._order = Outward(set(), 0)
        self._job: Job | None = None

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
        """How much memory the volume takes once it is full."""
        return self.series.size_bytes

    @property
    def in_volume(self) -> NDArray[np.bool_]:
        """Which slices of the volume may be read, bool [slices]; those of another size may not."""
        there: NDArray[np.bool_] = self.marks == Mark.THERE
        there[[index for index, one in list(self._others.items()) if not isinstance(one, Finding)]] = False
        return there

    def pixels(self, index: int) -> Pixels | None:
        """Return a slice, the reason why there is none, or None while it is not there yet."""
        if not 0 <= index < self.slices or self.marks[index] == Mark.WAITING:
            return None
        other = self._others.get(index)
        return self.volume[index] if other is None else other

    def take(self, index: int, pixels: Pixels) -> None:
        """Keep a slice; on whatever thread, before anybody is told."""
        if isinstance(pixels, Finding):
            self._others[index] = pixels
            self.marks[index] = Mark.BROKEN
            return
        if pixels.shape == self.volume.shape[1:]:
            self.volume[index] = pixels
            self._others.pop(index, None)
        else:
            self._others[index] = pixels
        self.marks[index] = Mark.THERE

    def want(self, index: int) -> None:
        """Load this slice next, and those around it after it."""
        self._order.want(index)

    def load(self, jobs: Jobs, reader: StudyReader, start: int, lane: str) -> None:
        """Load what is missing, outward from `start`; a store that is loading goes on from there."""
        self.want(start)
        if self._job is not None and not self._job.finished and not self._job.cancelled:
            return
        missing = set(np.flatnonzero(self.marks != Mark.THERE).tolist())  # a medium may have come back
        if not missing:
            return
        self._order = order = Outward(missing, start)

        def work(give: Callable[[object], None]) -> None:
            for index, pixels in reader.slices(self.series, order, cancelled):
                self.take(index, pixels)
                give(index)

        self._job = jobs.stream(
            work, self._told, self.finished.emit, self.failed.emit, lane=lane, key=f"slices {lane}", owner=self
        )

    def stop(self) -> None:
        """Stop loading; what is there stays."""
        if self._job is not None:
            self._job.cancel()

    def _told(self, index: object) -> None:
        self.changed.emit(index)


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
        pixels, place = old.pixels(index), places.get(instance.identity)
        if pixels is not None and place is not None and new.pixels(place) is None:
            new.take(place, pixels)


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
