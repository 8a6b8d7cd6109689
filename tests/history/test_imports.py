"""Every file of an import is accounted for, also after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.imports import ImportCounts, ImportedFile, counts_of
from aicorona_desktop.history.store import History, HistoryError
from tests.history.made_up import NOW, Clock

REFUSED = Finding(Outcome.REFUSED, Reason.TRUNCATED, name="PixelData")
FILES = (
    ImportedFile("disc/a", Outcome.SCORED, study_instance_uid="1.1"),
    ImportedFile("disc/b", Outcome.SCORED, study_instance_uid="1.2"),
    ImportedFile("disc/c", Outcome.WARNED, Finding(Outcome.WARNED, Reason.TILT, found=3.5), "1.2"),
    ImportedFile("disc/d", Outcome.SCORED, study_instance_uid="1.3", known=True),
    ImportedFile("disc/caf\udce9", Outcome.REFUSED, REFUSED, "1.1"),
    ImportedFile("disc/readme.txt", Outcome.IGNORED, Finding(Outcome.IGNORED, Reason.JUNK)),
    ImportedFile("disc/scout", Outcome.IGNORED, Finding(Outcome.IGNORED, Reason.LOCALIZER), "1.1"),
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(tmp_path: Path, clock: Clock) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite3", clock=clock) as opened:
        yield opened


def test_an_import_comes_back_with_every_file_and_its_counts(history: History, clock: Clock) -> None:
    number = history.begin_import("Disc of 22 November")
    history.add_import_files(number, FILES[:3])
    history.add_import_files(number, FILES[3:])
    clock.pass_by(minutes=2)

    batch = history.end_import(number)

    assert batch == history.import_batch(number)
    assert (batch.label, batch.started_at, batch.ended_at) == ("Disc of 22 November", NOW, NOW + timedelta(minutes=2))
    assert batch.counts == ImportCounts(files=7, images=3, known=1, not_dicom=1, damaged=1, ignored=1, studies=2)
    assert not batch.stopped
    files = history.import_files(number)
    assert [one.shown for one in files] == [one.shown.replace("\udce9", "?") for one in FILES]
    assert [(one.finding, one.outcome, one.known) for one in files] == [
        (one.finding, one.outcome, one.known) for one in FILES
    ]


def test_an_import_stopped_by_a_person_or_a_crash_says_so(history: History) -> None:
    stopped, crashed = history.begin_import("one"), history.begin_import("two")
    history.add_import_files(stopped, FILES[:1])
    history.end_import(stopped, stopped=True)

    newest, older = history.imports()

    assert (older.number, older.stopped, older.counts.files) == (stopped, True, 1)
    assert (newest.number, newest.stopped, newest.ended_at) == (crashed, False, None)
    assert history.imports(before=crashed, limit=1) == (older,)


def test_an_import_that_is_not_there_is_refused(history: History) -> None:
    for ask in (
        lambda: history.import_batch(7),
        lambda: history.end_import(7),
        lambda: history.add_import_files(7, FILES),
    ):
        with pytest.raises(HistoryError, match="import"):
            ask()
    assert history.imports() == ()


REASONS = st.sampled_from([Reason.JUNK, Reason.NOT_DICOM, Reason.EMPTY_FILE, Reason.LOCALIZER, Reason.TRUNCATED])
ONE = st.builds(
    lambda outcome, reason, uid, known: ImportedFile(
        "a", outcome, Finding(outcome, reason) if reason else None, uid, known
    ),
    st.sampled_from(Outcome),
    st.none() | REASONS,
    st.sampled_from(["1.1", "1.2", "1.3"]),
    st.booleans(),
)


@given(st.lists(ONE, max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_history_counts_as_the_engine_does(history: History, files: list[ImportedFile]) -> None:
    number = history.begin_import("any")
    history.add_import_files(number, files)

    assert history.end_import(number).counts == counts_of(files)
