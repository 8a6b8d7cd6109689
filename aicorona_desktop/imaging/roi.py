"""Measures on one slice: distances in mm, and what lies inside an ellipse or a rectangle.

Points are (column, row) in pixels of the slice in standard orientation: the centre of the first pixel is
(0, 0), so that a pixel reaches from -0.5 to 0.5. A pixel belongs to a shape when its centre lies in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.study import PADDING_HU

Point = tuple[float, float]
Shape = Literal["ellipse", "rectangle"]
BINS = 64


@dataclass(frozen=True, slots=True, eq=False)
class RoiStatistics:
    """What the pixels inside a shape say, those outside the scan left out.

    `mean_hu`, `sd_hu` (of these pixels, not of a population), `smallest_hu` and `largest_hu` are None where no
    pixel is inside. `area_mm2` is the pixels' own area, None where the spacing is unknown. `counts` int64
    [BINS] is their histogram between `smallest_hu` and `largest_hu`.
    """

    pixels: int
    mean_hu: float | None
    sd_hu: float | None
    smallest_hu: int | None
    largest_hu: int | None
    area_mm2: float | None
    counts: NDArray[np.int64]

    @property
    def edges_hu(self) -> NDArray[np.float64]:
        """Where the bars of the histogram begin and end, float64 [BINS + 1]; from 0 to 1 where no pixel is inside."""
        smallest = self.smallest_hu or 0
        return np.linspace(smallest, max(self.largest_hu or 0, smallest + 1), BINS + 1)


def distance_mm(first: Point, second: Point, spacing_mm: tuple[float, float]) -> float:
    """Return the distance between two points; `spacing_mm` is between rows, and between columns."""
    between_rows, between_columns = spacing_mm
    return math.hypot((second[0] - first[0]) * between_columns, (second[1] - first[1]) * between_rows)


def inside(
    shape: Shape, first: Point, second: Point, rows: int, columns: int
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return the part of the slice that a shape can touch, and which of its pixels lie in it.

    Args:
        shape: what is drawn into the box of the two corners.
        first: one corner of the box.
        second: the corner across.
        rows: of the slice.
        columns: of the slice.
    """
    (left, right), (top, bottom) = (sorted((first[axis], second[axis])) for axis in (0, 1))
    where = (_range(top, bottom, rows), _range(left, right, columns))
    y = np.arange(where[0].start, where[0].stop)[:, None]
    x = np.arange(where[1].start, where[1].stop)[None, :]
    if shape == "rectangle":
        return where, (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    wide, high = max((right - left) / 2, 1e-9), max((bottom - top) / 2, 1e-9)
    return where, ((x - (left + right) / 2) / wide) ** 2 + ((y - (top + bottom) / 2) / high) ** 2 <= 1


def statistics(
    hounsfield: NDArray[np.int16], shape: Shape, first: Point, second: Point, spacing_mm: tuple[float, float] | None
) -> RoiStatistics:
    """Return what lies inside a shape on one slice, int16 [rows, columns]; see `inside`."""
    where, mask = inside(shape, first, second, *hounsfield.shape)
    values = hounsfield[where][mask]
    values = values[values != PADDING_HU]
    area = None if spacing_mm is None else values.size * spacing_mm[0] * spacing_mm[1]
    if not values.size:
        return RoiStatistics(0, None, None, None, None, area, np.zeros(BINS, np.int64))
    smallest, largest = int(values.min()), int(values.max())
    counts, _ = np.histogram(values, BINS, (smallest, max(largest, smallest + 1)))
    return RoiStatistics(
        pixels=int(values.size),
        mean_hu=float(values.mean(dtype=np.float64)),
        sd_hu=float(values.std(dtype=np.float64)),
        smallest_hu=smallest,
        largest_hu=largest,
        area_mm2=area,
        counts=counts.astype(np.int64),
    )


def _range(low: float, high: float, size: int) -> slice:
    start = min(max(math.ceil(low), 0), size)
    return slice(start, min(max(math.floor(high) + 1, start), size))
