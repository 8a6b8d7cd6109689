"""The viewer in the real window: dropped files, the real engine, the maps it kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.imports import ImportSummary
from aicorona_desktop.imaging.overlay import overlay
from aicorona_desktop.imaging.voi import LUNG, to_grey
from aicorona_desktop.ui import viewer_state as states
from aicorona_desktop.ui.actions import VIEWER
from aicorona_desktop.ui.main_window import MainWindow
from aicorona_desktop.ui.viewer_place import ViewerPlace
from tests import phantom
from tests.ui.viewer_parts import pane_pixels


def test_a_dropped_study_opens_scrolls_and_shows_the_map_that_the_engine_kept(
    qtbot: QtBot, window: MainWindow, dropped: Callable[..., ImportSummary], tmp_path: Path
) -> None:
    chest = phantom.chest().with_ground_glass(0.7)
    dropped(chest.written_to(tmp_path / "in"))

    window.open_study(chest.study_instance_uid)
    viewer = window.places[VIEWER]
    assert isinstance(viewer, ViewerPlace)
    actions = viewer.context.actions
    qtbot.waitUntil(lambda: viewer.viewed is not None and viewer.main.shown_index is not None, timeout=15_000)
    assert (pane_pixels(viewer) == to_grey(chest.hounsfield(10), LUNG)).all()

    actions.ask("viewer.slice_up")
    actions.ask("viewer.map")
    actions.let_go("viewer.map")
    qtbot.waitUntil(lambda: viewer.maps.limits("covid") is not None, timeout=15_000)
    maps = viewer.maps.maps
    assert maps is not None
    for index in (11, 12):
        viewer.set_state(states.at_slice(viewer.state, index))
        qtbot.waitUntil(lambda index=index: viewer.main.shown_index == index, timeout=5000)  # type: ignore[misc]
        cam = maps.cams[maps.indices.index(index), 2]
        grey = to_grey(chest.hounsfield(index), LUNG)
        expected: np.ndarray = overlay(grey, cam, maps.limits[2], viewer.state.map_opacity)
        shown = pane_pixels(viewer)
        assert ((shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, 2))[..., :3] == expected).all()
