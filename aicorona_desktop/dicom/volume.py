"""Slices in one standing: row 0 at the front of the patient, column 0 at the patient's right (LPS)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.headers import Header, Vector

Scalar = TypeVar("Scalar", bound=np.generic)

_UPRIGHT = (False, False, False)


def to_standard_orientation(hounsfield: NDArray[Scalar], header: Header) -> NDArray[Scalar]:
    """Turn a slice so that rows run to the patient's left and columns to the back.

    Only flips and 90 degree turns: no value is interpolated. A slice that is no axial one (its normal over
    45 degrees off the axis from feet to head) or has no orientation is returned as it is.

    Args:
        hounsfield: int16 of shape (rows, columns), as stored; or anything else that lies over those pixels.
        header: the header of that slice.

    Returns:
        Of the same kind, contiguous; the same array when nothing has to be turned, with the two sides exchanged
        when rows and columns are.
    """
    transposed, upside_down, mirrored = _turns(header)
    if (transposed, upside_down, mirrored) == _UPRIGHT:
        return hounsfield
    turned = hounsfield.T if transposed else hounsfield
    turned = turned[::-1] if upside_down else turned
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def is_standard(header: Header) -> bool:
    """Whether `to_standard_orientation` has nothing to do for slices of this header."""
    return _turns(header) == _UPRIGHT


def standard_spacing_mm(header: Header) -> tuple[float, float]:
    """Return the distances between rows and between columns of a slice in the standard orientation.

    Raises:
        ValueError: the header has no pixel spacing.
    """
    if header.pixel_spacing_mm is None:
        raise ValueError("the pixel spacing is missing")
    between_rows, between_columns = header.pixel_spacing_mm
    return (between_columns, between_rows) if _turns(header)[0] else (between_rows, between_columns)


def _turns(header: Header) -> tuple[bool, bool, bool]:
    """Whether rows and columns are exchanged first, then top and bottom flipped, then left and right."""
    if header.row_cosines is None or header.column_cosines is None:
        return _UPRIGHT
    if not _is_axial(header.row_cosines, header.column_cosines):
        return _UPRIGHT
    transposed = abs(header.row_cosines[1]) > abs(header.row_cosines[0])
    across, down = (
        (header.column_cosines, header.row_cosines) if transposed else (header.row_cosines, header.column_cosines)
    )
    return transposed, down[1] < 0, across[0] < 0


def _is_axial(row_cosines: Vector, column_cosines: Vector) -> bool:
    normal_z = row_cosines[0] * column_cosines[1] - row_cosines[1] * column_cosines[0]
    return abs(normal_z) > 0.7
