from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from aicorona_desktop.app.self_check import Check, SelfCheck
from aicorona_desktop.history.store import SiteVerification
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.triage.operating_point import decide
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.verification_overview import OverviewPage
from aicorona_desktop.ui.verification_place import VerificationPlace
from aicorona_desktop.ui.verification_words import status_lines
from tests.history import made_up
from tests.history.made_up import NOW
from tests.ui.panel_parts import a_pack, cams_of, context_over, hashed, recorded, score_of

STUDY = hashed(made_up.study(slices=12))


@pytest.fixture(params=[None, 0.0])
def context(tmp_path: Path, request: pytest.FixtureRequest, qapp: object) -> Iterator[Context]:
    pack = a_pack(request.param)
    with context_over(tmp_path, pack) as context:
        context.running.engine.device = "cpu"
        recorded(context.running.history, STUDY, score_of(STUDY, pack, cams_of(6)))
        context.running.history.record_received(made_up.study("9.1"))
        yield context


def shown(context: Context, qtbot: QtBot, **more: object) -> OverviewPage:
    place = VerificationPlace(context, **more)  # type: ignore[arg-type]
    qtbot.addWidget(place)
    place.resize(1260, 600)
    place.show()
    place.enter()
    overview = place.overview
    qtbot.waitUntil(lambda: bool(overview.counts.text), timeout=5000)
    overview.setProperty("needs", place.kit.needs.text)
    return overview


def test_it_says_that_nothing_was_verified_and_every_count_has_its_n(context: Context, qtbot: QtBot):
    row = context.running.history.row(STUDY.study_instance_uid)
    assert row is not None
    assert row.probabilities is not None
    answer = "normal" if max(row.probabilities) != row.probabilities[0] else "cp"
    context.running.history.save_verdict(STUDY.study_instance_uid, impression=answer, initials="AB")
    place = shown(context, qtbot)

    assert place.status.text.startswith("Not verified at this site")
    assert "Scored: 1 of 2 studies" in place.counts.text
    assert "Read by a person: 1 of 2 studies" in place.counts.text
    assert "of 1 study with a score and an own impression that names a class" in place.counts.text
    flags = next(line for line in place.counts.text.splitlines() if line.startswith("Flags"))
    if context.running.pack.operating_point is None:
        assert "no operating point" in flags
    else:
        assert flags == "Flags: 1 of 1 study scored, at 0.0 or above"
    assert context.running.pack.sha256 in place.pack.text
    assert "Processor (CPU)" in place.device.text


def test_no_word_of_the_place_is_one_that_must_not_be_said(context: Context, qtbot: QtBot):
    place = shown(context, qtbot)
    said = " ".join(one.text.lower() for one in (place.status, place.pack, place.device, place.counts))
    said += str(place.property("needs")).lower()

    for word in ("diagnos", "detect", "positive", "healthy", "accura", "safe"):
        assert word not in said


def test_the_device_test_tells_each_check_as_it_is_done_and_can_be_asked_again(context: Context, qtbot: QtBot):
    asked: list[tuple[str, str]] = []

    def check(pack: Pack, provider: str, told: Callable[[Check], None]) -> SelfCheck:
        asked.append((pack.title, provider))
        told(Check("known answer", True, "largest logit difference 1.0e-05."))
        told(Check("device", False, "The graphics card was left."))
        return SelfCheck([])

    place = shown(context, qtbot, check=check)
    place.test.click()
    assert not place.test.isEnabled()
    qtbot.waitUntil(place.test.isEnabled, timeout=5000)

    assert asked == [(context.running.pack.title, "auto")]
    assert place.proof.text.splitlines() == [
        "Known answer works: largest logit difference 1.0e-05.",
        "Device does not work: The graphics card was left.",
    ]


def test_a_verification_is_told_with_its_n_and_lapses_after_twelve_months(qapp: object):
    pack = a_pack()
    own = SiteVerification(pack.sha256, pack.preparation, "cpu", 0.5, 0.94, 0.83, 120, "AB", NOW)

    fresh = " ".join(line.text for line in status_lines(decide(pack, own, "cpu", NOW), NOW))
    assert "with 120 studies" in fresh
    assert "Not verified" not in fresh
    late = NOW + timedelta(days=366)
    said = [line.text for line in status_lines(decide(pack, own, "cpu", late), late)]
    assert said[0] == "Not verified at this site"
    assert "older than twelve months" in said[-1]
