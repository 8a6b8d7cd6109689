"""The worklist as the window shows it: pages of the history, each row with its lane, its rank and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from aicorona_desktop.core.rows import Lane, Row
from aicorona_desktop.history.lanes import EVERYTHING
from aicorona_desktop.history.store import Column, Filter, History, LaneCounts, LaneKey, Position
from aicorona_desktop.triage.ranking import TO_DO, Policy, reason_for


@dataclass(frozen=True, slots=True)
class WorklistPage:
    """Some rows in order, with lane, rank and reason; `next_key` asks for those after them, None at the end."""

    rows: tuple[Row, ...]
    next_key: LaneKey | None


@dataclass(frozen=True, slots=True)
class Worklist:
    """The list of one history; as thread safe as that is.

    Rank and reason are those of `ranking.rank` over every study that is on the list, whatever is wanted: what a
    filter hides still counts. Removed studies are in no lane.
    """

    history: History

    def counts(self, now: datetime, policy: Policy, wanted: Filter = EVERYTHING) -> LaneCounts:
        """Return how many wanted studies stand in each lane."""
        return self.history.lane_counts(now, policy, wanted)

    def page(  # noqa: PLR0917 - they are told in the order of the words
        self,
        lane: Lane,
        now: datetime,
        policy: Policy,
        wanted: Filter = EVERYTHING,
        after: LaneKey | None = None,
        limit: int = 200,
        *,
        skip: int = 0,
    ) -> WorklistPage:
        """Return the next wanted rows of a lane, `skip` of them left out: a jump costs no more than a page."""
        with self.history.at_one_moment():
            page = self.history.lane_page(lane, now, policy, wanted, after, limit=limit, skip=skip)
            whole = self.history.lane_counts(now, policy)
        moment = _Moment(whole, now, policy)
        rows = zip(page.rows, page.places, strict=True)
        return WorklistPage(tuple(moment.ranked(row, lane, place) for row, place in rows), page.next_key)

    def sorted_page(  # noqa: PLR0917 - as above
        self,
        column: Column,
        now: datetime,
        policy: Policy,
        wanted: Filter = EVERYTHING,
        after: LaneKey | None = None,
        limit: int = 200,
        *,
        skip: int = 0,
        descending: bool = False,
    ) -> WorklistPage:
        """Return the next wanted rows of all lanes, sorted by a column; rank and reason stay those of the lanes."""
        with self.history.at_one_moment():
            page = self.history.sorted_page(
                column, now, policy, wanted, after, limit=limit, skip=skip, descending=descending
            )
            whole = self.history.lane_counts(now, policy)
        moment = _Moment(whole, now, policy)
        rows = zip(page.rows, page.lanes, page.places, strict=True)
        return WorklistPage(tuple(moment.ranked(row, lane, place) for row, lane, place in rows), page.next_key)

    def position(
        self, study_instance_uid: str, now: datetime, policy: Policy, wanted: Filter = EVERYTHING
    ) -> Position | None:
        """Return where a study stands among the wanted ones; None where it is not on the list or not wanted."""
        return self.history.position(study_instance_uid, now, policy, wanted)

    def row(self, study_instance_uid: str, now: datetime, policy: Policy) -> Row | None:
        """Return one study with its lane, rank and reason; without them where it is not on the list."""
        with self.history.at_one_moment():
            row = self.history.row(study_instance_uid)
            position = self.history.position(study_instance_uid, now, policy)
            whole = self.history.lane_counts(now, policy)
        if row is None or position is None:
            return row
        return _Moment(whole, now, policy).ranked(row, position.lane, position.place)


@dataclass(frozen=True, slots=True)
class _Moment:
    """How many studies stand where, at a time and under a policy."""

    whole: LaneCounts
    now: datetime
    policy: Policy

    def ranked(self, row: Row, lane: Lane, place: int) -> Row:
        lanes = list(Lane)
        rank = sum(self.whole.lanes[one] for one in lanes[: lanes.index(lane)]) + place
        to_do = sum(self.whole.lanes[one] for one in TO_DO)
        reason = reason_for(row, lane, (rank, to_do), self.now, self.policy)
        return replace(row, lane=lane, rank=rank, reason=reason)
