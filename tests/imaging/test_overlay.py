from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicorona_desktop.imaging import colour_maps
from aicorona_desktop.imaging.overlay import (
    CONTOURS,
    blocks,
    coded,
    colours,
    overlay,
    painted,
    scan_range,
    upsampled,
)

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


def test_a_block_of_the_raw_grid_covers_the_pixels_whose_centres_lie_in_its_cell() -> None:
    cam = np.arange(9, dtype=np.float32).reshape(3, 3)

    assert blocks(cam, 6, 6).tolist() == np.kron(cam, np.ones((2, 2))).tolist()
    # seven pixels over three cells: the centres at 0.5/7 ... 6.5/7 lie in cells 0 0 1 1 1 2 2
    assert blocks(cam, 7, 7)[0].tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert blocks(cam, 3, 6).tolist() == blocks(cam, 6, 6)[:3].tolist()


def test_the_raw_grid_is_drawn_in_blocks_of_one_colour() -> None:
    cam = cam_of([[10, 0], [0, 4]])

    picture = overlay(GREY, cam, (0, 10), raw_grid=True, contours=False)

    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 3
    assert (picture[:32, :32] == picture[0, 0]).all()
    assert (picture[32:, :32] == 100).all()


SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=60)
@given(
    SHAPES,
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.tuples(st.sampled_from([0.0, 0.1, 0.35, 0.9, 1.0]), st.sampled_from(colour_maps.NAMES)),
)
def test_every_pixel_is_what_plain_arithmetic_gives(
    shape: tuple[int, int], cells: int, seed: int, drawn: tuple[bool, bool, bool], look: tuple[float, str]
) -> None:
    # given: any map over any slice, on the scale of a scan that is a little stronger
    random = np.random.default_rng(seed)
    grey = random.integers(0, 256, shape, dtype=np.uint8)
    cam = random.normal(0, 3, (cells, cells)).astype(np.float32)
    (fill, contours, raw_grid), (opacity, colour_map) = drawn, look
    limits = scan_range([cam, cam * np.float32(1.3)])

    picture = overlay(
        grey, cam, limits, opacity, fill=fill, contours=contours, colour_map=colour_map, raw_grid=raw_grid
    )

    share = (blocks if raw_grid else upsampled)(cam / np.float32(limits[1] or 1), *shape)
    assert picture.dtype == np.uint8
    assert picture.tolist() == plainly_drawn(grey, share, look, fill and limits[1] > 0, contours and limits[1] > 0)
    whole = painted(
        grey, coded(cam, shape, limits, fill=fill, contours=contours, raw_grid=raw_grid), opacity, colour_map
    )
    assert (whole[..., :3] == picture).all()
    assert (whole[..., 3] == 255).all()


def plainly_drawn(
    grey: np.ndarray, share: np.ndarray, look: tuple[float, str], fill: bool, contours: bool
) -> list[list[list[int]]]:
    """One pixel after the other, as the specification says it."""
    opacity, table = look[0], colour_maps.table(look[1])
    rows, columns = grey.shape

    def drawn(row: int, column: int) -> list[int]:
        under, value = int(grey[row, column]), share[row, column]
        beside = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        inside = [share[r, c] for r, c in beside if 0 <= r < rows and 0 <= c < columns]
        lines = [level for level in CONTOURS if contours and value >= level and any(one < level for one in inside)]
        if lines:
            return table[round(255 * lines[-1])].tolist()
        if fill and value >= 0.25:
            place = int(np.rint(255 * np.clip(value, 0, 1)))
            return mixed(under, table[place], opacity)
        return [under] * 3

    return [[drawn(row, column) for column in range(columns)] for row in range(rows)]


def test_the_colours_are_the_published_ones() -> None:
    # given: the ends and the middle of the published tables
    ends = np.float32([0, 127 / 255, 1])

    assert colours(ends).tolist() == [[0, 32, 77], [124, 123, 120], [255, 234, 70]]
    assert colours(ends, "viridis").tolist() == [[68, 1, 84], [33, 144, 141], [253, 231, 37]]
    assert colours(ends, "inferno").tolist() == [[0, 0, 4], [186, 54, 85], [252, 255, 164]]
    assert colours(ends, "grey").tolist() == [[0] * 3, [127] * 3, [255] * 3]
    assert colours(ends, "orange")[2].tolist() == [0xE6, 0x9F, 0x00]
    assert colours(np.float32([-1, 2])).tolist() == colours(np.float32([0, 1])).tolist()


@pytest.mark.parametrize("name", colour_maps.NAMES)
def test_every_colour_map_gets_lighter_without_a_step_back(name: str) -> None:
    table = colour_maps.table(name).astype(np.float64) / 255
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]

    assert (np.diff(luminance) > -0.004).all()  # the tables are rounded to 8 bits
    assert luminance[-1] > 0.35 > luminance[0]


def test_a_colour_map_that_is_not_offered_is_an_error() -> None:
    with pytest.raises(ValueError, match="jet"):
        colour_maps.table("jet")


def mixed(grey: int, colour: np.ndarray, opacity: float) -> list[int]:
    return np.rint((1 - opacity) * grey + opacity * colour.astype(float)).astype(int).tolist()
