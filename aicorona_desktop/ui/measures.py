"""Measures on slices: what they say, where they are kept, and how one is taken back.

A measure belongs to a slice by the slice's identity, so that late files that move the slices don't move it.
Points are (column, row) in standard orientation, the centre of the first pixel at (0, 0).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QObject, Signal
from PySide6.QtGui import QUndoCommand
from PySide6.QtWidgets import QWidget

from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.imaging.roi import Point, RoiStatistics, Shape, distance_mm, statistics
from aicorona_desktop.ui.charts import BarChart, Bars
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.panes import MEASURE, Drawn

KINDS = ("distance", "ellipse", "rectangle", "probe")
FORM = 1
"""The form of a stored geometry: {"form": 1, "slice": identity, "points": [[column, row], [column, row]]}."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure; `key` names it for as long as the window is open."""

    key: int
    series_instance_uid: str
    identity: str
    kind: str
    first: Point
    second: Point

    @property
    def geometry(self) -> Mapping[str, object]:
        """What the history keeps."""
        points = [[round(each, 3) for each in point] for point in (self.first, self.second)]
        return {"form": FORM, "slice": self.identity, "points": points}


def told(
    measure: Measure, hounsfield: NDArray[np.int16] | None, spacing_mm: tuple[float, float] | None
) -> tuple[str, RoiStatistics | None]:
    """Return what a measure says on its slice, and the statistics behind it where it has an area.

    Without a spacing lengths are in pixels: unknown is shown as unknown.
    """
    if measure.kind == "distance":
        return _length(measure, spacing_mm), None
    if hounsfield is None:
        return "", None
    if measure.kind == "probe":
        return _value(hounsfield, measure.first), None
    found = statistics(hounsfield, cast("Shape", measure.kind), measure.first, measure.second, spacing_mm)
    return _area(found), found


def _length(measure: Measure, spacing_mm: tuple[float, float] | None) -> str:
    if spacing_mm is None:
        pixels = math.hypot(measure.second[0] - measure.first[0], measure.second[1] - measure.first[1])
        return QCoreApplication.translate("measures", "{pixels} px (no spacing)").format(pixels=f"{pixels:.1f}")
    return f"{distance_mm(measure.first, measure.second, spacing_mm):.1f} mm"


def value_at(hounsfield: NDArray[np.int16], point: Point) -> int | None:
    """Return the Hounsfield units of the pixel at a point; None beside the slice."""
    column, row = (math.floor(each + 0.5) for each in point)
    rows, columns = hounsfield.shape
    return int(hounsfield[row, column]) if 0 <= row < rows and 0 <= column < columns else None


def _value(hounsfield: NDArray[np.int16], point: Point) -> str:
    value = value_at(hounsfield, point)
    if value is None or value == PADDING_HU:
        return QCoreApplication.translate("measures", "outside the scan")
    return f"{value} HU"


def _area(found: RoiStatistics) -> str:
    if found.mean_hu is None or found.sd_hu is None:
        return QCoreApplication.translate("measures", "no pixel inside")
    values = QCoreApplication.translate("measures", "mean {mean} HU, SD {sd}")
    size = QCoreApplication.translate("measures", "n {pixels}")
    lines = [values.format(mean=f"{found.mean_hu:.1f}", sd=f"{found.sd_hu:.1f}"), size.format(pixels=found.pixels)]
    if found.area_mm2 is not None:
        lines[1] += f", {found.area_mm2 / 100:.2f} cm²"
    return "\n".join(lines)


def drawn(measure: Measure, text: str, *, chosen: bool) -> Drawn:
    """Return a measure as a pane draws it."""
    return Drawn(measure.kind, measure.first, measure.second, text, chosen)


def nearest(measures: Sequence[Measure], point: Point, within: float) -> Measure | None:
    """Return the measure whose outline passes a point within some slice pixels; None where none does."""
    away = [(_away(one, point), one) for one in measures]
    close = [pair for pair in away if pair[0] <= within]
    return min(close, key=lambda pair: pair[0])[1] if close else None


def _away(measure: Measure, point: Point) -> float:
    (x, y), (left, top), (right, bottom) = point, measure.first, measure.second
    if measure.kind == "probe":
        return math.hypot(x - left, y - top)
    if measure.kind == "distance":
        return _from_line(point, measure.first, measure.second)
    if measure.kind == "ellipse":
        wide, high = max(abs(right - left) / 2, 0.5), max(abs(bottom - top) / 2, 0.5)
        radius = math.hypot((x - (left + right) / 2) / wide, (y - (top + bottom) / 2) / high)
        return abs(radius - 1) * min(wide, high)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return min(_from_line(point, one, other) for one, other in itertools.pairwise((*corners, corners[0])))


def _from_line(point: Point, first: Point, second: Point) -> float:
    across, down = second[0] - first[0], second[1] - first[1]
    length = across**2 + down**2
    share = 0.0 if not length else ((point[0] - first[0]) * across + (point[1] - first[1]) * down) / length
    share = min(max(share, 0.0), 1.0)
    return math.hypot(point[0] - first[0] - share * across, point[1] - first[1] - share * down)


class MeasureBook(QObject):
    """The measures of the study on the screen: shown at once, kept by the history behind it, each step undoable.

    Where the history can't be written they last as long as the study is open.
    """

    changed = Signal()

    def __init__(self, context: Context, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._study = ""
        self._measures: dict[int, Measure] = {}
        self._numbers: dict[int, int] = {}  # in the history, by key; written by the ledger lane
        self._keys = itertools.count(1)
        self.chosen: int | None = None
        """The key of the measure that Del deletes."""

    def show_study(self, study_instance_uid: str) -> None:
        """Read the measures of a study; those of the study before are gone from the screen."""
        if study_instance_uid == self._study:
            return
        self._study, self.chosen = study_instance_uid, None
        self._measures, self._numbers = {}, {}
        self.changed.emit()
        reading = self._context.reading
        self._context.jobs.run(
            lambda: reading.measures(study_instance_uid), self._read, key="measures of a study", owner=self
        )

    def on(self, series_instance_uid: str, identity: str) -> tuple[Measure, ...]:
        """Return the measures on one slice, oldest first."""
        return tuple(
            one
            for one in self._measures.values()
            if one.series_instance_uid == series_instance_uid and one.identity == identity
        )

    def add(self, series_instance_uid: str, identity: str, kind: str, first: Point, second: Point) -> Measure:
        """Keep a new measure; undo takes it back."""
        measure = Measure(next(self._keys), series_instance_uid, identity, kind, first, second)
        self._context.undo.push(_Step(self, measure, adds=True))
        return measure

    def delete(self, measure: Measure) -> None:
        """Delete a measure; undo brings it back."""
        self._context.undo.push(_Step(self, measure, adds=False))

    def choose(self, measure: Measure | None) -> None:
        """Make a measure the one that Del deletes."""
        self.chosen = None if measure is None else measure.key
        self.changed.emit()

    def find(self, key: int | None) -> Measure | None:
        """Return a measure by its key."""
        return None if key is None else self._measures.get(key)

    def put(self, study: str, measure: Measure) -> None:
        """Show a measure and have it kept; for the undo steps."""
        if study == self._study:
            self._measures[measure.key] = measure
            self.chosen = measure.key
            self.changed.emit()
        if not self._context.writable:
            return
        history, numbers, person = self._context.running.history, self._numbers, self._context.person()

        def save() -> None:
            numbers[measure.key] = history.save_measure(
                study, measure.series_instance_uid, measure.kind, measure.geometry, person
            )

        self._context.jobs.run(save, _nothing, self._not_kept, owner=self)

    def take_away(self, study: str, measure: Measure) -> None:
        """Take a measure off the picture and back in the history; for the undo steps."""
        if study == self._study:
            self._measures.pop(measure.key, None)
            self.chosen = None
            self.changed.emit()
        if not self._context.writable:
            return
        history, numbers, person = self._context.running.history, self._numbers, self._context.person()

        def take_back() -> None:
            number = numbers.pop(measure.key, None)  # the lane has saved it by now
            if number is not None:
                history.take_back_measure(number, person)

        self._context.jobs.run(take_back, _nothing, self._not_kept, owner=self)

    @property
    def study(self) -> str:
        """Whose measures these are."""
        return self._study

    def _read(self, stored: Sequence[object]) -> None:
        for one in stored:
            measure = _restored(one, next(self._keys))
            if measure is not None:
                self._measures[measure.key] = measure
                self._numbers[measure.key] = one.number  # type: ignore[attr-defined]
        self.changed.emit()

    def _not_kept(self, sentence: str) -> None:
        self._context.jobs.failed.emit(sentence)


class _Step(QUndoCommand):
    """One measure added or deleted."""

    def __init__(self, book: MeasureBook, measure: Measure, *, adds: bool) -> None:
        super().__init__(
            QCoreApplication.translate("measures", "Add measure")
            if adds
            else QCoreApplication.translate("measures", "Delete measure")
        )
        self._book, self._study, self._measure, self._adds = book, book.study, replace(measure), adds

    def redo(self) -> None:
        """Do it."""
        (self._book.put if self._adds else self._book.take_away)(self._study, self._measure)

    def undo(self) -> None:
        """Take it back."""
        (self._book.take_away if self._adds else self._book.put)(self._study, self._measure)


def _restored(stored: object, key: int) -> Measure | None:
    """Return a stored measure, None for one that this version can't draw."""
    geometry, kind = stored.geometry, stored.kind  # type: ignore[attr-defined]
    try:
        (left, top), (right, bottom) = geometry["points"]
        points = (float(left), float(top)), (float(right), float(bottom))
    except (KeyError, TypeError, ValueError):
        return None
    if kind not in KINDS or geometry.get("form") != FORM:
        return None
    return Measure(key, stored.series_instance_uid, str(geometry["slice"]), kind, *points)  # type: ignore[attr-defined]


def _nothing(_: None) -> None:
    pass


class Histogram(BarChart):
    """The values inside the chosen ellipse or rectangle; hidden while none is chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(MEASURE, MEASURE, parent)
        self.setObjectName("histogram")
        self.found: RoiStatistics | None = None
        self.hide()

    def show_values(self, found: RoiStatistics | None) -> None:
        """Draw these counts; None hides the widget."""
        self.found = found if found is not None and found.pixels else None
        self.setVisible(self.found is not None)
        if self.found is None:
            return
        name = QCoreApplication.translate("measures", "Histogram from {low} to {high} HU")
        self.setAccessibleName(name.format(low=self.found.smallest_hu, high=self.found.largest_hu))
        edges, counts = self.found.edges_hu, self.found.counts.astype(np.float64)
        pixels = QCoreApplication.translate("measures", "Pixels")
        self.show_bars(Bars(edges[:-1], edges[1:], counts), "HU", pixels)
