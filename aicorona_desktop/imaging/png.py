"""PNG files of grey and colour pictures with texts in them: small enough to need no library."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2


def png_bytes(picture: NDArray[np.uint8], texts: Mapping[str, str] | None = None) -> bytes:
    """Return a picture [h, w] or [h, w, 3] as a PNG file, with texts such as `Comment` that viewers show.

    Raises:
        ValueError: another form, or a text's keyword that PNG does not allow.

    Source: PNG specification, third edition, 11.2 and 11.3.3.
    """
    if (
        picture.dtype != np.uint8
        or picture.ndim not in (2, 3)
        or not picture.size
        or picture.shape[2:] not in ((), (3,))
    ):
        raise ValueError(f"expected uint8 [h, w] or [h, w, 3], got {picture.dtype} {picture.shape}")
    height, width = picture.shape[:2]
    colour = _GREY if picture.ndim == 2 else _RGB
    rows = picture.reshape(height, -1)
    # Each row begins with the number of its filter; 2 stores the difference to the row above, which packs well.
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)),
            *(_chunk(b"iTXt", _text(keyword, text)) for keyword, text in (texts or {}).items()),
            _chunk(b"IDAT", zlib.compress(filtered.data, 6)),
            _chunk(b"IEND", b""),
        )
    )


def _text(keyword: str, text: str) -> bytes:
    """International text: keyword, no compression, no language; UTF-8."""
    if not 1 <= len(keyword) <= 79 or not keyword.isascii() or not keyword.isprintable() or keyword != keyword.strip():
        raise ValueError("a PNG keyword is 1 to 79 printable characters")
    return keyword.encode("ascii") + b"\0\0\0\0\0" + text.replace("\0", " ").encode("utf-8", "replace")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
