"""A class-activation map over its slice: one colour scale for the whole scan, zero fixed (paper-spec 4.4, ux.md 5).

Two steps, so that a viewer repeats only what has changed: `coded` lays the map out over the slice's pixels and
depends on the map alone; `painted` mixes its colours with the grey of the screen, by one look into a table a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.imaging import colour_maps, resize

OPACITY: Final = 0.35
FILLED_FROM: Final = 0.25
CONTOURS: Final = (0.25, 0.5, 0.75)

_BLOCK_ROWS: Final = 24
"""So few that the product stays on this thread: handing parts of it to others takes longer than a slice may."""

CLEAR: Final = 0
"""The code of a pixel without a colour; 1 to 3 are the lines at `CONTOURS`, from 64 on the fill by its colour."""


def scan_range(maps: Iterable[NDArray[np.float32]]) -> tuple[float, float]:
    """Return the smallest and largest value of one class's maps [h, w] over a whole scan, with zero between them.

    Raises:
        ValueError: no maps.
    """
    ends = [(float(one.min()), float(one.max())) for one in maps]
    if not ends:
        raise ValueError("a scan without maps has no range")
    return min(0.0, *(low for low, _ in ends)), max(0.0, *(high for _, high in ends))


def overlay(
    grey: NDArray[np.uint8],
    cam: NDArray[np.float32],
    limits: tuple[float, float],
    opacity: float = OPACITY,
    *,
    fill: bool = True,
    contours: bool = True,
    colour_map: str = colour_maps.DEFAULT,
    raw_grid: bool = False,
) -> NDArray[np.uint8]:
    """Return the slice in RGB [h, w, 3] with the map drawn over it.

    The fill has one opacity everywhere and begins at a quarter of the scan's largest value; below that, and for
    what speaks against the class, the slice stays as it is. Lines stand at 25, 50 and 75 % of that value.

    Args:
        grey: the slice as shown, uint8 [h, w].
        cam: one class's map [h', w'] of this slice.
        limits: `scan_range` of this class: one scale for all slices of a scan, never one a slice.
        opacity: of the fill, 0 to 1.
        fill: whether the area is filled.
        contours: whether lines are drawn.
        colour_map: one of `colour_maps.NAMES`.
        raw_grid: whether the map's own cells are shown as blocks, without smoothing.
    """
    shape = grey.shape[0], grey.shape[1]
    code = coded(cam, shape, limits, fill=fill, contours=contours, raw_grid=raw_grid)
    return np.ascontiguousarray(painted(grey, code, opacity, colour_map)[..., :3])


def coded(
    cam: NDArray[np.float32],
    shape: tuple[int, int],
    limits: tuple[float, float],
    *,
    fill: bool = True,
    contours: bool = True,
    raw_grid: bool = False,
) -> NDArray[np.uint8]:
    """Return what `painted` draws at each pixel, uint8 of the shape asked for: `CLEAR`, a line or a colour of the fill.

    The other arguments are those of `overlay`.
    """
    largest = np.float32(limits[1])
    if largest <= 0 or not (fill or contours):
        return np.zeros(shape, np.uint8)
    enlarged = blocks if raw_grid else upsampled
    share = enlarged(cam / largest, *shape)
    above = [share >= level for level in CONTOURS]
    code = _filled(share, above[0]) if fill else np.zeros(shape, np.uint8)
    if contours:
        _draw_lines(code, above)
    return code


def painted(
    grey: NDArray[np.uint8], code: NDArray[np.uint8], opacity: float = OPACITY, colour_map: str = colour_maps.DEFAULT
) -> NDArray[np.uint8]:
    """Return red, green, blue and 255, uint8 [h, w, 4], of a slice with a coded map over it: four bytes a pixel.

    The same as `overlay` of the same map; the fourth byte makes it a picture that needs no conversion.
    """
    places = code.astype(np.uint16)
    places <<= 8
    places |= grey
    return _mixed(opacity, colour_map).take(places).view(np.uint8).reshape(*grey.shape, 4)


def upsampled(cam: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return the map in the slice's own pixels: bilinear, half-pixel centres, edges repeated.

    The map covers the square that the slice was filled up to at the right or the bottom, so a slice that is not
    square gets the part of the map over itself.

    Source: paper-spec 2.2 step 8, 4.4.
    """
    side = max(rows, columns)
    by_row = resize.bilinear_weights(cam.shape[0], side)[:rows]
    by_column = resize.bilinear_weights(cam.shape[1], side)[:columns]
    across, enlarged = np.ascontiguousarray(cam @ by_column.T), np.empty((rows, columns), np.float32)
    for start in range(0, rows, _BLOCK_ROWS):
        np.matmul(by_row[start : start + _BLOCK_ROWS], across, out=enlarged[start : start + _BLOCK_ROWS])
    return enlarged


def blocks(cam: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return the map in the slice's own pixels without smoothing: each takes the cell that its centre lies in."""
    side = max(rows, columns)
    by_row, by_column = _cells(cam.shape[0], side)[:rows], _cells(cam.shape[1], side)[:columns]
    return cam[:, by_column][by_row]


def colours(share: NDArray[np.float32], colour_map: str = colour_maps.DEFAULT) -> NDArray[np.uint8]:
    """Return the colours [..., 3] of values from 0 to 1; what lies outside takes the end's colour."""
    found: NDArray[np.uint8] = colour_maps.table(colour_map)[np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)]
    return found


def _filled(share: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the place in the colour map where the fill begins, `CLEAR` elsewhere; overwrites `share`."""
    # A share of a quarter has the place 64: the codes below it are free for the lines.
    np.multiply(share, np.float32(255), out=share)
    np.clip(share, 0, 255, out=share)
    np.rint(share, out=share)
    code = share.astype(np.uint8)
    code *= inside
    return code


def _draw_lines(code: NDArray[np.uint8], above: list[NDArray[np.bool_]]) -> None:
    """Put the lines into the code: pixels of an area that touch what is not of it; the picture's border is no edge.

    A pixel's step counts the levels that it reaches; where a neighbour reaches fewer, its own level's edge runs.
    """
    steps = sum((level.view(np.uint8) for level in above[1:]), start=above[0].view(np.uint8))
    lowest = steps.copy()
    np.minimum(lowest[1:], steps[:-1], out=lowest[1:])
    np.minimum(lowest[:-1], steps[1:], out=lowest[:-1])
    np.minimum(lowest[:, 1:], steps[:, :-1], out=lowest[:, 1:])
    np.minimum(lowest[:, :-1], steps[:, 1:], out=lowest[:, :-1])
    np.copyto(code, steps, where=lowest < steps)


@lru_cache(maxsize=64)
def _cells(cells: int, side: int) -> NDArray[np.intp]:
    """Return for each of `side` pixels the cell that its centre lies in."""
    return (2 * np.arange(side) + 1) * cells // (2 * side)


@lru_cache(maxsize=16)
def _mixed(opacity: float, colour_map: str) -> NDArray[np.uint32]:
    """Return the colour [65536] of every code and grey, in the order code * 256 + grey, as red, green, blue, 255."""
    of_code = colour_maps.table(colour_map)
    grey = np.arange(256, dtype=np.float64)[:, None]
    table = np.full((256, 256, 4), 255, np.uint8)
    table[..., :3] = grey.astype(np.uint8)
    first_fill = round(255 * FILLED_FROM)
    for code in range(first_fill, 256):
        table[code, :, :3] = np.rint((1 - opacity) * grey + opacity * of_code[code])
    for code, level in enumerate(CONTOURS, start=1):
        table[code, :, :3] = colours(np.array(level, np.float32), colour_map)
    packed: NDArray[np.uint32] = table.view(np.uint32).reshape(-1)
    packed.flags.writeable = False
    return packed
