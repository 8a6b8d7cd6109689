"""The frames on every pipe between our processes, and their limits.

A frame is magic (4 bytes), kind (u8), request number (u32), payload length (u32), CRC-32 of the payload
(u32), payload; all little endian. The payload is a sequence of fields, each a type byte and its value.
Nothing is ever unpickled: a child that a codec bug has taken over can only send numbers, short texts and
arrays, and every size is checked before anything is allocated.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.errors import AicoronaError

MAGIC = b"AIC1"
HEAD = struct.Struct("<4sBIII")
LARGEST_PAYLOAD_BYTES = 64 * 1024 * 1024
LARGEST_TEXT_BYTES = 4096
LARGEST_SEQUENCE = 100_000
DEEPEST_SEQUENCE = 6
DTYPES: tuple[np.dtype[np.generic], ...] = tuple(np.dtype(code) for code in ("<i2", "u1", "<f4", "<f8", "<u2"))

Array = NDArray[np.generic]
Field = None | bool | int | float | str | bytes | Array | tuple["Field", ...]

_INT = struct.Struct("<q")
_FLOAT = struct.Struct("<d")
_SIZE = struct.Struct("<I")
_SHAPE = struct.Struct("<BB4I")


class FrameError(AicoronaError):
    """What came through the pipe is not a frame of ours; the other end must be considered lost."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: what it is, which request it belongs to, and its fields."""

    kind: int
    request: int
    fields: tuple[Field, ...]


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    """Write one frame and flush it.

    Raises:
        FrameError: a field has no place in a frame, or the payload is too large.
        OSError: the other end is gone.
    """
    try:
        parts = _encode_all(frame)
    except struct.error as error:
        raise FrameError("A number between our processes was too large.") from error
    stream.writelines(parts)
    stream.flush()


def read_frame(stream: BinaryIO) -> Frame | None:
    """Read one frame; None where the stream ends between two frames.

    Raises:
        FrameError: the bytes are not a frame, or the stream ended inside one.
    """
    head = stream.read(HEAD.size)
    if not head:
        return None
    if len(head) < HEAD.size:
        raise FrameError("A message between our processes was cut short.")
    magic, kind, request, length, checksum = HEAD.unpack(head)
    if magic != MAGIC or length > LARGEST_PAYLOAD_BYTES:
        raise FrameError("A message between our processes was not understood.")
    payload = stream.read(length) if length else b""
    if len(payload) < length:
        raise FrameError("A message between our processes was cut short.")
    if zlib.crc32(payload) != checksum:
        raise FrameError("A message between our processes was damaged.")
    return Frame(kind, request, _decode_all(payload))


def _encode(  # noqa: C901, PLR0912 - a table of types reads best as one ladder
    field: Field, parts: list[bytes | memoryview], depth: int
) -> None:
    if field is None:
        parts.append(b"N")
    elif field is True or field is False:
        parts.append(b"T" if field else b"F")
    elif isinstance(field, int):
        parts.append(b"i" + _INT.pack(field))
    elif isinstance(field, float):
        parts.append(b"f" + _FLOAT.pack(field))
    elif isinstance(field, str):
        text = field.encode("utf-8", "surrogateescape")
        if len(text) > LARGEST_TEXT_BYTES:
            raise FrameError("A text between our processes was too long.")
        parts.append(b"s" + _SIZE.pack(len(text)) + text)
    elif isinstance(field, bytes | bytearray | memoryview):
        parts.append(b"b" + _SIZE.pack(len(field)))
        parts.append(memoryview(field))
    elif isinstance(field, np.ndarray):
        array = np.ascontiguousarray(field)
        if array.dtype not in DTYPES or not 1 <= array.ndim <= 4:
            raise FrameError("An array between our processes has an unknown form.")
        shape = array.shape + (1,) * (4 - array.ndim)
        parts.append(b"a" + _SHAPE.pack(DTYPES.index(array.dtype), array.ndim, *shape))
        if array.size:
            parts.append(array.data.cast("B"))
    elif isinstance(field, tuple):
        if depth >= DEEPEST_SEQUENCE or len(field) > LARGEST_SEQUENCE:
            raise FrameError("A message between our processes was too deep or too long.")
        parts.append(b"t" + _SIZE.pack(len(field)))
        for member in field:
            _encode(member, parts, depth + 1)
    else:
        raise FrameError("A message between our processes has an unknown field.")


def _encode_all(frame: Frame) -> list[bytes | memoryview]:
    """Return head and payload, piece by piece: a slice isn't copied to be sent."""
    parts: list[bytes | memoryview] = []
    for field in frame.fields:
        _encode(field, parts, 0)
    length, checksum = 0, 0
    for part in parts:
        length += len(part)
        checksum = zlib.crc32(part, checksum)
    if length > LARGEST_PAYLOAD_BYTES:
        raise FrameError("A message between our processes was too large.")
    return [HEAD.pack(MAGIC, frame.kind, frame.request, length, checksum), *parts]


def _decode_all(payload: bytes) -> tuple[Field, ...]:
    decoder = _Decoder(payload)
    fields: list[Field] = []
    while decoder.at < len(payload):
        fields.append(decoder.field(0))
    return tuple(fields)


class _Decoder:
    """Reads fields from untrusted bytes; every size is checked against what is left."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.at = 0

    def field(self, depth: int) -> Field:  # noqa: PLR0911 - a table of types reads best as one ladder
        kind = self._take(1)
        if kind == b"N":
            return None
        if kind in (b"T", b"F"):
            return kind == b"T"
        if kind == b"i":
            return int(_INT.unpack(self._take(8))[0])
        if kind == b"f":
            return float(_FLOAT.unpack(self._take(8))[0])
        if kind == b"s":
            return self._text()
        if kind == b"b":
            return self._take(self._size(len(self.payload)))
        if kind == b"a":
            return self._array()
        if kind == b"t" and depth < DEEPEST_SEQUENCE:
            return tuple(self.field(depth + 1) for _ in range(self._size(LARGEST_SEQUENCE)))
        raise FrameError("A message between our processes has an unknown field.")

    def _take(self, size: int) -> bytes:
        if size > len(self.payload) - self.at:
            raise FrameError("A message between our processes states a wrong size.")
        self.at += size
        return self.payload[self.at - size : self.at]

    def _size(self, largest: int) -> int:
        (size,) = _SIZE.unpack(self._take(4))
        if size > largest:
            raise FrameError("A message between our processes states a wrong size.")
        return int(size)

    def _text(self) -> str:
        return self._take(self._size(LARGEST_TEXT_BYTES)).decode("utf-8", "surrogateescape")

    def _array(self) -> Array:
        code, dimensions, *sizes = _SHAPE.unpack(self._take(_SHAPE.size))
        if code >= len(DTYPES) or not 1 <= dimensions <= 4:
            raise FrameError("An array between our processes has an unknown form.")
        dtype, shape, count = DTYPES[code], tuple(sizes[:dimensions]), 1
        for size in shape:
            count *= size
        start = self.at
        if count * dtype.itemsize > len(self.payload) - start:
            raise FrameError("An array between our processes states a wrong size.")
        self.at += count * dtype.itemsize
        # A view of the payload, not a copy: it is read-only, and one slice costs no second half megabyte.
        return np.frombuffer(self.payload, dtype, count, start).reshape(shape)
