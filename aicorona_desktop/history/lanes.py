"""The worklist's lanes, paged from indices in the order of `triage.ranking`, and the filters over them.

`standing` and the sort columns are kept by `history.standing`; a score that turns out to be damaged only when its
row is read moves that row to those that need a person for as long as the ledger is open.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aicorona_desktop.core.findings import Reason
from aicorona_desktop.core.lanes import CANNOT_BE_SCORED, Policy, Standing
from aicorona_desktop.core.rows import Lane, Row
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.core.settings import Order
from aicorona_desktop.core.space import Measure, free_bytes
from aicorona_desktop.history import opening, queries
from aicorona_desktop.history.ledger import Ledger
from aicorona_desktop.history.values import (
    Column,
    Filter,
    LaneCounts,
    LaneKey,
    LanePage,
    Page,
    Position,
    SortedPage,
    time_text,
)

EVERYTHING = Filter()

SortValues = tuple[float | int | str, ...]
_Found = tuple[tuple[int, ...], tuple[SortValues, ...]]

_CLASSES = ", ".join(f"'{one}'" for one in CLASSES)
_WITHOUT_SCORE = ", ".join(f"'{state.value}'" for state in sorted(CANNOT_BE_SCORED))
_WITH_OUTCOME = (
    "sequence IN (SELECT study FROM outcome AS said WHERE takes_back IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM outcome AS later WHERE later.takes_back = said.sequence))"
)
_TIE = ("received_at", "study_instance_uid")
_SORTED_BY: dict[Column, tuple[str, ...]] = {
    Column.NAME: ("patient_name", "patient_id"),
    Column.AGE: ("coalesce(patient_age_years, -1)",),
    Column.STUDY_TIME: ("study_date", "study_time"),
    Column.WAITING: (),
    Column.SCORE: ("-by_covid",),
    Column.STATE: ("state",),
    Column.SERIES: (
        "coalesce((SELECT series_description FROM series WHERE series.study = study.sequence"
        " AND series.series_instance_uid = study.series_instance_uid), '')",
    ),
    Column.READER: ("read_by",),
}


@dataclass(slots=True)
class _Condition:
    """A condition on rows of `study` and the values of its marks."""

    sql: list[str] = field(default_factory=list)
    values: list[str | int | float] = field(default_factory=list)

    def add(self, sql: str, *values: str | float) -> None:
        self.sql.append(sql)
        self.values.extend(values)

    def __str__(self) -> str:
        return " AND ".join(f"({one})" for one in self.sql) or "1"

    def __add__(self, other: _Condition) -> _Condition:
        return _Condition(self.sql + other.sql, self.values + other.values)


@dataclass(frozen=True, slots=True)
class _Span:
    """Which rows of an order: after a key, so many left out, so many at most."""

    after: LaneKey | None = None
    limit: int = -1  # none
    skip: int = 0
    descending: bool = False

    @property
    def seen(self) -> int:
        return (self.after.place if self.after else 0) + self.skip


class Lanes(Ledger):
    """The part of the history that the list is read from."""

    def __init__(
        self, path: Path, opened: opening.Opened, clock: Callable[[], datetime], measure_free: Measure = free_bytes
    ) -> None:
        super().__init__(path, opened, clock, measure_free)
        self._damaged: frozenset[int] = frozenset()

    def lane_counts(self, now: datetime, policy: Policy, wanted: Filter = EVERYTHING) -> LaneCounts:
        """Return how many studies stand in each lane at a moment."""
        with self.at_one_moment(), self._reading() as connection:
            look = _Look(connection, now, policy, self._damaged)
            whole, unread = look.counts(EVERYTHING)
            lanes, unread = (whole, unread) if wanted == EVERYTHING else look.counts(wanted)
            return LaneCounts(
                lanes=lanes,
                unread=unread,
                read_today=look.read_today(),
                removed=look.removed(),
                total=sum(whole.values()),
            )

    def lane_page(
        self,
        lane: Lane,
        now: datetime,
        policy: Policy,
        wanted: Filter = EVERYTHING,
        after: LaneKey | None = None,
        *,
        limit: int = 200,
        skip: int = 0,
    ) -> LanePage:
        """Return the next wanted rows of a lane, in the order of `triage.ranking.rank`, after the key of a page.

        `skip` rows are left out before them, to jump into a long lane.

        `triage.worklist` gives the rows their lane, rank and reason.
        """
        with self.at_one_moment(), self._reading() as connection:
            while True:
                look = _Look(connection, now, policy, self._damaged)
                page, numbers = look.page(lane, wanted, _Span(after, limit, skip))
                if not self._note_damage(page.rows, numbers):
                    return page

    def sorted_page(
        self,
        column: Column,
        now: datetime,
        policy: Policy,
        wanted: Filter = EVERYTHING,
        after: LaneKey | None = None,
        *,
        limit: int = 200,
        skip: int = 0,
        descending: bool = False,
    ) -> SortedPage:
        """Return the next wanted rows of all lanes sorted by a column, ties by arrival; removed rows aren't there."""
        with self.at_one_moment(), self._reading() as connection:
            while True:
                look = _Look(connection, now, policy, self._damaged)
                page, numbers = look.sorted_page(column, wanted, _Span(after, limit, skip, descending))
                if not self._note_damage(page.rows, numbers):
                    return page

    def position(
        self, study_instance_uid: str, now: datetime, policy: Policy, wanted: Filter = EVERYTHING
    ) -> Position | None:
        """Return where a study stands among the wanted ones; None where it is not on the list or not wanted."""
        with self.at_one_moment(), self._reading() as connection:
            return _Look(connection, now, policy, self._damaged).position(study_instance_uid, wanted)

    def page(
        self,
        after_key: int | None = None,
        limit: int = 200,
        wanted: Filter = EVERYTHING,
        *,
        now: datetime | None = None,
        policy: Policy | None = None,
    ) -> Page:
        """Return wanted studies, newest first, after the `next_key` of the page before, the removed among them.

        `now` and `policy` matter where lanes or `differ` are asked for.
        """
        with self.at_one_moment(), self._reading() as connection:
            look = _Look(connection, now or self._clock(), policy or Policy(), self._damaged)
            condition = look.wanted(wanted)
            return queries.page(connection, after_key, limit, str(condition), condition.values)

    def look_for_damage(self, after: int = 0, limit: int = 500) -> int | None:
        """Prove the scores of some studies, so that a damaged one is known before its row is shown.

        Returns the number to go on after, None when all have been proved.
        """
        with self._reading() as connection:
            found = connection.execute(
                "SELECT sequence FROM study WHERE sequence > ? AND result IS NOT NULL ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
            numbers = [one[0] for one in found]
            self._note_damage(queries.rows_of(connection, numbers), numbers)
            return numbers[-1] if len(numbers) == limit else None

    def _note_damage(self, rows: Iterable[Row], numbers: Iterable[int]) -> bool:
        """Remember the rows whose score is damaged; return whether one is new."""
        damaged = {number for row, number in zip(rows, numbers, strict=True) if _is_damaged(row)}
        is_new = not damaged <= self._damaged
        self._damaged |= damaged
        return is_new


def _is_damaged(row: Row) -> bool:
    return any(finding.reason is Reason.RESULT_DAMAGED for finding in row.findings)


@dataclass(frozen=True, slots=True)
class _Order:
    """How a lane is sorted: by a band first, if there is one, then by columns in the order of an index."""

    index: str
    columns: tuple[str, ...] = _TIE
    band: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.band, *self.columns) if self.band else self.columns

    def same_band(self, values: SortValues) -> _Condition:
        return _Condition([f"({self.band}) = ?"], [values[0]]) if self.band else _Condition()

    def bands_before(self, values: SortValues) -> _Condition:
        return _Condition([f"({self.band}) < ?"], [values[0]])

    def up_to(self, values: SortValues) -> _Condition:
        """Return the rows of a row's band down to that row."""
        return self.same_band(values) + _beyond(self.columns, "<=", values[-len(self.columns) :])

    def beyond(self, values: SortValues) -> _Condition:
        """Return the rows of a row's band below that row."""
        return self.same_band(values) + _beyond(self.columns, ">", values[-len(self.columns) :])


class _Look:
    """One look at the list, at one moment: a part of one reading.

    Each query names its index: the list must not become slow because SQLite guesses otherwise.
    """

    def __init__(self, connection: sqlite3.Connection, now: datetime, policy: Policy, damaged: Collection[int]) -> None:
        self._connection = connection
        self._policy = policy
        self._now = now
        self._overdue_at = time_text(now - policy.wait_cap)
        self._strays = json.dumps(sorted(damaged)) if damaged else ""

    # --- conditions ------------------------------------------------------------------------------------------

    def lane(self, lane: Lane, *, is_bounded: bool = False) -> _Condition:
        """Return what holds for the rows of a lane; `is_bounded`: a nearer bound on the arrival stands beside it."""
        condition = _Condition()
        if lane is Lane.NEEDS_PERSON and self._strays:
            strays = "standing <> 'removed' AND sequence IN (SELECT value FROM json_each(?))"
            condition.add(f"standing = 'needs_person' OR ({strays})", self._strays)
            return condition
        if lane in (Lane.OVERDUE, Lane.RANKED):
            condition.add("standing = 'open'")
            column = "+received_at" if is_bounded else "received_at"  # + keeps the index for the nearer bound
            condition.add(f"{column} {'<=' if lane is Lane.OVERDUE else '>'} ?", self._overdue_at)
        else:
            condition.add(f"standing = '{Standing(lane.value).value}'")
        if self._strays:
            condition.add("sequence NOT IN (SELECT value FROM json_each(?))", self._strays)
        return condition

    def wanted(self, wanted: Filter) -> _Condition:
        condition = self._worded(wanted)
        marked = self._marked(wanted)
        if marked.sql:
            inner = f"SELECT sequence FROM study INDEXED BY study_filters WHERE {marked}"  # noqa: S608 - values are bound
            condition.add(f"sequence IN ({inner})", *marked.values)
        return condition

    @staticmethod
    def _worded(wanted: Filter) -> _Condition:
        condition = _Condition()
        if wanted.text:
            sql, values = queries.text_condition(wanted.text)
            condition.add(sql, *values)
        return condition

    def _marked(self, wanted: Filter) -> _Condition:
        """The conditions of a filter that its index answers."""
        condition = _Condition()
        if wanted.states:
            states = sorted(one.value for one in wanted.states)
            condition.add(f"state IN ({', '.join('?' * len(states))})", *states)
        if wanted.lanes:
            lanes = [self.lane(lane) for lane in sorted(wanted.lanes)]
            condition.add(" OR ".join(f"({one})" for one in lanes), *(value for one in lanes for value in one.values))
        if wanted.differ:
            self._differ(condition)
        for is_wanted, sql in (
            (wanted.covid_outcome_pcr_negative, "outcome = 'covid' AND rt_pcr_negative"),
            (wanted.doubtful, "doubtful"),
            (wanted.unsuitable, f"state IN ({_WITHOUT_SCORE})"),
            (wanted.one_slice, "one_slice"),
            (wanted.unread, "read_at IS NULL"),
            (wanted.judged, f"model_top <> '' AND impression IN ({_CLASSES})"),
            (wanted.has_outcome, _WITH_OUTCOME),
        ):
            if is_wanted:
                condition.add(sql)
        if wanted.flagged_from is not None:
            condition.add("by_covid <= ?", -wanted.flagged_from)
        if wanted.reader:
            condition.add("read_by = ? COLLATE NOCASE", wanted.reader)
        self._dated(condition, wanted)
        return condition

    def _differ(self, condition: _Condition) -> None:
        """The condition of `core.lanes.model_and_reader_differ`, from what is kept of `model_answer`."""
        condition.add(f"model_top <> '' AND impression IN ({_CLASSES})")
        if self._policy.operating_point is None:
            condition.add("impression <> model_top")
        else:
            answer = "CASE WHEN by_covid <= ? THEN 'covid' ELSE model_other END"
            condition.add(f"impression <> {answer}", -self._policy.operating_point)

    @staticmethod
    def _dated(condition: _Condition, wanted: Filter) -> None:
        day = "CASE WHEN study_date = '' THEN substr(received_at, 1, 10) ELSE study_date END"
        if wanted.date_from is not None:
            condition.add(f"{day} >= ?", wanted.date_from.isoformat())
        if wanted.date_to is not None:
            condition.add(f"{day} <= ?", wanted.date_to.isoformat())

    def _order(self, lane: Lane) -> _Order:
        """Return how a lane is sorted, smallest first: the order of `triage.ranking.rank`."""
        order, point = self._policy.order, self._policy.operating_point
        if lane is Lane.READ:
            return _Order("study_by_read", ("by_read", *_TIE))
        if lane is Lane.RANKED and order is Order.COVID:
            return _Order("study_by_covid", ("by_covid", *_TIE))
        if lane is Lane.RANKED and order is Order.ABNORMAL_FIRST:
            return _Order("study_by_normal", ("by_normal", *_TIE))
        if lane is Lane.RANKED and order is Order.TWO_BANDS and point is not None:
            return _Order("study_by_arrival", band=f"by_covid > {-point!r}")
        return _Order("study_by_arrival")

    def _source(self, lane: Lane) -> str:
        if lane is Lane.NEEDS_PERSON and self._strays:
            return "study"
        return f"study INDEXED BY {self._order(lane).index}"

    # --- counts ----------------------------------------------------------------------------------------------

    def counts(self, wanted: Filter) -> tuple[dict[Lane, int], int]:
        """Return how many wanted studies stand in each lane, and how many above the read ones nobody has read."""
        if self._strays or wanted == EVERYTHING:
            index = "study INDEXED BY study_filters" if wanted != EVERYTHING else "study INDEXED BY study_by_arrival"
            source = "study" if self._strays else index
            lanes = {lane: self._count(self.lane(lane) + self.wanted(wanted), source) for lane in Lane}
            # A verdict beside a score that is damaged by now doesn't count.
            unread = _Condition(
                ["read_at IS NULL OR sequence IN (SELECT value FROM json_each(?))"], [self._strays or "[]"]
            )
            by_a_person = self._count(self.lane(Lane.NEEDS_PERSON) + unread + self.wanted(wanted), "study")
            return lanes, lanes[Lane.OVERDUE] + lanes[Lane.RANKED] + by_a_person
        return self._counts_in_one_walk(wanted)

    def _counts_in_one_walk(self, wanted: Filter) -> tuple[dict[Lane, int], int]:
        condition = self._worded(wanted) + self._marked(wanted)
        lane = "CASE standing WHEN 'open' THEN iif(received_at <= ?, 'overdue', 'ranked') ELSE standing END"
        found = self._connection.execute(
            f"SELECT {lane} AS lane, count(*), sum(read_at IS NULL) FROM study INDEXED BY study_filters"  # noqa: S608
            f" WHERE {condition} GROUP BY lane",
            (self._overdue_at, *condition.values),
        )
        counts = {name: (count, unread) for name, count, unread in found}
        above = (Lane.NEEDS_PERSON, Lane.OVERDUE, Lane.RANKED)
        return {lane: counts.get(lane.value, (0, 0))[0] for lane in Lane}, sum(
            counts.get(lane.value, (0, 0))[1] for lane in above
        )

    def read_today(self) -> int:
        midnight = self._now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        return self._count(_Condition(["read_at >= ?"], [time_text(midnight)]), "study INDEXED BY study_read_at")

    def removed(self) -> int:
        return self._count(_Condition(["standing = 'removed'"]), "study INDEXED BY study_by_arrival")

    def _count(self, condition: _Condition, source: str) -> int:
        sql = f"SELECT count(*) FROM {source} WHERE {condition}"  # noqa: S608 - values are bound
        return int(self._connection.execute(sql, condition.values).fetchone()[0])

    # --- pages -----------------------------------------------------------------------------------------------

    def page(self, lane: Lane, wanted: Filter, span: _Span) -> tuple[LanePage, tuple[int, ...]]:
        numbers, values = self._next(lane, self.wanted(wanted), span)
        if wanted == EVERYTHING:
            places = tuple(range(span.seen + 1, span.seen + 1 + len(numbers)))
        else:
            places = tuple(self._places(lane, values, span.after))
        next_key = LaneKey(values[-1], places[-1]) if len(numbers) == span.limit else None
        return LanePage(queries.rows_of(self._connection, numbers), places, next_key), numbers

    def sorted_page(self, column: Column, wanted: Filter, span: _Span) -> tuple[SortedPage, tuple[int, ...]]:
        listed = _Condition(["standing <> 'removed'"]) + self.wanted(wanted)
        numbers, values = self._sorted((*_SORTED_BY[column], *_TIE), listed, span, "study NOT INDEXED")
        where = self._lanes_and_places(numbers)
        next_key = LaneKey(values[-1], span.seen + len(numbers)) if len(numbers) == span.limit else None
        rows = queries.rows_of(self._connection, numbers)
        lanes, places = tuple(where[one][0] for one in numbers), tuple(where[one][1] for one in numbers)
        return SortedPage(rows, lanes, places, next_key), numbers

    def position(self, study_instance_uid: str, wanted: Filter) -> Position | None:
        asked = _Condition(["study_instance_uid = ?"], [study_instance_uid]) + self.wanted(wanted)
        for lane in Lane:
            _, found = self._sorted(self._order(lane).keys, self.lane(lane) + asked, _Span(), "study")
            if found:
                place = next(self._places(lane, found, None))
                index = place if wanted == EVERYTHING else next(self._places(lane, found, None, wanted))
                return Position(lane, index - 1, place)
        return None

    def _next(self, lane: Lane, wanted: _Condition, span: _Span) -> _Found:
        """Return the next wanted rows of a lane."""
        return self._sorted(
            self._order(lane).keys,
            self.lane(lane, is_bounded=lane is Lane.RANKED and span.after is not None) + wanted,
            span,
            self._source(lane),
        )

    def _sorted(self, keys: Sequence[str], condition: _Condition, span: _Span, source: str) -> _Found:
        """Return the numbers and the sort values of rows."""
        if span.after is not None:
            condition += _beyond(keys, "<" if span.descending else ">", span.after.values)
        direction = " DESC" if span.descending else ""
        order = ", ".join(f"{key}{direction}" for key in keys)
        names = ", ".join(keys)
        sql = f"SELECT sequence, {names} FROM {source} WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
        found = [tuple(one) for one in self._connection.execute(sql, (*condition.values, span.limit, span.skip))]
        return tuple(one[0] for one in found), tuple(one[1:] for one in found)

    def _places(
        self, lane: Lane, rows: Iterable[SortValues], after: LaneKey | None, wanted: Filter = EVERYTHING
    ) -> Iterator[int]:
        """Give the place from 1, among the wanted rows of a lane, of rows in its order: each counts on from the last.

        So the index is walked once, whatever the number of rows.
        """
        order, source, condition = self._order(lane), self._source(lane), self.wanted(wanted)
        place, before = (after.place, after.values) if after else (0, None)
        for values in rows:
            if order.band and (before is None or before[0] != values[0]):
                place = self._count(self.lane(lane) + order.bands_before(values) + condition, source)
                before = None
            is_bounded = lane is Lane.OVERDUE or before is not None
            between = self.lane(lane, is_bounded=is_bounded) + order.up_to(values) + condition
            if before is not None:
                between += order.beyond(before)
            place, before = place + self._count(between, source), values
            yield place

    def _lanes_and_places(self, numbers: Sequence[int]) -> dict[int, tuple[Lane, int]]:
        asked = _Condition(["sequence IN (SELECT value FROM json_each(?))"], [json.dumps(numbers)])
        where: dict[int, tuple[Lane, int]] = {}
        for lane in Lane:
            there, values = self._sorted(self._order(lane).keys, self.lane(lane) + asked, _Span(), "study NOT INDEXED")
            where |= {one: (lane, place) for one, place in zip(there, self._places(lane, values, None), strict=True)}
        return where


def _beyond(keys: Sequence[str], sign: str, values: SortValues) -> _Condition:
    return _Condition([f"({', '.join(keys)}) {sign} ({', '.join('?' * len(keys))})"], list(values))
