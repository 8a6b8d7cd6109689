"""Changes to sound bytes, drawn from a seeded chance: the same seed gives the same files.

Blind flips rarely get past the pre-scan, so most changes know where things lie: lengths, VRs and tags of elements,
the markers of a codestream, the compressed data behind them.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aicorona_desktop.dicom.child.elements import RefusedError, read_meta
from aicorona_desktop.dicom.child.prescan import DEFLATED, Scan, scan
from tests.fuzz.seeds import deflated

TWO = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF]
FOUR = [
    0,
    1,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0xFFFFFFFE,
    0xE000FFFE,
    0xE00DFFFE,
    0xE0DDFFFE,
    0x00107FE0,
    0xFFFFFFF0,
]
VRS = [
    b"SQ",
    b"UN",
    b"OB",
    b"OW",
    b"US",
    b"DS",
    b"IS",
    b"UI",
    b"PN",
    b"LO",
    b"UT",
    b"UL",
    b"FD",
    b"AT",
    b"  ",
    b"\0\0",
    b"ZZ",
]
WORDS = [
    b"NaN", b"-inf", b"1e308", b"1e-400", b"1_0", b"0x10", b"\\\\\\", b"-", b"+", b"..", b"../../x", b"%s%n", b"\0",
    b"\x1b$)C", b"\x1b$B", b"\xff\xfe", b"\xed\xa0\x80", b"^^^^^^", b"===", b"99999999999999999999", b"ISO 2022 IR 87",
    b"rot13", b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.5.1.4.1.1.2.1", b"LOCALIZER", b"SECONDARY", b"999W",
    b"20260230", b"\xe2\x80\xae", b"\r\n", b"CON", b";1",
]  # fmt: skip
# Of JPEG and JPEG 2000: the second byte, behind 0xFF.
MARKERS = [bytes((0xFF, code)) for code in bytes.fromhex("d8 d9 c3 c4 da f7 f8 dd 4f 51 52 5c 90 93 50 5f 53 00 ff")]

Change = Callable[[bytearray, random.Random], None]


# --- any bytes ------------------------------------------------------------------------------------------------------


def flip(data: bytearray, chance: random.Random, low: int = 0) -> None:
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        data[_place(data, chance, low)] ^= 1 << chance.randrange(8)


def number(data: bytearray, chance: random.Random, low: int = 0) -> None:
    at = _place(data, chance, low)
    order, (kind, values) = chance.choice("<>"), chance.choice((("H", TWO), ("I", FOUR)))
    data[at : at + struct.calcsize(kind)] = struct.pack(order + kind, chance.choice(values))


def remove(data: bytearray, chance: random.Random, low: int = 0) -> None:
    at = _place(data, chance, low)
    del data[at : at + chance.choice((1, 2, 4, 8, 64, 1000))]


def insert(data: bytearray, chance: random.Random, low: int = 0) -> None:
    at = _place(data, chance, low)
    data[at:at] = chance.choice(
        (chance.randbytes(chance.randrange(1, 40)), chance.choice(WORDS), chance.choice(MARKERS))
    )


def repeat(data: bytearray, chance: random.Random, low: int = 0) -> None:
    at, size = _place(data, chance, low), chance.choice((2, 4, 8, 16, 100))
    data[at:at] = data[at : at + size] * chance.choice((1, 2, 50))


def move(data: bytearray, chance: random.Random, low: int = 0) -> None:
    one, other, size = _place(data, chance, low), _place(data, chance, low), chance.choice((2, 8, 32, 256))
    piece = data[one : one + size]
    data[other : other + len(piece)] = piece


def cut(data: bytearray, chance: random.Random, low: int = 0) -> None:
    del data[max(1, _place(data, chance, low)) :]


def word(data: bytearray, chance: random.Random, low: int = 0) -> None:
    at, text = _place(data, chance, low), chance.choice(WORDS)
    data[at : at + len(text)] = text


ANYWHERE: Sequence[Callable[[bytearray, random.Random, int], None]] = (
    flip,
    number,
    remove,
    insert,
    repeat,
    move,
    cut,
    word,
)


def _place(data: bytearray, chance: random.Random, low: int) -> int:
    return chance.randrange(min(low, len(data) - 1), len(data)) if len(data) > 1 else 0


def mutated(content: bytes, chance: random.Random, low: int = 0) -> bytes:
    """One to three changes anywhere from `low` on."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if not data:
            break
        chance.choice(ANYWHERE)(data, chance, low)
    return bytes(data)


# --- headers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seed:
    """A file, and where its elements lie: offset of the tag, of the length, of the value, and the value's length."""

    content: bytes
    elements: tuple[tuple[int, int, int, int], ...]


def seed_of(content: bytes) -> Seed:
    """Find the elements of a file; none where the pre-scan doesn't let it through."""
    try:
        scanned = scan(content)
    except RefusedError:
        return Seed(content, ())
    if scanned.transfer_syntax_uid == DEFLATED:
        return Seed(content, ())
    places = []
    for vr, offset, length in scanned.top_level.values():
        wide = vr in {"OB", "OW", "OF", "SQ", "UN", "UT", "UC", "UR", "OD", "OL", "OV", "SV", "UV"}
        size_at = offset - (4 if not vr or wide else 2)
        tag_at = offset - (8 if not vr or not wide else 12)
        places.append((tag_at, size_at, offset, length))
    return Seed(content, tuple(places))


def mutated_header(seed: Seed, chance: random.Random) -> bytes:
    """The file with changes in its header: of an element's parts where they are known, else of any byte."""
    if not seed.elements or chance.random() < 0.25:
        return mutated(seed.content[:4000], chance, 128) + seed.content[4000:]
    data = bytearray(seed.content)
    for _ in range(chance.choice((1, 1, 2, 3))):
        tag_at, size_at, value_at, length = chance.choice(seed.elements)
        if chance.random() < 0.1:
            value_at, length = 132, 200  # the file meta header
        _ELEMENT_CHANGES[chance.randrange(len(_ELEMENT_CHANGES))](data, chance, (tag_at, size_at, value_at, length))
    return bytes(data)


def _size(data: bytearray, chance: random.Random, place: tuple[int, int, int, int]) -> None:
    width = "<I" if chance.random() < 0.3 else "<H"
    value = chance.choice((*TWO, place[3] + 1, place[3] + 2, max(0, place[3] - 2) if place[3] < 65530 else 0))
    struct.pack_into(width, data, min(place[1], len(data) - 4), value & 0xFFFF)


def _vr(data: bytearray, chance: random.Random, place: tuple[int, int, int, int]) -> None:
    data[place[0] + 4 : place[0] + 6] = chance.choice(VRS)


def _tag(data: bytearray, chance: random.Random, place: tuple[int, int, int, int]) -> None:
    data[place[0] : place[0] + 4] = struct.pack(
        "<HH", chance.choice((8, 0x10, 0x18, 0x20, 0x28, 0x5200, 0x7FE0, 0xFFFE)), chance.choice((*TWO, 0xE000))
    )


def _value(data: bytearray, chance: random.Random, place: tuple[int, int, int, int]) -> None:
    text = chance.choice((chance.choice(WORDS), chance.randbytes(8), b"9" * 200))
    room = min(place[3], 4096, len(text))
    data[place[2] : place[2] + room] = text[:room]


def _numbers(data: bytearray, chance: random.Random, place: tuple[int, int, int, int]) -> None:
    if 2 <= place[3] < 4096:
        at = place[2] + chance.randrange(place[3] - 1)
        data[at : at + 2] = struct.pack("<H", chance.choice(TWO))


def _twice(data: bytearray, chance: random.Random, place: tuple[int, int, int, int]) -> None:
    if place[3] < 4096:
        data[place[0] : place[0]] = data[place[0] : place[2] + place[3]]


def _away(data: bytearray, chance: random.Random, place: tuple[int, int, int, int]) -> None:
    if place[3] < 4096:
        del data[place[0] : place[2] + place[3]]


def _nested(data: bytearray, chance: random.Random, place: tuple[int, int, int, int]) -> None:
    depth = chance.choice((1, 3, 15, 16, 17, 200))
    inner = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * depth
    inner += b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * chance.choice((depth, depth - 1))
    data[place[0] : place[0]] = inner


def _any(data: bytearray, chance: random.Random, place: tuple[int, int, int, int]) -> None:
    head = data[:4000]
    chance.choice(ANYWHERE)(head, chance, 128)
    data[:4000] = head


_ELEMENT_CHANGES = (_size, _vr, _tag, _value, _value, _numbers, _twice, _away, _nested, _any)


# --- frames ---------------------------------------------------------------------------------------------------------


def mutated_frame(content: bytes, scanned: Scan, chance: random.Random) -> bytes:
    """The file with changes in its first frame: inside the compressed data most often, so that decoders see them."""
    assert scanned.pixels is not None
    if chance.random() < 0.1:
        return mutated(content, chance, 128)
    if scanned.transfer_syntax_uid == DEFLATED:
        return _in_deflated(content, scanned, chance)
    if not scanned.pixels.encapsulated:
        return mutated(content, chance, scanned.pixels.offset - 12)
    first, last = scanned.pixels.frames[0][0], scanned.pixels.frames[0][-1]
    start, end = first[0] - 8, last[0] + last[1]
    stream = b"".join(content[at : at + size] for at, size in scanned.pixels.frames[0])
    changed = _changed_stream(stream, chance)
    changed += b"\0" * (len(changed) % 2)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(changed)) + changed
    return content[:start] + item + content[end:]


def _in_deflated(content: bytes, scanned: Scan, chance: random.Random) -> bytes:
    """Changes of the packed bytes, or of what was packed."""
    start = read_meta(content).end
    if chance.random() < 0.5:
        return content[:start] + mutated(content[start:], chance)
    data_set = scanned.data[scanned.data_set_offset :]
    return content[:start] + deflated(
        mutated(data_set, chance, max(0, len(data_set) - 4000) if chance.random() < 0.5 else 0)
    )


def _changed_stream(stream: bytes, chance: random.Random) -> bytes:
    """A codestream with changes; its end is mostly kept, for without it nothing is decoded."""
    body, tail = (stream[:-4], stream[-4:]) if chance.random() < 0.9 else (stream, b"")
    head = min(len(body) - 2, 200)
    kind = chance.random()
    if kind < 0.45:  # entropy-coded data, of the same length
        data = bytearray(body)
        for _ in range(chance.choice((1, 2, 8))):
            chance.choice((flip, number, move, _no_marker_noise))(data, chance, head)
        return bytes(data[: len(body)]) + tail
    if kind < 0.65:  # what the markers say, of the same length
        data = bytearray(body[:head])
        chance.choice((flip, number, move))(data, chance, 2)
        return bytes(data[:head]) + body[head:] + tail
    if kind < 0.75:  # markers where none belong
        at = chance.randrange(head, len(body))
        return body[:at] + chance.choice(MARKERS) + body[at + 2 :] + tail
    return mutated(body, chance, chance.choice((2, head))) + tail


def _no_marker_noise(data: bytearray, chance: random.Random, low: int) -> None:
    """Random bytes below 0xFF: compressed data of another picture, which no rule of structure can tell."""
    at = _place(data, chance, low)
    for index in range(at, min(len(data), at + chance.choice((4, 64, 4000)))):
        data[index] = chance.randrange(255)
