"""One axial picture of the viewer: takes the state and the slices, and tells its pane what to draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication

from aicorona_desktop.app.viewing import ViewedSeries, letters, opposite, standard_directions
from aicorona_desktop.app.volume_cache import ShownSlice
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.rows import Row
from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.imaging.overlay import coded, painted
from aicorona_desktop.imaging.roi import Point, RoiStatistics
from aicorona_desktop.imaging.voi import VoiWindow, to_grey
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.ui.corner_text import Shown, corners, joined
from aicorona_desktop.ui.finding_words import finding_text
from aicorona_desktop.ui.identity import Identity
from aicorona_desktop.ui.map_layer import MapLayer, grid_text
from aicorona_desktop.ui.measures import Measure, drawn, told, value_at
from aicorona_desktop.ui.panes import Drawn, Dressing, Field, ImagePane, Picture, Placement
from aicorona_desktop.ui.presets import MODEL, model_grey
from aicorona_desktop.ui.slice_store import SliceStore
from aicorona_desktop.ui.viewer_state import MapDrawing, ViewerState


@dataclass(frozen=True, slots=True)
class Person:
    """Whose pictures these are, as far as it may be shown now."""

    row: Row | None = None
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What a picture depends on: the same value, the same pixels."""

    store: int
    index: int
    window: VoiWindow | None
    inverted: bool
    overlays: bool
    map_of: tuple[str, float, MapDrawing, bool, str, int] | None


class SliceView:
    """Draws slices of one store into one pane; `with_map` says whether the map may be laid over them."""

    def __init__(self, pane: ImagePane, maps: MapLayer, pack: Pack) -> None:
        self.pane = pane
        self.store: SliceStore | None = None
        self.person = Person()
        self.note = ""
        self.pointer: Point | None = None
        self.roi: RoiStatistics | None = None
        """What the chosen ellipse or rectangle on this slice holds."""
        self._maps = maps
        self._pack = pack
        self._drawn: _Drawn | None = None
        self._shown_index: int | None = None
        self._map_there = False

    def show_store(self, store: SliceStore | None) -> None:
        """Draw slices of this store from now on; the picture of another one goes at once."""
        if store is not self.store:
            self.store, self._drawn, self._shown_index = store, None, None
            self.pane.show_picture(None, Field(512, 512))

    @property
    def shown_index(self) -> int | None:
        """The slice whose picture is drawn, which may not be the one asked for yet."""
        return self._shown_index

    @property
    def hounsfield(self) -> NDArray[np.int16] | None:
        """The values of the slice that is drawn, int16 [rows, columns]."""
        if self.store is None or self._shown_index is None:
            return None
        pixels = self.store.pixels(self._shown_index)
        return None if isinstance(pixels, Finding) else pixels

    def render(
        self,
        state: ViewerState,
        index: int,
        *,
        with_map: bool,
        measures: Callable[[], tuple[Measure, ...]] = tuple,
        chosen: int | None = None,
        lines: tuple[tuple[float | None, float | None], ...] = (),
    ) -> None:
        """Draw a slice as the state wants it; while it is not there, what was drawn stays, dimmed, with its number.

        `measures` is asked once the slice is drawn: they belong to what stands there then.
        """
        if self.store is None:
            self.pane.dress(Dressing(corners=((), (), (self.note,), ())))
            return
        shown = self.store.shown(index)
        self.pane.place(Placement(state.fitted, state.one_to_one))
        reason = ""
        if isinstance(shown, Finding):
            self._draw_nothing(index)
            reason = _reason(index, self.store.slices, shown)
        elif shown is not None:
            self._draw(state, index, shown, with_map=with_map)
        waiting = shown is None
        self._dress(state, index if waiting else None, reason, self._measured(measures(), chosen), lines)

    def _draw_nothing(self, index: int) -> None:
        self._drawn, self._shown_index, self._map_there = None, index, False
        self.pane.show_picture(None, self._field((self._series.rows, self._series.columns)))

    def _draw(self, state: ViewerState, index: int, shown: ShownSlice, *, with_map: bool) -> None:
        pixels, with_lines = shown.pixels, state.overlays and not self._names_hidden
        as_model = state.preset == MODEL
        code_key = self._map_key(state, index) if with_map else None
        window = None if as_model else state.window
        wanted = _Drawn(id(self.store), index, window, state.inverted, with_lines, code_key)
        if wanted == self._drawn:
            return
        rows, columns = pixels.shape
        covers = (rows, columns)
        if as_model:
            grey = model_grey(pixels, self._pack.preparation, self._pack.input_size)
            grey = 255 - grey if state.inverted else grey
            covers = (max(covers), max(covers))
        else:
            grey = to_grey(pixels, state.window, inverted=state.inverted)
        code = self._code(state, index, grey) if code_key is not None else None
        picture = grey if code is None else painted(grey, code, state.map_opacity, state.colour_map)
        lines = shown.overlay_bits if with_lines else None
        self.pane.show_picture(Picture(picture, index, covers, lines), self._field((rows, columns)))
        self._drawn, self._shown_index, self._map_there = wanted, index, code is not None

    def _code(self, state: ViewerState, index: int, grey: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """The map laid out over this picture: over the slice, or over the square that the model was given."""
        series = self._series
        if grey.shape == (series.rows, series.columns):
            return self._maps.code(series, index, state)
        cam, limits = self._maps.cam(series, index, state.map_class), self._maps.limits(state.map_class)
        if cam is None or limits is None:
            return None
        fill, lines = state.map_drawing is not MapDrawing.LINES, state.map_drawing is not MapDrawing.FILL
        shape = (grey.shape[0], grey.shape[1])
        return coded(cam, shape, limits, fill=fill, contours=lines, raw_grid=state.raw_grid)

    def _map_key(self, state: ViewerState, index: int) -> tuple[str, float, MapDrawing, bool, str, int] | None:
        if self._maps.cam(self._series, index, state.map_class) is None:
            return None
        return (
            state.map_class,
            state.map_opacity,
            state.map_drawing,
            state.raw_grid,
            state.colour_map,
            id(self._maps.maps),
        )

    # --- what stands around it ------------------------------------------------------------------------------------

    def _dress(
        self,
        state: ViewerState,
        wanted: int | None,
        reason: str,
        measures: tuple[Drawn, ...],
        lines: tuple[tuple[float | None, float | None], ...],
    ) -> None:
        series, index = self._series, self._shown_index
        at = wanted if index is None and wanted is not None else index or 0
        header = series.instances[at].header
        shown = self._words(state, at, wanted)
        spacing = series.spacing_mm
        self.pane.dress(
            Dressing(
                corners=corners(shown, self.person.row, self.person.identity),
                letters=side_letters(header),
                mm_per_column=None if spacing is None or index is None else spacing[1],
                measures=measures if wanted is None else (),
                lines=lines,
                reason=reason,
                dimmed=wanted is not None,
                smooth=True,
            )
        )

    def _words(self, state: ViewerState, index: int, wanted: int | None) -> Shown:
        value = self._value()
        limits = self._maps.limits(state.map_class) if self._map_there else None
        grid = grid_text(self._maps.maps, self._series) if limits is not None and self._maps.maps else ""
        return Shown(
            state=state,
            series=self._series,
            slice_index=index,
            wanted=wanted,
            zoom=self.pane.shown_zoom,
            hounsfield=None if value == PADDING_HU else value,
            outside=value == PADDING_HU,
            map_largest=None if limits is None else limits[1],
            map_grid=grid,
            note=self._notes(state),
        )

    @property
    def _names_hidden(self) -> bool:
        return self.person.identity is not None and self.person.identity.hidden

    def _notes(self, state: ViewerState) -> str:
        """What belongs to this picture alone, and what of the file is not drawn over it."""
        notes = [self.note] if self.note else []
        shown = None if self.store is None or self._shown_index is None else self.store.shown(self._shown_index)
        if isinstance(shown, ShownSlice) and shown.overlay_left_out is not None:
            notes.append(str(shown.overlay_left_out))
        if isinstance(shown, ShownSlice) and shown.overlay is not None and state.overlays and self._names_hidden:
            # Writing in an overlay may well be the patient's name.
            notes.append(QCoreApplication.translate("SliceView", "Overlays are not drawn while names are hidden"))
        return "\n".join(notes)

    def _value(self) -> int | None:
        pixels = self.hounsfield
        return None if pixels is None or self.pointer is None else value_at(pixels, self.pointer)

    def _measured(self, measures: tuple[Measure, ...], chosen: int | None) -> tuple[Drawn, ...]:
        self.roi = None
        told_of = []
        for one in measures:
            text, found = told(one, self.hounsfield, self._series.spacing_mm)
            told_of.append(drawn(one, text, chosen=one.key == chosen))
            if one.key == chosen:
                self.roi = found
        return tuple(told_of)

    def told(self) -> str:
        """Return all that stands in the corners, for those who hear the picture."""
        return joined(self.pane.dressing.corners)

    def _field(self, size: tuple[int, int]) -> Field:
        spacing = self._series.spacing_mm
        return Field(size[0], size[1], 1.0 if spacing is None else spacing[0] / spacing[1])

    @property
    def _series(self) -> ViewedSeries:
        if self.store is None:
            raise ValueError("there is no series to draw")
        return self.store.series


def side_letters(header: Header) -> tuple[str, str, str, str] | None:
    """Return the letters of left, right, top and bottom of a slice on the screen; None where nothing tells them."""
    directions = standard_directions(header)
    if directions is None:
        return None
    across, down = directions.across, directions.down
    return letters(opposite(across)), letters(across), letters(opposite(down)), letters(down)


def _reason(index: int, slices: int, finding: Finding) -> str:
    text = QCoreApplication.translate("SliceView", "Slice {number} of {total} cannot be shown. {reason}")
    return text.format(number=index + 1, total=slices, reason=finding_text(finding))
