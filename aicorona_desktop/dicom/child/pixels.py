"""One frame from stored values to Hounsfield units, by exactly one decoder a transfer syntax.

The pre-scan has proved size and structure of the frame. All other plug-ins of pydicom are removed, so that
a decoder that fails ends the frame and never hands it to a second one.

Source: DICOM PS3.5 8.1.1 (stored bits), PS3.3 C.7.6.3 (photometric), C.7.5.1.1.2 (padding), C.11.1 (rescale).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.child.headers import PixelFacts, heard_warnings
from aicorona_desktop.dicom.child.prescan import BIG_ENDIAN, PixelData, Scan
from aicorona_desktop.dicom.protocol import (
    LARGEST_SLICE_PX,
    PADDING_HU,
    SMALLEST_SLICE_PX,
    ReaderError,
    SliceRead,
)

LARGEST_HU = 32767
AIR_HU = (-1100, -900)
PLUG_INS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1.2.840.10008.1.2.5": "pydicom",
        "1.2.840.10008.1.2.4.57": "gdcm",
        "1.2.840.10008.1.2.4.70": "gdcm",
        "1.2.840.10008.1.2.4.80": "gdcm",
        "1.2.840.10008.1.2.4.81": "gdcm",
        "1.2.840.10008.1.2.4.90": "pylibjpeg",
        "1.2.840.10008.1.2.4.91": "pylibjpeg",
        "1.2.840.10008.1.2.4.201": "pylibjpeg",
        "1.2.840.10008.1.2.4.202": "pylibjpeg",
        "1.2.840.10008.1.2.4.203": "pylibjpeg",
    }
)
_OTHER_SYNTAXES = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_PIXEL_FINDINGS = frozenset({Reason.LOSSY, Reason.NEAR_LOSSLESS, Reason.SIGN_DIFFERS})

Stored = NDArray[Any]  # int16 or uint16


def keep_one_decoder_each() -> None:
    """Remove every plug-in of pydicom but the named one of each transfer syntax; to be called once, at start.

    Raises:
        ReaderError: a decoder is missing from this installation.
    """
    for syntax in (*PLUG_INS, *_OTHER_SYNTAXES):
        decoder, wanted = get_decoder(syntax), PLUG_INS.get(syntax)
        for name in decoder.available_plugins:
            if name != wanted:
                decoder.remove_plugin(name)
        if wanted is not None and decoder.available_plugins != (wanted,):
            raise ReaderError(f"A decoder is missing from this installation ({wanted}).")


def read_frames(scan: Scan, frames: tuple[int, ...], facts: tuple[PixelFacts, ...]) -> Iterator[SliceRead | Finding]:
    """Yield each frame in HU, or the finding that keeps it from being one."""
    findings = tuple(each for each in scan.findings if each.reason in _PIXEL_FINDINGS)
    for frame, about in zip(frames, facts, strict=True):
        sizes = (about.rows, about.columns)
        if scan.pixels is None or not SMALLEST_SLICE_PX <= min(sizes) <= max(sizes) <= LARGEST_SLICE_PX:
            yield Finding(Outcome.REFUSED, Reason.ROWS_COLUMNS, name="Rows", found=about.rows)
            continue
        try:
            stored = _stored_values(scan, scan.pixels, frame, about)
        except Exception as error:  # noqa: BLE001 - what a decoder raises on damaged data is its own affair
            yield Finding(Outcome.REFUSED, Reason.DECODE_FAILED, name=type(error).__name__)
            continue
        yield SliceRead(hounsfield(stored, about), findings)


# --- decoding ----------------------------------------------------------------------------------------------------
def _stored_values(scan: Scan, pixels: PixelData, frame: int, about: PixelFacts) -> Stored:
    stored = stored_words(scan, pixels, frame, about).reshape((about.rows, about.columns))
    return _without_unused_bits(stored, about) if about.bits_stored < 16 else stored


def stored_words(scan: Scan, pixels: PixelData, frame: int, about: PixelFacts) -> Stored:
    """Return the words of a frame with all of their bits, in the order of the file; raises what its decoder does."""
    if not pixels.encapsulated:
        return native_values(scan, pixels, frame, about)
    dtype: np.dtype[Any] = np.dtype(np.int16 if about.pixel_representation else np.uint16)
    decoded: Stored = _decoded(scan, pixels, frame, about).astype(dtype, copy=False)
    return decoded


def native_values(scan: Scan, pixels: PixelData, frame: int, about: PixelFacts) -> Stored:
    """Return the words of an uncompressed frame with all of their bits, [rows * columns]."""
    dtype: np.dtype[Any] = np.dtype(np.int16 if about.pixel_representation else np.uint16)
    count = about.rows * about.columns
    order = dtype.newbyteorder(">" if scan.transfer_syntax_uid == BIG_ENDIAN else "<")
    return np.frombuffer(scan.data, order, count, pixels.offset + frame * count * 2).astype(dtype, copy=False)


def _decoded(scan: Scan, pixels: PixelData, frame: int, about: PixelFacts) -> Stored:
    stream = b"".join(scan.data[offset : offset + length] for offset, length in pixels.frames[frame])
    with heard_warnings():
        if PLUG_INS[scan.transfer_syntax_uid] == "pydicom":
            warnings.simplefilter("error")  # RLE: too little or too much data is only warned about
        decoded, _ = get_decoder(scan.transfer_syntax_uid).as_array(
            encapsulate([stream], has_bot=False),
            index=0,
            raw=True,
            validate=False,
            decoding_plugin=PLUG_INS[scan.transfer_syntax_uid],
            rows=about.rows,
            columns=about.columns,
            number_of_frames=1,
            samples_per_pixel=1,
            bits_allocated=16,
            bits_stored=about.bits_stored,
            pixel_representation=about.pixel_representation,
            photometric_interpretation=about.photometric,
            pixel_keyword="PixelData",
        )
    return decoded  # type: ignore[no-any-return]


def _without_unused_bits(stored: Stored, about: PixelFacts) -> Stored:
    """Mask what lies above the stored bits, or carry the sign there; padding may need all 16 and stays."""
    unused = 16 - about.bits_stored
    if about.pixel_representation:
        return (stored << unused) >> unused
    masked: Stored = stored & np.uint16(0xFFFF >> unused)
    if about.padding is not None and about.padding >> about.bits_stored:
        masked[stored == about.padding] = about.padding
    return masked


# --- from stored values to HU ------------------------------------------------------------------------------------
def hounsfield(stored: Stored, about: PixelFacts) -> NDArray[np.int16]:
    """Return HU, int16, of the same shape: rescaled, rounded half to even, clipped to +-32767.

    Padding is found on the stored values and carries -32768. MONOCHROME1 is inverted: max + min - x over the
    other pixels (paper-spec 2.2, step 1). A missing slope counts as 1, a missing intercept as 0: whether
    such values may be scored is the gate's question.
    """
    slope, intercept = 1.0 if about.slope is None else about.slope, about.intercept or 0.0
    inverted = about.photometric == "MONOCHROME1"
    padding = None if not inverted and _pads_with_air(about, slope, intercept) else _padding(stored, about)
    values = _rescaled(stored, slope, intercept)
    if padding is None:
        return _inverted(values, values) if inverted else values
    if inverted and not padding.all():
        values = _inverted(values, values[~padding])
    values[padding] = PADDING_HU
    return values


def _pads_with_air(about: PixelFacts, slope: float, intercept: float) -> bool:
    """Whether the padding value means air, as some scanners declare it: then nothing tells it from measured air."""
    if about.padding is None or about.padding_limit not in {None, about.padding}:
        return False
    return AIR_HU[0] <= about.padding * slope + intercept <= AIR_HU[1]


def _padding(stored: Stored, about: PixelFacts) -> NDArray[np.bool_] | None:
    """Where padding is; None for nowhere."""
    if about.padding is None:
        return None
    limit = about.padding if about.padding_limit is None else about.padding_limit
    low, high = sorted((about.padding, limit))
    found = stored == low if low == high else (stored >= low) & (stored <= high)
    return found if found.any() else None


def _rescaled(stored: Stored, slope: float, intercept: float) -> NDArray[np.int16]:
    if slope == 1 and float(intercept).is_integer() and abs(intercept) <= LARGEST_HU:
        return _shifted(stored, int(intercept))
    with np.errstate(over="ignore", invalid="ignore"):
        values = stored * np.float64(slope)
        values += intercept
        np.rint(values, out=values)
        np.clip(values, -LARGEST_HU, LARGEST_HU, out=values)
    return np.nan_to_num(values, copy=False).astype(np.int16)


def _shifted(stored: Stored, intercept: int) -> NDArray[np.int16]:
    """Add a whole number; in 16 bits where nothing can overflow, which is the usual case and the fast one."""
    if int(stored.min()) + intercept >= -LARGEST_HU and int(stored.max()) + intercept <= LARGEST_HU:
        shifted: NDArray[np.int16] = stored.view(np.int16) + np.int16(intercept)
        return shifted
    values = stored.astype(np.int32)
    values += intercept
    return np.clip(values, -LARGEST_HU, LARGEST_HU, out=values).astype(np.int16)


def _inverted(values: NDArray[np.int16], counted: NDArray[np.int16]) -> NDArray[np.int16]:
    both = np.int32(int(counted.min()) + int(counted.max()))
    inverted: NDArray[np.int16] = np.clip(both - values, -LARGEST_HU, LARGEST_HU).astype(np.int16)
    return inverted
