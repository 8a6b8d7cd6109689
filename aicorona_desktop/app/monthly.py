"""One month of the clinic beside its verification: counts, drift, agreement, and how long studies have waited.

These are figures of a watch, not of a test: most studies have no later truth, and readers may have seen the score.

Source: ux.md 8.4 and 8.6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from math import nan, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, kolmogorov

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.intervals import proportion
from aicorona_desktop.evaluation.subgroups import thickness_band
from aicorona_desktop.history.store import MonthRow

FEWEST: Final = 20
"""With fewer scores on either side no drift is told: chance alone moves such a month."""

DRIFT_P: Final = 0.01
DRIFT_DISTANCE: Final = 0.15
NEW_SHARE: Final = 0.2
"""A manufacturer, kernel or thickness that the verification never saw is told from this share of the month on."""

CANNOT_BE_SCORED = frozenset({"unsuitable", "refused", "failed"})


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month, of the local clock, as [begin, end)."""

    begin: datetime
    end: datetime

    @property
    def name(self) -> str:
        """Such as 2026-03."""
        return f"{self.begin:%Y-%m}"


def month_of(moment: datetime) -> Month:
    """Return the month that a moment lies in, by the clock here."""
    begin = moment.astimezone().replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    following = (begin + timedelta(days=32)).replace(day=1)
    return Month(begin.astimezone(), following.astimezone())


def month_beside(month: Month, step: int) -> Month:
    """Return the month before (-1) or after (1) another."""
    inside = month.end + timedelta(days=1) if step > 0 else month.begin - timedelta(days=1)
    return month_of(inside)


@dataclass(frozen=True, slots=True)
class Waits:
    """Minutes from arrival to the first opening: medians and longest; NaN of none. `studies` were opened."""

    studies: int
    median: float
    longest: float


@dataclass(frozen=True, slots=True)
class Drift:
    """A month's scores beside those before.

    `distance` is the largest distance between the two distributions (Kolmogorov-Smirnov), `p` its chance without a
    drift (asymptotic); both NaN of nothing. `before` says how many scores they are held against.
    """

    scores: int
    before: int
    median: Interval
    median_before: Interval
    flagged: Interval
    flagged_before: Interval
    distance: float
    p: float

    @property
    def is_told(self) -> bool:
        """Whether the limit is passed."""
        enough = min(self.scores, self.before) >= FEWEST
        return enough and self.p < DRIFT_P and self.distance >= DRIFT_DISTANCE


@dataclass(frozen=True, slots=True)
class HeaderDrift:
    """What the headers of a month say that those before did not: the value, and its share of the month."""

    kind: str  # manufacturer, kernel, thickness
    value: str
    share: Interval


@dataclass(frozen=True, slots=True)
class MonthPage:
    """What is shown of a month. `flagged`, `missed` and the like are None where there is no operating point."""

    month: Month
    studies: int
    scored: int
    flagged: int | None
    unsuitable: int
    doubtful: int
    judged: int
    differ: int
    agreement: Interval
    with_outcome: int
    missed: int | None
    false_alarms: int | None
    drift: Drift
    new_values: tuple[HeaderDrift, ...]
    waits_flagged: Waits
    waits_others: Waits
    arrival_flagged: Waits
    arrival_others: Waits
    never_opened: int


def month_page(month: Month, rows: Sequence[MonthRow], before: Sequence[MonthRow], point: float | None) -> MonthPage:
    """Return the page of a month.

    Args:
        month: which.
        rows: its studies, in order of arrival.
        before: what it is held against: the studies that came earlier, or those of the verification.
        point: the operating point; None: nothing is flagged.
    """
    judged = [row for row in rows if row.p_covid is not None and row.impression in CLASSES]
    differ = sum(_answer(row, point) != row.impression for row in judged)
    known = [row for row in rows if row.outcome in CLASSES and row.p_covid is not None]
    scored = [row for row in rows if row.p_covid is not None]
    waits, in_arrival_order = _waits(rows), _waits_in_order_of_arrival(rows)
    return MonthPage(
        month,
        studies=len(rows),
        scored=len(scored),
        flagged=None if point is None else sum(_is_flagged(row, point) for row in scored),
        unsuitable=sum(row.state in CANNOT_BE_SCORED for row in rows),
        doubtful=sum(row.doubtful for row in rows),
        judged=len(judged),
        differ=differ,
        agreement=proportion(len(judged) - differ, len(judged)),
        with_outcome=len(known),
        missed=None if point is None else sum(row.outcome == "covid" and not _is_flagged(row, point) for row in known),
        false_alarms=None
        if point is None
        else sum(row.outcome != "covid" and _is_flagged(row, point) for row in known),
        drift=_drift(rows, before, point),
        new_values=_new_values(rows, before),
        waits_flagged=_summed(waits, rows, point, flagged=True),
        waits_others=_summed(waits, rows, point, flagged=False),
        arrival_flagged=_summed(in_arrival_order, rows, point, flagged=True),
        arrival_others=_summed(in_arrival_order, rows, point, flagged=False),
        never_opened=sum(row.first_opened_at is None for row in rows),
    )


def page_table(page: MonthPage) -> list[tuple[str, Any]]:
    """Return a page as rows of name and value, for a file."""
    table: list[tuple[str, Any]] = [("month", page.month.name)]
    for field in fields(page):
        value = getattr(page, field.name)
        if field.name == "new_values":
            table += [(f"new {one.kind}: {one.value}", one.share.value) for one in value]
        elif field.name != "month":
            table += _flat(field.name, value)
    return table


# --- scores ------------------------------------------------------------------------------------------------------


def largest_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float]:
    """Return the two-sample Kolmogorov-Smirnov distance and its asymptotic p; NaN of nothing.

    Source: Smirnov 1948; the limit of Kolmogorov's distribution at sqrt(nm / (n + m)) times the distance.
    """
    if not first.size or not second.size:
        return nan, nan
    places = np.concatenate([first, second])
    heights = [np.searchsorted(np.sort(one), places, side="right") / one.size for one in (first, second)]
    distance = float(np.abs(heights[0] - heights[1]).max())
    return distance, float(kolmogorov(sqrt(first.size * second.size / (first.size + second.size)) * distance))


def median_interval(values: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Return the median with the interval between two of the values that holds it at least so often (sign test)."""
    count = values.size
    if not count:
        return Interval(nan, nan, nan, "order statistics")
    ordered = np.sort(values)
    below = [place for place in range(count // 2 + 1) if bdtr(place, count, 0.5) <= (1 - level) / 2]
    middle = float(np.median(ordered))
    if not below:
        return Interval(middle, nan, nan, "order statistics")
    place = below[-1]
    return Interval(middle, float(ordered[place]), float(ordered[count - 1 - place]), "order statistics")


def _drift(rows: Sequence[MonthRow], before: Sequence[MonthRow], point: float | None) -> Drift:
    here, there = _scores(rows), _scores(before)
    distance, p = largest_distance(here, there)
    return Drift(
        here.size,
        there.size,
        median_interval(here),
        median_interval(there),
        _share_from(here, point),
        _share_from(there, point),
        distance,
        p,
    )


def _scores(rows: Iterable[MonthRow]) -> NDArray[np.float64]:
    return np.array([row.p_covid for row in rows if row.p_covid is not None], dtype=np.float64)


def _share_from(scores: NDArray[np.float64], point: float | None) -> Interval:
    if point is None:
        return Interval(nan, nan, nan)
    return proportion(int((scores >= point).sum()), int(scores.size))


def _new_values(rows: Sequence[MonthRow], before: Sequence[MonthRow]) -> tuple[HeaderDrift, ...]:
    found = []
    scored = [row for row in rows if row.p_covid is not None]
    for kind, value_of in _HEADERS.items():
        seen = {value_of(row) for row in before} - {""}
        for value, count in Counter(map(value_of, scored)).items():
            if seen and value and value not in seen and count / len(scored) >= NEW_SHARE:
                found.append(HeaderDrift(kind, value, proportion(count, len(scored))))
    return tuple(found)


_HEADERS: Final[Mapping[str, Callable[[MonthRow], str]]] = {
    "manufacturer": lambda row: row.manufacturer,
    "kernel": lambda row: row.kernel,
    "thickness": lambda row: thickness_band(row.thickness_mm),
}


# --- waiting -----------------------------------------------------------------------------------------------------


def _waits(rows: Sequence[MonthRow]) -> list[float | None]:
    return [None if row.first_opened_at is None else _minutes(row.received_at, row.first_opened_at) for row in rows]


def _waits_in_order_of_arrival(rows: Sequence[MonthRow]) -> list[float | None]:
    """Return how long each study would have waited if at every opening the longest waiting one had been opened.

    The moments at which somebody opened a study are those that were; only which study it was changes. Studies that
    nobody opened take part too: in order of arrival another one might have been left over.
    """
    in_order = sorted(range(len(rows)), key=lambda place: (rows[place].received_at, place))
    waits: list[float | None] = [None] * len(rows)
    following = 0  # of those in order of arrival: all before it have been opened
    for opened in sorted(row.first_opened_at for row in rows if row.first_opened_at is not None):
        if following < len(rows) and rows[in_order[following]].received_at <= opened:
            place = in_order[following]
            waits[place] = _minutes(rows[place].received_at, opened)
            following += 1
    return waits


def _summed(waits: Sequence[float | None], rows: Sequence[MonthRow], point: float | None, *, flagged: bool) -> Waits:
    known = [
        wait
        for wait, row in zip(waits, rows, strict=True)
        if wait is not None and (point is not None and _is_flagged(row, point)) == flagged
    ]
    if not known:
        return Waits(0, nan, nan)
    return Waits(len(known), float(np.median(known)), max(known))


def _minutes(begin: datetime, end: datetime) -> float:
    return max(0.0, (end.astimezone(UTC) - begin.astimezone(UTC)).total_seconds() / 60)


# --- one row -----------------------------------------------------------------------------------------------------


def _is_flagged(row: MonthRow, point: float) -> bool:
    return row.p_covid is not None and row.p_covid >= point


def _answer(row: MonthRow, point: float | None) -> str:
    """What the model says of a row, as `core.lanes.model_answer` has it."""
    if point is None or row.p_covid is None:
        return row.model_class
    return "covid" if row.p_covid >= point else row.model_other


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if hasattr(value, "__dataclass_fields__"):
        return [one for field in fields(value) for one in _flat(f"{name} {field.name}", getattr(value, field.name))]
    return [(name.replace("_", " "), "" if value is None or value != value else value)]  # noqa: PLR0124 - NaN
