"""Resizing by separable weights: banded matrix products, the weights kept for the next slice."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 32


def bilinear(picture: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return [h, w] resized to [rows, columns], with antialiasing when shrinking.

    Half-pixel centres, the edge repeated; the same as PyTorch's `interpolate(mode="bilinear", antialias=True,
    align_corners=False)`.
    """
    return _weighted(picture, bilinear_weights(picture.shape[0], rows), bilinear_weights(picture.shape[1], columns))


def area(picture: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return [h, w] shrunk to [rows, columns]: each new pixel is the mean of what it covers.

    Raises:
        ValueError: the picture would have to grow.
    """
    height, width = picture.shape
    if rows > height or columns > width:
        raise ValueError("the mean over an area can only shrink a picture")
    if (height, width) == (2 * rows, 2 * columns):
        # The everyday case (512 to 256), several times as fast as the products.
        pairs = picture[0::2] + picture[1::2]
        halved = pairs[:, 0::2] + pairs[:, 1::2]
        halved *= np.float32(0.25)
        return halved
    return _weighted(picture, area_weights(height, rows), area_weights(width, columns))


@lru_cache(maxsize=32)
def bilinear_weights(size: int, new_size: int) -> NDArray[np.float32]:
    """Return the weights [new_size, size] of a triangle as wide as the step, at least one pixel; rows add up to 1."""
    step = size / new_size
    reach = max(step, 1.0)
    centres = (np.arange(new_size) + 0.5) * step
    distance = np.abs(np.arange(size) + 0.5 - centres[:, None]) / reach
    return _normalised(np.maximum(0.0, 1.0 - distance))


@lru_cache(maxsize=32)
def area_weights(size: int, new_size: int) -> NDArray[np.float32]:
    """Return the weights [new_size, size] of the overlap of each old pixel with each new one; rows add up to 1."""
    # In units of 1 / (size * new_size) all borders are integers, and so the overlaps are exact.
    old, new = np.arange(size) * new_size, np.arange(new_size)[:, None] * size
    overlap = np.minimum(old + new_size, new + size) - np.maximum(old, new)
    return _normalised(np.maximum(0, overlap).astype(np.float64))


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    total = np.array([math.fsum(row) for row in weights])
    single: NDArray[np.float32] = (weights / total[:, None]).astype(np.float32)
    single.flags.writeable = False
    return single


def _weighted(
    picture: NDArray[np.float32], by_row: NDArray[np.float32], by_column: NDArray[np.float32]
) -> NDArray[np.float32]:
    rows = _banded(by_row, picture)
    return np.ascontiguousarray(_banded(by_column, rows.T).T)


def _banded(weights: NDArray[np.float32], picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply block by block: nearly all of a weight matrix is zero, and the blocks leave most of that out."""
    product = np.empty((weights.shape[0], picture.shape[1]), np.float32)
    for start in range(0, weights.shape[0], _BLOCK_ROWS):
        block = weights[start : start + _BLOCK_ROWS]
        used = np.flatnonzero(block.any(axis=0))
        first, end = int(used[0]), int(used[-1]) + 1
        np.matmul(block[:, first:end], picture[first:end], out=product[start : start + _BLOCK_ROWS])
    return product
