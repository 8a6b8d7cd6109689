from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from aicorona_desktop.app.viewing import ShownSlice, StudyReader, ViewedSeries
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import Series
from aicorona_desktop.ui.jobs import Jobs
from aicorona_desktop.ui.slice_store import LARGEST_STORE_BYTES, Mark, Outward, SliceStore
from tests.history import made_up

SLICES, SIDE = 200, 16
ROOM = 40


class Numbered(StudyReader):
    """Every slice is full of its own number; the tenth can't be read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def shown_slices(
        self, series: ViewedSeries, order: Iterable[int], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, ShownSlice | Finding]]:
        for index in order:
            if stop():
                return
            self.asked.append(index)
            if index == 10:
                yield index, Finding(Outcome.REFUSED, Reason.DECODE_FAILED)
            else:
                yield index, ShownSlice(np.full((SIDE, SIDE), index, np.int16))


@pytest.fixture
def jobs(qtbot: QtBot) -> Iterator[Jobs]:
    jobs = Jobs()
    yield jobs
    assert jobs.close(5)


@pytest.fixture
def store() -> SliceStore:
    instance = made_up.study(slices=1).series[0].instances[0]
    instances = (instance,) * SLICES
    series = ViewedSeries(Series("1", instances), instances, None, (), SIDE, SIDE, scored=False)
    return SliceStore("1", series, largest_bytes=ROOM * 2 * SIDE * SIDE)


def there(store: SliceStore) -> list[int]:
    return np.flatnonzero(store.marks != Mark.WAITING).tolist()


def test_of_a_large_series_only_the_slices_around_the_one_on_the_screen_are_kept(
    qtbot: QtBot, jobs: Jobs, store: SliceStore
) -> None:
    reader = Numbered()
    store.load(jobs, reader, 100, "pictures")
    with qtbot.waitSignal(store.finished):
        pass

    assert there(store) == list(range(80, 120))
    assert reader.asked[:3] == [100, 99, 101]
    assert store.size_bytes == ROOM * 2 * SIDE * SIDE
    assert not store.is_whole

    with qtbot.waitSignal(store.finished):
        store.want(8)  # a jump
    assert there(store) == list(range(ROOM))
    assert isinstance(store.pixels(10), Finding)
    assert all((store.pixels(index) == index).all() for index in range(ROOM) if index != 10)  # type: ignore[union-attr]
    assert store.pixels(100) is None

    with qtbot.waitSignal(store.finished):
        store.want(SLICES - 1)
    assert there(store) == list(range(SLICES - ROOM, SLICES))


def test_small_steps_load_nothing_until_the_edge_comes_near(qtbot: QtBot, jobs: Jobs, store: SliceStore) -> None:
    reader = Numbered()
    store.load(jobs, reader, 100, "pictures")
    with qtbot.waitSignal(store.finished):
        pass
    read = len(reader.asked)

    for index in range(100, 110):
        store.want(index)
    assert len(reader.asked) == read
    with qtbot.waitSignal(store.finished):
        store.want(110)
    assert there(store) == list(range(90, 130))


def test_what_is_being_drawn_stays_whole_when_its_slice_is_let_go(store: SliceStore) -> None:
    store.take(0, ShownSlice(np.zeros((SIDE, SIDE), np.int16)))
    drawn = store.pixels(0)
    store.want(150)
    changes = store.changes
    for index in range(120, 120 + ROOM):
        store.take(index, ShownSlice(np.full((SIDE, SIDE), index, np.int16)))

    assert store.pixels(0) is None
    assert not np.any(drawn)  # type: ignore[arg-type]
    assert store.changes > changes
    lines, read = store.rows_at(3)
    assert np.flatnonzero(read).tolist() == list(range(120, 160))
    assert (lines[130] == 130).all()


@pytest.mark.parametrize("wanted", [0, 7, 20, 33, 39])
def test_the_way_outward_ends_at_the_edge_of_what_fits(wanted: int) -> None:
    order = list(Outward(set(range(40)), wanted, 40, 10))

    first = min(max(wanted - 5, 0), 30)
    assert sorted(order) == list(range(first, first + 10))
    assert order[0] == wanted


def test_the_usual_series_is_kept_as_a_whole() -> None:
    instance = made_up.study(slices=1).series[0].instances[0]
    series = ViewedSeries(Series("1", ()), (instance,) * 700, None, (), 512, 512, scored=False)

    assert SliceStore("1", series).is_whole
    assert SliceStore("1", series).size_bytes <= LARGEST_STORE_BYTES
