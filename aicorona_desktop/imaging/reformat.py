"""Coronal and sagittal planes of a stack of axial slices, true to its distances.

The head is on top; a coronal plane has the patient's right on the left, a sagittal one the front on the left.
Where the scan has nothing (a slice that is missing, unread or damaged) the plane carries padding: nothing is
made up across a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.study import PADDING_HU

GAP_FROM = 1.75
"""From this many of the usual distances between neighbours on, the space between them is unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Where each row of a reformatted plane comes from: two neighbouring slices and the upper one's share.

    Arrays of shape (rows,), the head first. `known` is False where no slice is near enough; `rows` of the
    plane lie `step_mm` apart, the first at `top_mm` along the slice normal.
    """

    below: NDArray[np.intp]
    above: NDArray[np.intp]
    share: NDArray[np.float32]
    known: NDArray[np.bool_]
    step_mm: float
    top_mm: float

    def row_of(self, position_mm: float) -> float:
        """Return the row of the plane (fractional, 0 = centre of the first) at a place along the normal."""
        return (self.top_mm - position_mm) / self.step_mm

    def position_of(self, row: float) -> float:
        """Return the place along the normal of a row of the plane."""
        return self.top_mm - row * self.step_mm


def levels(positions_mm: Sequence[float], step_mm: float) -> Levels:
    """Return the rows of a plane through slices at these places (ascending, feet first), `step_mm` apart.

    Every slice stands for the usual distance around it, half of it above the last and below the first.

    Raises:
        ValueError: fewer than two places, or a step that is not positive.
    """
    along = np.asarray(positions_mm, np.float64)
    if along.size < 2 or not step_mm > 0:
        raise ValueError("a plane across slices needs two of them and a positive step")
    steps = np.diff(along)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else step_mm
    count = max(1, round((along[-1] - along[0] + usual) / step_mm))
    top = along[-1] + usual / 2 - step_mm / 2
    wanted = top - np.arange(count) * step_mm
    above = np.clip(np.searchsorted(along, wanted), 1, along.size - 1)
    below = above - 1
    apart = np.maximum(along[above] - along[below], 1e-9)
    share = np.clip((wanted - along[below]) / apart, 0, 1).astype(np.float32)
    nearest = np.minimum(np.abs(wanted - along[below]), np.abs(along[above] - wanted))
    known = (apart < GAP_FROM * usual) | (nearest <= usual / 2 + 1e-6)
    # Beside a gap a slice stands for itself only.
    share = np.where(apart < GAP_FROM * usual, share, np.rint(share)).astype(np.float32)
    return Levels(below, above, share, known, step_mm, float(top))


def plane_of(lines: NDArray[np.int16], rows: Levels, read: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return the plane through one line of every slice: int16 [levels, length of a line].

    Two lines are mixed to a row; padding in either, or an unread slice that has a share, leaves padding.

    Args:
        lines: int16 [slices, length], standard orientation, feet first: the same row of each for a coronal plane,
            the same column for a sagittal one.
        rows: where the rows of the plane come from.
        read: bool [slices], whether a slice's pixels are there.
    """
    share = rows.share[:, None]
    below, above = lines[rows.below], lines[rows.above]
    mixed = np.rint(below + (above.astype(np.float32) - below) * share).astype(np.int16)
    uses_below, uses_above = rows.share < 1, rows.share > 0
    unread = (uses_below & ~read[rows.below]) | (uses_above & ~read[rows.above]) | ~rows.known
    padding = ((below == PADDING_HU) & uses_below[:, None]) | ((above == PADDING_HU) & uses_above[:, None])
    mixed[padding | unread[:, None]] = PADDING_HU
    return mixed
