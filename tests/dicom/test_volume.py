from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.core.headers import Header, Vector
from aicorona_desktop.dicom.volume import is_standard, standard_spacing_mm, to_standard_orientation
from tests.dicom.phantom_series import HEADER

LEFT, RIGHT = (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)
BACK, FRONT = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)
AXIAL = [(rows, columns) for rows in (LEFT, RIGHT) for columns in (BACK, FRONT)]
AXIAL += [(columns, rows) for rows, columns in AXIAL]


def standing(row_cosines: Vector, column_cosines: Vector) -> Header:
    return replace(HEADER, row_cosines=row_cosines, column_cosines=column_cosines, pixel_spacing_mm=(0.5, 0.8))


def scanned(row_cosines: Vector, column_cosines: Vector, rows: int, columns: int) -> np.ndarray:
    """A slice whose values are 10 y + x of the patient: what the scanner stores in that orientation."""
    row, column = np.mgrid[0:rows, 0:columns]
    x = column * row_cosines[0] + row * column_cosines[0]
    y = column * row_cosines[1] + row * column_cosines[1]
    return ((y - y.min()) * 10 + (x - x.min())).astype(np.int16)


@pytest.mark.parametrize(("rows", "columns"), AXIAL)
def test_every_axial_standing_comes_out_front_first_and_right_first(rows: Vector, columns: Vector):
    stored = scanned(rows, columns, 4, 7)

    turned = to_standard_orientation(stored, standing(rows, columns))

    height, width = (4, 7) if rows[0] else (7, 4)
    assert turned.tolist() == [[10 * y + x for x in range(width)] for y in range(height)]
    assert turned.flags.c_contiguous


@pytest.mark.parametrize(("rows", "columns"), AXIAL)
def test_spacing_turns_with_the_picture(rows: Vector, columns: Vector):
    expected = (0.5, 0.8) if rows[0] else (0.8, 0.5)

    assert standard_spacing_mm(standing(rows, columns)) == expected


def test_a_standard_slice_is_the_same_array():
    stored = np.zeros((4, 7), np.int16)

    assert is_standard(standing(LEFT, BACK))
    assert to_standard_orientation(stored, standing(LEFT, BACK)) is stored
    assert sum(is_standard(standing(rows, columns)) for rows, columns in AXIAL) == 1


def test_a_slice_a_little_rotated_or_tilted_is_left_as_it_is():
    assert is_standard(standing((0.985, 0.174, 0.0), (-0.174, 0.985, 0.0)))
    assert is_standard(standing(LEFT, (0.0, 0.948, -0.317)))


@pytest.mark.parametrize("columns", [(0.0, 0.0, -1.0), (0.0, 0.0, 1.0)])
def test_a_coronal_slice_is_left_as_it_is(columns: Vector):
    stored = np.arange(6, dtype=np.int16).reshape(2, 3)

    assert to_standard_orientation(stored, standing(RIGHT, columns)) is stored


def test_a_slice_without_orientation_is_left_as_it_is():
    assert is_standard(replace(HEADER, row_cosines=None))


def test_spacing_that_is_missing_is_an_error():
    with pytest.raises(ValueError, match="pixel spacing"):
        standard_spacing_mm(replace(HEADER, pixel_spacing_mm=None))


@given(st.integers(0, 7), st.integers(1, 9), st.integers(1, 9))
def test_turning_keeps_every_value(standing_index: int, height: int, width: int):
    stored = np.arange(height * width, dtype=np.int16).reshape(height, width)

    turned = to_standard_orientation(stored, standing(*AXIAL[standing_index]))

    assert sorted(turned.ravel().tolist()) == list(range(height * width))
