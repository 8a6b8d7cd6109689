from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.imaging.voi import LUNG, PRESETS, VoiWindow, automatic, from_to, to_grey


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


def test_an_inverted_picture_is_255_minus_the_grey() -> None:
    values = np.arange(-2000, 2000, dtype=np.int16).reshape(40, 100)

    assert (to_grey(values, LUNG, inverted=True) == 255 - to_grey(values, LUNG)).all()


@pytest.mark.parametrize(
    ("name", "width", "level"),
    [
        ("lung", 1500, -600),
        ("mediastinum", 400, 40),
        ("bone", 2500, 480),
        ("lung_wide", 1600, -400),
        ("lung_alternative", 1400, -500),
        ("vessels", 600, 300),
        ("upper_abdomen", 400, 60),
    ],
)
def test_the_presets_have_the_numbers_of_the_specification(name: str, width: float, level: float) -> None:
    assert PRESETS[name] == VoiWindow(centre_hu=level, width_hu=width)


def test_there_is_no_preset_beside_them() -> None:
    assert len(PRESETS) == 7


def test_a_window_from_one_value_to_another_is_black_at_the_one_and_white_at_the_other() -> None:
    window = from_to(-900, 60)

    assert grey_of(-901, -900, 60, 61, window=window) == [0, 0, 255, 255]
    assert grey_of(-899, window=window)[0] <= 1
    assert grey_of(59, window=window)[0] >= 254


def test_the_automatic_window_spans_the_body_and_leaves_table_and_room_out() -> None:
    slice_ = Thorax(matrix=128, noise_hu=0).slice(20)
    window = automatic(slice_)

    low, high = window.centre_hu - window.width_hu / 2, window.centre_hu + window.width_hu / 2

    assert -1000 < low < -800  # the lungs are inside
    assert 40 < high < 1500  # and so are the bones, all but the densest
    room = slice_.copy()
    room[:20] = 3000  # something bright far from the body, smaller than it
    assert automatic(room) == automatic(np.where(room == 3000, np.int16(-1000), room))


def test_a_slice_without_a_body_is_taken_as_a_whole_and_a_constant_one_keeps_the_lung_window() -> None:
    air = np.linspace(-1000, -900, 64 * 64).reshape(64, 64).astype(np.int16)

    assert automatic(air).centre_hu == pytest.approx(-950, abs=3)
    assert automatic(np.full((32, 32), -1000, np.int16)) == LUNG
    assert automatic(np.full((32, 32), -32768, np.int16)) == LUNG
