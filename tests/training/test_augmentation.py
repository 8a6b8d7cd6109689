"""Random pictures: unchanged where nothing is asked for, in range, repeatable, and one geometry for two views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")

from aicorona_desktop.core.study import PADDING_HU  # noqa: E402 - only where the extra is there
from aicorona_desktop.model import preprocess  # noqa: E402
from aicorona_desktop.training.augmentation import Augmenter, Looks, look_of, warped, window_of  # noqa: E402
from aicorona_desktop.training.config import Augmentation  # noqa: E402
from tests.training.made_up import hounsfield, record, store_of, striped  # noqa: E402

torch.set_num_threads(1)
IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
NOTHING = Augmentation(
    enabled=True,
    flip=0,
    turn_degrees=0,
    aspect=0,
    shift=0,
    zoom=(1, 1),
    frame_cut=0,
    mild=1,
    lift=0,
    gamma=0,
    kernel=0,
    noise=0,
    coarse=0,
    frames=0,
    round_field=0,
    table_arc=0,
    cut_out=0,
    jpeg=0,
)


def augmenter(folder: Path, rule: Augmentation, pixels: list[Any]) -> Augmenter:
    kinds = ["hounsfield" if one.dtype == np.int16 else "picture" for one in pixels]
    rows = [(record(at, "covid", kind=kinds[at]), one) for at, one in enumerate(pixels)]
    store = store_of(folder, iter(rows))
    return Augmenter(store, Looks(store, "window-1"), rule)


@pytest.mark.parametrize("size", [48, 96])
@pytest.mark.parametrize("shape", [(48, 48), (30, 48), (48, 37)])
def test_without_a_change_the_batch_is_the_products_picture(shape: tuple[int, int], size: int) -> None:
    picture = striped("covid", 3)[: shape[0], : shape[1]]

    batch = warped([preprocess.stretched(picture)], IDENTITY[None], size) * 255

    expected = preprocess.prepare_picture(picture, "paper-1", size)
    assert np.abs(batch[0].numpy() - expected).max() < 0.01


def test_a_window_on_hounsfield_units_is_the_products(tmp_path: Path) -> None:
    rule = Augmentation(window_low_hu=(-1350, -1350), window_high_hu=(150, 150), window_none=0)
    pixels = hounsfield()

    grey = window_of(pixels, rule, np.random.default_rng(0))

    assert np.array_equal(grey[None], preprocess.prepare(pixels, "window-1", pixels.shape[0]))


def test_without_a_window_padding_is_handled_as_in_the_product() -> None:
    pixels = hounsfield()
    pixels[:9] = PADDING_HU

    grey = window_of(pixels, Augmentation(window_none=1), np.random.default_rng(0))

    assert np.array_equal(grey[None], preprocess.prepare(pixels, "paper-1", pixels.shape[0]))


def test_two_views_have_one_geometry_and_grey_values_of_their_own(tmp_path: Path) -> None:
    plain = {"turn_degrees": 14.0, "zoom": (0.6, 1.0), "flip": 0.5, "shift": 0.05}
    rule = Augmentation(**{name: getattr(NOTHING, name) for name in NOTHING.__slots__} | plain)
    views = augmenter(tmp_path, rule, [striped("covid", 3)]).views([0], 64, 2, np.random.default_rng(1), [0])

    first, second = (view.numpy().ravel() for view in views)

    assert np.corrcoef(first, second)[0, 1] > 0.99
    assert np.abs(first - second).max() > 1


def test_the_same_numbers_give_the_same_pictures_in_range(tmp_path: Path) -> None:
    rule = Augmentation(enabled=True, jpeg=1, frames=1, cut_out=1, round_field=1, table_arc=1, coarse=1, kernel=1)
    one = augmenter(tmp_path, rule, [striped("covid", 3), hounsfield(), striped("cp", 4)])

    views = [one.views([0, 1, 2], 64, 2, np.random.default_rng(9), [0, 1, 2]) for _ in range(2)]

    for first, again in zip(*views, strict=True):
        assert torch.equal(first, again)
        assert first.shape == (3, 1, 64, 64)
        assert 0 <= float(first.min()) < float(first.max()) <= 255
    assert not torch.equal(views[0][0], views[0][1])


def test_slices_of_one_scan_share_their_geometry_and_window(tmp_path: Path) -> None:
    rule = Augmentation(
        enabled=True, noise=0, jpeg=0, kernel=0, coarse=0, cut_out=0, frames=0, round_field=0, table_arc=0
    )
    pixels = hounsfield()
    one = augmenter(tmp_path, rule, [pixels, pixels, pixels])

    (view,) = one.views([0, 1, 2], 64, 1, np.random.default_rng(2), [0, 0, 1])

    assert torch.equal(view[0], view[1])
    assert not torch.equal(view[0], view[2])


def test_compression_loses_little_and_not_nothing(tmp_path: Path) -> None:
    pixels = striped("covid", 3, 64)
    rule = Augmentation(**{name: getattr(NOTHING, name) for name in NOTHING.__slots__} | {"jpeg": 1.0})
    plain = augmenter(tmp_path / "a", NOTHING, [pixels]).views([0], 64, 1, np.random.default_rng(1), [0])[0]
    packed = augmenter(tmp_path / "b", rule, [pixels]).views([0], 64, 1, np.random.default_rng(1), [0])[0]

    change = (plain - packed).abs()

    assert 0.2 < float(change.mean()) < 15


def test_the_frame_of_a_picture_is_seen() -> None:
    picture = np.zeros((100, 100), np.float32)
    picture[10:80, 20:90] = np.random.default_rng(0).random((70, 70), np.float32)

    look = look_of(picture)

    assert look.box == pytest.approx((0.2, 0.1, 0.9, 0.8))
    assert look.quartiles == pytest.approx((0.25, 0.75), abs=0.05)
