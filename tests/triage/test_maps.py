"""Maps are kept one file a result, and never pass for another score's: every load compares them with it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aicorona_desktop.core.score import Score
from aicorona_desktop.history.store import StoredResult, utc_now
from aicorona_desktop.triage.maps import SUFFIX, MapStore, StudyMaps

BIAS = (0.5, -0.25, 0.125)
INDICES = (3, 4, 6)


def cams(seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(3, 3, 8, 8)).astype(np.float32)


def stored(maps: NDArray[np.float32], number: int = 7) -> StoredResult:
    """A result whose score is what these maps say."""
    shares = maps.mean(axis=(2, 3), dtype=np.float64)
    score = Score(
        logits=tuple((shares.mean(axis=0) + BIAS).tolist()),
        probabilities=(0.2, 0.3, 0.5),
        slice_indices=INDICES,
        slice_identities=("a", "b", "c"),
        slice_sha256=("0" * 64,) * 3,
        slice_contributions=tuple(tuple(one) for one in shares.tolist()),
        slices_total=10,
        preliminary=False,
        standard_error=(0, 0, 0),
        fragility=None,
        training_distance=None,
        training_distance_limit=None,
        pack="p",
        pack_sha256="0" * 64,
        pack_status="research",
        preparation="paper-1",
        provider="cpu",
        seconds_read=0,
        seconds_infer=0,
    )
    return StoredResult(number, score, (), "1.2", "0", "0", utc_now(), superseded=False)


@pytest.fixture
def store(tmp_path: Path) -> MapStore:
    return MapStore(tmp_path / "maps")


def loaded(store: MapStore, result: StoredResult) -> StudyMaps:
    maps = store.load(result)
    assert maps is not None
    return maps


def test_maps_come_back_bit_by_bit_with_bias_plus_their_mean_as_the_logit(store: MapStore) -> None:
    given = cams()
    assert store.save(7, given, INDICES, BIAS)

    maps = loaded(store, stored(given))

    assert maps.cams.tobytes() == given.tobytes()
    assert (maps.indices, maps.bias) == (INDICES, BIAS)
    assert np.allclose(maps.check.sums, np.asarray(BIAS) + given.astype(np.float64).mean(axis=(0, 2, 3)), atol=1e-12)
    assert maps.check.within
    assert max(map(abs, maps.check.differences)) < 1e-9
    assert maps.check.largest_slice_difference < 1e-9


def test_the_scale_of_a_class_spans_the_whole_study_and_zero(store: MapStore) -> None:
    given = np.abs(cams())
    given[:, 1] *= -1
    store.save(7, given, INDICES, BIAS)

    normal, pneumonia, covid = loaded(store, stored(given)).limits

    assert normal == (0.0, float(given[:, 0].max()))
    assert pneumonia == (float(given[:, 1].min()), 0.0)
    assert covid == (0.0, float(given[:, 2].max()))


def test_a_slice_that_was_not_scored_has_no_map(store: MapStore) -> None:
    given = cams()
    store.save(7, given, INDICES, BIAS)

    maps = loaded(store, stored(given))

    assert maps.of_slice(5) is None
    assert np.array_equal(maps.of_slice(6), given[2])  # type: ignore[arg-type]


def test_maps_of_another_score_are_not_within(store: MapStore) -> None:
    store.save(7, cams(2), INDICES, BIAS)

    check = loaded(store, stored(cams(1))).check

    assert not check.within
    assert check.largest_slice_difference > check.tolerance


def test_maps_of_other_slices_another_bias_or_no_numbers_are_not_within(store: MapStore) -> None:
    given = cams()
    broken = given.copy()
    broken[1, 2, 3, 3] = np.nan
    for number, values in enumerate([(given, (3, 4, 5), BIAS), (given, INDICES, (0, 0, 0)), (broken, INDICES, BIAS)]):
        store.save(number, *values)

        assert not loaded(store, stored(given, number)).check.within


def test_two_slices_exchanged_are_noticed_though_the_sum_is_the_same(store: MapStore) -> None:
    given = cams()
    store.save(7, given[::-1].copy(), INDICES, BIAS)

    check = loaded(store, stored(given)).check

    assert max(map(abs, check.differences)) < 1e-9
    assert not check.within


@pytest.mark.parametrize("keep", [0, 10, 200, 1200])
def test_a_file_that_is_cut_off_is_as_good_as_none(store: MapStore, keep: int) -> None:
    given = cams()
    store.save(7, given, INDICES, BIAS)
    (path,) = (store.folder or Path()).iterdir()
    path.write_bytes(path.read_bytes()[:keep])

    assert store.load(stored(given)) is None


def test_every_changed_byte_is_noticed_or_too_small_to_see(store: MapStore) -> None:
    given = cams()
    store.save(7, given, INDICES, BIAS)
    (path,) = (store.folder or Path()).iterdir()
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])

        maps = store.load(stored(given))

        assert maps is None or not maps.check.within or np.abs(maps.cams - given).max() < 1


def test_the_maps_used_longest_ago_go_when_there_are_too_many(tmp_path: Path) -> None:
    given = cams()
    store = MapStore(tmp_path / "maps")
    for number in range(3):
        store.save(number, given, INDICES, BIAS)
        os.utime(tmp_path / "maps" / f"{number}{SUFFIX}", (number, number))
    size = (tmp_path / "maps" / f"0{SUFFIX}").stat().st_size
    store.load(stored(given, 0))  # used now

    MapStore(tmp_path / "maps", most_bytes=3 * size).save(3, given, INDICES, BIAS)

    assert [store.has(number) for number in range(4)] == [True, False, True, True]


def test_a_folder_that_can_not_be_written_costs_nothing_but_the_maps(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert not MapStore(tmp_path / "file" / "maps").save(1, cams(), INDICES, BIAS)
    assert not MapStore(None).save(1, cams(), INDICES, BIAS)
    assert MapStore(None).load(stored(cams())) is None


def test_maps_that_are_let_go_of_are_gone(store: MapStore) -> None:
    store.save(7, cams(), INDICES, BIAS)

    store.forget(7)
    store.forget(8)

    assert not store.has(7)
    assert store.load(replace(stored(cams()), number=7)) is None
