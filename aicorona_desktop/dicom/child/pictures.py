"""A picture of another format than DICOM as grey values, for evaluation on public sets of slices."""

from __future__ import annotations

import io
import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.protocol import LARGEST_PICTURE_PX, Picture

FORMATS: Final = ("PNG", "JPEG", "WEBP")
_PLUG_INS = (PngImagePlugin, JpegImagePlugin, WebPImagePlugin)  # named, as Pillow would look for them on the disk
_SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I"})
_EIGHT_BITS = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"})

Image.MAX_IMAGE_PIXELS = LARGEST_PICTURE_PX * LARGEST_PICTURE_PX


def keep_named_formats() -> None:
    """Let Pillow know the named formats only; to be called once, at start."""
    Image.ID[:] = FORMATS
    Image.preinit = _nothing_to_load
    Image.init = _nothing_to_load


def _nothing_to_load(*_: object) -> Any:
    return True


def read_picture(content: bytes) -> Picture | Finding:
    """Return a PNG, JPEG or WebP picture of at most 4096 x 4096 as grey, 16 bits a pixel where it has them.

    Colours become luminance (ITU-R 601); transparency is left out.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a picture that Pillow only warns about may be a bomb
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if not 1 <= min(image.size) <= max(image.size) <= LARGEST_PICTURE_PX:
                    return Finding(Outcome.REFUSED, Reason.ROWS_COLUMNS, name="Rows", found=max(image.size))
                return Picture(_grey(image))
        except Exception as error:  # noqa: BLE001 - what a decoder raises on damaged data is its own affair
            return Finding(Outcome.REFUSED, Reason.DECODE_FAILED, name=type(error).__name__)


def _grey(image: Image.Image) -> NDArray[np.uint8] | NDArray[np.uint16]:
    if image.mode in _SIXTEEN_BITS:
        return np.asarray(image).clip(0, 0xFFFF).astype(np.uint16)
    if image.mode in _EIGHT_BITS:
        return np.asarray(image.convert("L"), dtype=np.uint8)
    raise ValueError(image.mode)
