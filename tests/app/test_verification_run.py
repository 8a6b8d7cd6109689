from __future__ import annotations

import threading
from pathlib import Path

import pytest

from aicorona_desktop.app.verification_result import read_result
from aicorona_desktop.app.verification_run import Neighbours, Progress, RunPlace, VerificationError, score_known
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.history.store import History
from aicorona_desktop.model.pack import Pack
from tests import phantom
from tests.model.tiny_pack import tiny_pack

SETTINGS = Settings(provider="cpu", workers=1, quiet_time_s=0)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return tiny_pack(tmp_path_factory.mktemp("pack"))


def laid_down(folder: Path, names: tuple[str, ...]) -> tuple[RunPlace, dict[str, str]]:
    """Known studies on the disk, one of them with too few slices, and the place of a run over them."""
    place = RunPlace(folder / "history.sqlite", 1)
    chest = phantom.chest().with_slices(20, 10.0).with_matrix(128)
    paths, labels = {}, {}
    for name in names:
        built = (chest.with_slices(4) if name == "few" else chest).named(name)
        built.written_to(folder / "known" / name)
        paths[built.study_instance_uid] = sorted((folder / "known" / name).rglob("*.dcm"))
        labels[built.study_instance_uid] = "covid"
    place.lay_down(paths)
    return place, labels


def alone(stop: threading.Event | None = None) -> Neighbours:
    return Neighbours(lambda: False, (stop or threading.Event()).is_set)


def test_known_studies_are_scored_in_a_ledger_of_their_own_and_refusals_are_told(tmp_path: Path, pack: Pack) -> None:
    place, labels = laid_down(tmp_path, ("one", "few"))
    told: list[Progress] = []

    assert score_known(place, pack, SETTINGS, alone(), told.append)

    with History.open(place.ledger, read_only=True) as ledger:
        result = read_result(ledger, labels)
    assert (told[0].done, told[-1].done, told[-1].studies) == (0, 2, 2)
    assert len(result.scored) == 1
    assert result.scored[0].row is not None
    assert result.scored[0].row.pack == pack.title
    assert "slices" in result.failures[0].sentence
    assert not (tmp_path / "history.sqlite").exists()


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path, pack: Pack) -> None:
    place, labels = laid_down(tmp_path, ("one", "two"))
    stop, first, second = threading.Event(), list[Progress](), list[Progress]()

    def stop_after_one(progress: Progress) -> None:
        first.append(progress)
        if progress.done == 1:
            stop.set()

    assert not score_known(place, pack, SETTINGS, alone(stop), stop_after_one)
    assert score_known(place, pack, SETTINGS, alone(), second.append)

    assert [one.done for one in second] == [1, 2]
    with History.open(place.ledger, read_only=True) as ledger:
        assert len(read_result(ledger, labels).scored) == 2
        finals = [[one for one in ledger.results(uid) if not one.score.preliminary] for uid in labels]
        assert [len(one) for one in finals] == [1, 1]


def test_the_work_of_the_clinic_goes_first(tmp_path: Path, pack: Pack) -> None:
    place, _ = laid_down(tmp_path, ("one",))
    busy = threading.Event()
    busy.set()
    told: list[Progress] = []

    def hear(progress: Progress) -> None:
        told.append(progress)
        if progress.waits:
            busy.clear()

    assert score_known(place, pack, SETTINGS, Neighbours(busy.is_set, lambda: False), hear)
    assert [(one.done, one.waits) for one in told] == [(0, False), (0, True), (1, False)]


def test_between_two_slices_the_clinic_goes_first_too(tmp_path: Path, pack: Pack) -> None:
    place, _ = laid_down(tmp_path, ("one",))
    asked: list[int] = []

    def is_busy() -> bool:
        asked.append(1)
        return False

    assert score_known(place, pack, SETTINGS, Neighbours(is_busy, lambda: False), lambda _: None)
    assert len(asked) > 20


def test_a_run_without_its_list_says_what_to_do(tmp_path: Path, pack: Pack) -> None:
    with pytest.raises(VerificationError, match="begin a new run"):
        score_known(RunPlace(tmp_path / "history.sqlite", 3), pack, SETTINGS, alone(), lambda _: None)
