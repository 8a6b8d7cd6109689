"""The pictures of the viewer beside each other, with colour bar and strip: told what to draw, deciding nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from aicorona_desktop.model.pack import Pack
from aicorona_desktop.ui.colour_bar import ColourBar
from aicorona_desktop.ui.map_layer import MapLayer, shows_map
from aicorona_desktop.ui.measures import Measure
from aicorona_desktop.ui.panes import ImagePane
from aicorona_desktop.ui.reformats import Plane, ReformatView, can_be_cut
from aicorona_desktop.ui.slice_store import SliceStore
from aicorona_desktop.ui.slice_strip import SliceStrip
from aicorona_desktop.ui.slice_view import Person, SliceView
from aicorona_desktop.ui.viewer_state import Layout, ViewerState

translate = QCoreApplication.translate

BAR_CHARACTERS = 16

_SINGLE, _RIGHT, _UPPER, _LOWER = (0, 0, 2, 1), (0, 1, 2, 1), (0, 1, 1, 1), (1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Around:
    """What the state doesn't say: whose pictures they are, and what may be drawn over them.

    `covered`: the site wants the own impression first. `measures` gives those of the slice in a view. `other_index`
    is the slice of the other study that belongs to the one on the screen.
    """

    person: Person
    covered: bool
    measures: Callable[[SliceView], tuple[Measure, ...]]
    chosen: int | None
    other_index: int | None


class Pictures(QWidget):
    """Four panes of which one, two or three are shown, the colour bar, and the strip at the right."""

    def __init__(self, maps: MapLayer, pack: Pack, parent: QWidget) -> None:
        super().__init__(parent)
        self.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        self._maps = maps
        self.main = SliceView(ImagePane("picture", self), maps, pack)
        self.beside = SliceView(ImagePane("picture_beside", self), maps, pack)
        self.coronal = ReformatView(ImagePane("coronal", self), Plane.CORONAL)
        self.sagittal = ReformatView(ImagePane("sagittal", self), Plane.SAGITTAL)
        self.strip, self.colour_bar = SliceStrip(self), ColourBar(self)
        self.colour_bar.setFixedWidth(BAR_CHARACTERS * self.fontMetrics().averageCharWidth())
        self._grid = QGridLayout()
        self._grid.setSpacing(2)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addLayout(self._grid, 1)
        row.addWidget(self.colour_bar)
        row.addWidget(self.strip)
        self._name_panes()
        self.lay_out(Layout.SINGLE)

    @property
    def panes(self) -> tuple[ImagePane, ImagePane, ImagePane, ImagePane]:
        """All panes, shown or not."""
        return self.main.pane, self.beside.pane, self.coronal.pane, self.sagittal.pane

    def lay_out(self, layout: Layout) -> None:
        """Show the panes of a layout."""
        main, beside, coronal, sagittal = self.panes
        shown = {main: _SINGLE}
        if layout in (Layout.MAP_BESIDE, Layout.PRIOR_BESIDE):
            shown[beside] = _RIGHT
        elif layout is Layout.REFORMATS:
            shown |= {coronal: _UPPER, sagittal: _LOWER}
        for pane in self.panes:
            self._grid.removeWidget(pane)
        for pane, place in shown.items():
            self._grid.addWidget(pane, *place)
        for pane in self.panes:  # after they have found their parent, who would hide them again
            pane.setVisible(pane in shown)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, int(len(shown) > 1))
        for part in (0, 1):
            self._grid.setRowStretch(part, 1)

    def show_store(self, store: SliceStore | None, layout: Layout) -> None:
        """Draw slices of this store; the second picture shows another study where the layout says so."""
        self.main.show_store(store)
        if layout is not Layout.PRIOR_BESIDE:
            self.beside.show_store(store)

    def render_state(self, state: ViewerState, around: Around) -> None:
        """Draw everything that this state shows."""
        self.main.person = around.person
        crossing = state.layout is Layout.REFORMATS and state.cross is not None
        self.main.render(
            state,
            state.slice_index,
            with_map=state.map_on and state.layout is not Layout.MAP_BESIDE and not around.covered,
            measures=lambda: around.measures(self.main),
            chosen=around.chosen,
            lines=(state.cross,) if crossing and state.cross is not None else (),
        )
        if state.layout is Layout.MAP_BESIDE:
            self._render_map_beside(state, around)
        elif state.layout is Layout.PRIOR_BESIDE:
            self.beside.render(state, around.other_index or 0, with_map=False)
        elif state.layout is Layout.REFORMATS:
            self.render_reformats(state)
        self._show_scale(state, covered=around.covered)
        self.main.pane.setAccessibleDescription(self.main.told())

    def render_reformats(self, state: ViewerState) -> None:
        """Draw the coronal and the sagittal plane."""
        store = self.main.store
        for view in (self.coronal, self.sagittal):
            view.show(store if can_be_cut(store) else None, state)

    def _render_map_beside(self, state: ViewerState, around: Around) -> None:
        self.beside.person = around.person
        self.beside.note = self._maps.sentence or translate("ViewerPlace", "With map")
        self.beside.render(
            state,
            state.slice_index,
            with_map=not around.covered,
            measures=lambda: around.measures(self.beside),
            chosen=around.chosen,
        )

    def _show_scale(self, state: ViewerState, *, covered: bool) -> None:
        # A map beside the picture is a map on the screen.
        scale = None if covered else self._maps.scale(replace(state, map_on=shows_map(state)))
        if scale != self.colour_bar.scale:
            self.colour_bar.show_scale(scale)

    def _name_panes(self) -> None:
        names = (
            translate("ViewerPlace", "Picture"),
            translate("ViewerPlace", "Second picture"),
            translate("ViewerPlace", "Coronal plane"),
            translate("ViewerPlace", "Sagittal plane"),
        )
        for pane, name in zip(self.panes, names, strict=True):
            pane.setAccessibleName(name)
