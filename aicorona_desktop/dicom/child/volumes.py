"""NIfTI volumes as axial slices in HU, for evaluation on public sets; nibabel reads the header and nothing else.

The values are taken from where the header says they lie, once the sizes have been checked against what is there;
extensions of the header are never looked at (nibabel would hand one of them to pydicom).

Source: NIfTI-1 and NIfTI-2 headers (nifti1.h, nifti2.h); RFC 1952 for the compressed ones.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.findings import Reason
from aicorona_desktop.dicom.child.elements import refused
from aicorona_desktop.dicom.protocol import (
    LARGEST_SLICE_PX,
    LARGEST_VOLUME_BYTES,
    MIB,
    MOST_FRAMES,
    PADDING_HU,
    SMALLEST_SLICE_PX,
    VolumeListed,
    VolumeSlice,
)

HEADER_SIZES: Final = {348: "Nifti1Header", 540: "Nifti2Header"}
HIGHEST_RATIO: Final = 50  # as for deflated data sets
CHUNK_BYTES: Final = 256 * 1024
_GZIP: Final = b"\x1f\x8b"
_HIGHEST: Final = 32767


def import_nibabel() -> None:
    """Import now what the walls will keep out later; without it, every volume is refused with a sentence."""
    with contextlib.suppress(ImportError):
        import nibabel  # noqa: F401


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """What a header says of its values; `axes` is nibabel's orientation: patient axis and sense of each array axis."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    slope: float | None
    intercept: float | None
    axes: NDArray[np.float64]
    listed: VolumeListed

    @property
    def bytes_needed(self) -> int:
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def list_volume(content: bytes) -> VolumeListed:
    """Return size and spacing of a volume, by its header; of a compressed one no more than that is unpacked.

    Raises:
        RefusedError: it is no volume of axial slices in Hounsfield units, or too large.
    """
    return _layout(content).listed


def volume_slices(content: bytes, indices: tuple[int, ...]) -> Iterator[VolumeSlice]:
    """Yield axial slices by their place from the feet, lying as the program's slices do (rows to the back, LPS).

    Raises:
        RefusedError: as `list_volume`; the values are cut off or damaged; there is no such slice.
    """
    layout = _layout(content)
    if not all(0 <= index < layout.listed.slices for index in indices):
        raise refused(Reason.VOLUME_DAMAGED)
    standing = _standing(layout, _unpacked(content, layout.bytes_needed))
    facts = _facts(layout, standing)
    for index in indices:
        yield VolumeSlice(_hounsfield(layout, standing[index]), *facts)


# --- the header ---------------------------------------------------------------------------------------------------


def _layout(content: bytes) -> _Layout:
    nibabel = _nibabel()
    header = _header(nibabel, _beginning(content))
    shape = tuple(int(size) for size in header.get_data_shape())
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise refused(Reason.VOLUME_DIMENSIONS)
    dtype = np.dtype(header.get_data_dtype())
    if dtype.kind not in "iuf":
        raise refused(Reason.VOLUME_VALUES)
    slope, intercept = _trusted(header.get_slope_inter)
    affine = np.asarray(_trusted(header.get_best_affine), dtype=np.float64)
    axes = _axes(nibabel, affine)
    across, along, height = shape[0], shape[1], shape[2]
    listed = _listed((across, along, height), axes, affine)
    layout = _Layout(
        (across, along, height), dtype, _trusted(lambda: int(header.get_data_offset())), slope, intercept, axes, listed
    )
    if layout.bytes_needed > LARGEST_VOLUME_BYTES:
        most = LARGEST_VOLUME_BYTES / MIB
        raise refused(Reason.VOLUME_TOO_LARGE, found=layout.bytes_needed / MIB, needed=most)
    if layout.offset < header.sizeof_hdr:
        raise refused(Reason.VOLUME_DAMAGED)
    return layout


def _nibabel() -> Any:
    try:
        import nibabel
    except (ImportError, OSError):  # behind the walls there is no file to import from
        raise refused(Reason.VOLUME_EXTRA) from None
    return nibabel


def _beginning(content: bytes) -> bytes:
    """Return the first bytes, enough for any header."""
    if not content.startswith(_GZIP):
        return content[: max(HEADER_SIZES)]
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(content[:CHUNK_BYTES], max(HEADER_SIZES))
    except zlib.error:
        raise refused(Reason.VOLUME_DAMAGED) from None


def _header(nibabel: Any, start: bytes) -> Any:
    """Let nibabel read and check a header of either version and either order of bytes."""
    for order in ("little", "big"):
        size = int.from_bytes(start[:4], order)
        if size in HEADER_SIZES and len(start) >= size:
            kind = getattr(nibabel, HEADER_SIZES[size])
            header = _trusted(lambda kind=kind, size=size: kind(start[:size], check=True))
            if bytes(header["magic"])[:3] in {b"n+1", b"n+2"}:  # else the values are in another file
                return header
    raise refused(Reason.VOLUME_DAMAGED)


def _trusted(read: Any) -> Any:
    """Return what nibabel reads, refused where it finds that it makes no sense."""
    try:
        return read()
    except (ValueError, ArithmeticError, KeyError, TypeError, _nibabel().spatialimages.HeaderDataError):
        raise refused(Reason.VOLUME_DAMAGED) from None


def _axes(nibabel: Any, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which patient axis each array axis is nearest to (right, front, head: 0 to 2), and its sense, as [3, 2]."""
    if not np.isfinite(affine).all():
        raise refused(Reason.VOLUME_ORIENTATION)
    axes = np.asarray(_trusted(lambda: nibabel.orientations.io_orientation(affine)), dtype=np.float64)
    if not np.isfinite(axes).all():
        raise refused(Reason.VOLUME_ORIENTATION)
    return axes


def _listed(shape: tuple[int, int, int], axes: NDArray[np.float64], affine: NDArray[np.float64]) -> VolumeListed:
    across, front, height = (int(np.flatnonzero(axes[:, 0] == axis)[0]) for axis in range(3))
    sides = shape[front], shape[across]
    if not SMALLEST_SLICE_PX <= min(sides) <= max(sides) <= LARGEST_SLICE_PX or not 1 <= shape[height] <= MOST_FRAMES:
        raise refused(Reason.VOLUME_SIZE)
    return VolumeListed(shape[height], *sides, float(np.linalg.norm(affine[:3, height])))


# --- the values ---------------------------------------------------------------------------------------------------


def _unpacked(content: bytes, needed: int) -> bytes | bytearray:
    """Return the bytes of the whole file, at least as many as are needed."""
    if not content.startswith(_GZIP):
        if len(content) < needed:
            raise refused(Reason.VOLUME_DAMAGED)
        return content
    most = HIGHEST_RATIO * len(content) + 64 * 1024
    if needed > most:
        raise refused(Reason.DEFLATE_TOO_LARGE, found=needed / len(content), needed=HIGHEST_RATIO)
    unpacked = bytearray(needed)
    at = 0
    for chunk in _inflated(memoryview(content)):
        kept = chunk[: needed - at]
        unpacked[at : at + len(kept)] = kept
        at += len(chunk)
        if at > most:
            raise refused(Reason.DEFLATE_TOO_LARGE, found=at / len(content), needed=HIGHEST_RATIO)
    if at < needed:
        raise refused(Reason.VOLUME_DAMAGED)
    return unpacked


def _inflated(packed: memoryview) -> Iterator[bytes]:
    """Yield what gzip members hold, one behind the other, each proved by its checksum."""
    at = 0
    try:
        while at < len(packed) and bytes(packed[at : at + 2]) == _GZIP:
            inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
            while not inflater.eof:
                waiting: bytes | memoryview = inflater.unconsumed_tail
                if not waiting:
                    waiting = packed[at : at + CHUNK_BYTES]
                    at += len(waiting)
                chunk = inflater.decompress(waiting, CHUNK_BYTES)
                if not chunk and not waiting:
                    raise refused(Reason.VOLUME_DAMAGED)
                yield chunk
            at -= len(inflater.unused_data)
    except zlib.error:
        raise refused(Reason.VOLUME_DAMAGED) from None


def _standing(layout: _Layout, unpacked: bytes | bytearray) -> NDArray[Any]:
    """Return the stored values as [slices from the feet, rows to the back, columns to the left], without a copy."""
    stored = np.ndarray(layout.shape, layout.dtype, unpacked, layout.offset, order="F")
    volume = _nibabel().orientations.apply_orientation(stored, layout.axes)  # to right, front, head
    turned: NDArray[Any] = volume[::-1, ::-1].transpose(2, 1, 0)
    return turned


def _hounsfield(layout: _Layout, values: NDArray[Any]) -> NDArray[np.int16]:
    """Return int16; what is no number becomes padding."""
    scaled = _nibabel().volumeutils.apply_read_scaling(values, layout.slope, layout.intercept)
    if scaled.dtype.kind == "f":
        padding = ~np.isfinite(scaled)
        rounded = np.rint(np.where(padding, 0, scaled)).clip(-_HIGHEST, _HIGHEST).astype(np.int16)
        rounded[padding] = PADDING_HU
    elif np.can_cast(scaled.dtype, np.int16):
        rounded = np.maximum(scaled.astype(np.int16), np.int16(-_HIGHEST))
    else:
        rounded = np.clip(scaled, None if scaled.dtype.kind == "u" else -_HIGHEST, _HIGHEST).astype(np.int16)
    return np.ascontiguousarray(rounded)


def _facts(layout: _Layout, standing: NDArray[Any]) -> tuple[int | None, int, int]:
    """Return the value that all corners hold, the lowest value, and the lowest beside that of the corners."""
    corner: int | None = None
    lowest = lowest_beside = _HIGHEST
    same = True
    for stored in standing:
        values = _hounsfield(layout, stored)
        corner = int(values[0, 0]) if corner is None else corner
        same &= bool((values[[0, 0, -1, -1], [0, -1, 0, -1]] == corner).all())
        kept = values[values != PADDING_HU]
        lowest = min(lowest, int(kept.min(initial=_HIGHEST)))
        lowest_beside = min(lowest_beside, int(kept[kept != corner].min(initial=_HIGHEST)))
    return corner if same else None, lowest, lowest_beside
