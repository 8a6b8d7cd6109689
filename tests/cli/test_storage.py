"""`storage` says what is kept and what would go, and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aicorona_desktop.app.storage import originals_beside
from aicorona_desktop.cli.main import run
from aicorona_desktop.history.store import History
from tests.history.made_up import study


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "history.sqlite"
    with History.open(place) as history:
        history.record_received(study("1.9"))
    folder = originals_beside(place) / "ab"
    folder.mkdir(parents=True)
    (folder / ("ab" * 32)).write_bytes(bytes(3_000_000))
    return place


def test_it_counts_what_is_kept(place: Path, data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = place.read_bytes()

    assert run(["storage", "--history", str(place)]) == 0

    told = capsys.readouterr().out
    assert "Copies of images" in told
    assert "3.0 MB" in told
    assert "No rule is switched on: no image is ever removed." in told
    assert place.read_bytes() == before


def test_another_rule_can_be_tried_as_json(place: Path, data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["storage", "--history", str(place), "--days", "30", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["originals_bytes"], told["rule"]) == (3_000_000, {"days": 30, "gigabytes": 0, "on": True})
    assert (told["goes"], told["studies"]) == ([], 0)  # the study of this history has no copies of ours
