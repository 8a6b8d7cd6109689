from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.imaging.overlay import coded
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.map_layer import MapKeys, MapLayer, MapState, grid_text
from aicorona_desktop.ui.viewer_state import Layout, MapDrawing, at_slice, with_map
from tests.history import made_up
from tests.ui.panel_parts import View, a_pack, cams_of, context_over, recorded, score_of, viewed

SLICES = 6
STUDY = made_up.study(slices=SLICES)


@pytest.fixture
def context(tmp_path: Path, qapp: object) -> Iterator[Context]:
    with context_over(tmp_path, a_pack()) as context:
        yield context


class Bench:
    """A layer over one study whose maps are kept, a view and the keys."""

    def __init__(self, context: Context, qtbot: QtBot, *, kept: bool = True) -> None:
        self.context, self.qtbot = context, qtbot
        self.cams = cams_of(SLICES)
        self.result = recorded(context.running.history, STUDY, score_of(STUDY, a_pack(), self.cams))
        if kept:
            self.save(self.cams)
        self.viewed = viewed(STUDY, self.result)
        self.series = self.viewed.series[0]
        self.layer, self.view = MapLayer(context), View()
        self.view.state = replace(self.view.state, slices=SLICES, series_instance_uid=self.series.series_instance_uid)
        self.now = 10.0
        self.keys = MapKeys(context, self.view, self.layer, lambda: self.series, clock=lambda: self.now)
        self.layer.show_study(self.viewed)

    def save(self, cams: np.ndarray) -> None:
        assert self.context.running.maps.save(self.result.number, cams, tuple(range(len(cams))), a_pack().bias)

    def wait_for(self, state: MapState) -> None:
        self.qtbot.waitUntil(lambda: self.layer.state is state, timeout=5000)

    def hold(self, name: str, seconds: float) -> None:
        self.context.actions.ask(name)
        self.now += seconds
        self.context.actions.let_go(name)

    def tap(self, name: str = "viewer.map") -> None:
        self.hold(name, 0.1)


@pytest.fixture
def bench(context: Context, qtbot: QtBot) -> Bench:
    return Bench(context, qtbot)


# --- what may be drawn -----------------------------------------------------------------------------------------------


def test_nothing_is_loaded_before_somebody_asks(bench: Bench) -> None:
    assert bench.layer.state is MapState.NOT_ASKED
    assert bench.layer.cam(bench.series, 0, "covid") is None
    assert bench.layer.scale(with_map(bench.view.state, True)) is None


def test_a_map_is_that_of_its_slice_and_class_on_one_scale_for_the_study(bench: Bench) -> None:
    bench.tap()
    bench.wait_for(MapState.READY)

    for name in CLASSES:
        place = CLASSES.index(name)
        assert bench.layer.limits(name) == (bench.cams[:, place].min(), bench.cams[:, place].max())
        for index in range(SLICES):
            np.testing.assert_array_equal(bench.layer.cam(bench.series, index, name), bench.cams[index, place])


def test_the_sum_of_the_maps_is_the_stored_score(bench: Bench) -> None:
    bench.tap()
    bench.wait_for(MapState.READY)

    maps = bench.layer.maps
    assert maps is not None
    sums = np.asarray(a_pack().bias) + maps.cams.mean(axis=(0, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(sums, bench.result.score.logits, atol=1e-6)
    np.testing.assert_allclose(maps.check.sums, sums, atol=1e-12)


def test_maps_that_do_not_add_up_to_the_score_are_never_drawn(bench: Bench) -> None:
    bench.save(bench.cams + np.float32(0.02))

    bench.tap()
    bench.wait_for(MapState.WRONG)

    assert "do not add up" in bench.layer.sentence
    assert bench.layer.cam(bench.series, 0, "covid") is None
    assert bench.layer.limits("covid") is None
    assert bench.layer.code(bench.series, 0, bench.view.state) is None
    assert bench.layer.scale(bench.view.state) is None


def test_maps_of_other_slices_are_never_drawn(bench: Bench) -> None:
    bench.save(bench.cams[:-1])

    bench.tap()

    bench.wait_for(MapState.WRONG)


def test_the_layout_over_the_slice_is_that_of_the_drawing_asked_for(bench: Bench) -> None:
    bench.tap()
    bench.wait_for(MapState.READY)
    limits = bench.layer.limits("covid")
    assert limits is not None

    for drawing, fill, lines in (
        (MapDrawing.BOTH, True, True),
        (MapDrawing.LINES, False, True),
        (MapDrawing.FILL, True, False),
    ):
        for raw_grid in (False, True):
            state = replace(bench.view.state, map_drawing=drawing, raw_grid=raw_grid)
            expected = coded(bench.cams[2, 2], (64, 64), limits, fill=fill, contours=lines, raw_grid=raw_grid)
            np.testing.assert_array_equal(bench.layer.code(bench.series, 2, state), expected)


def test_slices_are_matched_by_identity_when_a_late_file_has_moved_them(bench: Bench) -> None:
    # given: the viewer has a slice more, below all others
    grown = made_up.study(slices=SLICES, first=-1 + 1)
    late = made_up.study(slices=1, first=99).series[0].instances
    series = replace(bench.series, instances=(*late, *grown.series[0].instances))

    bench.tap()
    bench.wait_for(MapState.READY)
    bench.layer.show_study(replace(bench.viewed, series=(series,)))

    assert bench.layer.cam(series, 0, "covid") is None
    np.testing.assert_array_equal(bench.layer.cam(series, 1, "covid"), bench.cams[0, 2])
    assert bench.layer.slice_of(series, 0) == 1


def test_another_series_of_the_study_has_no_map(bench: Bench) -> None:
    bench.tap()
    bench.wait_for(MapState.READY)

    assert bench.layer.cam(replace(bench.series, scored=False), 0, "covid") is None


def test_another_study_starts_without_maps(bench: Bench) -> None:
    bench.tap()
    bench.wait_for(MapState.READY)

    bench.layer.show_study(viewed(made_up.study("9.9"), None))

    assert (bench.layer.state, bench.layer.maps) == (MapState.NO_SCORE, None)
    assert bench.layer.cam(bench.series, 0, "covid") is None


# --- computed anew ----------------------------------------------------------------------------------------------------


def test_maps_that_are_missing_are_asked_of_the_engine_and_shown_once_they_are_there(
    context: Context, qtbot: QtBot
) -> None:
    bench = Bench(context, qtbot, kept=False)

    bench.tap()
    qtbot.waitUntil(lambda: context.running.engine.requests == [("maps", "1.2.3", True)], timeout=5000)
    assert bench.layer.state is MapState.WAITING
    bench.save(bench.cams)
    context.bridge.maps_ready.emit("1.2.3")

    bench.wait_for(MapState.READY)


def test_maps_that_cannot_be_computed_are_said_to_be_so_once(context: Context, qtbot: QtBot) -> None:
    bench = Bench(context, qtbot, kept=False)

    bench.tap()
    qtbot.waitUntil(lambda: bool(context.running.engine.requests), timeout=5000)
    context.bridge.maps_ready.emit("1.2.3")

    bench.wait_for(MapState.IMPOSSIBLE)
    assert "could not be computed" in bench.layer.sentence
    assert context.running.engine.requests == [("maps", "1.2.3", True)]


def test_why_the_engine_could_not_compute_them_is_told(context: Context, qtbot: QtBot) -> None:
    bench = Bench(context, qtbot, kept=False)

    bench.tap()
    qtbot.waitUntil(lambda: bool(context.running.engine.requests), timeout=5000)
    context.bridge.maps_failed.emit("1.2.3", "The files have changed.")

    assert (bench.layer.state, bench.layer.sentence) == (MapState.IMPOSSIBLE, "The files have changed.")


def test_maps_that_do_not_add_up_can_be_computed_anew(bench: Bench) -> None:
    bench.save(bench.cams + np.float32(0.02))
    bench.tap()
    bench.wait_for(MapState.WRONG)

    bench.layer.compute_anew()
    assert bench.context.running.engine.requests == [("maps", "1.2.3", True)]
    bench.save(bench.cams)
    bench.context.bridge.maps_ready.emit("1.2.3")

    bench.wait_for(MapState.READY)


# --- keys ------------------------------------------------------------------------------------------


def test_a_tap_on_the_key_shows_the_map_and_holding_it_is_a_look(bench: Bench) -> None:
    bench.hold("viewer.map", 1.0)
    assert not bench.view.state.map_on

    bench.tap()
    assert bench.view.state.map_on
    assert bench.context.actions["viewer.map"].isChecked()

    bench.hold("viewer.map", 1.0)
    assert bench.view.state.map_on

    bench.tap()
    assert not bench.view.state.map_on
    assert not bench.context.actions["viewer.map"].isChecked()


def test_the_menu_switches_the_map_as_well(bench: Bench) -> None:
    bench.context.actions["viewer.map"].trigger()
    assert bench.view.state.map_on

    bench.context.actions["viewer.map"].trigger()
    assert not bench.view.state.map_on


def test_each_key_of_the_map_changes_its_one_thing(bench: Bench) -> None:
    before = bench.view.state

    for name in ("viewer.raw_grid", "viewer.map_class", "viewer.map_drawing", "viewer.map_stronger"):
        bench.tap(name)

    after = bench.view.state
    assert (after.raw_grid, after.map_class, after.map_drawing) == (True, "cp", MapDrawing.LINES)
    assert after.map_opacity == pytest.approx(before.map_opacity + 0.1)
    bench.tap("viewer.map_fainter")
    assert bench.view.state.map_opacity == pytest.approx(before.map_opacity)
    assert not bench.view.state.map_on


def test_the_walk_goes_through_the_slices_by_what_they_contribute(bench: Bench) -> None:
    shares = bench.cams[:, 2].mean(axis=(1, 2))
    order = [int(place) for place in np.argsort(-shares) if shares[place] > 0]
    bench.view.set_state(at_slice(bench.view.state, next(i for i in range(SLICES) if i not in order)))

    walked = []
    for _ in order:
        bench.tap("viewer.next_contribution")
        walked.append(bench.view.state.slice_index)

    assert walked == order
    bench.tap("viewer.previous_contribution")
    assert bench.view.state.slice_index == order[-2]


def test_a_map_beside_the_slice_is_a_map_too(bench: Bench) -> None:
    bench.view.set_state(replace(bench.view.state, layout=Layout.MAP_BESIDE))
    bench.wait_for(MapState.READY)

    assert bench.layer.scale(bench.view.state) is not None


def test_a_site_that_works_without_maps_has_none_and_its_keys_say_why(bench: Bench) -> None:
    bench.context.site.change(triage_only=True)

    bench.tap()

    assert bench.layer.state is MapState.OFF
    assert not bench.view.state.map_on
    for name in ("viewer.map", "viewer.map_class", "viewer.next_contribution"):
        assert not bench.context.actions[name].isEnabled()
        assert "without maps" in bench.context.actions.tooltip(name)
    bench.context.site.change(triage_only=False)
    assert bench.context.actions["viewer.map"].isEnabled()


def test_the_grid_is_named_as_it_is_with_the_size_of_its_cells(bench: Bench) -> None:
    bench.tap()
    bench.wait_for(MapState.READY)
    assert bench.layer.maps is not None

    assert grid_text(bench.layer.maps, bench.series) == "map grid 2x2"
    header = replace(
        bench.series.instances[0].header,
        pixel_spacing_mm=(0.7, 0.7),
        row_cosines=(1.0, 0.0, 0.0),
        column_cosines=(0.0, 1.0, 0.0),
    )
    placed = replace(bench.series, instances=(replace(bench.series.instances[0], header=header),))
    assert grid_text(bench.layer.maps, placed) == "map grid 2x2, about 22 mm per cell"
