"""What an image holds, whatever its file says around it: a digest that two encodings of one image share.

The file meta header belongs to the file and not to the image: who sends an image on writes it anew, and may write
the data set another way (PS3.5 annex A). What counts are the elements in their order and the words of the pixels.

Not counted: preamble and group 0002, group lengths, the lengths of sequences and items, trailing padding, how the
pixels are packed where that loses nothing. Where an encoding can't be undone, the data set counts as it is written.
A missed sameness is a conflict for a person; a false one can't be, as every element and every word is in the digest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from aicorona_desktop.dicom.child.elements import PIXEL_DATA, Encoding, Walk, read_meta
from aicorona_desktop.dicom.child.headers import pixel_facts
from aicorona_desktop.dicom.child.pixels import stored_words
from aicorona_desktop.dicom.child.prescan import BIG_ENDIAN, IMPLICIT, PixelData, Scan, scan
from aicorona_desktop.dicom.protocol import ContentDigest

TRAILING_PADDING: Final = 0xFFFCFFFC
OFFSET_TABLES: Final = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
MOST_FRAMES_UNPACKED: Final = 64  # an answer has a deadline
LOSSLESS: Final = frozenset(
    {
        "1.2.840.10008.1.2.5",
        *("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"),
        *("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202"),
    }
)


def content_digest(data: bytes) -> ContentDigest:
    """Return what tells one image from another.

    Raises:
        RefusedError: this is no DICOM file.
    """
    try:
        return _of_elements(scan(data))
    except Exception:  # noqa: BLE001 - no CT image; or damaged: what a decoder raises then is its own affair
        return _as_written(data)


def _as_written(data: bytes) -> ContentDigest:
    meta = read_meta(data)
    digest = sha256(b"as written\0" + (meta.transfer_syntax_uid or b"") + b"\0")
    digest.update(memoryview(data)[meta.end :])
    return ContentDigest(digest.hexdigest())


def _of_elements(scanned: Scan) -> ContentDigest:
    digest = sha256(b"elements\0")
    # Its words lie the other way round; nobody sends it any more.
    digest.update(BIG_ENDIAN.encode() if scanned.transfer_syntax_uid == BIG_ENDIAN else b"little endian")
    for depth, tag, value in _elements(scanned):
        digest.update(struct.pack("<III", depth, tag, len(value)))
        digest.update(value)
    if scanned.pixels is not None:
        for part in _pixels(scanned, scanned.pixels):
            digest.update(part)
    return ContentDigest(digest.hexdigest())


def _elements(scanned: Scan) -> Iterator[tuple[int, int, memoryview]]:
    """Yield depth, tag and value of each element and item; a sequence has none but its items."""
    encapsulated = scanned.pixels is not None and scanned.pixels.encapsulated
    encoding = Encoding(
        implicit=scanned.transfer_syntax_uid == IMPLICIT,
        big_endian=scanned.transfer_syntax_uid == BIG_ENDIAN,
        encapsulated=encapsulated,
    )
    # The pre-scan has counted them.
    walk = Walk(scanned.data, scanned.data_set_offset, encoding, most_elements=len(scanned.data))
    data, nothing = memoryview(scanned.data), memoryview(b"")
    for depth, tag, _, offset, length in walk:
        if tag == PIXEL_DATA and not depth:
            continue
        if tag & 0xFFFF == 0 or tag == TRAILING_PADDING or tag in OFFSET_TABLES:
            if walk.at != offset + length:
                raise ValueError(tag)  # no sequence has such a number
            continue
        # Its inside comes next where the walk has not gone over it: a sequence, or an item.
        yield depth, tag, data[offset : offset + length] if walk.at == offset + length else nothing


def _pixels(scanned: Scan, pixels: PixelData) -> Iterator[bytes | memoryview]:
    """Yield the words of the pixels, in order; as they are packed where that can't be undone."""
    syntax = scanned.transfer_syntax_uid
    if not pixels.encapsulated:
        yield b"words\0"
        yield memoryview(scanned.data)[pixels.offset : pixels.offset + pixels.length]
        return
    if syntax not in LOSSLESS or len(pixels.frames) > MOST_FRAMES_UNPACKED:
        yield f"packed\0{syntax}\0".encode()
        yield from (memoryview(scanned.data)[offset : offset + length] for offset, length in pixels.fragments)
        return
    yield b"words\0"
    frames = tuple(range(len(pixels.frames)))
    for frame, about in zip(frames, pixel_facts(scanned, frames), strict=True):
        yield (
            stored_words(scanned, pixels, frame, about).astype("<i2" if about.pixel_representation else "<u2").tobytes()
        )
