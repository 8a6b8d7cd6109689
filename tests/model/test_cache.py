"""Slices that were scored before are not scored again, and a stuck model is noticed."""

from __future__ import annotations

import numpy as np

from aicorona_desktop.core.score import SliceScore
from aicorona_desktop.model.cache import SliceCache, pixels_sha256


def answer() -> SliceScore:
    return SliceScore(np.zeros((3, 2, 2), np.float32), np.zeros(1536, np.float32), (0.0, 0.0, 0.0))


def test_an_answer_is_found_by_pack_provider_and_pixels_together() -> None:
    cache, kept = SliceCache(), answer()
    cache.keep(("pack", "cpu", "pixels"), kept)

    assert cache.get(("pack", "cpu", "pixels")) is kept
    assert cache.get(("other", "cpu", "pixels")) is None
    assert cache.get(("pack", "cuda", "pixels")) is None
    assert cache.get(("pack", "cpu", "others")) is None


def test_the_answer_used_longest_ago_goes_first() -> None:
    cache = SliceCache(most_slices=2)
    cache.keep(("", "", "a"), answer())
    cache.keep(("", "", "b"), answer())
    cache.get(("", "", "a"))
    cache.keep(("", "", "c"), answer())

    assert [cache.get(("", "", name)) is not None for name in "abc"] == [True, False, True]


def test_one_answer_for_two_inputs_is_noticed_and_the_same_input_again_is_not() -> None:
    cache = SliceCache()

    assert not cache.answers_twice("output", "input")
    assert not cache.answers_twice("output", "input")
    assert not cache.answers_twice("another output", "another input")
    assert cache.answers_twice("output", "another input")


def test_pixels_are_known_by_their_values_and_their_shape_however_they_lie_in_memory() -> None:
    slices = np.arange(6, dtype=np.int16)

    assert pixels_sha256(slices.reshape(2, 3)) != pixels_sha256(slices.reshape(3, 2))
    assert pixels_sha256(slices.reshape(2, 3).T) == pixels_sha256(slices.reshape(2, 3).T.copy())
    assert pixels_sha256(slices.reshape(2, 3)) != pixels_sha256(slices.reshape(2, 3) + 1)
