"""From Hounsfield units to the grey of a screen, through a window of centre and width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.study import PADDING_HU

AIR_HU = -1000
BODY_FROM_HU = -300
"""What is denser than this and hangs together is body, couch or clothes; the largest piece is the body."""
COARSE_PX = 160
"""The side to which a slice is thinned out before the body is looked for."""


@dataclass(frozen=True, slots=True)
class VoiWindow:
    """A VOI window in Hounsfield units; the width is at least 1."""

    centre_hu: float
    width_hu: float

    def __post_init__(self) -> None:
        if not self.width_hu >= 1:
            raise ValueError("a VOI window is at least 1 HU wide")


LUNG = VoiWindow(-600, 1500)

PRESETS: dict[str, VoiWindow] = {
    "lung": LUNG,
    "mediastinum": VoiWindow(40, 400),
    "bone": VoiWindow(480, 2500),
    "lung_wide": VoiWindow(-400, 1600),
    "lung_alternative": VoiWindow(-500, 1400),
    "vessels": VoiWindow(300, 600),
    "upper_abdomen": VoiWindow(60, 400),
}
"""The windows that have fixed numbers, by their stored names, in the order of their keys 1 to 7 (ux.md 4.3)."""


def to_grey(hounsfield: NDArray[np.int16], window: VoiWindow, *, inverted: bool = False) -> NDArray[np.uint8]:
    """Return grey 0...255 of the same shape; pixels outside the scan (-32768) are shown as air.

    `inverted` shows dense things dark, as 255 minus the grey.

    Source: DICOM PS3.3 C.11.2.1.2.1, the LINEAR function; rounded half to even.
    """
    grey: NDArray[np.uint8] = _table(window, inverted)[hounsfield.view(np.uint16)]
    return grey


def from_to(lowest_hu: float, highest_hu: float) -> VoiWindow:
    """Return the window whose black ends at the lowest and whose white begins at the highest value."""
    width = max(highest_hu - lowest_hu + 1, 1.0)
    return VoiWindow((lowest_hu + highest_hu) / 2 + 0.5, width)


def automatic(hounsfield: NDArray[np.int16]) -> VoiWindow:
    """Return the window from the 1st to the 99th percentile inside the body, int16 [rows, columns].

    Inside is what the outline of the largest dense piece encloses, lungs and all. A slice without a body is
    taken as a whole, without the pixels outside the scan; one that is constant or all padding keeps the lung window.
    """
    step = max(1, max(hounsfield.shape) // COARSE_PX)
    thinned = hounsfield[::step, ::step]
    inside = _body(thinned) & (thinned != PADDING_HU)
    values = thinned[inside] if inside.any() else thinned[thinned != PADDING_HU]
    if not values.size:
        return LUNG
    lowest, highest = np.percentile(values, (1, 99))
    return from_to(float(lowest), float(highest)) if highest > lowest else LUNG


def _body(hounsfield: NDArray[np.int16]) -> NDArray[np.bool_]:
    from scipy import ndimage  # slow to import, and rarely needed: the window starts without it

    dense = ndimage.binary_opening(hounsfield > BODY_FROM_HU)
    pieces, count = ndimage.label(dense)
    if not count:
        return np.zeros(hounsfield.shape, np.bool_)
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    body: NDArray[np.bool_] = ndimage.binary_fill_holes(pieces == largest)
    return body


@lru_cache(maxsize=16)
def _table(window: VoiWindow, inverted: bool) -> NDArray[np.uint8]:
    """Return the grey of every 16-bit value, in the order of its bits read as unsigned."""
    hounsfield = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float64)
    hounsfield[hounsfield == PADDING_HU] = AIR_HU
    above_centre = hounsfield - (window.centre_hu - 0.5)
    half = (window.width_hu - 1) / 2
    # At a width of 1 nothing lies between the ends, and the division is never looked at.
    slope = above_centre / max(window.width_hu - 1, 1e-9) + 0.5
    grey = np.where(above_centre <= -half, 0.0, np.where(above_centre > half, 1.0, slope))
    table: NDArray[np.uint8] = np.rint(255 * grey).astype(np.uint8)
    if inverted:
        table = 255 - table
    table.flags.writeable = False
    return table
