from __future__ import annotations

import io
import zlib

import numpy as np
import pytest

from aicorona_desktop.imaging.png import png_bytes

Image = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("shape", [(1, 1), (17, 31), (5, 7, 3), (256, 200, 3)])
def test_a_picture_comes_back_to_the_pixel_from_another_reader(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)

    with Image.open(io.BytesIO(png_bytes(picture))) as read:
        assert (np.asarray(read) == picture).all()


def test_texts_stand_in_the_file() -> None:
    texts = {"Comment": "Research use: not a diagnosis.", "Source": "pack – größer"}

    with Image.open(io.BytesIO(png_bytes(np.zeros((2, 2), np.uint8), texts))) as read:
        assert {keyword: str(text) for keyword, text in read.text.items()} == texts


def test_every_chunk_has_its_checksum() -> None:
    content, chunks, at = png_bytes(np.zeros((3, 3, 3), np.uint8), {"A": "b"}), [], 8
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append(content[at + 4 : at + 8])
        assert int.from_bytes(content[at + 8 + size : at + 12 + size], "big") == zlib.crc32(
            content[at + 4 : at + 8 + size]
        )
        at += 12 + size

    assert chunks == [b"IHDR", b"iTXt", b"IDAT", b"IEND"]


@pytest.mark.parametrize(
    "picture",
    [np.zeros((2, 2), np.uint16), np.zeros((2, 2, 4), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 2), np.uint8)],
)
def test_what_is_no_picture_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        png_bytes(picture)


@pytest.mark.parametrize("keyword", ["", "x" * 80, "a\0b", " a", "ä"])
def test_a_keyword_that_png_does_not_allow_is_refused(keyword: str) -> None:
    with pytest.raises(ValueError, match="keyword"):
        png_bytes(np.zeros((2, 2), np.uint8), {keyword: "text"})
