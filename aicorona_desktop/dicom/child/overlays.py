"""The overlays that come with a frame, joined to one plane of bits: lines and texts that belong over the picture.

Only the viewer asks for them. An overlay that contradicts itself is left out, with a warning; the pixels of the
slice are what they are without it.

Source: DICOM PS3.3 C.9.2 and C.9.3 (overlay plane, multi-frame overlay), PS3.5 8.1.2 (bits, the lowest first).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.child.elements import UNDEFINED
from aicorona_desktop.dicom.child.headers import PixelFacts
from aicorona_desktop.dicom.child.pixels import native_values, read_frames
from aicorona_desktop.dicom.child.prescan import BIG_ENDIAN, Scan
from aicorona_desktop.dicom.protocol import LARGEST_SLICE_PX, MOST_FRAMES, SliceShown

GROUPS: Final = tuple(range(0x6000, 0x6020, 2))
KINDS: Final = frozenset({b"G", b"R", b""})  # graphics, region of interest; some writers leave the type empty
LEFT_OUT: Final = Finding(Outcome.WARNED, Reason.OVERLAY_LEFT_OUT)

_ROWS, _COLUMNS, _FRAMES, _KIND, _ORIGIN = 0x0010, 0x0011, 0x0015, 0x0040, 0x0050
_FIRST_FRAME, _BITS, _BIT, _DATA = 0x0051, 0x0100, 0x0102, 0x3000

Plane = NDArray[np.bool_]


class OddError(Exception):
    """The elements of one overlay contradict each other; ends that overlay only."""


def shown_frames(scan: Scan, frames: tuple[int, ...], facts: tuple[PixelFacts, ...]) -> Iterator[SliceShown | Finding]:
    """Yield each frame in HU with its overlays, or the finding that keeps it from being one."""
    for frame, about, read in zip(frames, facts, read_frames(scan, frames, facts), strict=True):
        if isinstance(read, Finding):
            yield read
            continue
        plane, sound = overlay_of(scan, frame, about)
        packed = None if plane is None else np.packbits(plane, axis=1)
        yield SliceShown(read.hounsfield, read.findings if sound else (*read.findings, LEFT_OUT), packed)


def overlay_of(scan: Scan, frame: int, about: PixelFacts) -> tuple[Plane | None, bool]:
    """Return all overlays of a frame as one plane, bool [rows, columns], and whether every one could be read.

    The plane is None where nothing is set.
    """
    overlays = [overlay for group in GROUPS if (overlay := _Overlay(scan, group)).is_there]
    if not overlays:
        return None, True
    whole: Plane = np.zeros((about.rows, about.columns), np.bool_)
    sound = True
    for overlay in overlays:
        try:
            overlay.lay_over(whole, frame, about)
        except OddError:
            sound = False
    return (whole if whole.any() else None), sound


class _Overlay:
    """One of the sixteen groups of overlay elements, read from the proved places of the pre-scan."""

    def __init__(self, scan: Scan, group: int) -> None:
        self._scan = scan
        self._base = group << 16
        self._order = "big" if scan.transfer_syntax_uid == BIG_ENDIAN else "little"

    @property
    def is_there(self) -> bool:
        return any(self._base | number in self._scan.top_level for number in (_ROWS, _BITS, _DATA))

    def lay_over(self, whole: Plane, frame: int, about: PixelFacts) -> None:
        """Set the pixels of this overlay; what lies beside the picture is cut off."""
        if self._value(_KIND).strip(b" \0") not in KINDS:
            raise OddError
        rows, columns = self._number(_ROWS), self._number(_COLUMNS)
        if not (1 <= rows <= LARGEST_SLICE_PX and 1 <= columns <= LARGEST_SLICE_PX):
            raise OddError
        own = self._has(_DATA)
        plane = self._own_bits(rows, columns, frame) if own else self._in_pixels(rows, columns, frame, about)
        if plane is None:
            return
        down, across = (start - 1 for start in self._origin())
        into = whole[max(down, 0) : max(down + rows, 0), max(across, 0) : max(across + columns, 0)]
        into |= plane[max(-down, 0) :, max(-across, 0) :][: into.shape[0], : into.shape[1]]

    def _own_bits(self, rows: int, columns: int, frame: int) -> Plane | None:
        """The bits in Overlay Data; None where this overlay belongs to other frames."""
        if self._number(_BITS, 1) != 1 or self._number(_BIT, 0) != 0:
            raise OddError
        place = self._place_of(frame)
        if place is None:
            return None
        start, size = place * rows * columns, rows * columns
        content = self._value(_DATA)
        if (start + size + 7) // 8 > len(content):
            raise OddError
        first = start // 8 & ~1  # words stay whole: those of a big-endian file are turned round
        piece = np.frombuffer(content[first : ((start + size + 15) // 16) * 2], np.uint8)
        if self._order == "big" and self._vr(_DATA) != "OB" and piece.size % 2 == 0:
            piece = piece.reshape(-1, 2)[:, ::-1].ravel()
        bits = np.unpackbits(piece, bitorder="little")[start - 8 * first :][:size]
        return bits.reshape(rows, columns).astype(np.bool_)

    def _in_pixels(self, rows: int, columns: int, frame: int, about: PixelFacts) -> Plane:
        """An overlay that old scanners kept in a bit that their pixels leave free (retired, PS3.5 8.1.2)."""
        pixels, bit = self._scan.pixels, self._number(_BIT, 0)
        if pixels is None or pixels.encapsulated or self._number(_BITS, 0) != 16:
            raise OddError
        if not about.bits_stored <= bit <= 15 or (rows, columns) != (about.rows, about.columns):
            raise OddError
        stored = native_values(self._scan, pixels, frame, about).view(np.uint16).reshape(rows, columns)
        plane: Plane = (stored & np.uint16(1 << bit)) != 0
        return plane

    def _place_of(self, frame: int) -> int | None:
        """Which frame of the overlay lies over a frame of the image; one that says nothing lies over all."""
        if not self._has(_FRAMES) and not self._has(_FIRST_FRAME):
            return 0
        text = self._value(_FRAMES).strip(b" \0") or b"1"
        first = self._number(_FIRST_FRAME, 1)
        if not re.fullmatch(rb"\+?[0-9]{1,6}", text) or not 1 <= int(text) <= MOST_FRAMES or first < 1:
            raise OddError
        place = frame + 1 - first
        return place if 0 <= place < int(text) else None

    def _origin(self) -> tuple[int, int]:
        """Row and column of the overlay's first pixel, counted from 1; may lie outside of the picture."""
        value = self._value(_ORIGIN)
        if not value:
            return 1, 1
        if len(value) != 4:
            raise OddError
        row, column = np.frombuffer(value, ">i2" if self._order == "big" else "<i2").tolist()
        return row, column

    def _has(self, number: int) -> bool:
        return bool(self._value(number))

    def _vr(self, number: int) -> str:
        return self._scan.top_level.get(self._base | number, ("", 0, 0))[0]

    def _value(self, number: int) -> bytes:
        vr, offset, length = self._scan.top_level.get(self._base | number, ("", 0, 0))
        if length == UNDEFINED or vr == "SQ":
            raise OddError
        return self._scan.data[offset : offset + length]

    def _number(self, number: int, missing: int | None = None) -> int:
        """The number of a US element."""
        value = self._value(number)
        if not value and missing is not None:
            return missing
        if len(value) != 2:
            raise OddError
        return int.from_bytes(value, "big" if self._order == "big" else "little")
