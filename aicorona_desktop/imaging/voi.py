"""From Hounsfield units to the grey of a screen, through a window of centre and width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.study import PADDING_HU

AIR_HU = -1000


@dataclass(frozen=True, slots=True)
class VoiWindow:
    """A VOI window in Hounsfield units; the width is at least 1."""

    centre_hu: float
    width_hu: float

    def __post_init__(self) -> None:
        if not self.width_hu >= 1:
            raise ValueError("a VOI window is at least 1 HU wide")


LUNG = VoiWindow(-600, 1500)


def to_grey(hounsfield: NDArray[np.int16], window: VoiWindow) -> NDArray[np.uint8]:
    """Return grey 0...255 of the same shape; pixels outside the scan (-32768) are shown as air.

    Source: DICOM PS3.3 C.11.2.1.2.1, the LINEAR function; rounded half to even.
    """
    grey: NDArray[np.uint8] = _table(window)[hounsfield.view(np.uint16)]
    return grey


@lru_cache(maxsize=16)
def _table(window: VoiWindow) -> NDArray[np.uint8]:
    """Return the grey of every 16-bit value, in the order of its bits read as unsigned."""
    hounsfield = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float64)
    hounsfield[hounsfield == PADDING_HU] = AIR_HU
    above_centre = hounsfield - (window.centre_hu - 0.5)
    half = (window.width_hu - 1) / 2
    # At a width of 1 nothing lies between the ends, and the division is never looked at.
    slope = above_centre / max(window.width_hu - 1, 1e-9) + 0.5
    grey = np.where(above_centre <= -half, 0.0, np.where(above_centre > half, 1.0, slope))
    table: NDArray[np.uint8] = np.rint(255 * grey).astype(np.uint8)
    table.flags.writeable = False
    return table
