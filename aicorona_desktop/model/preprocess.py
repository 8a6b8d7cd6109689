"""From a slice to the picture that the network sees: the paper's rule and its named departures.

A preparation is known by a versioned name that the pack states; what a name means never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.imaging import resize


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a preparation's name stands for.

    `window_hu` clips Hounsfield units first (pictures have none and skip it); `padding` says whether pixels outside
    the scan take the smallest value inside it or stay what they are; `shrink` names the way to a smaller size.
    """

    window_hu: tuple[int, int] | None
    padding: Literal["replace", "literal"]
    shrink: Literal["bilinear", "area"]


_PREPARATIONS = {
    "paper-1": Preparation(None, "replace", "bilinear"),
    # The paper's words without our rule for padding: the padding value takes over the minimum of the slice.
    "paper-1-literal": Preparation(None, "literal", "bilinear"),
    "window-1": Preparation((-1350, 150), "replace", "area"),
}
NAMES = tuple(_PREPARATIONS)


def prepare(hounsfield: NDArray[np.int16], preparation: str, input_size: int) -> NDArray[np.float32]:
    """Return the network's picture of one slice: float32 [1, input_size, input_size] in 0...255.

    The brightest 0.5 % of the pixels are lowered to the smallest value among them, then the slice is stretched
    linearly to 0...255, slice by slice; a constant slice is black. Slices that are not square are filled up with
    black at the right or the bottom; only another size is resized.

    Args:
        hounsfield: int16 [h, w]; pixels outside the scan carry -32768.
        preparation: a name of `NAMES`.
        input_size: side of the network's picture, in pixels.

    Raises:
        ValueError: an unknown preparation, or an array of another form.

    Source: paper-spec 2.2.
    """
    steps = _steps(preparation)
    if hounsfield.ndim != 2 or hounsfield.dtype != np.int16 or not hounsfield.size:
        raise ValueError(f"expected 2-D int16, got {hounsfield.ndim}-D {hounsfield.dtype}")
    inside = _without_padding(hounsfield) if steps.padding == "replace" else hounsfield
    if inside is None:
        return np.zeros((1, input_size, input_size), np.float32)
    if steps.window_hu is not None:
        inside = np.clip(inside, *steps.window_hu)
    return _sized(stretched(inside), steps, input_size)


def prepare_picture(grey: NDArray[Any], preparation: str, input_size: int) -> NDArray[np.float32]:
    """Return the network's picture of one grey picture without Hounsfield units, such as a PNG of a public set.

    As `prepare`, without padding and without a window in Hounsfield units.

    Args:
        grey: uint8, uint16 or float [h, w], brighter is denser, any scale.
        preparation: a name of `NAMES`.
        input_size: side of the network's picture, in pixels.

    Raises:
        ValueError: an unknown preparation, an array of another form, or values that are not finite.
    """
    steps = _steps(preparation)
    if grey.ndim != 2 or not grey.size or (grey.dtype not in (np.uint8, np.uint16) and grey.dtype.kind != "f"):
        raise ValueError(f"expected 2-D uint8, uint16 or float, got {grey.ndim}-D {grey.dtype}")
    if grey.dtype.kind == "f" and not np.isfinite(grey).all():
        raise ValueError("a picture holds values that are not finite")
    return _sized(stretched(grey), steps, input_size)


def stretched(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return values [h, w] clipped at the k-th largest, k = ceil(0.5 %), and mapped linearly to 0...255, unrounded.

    Not `np.percentile`: the clip is a value that occurs. Source: paper-spec 2.2, steps 3 to 7.
    """
    brightest = (values.size + 199) // 200
    ceiling = np.partition(values, values.size - brightest, axis=None)[values.size - brightest]
    floor = values.min()
    if ceiling <= floor:
        return np.zeros(values.shape, np.float32)
    clipped = np.clip(values, floor, ceiling)  # `minimum` says the same, five times as slowly
    # int16 - int16 can pass 32767, and float32 can't hold what a float64 picture may: so work in these types.
    working = np.float64 if values.dtype.kind == "f" else np.float32
    stretch = np.subtract(clipped, working(floor), dtype=working)
    stretch /= working(ceiling) - working(floor)  # before the product, so that the brightest is 255 to the digit
    stretch *= 255
    single: NDArray[np.float32] = stretch.astype(np.float32, copy=False)
    return single


def _steps(preparation: str) -> Preparation:
    if preparation not in _PREPARATIONS:
        raise ValueError(f"unknown preparation {preparation!r}")
    return _PREPARATIONS[preparation]


def _without_padding(hounsfield: NDArray[np.int16]) -> NDArray[np.int16] | None:
    if hounsfield.min() != PADDING_HU:
        return hounsfield
    # One less wraps the padding alone round to the largest value, and so the smallest is one of the inside.
    smallest = int((hounsfield - np.int16(1)).min()) + 1
    return None if smallest > 32767 else np.maximum(hounsfield, np.int16(smallest))


def _sized(picture: NDArray[np.float32], steps: Preparation, size: int) -> NDArray[np.float32]:
    height, width = picture.shape
    if height != width:
        side = max(height, width)
        picture = np.pad(picture, ((0, side - height), (0, side - width)))
    side = picture.shape[0]
    if side == size:
        return picture[None]
    shrink_by_area = steps.shrink == "area" and size < side
    resized = resize.area(picture, size, size) if shrink_by_area else resize.bilinear(picture, size, size)
    # Weights add up to 1 in float32 but for the last digit.
    return np.clip(resized, 0, 255, out=resized)[None]
