from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aicorona_desktop.app import history_table
from aicorona_desktop.app.history_table import FREE_TEXT, IDENTITY, TableError, columns, write_table
from aicorona_desktop.core.lanes import Policy
from aicorona_desktop.history.store import Filter, History
from tests.history import made_up
from tests.history.made_up import NOW

NAME = "Doe^Jane"
EVERYTHING = Filter()


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite", clock=made_up.Clock()) as history:
        for number in range(5):
            history.record_received(made_up.study(f"1.2.{number}", name=NAME))
        history.save_verdict("1.2.3", impression="covid", co_rads=5, note="Jane's note", initials="AB")
        yield history


def written(history: History, path: Path, wanted: Filter = EVERYTHING, *, with_identity: bool = False, **more):
    return write_table(
        history,
        path,
        wanted=wanted,
        policy=Policy(),
        now=NOW,
        code=lambda row: f"code {row.patient_id[-1]}",
        with_identity=with_identity,
        **more,
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))


def test_a_table_without_identity_names_nobody_and_has_every_study_newest_first(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(history_table, "PAGE", 2)
    path = tmp_path / "table.csv"

    assert written(history, path) == 5

    rows, text = rows_of(path), path.read_text("utf-8-sig")
    assert [row["code"] for row in rows] == [f"code {number}" for number in (4, 3, 2, 1, 0)]
    assert not any(word in text for word in ("Doe", "Jane", "ID-1.2", "1.2.3", "Thorax"))
    assert not set(rows[0]) & {*IDENTITY, *FREE_TEXT}
    assert (rows[1]["impression"], rows[1]["co_rads"], rows[1]["read_by"]) == ("covid", "5", "AB")
    assert rows[1]["patient_age_years"] == "61.5"


def test_a_table_with_identity_has_it_and_only_the_wanted_studies(history: History, tmp_path: Path):
    path = tmp_path / "table.csv"

    assert written(history, path, Filter(reader="ab"), with_identity=True) == 1

    (row,) = rows_of(path)
    assert (row["patient_name"], row["patient_id"], row["note"]) == (NAME, "ID-1.2.3", "Jane's note")
    assert tuple(row) == columns(with_identity=True)


def test_a_text_from_a_file_does_not_become_a_formula(history: History, tmp_path: Path):
    history.record_received(made_up.study("1.2.9", name='=HYPERLINK("x")'))
    path = tmp_path / "table.csv"

    written(history, path, with_identity=True)

    assert rows_of(path)[0]["patient_name"] == '\'=HYPERLINK("x")'


def test_what_was_stopped_or_could_not_be_written_leaves_the_file_before(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "table.csv"
    path.write_text("before")

    assert written(history, path, stopped=lambda: True) is None
    assert path.read_text() == "before"

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TableError, match="disk full"):
        written(history, path)
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.glob("*.part")] == []
