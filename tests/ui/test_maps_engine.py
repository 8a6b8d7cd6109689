"""Maps from files to the screen: a demo study through the real engine, the real history and the map files."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from aicorona_desktop.app.demo import STUDIES, write_demo
from aicorona_desktop.app.services import Running, Wishes, running
from aicorona_desktop.app.viewing import StudyReader
from aicorona_desktop.core.events import Event, MapsReady
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.history.store import StoredResult
from aicorona_desktop.imaging.overlay import scan_range
from aicorona_desktop.ui.contributions import contributions, without_top_slices
from aicorona_desktop.ui.study_facts import offers, read_facts, slices_to_score
from tests.ui.panel_parts import a_pack

MILD = next(place for place, study in enumerate(STUDIES) if study.folder == "3-mild-patches")


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("maps")
    study = write_demo(folder / "demo")[MILD]
    wishes = Wishes(history=folder / "history.sqlite", provider="cpu")
    with running(wishes, events.append, lambda _: None) as services:
        assert services.engine is not None
        services.engine.submit([study])
        assert services.engine.wait_until_idle(60)
        yield services


@pytest.fixture(scope="module")
def result(services: Running) -> StoredResult:
    row = services.history.rows()[0]
    result = services.history.result(row.study_instance_uid)
    assert result is not None
    return result


def uid_of(services: Running) -> str:
    return services.history.rows()[0].study_instance_uid


def test_bias_and_mean_of_the_maps_are_the_stored_score(services: Running, result: StoredResult) -> None:
    maps = services.maps.load(result)

    assert maps is not None
    sums = np.asarray(services.pack.bias) + maps.cams.mean(axis=(0, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(sums, result.score.logits, atol=1e-9)
    np.testing.assert_allclose(
        maps.cams.mean(axis=(2, 3), dtype=np.float64), result.score.slice_contributions, atol=1e-9
    )
    assert maps.check.within
    assert maps.cams.shape[2:] == (services.pack.map_size, services.pack.map_size)


def test_the_scale_of_a_class_spans_all_its_slices(services: Running, result: StoredResult) -> None:
    maps = services.maps.load(result)

    assert maps is not None
    for place, _ in enumerate(CLASSES):
        assert maps.limits[place] == scan_range(maps.cams[:, place])


def test_maps_that_are_gone_are_computed_anew_and_are_the_same(
    services: Running, result: StoredResult, events: list[Event]
) -> None:
    before = services.maps.load(result)
    services.maps.forget(result.number)
    assert services.maps.load(result) is None
    assert services.engine is not None

    services.engine.request_maps(uid_of(services), again=True)
    ends = time.monotonic() + 60
    while MapsReady(uid_of(services)) not in events:
        assert time.monotonic() < ends
        time.sleep(0.02)

    after = services.maps.load(result)
    assert before is not None
    assert after is not None
    np.testing.assert_allclose(after.cams, before.cams, atol=1e-4)
    assert after.check.within


def test_a_map_file_that_was_changed_is_noticed(services: Running, result: StoredResult) -> None:
    maps = services.maps.load(result)
    assert maps is not None
    changed = maps.cams.copy()
    changed[0, 2] += np.float32(0.5)
    services.maps.save(result.number, changed, maps.indices, maps.bias)

    seen = services.maps.load(result)
    services.maps.save(result.number, maps.cams, maps.indices, maps.bias)

    assert seen is not None
    assert not seen.check.within
    assert seen.check.largest_slice_difference == pytest.approx(0.5, abs=1e-4)


def test_the_panel_s_figures_agree_with_the_score(services: Running, result: StoredResult) -> None:
    score = result.score

    facts = read_facts(services.history, uid_of(services))
    parts = contributions(score, "covid")

    assert facts is not None
    assert facts.result == result
    assert slices_to_score(score, services.pack) == len(score.slice_indices)
    assert sum(one.part for one in parts) + services.pack.bias[2] == pytest.approx(score.logits[2], abs=1e-12)
    spread = [score.p_covid, *(one.p_covid for one in without_top_slices(score, services.pack))]
    assert score.fragility is not None
    assert (max(spread) - min(spread)) / 2 == pytest.approx(score.fragility.half_spread, abs=1e-12)
    assert without_top_slices(score, a_pack()) == ()


def test_the_series_that_was_scored_is_among_those_offered(services: Running, result: StoredResult) -> None:
    with StudyReader() as reader:
        viewed = reader.open(services.history, uid_of(services))

    found = offers(viewed.study)

    assert [one.uid for one in found] == [result.series_instance_uid]
    assert found[0].slices == result.score.slices_total
