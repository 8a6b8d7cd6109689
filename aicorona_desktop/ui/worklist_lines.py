"""Which line of the list shows what: the heading of a lane, a study, or one line of a study's fold-out. No Qt."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from enum import Enum, auto
from itertools import accumulate

from aicorona_desktop.core.rows import Lane


class Kind(Enum):
    """What a line is."""

    LANE = auto()
    STUDY = auto()
    DETAIL = auto()


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `position` counts the studies of the lane from 0, `detail` the lines of a fold-out from 0."""

    kind: Kind
    lane: Lane
    position: int = -1
    detail: int = -1


@dataclass(frozen=True, slots=True)
class _Run:
    """Lines of one kind that follow one another, the first at `position` (or detail 0 of that study)."""

    kind: Kind
    lane: Lane
    position: int
    length: int

    def line(self, offset: int) -> Line:
        if self.kind is Kind.LANE:
            return Line(Kind.LANE, self.lane)
        if self.kind is Kind.STUDY:
            return Line(Kind.STUDY, self.lane, self.position + offset)
        return Line(Kind.DETAIL, self.lane, self.position, offset)


class Lines:
    """All lines of a list, found by number without writing them down: a lane may hold 100,000 studies.

    Args:
        counts: how many studies each lane holds; a lane without any has no line at all.
        folded: the lanes that show their heading only.
        details: the studies that are folded out, by lane and position, with the length of their fold-out.
        headed: False leaves the headings out, for a list that is sorted by a column.
    """

    def __init__(
        self,
        counts: Mapping[Lane, int],
        folded: Set[Lane] = frozenset(),
        details: Mapping[tuple[Lane, int], int] | None = None,
        *,
        headed: bool = True,
    ) -> None:
        self._counts = {lane: counts.get(lane, 0) for lane in Lane}
        self._runs = tuple(self._all_runs(folded, details or {}, headed))
        self._starts = [0, *accumulate(run.length for run in self._runs)]
        self._places = {
            (run.kind, run.lane, run.position): start for run, start in zip(self._runs, self._starts, strict=False)
        }

    def _all_runs(self, folded: Set[Lane], details: Mapping[tuple[Lane, int], int], headed: bool) -> Iterator[_Run]:
        for lane, count in self._counts.items():
            if not count:
                continue
            if headed:
                yield _Run(Kind.LANE, lane, -1, 1)
            if lane not in folded:
                opened = sorted((place, length) for (of, place), length in details.items() if of is lane and length)
                yield from _runs_of(lane, count, opened)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, number: int) -> Line:
        if not 0 <= number < len(self):
            raise IndexError(number)
        at = bisect_right(self._starts, number) - 1
        return self._runs[at].line(number - self._starts[at])

    def heading(self, lane: Lane) -> int | None:
        """Return the line of a lane's heading."""
        return self._places.get((Kind.LANE, lane, -1))

    def study(self, lane: Lane, position: int) -> int | None:
        """Return the line of a study; None where the lane is folded or shorter."""
        for run, start in zip(self._runs, self._starts, strict=False):
            if run.kind is Kind.STUDY and run.lane is lane and run.position <= position < run.position + run.length:
                return start + position - run.position
        return None

    def positions(self, first: int, last: int) -> Iterable[tuple[Lane, range]]:
        """Return which studies stand on the lines `first` to `last`, both included, lane by lane."""
        for run, start in zip(self._runs, self._starts, strict=False):
            low, high = max(first, start), min(last + 1, start + run.length)
            if run.kind is Kind.STUDY and low < high:
                yield run.lane, range(run.position + low - start, run.position + high - start)


def _runs_of(lane: Lane, count: int, opened: Iterable[tuple[int, int]]) -> Iterator[_Run]:
    """Cut the studies of a lane wherever one is folded out."""
    begin = 0
    for place, length in opened:
        if place >= count:
            break
        yield _Run(Kind.STUDY, lane, begin, place + 1 - begin)
        yield _Run(Kind.DETAIL, lane, place, length)
        begin = place + 1
    if begin < count:
        yield _Run(Kind.STUDY, lane, begin, count - begin)
