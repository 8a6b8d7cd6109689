"""Where slices lie: order from feet to head, distances, gaps, tilt and orientation, from tags alone.

Everything here is in patient coordinates (LPS: x to the patient's left, y to the back, z to the head) and
in mm. Slice Location (0020,1041) is optional and Instance Number says nothing of place: both are left alone.

Source: DICOM PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.headers import Header, Vector
from aicorona_desktop.core.study import Instance
from aicorona_desktop.dicom.thresholds import GATE

FEET_TO_HEAD = np.array((0.0, 0.0, 1.0))
POSITION_DECIMALS = 3  # positions are decimal text; what lies below a micrometre is arithmetic


@dataclass(frozen=True, slots=True)
class Gap:
    """A distance of about k slice distances, k > 1: where `missing` = k - 1 slices should be."""

    after_slice: int  # index of the slice before the gap, 0 = nearest the feet
    width_mm: float
    missing: int


@dataclass(frozen=True, slots=True)
class Geometry:
    """How the slices of a series lie, in the order in which they came (feet first).

    `spacing_mm` is the median distance D of neighbours that don't share a position, 0 when all share one
    (or there is one slice). `unevenness_percent` is the largest deviation from D among the distances that
    are not gaps, 0 where rounded positions explain it. `coverage_mm` counts a whole D for every slice: last
    minus first plus D.
    """

    positions_mm: tuple[float, ...]  # along the slice normal, from the feet
    spacing_mm: float
    coverage_mm: float
    unevenness_percent: float
    gaps: tuple[Gap, ...]
    shared_positions: int  # neighbours closer than 0.05 mm
    tilt_deg: float  # slice normal against direction of travel
    off_axis_deg: float  # slice normal against the axis from feet to head
    in_plane_deg: float  # rows against the nearest axis of the patient, 90 degree turns and flips removed
    orientation_spread_deg: float  # the most that a slice's directions differ from those of the series


def slice_normal(row_cosines: Vector, column_cosines: Vector) -> NDArray[np.float64]:
    """Return the unit normal of a slice, pointing to the head; to left or back when it lies in the slice.

    Args:
        row_cosines: first half of Image Orientation (Patient): the direction of a row.
        column_cosines: second half of it.

    Raises:
        ValueError: the two directions are parallel.
    """
    normal = np.cross(np.asarray(row_cosines, dtype=np.float64), np.asarray(column_cosines, dtype=np.float64))
    length = float(np.linalg.norm(normal))
    if length < 1e-6:
        raise ValueError("the directions of rows and columns are parallel")
    normal = normal / length
    leading = normal[2] if abs(normal[2]) > 1e-3 else normal[int(np.argmax(np.abs(normal)))]
    return normal if leading > 0 else -normal


def slice_positions_mm(positions_mm: Sequence[Vector], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far along the slice normal each slice lies, float64 of shape (slices,), in the order given."""
    points = np.asarray(positions_mm, dtype=np.float64).reshape(-1, 3)
    return np.round(points @ normal, POSITION_DECIMALS)


def feet_first(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return the instances from feet to head, whatever order they came in.

    Ties are broken by Instance Number, then by file name in natural order, then by identity (paper-spec 2.4).
    Every instance needs position and orientation.
    """
    unordered = tuple(instances)
    if not unordered:
        return ()
    along = slice_positions_mm([_position(one.header) for one in unordered], _common_normal(unordered))
    ranked = sorted(zip(along.tolist(), unordered, strict=True), key=lambda pair: (pair[0], *_tie_break(pair[1])))
    return tuple(instance for _, instance in ranked)


def geometry_of(instances: Sequence[Instance]) -> Geometry:
    """Return how the slices lie; `instances` stand in the order of `feet_first`.

    Raises:
        ValueError: no instance, or one without position or orientation.
    """
    if not instances:
        raise ValueError("there are no slices")
    headers = [one.header for one in instances]
    normal = _common_normal(instances)
    along = slice_positions_mm([_position(header) for header in headers], normal)
    steps = np.diff(along)
    apart = np.abs(steps) > GATE.same_position_at_most_mm
    spacing = round(float(np.median(steps[apart])), POSITION_DECIMALS) if apart.any() else 0.0
    row_cosines, column_cosines = _common_directions(instances)
    return Geometry(
        positions_mm=tuple(along.tolist()),
        spacing_mm=spacing,
        coverage_mm=float(along[-1] - along[0]) + spacing,
        unevenness_percent=_unevenness_percent(steps[apart], spacing),
        gaps=_gaps(steps, spacing),
        shared_positions=int(np.count_nonzero(~apart)),
        tilt_deg=_tilt_deg(headers, normal),
        off_axis_deg=_line_angle_deg(normal, FEET_TO_HEAD),
        in_plane_deg=_in_plane_deg(row_cosines),
        orientation_spread_deg=_orientation_spread_deg(headers, row_cosines, column_cosines),
    )


def has_place(header: Header) -> bool:
    """Whether position and orientation are there."""
    return None not in (header.image_position_mm, header.row_cosines, header.column_cosines)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which IM2 stands before IM10."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d{1,18})", name))


def _tie_break(instance: Instance) -> tuple[object, ...]:
    number = instance.header.instance_number
    missing = number is None
    return (missing, number or 0, natural(instance.file.shown), instance.identity, instance.file.sha256)


def _position(header: Header) -> Vector:
    if header.image_position_mm is None:
        raise ValueError("a slice has no position")
    return header.image_position_mm


def _directions(header: Header) -> tuple[Vector, Vector]:
    if header.row_cosines is None or header.column_cosines is None:
        raise ValueError("a slice has no orientation")
    return header.row_cosines, header.column_cosines


def _common_directions(instances: Sequence[Instance]) -> tuple[Vector, Vector]:
    """The orientation that most slices have; the smallest of several as frequent, so that order has no say."""
    counts = Counter(_directions(one.header) for one in instances)
    return min(counts, key=lambda one: (-counts[one], one))


def _common_normal(instances: Sequence[Instance]) -> NDArray[np.float64]:
    return slice_normal(*_common_directions(instances))


def _is_gap(step_mm: float, spacing_mm: float) -> bool:
    multiple = round(step_mm / spacing_mm)
    off_mm = abs(step_mm - multiple * spacing_mm)
    return multiple > 1 and off_mm <= GATE.gap_tolerance_percent / 100 * multiple * spacing_mm


def _gaps(steps: NDArray[np.float64], spacing_mm: float) -> tuple[Gap, ...]:
    if spacing_mm <= 0:
        return ()
    return tuple(
        Gap(index, round(step, POSITION_DECIMALS), round(step / spacing_mm) - 1)
        for index, step in enumerate(steps.tolist())
        if _is_gap(step, spacing_mm)
    )


def _unevenness_percent(steps: NDArray[np.float64], spacing_mm: float) -> float:
    deviations = [abs(step - spacing_mm) for step in steps.tolist() if spacing_mm > 0 and not _is_gap(step, spacing_mm)]
    largest = round(max(deviations, default=0.0), POSITION_DECIMALS)
    return round(100 * largest / spacing_mm, 2) if largest > GATE.uneven_always_allowed_mm else 0.0


def _line_angle_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Between 0 and 90 degrees; exact for small angles too, where the arc cosine isn't."""
    across = float(np.linalg.norm(np.cross(first, second)))
    along = abs(float(np.dot(first, second)))
    return round(float(np.degrees(np.arctan2(across, along))), 4)


def _tilt_deg(headers: Sequence[Header], normal: NDArray[np.float64]) -> float:
    travel = np.subtract(_position(headers[-1]), _position(headers[0]))
    return _line_angle_deg(normal, travel) if np.linalg.norm(travel) > GATE.same_position_at_most_mm else 0.0


def _in_plane_deg(row_cosines: Vector) -> float:
    turned = float(np.degrees(np.arctan2(row_cosines[1], row_cosines[0]))) % 90
    return round(min(turned, 90 - turned), 4)


def _orientation_spread_deg(headers: Sequence[Header], row_cosines: Vector, column_cosines: Vector) -> float:
    common = np.array((row_cosines, column_cosines))
    each = np.array([_directions(header) for header in headers])  # (slices, 2, 3)
    across = np.linalg.norm(np.cross(each, common), axis=-1)
    along = np.sum(each * common, axis=-1)
    return round(float(np.degrees(np.arctan2(across, along)).max()), 4)
