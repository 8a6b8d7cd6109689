from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.imaging.roi import distance_mm, inside, statistics

SLICE = np.arange(100, dtype=np.int16).reshape(10, 10)


def test_a_distance_counts_rows_and_columns_by_their_own_spacing() -> None:
    assert distance_mm((0, 0), (3, 4), (0.5, 0.5)) == 2.5
    assert distance_mm((1, 1), (4, 1), (9.0, 0.7)) == pytest.approx(2.1)
    assert distance_mm((1, 1), (1, 4), (0.9, 7.0)) == pytest.approx(2.7)


def test_a_rectangle_holds_the_pixels_whose_centres_lie_in_it_however_it_was_drawn() -> None:
    for first, second in (((1.6, 2.2), (4.4, 5.9)), ((4.4, 5.9), (1.6, 2.2)), ((4.4, 2.2), (1.6, 5.9))):
        found = statistics(SLICE, "rectangle", first, second, (2.0, 0.5))

        values = SLICE[3:6, 2:5]
        assert found.pixels == 9
        assert (found.mean_hu, found.sd_hu) == (pytest.approx(values.mean()), pytest.approx(values.std()))
        assert (found.smallest_hu, found.largest_hu) == (32, 54)
        assert found.area_mm2 == 9.0
        assert found.counts.sum() == 9


def test_an_ellipse_holds_about_a_quarter_of_pi_of_its_box() -> None:
    values = np.zeros((400, 400), np.int16)

    found = statistics(values, "ellipse", (50.0, 100.0), (350.0, 300.0), (1.0, 1.0))

    assert found.pixels == pytest.approx(math.pi / 4 * 300 * 200, rel=0.005)


@given(*[st.floats(-5, 15)] * 4, st.sampled_from(["ellipse", "rectangle"]))
def test_a_shape_holds_the_same_pixels_as_a_look_at_every_pixel(
    left: float, top: float, right: float, bottom: float, shape: str
) -> None:
    where, mask = inside(shape, (left, top), (right, bottom), 10, 10)  # type: ignore[arg-type]

    whole = np.zeros((10, 10), bool)
    whole[where] = mask
    for row in range(10):
        for column in range(10):
            assert whole[row, column] == _in_shape(shape, column, row, (left, top), (right, bottom))


def _in_shape(shape: str, x: float, y: float, first: tuple[float, float], second: tuple[float, float]) -> bool:
    (left, right), (top, bottom) = (sorted((first[axis], second[axis])) for axis in (0, 1))
    if not (left <= x <= right and top <= y <= bottom):
        return False
    if shape == "rectangle":
        return True
    wide, high = max((right - left) / 2, 1e-9), max((bottom - top) / 2, 1e-9)
    return ((x - (left + right) / 2) / wide) ** 2 + ((y - (top + bottom) / 2) / high) ** 2 <= 1


def test_padding_counts_for_nothing_and_a_shape_beside_the_slice_is_empty() -> None:
    values = SLICE.copy()
    values[0] = PADDING_HU

    assert statistics(values, "rectangle", (0, 0), (9, 1), None).mean_hu == pytest.approx(values[1].mean())
    empty = statistics(values, "ellipse", (20, 20), (30, 30), (1.0, 1.0))
    assert (empty.pixels, empty.mean_hu, empty.area_mm2) == (0, None, 0)
    assert statistics(values, "rectangle", (0, 0), (9, 0), None).pixels == 0


def test_one_value_has_no_spread() -> None:
    found = statistics(np.full((4, 4), -7, np.int16), "rectangle", (0, 0), (3, 3), None)

    assert (found.mean_hu, found.sd_hu, found.area_mm2) == (-7.0, 0.0, None)
