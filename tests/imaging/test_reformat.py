from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.imaging.reformat import levels, plane_of


def stack(*values: int, rows: int = 3, columns: int = 4) -> np.ndarray:
    """Slices of one value each, feet first."""
    return np.stack([np.full((rows, columns), value, np.int16) for value in values])


def all_read(volume: np.ndarray) -> np.ndarray:
    return np.ones(len(volume), bool)


def test_the_head_is_on_top_and_each_slice_fills_its_own_thickness() -> None:
    volume = stack(10, 20, 30)

    plane = plane_of(volume[:, 0, :], levels((0.0, 5.0, 10.0), step_mm=5.0), all_read(volume))

    assert plane[:, 0].tolist() == [30, 20, 10]
    assert plane.shape == (3, 4)


def test_a_finer_step_mixes_neighbours_linearly_and_is_true_to_the_distance() -> None:
    volume = stack(0, 100)

    rows = levels((0.0, 8.0), step_mm=2.0)
    plane = plane_of(volume[:, 0, :], rows, all_read(volume))

    assert len(plane) == 8  # 16 mm of two slices 8 mm apart
    assert plane[:, 0].tolist() == [100, 100, 88, 62, 38, 12, 0, 0]
    assert rows.position_of(2) == pytest.approx(7.0)
    assert rows.row_of(7.0) == pytest.approx(2.0)


def test_a_coronal_plane_has_columns_and_a_sagittal_one_has_rows_across() -> None:
    volume = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    rows = levels((0.0, 1.0), step_mm=1.0)

    assert plane_of(volume[:, 2, :], rows, all_read(volume)).tolist() == [volume[1, 2].tolist(), volume[0, 2].tolist()]
    assert plane_of(volume[:, :, 1], rows, all_read(volume)).tolist() == [
        volume[1, :, 1].tolist(),
        volume[0, :, 1].tolist(),
    ]


def test_nothing_is_made_up_across_a_missing_slice() -> None:
    volume = stack(10, 20, 50, 60)
    places = (0.0, 5.0, 20.0, 25.0)  # two are missing at 10 and 15

    plane = plane_of(volume[:, 0, :], levels(places, step_mm=2.5), all_read(volume))[:, 0]

    hole = plane == PADDING_HU
    assert hole.sum() == 4  # 10 mm of it, at 2.5 mm a row
    assert set(plane[~hole].tolist()) <= set(range(10, 21)) | set(range(50, 61))


def test_a_slice_that_is_not_read_or_holds_padding_leaves_a_gap() -> None:
    volume = stack(10, 20, 30)
    volume[2, 0, 1] = PADDING_HU
    rows = levels((0.0, 5.0, 10.0), step_mm=5.0)

    plane = plane_of(volume[:, 0, :], rows, np.array([True, False, True]))

    assert plane[1].tolist() == [PADDING_HU] * 4
    assert plane[0].tolist() == [30, PADDING_HU, 30, 30]


def test_a_plane_needs_two_slices_and_a_step() -> None:
    for places, step in (((0.0,), 1.0), ((0.0, 1.0), 0.0)):
        with pytest.raises(ValueError, match="needs two"):
            levels(places, step)


@given(st.floats(0.3, 10), st.integers(2, 40), st.floats(0.3, 3))
def test_evenly_spaced_slices_are_all_known_and_span_their_coverage(spacing: float, count: int, step: float) -> None:
    rows = levels([index * spacing for index in range(count)], step)

    assert rows.known.all()
    assert len(rows.share) * step == pytest.approx(count * spacing, abs=step)
    assert rows.row_of(rows.position_of(3)) == pytest.approx(3)


def test_the_heart_of_the_phantom_stays_on_the_patients_left() -> None:
    thorax = Thorax(slices=20, matrix=96, slice_spacing_mm=10, noise_hu=0)
    volume = thorax.volume()
    places = [place[2] for place in thorax.positions_mm]

    plane = plane_of(volume[:, 40, :], levels(places, thorax.pixel_spacing_mm), all_read(volume))

    middle = plane[round(len(plane) * 0.55)]  # below the carina
    right, left = middle[:48], middle[48:]
    assert (left > 0).sum() > (right > 0).sum()
