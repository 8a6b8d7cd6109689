"""Slices that were scored before: the same pixels, pack and provider give the same answer without another run."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.score import SliceScore

MOST_SLICES = 2048  # about 10 kB each

CacheKey = tuple[str, str, str]


class SliceCache:
    """The slices scored last, in memory only; late slices of a study then cost only themselves."""

    def __init__(self, most_slices: int = MOST_SLICES) -> None:
        self._most = most_slices
        self._kept: OrderedDict[CacheKey, SliceScore] = OrderedDict()
        self._inputs: dict[str, str] = {}

    def get(self, key: CacheKey) -> SliceScore | None:
        """Return the answer for these pixels, pack and provider, if it is still kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: CacheKey, score: SliceScore) -> None:
        """Keep an answer; the one used longest ago goes when there is no room."""
        self._kept[key] = score
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def answers_twice(self, output_sha256: str, input_sha256: str) -> bool:
        """Whether another input gave this very output before: then the model, or its device, is stuck.

        The output's is `model.score.output_digest` over all slices, the input's that of a prepared slice.
        """
        return self._inputs.setdefault(output_sha256, input_sha256) != input_sha256


def pixels_sha256(pixels: NDArray[np.int16] | NDArray[np.float32]) -> str:
    """Return the SHA-256 of a slice's values and shape."""
    digest = hashlib.sha256(str(pixels.shape).encode("ascii"))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
