"""`worklist` shows what the window's list shows: a study that a person took off it is counted, not listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aicorona_desktop.cli.main import run
from aicorona_desktop.history.store import History
from tests.history.made_up import study


def test_studies_taken_off_the_list_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "history.sqlite"
    with History.open(place) as history:
        for uid in ("1.2.3", "4.5.6", "7.8.9"):
            history.record_received(study(uid, name=f"Name{uid[0]}^X"))
        history.remove("4.5.6", "AB")

    assert run(["worklist", "--history", str(place)]) == 0
    table = capsys.readouterr().out
    out = tmp_path / "list.json"
    assert run(["worklist", "--history", str(place), "--json", str(out)]) == 0

    assert "Name1" in table
    assert "Name4" not in table
    assert "1 study was taken off the list by a person" in table
    assert [one["study_uid"] for one in json.loads(out.read_text())] == ["1.2.3", "7.8.9"]
