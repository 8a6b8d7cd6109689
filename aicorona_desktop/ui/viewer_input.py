"""What mouse and wheel do over the pictures: presses, drags and turns become new states or measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QObject, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent

from aicorona_desktop.core.user_settings import UserSettings
from aicorona_desktop.imaging.roi import Point
from aicorona_desktop.ui.measures import Measure, MeasureBook, nearest
from aicorona_desktop.ui.mouse import CLICK_PX, Bindings, Drag, Wheel, WheelSum, bindings_of
from aicorona_desktop.ui.panes import ImagePane
from aicorona_desktop.ui.slice_view import SliceView
from aicorona_desktop.ui.viewer_state import Fitted, Tool, ViewerState, crossing, fit, moved, one_to_one, zoomed

GRAB_PX = 8  # how near to a measure a click chooses it
ZOOM_PER_NOTCH = 1.15
TEN = 10


class Viewer(Protocol):
    """What the mouse needs of the viewer."""

    @property
    def state(self) -> ViewerState:
        """What it shows."""

    @property
    def book(self) -> MeasureBook:
        """The measures of the study."""

    def set_state(self, state: ViewerState) -> None:
        """Show something else."""

    def measures_on(self, view: SliceView) -> tuple[Measure, ...]:
        """The measures on the slice in a pane."""

    def sketch(self, view: SliceView, measure: Measure | None) -> None:
        """Show a measure while it is drawn."""

    def point_at(self, view: SliceView, point: Point | None) -> None:
        """Say where the pointer is."""

    def scroll_apart(self, view: SliceView, slices: int) -> bool:
        """Scroll the picture of another study alone; False where the pane shows this one."""

    def show_menu(self, pane: ImagePane, at: QPoint) -> None:
        """Show the menu at the pointer."""


@dataclass(slots=True)
class _Press:
    """A button that is down: where it went down, where the pointer was last, and what it does."""

    button: Qt.MouseButton
    view: SliceView
    at: QPointF
    last: QPointF
    drag: Drag | None
    first: Point | None = None  # of a measure
    far: bool = False
    cross: bool = False


class ViewerMouse(QObject):
    """Connected to every axial pane; one press at a time."""

    def __init__(self, viewer: Viewer, settings: UserSettings, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._press: _Press | None = None
        self.bindings = Bindings()
        self.wheel = WheelSum()
        self.settings = settings
        self.follow(settings)

    def follow(self, settings: UserSettings) -> None:
        """Use these settings from now on."""
        self.settings = settings
        self.bindings = bindings_of(settings.mouse_scheme, settings.mouse_bindings)
        self.wheel = WheelSum(reversed=settings.wheel_reversed)

    def listen(self, view: SliceView) -> None:
        """Take what the mouse does over a pane."""
        pane = view.pane
        pane.pressed.connect(lambda event: self._pressed(view, event))
        pane.moved.connect(lambda event: self._moved(view, event))
        pane.released.connect(lambda event: self._released(view, event))
        pane.double_clicked.connect(self._double_clicked)
        pane.wheeled.connect(lambda event: self.wheeled(event, view))
        pane.pointer_left.connect(lambda: self._viewer.point_at(view, None))

    @property
    def drawing(self) -> bool:
        """Whether a measure is being drawn."""
        return self._press is not None and self._press.first is not None

    def give_up(self) -> None:
        """Forget the press under way and the measure that it was drawing."""
        if self._press is not None:
            self._viewer.sketch(self._press.view, None)
            self._press = None

    # --- buttons ----------------------------------------------------------------------------------------------------

    def _tool_of(self, button: Qt.MouseButton) -> Tool | None:
        if button is Qt.MouseButton.LeftButton:
            return self._viewer.state.tool
        if button is Qt.MouseButton.MiddleButton:
            return self.bindings.middle
        return self.bindings.right if button is Qt.MouseButton.RightButton else None

    def _pressed(self, view: SliceView, event: QMouseEvent) -> None:
        if self._press is not None or view.store is None:
            return
        tool = self._tool_of(event.button())
        at = event.position()
        drag = None if tool is None or tool.measures else Drag(tool, self.settings.drag_speed)
        self._press = press = _Press(event.button(), view, at, at, drag)
        left = event.button() is Qt.MouseButton.LeftButton
        shifted = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if left and shifted and self._viewer.state.cross is not None:
            press.drag, press.cross = None, True
            self._cross(view, at)
        elif left and tool is not None and tool.measures:
            press.first = view.pane.to_slice(at)
            self._sketch(press, at)

    def _moved(self, view: SliceView, event: QMouseEvent) -> None:
        press, at = self._press, event.position()
        self._viewer.point_at(view, view.pane.to_slice(at))
        if press is None or press.view is not view:
            return
        press.far = press.far or (at - press.at).manhattanLength() > CLICK_PX
        if press.cross:
            self._cross(view, at)
        elif press.first is not None:
            self._sketch(press, at)
        elif press.drag is not None and press.far:
            self._drag(press.drag, view, at - press.last)
            press.last = at

    def _released(self, view: SliceView, event: QMouseEvent) -> None:
        press = self._press
        if press is None or event.button() is not press.button:
            return
        self._press = None
        if press.first is not None:
            self._finish(press, event.position())
        elif not press.far and not press.cross:
            self._clicked(press, view, event)

    def _clicked(self, press: _Press, view: SliceView, event: QMouseEvent) -> None:
        if press.button is Qt.MouseButton.RightButton:
            self._viewer.show_menu(view.pane, event.globalPosition().toPoint())
        elif press.button is Qt.MouseButton.LeftButton:
            within = GRAB_PX / view.pane.scale_px
            found = nearest(self._viewer.measures_on(view), view.pane.to_slice(event.position()), within)
            self._viewer.book.choose(found)

    def _double_clicked(self, event: QMouseEvent) -> None:
        """Fit to window and back (ux.md 4.2)."""
        if event.button() is not Qt.MouseButton.LeftButton or self._viewer.state.tool.measures:
            return
        state = self._viewer.state
        fitted = state.fitted == Fitted() and not state.one_to_one
        self._viewer.set_state(one_to_one(state) if fitted else fit(state))

    def _drag(self, drag: Drag, view: SliceView, way: QPointF) -> None:
        state = drag.moved(self._viewer.state, way.x(), way.y(), view.pane.scale_px)
        if drag.tool is Tool.SCROLL:
            slices = state.slice_index - self._viewer.state.slice_index
            if slices and self._viewer.scroll_apart(view, slices):
                return
        self._viewer.set_state(state)

    def _cross(self, view: SliceView, at: QPointF) -> None:
        column, row = view.pane.to_slice(at)
        if view.store is not None:
            series = view.store.series
            place = min(max(round(row), 0), series.rows - 1), min(max(round(column), 0), series.columns - 1)
            self._viewer.set_state(crossing(self._viewer.state, *place))

    # --- measures ---------------------------------------------------------------------------------------------------

    def _measure(self, press: _Press, at: QPointF) -> Measure | None:
        view, tool = press.view, self._viewer.state.tool
        if view.store is None or view.shown_index is None or press.first is None:
            return None
        series = view.store.series
        second = view.pane.to_slice(at)
        first = second if tool is Tool.PROBE else press.first
        identity = series.instances[view.shown_index].identity
        return Measure(0, series.series_instance_uid, identity, tool.value, first, second)

    def _sketch(self, press: _Press, at: QPointF) -> None:
        self._viewer.sketch(press.view, self._measure(press, at))

    def _finish(self, press: _Press, at: QPointF) -> None:
        measure = self._measure(press, at)
        self._viewer.sketch(press.view, None)
        if measure is None or not (press.far or measure.kind == Tool.PROBE):
            return
        self._viewer.book.add(
            measure.series_instance_uid, measure.identity, measure.kind, measure.first, measure.second
        )

    # --- wheel ------------------------------------------------------------------------------------------------------

    def _wheel_of(self, modifiers: Qt.KeyboardModifier) -> Wheel | None:
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            return self.bindings.control_wheel
        return self.bindings.shift_wheel if modifiers & Qt.KeyboardModifier.ShiftModifier else self.bindings.wheel

    def wheeled(self, event: QWheelEvent, view: SliceView | None = None) -> None:
        """Turn a wheel, over a picture or the strip; fine steps of a trackpad are summed to whole ones."""
        turned = event.angleDelta().y() or event.angleDelta().x()  # Alt, and Shift on some systems, turn it sideways
        what = self._wheel_of(event.modifiers())
        steps = self.wheel.add(turned, self.settings.wheel_steps if what is Wheel.SLICE else 1)
        if not steps or what is None:
            return
        state = self._viewer.state
        if what is Wheel.ZOOM:
            at = None if view is None else view.pane.from_middle(event.position())
            self._viewer.set_state(zoomed(state, ZOOM_PER_NOTCH**steps, at))
            return
        slices = steps * (TEN if what is Wheel.TEN else 1)
        if view is None or not self._viewer.scroll_apart(view, slices):
            self._viewer.set_state(moved(state, slices))
