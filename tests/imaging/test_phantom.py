"""The synthetic chest: is it a chest to the rules that look at pictures?"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aicorona_desktop.imaging.phantom import Head, Thorax

MIDDLE = 20


def test_the_same_values_draw_the_same_slice_and_another_seed_another_one():
    first, again, other = Thorax(seed=3), Thorax(seed=3), Thorax(seed=4)

    assert np.array_equal(first.slice(MIDDLE), again.slice(MIDDLE))
    assert not np.array_equal(first.slice(MIDDLE), other.slice(MIDDLE))


def test_a_volume_is_the_slices_one_after_the_other_feet_first():
    thorax = Thorax(slices=3, matrix=64, slice_spacing_mm=60.0)

    volume = thorax.volume()

    assert volume.shape == (3, 64, 64)
    assert volume.dtype == np.int16
    assert np.array_equal(volume[2], thorax.slice(2))
    assert [position[2] for position in thorax.positions_mm] == [-60.0, 0.0, 60.0]


def test_tissues_have_the_values_that_a_scanner_gives_them():
    picture = Thorax().slice(MIDDLE)

    assert np.percentile(picture, 5) == pytest.approx(-1000, abs=40)
    assert _mean(picture, -70, 40) == pytest.approx(-850, abs=40)  # lung at the back of the right side
    assert _mean(picture, 20, -40) == pytest.approx(42, abs=8)  # heart
    assert 400 < picture.max() < 1000  # bone


def test_lung_is_denser_behind_than_in_front():
    # Small vessels are taken out by the median.
    picture = np.median([Thorax(seed=seed).slice(22) for seed in range(5)], axis=0)

    assert _mean(picture, -75, 45) > _mean(picture, -75, -40) + 15


def test_heart_and_descending_aorta_lie_on_the_left_of_the_patient():
    picture = Thorax().slice(16)

    heart_left, heart_right = _mean(picture, 60, -35), _mean(picture, -60, -35)
    aorta, beside = _mean(picture, 24, 29), _mean(picture, -34, 29)

    assert heart_left > -100 > -700 > heart_right
    assert aorta > 0 > -600 > beside


def test_the_liver_dome_is_on_the_right_and_higher_than_the_left_one():
    thorax = Thorax()

    tops = [
        max(
            z
            for index, (_, _, z) in enumerate(thorax.positions_mm)
            if z < -20 and _mean(thorax.slice(index), x, -6) > 0
        )
        for x in (-60, 70)
    ]

    assert tops[0] > tops[1]


def test_the_lungs_are_largest_in_the_middle_and_end_at_apex_and_base():
    areas = [int(np.sum((picture > -950) & (picture < -600))) for picture in Thorax(noise_hu=0).volume()]

    assert max(areas) == max(areas[12:28])
    assert areas[2] < 0.4 * max(areas)
    assert areas[-2] < 0.4 * max(areas)
    assert 3000 < sum(areas) * 1.367**2 * 7.5 / 1000 < 6500  # ml, as an adult breathing in


def test_neighbouring_slices_resemble_each_other_as_real_ones_do():
    volume = Thorax().volume().astype(np.float64)

    correlations = [np.corrcoef(low.ravel(), high.ravel())[0, 1] for low, high in itertools.pairwise(volume)]

    assert min(correlations) > 0.9


def test_ground_glass_raises_both_lungs_mostly_behind_and_leaves_the_rest_alone():
    clear, sick = Thorax(noise_hu=0).volume(), Thorax(noise_hu=0, ground_glass=0.8).volume()

    changed = sick.astype(int) - clear > 60

    side = changed[:, :, :128].sum(), changed[:, :, 128:].sum()
    assert min(side) > 0.3 * max(side)
    assert changed[:, 128:].sum() > 1.5 * changed[:, :128].sum()
    assert np.mean(clear[changed] < -250) > 0.98  # lung, and next to nothing else
    assert -700 < np.median(sick[changed]) < -400
    assert changed.sum() / (clear[10:34] < -700).sum() < 0.6


def test_more_ground_glass_reaches_further():
    lung = [Thorax(noise_hu=0, matrix=128, ground_glass=extent).volume() for extent in (0.0, 0.3, 1.0)]

    filled = [int(np.sum((picture > -720) & (picture < -300))) for picture in lung]

    assert filled[0] < filled[1] < filled[2]


@pytest.mark.parametrize(("side", "columns"), [("right", slice(0, 128)), ("left", slice(128, 256))])
def test_a_consolidation_stays_on_its_side(side, columns):
    clear, sick = Thorax(noise_hu=0).slice(15), Thorax(noise_hu=0, consolidation=0.8, consolidation_side=side).slice(15)

    changed = sick.astype(int) - clear > 500

    assert changed.sum() > 500
    assert changed[:, columns].sum() == changed.sum()


def test_noise_has_the_given_strength_and_neighbours_vary_together():
    noise = Thorax(noise_hu=20).slice(MIDDLE).astype(float) - Thorax(noise_hu=0).slice(MIDDLE)

    heart = noise[95:115, 130:160]

    assert heart.std() == pytest.approx(20, rel=0.2)
    assert np.corrcoef(heart[:, :-1].ravel(), heart[:, 1:].ravel())[0, 1] > 0.4


def test_fewer_slices_show_less_of_the_same_chest():
    whole, part = Thorax(slices=40, noise_hu=0), Thorax(slices=12, noise_hu=0)

    assert part.positions_mm[0][2] == whole.positions_mm[14][2]
    assert np.array_equal(part.slice(0), whole.slice(14))


@pytest.mark.parametrize(
    "values", [{"slices": 0}, {"matrix": 8}, {"field_of_view_mm": 0.0}, {"ground_glass": 1.5}, {"noise_hu": -1.0}]
)
def test_values_out_of_range_are_said_at_once(values):
    with pytest.raises(ValueError, match=r"expected|must|go from"):
        Thorax(**values)


@pytest.mark.parametrize("index", [-1, 40])
def test_there_is_no_slice_outside(index):
    with pytest.raises(IndexError):
        Thorax().slice(index)


def test_a_head_has_no_lungs():
    head = Head()
    volume = np.stack([head.slice(index) for index in range(head.slices)])

    assert len(head.positions_mm) == head.slices
    assert np.sum((volume > -950) & (volume < -600)) / np.sum(volume > -200) < 0.03
    assert volume.max() > 900


def _mean(picture, x_mm, y_mm, reach=4):
    """The mean around a place in patient coordinates, in mm from the middle of the picture."""
    spacing = 350 / 256
    row, column = round(127.5 + y_mm / spacing), round(127.5 + x_mm / spacing)
    return float(np.median(picture[row - reach : row + reach, column - reach : column + reach]))
