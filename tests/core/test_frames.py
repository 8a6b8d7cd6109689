from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aicorona_desktop.core.frames import (
    DEEPEST_SEQUENCE,
    DTYPES,
    HEAD,
    LARGEST_PAYLOAD_BYTES,
    LARGEST_TEXT_BYTES,
    MAGIC,
    Field,
    Frame,
    FrameError,
    read_frame,
    write_frame,
)

SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=50)
    | st.binary(max_size=50)
)
FIELDS = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=12)
FRAMES = st.builds(
    Frame, st.integers(0, 255), st.integers(0, 2**32 - 1), st.lists(FIELDS, max_size=5).map(tuple)
).filter(lambda frame: _depth(frame.fields) <= DEEPEST_SEQUENCE)
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)


def _depth(field: Field) -> int:
    return 1 + max(map(_depth, field), default=0) if isinstance(field, tuple) else 0


def through_a_pipe(*fields: Field) -> tuple[Field, ...]:
    frame = read_frame(io.BytesIO(written(Frame(7, 8, fields))))
    assert frame is not None
    return frame.fields


def written(frame: Frame) -> bytes:
    stream = io.BytesIO()
    write_frame(stream, frame)
    return stream.getvalue()


@settings(deadline=None)
@given(FRAMES)
def test_a_frame_arrives_as_it_was_sent(frame: Frame) -> None:
    stream = io.BytesIO(written(frame) * 2)

    assert [read_frame(stream), read_frame(stream), read_frame(stream)] == [frame, frame, None]


@settings(deadline=None)
@given(ARRAYS)
def test_an_array_arrives_as_it_was_sent(array: np.ndarray) -> None:
    before, received, after = through_a_pipe("before", array, "after")

    assert (before, after) == ("before", "after")
    assert isinstance(received, np.ndarray)
    assert (received.dtype, received.shape) == (array.dtype, array.shape)
    assert received.tobytes() == array.tobytes()


def test_types_are_kept_apart() -> None:
    fields = through_a_pipe(True, 1, 1.0, "1", b"1", (1,))

    assert [type(field) for field in fields] == [bool, int, float, str, bytes, tuple]


def test_a_slice_is_not_copied_once_it_is_here() -> None:
    (received,) = through_a_pipe(np.zeros((512, 512), np.int16))

    assert isinstance(received, np.ndarray)
    assert not received.flags.owndata
    assert not received.flags.writeable


def test_texts_that_are_no_unicode_survive() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")

    assert through_a_pipe(name) == (name,)


@pytest.mark.parametrize(
    "field",
    [
        "x" * (LARGEST_TEXT_BYTES + 1),
        bytes(LARGEST_PAYLOAD_BYTES + 1),
        np.zeros(3, np.complex128),
        np.zeros((1, 1, 1, 1, 1), np.int16),
        {"a": 1},
        [1],
        object(),
        2**63,
        np.empty((0, 2**32), np.int16),
    ],
    ids=["text", "bytes", "complex", "dimensions", "dictionary", "list", "object", "number", "shape"],
)
def test_what_has_no_place_in_a_frame_is_not_sent(field: object) -> None:
    stream = io.BytesIO()

    with pytest.raises(FrameError):
        write_frame(stream, Frame(1, 1, (field,)))  # type: ignore[arg-type]

    assert stream.getvalue() == b""


def test_nesting_has_an_end_at_both_ends() -> None:
    deep: Field = ()
    for _ in range(DEEPEST_SEQUENCE):
        deep = (deep,)
    with pytest.raises(FrameError):
        written(Frame(1, 1, (deep,)))

    with pytest.raises(FrameError):
        read_payload((b"t" + struct.pack("<I", 1)) * (DEEPEST_SEQUENCE + 1) + b"N")


def read_payload(payload: bytes) -> Frame | None:
    return read_frame(io.BytesIO(HEAD.pack(MAGIC, 1, 1, len(payload), zlib.crc32(payload)) + payload))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_an_error(content: bytes) -> None:
    try:
        frame = read_frame(io.BytesIO(content))
    except FrameError:
        return
    assert frame is None
    assert content == b""


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from([b"N", b"T", b"i", b"f", b"s", b"b", b"a", b"t"]) | st.binary(max_size=24)))
def test_any_payload_is_fields_or_an_error(parts: list[bytes]) -> None:
    try:
        frame = read_payload(b"".join(parts))
    except FrameError:
        return
    assert isinstance(frame, Frame)


@settings(deadline=None, max_examples=100)
@given(FRAMES, st.data())
def test_a_damaged_frame_is_an_error(frame: Frame, data: st.DataObject) -> None:
    content = bytearray(written(Frame(frame.kind, frame.request, (*frame.fields, "end"))))
    place = data.draw(st.integers(HEAD.size - 8, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(FrameError):
        read_frame(io.BytesIO(bytes(content)))


@settings(deadline=None)
@given(FRAMES, st.data())
def test_a_frame_cut_short_is_an_error(frame: Frame, data: st.DataObject) -> None:
    content = written(frame)
    end = data.draw(st.integers(1, len(content) - 1))

    with pytest.raises(FrameError):
        read_frame(io.BytesIO(content[:end]))


def test_a_claimed_size_is_not_allocated() -> None:
    huge = struct.pack("<BB4I", 0, 4, 65535, 65535, 65535, 65535)
    claims = (b"s" + struct.pack("<I", 4000), b"b" + struct.pack("<I", 2**31), b"a" + huge, b"t" + b"\xff" * 4)

    for claim in claims:
        with pytest.raises(FrameError):
            read_payload(claim)
    with pytest.raises(FrameError):
        read_frame(io.BytesIO(HEAD.pack(MAGIC, 1, 1, LARGEST_PAYLOAD_BYTES + 1, 0)))
