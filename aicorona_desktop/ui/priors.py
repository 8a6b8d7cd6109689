"""Earlier studies of the same patient, and the place in one that belongs to a place in the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aicorona_desktop.app.viewing import ViewedSeries
from aicorona_desktop.core.rows import Row


@dataclass(frozen=True, slots=True)
class Link:
    """How two series hang together: the place in the other is the place in this one plus `offset_mm`.

    `measured` is False where the two scans have no common origin: then the middles of what was used (else of the
    scans) were laid on each other.
    """

    offset_mm: float
    measured: bool


def earlier_studies(row: Row, others: Iterable[Row]) -> tuple[Row, ...]:
    """Return the other studies of the same patient ID, those before this one first, newest first; then later ones.

    Without a patient ID nobody knows whose studies they are, and there are none.
    """
    if not row.patient_id:
        return ()
    same = [
        one for one in others if one.patient_id == row.patient_id and one.study_instance_uid != row.study_instance_uid
    ]
    same.sort(key=lambda one: (one.study_date, one.study_time, one.study_instance_uid), reverse=True)
    now = (row.study_date, row.study_time)
    before = [one for one in same if (one.study_date, one.study_time) <= now]
    return (*before, *(one for one in same if one not in before))


def link(series: ViewedSeries, other: ViewedSeries) -> Link:
    """Return how two series hang together: by their common frame of reference, else by their middles."""
    one, two = series.header.frame_of_reference_uid, other.header.frame_of_reference_uid
    if one and one == two:
        return Link(0.0, measured=True)
    here, there = _middle_mm(series), _middle_mm(other)
    return Link(0.0 if here is None or there is None else there - here, measured=False)


def matching_slice(series: ViewedSeries, index: int, other: ViewedSeries, offset_mm: float) -> int:
    """Return the slice of the other series nearest to this one's place; by its share of the way where none is known."""
    here = series.position_mm(index)
    nearest = None if here is None else other.nearest(here + offset_mm)
    if nearest is not None:
        return nearest
    way = index / max(len(series.instances) - 1, 1)
    return round(way * (len(other.instances) - 1))


def _middle_mm(series: ViewedSeries) -> float | None:
    if series.geometry is None:
        return None
    places = [series.geometry.positions_mm[index] for index in series.used] or list(series.geometry.positions_mm)
    return (places[0] + places[-1]) / 2
