"""A class-activation map over its slice: one colour scale for the whole scan, zero fixed (paper-spec 4.4, ux.md 5)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.imaging import resize

OPACITY = 0.35
FILLED_FROM = 0.25
CONTOURS = (0.25, 0.5, 0.75)

# Cividis (Nuñez, Anderton, Renslow, PLoS ONE 13(7), 2018): place in the table, red, green, blue. Straight lines
# between these twenty points stay within two grey levels of the published 256 colours.
_CIVIDIS = (
    (0, 0, 34, 78),
    (19, 0, 48, 111),
    (21, 0, 49, 112),
    (23, 1, 50, 113),
    (28, 18, 53, 112),
    (34, 30, 58, 111),
    (42, 42, 63, 109),
    (52, 54, 70, 108),
    (84, 86, 92, 109),
    (104, 104, 106, 113),
    (126, 123, 122, 120),
    (148, 144, 139, 120),
    (179, 174, 163, 113),
    (205, 201, 185, 101),
    (219, 217, 197, 92),
    (232, 231, 209, 80),
    (242, 242, 218, 68),
    (251, 253, 227, 52),
    (252, 254, 228, 52),
    (255, 254, 232, 56),
)


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
    """
    picture = np.repeat(grey[..., None], 3, axis=2)
    largest = limits[1]
    if largest <= 0:
        return picture
    share = upsampled(cam, *grey.shape) / np.float32(largest)
    if fill:
        filled = share >= FILLED_FROM
        mixed = (1 - opacity) * picture[filled] + opacity * colours(share[filled])
        picture[filled] = np.rint(mixed).astype(np.uint8)
    for level in CONTOURS if contours else ():
        line = _edge(share >= level)
        picture[line] = colours(np.array([level], np.float32))
    return picture


def upsampled(cam: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return the map in the slice's own pixels: bilinear, half-pixel centres, edges repeated.

    The map covers the square that the slice was filled up to at the right or the bottom, so a slice that is not
    square gets the part of the map over itself.

    Source: paper-spec 2.2 step 8, 4.4.
    """
    side = max(rows, columns)
    return resize.bilinear(cam, side, side)[:rows, :columns]


def colours(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return cividis colours [..., 3] of values from 0 to 1; what lies outside takes the end's colour."""
    table: NDArray[np.uint8] = _cividis()[np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)]
    return table


@lru_cache(maxsize=1)
def _cividis() -> NDArray[np.uint8]:
    places, *channels = np.array(_CIVIDIS, np.float64).T
    table = np.stack([np.interp(np.arange(256), places, channel) for channel in channels], axis=1)
    rounded: NDArray[np.uint8] = np.rint(table).astype(np.uint8)
    return rounded


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of an area that touch what is not of it; the border of the picture is no edge."""
    around = np.pad(inside, 1, mode="edge")
    surrounded = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return inside & ~surrounded
