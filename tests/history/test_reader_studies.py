"""A ledger of the version before gets the tables of reader studies, and loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from aicorona_desktop.history import migrations
from aicorona_desktop.history.store import History, HistoryError, ReaderStudyEvent
from tests.history import made_up

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as the version before wrote it: one study."""
    place = next(number for number, step in enumerate(migrations.STEPS) if step.__name__.startswith("m007"))
    path = tmp_path / "history.sqlite"
    with monkeypatch.context() as before:
        before.setattr(migrations, "STEPS", migrations.STEPS[:place])
        with History.open(path, clock=made_up.Clock()) as history:
            history.record_received(made_up.study("1.2"))
    return path


def test_a_ledger_of_the_version_before_keeps_everything_and_takes_reader_studies(earlier: Path) -> None:
    with History.open(earlier, clock=made_up.Clock()) as history:
        assert [row.study_instance_uid for row in history.rows()] == ["1.2"]
        number = history.add_reader_study("Autumn", {"seed": 7, "cases": ["é"]}, "AB")
        history.add_reader_study_events(
            number,
            [ReaderStudyEvent("shown", AT, "R1", 1, "C1", {}), ReaderStudyEvent("time", AT, "R1", 1, "C1", {"s": 1.5})],
        )
    with History.open(earlier, read_only=True) as history:
        (study,) = history.reader_studies()
        assert (study.number, study.name, study.by, dict(study.design)) == (
            number,
            "Autumn",
            "AB",
            {"seed": 7, "cases": ["é"]},
        )
        assert [(one.kind, one.at, one.details) for one in history.reader_study_events(number)] == [
            ("shown", AT, {}),
            ("time", AT, {"s": 1.5}),
        ]
        assert history.broken_audit_row() is None


def test_events_of_an_unknown_study_are_refused_and_of_several_all_or_none_are_kept(tmp_path: Path) -> None:
    with History.open(tmp_path / "history.sqlite", clock=made_up.Clock()) as history:
        number = history.add_reader_study("Autumn", {}, "AB")
        right = ReaderStudyEvent("shown", AT, "R1", 1, "C1", {})
        with pytest.raises(HistoryError):
            history.add_reader_study_events(number + 1, [right])
        with pytest.raises(HistoryError):
            history.add_reader_study_events(number, [right, ReaderStudyEvent("shown", AT, "R1", 9, "C2", {})])

        assert history.reader_study_events(number) == ()
