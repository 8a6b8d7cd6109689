from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.imaging.overlay import CONTOURS, colours, overlay, scan_range, upsampled

GREY = np.full((64, 64), 100, np.uint8)


def cam_of(values: list[list[float]]) -> np.ndarray:
    return np.array(values, np.float32)


def test_the_range_of_a_scan_spans_all_slices_and_zero() -> None:
    assert scan_range([cam_of([[-1, 2]]), cam_of([[3, 0.5]])]) == (-1, 3)
    assert scan_range([cam_of([[1, 2]])]) == (0, 2)
    assert scan_range([cam_of([[-3, -2]])]) == (-3, 0)
    with pytest.raises(ValueError, match="without maps"):
        scan_range([])


def test_a_scan_in_which_nothing_speaks_for_the_class_stays_grey() -> None:
    cam = cam_of([[-5, -1], [-2, -3]])

    picture = overlay(GREY, cam, scan_range([cam]))

    assert (picture == 100).all()


def test_the_same_value_has_the_same_colour_in_every_slice_of_a_scan() -> None:
    weak, strong = np.full((2, 2), 5, np.float32), np.full((2, 2), 10, np.float32)
    limits = scan_range([weak, strong])

    faint, bright = overlay(GREY, weak, limits), overlay(GREY, strong, limits)

    assert faint[0, 0].tolist() == mixed(100, colours(np.float32([0.5]))[0], 0.35)
    assert bright[0, 0].tolist() == mixed(100, colours(np.float32([1.0]))[0], 0.35)


def test_below_a_quarter_of_the_scan_s_largest_value_nothing_is_drawn() -> None:
    cam = np.full((2, 2), 2.49, np.float32)

    assert (overlay(GREY, cam, (0, 10)) == 100).all()
    assert (overlay(GREY, np.full((2, 2), 2.5, np.float32), (0, 10)) != 100).any()


@given(st.floats(0, 1))
def test_opacity_mixes_and_its_ends_are_slice_and_colour(opacity: float) -> None:
    cam = np.full((2, 2), 10, np.float32)

    picture = overlay(GREY, cam, (0, 10), opacity, contours=False)

    assert picture[30, 30].tolist() == mixed(100, colours(np.float32([1.0]))[0], opacity)


def test_contours_run_along_the_levels_and_not_along_the_border() -> None:
    # given: a ramp from left to right
    cam = np.tile(np.linspace(0, 10, 64, dtype=np.float32), (64, 1))

    picture = overlay(GREY, cam, (0, 10), fill=False)

    columns = np.flatnonzero((picture != 100).any(axis=(0, 2)))
    assert columns.tolist() == [int(np.argmax(cam[0] >= 10 * level)) for level in CONTOURS]
    assert (picture[:, columns] != 100).any(axis=2).all()


def test_without_fill_and_lines_the_slice_is_as_it_was() -> None:
    cam = np.full((2, 2), 10, np.float32)

    assert (overlay(GREY, cam, (0, 10), fill=False, contours=False) == 100).all()
    assert (GREY == 100).all()


def test_upsampling_has_half_pixel_centres_and_repeats_the_edge() -> None:
    enlarged = upsampled(cam_of([[0, 1]] * 2), 4, 4)

    np.testing.assert_allclose(enlarged[0], [0, 0.25, 0.75, 1], atol=1e-6)
    np.testing.assert_allclose(enlarged, np.tile(enlarged[0], (4, 1)), atol=1e-6)


def test_a_slice_that_is_not_square_takes_its_part_of_the_map() -> None:
    # given: the slice was filled up to a square at the bottom
    cam = cam_of([[1, 1], [0, 0]])

    wide = upsampled(cam, 32, 64)

    assert wide.shape == (32, 64)
    np.testing.assert_allclose(wide, upsampled(cam, 64, 64)[:32], atol=0)


def test_the_colours_are_cividis() -> None:
    # given: the ends and the middle of the published table
    assert colours(np.float32([0, 127 / 255, 1])).tolist() == [[0, 34, 78], [124, 123, 120], [254, 232, 56]]
    assert colours(np.float32([-1, 2])).tolist() == [[0, 34, 78], [254, 232, 56]]


def test_the_colours_grow_brighter_throughout() -> None:
    table = colours(np.linspace(0, 1, 256, dtype=np.float32)).astype(float)

    luminance = table @ [0.2126, 0.7152, 0.0722]

    assert (np.diff(luminance) > -0.8).all()
    assert (np.diff(luminance[::8]) > 0).all()


def mixed(grey: int, colour: np.ndarray, opacity: float) -> list[int]:
    return np.rint((1 - opacity) * grey + opacity * colour.astype(float)).astype(int).tolist()
