"""The bar above the pictures and the menu at the pointer: both made from the same actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from PySide6.QtCore import QCoreApplication, QObject, Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QToolBar, QToolButton, QWidget

from aicorona_desktop.ui.actions import Actions
from aicorona_desktop.ui.presets import KeyedPreset
from aicorona_desktop.ui.viewer_state import CornerText, Layout, Tool, ViewerState

PLAIN_TOOLS = (Tool.WINDOW, Tool.SCROLL, Tool.PAN, Tool.ZOOM)
KEYED_TOOLS: Mapping[Tool, str] = {
    Tool.PROBE: "viewer.probe",
    Tool.DISTANCE: "viewer.distance",
    Tool.ELLIPSE: "viewer.ellipse",
    Tool.RECTANGLE: "viewer.rectangle",
}
LAYOUTS: Mapping[Layout, str] = {
    Layout.MAP_BESIDE: "viewer.map_beside",
    Layout.PRIOR_BESIDE: "viewer.prior_beside",
    Layout.REFORMATS: "viewer.reformats",
}


def tool_text(tool: Tool) -> str:
    """Return what a person reads for a tool."""
    return {
        Tool.WINDOW: QCoreApplication.translate("viewer", "Window"),
        Tool.SCROLL: QCoreApplication.translate("viewer", "Scroll"),
        Tool.PAN: QCoreApplication.translate("viewer", "Pan"),
        Tool.ZOOM: QCoreApplication.translate("viewer", "Zoom"),
        Tool.PROBE: QCoreApplication.translate("viewer", "HU probe"),
        Tool.DISTANCE: QCoreApplication.translate("viewer", "Distance"),
        Tool.ELLIPSE: QCoreApplication.translate("viewer", "Ellipse"),
        Tool.RECTANGLE: QCoreApplication.translate("viewer", "Rectangle"),
    }[tool]


class ViewerTools(QObject):
    """Makes menus and bar; `choose_tool` and `choose_preset` are what an entry without a key of its own calls."""

    def __init__(
        self,
        actions: Actions,
        choose_tool: Callable[[Tool], None],
        choose_preset: Callable[[str], None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._actions = actions
        self._choose_preset = choose_preset
        self.tools = QMenu(QCoreApplication.translate("viewer", "Left button"), parent)
        self._group = QActionGroup(self)
        self._of_tool = {tool: self._tool_action(tool, choose_tool) for tool in PLAIN_TOOLS}
        self.tools.addActions([actions[name] for name in KEYED_TOOLS.values()])
        self.presets = QMenu(QCoreApplication.translate("viewer", "Presets"), parent)
        self.layouts = QMenu(QCoreApplication.translate("viewer", "Side by side"), parent)
        self.layouts.addActions([actions[name] for name in LAYOUTS.values()])
        self.bar = self._made_bar(parent)

    def offer_presets(self, presets: tuple[KeyedPreset, ...]) -> None:
        """List these presets, each with its key."""
        self.presets.clear()
        for preset in presets:
            action = self.presets.addAction(f"{preset.text}\t{preset.key}" if preset.key else preset.text)
            action.setData(preset.name)
            action.triggered.connect(partial(self._choose_preset, preset.name))

    def follow(self, state: ViewerState) -> None:
        """Let bar and menus show the state."""
        text = QCoreApplication.translate("viewer", "Drag: {tool}")
        self._tool_button.setText(text.format(tool=tool_text(state.tool)))
        for tool, action in self._of_tool.items():
            action.setChecked(state.tool is tool)
        for layout, name in LAYOUTS.items():
            self._actions[name].setChecked(state.layout is layout)
        self._actions["viewer.invert"].setChecked(state.inverted)
        self._actions["viewer.overlays"].setChecked(state.overlays)
        self._actions["viewer.play"].setChecked(bool(state.cine_per_s))

    def menu_at_pointer(self, parent: QWidget) -> QMenu:
        """Return the menu of a right click."""
        menu = QMenu(parent)
        for part in (self.tools, self.presets, self.layouts):
            menu.addMenu(part)
        menu.addSeparator()
        names = ("fit", "one_to_one", "invert", "map", "play", "overlays", "corner_text", "delete_measure")
        menu.addActions([self._actions[f"viewer.{name}"] for name in (*names, "reset_view")])
        menu.addAction(self._actions["copy_picture"])
        return menu

    def _tool_action(self, tool: Tool, choose: Callable[[Tool], None]) -> QAction:
        action = self.tools.addAction(tool_text(tool))
        action.setCheckable(True)
        action.triggered.connect(partial(choose, tool))
        self._group.addAction(action)
        return action

    def _made_bar(self, parent: QWidget) -> QToolBar:
        bar = QToolBar(QCoreApplication.translate("viewer", "Viewer"), parent)
        bar.setObjectName("viewer_tools")
        bar.setMovable(False)
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        left = QCoreApplication.translate("viewer", "What dragging with the left button does")
        self._tool_button = self._menu_button(bar, self.tools, left)
        self._menu_button(bar, self.presets, QCoreApplication.translate("viewer", "Window presets"))
        self._menu_button(bar, self.layouts, QCoreApplication.translate("viewer", "Pictures side by side"))
        bar.addSeparator()
        for name in ("map", "invert", "fit", "one_to_one", "play", "corner_text"):
            bar.addAction(self._actions[f"viewer.{name}"])
        return bar

    @staticmethod
    def _menu_button(bar: QToolBar, menu: QMenu, tooltip: str) -> QToolButton:
        button = QToolButton(bar)
        button.setText(menu.title())
        button.setToolTip(tooltip)
        button.setAccessibleName(tooltip)
        button.setMenu(menu)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        bar.addWidget(button)
        return button


def corner_text_of(stored: str) -> CornerText:
    """Return the level of a stored key, all text for an unknown one."""
    return CornerText(stored) if stored in {one.value for one in CornerText} else CornerText.ALL
