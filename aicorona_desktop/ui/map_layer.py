"""The maps of the study on the screen: where they are, whether they may be shown, and the keys that switch them.

A map is shown only when its sum is the stored score (ux.md 5.1). Nothing is loaded before somebody asks for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QObject, Signal, SignalInstance

from aicorona_desktop.app.viewing import ViewedSeries, ViewedStudy
from aicorona_desktop.core.score import CLASSES, Score
from aicorona_desktop.imaging.overlay import coded
from aicorona_desktop.triage.maps import StudyMaps
from aicorona_desktop.ui import contributions
from aicorona_desktop.ui.colour_bar import Scale
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.map_key import MapKey
from aicorona_desktop.ui.viewer_state import (
    Layout,
    MapDrawing,
    ViewerState,
    at_slice,
    next_class,
    next_drawing,
    opacity_changed,
    with_map,
)

translate = QCoreApplication.translate

CODES_KEPT = 64
"""Maps laid out over their slices, 256 KB each at 512 x 512: going back and forth costs nothing."""


class MapState(StrEnum):
    """How it stands with the maps of a study."""

    NO_SCORE = "no_score"
    COMING = "coming"  # the study is being opened: what is asked for now is done as soon as it stands
    NOT_ASKED = "not_asked"
    WAITING = "waiting"  # being read, or computed anew
    READY = "ready"
    WRONG = "wrong"  # they don't add up to the stored score: an error state, nothing is drawn
    IMPOSSIBLE = "impossible"
    OFF = "off"  # the site does without maps


class MapView(Protocol):
    """What the keys and the layer need of the viewer."""

    state_changed: SignalInstance

    @property
    def state(self) -> ViewerState:
        """What it shows."""

    def set_state(self, state: ViewerState) -> None:
        """Show something else."""


@dataclass(frozen=True, slots=True)
class _Laid:
    """What a coded map depends on."""

    index: int
    class_name: str
    shape: tuple[int, int]
    drawing: MapDrawing
    raw_grid: bool


class MapLayer(QObject):
    """The maps of one study at a time, loaded when first wanted; `changed` whenever what can be drawn changes."""

    changed = Signal()

    def __init__(self, context: Context, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._covered = False
        self._viewed: ViewedStudy | None = None
        self._places: dict[str, dict[int, int]] = {}  # by series, from the slice on the screen to the scored one
        self._codes: dict[_Laid, NDArray[np.uint8]] = {}
        self._asked_engine = False
        self.state = MapState.NO_SCORE
        self.maps: StudyMaps | None = None
        """What was loaded, in the states ready and wrong; only in `ready` does `cam` give anything."""
        self.sentence = ""
        """Why there is no map, or that it is on its way; for a person."""
        context.bridge.maps_ready.connect(self._ready)
        context.bridge.maps_failed.connect(self._not_computed)
        context.site.changed.connect(self._site_changed)

    @property
    def blocked(self) -> str:
        """Why no map can be asked for at all, in one sentence; "" where one can."""
        if self.state in (MapState.OFF, MapState.NO_SCORE):
            return self.sentence
        return translate("MapLayer", "Covered until your own impression is saved.") if self._covered else ""

    def cover(self, covered: bool) -> None:
        """Give nothing for as long as the site wants the reader's own impression first (ux.md 6.4)."""
        if covered != self._covered:
            self._covered = covered
            self.changed.emit()

    @property
    def score(self) -> Score | None:
        """The score that the maps are of."""
        return None if self._viewed is None or self._viewed.result is None else self._viewed.result.score

    def show_study(self, viewed: ViewedStudy | None) -> None:
        """Forget the maps of the study before; those of this one are loaded when they are wanted."""
        same = self._viewed is not None and viewed is not None and self._result(self._viewed) == self._result(viewed)
        self._viewed = viewed
        self._places.clear()
        if not same:
            self._forget()

    def study_coming(self) -> None:
        """Forget the maps of the study before; another one is being opened."""
        self.show_study(None)
        if self.state is MapState.NO_SCORE:
            self._tell(MapState.COMING, translate("MapLayer", "The study is being opened."))

    def want(self) -> None:
        """Load the maps, unless they are here or on their way."""
        if self._viewed is None or self._covered or self.state not in (MapState.NOT_ASKED, MapState.IMPOSSIBLE):
            return
        self._asked_engine = False
        self._load()

    def compute_anew(self) -> None:
        """Have the maps computed again, whatever is kept of them; for those that don't add up."""
        if self._viewed is not None:
            self._asked_engine = False
            self._compute(self._viewed.study_instance_uid)

    def cam(self, series: ViewedSeries, index: int, class_name: str) -> NDArray[np.float32] | None:
        """Return one class's map [h, w] of a slice of a series on the screen; None where there is none to show."""
        place = self.place_of(series, index)
        if self._drawable is None or place is None:
            return None
        return np.asarray(self._drawable.cams[place, CLASSES.index(class_name)])

    def limits(self, class_name: str) -> tuple[float, float] | None:
        """Return the one scale of all slices of the study for a class; None where no map is to be shown."""
        return None if self._drawable is None else self._drawable.limits[CLASSES.index(class_name)]

    def code(self, series: ViewedSeries, index: int, state: ViewerState) -> NDArray[np.uint8] | None:
        """Return a slice's map laid out over its pixels, for `overlay.painted`; None where there is none to show."""
        cam, limits = self.cam(series, index, state.map_class), self.limits(state.map_class)
        if cam is None or limits is None:
            return None
        place = self.place_of(series, index)
        key = _Laid(place or 0, state.map_class, (series.rows, series.columns), state.map_drawing, state.raw_grid)
        code = self._codes.pop(key, None)
        if code is None:
            fill, lines = state.map_drawing is not MapDrawing.LINES, state.map_drawing is not MapDrawing.FILL
            code = coded(cam, key.shape, limits, fill=fill, contours=lines, raw_grid=state.raw_grid)
        self._codes[key] = code
        if len(self._codes) > CODES_KEPT:
            del self._codes[next(iter(self._codes))]
        return code

    def scale(self, state: ViewerState) -> Scale | None:
        """Return what the colour bar shows; None while no map is on the screen."""
        limits = self.limits(state.map_class) if shows_map(state) else None
        if limits is None:
            return None
        return Scale(
            limits[0],
            limits[1],
            state.map_class,
            state.colour_map,
            state.map_drawing is not MapDrawing.LINES,
            state.map_drawing is not MapDrawing.FILL,
        )

    def place_of(self, series: ViewedSeries, index: int) -> int | None:
        """Return the place in the score's list of slices of a slice on the screen; None where it wasn't scored."""
        return self._scored(series).get(index)

    def slice_of(self, series: ViewedSeries, place: int) -> int | None:
        """Return the slice on the screen of one of the score's slices, by its place in the score's list."""
        return next((index for index, one in self._scored(series).items() if one == place), None)

    def places(self, series: ViewedSeries) -> dict[int, int]:
        """Return, for each slice on the screen that was scored, its place in the score's list of slices."""
        return dict(self._scored(series))

    def follow(self, state: ViewerState) -> None:
        """Load what the viewer is asked to show."""
        if shows_map(state) and self.state is MapState.NOT_ASKED:
            self.want()

    @property
    def _drawable(self) -> StudyMaps | None:
        """The maps, where they may be on the screen."""
        return self.maps if self.state is MapState.READY and not self._covered else None

    # --- where they come from -----------------------------------------------------------------------------------

    def _forget(self) -> None:
        self.maps = None
        self._codes.clear()
        result = None if self._viewed is None else self._viewed.result
        if self._context.site.value.triage_only:
            self._tell(MapState.OFF, translate("MapLayer", "This site works without maps."))
        elif result is None:
            self._tell(MapState.NO_SCORE, translate("MapLayer", "There is no score, and so no map."))
        else:
            self._tell(MapState.NOT_ASKED, "")

    def _load(self) -> None:
        viewed, running = self._viewed, self._context.running
        if viewed is None or viewed.result is None:
            return
        result = viewed.result
        self._tell(MapState.WAITING, translate("MapLayer", "The maps are being read."))
        self._context.jobs.run(
            lambda: running.maps.load(result),
            partial(self._loaded, viewed),
            self._failed,
            lane="ledger",
            key="maps of the study on the screen",
            owner=self,
        )

    def _loaded(self, viewed: ViewedStudy, maps: StudyMaps | None) -> None:
        if viewed is not self._viewed:
            return
        if maps is None:
            self._compute(viewed.study_instance_uid)
            return
        self.maps = maps
        self._codes.clear()
        if maps.check.within:
            self._tell(MapState.READY, "")
        else:
            self._tell(MapState.WRONG, wrong_text())

    def _compute(self, study_instance_uid: str) -> None:
        """Have the engine compute maps that aren't kept, or not whole; a second miss means that it can't."""
        engine = self._context.running.engine
        if engine is None or self._asked_engine:
            self._failed(
                translate("MapLayer", "There are no maps of this score, and this copy of the program cannot make any.")
                if engine is None
                else translate("MapLayer", "The maps could not be computed; the files may have moved.")
            )
            return
        self._asked_engine = True
        self._tell(MapState.WAITING, translate("MapLayer", "The maps are being computed; this takes a while."))
        engine.request_maps(study_instance_uid, again=True)

    def _ready(self, study_instance_uid: str) -> None:
        if self._viewed is not None and self._viewed.study_instance_uid == study_instance_uid and self._asked_engine:
            self._load()

    def _not_computed(self, study_instance_uid: str, sentence: str) -> None:
        if self._viewed is not None and self._viewed.study_instance_uid == study_instance_uid and self._asked_engine:
            self._failed(sentence)

    def _failed(self, sentence: str) -> None:
        self._tell(MapState.IMPOSSIBLE, sentence)

    def _site_changed(self, names: frozenset[str]) -> None:
        if "triage_only" in names:
            self._forget()

    def _tell(self, state: MapState, sentence: str) -> None:
        self.state, self.sentence = state, sentence
        self.changed.emit()

    def _scored(self, series: ViewedSeries) -> dict[int, int]:
        """Return which slice on the screen is which of the score: by identity, for late files move the others."""
        result = None if self._viewed is None else self._viewed.result
        if result is None or not series.scored:
            return {}
        known = self._places.get(series.series_instance_uid)
        if known is None:
            place_of = {identity: place for place, identity in enumerate(result.score.slice_identities)}
            known = {
                index: place_of[one.identity] for index, one in enumerate(series.instances) if one.identity in place_of
            }
            self._places[series.series_instance_uid] = known
        return known

    @staticmethod
    def _result(viewed: ViewedStudy) -> tuple[str, int | None]:
        return viewed.study_instance_uid, viewed.result.number if viewed.result else None


def shows_map(state: ViewerState) -> bool:
    """Whether a map is asked for: over the picture, or beside it."""
    return state.map_on or state.layout is Layout.MAP_BESIDE


def wrong_text() -> str:
    """Return what is said of maps that are not those of the score."""
    return translate(
        "MapLayer",
        "The maps do not add up to the stored score. None is shown; the score is to be doubted too. "
        "Score the study again.",
    )


def grid_text(maps: StudyMaps, series: ViewedSeries) -> str:
    """Return the true grid of the maps for the corner of the picture: "map grid 10x10, about 34 mm per cell"."""
    rows, columns = maps.cams.shape[2:]
    grid = translate("MapLayer", "map grid {rows}x{columns}").format(rows=rows, columns=columns)
    spacing = series.spacing_mm
    if spacing is None:
        return grid
    # The map covers the square that the slice was filled up to (paper-spec 2.2).
    cell_mm = max(series.rows, series.columns) / columns * spacing[1]
    return translate("MapLayer", "{grid}, about {size} mm per cell").format(grid=grid, size=round(cell_mm))


class MapKeys(QObject):
    """The keys and menu entries of the map, as changes of the viewer's one value.

    Without maps (a site that does without, a study without a score) they are disabled and say why.
    """

    SWITCH = "viewer.map"
    OTHERS = (
        "viewer.raw_grid",
        "viewer.map_class",
        "viewer.map_drawing",
        "viewer.map_fainter",
        "viewer.map_stronger",
        "viewer.map_beside",
    )
    WALK = ("viewer.next_contribution", "viewer.previous_contribution")

    def __init__(
        self,
        context: Context,
        view: MapView,
        layer: MapLayer,
        series: Callable[[], ViewedSeries | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`series` gives the series on the screen; `clock` never goes back. Lives as long as the layer."""
        super().__init__(layer)
        self._context, self._view, self._layer, self._series = context, view, layer, series
        self._clock = clock
        self._key = MapKey()
        actions = context.actions
        actions.pressed.connect(self._pressed)
        actions.released.connect(self._released)
        actions[self.SWITCH].triggered.connect(self._triggered)
        changes: dict[str, Callable[[ViewerState], ViewerState]] = {
            "viewer.raw_grid": lambda state: replace(state, raw_grid=not state.raw_grid),
            "viewer.map_class": next_class,
            "viewer.map_drawing": next_drawing,
            "viewer.map_fainter": lambda state: opacity_changed(state, -1),
            "viewer.map_stronger": lambda state: opacity_changed(state, 1),
        }
        for name, change in changes.items():
            actions[name].triggered.connect(partial(self._change, change))
        actions["viewer.next_contribution"].triggered.connect(partial(self._walk, 1))
        actions["viewer.previous_contribution"].triggered.connect(partial(self._walk, -1))
        view.state_changed.connect(self._sync)
        layer.changed.connect(self._sync)
        self._sync()

    def _pressed(self, name: str) -> None:
        if name == self.SWITCH and self._context.actions[name].isEnabled():
            self._key, shown = self._key.pressed(self._view.state.map_on, self._clock())
            self._show(shown)

    def _released(self, name: str) -> None:
        if name == self.SWITCH:
            self._key, shown = self._key.released(self._view.state.map_on, self._clock())
            self._show(shown)

    def _triggered(self) -> None:
        """A menu or a button; a key has done its work when it went down."""
        if self._key.pressed_at is None:
            self._show(not self._view.state.map_on)
        self._sync()

    def _show(self, shown: bool) -> None:
        if shown and self._layer.state is MapState.IMPOSSIBLE:
            self._layer.want()  # files may be back
        if shown != self._view.state.map_on:
            self._view.set_state(with_map(self._view.state, shown))

    def _change(self, change: Callable[[ViewerState], ViewerState]) -> None:
        self._view.set_state(change(self._view.state))
        self._sync()

    def _walk(self, step: int) -> None:
        series, state, score = self._series(), self._view.state, self._layer.score
        if score is None or series is None or self._layer.blocked:
            return
        order = contributions.top(contributions.contributions(score, state.map_class))
        place = contributions.walked(order, self._layer.place_of(series, state.slice_index), step)
        index = None if place is None else self._layer.slice_of(series, place)
        if index is not None:
            self._view.set_state(at_slice(state, index))

    def _sync(self) -> None:
        """Load what is asked for; let menus and buttons show how it stands, and say why a key does nothing."""
        self._layer.follow(self._view.state)
        actions, state = self._context.actions, self._view.state
        actions[self.SWITCH].setChecked(state.map_on)
        actions["viewer.raw_grid"].setChecked(state.raw_grid)
        blocked = self._layer.blocked
        for name in (self.SWITCH, *self.OTHERS, *self.WALK):
            if blocked:
                actions.disable(name, blocked)
            elif not actions[name].isEnabled():
                actions.enable(name)
