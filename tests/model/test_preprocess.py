from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aicorona_desktop.model import preprocess
from aicorona_desktop.model.pack import PREPARATIONS
from aicorona_desktop.model.preprocess import prepare, prepare_picture, stretched

PADDING = -32768
SLICES = hnp.arrays(
    np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(-32767, 32767)
)


def paper(values: np.ndarray) -> np.ndarray:
    """The same rule in the plainest words: sort, clip, map, in float64."""
    x = values.astype(np.float64)
    count = (x.size + 199) // 200
    ceiling, floor = np.sort(x.ravel())[-count], x.min()
    if ceiling <= floor:
        return np.zeros(x.shape)
    return 255 * (np.minimum(x, ceiling) - floor) / (ceiling - floor)


def slice_of(values: list[int], side: int = 20) -> np.ndarray:
    flat = np.zeros(side * side, np.int16)
    flat[: len(values)] = values
    return flat.reshape(side, side)


# --- the vectors of the specification (paper-spec 2.3) ---------------------------------------------------------------


def test_vector_1_sixteen_pixels_of_which_nothing_is_clipped() -> None:
    rows = [[-1000, -990, -800, -700], [-650, -600, -100, 0], [20, 40, 40, 60], [80, 300, 1000, 3000]]

    z = prepare(np.array(rows, np.int16), "paper-1", 4)[0]

    expected = [
        [0, 0.6375, 12.75, 19.125],
        [22.3125, 25.5, 57.375, 63.75],
        [65.025, 66.3, 66.3, 67.575],
        [68.85, 82.875, 127.5, 255],
    ]
    np.testing.assert_allclose(z, expected, atol=2e-5)


def test_vector_2_a_ramp_loses_its_largest_value_to_the_second_largest() -> None:
    ramp = (5 * np.arange(400) - 1000).astype(np.int16).reshape(20, 20)

    z = prepare(ramp, "paper-1", 20).ravel()

    np.testing.assert_allclose(z[[0, 200, 397, 398, 399]], [0, 128.1407, 254.3593, 255, 255], atol=5e-5)


def test_vector_3_six_bright_pixels() -> None:
    values = np.full(400, -1000, np.int16)
    values[:6] = [-500, 0, 40, 40, 1000, 3000]

    z = prepare(values.reshape(20, 20), "paper-1", 20).ravel()

    np.testing.assert_allclose(z[:6], [63.75, 127.5, 132.6, 132.6, 255, 255], rtol=1e-6)
    assert not z[6:].any()


def test_vector_4_too_few_bright_pixels_make_a_black_slice_and_two_are_enough() -> None:
    assert not prepare(slice_of([100]), "paper-1", 20).any()
    assert prepare(slice_of([100, 50]), "paper-1", 20).ravel()[:3].tolist() == [255, 255, 0]


def test_vector_5_ties_need_no_rule() -> None:
    z = prepare(slice_of([7, 7, 7, 7, 3]), "paper-1", 20).ravel()

    np.testing.assert_allclose(z[:6], [255, 255, 255, 255, 109.285714, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("pixels", "brightest"),
    [((1, 1), 1), ((1, 199), 1), ((10, 20), 1), ((3, 67), 2), ((256, 256), 328), ((512, 512), 1311)],
)
def test_the_brightest_group_is_half_a_percent_rounded_up(pixels: tuple[int, int], brightest: int) -> None:
    # given: a different value in every pixel
    count = pixels[0] * pixels[1]
    values = np.arange(count, dtype=np.float64).reshape(pixels)

    z = stretched(values)

    assert (z == 255).sum() == (brightest if count > 1 else 0)


# --- properties ------------------------------------------------------------------------------------------------------


@given(SLICES)
def test_the_fast_way_gives_what_the_plain_words_say(values: np.ndarray) -> None:
    np.testing.assert_allclose(stretched(values), paper(values), atol=1e-4)


@given(SLICES)
def test_the_range_is_0_to_255_and_both_ends_are_reached_unless_constant(values: np.ndarray) -> None:
    z = stretched(values)

    assert z.dtype == np.float32
    assert z.min() == 0
    assert z.max() == 255 or not z.any()


@given(SLICES, st.floats(0.01, 100), st.floats(-5000, 5000))
def test_a_positive_slope_and_an_intercept_change_nothing(values: np.ndarray, slope: float, intercept: float) -> None:
    np.testing.assert_allclose(stretched(slope * values.astype(np.float64) + intercept), stretched(values), atol=1e-3)


@given(SLICES)
def test_doing_it_twice_changes_nothing(values: np.ndarray) -> None:
    once = stretched(values)

    np.testing.assert_allclose(stretched(once), once, atol=1e-4)


@given(SLICES)
def test_brighter_stays_brighter(values: np.ndarray) -> None:
    order = np.argsort(values, axis=None, kind="stable")

    assert (np.diff(stretched(values).ravel()[order]) >= 0).all()


def test_the_whole_range_of_int16_does_not_overflow() -> None:
    values = np.full((20, 20), -32767, np.int16)
    values[:10] = 32767

    assert np.unique(prepare(values, "paper-1", 20)).tolist() == [0, 255]


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_a_constant_slice_is_black(preparation: str) -> None:
    assert not prepare(np.full((32, 32), 40, np.int16), preparation, 32).any()


# --- padding ---------------------------------------------------------------------------------------------------------


@given(SLICES, st.data())
@settings(max_examples=50)
def test_padding_counts_as_the_smallest_value_inside(values: np.ndarray, data: st.DataObject) -> None:
    # given: some pixels outside the scan, at least one inside
    outside = data.draw(hnp.arrays(np.bool_, values.shape))
    outside.flat[0] = False
    padded = np.where(outside, np.int16(PADDING), values)
    replaced = np.where(outside, values[~outside].min(), values)

    assert (prepare(padded, "paper-1", 32) == prepare(replaced, "paper-1", 32)).all()


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_a_slice_of_padding_alone_is_black(preparation: str) -> None:
    assert not prepare(np.full((40, 40), PADDING, np.int16), preparation, 32).any()


def test_literal_padding_takes_over_the_minimum_of_the_slice() -> None:
    values = np.linspace(-1000, 1000, 400).astype(np.int16).reshape(20, 20)
    values[0, 0] = PADDING

    assert prepare(values, "paper-1-literal", 20)[0, 0, 1] > 200
    assert prepare(values, "paper-1", 20)[0, 0, 1] == 0


# --- window, size, pictures ------------------------------------------------------------------------------------------


def test_the_window_clips_hounsfield_units_before_the_paper_s_rule() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(-3000, 3000, (64, 64)).astype(np.int16)

    expected = paper(np.clip(values, -1350, 150))

    np.testing.assert_allclose(prepare(values, "window-1", 64)[0], expected, atol=1e-4)


def test_pictures_skip_the_window() -> None:
    grey = np.arange(4096, dtype=np.uint16).reshape(64, 64)

    np.testing.assert_allclose(prepare_picture(grey, "window-1", 64)[0], paper(grey), atol=1e-4)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_pictures_of_every_kind_give_the_same(kind: type[np.generic]) -> None:
    grey = np.random.default_rng(2).integers(0, 256, (50, 50))

    np.testing.assert_allclose(prepare_picture(grey.astype(kind), "paper-1", 50)[0], paper(grey), atol=1e-4)


def test_a_slice_that_is_not_square_is_filled_up_with_black_at_the_right_or_the_bottom() -> None:
    rng = np.random.default_rng(3)
    wide = rng.integers(-1000, 1000, (30, 40)).astype(np.int16)

    z, turned = prepare(wide, "paper-1", 40)[0], prepare(wide.T, "paper-1", 40)[0]

    np.testing.assert_allclose(z[:30], paper(wide), atol=1e-4)
    assert not z[30:].any()
    assert (turned == z.T).all()


def test_shrinking_by_area_takes_the_mean_of_what_a_pixel_covers() -> None:
    rng = np.random.default_rng(4)
    values = rng.integers(-1350, 150, (64, 64)).astype(np.int16)

    halved = prepare(values, "window-1", 32)[0]

    np.testing.assert_allclose(halved, paper(values).reshape(32, 2, 32, 2).mean(axis=(1, 3)), atol=1e-3)


@pytest.mark.parametrize("preparation", PREPARATIONS)
@pytest.mark.parametrize("side", [20, 45, 256, 300])
def test_every_size_ends_at_the_input_size_within_the_range(preparation: str, side: int) -> None:
    values = np.random.default_rng(side).integers(-1100, 2000, (side, side)).astype(np.int16)

    z = prepare(values, preparation, 64)

    assert z.shape == (1, 64, 64)
    assert z.dtype == np.float32
    assert z.min() >= 0
    assert z.max() <= 255


def test_what_cannot_be_prepared_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown preparation"):
        prepare(np.zeros((4, 4), np.int16), "paper-2", 4)
    with pytest.raises(ValueError, match="2-D int16"):
        prepare(np.zeros((4, 4), np.uint16), "paper-1", 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finite"):
        prepare_picture(np.full((4, 4), np.nan), "paper-1", 4)
    with pytest.raises(ValueError, match="2-D uint8"):
        prepare_picture(np.zeros((4, 4, 3), np.uint8), "paper-1", 4)


def test_the_input_is_left_as_it_is() -> None:
    values = np.random.default_rng(5).integers(-1100, 2000, (32, 32)).astype(np.int16)
    values[0, :9] = PADDING
    before = values.copy()

    for name in preprocess.NAMES:
        prepare(values, name, 32)

    assert (values == before).all()
