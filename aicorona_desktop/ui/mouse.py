"""What mouse and trackpad mean in the viewer: three schemes, single bindings that may differ, and the arithmetic.

No Qt: the pane says which button and how far, this says what it asks for (ux.md 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from aicorona_desktop.core.user_settings import DragSpeed, MouseScheme
from aicorona_desktop.ui.viewer_state import Tool, ViewerState, moved, panned, window_changed, zoomed

NOTHING = "none"
"""Stored for a button or wheel that does nothing; the right one still has its menu."""
DRAGS = (Tool.WINDOW, Tool.SCROLL, Tool.PAN, Tool.ZOOM)

NOTCH = 120  # what Qt counts for one notch of a wheel
CLICK_PX = 4  # a press that moves less is a click
SLICE_PX = 8.0  # of a scrolling drag, at normal speed
DOUBLE_PX = 200.0  # a zooming drag doubles the picture over this way, never faster
WIDTHS_PX = 300.0  # a window drag moves by the present width over this way
_SPEEDS = {DragSpeed.SLOW: 0.5, DragSpeed.NORMAL: 0.75, DragSpeed.FAST: 1.0}


class Wheel(StrEnum):
    """What a notch of the wheel does."""

    SLICE = "slice"
    TEN = "ten_slices"
    ZOOM = "zoom"


@dataclass(frozen=True, slots=True)
class Bindings:
    """What each button's drag and each wheel does, None for nothing. `left` is the tool until another one is chosen."""

    left: Tool = Tool.WINDOW
    middle: Tool | None = Tool.PAN
    right: Tool | None = Tool.ZOOM
    wheel: Wheel | None = Wheel.SLICE
    shift_wheel: Wheel | None = Wheel.TEN
    control_wheel: Wheel | None = Wheel.ZOOM


BUTTONS = ("left", "middle", "right")
WHEELS = ("wheel", "shift_wheel", "control_wheel")


SCHEMES: dict[MouseScheme, Bindings] = {
    MouseScheme.WINDOW_ON_LEFT: Bindings(),
    MouseScheme.SCROLL_ON_LEFT: Bindings(left=Tool.SCROLL, right=Tool.WINDOW),
    # Everything but the wheel is done by the chosen tool; the right button has its menu only.
    MouseScheme.ONE_BUTTON: Bindings(middle=Tool.PAN, right=None),
}


def bindings_of(scheme: MouseScheme, changed: Mapping[str, str] | None = None) -> Bindings:
    """Return a scheme's bindings with single ones changed, by the names of the fields; others are left alone.

    Where two buttons would do the same, all of them are as the scheme has them; the same for the wheels.
    """
    bindings = SCHEMES[scheme]
    for names in (BUTTONS, WHEELS):
        values = {name: value for name, value in (changed or {}).items() if value in choices(name) and name in names}
        new = replace(bindings, **{name: _binding(name, value) for name, value in values.items()})
        if all(conflict(new, name, stored(new, name)) is None for name in names):
            bindings = new
    return bindings


def choices(name: str) -> tuple[str, ...]:
    """Return the stored values that a button or wheel may have; () for a name that is neither."""
    if name in WHEELS:
        return (*(one.value for one in Wheel), NOTHING)
    if name in BUTTONS:
        return (*(one.value for one in DRAGS), *((NOTHING,) if name != "left" else ()))
    return ()


def stored(bindings: Bindings, name: str) -> str:
    """Return the stored value of one binding."""
    value: Tool | Wheel | None = getattr(bindings, name)
    return NOTHING if value is None else value.value


def conflict(bindings: Bindings, name: str, value: str) -> str | None:
    """Return the other button or wheel that does this already; None where the value is free."""
    if value == NOTHING:
        return None
    others = WHEELS if name in WHEELS else BUTTONS
    return next((other for other in others if other != name and stored(bindings, other) == value), None)


def _binding(name: str, value: str) -> Any:
    if value == NOTHING:
        return None
    return Wheel(value) if name in WHEELS else Tool(value)


@dataclass(slots=True)
class WheelSum:
    """Sums what wheels and trackpads turn to whole steps; a turn the other way starts anew."""

    reversed: bool = False
    _rest: float = 0.0

    def add(self, turned: float, steps_per_notch: int = 1) -> int:
        """Return how many steps another turn (in eighths of a degree, away from the person positive) completes."""
        if self._rest * turned < 0:
            self._rest = 0.0
        self._rest += turned * steps_per_notch
        steps = int(self._rest / NOTCH)
        self._rest -= steps * NOTCH
        return -steps if self.reversed else steps


@dataclass(slots=True)
class Drag:
    """A drag under way: gets how far the pointer has moved, gives the state that follows.

    `scale_px` is how many logical pixels of the screen one column of the slice takes.
    """

    tool: Tool
    speed: DragSpeed = DragSpeed.NORMAL
    _slices: float = 0.0

    def moved(self, state: ViewerState, right_px: float, down_px: float, scale_px: float) -> ViewerState:
        """Return the state after another bit of the drag."""
        speed = _SPEEDS[self.speed]
        match self.tool:
            case Tool.WINDOW:
                hu = max(1.0, state.window.width_hu / WIDTHS_PX) * speed
                return window_changed(state, level_hu=-down_px * hu, width_hu=right_px * hu)
            case Tool.SCROLL:
                self._slices -= down_px * speed / SLICE_PX
                whole = int(self._slices)
                self._slices -= whole
                return moved(state, whole)
            case Tool.PAN:
                return panned(state, right_px / scale_px, down_px / scale_px)
            case Tool.ZOOM:
                return zoomed(state, 2 ** (-down_px * speed / DOUBLE_PX))
            case _:
                return state
