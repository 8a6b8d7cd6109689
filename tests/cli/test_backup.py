"""`backup` on the command line: list, make, put back."""

from __future__ import annotations

from pathlib import Path

import pytest

from aicorona_desktop.cli.main import OUR_FAILURE, WRONG_USE, run
from aicorona_desktop.history.backup import copies, is_good
from aicorona_desktop.history.store import History
from tests.history.made_up import study


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "history.sqlite"
    with History.open(place) as history:
        history.record_received(study("1.0"))
    return place


def backup(place: Path, *arguments: str | Path) -> int:
    return run(["backup", *map(str, arguments), "--history", str(place)])


def test_a_backup_is_made_listed_and_put_back_and_what_is_affected_is_said(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    assert backup(place, "make", "--also-to", stick) == 0
    (copy,) = copies(place)
    assert is_good(stick / copy.path.name)
    with History.open(place) as history:
        history.record_received(study("1.1"))
    capsys.readouterr()

    assert backup(place, "list") == 0
    assert f"{copy.made_at:%Y-%m-%d %H:%M} UTC" in capsys.readouterr().out
    assert backup(place, "restore", "1") == 0

    said = capsys.readouterr().out
    assert "1 study(ies) and 0 answer(s)" in said
    assert copy.path.name in said
    with History.open(place) as history:
        assert [row.study_instance_uid for row in history.rows()] == ["1.0"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("restore",), WRONG_USE, "Name the backup"),
        (("restore", "7"), WRONG_USE, "no backup number 7"),
        (("restore", "nowhere.sqlite3"), OUR_FAILURE, "can't be read"),
        (("list", "1"), WRONG_USE, "Only restore"),
    ],
)
def test_what_can_not_be_done_is_one_sentence_and_changes_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    before = place.read_bytes()

    assert backup(place, *arguments) == code
    assert sentence in capsys.readouterr().err
    assert place.read_bytes() == before


def test_a_backup_that_is_damaged_is_marked_in_the_list(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert backup(place, "make") == 0
    copies(place)[0].path.write_bytes(b"torn")

    assert backup(place, "list") == 0
    assert "can't be read" in capsys.readouterr().out
