from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from aicorona_desktop.history.store import History, SiteVerification
from aicorona_desktop.model.pack import OperatingPoint, Pack
from aicorona_desktop.triage.operating_point import Lapse, OperatingPoints, decide
from tests.history.made_up import NOW, Clock
from tests.model.tiny_pack import tiny_pack


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    point = OperatingPoint(0.7, "A", "tuning")
    return tiny_pack(tmp_path_factory.mktemp("pack"), operating_point=point)


def own(pack: Pack) -> SiteVerification:
    return SiteVerification(pack.sha256, pack.preparation, "cpu", 0.4, 0.9, 0.8, 60, "AB", NOW)


def test_the_site_s_point_goes_before_the_pack_s(pack: Pack) -> None:
    assert decide(pack, None, "cpu", NOW).threshold == 0.7
    assert decide(pack, own(pack), "cpu", NOW).threshold == 0.4
    assert decide(pack, own(pack), "auto", NOW).threshold == 0.4  # nothing can lapse before the device is known
    assert decide(replace(pack, operating_point=None), None, "cpu", NOW).threshold is None


@pytest.mark.parametrize(
    ("changed", "device", "later", "lapse"),
    [
        ({"pack_sha256": "f" * 64}, "cpu", 0, Lapse.PACK),
        ({"preparation": "other"}, "cpu", 0, Lapse.PREPARATION),
        ({}, "cuda", 0, Lapse.DEVICE),
        ({}, "cpu", 366, Lapse.AGE),
        ({"withdrawn": True}, "cpu", 0, Lapse.WITHDRAWN),
    ],
)
def test_it_lapses_with_its_reason_and_the_pack_s_point_holds_again(
    pack: Pack, changed: dict[str, object], device: str, later: int, lapse: Lapse
) -> None:
    point = decide(pack, replace(own(pack), **changed), device, NOW + timedelta(days=later))  # type: ignore[arg-type]

    assert (point.lapse, point.threshold, point.verification) == (lapse, 0.7, None)


def test_the_end_is_announced_thirty_days_before(pack: Pack) -> None:
    point = decide(pack, own(pack), "cpu", NOW)

    assert point.days_left(NOW + timedelta(days=334)) is None
    assert point.days_left(NOW + timedelta(days=345)) == 20


def test_what_is_recorded_holds_from_the_next_look_on_and_a_withdrawal_ends_it(tmp_path: Path, pack: Pack) -> None:
    with History.open(tmp_path / "history.sqlite", clock=Clock()) as history:
        points = OperatingPoints(history, pack, lambda: "cpu", lambda: NOW)
        history.record_pack(pack.sha256, pack.title, pack.status)
        assert points.threshold == 0.7
        history.record_site_verification(own(pack))
        points.refresh()
        assert points.threshold == 0.4
        history.record_site_verification(replace(own(pack), withdrawn=True, name="N", why="scanner changed"))
        points.refresh()
        assert points.in_use().lapse is Lapse.WITHDRAWN
        assert history.broken_audit_row() is None
