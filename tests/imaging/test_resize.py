from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.imaging.resize import area, area_weights, bilinear, bilinear_weights

SIDES = st.integers(1, 90)


@given(SIDES, SIDES)
def test_the_weights_of_every_new_pixel_add_up_to_one(size: int, new_size: int) -> None:
    np.testing.assert_allclose(bilinear_weights(size, new_size).sum(axis=1), 1, atol=1e-6)
    if new_size <= size:
        np.testing.assert_allclose(area_weights(size, new_size).sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(area_weights(size, new_size).sum(axis=0), new_size / size, atol=1e-6)


@given(SIDES, SIDES, SIDES)
def test_blocks_of_the_weights_give_what_the_whole_product_gives(rows: int, columns: int, side: int) -> None:
    picture = np.random.default_rng(rows * 100 + columns).normal(size=(rows, columns)).astype(np.float32)

    expected = bilinear_weights(rows, side) @ picture @ bilinear_weights(columns, side).T

    np.testing.assert_allclose(bilinear(picture, side, side), expected, atol=1e-5)


@pytest.mark.parametrize(("size", "new_size"), [(512, 256), (100, 37), (16, 50), (7, 5), (1, 4)])
def test_bilinear_is_torch_s_with_antialiasing(size: int, new_size: int) -> None:
    torch = pytest.importorskip("torch")
    picture = np.random.default_rng(size).normal(size=(size, size + 3)).astype(np.float32)

    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(picture)[None, None],
        size=(new_size, new_size),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )[0, 0].numpy()

    np.testing.assert_allclose(bilinear(picture, new_size, new_size), theirs, atol=1e-4)


@pytest.mark.parametrize(("size", "new_size"), [(128, 64), (96, 32), (100, 37), (64, 63)])
def test_area_keeps_the_mean_and_takes_that_of_what_a_pixel_covers(size: int, new_size: int) -> None:
    picture = np.random.default_rng(size).uniform(0, 255, (size, size)).astype(np.float32)
    # given: the same by brute force, every old pixel cut into new_size parts
    columns = np.repeat(picture.astype(float), new_size, axis=1).reshape(size, new_size, size).mean(axis=2)
    expected = np.repeat(columns, new_size, axis=0).reshape(new_size, size, new_size).mean(axis=1)

    np.testing.assert_allclose(area(picture, new_size, new_size), expected, atol=1e-3)


def test_the_mean_over_an_area_cannot_enlarge() -> None:
    with pytest.raises(ValueError, match="shrink"):
        area(np.zeros((4, 4), np.float32), 8, 4)
