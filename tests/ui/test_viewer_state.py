from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.user_settings import DragSpeed, MouseScheme, Preset
from aicorona_desktop.imaging.voi import LUNG, VoiWindow
from aicorona_desktop.ui import viewer_state as states
from aicorona_desktop.ui.mouse import SCHEMES, Drag, Wheel, WheelSum, bindings_of, conflict
from aicorona_desktop.ui.presets import free_keys, presets, window_of, with_key
from aicorona_desktop.ui.viewer_state import Fitted, Layout, MapDrawing, Tool, ViewerState
from tests.history.made_up import header

STATE = ViewerState("1.2", "1.2.3", slice_index=10, slices=40)


# --- the state ----------------------------------------------------------------------------------------------------


def test_a_study_opens_in_the_lung_window_fitted_with_the_map_off_whatever_was_before() -> None:
    before = replace(STATE, map_on=True, window=VoiWindow(40, 400), preset="mediastinum", layout=Layout.REFORMATS)
    before = replace(before, inverted=True, fitted=Fitted(3.0, (5, 5)), tool=Tool.DISTANCE, colour_map="viridis")

    opened = states.opened(before, "9.9", "9.9.1", 30, 15)

    assert opened == ViewerState("9.9", "9.9.1", 15, 30, colour_map="viridis")


@given(st.integers(-100, 100), st.integers(1, 60))
def test_the_slice_stays_within_the_series(index: int, slices: int) -> None:
    state = states.at_slice(replace(STATE, slices=slices), index)

    assert 0 <= state.slice_index < slices


def test_cine_runs_round_and_a_second_press_pauses_it() -> None:
    last = states.at_slice(STATE, 39)

    assert states.next_frame(last).slice_index == 0
    assert states.next_frame(STATE).slice_index == 11
    assert states.playing(states.playing(STATE, 10), 10).cine_per_s == 0


def test_a_window_moved_by_hand_loses_its_name_and_keeps_a_width_of_one_at_least() -> None:
    state = states.window_changed(STATE, level_hu=-10, width_hu=-5000)

    assert (state.window, state.preset) == (VoiWindow(-610, 1), "")


@given(st.floats(0.1, 10), st.tuples(st.floats(-200, 200), st.floats(-200, 200)))
def test_what_lies_under_the_pointer_stays_there_while_zooming(factor: float, at: tuple[float, float]) -> None:
    before = replace(STATE, fitted=Fitted(1.5, (12.0, -7.0)))

    after = states.zoomed(before, factor, at)

    for axis in (0, 1):
        place_before = (at[axis] + before.pan[axis]) * before.zoom
        assert (at[axis] + after.pan[axis]) * after.zoom == pytest.approx(place_before, abs=1e-6)


def test_reset_leaves_slice_and_map_alone() -> None:
    state = replace(STATE, map_on=True, inverted=True, preset="bone", window=VoiWindow(480, 2500), one_to_one=True)

    assert states.reset(state) == replace(STATE, map_on=True, window=LUNG, preset="lung")


def test_the_map_goes_through_classes_and_drawings_and_its_opacity_has_ends() -> None:
    classes, drawings, state = [], [], STATE
    for _ in range(3):
        classes.append(state.map_class)
        drawings.append(state.map_drawing)
        state = states.next_drawing(states.next_class(state))

    assert classes == ["covid", "cp", "normal"]
    assert set(drawings) == set(MapDrawing)
    assert state.map_class == "covid"
    assert states.opacity_changed(STATE, 20).map_opacity == 1.0
    assert states.opacity_changed(STATE, -20).map_opacity == 0.1
    assert states.opacity_changed(STATE, 1).map_opacity == 0.45


def test_the_same_layout_twice_is_the_single_one_again() -> None:
    beside = states.with_layout(STATE, Layout.MAP_BESIDE)

    assert (beside.layout, states.with_layout(beside, Layout.MAP_BESIDE).layout) == (
        Layout.MAP_BESIDE,
        Layout.SINGLE,
    )


# --- presets --------------------------------------------------------------------------------------------------------


def test_every_key_calls_the_preset_of_the_specification() -> None:
    table = {one.key: (one.name, one.window) for one in presets()}

    assert table == {
        "1": ("lung", VoiWindow(-600, 1500)),
        "2": ("mediastinum", VoiWindow(40, 400)),
        "3": ("bone", VoiWindow(480, 2500)),
        "4": ("lung_wide", VoiWindow(-400, 1600)),
        "5": ("lung_alternative", VoiWindow(-500, 1400)),
        "6": ("vessels", VoiWindow(300, 600)),
        "7": ("upper_abdomen", VoiWindow(60, 400)),
        "8": ("model", None),
        "9": ("from_file", None),
        "0": ("automatic", None),
    }


def test_own_presets_take_their_key_and_those_of_the_model_stay() -> None:
    own = (Preset("Liver", 150, 30, "7"), Preset("lung", 1400, -550, "1"), Preset("model", 10, 10, "8"))

    found = presets(own)

    assert with_key("7", found).name == "Liver"  # type: ignore[union-attr]
    assert with_key("7", found).window == VoiWindow(30, 150)  # type: ignore[union-attr]
    assert with_key("1", found).window == VoiWindow(-550, 1400)  # type: ignore[union-attr]
    assert with_key("8", found).window is None  # type: ignore[union-attr]
    assert next(one for one in found if one.name == "upper_abdomen").key == ""


def test_a_shipped_preset_takes_another_key_and_leaves_its_own_free() -> None:
    own = (Preset("bone", 2000, 400, "Shift+1"), Preset("Liver", 150, 30, "3"), Preset("Odd", 10, 10, "0"))

    found = presets(own)

    keys = {one.name: one.key for one in found}
    assert (keys["bone"], keys["Liver"], keys["Odd"], keys["automatic"]) == ("Shift+1", "3", "", "0")
    assert free_keys(found)[0] == "Shift+2"
    assert not set(free_keys(found)) & set(keys.values())


def test_the_window_of_the_file_is_the_lung_window_where_there_is_none() -> None:
    from_file = with_key("9", presets())
    assert from_file is not None
    stated: Header = header(window_centre_hu=35.0, window_width_hu=350.0)

    assert window_of(from_file, stated, None) == VoiWindow(35, 350)
    for one in (header(), header(window_centre_hu=35.0), header(window_centre_hu=35.0, window_width_hu=0.0)):
        assert window_of(from_file, one, None) == LUNG


# --- mouse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "left", "middle", "right"),
    [
        (MouseScheme.WINDOW_ON_LEFT, Tool.WINDOW, Tool.PAN, Tool.ZOOM),
        (MouseScheme.SCROLL_ON_LEFT, Tool.SCROLL, Tool.PAN, Tool.WINDOW),
        (MouseScheme.ONE_BUTTON, Tool.WINDOW, Tool.PAN, None),
    ],
)
def test_each_scheme_has_its_buttons(scheme: MouseScheme, left: Tool, middle: Tool, right: Tool | None) -> None:
    bindings = bindings_of(scheme)

    assert (bindings.left, bindings.middle, bindings.right) == (left, middle, right)
    assert (bindings.wheel, bindings.shift_wheel, bindings.control_wheel) == (Wheel.SLICE, Wheel.TEN, Wheel.ZOOM)


def test_single_bindings_can_be_changed_and_unknown_ones_are_left_alone() -> None:
    own = {"right": "scroll", "left": "fly", "nose": "pan", "middle": "none"}
    changed = bindings_of(MouseScheme.WINDOW_ON_LEFT, own)

    assert (changed.right, changed.middle, changed.left) == (Tool.SCROLL, None, Tool.WINDOW)
    assert SCHEMES[MouseScheme.WINDOW_ON_LEFT].right is Tool.ZOOM


def test_two_buttons_never_do_the_same_and_neither_do_two_wheels() -> None:
    bindings = bindings_of(MouseScheme.WINDOW_ON_LEFT)
    assert conflict(bindings, "right", "pan") == "middle"
    assert conflict(bindings, "right", "none") is None
    assert conflict(bindings, "shift_wheel", "zoom") == "control_wheel"

    # As the scheme has them where a file says otherwise; what is exchanged in full is taken.
    assert bindings_of(MouseScheme.WINDOW_ON_LEFT, {"right": "pan", "wheel": "ten_slices"}) == bindings
    swapped = bindings_of(MouseScheme.WINDOW_ON_LEFT, {"left": "zoom", "right": "window"})
    assert (swapped.left, swapped.right) == (Tool.ZOOM, Tool.WINDOW)


def test_the_fine_steps_of_a_trackpad_sum_to_whole_slices() -> None:
    wheel = WheelSum()

    assert sum(wheel.add(7) for _ in range(60)) == 3  # 420 of 120 each
    assert wheel.add(-60) == 0  # the other way starts anew
    assert wheel.add(-60) == -1
    assert WheelSum(reversed=True).add(120) == -1
    assert WheelSum().add(120, steps_per_notch=3) == 3


def test_a_drag_to_the_right_widens_and_up_raises_the_window() -> None:
    state = Drag(Tool.WINDOW, DragSpeed.FAST).moved(STATE, right_px=10, down_px=-10, scale_px=1)

    assert state.window == VoiWindow(-550, 1550)


def test_a_zooming_drag_doubles_over_200_pixels_and_never_faster() -> None:
    for speed in DragSpeed:
        assert Drag(Tool.ZOOM, speed).moved(STATE, 0, -200, 1).zoom <= 2.0
    assert Drag(Tool.ZOOM, DragSpeed.FAST).moved(STATE, 0, -200, 1).zoom == 2.0


def test_a_scrolling_drag_sums_to_slices_and_a_pan_follows_the_hand() -> None:
    drag, state = Drag(Tool.SCROLL, DragSpeed.FAST), STATE
    for _ in range(12):
        state = drag.moved(state, 0, -2, 1)

    assert state.slice_index == STATE.slice_index + 3
    assert Drag(Tool.PAN).moved(STATE, 30, 10, scale_px=2.0).pan == (15, 5)
