"""The engine as its clients see it: late slices, watched folders, urgency, restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aicorona_desktop.core import events
from aicorona_desktop.core.findings import Reason
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import utc_now
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.providers import ProofRecord
from aicorona_desktop.triage.ranking import policy_of, rank
from tests import phantom
from tests.street.bench import Bench


def test_a_preliminary_score_comes_before_the_final_one(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    chest = phantom.chest().with_slices(24, 10)
    folder = chest.written_to(tmp_path / "in")

    with Bench(reader, scorer, tmp_path, Settings()) as bench:
        bench.engine.submit([folder])
        assert bench.engine.wait_until_idle(60)

        kinds = [type(event) for event in bench.events]
        assert kinds.index(events.PreliminaryScore) < kinds.index(events.FinalScore)
        preliminary = bench.told(events.PreliminaryScore)[0]
        assert isinstance(preliminary, events.PreliminaryScore)
        assert len(preliminary.score.slice_indices) == 8
        assert preliminary.score.preliminary
        states = [change.state for change in bench.history.states(chest.study_instance_uid)]
        assert states == [
            State.RECEIVED, State.CHECKING, State.QUEUED, State.PRELIMINARY, State.RUNNING, State.DONE
        ]  # fmt: skip


def test_late_slices_reopen_a_study_and_the_old_score_stays_as_superseded(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest = phantom.chest().with_slices(30, 8)
    folder = chest.written_to(tmp_path / "in")
    late = sorted(folder.rglob("*.dcm"))[22:]
    held = {path: path.read_bytes() for path in late}
    for path in late:
        path.unlink()

    with Bench(reader, scorer, tmp_path, Settings()) as bench:
        bench.engine.submit([folder])
        assert bench.engine.wait_until_idle(60)
        for path, data in held.items():
            path.write_bytes(data)
        bench.engine.submit([folder])
        assert bench.engine.wait_until_idle(60)

        results = bench.history.results(chest.study_instance_uid)
        final = [one for one in results if not one.score.preliminary]
        assert sorted(one.score.slices_total for one in final) == [22, 30]
        assert [one.score.slices_total for one in final if not one.superseded] == [30]


def test_the_same_files_again_give_no_second_result(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    chest = phantom.chest()
    folder = chest.written_to(tmp_path / "in")

    with Bench(reader, scorer, tmp_path, Settings()) as bench:
        for _ in range(2):
            bench.engine.submit([folder])
            assert bench.engine.wait_until_idle(60)

        assert len([one for one in bench.history.results(chest.study_instance_uid) if not one.score.preliminary]) == 1
        assert bench.history.row(chest.study_instance_uid).state is State.DONE  # type: ignore[union-attr]


def test_a_new_study_gets_its_preliminary_score_while_an_older_one_is_in_its_final_pass(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    long = phantom.chest("long").with_slices(120, 3)
    first, second = long.written_to(tmp_path / "a"), phantom.chest("short").written_to(tmp_path / "b")

    with Bench(reader, scorer, tmp_path, Settings()) as bench:
        bench.engine.submit([first])
        bench.wait_for(events.SliceScored, 1)
        bench.engine.submit([second])
        assert bench.engine.wait_until_idle(120)

        order = [
            (type(event), event.study_instance_uid == long.study_instance_uid)
            for event in bench.events
            if isinstance(event, events.PreliminaryScore | events.FinalScore)
        ]
        assert order.index((events.PreliminaryScore, False)) < order.index((events.FinalScore, True))


def test_a_watched_folder_is_scored_when_it_has_gone_quiet_and_a_restart_repeats_nothing(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    watched = tmp_path / "in"
    watched.mkdir()
    settings = replace(Settings(), quiet_time_s=0.5, poll_s=0.2)

    with Bench(reader, scorer, tmp_path, settings) as bench:
        bench.engine.watch(watched)
        chest = phantom.chest()
        chest.written_to(watched / "study")
        bench.wait_for(events.FinalScore, 1)
    with Bench(reader, scorer, tmp_path, settings) as bench:
        bench.engine.watch(watched)
        time.sleep(1.5)  # several looks

        assert not bench.told(events.BatchStarted)
        assert bench.history.row(chest.study_instance_uid).state is State.DONE  # type: ignore[union-attr]


def test_a_lost_watched_folder_is_told_once_and_its_return_too(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    watched, away = tmp_path / "in", tmp_path / "away"
    phantom.chest().written_to(watched / "study")
    settings = replace(Settings(), quiet_time_s=0.2, poll_s=0.1)

    with Bench(reader, scorer, tmp_path, settings) as bench:
        bench.engine.watch(watched)
        bench.wait_for(events.FinalScore, 1)
        watched.rename(away)
        bench.wait_for(events.SourceLost, 1)
        away.rename(watched)
        bench.wait_for(events.SourceBack, 1)

        assert len(bench.told(events.SourceLost)) == 1


def test_a_listener_that_fails_takes_no_study_with_it(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    chest = phantom.chest()
    folder = chest.written_to(tmp_path / "in")

    def fail(event: events.Event) -> None:
        raise RuntimeError("the client is broken")

    with Bench(reader, scorer, tmp_path, Settings()) as bench:
        bench.engine._session.listener = fail
        bench.engine.submit([folder])
        assert bench.engine.wait_until_idle(60)

        assert bench.history.row(chest.study_instance_uid).state is State.DONE  # type: ignore[union-attr]


def test_the_higher_score_stands_higher(
    run: Callable[..., object], reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    for number, ground_glass in enumerate((0.0, 1.0, 0.4)):
        phantom.chest(f"c{number}").with_ground_glass(ground_glass).written_to(tmp_path / "in" / str(number))

    with Bench(reader, scorer, tmp_path, Settings()) as bench:
        bench.engine.submit([tmp_path / "in"])
        assert bench.engine.wait_until_idle(60)
        ranked = rank(bench.engine.rows(), utc_now(), policy_of(Settings(), None))

    scores = [row.probabilities[2] for row in ranked if row.probabilities is not None]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_what_lies_under_the_path_is_the_study_whatever_the_history_knows_of_it(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest = phantom.chest().with_slices(30, 8)
    folder = chest.written_to(tmp_path / "here")

    for place in (folder, tmp_path / "moved"):
        if not place.exists():
            folder.rename(place)
        with Bench(reader, scorer, tmp_path, Settings()) as bench:
            bench.engine.submit([place])
            assert bench.engine.wait_until_idle(60)
            assert not bench.engine.catalogue.without_study()
            result = bench.history.result(chest.study_instance_uid)

    assert result is not None
    assert result.score.slices_total == 30


def test_a_stop_in_the_middle_leaves_no_study_failed(reader: Reader, scorer: Scorer, tmp_path: Path) -> None:
    chest = phantom.chest("stopped").with_slices(120, 2)
    folder = chest.written_to(tmp_path / "in")

    with Bench(reader, scorer, tmp_path, Settings()) as bench:
        bench.engine.submit([folder])
        bench.wait_for(events.PreliminaryScore, 1)
        bench.engine.stop(10)
        state = bench.history.row(chest.study_instance_uid).state  # type: ignore[union-attr]

    assert state in (State.PRELIMINARY, State.RUNNING)


def test_a_watching_engine_forgets_what_is_done_and_recalls_it_for_late_slices(
    reader: Reader, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicorona_desktop.triage.scoring.STUDIES_REMEMBERED", 0)
    watched, held = tmp_path / "in", tmp_path / "held"
    chest = phantom.chest("forgotten").with_slices(30, 8)
    chest.written_to(watched / "study")
    held.mkdir()
    for path in sorted(watched.rglob("*.dcm"))[22:]:
        path.rename(held / path.name)
    settings = replace(Settings(), quiet_time_s=0.3, poll_s=0.1)

    with Bench(reader, scorer, tmp_path, settings) as bench:
        bench.engine.watch(watched)
        bench.wait_for(events.FinalScore, 1)
        assert not bench.engine.catalogue.knows(chest.study_instance_uid)
        for path in held.iterdir():
            path.rename(watched / "study" / path.name)
        bench.wait_for(events.FinalScore, 2)

    last = bench.told(events.FinalScore)[-1]
    assert isinstance(last, events.FinalScore)
    assert last.score.slices_total == 30


def test_a_study_of_a_watched_folder_is_in_the_list_while_it_still_arrives(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    chest = phantom.chest()
    chest.written_to(tmp_path / "in" / "study")
    settings = replace(Settings(), quiet_time_s=60, poll_s=0.1)

    with Bench(reader, scorer, tmp_path, settings) as bench:
        bench.engine.watch(tmp_path / "in")
        bench.wait_for(events.StudySeen, 1)

        assert [row.state for row in bench.engine.rows()] == [State.SETTLING]
        assert bench.engine.seen == {chest.study_instance_uid}


def test_a_device_that_drifts_is_left_and_the_study_scored_anew_on_the_cpu(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    pack, folder = scorer.pack, phantom.chest("drift").written_to(tmp_path / "in")
    normal, pneumonia, covid = pack.known_answer.contribution
    with Scorer(pack, "openvino", record=ProofRecord(tmp_path / "proofs.json")) as drifting:
        drifting.wait_until_ready()
        # The device answers as ever; what it is held against has moved, as if it had drifted.
        process = drifting._process_now()
        process._pack = replace(  # type: ignore[union-attr]
            pack, known_answer=replace(pack.known_answer, contribution=(normal + 1, pneumonia, covid))
        )
        with Bench(reader, drifting, tmp_path, Settings()) as bench:
            bench.engine.submit([folder])
            assert bench.engine.wait_until_idle(120)

    last = bench.told(events.FinalScore)[-1]
    assert isinstance(last, events.FinalScore)
    assert last.score.provider == "cpu"
    assert Reason.PROVIDER_LEFT in [finding.reason for finding in last.findings]
