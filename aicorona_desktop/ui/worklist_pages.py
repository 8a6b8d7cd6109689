"""Reading the list from the history: the order of one moment, and pages of it, on the ledger's thread. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from aicorona_desktop.core.lanes import Policy
from aicorona_desktop.core.rows import Lane, Row
from aicorona_desktop.core.settings import Order
from aicorona_desktop.history.store import Column, Filter, LaneCounts, LaneKey
from aicorona_desktop.triage.worklist import Worklist

PAGE = 100
"""How many rows are read at a time."""

SORTED_LANE = Lane.RANKED
"""Where all studies stand while a column sorts them: lanes then have no meaning for the order."""

Place = tuple[Lane, int]
PageOf = tuple[Lane, int]


@dataclass(frozen=True, slots=True)
class Sort:
    """A column that sorts the whole list, in place of the lanes."""

    column: Column
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What the list shall show: which studies, in which order."""

    policy: Policy = field(default_factory=Policy)
    wanted: Filter = field(default_factory=Filter)
    sort: Sort | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The order of the list at one moment: how many studies each lane holds, and those of them that were read.

    `number` tells snapshots apart. `rows` go by lane and position; what is missing is read when it comes into
    sight. `tally` counts what the list holds altogether, wanted or not. `elsewhere` are studies of the order
    before, wherever they stand now.
    """

    number: int
    now: datetime
    asked: Asked
    counts: Mapping[Lane, int]
    tally: LaneCounts
    rows: Mapping[Place, Row] = field(default_factory=dict)
    elsewhere: tuple[Row, ...] = ()

    @property
    def total(self) -> int:
        """How many studies are in the order."""
        return sum(self.counts.values())

    @property
    def is_sorted(self) -> bool:
        """Whether a column sorts the list, so that there are no lanes."""
        return self.asked.sort is not None

    @property
    def is_filtered(self) -> bool:
        """Whether the user wants some studies only."""
        return self.asked.wanted != Filter()

    @property
    def order(self) -> Order:
        """How the ranked lane is ordered."""
        return self.asked.policy.order


NOTHING = LaneCounts(MappingProxyType({}), 0, 0, 0, 0)


def empty_snapshot(now: datetime) -> Snapshot:
    """Return what a list shows before anything was read."""
    return Snapshot(0, now, Asked(), {}, NOTHING)


@dataclass(frozen=True, slots=True)
class Change:
    """How a new order differs from the one that is drawn: new studies, and how many now stand above a study."""

    new: int = 0
    above: int = 0
    moved: bool = False

    def __bool__(self) -> bool:
        return self.moved


class Pages:
    """Reads snapshots and their pages; keeps where each page of the newest few snapshots begins."""

    def __init__(self, worklist: Worklist) -> None:
        self._worklist = worklist
        self._number = 0
        self._keys: dict[int, dict[PageOf, LaneKey]] = {}

    def snapshot(
        self,
        asked: Asked,
        now: datetime,
        pages: Collection[PageOf] = (),
        *,
        follow: Collection[str] = (),
        also: Collection[str] = (),
        keep: int = 0,
    ) -> Snapshot:
        """Return the present order, with the pages asked for and those around the studies to be followed.

        Args:
            asked: which studies in which order.
            now: aware; decides who is overdue.
            pages: by lane and number.
            follow: Study Instance UIDs that must be found again wherever they stand now.
            also: Study Instance UIDs of which only the row is wanted.
            keep: the number of the snapshot that is drawn, whose pages will be asked for.
        """
        self._number += 1
        tally = self._worklist.counts(now, asked.policy, asked.wanted)
        counts = dict(tally.lanes) if asked.sort is None else {SORTED_LANE: tally.wanted}
        bare = Snapshot(self._number, now, asked, counts, tally)
        self._keys = {number: keys for number, keys in self._keys.items() if number == keep}
        wanted = {page for page in pages if page[1] * PAGE < counts.get(page[0], 0)}
        rows = self._read(bare, wanted | {page for uid in follow for page in self._around(bare, uid)})
        there = {row.study_instance_uid for row in rows.values()}
        elsewhere = (self._worklist.row(uid, now, asked.policy) for uid in also if uid not in there)
        return replace(bare, rows=rows, elsewhere=tuple(row for row in elsewhere if row is not None))

    def page(self, snapshot: Snapshot, page: PageOf) -> tuple[Row, ...]:
        """Return the rows of one page of a snapshot, as far as they are still there."""
        rows = self._read(snapshot, {page})
        start = page[1] * PAGE
        inside = range(start, min(start + PAGE, snapshot.counts.get(page[0], 0)))
        return tuple(rows[page[0], position] for position in inside if (page[0], position) in rows)

    def _around(self, snapshot: Snapshot, uid: str) -> Iterable[PageOf]:
        """Return the page of a study and the one nearest beside it."""
        if snapshot.is_sorted:
            return ()
        where = self._worklist.position(uid, snapshot.now, snapshot.asked.policy, snapshot.asked.wanted)
        if where is None:
            return ()
        beside = max(0, where.index // PAGE + (1 if where.index % PAGE >= PAGE // 2 else -1))
        return {(where.lane, where.index // PAGE), (where.lane, beside)}

    def _read(self, snapshot: Snapshot, pages: Collection[PageOf]) -> dict[Place, Row]:
        rows: dict[Place, Row] = {}
        for lane, number in sorted(pages):
            found = self._one(snapshot, lane, number)
            rows |= {(lane, number * PAGE + offset): row for offset, row in enumerate(found)}
        return rows

    def _one(self, snapshot: Snapshot, lane: Lane, number: int) -> tuple[Row, ...]:
        """Read one page after the nearest key above it that is known, leaving out what lies between."""
        keys, asked = self._keys.setdefault(snapshot.number, {}), snapshot.asked
        known = max((at for of, at in keys if of is lane and at <= number), default=0)
        after, skip = keys.get((lane, known)), (number - known) * PAGE
        if asked.sort is None:
            found = self._worklist.page(lane, snapshot.now, asked.policy, asked.wanted, after, limit=PAGE, skip=skip)
        else:
            column, descending = asked.sort.column, asked.sort.descending
            found = self._worklist.sorted_page(
                column, snapshot.now, asked.policy, asked.wanted, after, limit=PAGE, skip=skip, descending=descending
            )
        if found.next_key is not None:
            keys[lane, number + 1] = found.next_key
        return found.rows


def difference(drawn: Snapshot, drawn_rows: Mapping[Place, Row], new: Snapshot, anchor: str) -> Change:
    """Return how a new order differs from the drawn one, as far as both have been read.

    Args:
        drawn: the order on the screen.
        drawn_rows: its rows that have been read by now.
        new: the order that waits.
        anchor: the study whose place on the screen matters; "" counts from the first one.
    """
    both = drawn_rows.keys() & new.rows.keys()
    same = dict(drawn.counts) == dict(new.counts) and all(
        drawn_rows[place].study_instance_uid == new.rows[place].study_instance_uid for place in both
    )
    if same:
        return Change()
    known = {row.study_instance_uid for row in drawn_rows.values()}
    new_above = _above(new.rows, anchor)
    return Change(
        new=_fresh(drawn, known, new),
        above=len(new_above - _above(drawn_rows, anchor)),
        moved=True,
    )


def _fresh(drawn: Snapshot, known: Collection[str], new: Snapshot) -> int:
    """Return how many studies are new: exactly where all that is drawn has been read, else by the totals."""
    if len(known) >= drawn.total and len(new.rows) >= new.total:
        return sum(row.study_instance_uid not in known for row in new.rows.values())
    return max(0, new.total - drawn.total)


def _above(rows: Mapping[Place, Row], anchor: str) -> frozenset[str]:
    """Return the studies above one; where that is not among them, none."""
    uids: list[str] = []
    for _, row in sorted(rows.items(), key=lambda one: (_LANE_ORDER[one[0][0]], one[0][1])):
        if row.study_instance_uid == anchor:
            return frozenset(uids)
        uids.append(row.study_instance_uid)
    return frozenset()


_LANE_ORDER = {lane: place for place, lane in enumerate(Lane)}
