"""What the viewer shows, as one value: panes draw it, and nothing else decides what is drawn.

Every change is a new value made by one of the functions here; they know no Qt and are tested without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.imaging.overlay import OPACITY
from aicorona_desktop.imaging.voi import LUNG, VoiWindow

SMALLEST_ZOOM, LARGEST_ZOOM = 0.25, 32.0
SMALLEST_OPACITY, LARGEST_OPACITY = 0.1, 1.0
OPACITY_STEP = 0.1
NARROWEST_HU, WIDEST_HU = 1.0, 8000.0
FARTHEST_HU = 8000.0
CINE_PER_S, CINE_SLOW_PER_S = 10, 4


class Layout(StrEnum):
    """How many pictures stand beside each other, and of what."""

    SINGLE = "single"
    MAP_BESIDE = "map_beside"
    PRIOR_BESIDE = "prior_beside"
    REFORMATS = "reformats"


class MapDrawing(StrEnum):
    """How a map is drawn over its slice."""

    BOTH = "both"
    LINES = "lines"
    FILL = "fill"


class CornerText(StrEnum):
    """How much stands in the corners; identity and slice never go away."""

    ALL = "all"
    LEAST = "least"


class Tool(StrEnum):
    """What the left button does, beside the wheel and the other buttons."""

    WINDOW = "window"
    SCROLL = "scroll"
    PAN = "pan"
    ZOOM = "zoom"
    PROBE = "probe"
    DISTANCE = "distance"
    ELLIPSE = "ellipse"
    RECTANGLE = "rectangle"

    @property
    def measures(self) -> bool:
        """Whether a press of it makes a measure that is kept."""
        return self in (Tool.PROBE, Tool.DISTANCE, Tool.ELLIPSE, Tool.RECTANGLE)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Where the picture lies in its pane: `zoom` 1 fits it, `pan` is how far its middle is off, in slice pixels."""

    zoom: float = 1.0
    pan: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ViewerState:
    """All that the viewer shows of one study.

    `slice_index` counts from 0 at the feet within the series. `preset` is the stored name of the window ("" when
    it was dragged); `model` is computed from each slice, its `window` is not used. `map_class` is one of `CLASSES`.
    `resting_tool` is what the left button does while no other tool is chosen. `cross` is the row and column of the
    slices that the reformats go through. `overlays`: what comes with the image is drawn over it.
    `one_to_one` shows one picture pixel on one physical pixel, whatever `fitted` says of the zoom. `cine_per_s` is how
    many slices a second run by, 0 while none do.
    """

    study_instance_uid: str = ""
    series_instance_uid: str = ""
    slice_index: int = 0
    slices: int = 0
    window: VoiWindow = LUNG
    preset: str = "lung"
    inverted: bool = False
    fitted: Fitted = Fitted()
    one_to_one: bool = False
    layout: Layout = Layout.SINGLE
    map_on: bool = False
    map_class: str = "covid"
    map_opacity: float = OPACITY
    map_drawing: MapDrawing = MapDrawing.BOTH
    raw_grid: bool = False
    colour_map: str = "cividis"
    overlays: bool = True
    corner_text: CornerText = CornerText.ALL
    tool: Tool = Tool.WINDOW
    resting_tool: Tool = Tool.WINDOW
    cross: tuple[int, int] | None = None
    cine_per_s: int = 0

    @property
    def zoom(self) -> float:
        """How much larger than fitted."""
        return self.fitted.zoom

    @property
    def pan(self) -> tuple[float, float]:
        """How far the middle of the picture is off the middle of the pane, in slice pixels (columns, rows)."""
        return self.fitted.pan


# --- places ------------------------------------------------------------------------------------------------------


def opened(
    state: ViewerState, study_instance_uid: str, series_instance_uid: str, slices: int, slice_index: int
) -> ViewerState:
    """Return the state in which a study opens: lung window, fitted, map off, one view (ux.md 4.1, 5.6).

    Of the one before stay the colour map, its opacity, the corner text, and the tool unless it measures.
    """
    return ViewerState(
        study_instance_uid=study_instance_uid,
        series_instance_uid=series_instance_uid,
        slices=slices,
        slice_index=_within(slice_index, slices),
        colour_map=state.colour_map,
        map_opacity=state.map_opacity,
        overlays=state.overlays,
        corner_text=state.corner_text,
        tool=state.resting_tool if state.tool.measures else state.tool,
        resting_tool=state.resting_tool,
    )


def other_series(state: ViewerState, series_instance_uid: str, slices: int, slice_index: int) -> ViewerState:
    """Return the same study with another series; what is computed from a series starts anew."""
    return replace(
        state,
        series_instance_uid=series_instance_uid,
        slices=slices,
        slice_index=_within(slice_index, slices),
        fitted=Fitted(),
        one_to_one=False,
        cross=None,
        cine_per_s=0,
    )


def at_slice(state: ViewerState, index: int) -> ViewerState:
    """Return the state at a slice, or at the nearest end."""
    return replace(state, slice_index=_within(index, state.slices))


def moved(state: ViewerState, slices: int) -> ViewerState:
    """Return the state some slices on, towards the head for positive numbers."""
    return at_slice(state, state.slice_index + slices)


def next_frame(state: ViewerState) -> ViewerState:
    """Return the state one slice on, from the last one back to the first: what cine shows."""
    return at_slice(state, 0 if state.slice_index >= state.slices - 1 else state.slice_index + 1)


def playing(state: ViewerState, per_s: int) -> ViewerState:
    """Return the state with cine on at this speed, or off when it was on."""
    return replace(state, cine_per_s=0 if state.cine_per_s else per_s)


def middle_of(used: Sequence[int], slices: int) -> int:
    """Return where a series opens: the middle of what the model used, else of the whole."""
    return used[len(used) // 2] if used else slices // 2


# --- window ------------------------------------------------------------------------------------------------------


def with_preset(state: ViewerState, name: str, window: VoiWindow) -> ViewerState:
    """Return the state under a named window."""
    return replace(state, preset=name, window=window)


def window_changed(state: ViewerState, level_hu: float = 0.0, width_hu: float = 0.0) -> ViewerState:
    """Return the state with a window moved by hand: it has no preset's name any more."""
    window = VoiWindow(
        min(max(state.window.centre_hu + level_hu, -FARTHEST_HU), FARTHEST_HU),
        min(max(state.window.width_hu + width_hu, NARROWEST_HU), WIDEST_HU),
    )
    return replace(state, window=window, preset="")


def inverted(state: ViewerState) -> ViewerState:
    """Return the state with black and white exchanged."""
    return replace(state, inverted=not state.inverted)


# --- place of the picture ------------------------------------------------------------------------------------------


def zoomed(state: ViewerState, factor: float, at: tuple[float, float] | None = None) -> ViewerState:
    """Return the state with the picture larger by a factor; what lies at a point stays there.

    Args:
        state: before.
        factor: over 1 enlarges.
        at: columns and rows in slice pixels from the middle of the picture; the middle of the pane when None.
    """
    before = state.fitted
    zoom = min(max(before.zoom * factor, SMALLEST_ZOOM), LARGEST_ZOOM)
    if at is None:
        return replace(state, fitted=Fitted(zoom, before.pan), one_to_one=False)
    share = before.zoom / zoom
    pan = tuple((offset + place) * share - place for offset, place in zip(before.pan, at, strict=True))
    return replace(state, fitted=Fitted(zoom, (pan[0], pan[1])), one_to_one=False)


def panned(state: ViewerState, columns: float, rows: float) -> ViewerState:
    """Return the state with the picture moved by some slice pixels."""
    (across, down), zoom = state.fitted.pan, state.fitted.zoom
    return replace(state, fitted=Fitted(zoom, (across + columns, down + rows)))


def fit(state: ViewerState) -> ViewerState:
    """Return the state with the picture fitted into its pane."""
    return replace(state, fitted=Fitted(), one_to_one=False)


def one_to_one(state: ViewerState) -> ViewerState:
    """Return the state with one picture pixel on one physical pixel."""
    return replace(state, fitted=Fitted(), one_to_one=True)


def reset(state: ViewerState) -> ViewerState:
    """Return the view as it opened: fitted, lung window, not inverted; slice, map and measures stay."""
    return replace(with_preset(fit(state), "lung", LUNG), inverted=False)


# --- layout and map --------------------------------------------------------------------------------------------------


def with_layout(state: ViewerState, layout: Layout) -> ViewerState:
    """Return the state in this layout, or in the single one when it is there already."""
    chosen = Layout.SINGLE if state.layout is layout else layout
    return replace(state, layout=chosen, fitted=Fitted(), one_to_one=False)


def with_map(state: ViewerState, on: bool) -> ViewerState:
    """Return the state with the map on or off."""
    return replace(state, map_on=on)


def next_class(state: ViewerState) -> ViewerState:
    """Return the state with the next class's map: COVID-19 first, then other abnormality, then normal."""
    order = tuple(reversed(CLASSES))
    return replace(state, map_class=order[(order.index(state.map_class) + 1) % len(order)])


def opacity_changed(state: ViewerState, steps: int) -> ViewerState:
    """Return the state with the map more or less opaque, by tenths."""
    opacity = round(state.map_opacity + steps * OPACITY_STEP, 2)
    return replace(state, map_opacity=min(max(opacity, SMALLEST_OPACITY), LARGEST_OPACITY))


def next_drawing(state: ViewerState) -> ViewerState:
    """Return the state with the next way to draw the map: both, lines, fill."""
    order = tuple(MapDrawing)
    return replace(state, map_drawing=order[(order.index(state.map_drawing) + 1) % len(order)])


def next_corner_text(state: ViewerState) -> ViewerState:
    """Return the state with more or less text in the corners."""
    return replace(state, corner_text=CornerText.LEAST if state.corner_text is CornerText.ALL else CornerText.ALL)


def with_tool(state: ViewerState, tool: Tool) -> ViewerState:
    """Return the state with this tool, or with the resting one when it was chosen already."""
    return replace(state, tool=state.resting_tool if state.tool is tool else tool)


def crossing(state: ViewerState, row: int, column: int) -> ViewerState:
    """Return the state with the reformats through this row and column of the slices."""
    return replace(state, cross=(row, column))


def _within(index: int, slices: int) -> int:
    return min(max(index, 0), max(slices - 1, 0))
