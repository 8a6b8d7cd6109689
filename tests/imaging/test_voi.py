from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.imaging.voi import LUNG, VoiWindow, to_grey


def grey_of(*hounsfield: int, window: VoiWindow = LUNG) -> list[int]:
    return to_grey(np.array([hounsfield], np.int16), window)[0].tolist()


def test_the_lung_window_runs_from_minus_1350_to_149() -> None:
    assert grey_of(-32767, -1350, -1349, 148, 149, 3000) == [0, 0, 0, 255, 255, 255]
    assert grey_of(-600, -601) == [128, 127]


@given(st.integers(-32767, 32767), st.floats(-2000, 2000), st.floats(1, 5000))
def test_grey_follows_the_formula_of_the_standard(hounsfield: int, centre: float, width: float) -> None:
    # given: DICOM PS3.3 C.11.2.1.2.1 word by word
    if hounsfield <= centre - 0.5 - (width - 1) / 2:
        expected = 0.0
    elif hounsfield > centre - 0.5 + (width - 1) / 2:
        expected = 255.0
    else:
        expected = ((hounsfield - (centre - 0.5)) / (width - 1) + 0.5) * 255

    assert grey_of(hounsfield, window=VoiWindow(centre, width)) == [pytest.approx(expected, abs=0.5001)]


def test_a_window_of_width_one_is_a_threshold() -> None:
    assert grey_of(39, 40, window=VoiWindow(40, 1)) == [0, 255]


def test_pixels_outside_the_scan_are_shown_as_air() -> None:
    assert grey_of(-32768) == grey_of(-1000)


def test_a_window_narrower_than_one_is_refused() -> None:
    for width in (0.5, -3.0, float("nan")):
        with pytest.raises(ValueError, match="at least 1 HU"):
            VoiWindow(0, width)


def test_slices_cut_out_of_a_volume_are_shown_as_well() -> None:
    volume = np.random.default_rng(0).integers(-1000, 1000, (4, 6, 8)).astype(np.int16)

    reformat = volume[:, 2, ::2]

    assert (to_grey(reformat, LUNG) == to_grey(volume, LUNG)[:, 2, ::2]).all()
