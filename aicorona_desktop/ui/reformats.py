"""The coronal and sagittal planes of the series on the screen, and the cross that says where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PySide6.QtCore import QCoreApplication

from aicorona_desktop.app.viewing import letters, opposite, standard_directions
from aicorona_desktop.core.headers import Vector
from aicorona_desktop.imaging.reformat import Levels, levels, plane_of
from aicorona_desktop.imaging.voi import to_grey
from aicorona_desktop.ui.panes import Dressing, Field, ImagePane, Picture
from aicorona_desktop.ui.slice_store import SliceStore
from aicorona_desktop.ui.viewer_state import ViewerState


class Plane(StrEnum):
    """Which way a plane runs through the slices."""

    CORONAL = "coronal"
    SAGITTAL = "sagittal"


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What a plane's picture depends on, but for the slices that have come since."""

    plane: Plane
    at: int
    changes: int
    window: object
    inverted: bool


class ReformatView:
    """Draws one plane into a pane, true to the distances; unread slices are gaps that fill as they come."""

    def __init__(self, pane: ImagePane, plane: Plane) -> None:
        self.pane = pane
        self.plane = plane
        self._drawn: _Drawn | None = None
        self._store: SliceStore | None = None
        self._levels: Levels | None = None

    def show(self, store: SliceStore | None, state: ViewerState) -> None:
        """Draw the plane through the cross of this state; nothing where the slices have no place or no spacing."""
        if store is not self._store:
            self._store, self._drawn = store, None
            self._levels = _levels(store)
        if store is None or self._levels is None or state.cross is None:
            self.pane.show_picture(None, Field(1, 1))
            self.pane.dress(Dressing(reason=_why_not(store)))
            return
        at = state.cross[0] if self.plane is Plane.CORONAL else state.cross[1]
        wanted = _Drawn(self.plane, at, store.changes, state.window, state.inverted)
        if wanted != self._drawn:
            self._drawn = wanted
            self._draw(store, self._levels, state, at)
        self.pane.dress(self._dressing(store, self._levels, state, at))

    def cross_at(self, column: float, row: float, state: ViewerState) -> tuple[tuple[int, int], int] | None:
        """Return the cross and the slice that a point of this plane stands for."""
        store, rows = self._store, self._levels
        if store is None or rows is None or state.cross is None:
            return None
        index = store.series.nearest(rows.position_of(row))
        place = round(column)
        if self.plane is Plane.CORONAL:
            cross = (state.cross[0], min(max(place, 0), store.series.columns - 1))
        else:
            cross = (min(max(place, 0), store.series.rows - 1), state.cross[1])
        return cross, state.slice_index if index is None else index

    def _draw(self, store: SliceStore, rows: Levels, state: ViewerState, at: int) -> None:
        lines, read = store.rows_at(at) if self.plane is Plane.CORONAL else store.columns_at(at)
        plane = plane_of(lines, rows, read)
        grey = to_grey(plane, state.window, inverted=state.inverted)
        aspect = rows.step_mm / _across_mm(store, self.plane)
        self.pane.show_picture(
            Picture(grey, state.slice_index, (plane.shape[0], plane.shape[1])),
            Field(plane.shape[0], plane.shape[1], aspect),
        )

    def _dressing(self, store: SliceStore, rows: Levels, state: ViewerState, at: int) -> Dressing:
        position = store.series.position_mm(state.slice_index)
        cross = state.cross or (0, 0)
        row = None if position is None else rows.row_of(position)
        column = cross[1] if self.plane is Plane.CORONAL else cross[0]
        title = (
            QCoreApplication.translate("reformats", "Coronal, row {number}")
            if self.plane is Plane.CORONAL
            else QCoreApplication.translate("reformats", "Sagittal, column {number}")
        ).format(number=at + 1)
        notes = [QCoreApplication.translate("reformats", "Computed, to find the place")]
        if not store.is_whole:
            notes.append(QCoreApplication.translate("reformats", "A large series: the part around this slice"))
        return Dressing(
            corners=((title, *notes), (), (), ()),
            letters=_letters(store, self.plane),
            mm_per_column=_across_mm(store, self.plane),
            lines=((row, column),),
        )


def can_be_cut(store: SliceStore | None) -> bool:
    """Whether the slices have a place and a spacing, and are more than one."""
    return _levels(store) is not None


def middle(store: SliceStore) -> tuple[int, int]:
    """Return the cross in the middle of the slices."""
    return store.series.rows // 2, store.series.columns // 2


def _levels(store: SliceStore | None) -> Levels | None:
    if store is None or store.series.geometry is None or store.series.spacing_mm is None or store.slices < 2:
        return None
    geometry = store.series.geometry
    if geometry.spacing_mm <= 0 or not np.all(np.diff(geometry.positions_mm) > 0):
        return None
    return levels(geometry.positions_mm, min(store.series.spacing_mm))


def _across_mm(store: SliceStore, plane: Plane) -> float:
    between_rows, between_columns = store.series.spacing_mm or (1.0, 1.0)
    return between_columns if plane is Plane.CORONAL else between_rows


def _letters(store: SliceStore, plane: Plane) -> tuple[str, str, str, str] | None:
    directions = standard_directions(store.series.header)
    if directions is None:
        return None
    across: Vector = directions.across if plane is Plane.CORONAL else directions.down
    return letters(opposite(across)), letters(across), "H", "F"


def _why_not(store: SliceStore | None) -> str:
    if store is None:
        return ""
    return QCoreApplication.translate(
        "reformats", "No plane can be cut: the slices lack their places or distances, or share them."
    )
