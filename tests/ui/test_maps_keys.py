from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aicorona_desktop.core.score import Score
from aicorona_desktop.ui.contributions import contributions, top, walked, without_top_slices
from aicorona_desktop.ui.map_key import HELD_FROM_S, MapKey
from tests.history import made_up
from tests.ui.panel_parts import a_pack, score_of

SHORT, LONG = HELD_FROM_S / 3, HELD_FROM_S * 3


def after(on: bool, *held_s: float) -> list[bool]:
    """Whether the map is shown after each press and each release of the key."""
    key, at, shown = MapKey(), 100.0, []
    for held in held_s:
        key, on = key.pressed(on, at)
        shown.append(on)
        key, on = key.released(on, at + held)
        shown.append(on)
        at += held + 1
    return shown


def test_a_tap_switches_the_map_on_and_the_next_one_off() -> None:
    assert after(False, SHORT, SHORT) == [True, True, True, False]


def test_holding_the_key_shows_the_map_for_as_long() -> None:
    assert after(False, LONG) == [True, False]


def test_holding_the_key_over_a_map_that_is_on_leaves_it_on() -> None:
    assert after(True, LONG) == [True, True]


def test_the_map_is_there_as_the_key_goes_down_not_only_when_it_comes_up() -> None:
    assert MapKey().pressed(False, 5.0)[1]


def test_repeats_of_a_held_key_change_nothing() -> None:
    key, on = MapKey().pressed(False, 5.0)
    again, still_on = key.pressed(on, 5.0 + LONG)

    assert (again, still_on) == (key, on)
    assert again.released(still_on, 5.0 + LONG) == (MapKey(), False)


def test_a_release_without_a_press_changes_nothing() -> None:
    assert MapKey().released(True, 1.0) == (MapKey(), True)


# --- contributions -------------------------------------------------------------------------------------------------


def score_with(covid: list[float]) -> Score:
    cams = np.zeros((len(covid), 3, 2, 2), np.float32)
    cams[:, 2] = np.array(covid, np.float32)[:, None, None]
    return score_of(made_up.study(slices=len(covid)), a_pack(), cams)


def test_slices_stand_by_what_they_add_to_the_logit_and_their_parts_add_up_to_it() -> None:
    score = score_with([1.0, 4.0, -2.0, 3.0])

    ordered = contributions(score, "covid")

    assert [one.place for one in ordered] == [1, 3, 0, 2]
    assert sum(one.part for one in ordered) + a_pack().bias[2] == pytest.approx(score.logits[2])
    assert [one.share for one in ordered] == pytest.approx([0.5, 0.375, 0.125, -0.25])


def test_equal_slices_stand_in_the_order_of_the_scan() -> None:
    assert [one.place for one in contributions(score_with([2.0, 2.0, 2.0]), "covid")] == [0, 1, 2]


def test_where_nothing_speaks_for_a_class_there_is_nothing_to_walk_to() -> None:
    ordered = contributions(score_with([-1.0, -2.0]), "covid")

    assert top(ordered) == ()
    assert walked((), 0, 1) is None
    assert [one.place for one in ordered] == [0, 1]


def test_walking_goes_down_the_top_ten_and_holds_at_its_ends() -> None:
    order = top(contributions(score_with([float(value) for value in range(1, 16)]), "covid"))

    assert order == tuple(range(14, 4, -1))
    assert walked(order, 14, 1) == 13
    assert walked(order, 13, -1) == 14
    assert walked(order, 14, -1) == 14
    assert walked(order, 5, 1) == 5


def test_from_a_slice_that_is_none_of_them_either_key_leads_to_the_strongest() -> None:
    assert walked((8, 3), 5, 1) == 8
    assert walked((8, 3), 5, -1) == 8


def test_without_its_strongest_slices_the_score_is_that_of_the_others() -> None:
    score = score_with([5.0, 1.0, 0.5, 0.25, 0.0])

    without = without_top_slices(score, a_pack())

    assert [one.left_out for one in without] == [1, 3]
    assert without[0].p_covid == pytest.approx(score_with([1.0, 0.5, 0.25, 0.0]).p_covid)
    assert without[1].p_covid == pytest.approx(score_with([0.25, 0.0]).p_covid)
    assert score.p_covid > without[0].p_covid > without[1].p_covid


def test_of_another_pack_s_score_nothing_is_recomputed() -> None:
    assert without_top_slices(replace(score_with([1.0, 2.0]), pack_sha256="f" * 64), a_pack()) == ()
