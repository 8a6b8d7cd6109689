"""A ledger of the version before is brought to this version's form, or read as if it had been."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.identities import PatientIdentity
from aicorona_desktop.core.lanes import Policy
from aicorona_desktop.core.rows import Lane, State
from aicorona_desktop.history import migrations, standing
from aicorona_desktop.history.audit import row_sha256
from aicorona_desktop.history.backup import copies
from aicorona_desktop.history.connection import APPLICATION_ID, HistoryError
from aicorona_desktop.history.store import Filter, History
from aicorona_desktop.history.values import RESULT_FIELDS, findings_text, time_text
from aicorona_desktop.triage.worklist import Worklist
from tests.history.made_up import NOW, PACK, Clock, study

EARLY = NOW - timedelta(minutes=90)
READ_AT = NOW - timedelta(minutes=5)


def insert(raw: sqlite3.Connection, table: str, **values: Any) -> None:
    marks = ", ".join("?" * len(values))
    raw.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def result(number: int, p_covid: float) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(RESULT_FIELDS, 0.25) | {"probability_covid": p_covid}
    values |= dict.fromkeys(RESULT_FIELDS[-9:], "x") | {"findings": "[]", "recorded_at": time_text(NOW)}
    values |= dict.fromkeys(("series_instance_uid", "preparation", "provider", "pack", "pack_status"), "x")
    values |= {"study": number, "revision": 0, "preliminary": 0, "slices_total": 40, "pack_sha256": PACK}
    values |= {"rests_on_one_slice": 1, "doubtful": 0, "training_distance": None, "training_distance_limit": None}
    values |= {"seconds_read": 1.5, "seconds_infer": 2.5}
    return {"sequence": number, **values, "row_sha256": row_sha256([values[name] for name in RESULT_FIELDS])}


def version_1(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as the version before wrote it: five studies, one for each way to stand."""
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw, monkeypatch.context() as before:
        before.setattr(migrations, "STEPS", migrations.STEPS[:1])
        raw.execute(f"PRAGMA application_id={APPLICATION_ID}")
        migrations.migrate(raw)
        insert(raw, "pack", sha256=PACK, title="demo", status="untrained", recorded_at="")
        insert(raw, "source", shown="/in", kind="", recorded_at="")
        no_chest = findings_text([Finding(Outcome.UNSUITABLE, Reason.NO_CHEST_CT)])
        studies: tuple[tuple[str, datetime, State, str], ...] = (
            ("1.1", EARLY, State.DONE, "[]"),
            ("1.2", NOW, State.DONE, "[]"),
            ("1.3", NOW, State.DONE, "[]"),
            ("1.4", NOW, State.UNSUITABLE, no_chest),
            ("1.5", NOW, State.FAILED, "[]"),
        )
        for number, (uid, received_at, state, findings) in enumerate(studies, start=1):
            insert(
                raw,
                "study",
                study_instance_uid=uid,
                received_at=time_text(received_at),
                state=state.value,
                outcome_findings=findings,
            )
            insert(raw, "study_text", rowid=number, text=f"doe jane {uid}")
            if state is State.DONE:
                insert(raw, "result", **result(number, 0.5 + number / 10))
                raw.execute("UPDATE study SET result = sequence WHERE sequence = ?", (number,))
        read = {"study": 3, "revision": 0, "result": 3, "impression": "normal", "action": "", "initials": "AB"}
        insert(raw, "verdict", **read, note="left lung", at=time_text(READ_AT))
        raw.execute("UPDATE study SET read_at = ?, impression = 'normal' WHERE sequence = 3", (time_text(READ_AT),))
        insert(raw, "series", study=1, series_instance_uid="1.1.1", series_description="Lung")
        raw.execute("UPDATE study SET series_instance_uid = '1.1.1' WHERE sequence = 1")
        file = {"path": b"/in/a", "shown": "a", "source": 1, "size_bytes": 1, "mtime_ns": 1}
        for frame in range(2):
            insert(raw, "instance", series=1, identity=f"a#{frame}", sha256=b"a" * 32, received_at="", **file)
        refused = {"series_instance_uid": "", "outcome": "refused", "code": "TRUNCATED", "name": "", "recorded_at": ""}
        insert(raw, "refusal", study=1, sha256=b"b" * 32, **refused, **file)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lanes(history: History) -> dict[str, Lane | None]:
    worklist = Worklist(history)
    return {row.study_instance_uid: row.lane for lane in Lane for row in worklist.page(lane, NOW, Policy()).rows}


EXPECTED = {
    "1.5": Lane.NEEDS_PERSON,
    "1.1": Lane.OVERDUE,
    "1.2": Lane.RANKED,
    "1.3": Lane.READ,
    "1.4": Lane.NOT_FOR_TOOL,
}


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return version_1(tmp_path / "history.sqlite3", monkeypatch)


def test_what_the_lanes_and_rows_need_is_filled_in_from_what_was_there(old: Path) -> None:
    with History.open(old, clock=Clock(NOW)) as history:
        found = lanes(history)
        rows = {row.study_instance_uid: row for row in history.rows()}
        by_filter = history.page(wanted=Filter(differ=True)).rows

    assert found == EXPECTED
    assert list(found) == list(EXPECTED)
    assert (rows["1.1"].files_received, rows["1.1"].files_refused, rows["1.1"].series_description) == (1, 1, "Lung")
    assert (rows["1.3"].impression, rows["1.3"].read_by, rows["1.3"].note) == ("normal", "AB", "left lung")
    assert rows["1.3"].rests_on_one_slice
    assert [row.study_instance_uid for row in by_filter] == ["1.3"]


def test_the_file_as_it_was_is_kept_as_a_backup(old: Path) -> None:
    with History.open(old, clock=Clock(NOW)):
        (before,) = copies(old)

    with closing(sqlite3.connect(before.path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone()[0] == 1


def test_verdicts_of_the_version_before_can_be_taken_back_and_its_studies_judged(old: Path) -> None:
    with History.open(old, clock=Clock(NOW)) as history:
        (verdict,) = history.verdicts("1.3")
        history.take_back_verdict(verdict.number)
        history.save_verdict("1.2", impression="covid", slices_seen=0.5)

        assert (verdict.slices_seen, verdict.map_seen, verdict.result) == (None, None, 3)
        assert lanes(history)["1.3"] is Lane.RANKED
        assert lanes(history)["1.2"] is Lane.READ


def test_a_file_of_version_2_takes_in_identities_and_names_and_keeps_its_rows(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before, closing(sqlite3.connect(old, isolation_level=None)) as raw:
        before.setattr(migrations, "STEPS", migrations.STEPS[:2])
        migrations.migrate(raw)
    with History.open(old, clock=Clock(NOW)) as history:
        found, row = lanes(history), history.row("1.1")
        doe, roe = PatientIdentity("1", "", "Doe^Jane"), PatientIdentity("2", "", "Roe^Rick")
        history.choose_identity("1.1", doe, (doe, roe), whole=True)
        history.read_name_as("1.1", "utf-8", "Doe^Jane")
        (copy,) = copies(old)

    assert row is not None
    assert (found, row.name_read_as) == (EXPECTED, "")
    with closing(sqlite3.connect(copy.path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone()[0] == 2


def test_the_uid_leaves_the_words_that_a_study_of_an_older_file_is_found_by(old: Path) -> None:
    with History.open(old, clock=Clock(NOW)) as history:
        found = [history.search(text) for text in ("doe jane", "1.4", "4")]

    assert [len(rows) for rows in found] == [5, 1, 0]


def test_an_older_file_is_read_in_this_form_and_left_untouched(old: Path) -> None:
    before = digest(old)

    with History.open(old, read_only=True) as history:
        assert lanes(history) == EXPECTED
        assert history.outcomes("1.1") == ()
        with pytest.raises(HistoryError, match="reading only"):
            history.save_verdict("1.1", action="now")

    assert digest(old) == before
    assert copies(old) == ()


def test_a_step_that_fails_leaves_the_list_readable(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(raw: sqlite3.Connection) -> None:
        raw.execute("CREATE TABLE study (sequence INTEGER)")

    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, broken))

    with History.open(old, clock=Clock(NOW)) as history:
        assert "could not be brought" in history.read_only_because
        assert lanes(history) == EXPECTED


def test_a_study_left_unsettled_by_a_crash_is_settled_at_the_next_start_and_for_readers(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    with History.open(path, clock=Clock(NOW)) as history:
        history.record_received(study())
        history._connection.execute("UPDATE study SET standing = ''")
        assert lanes(history) == {}
    with History.open(path, read_only=True) as reading:
        assert lanes(reading) == {"1.2.3": Lane.RANKED}

    with History.open(path, clock=Clock(NOW)) as history:
        assert lanes(history) == {"1.2.3": Lane.RANKED}


def test_another_version_of_the_program_settles_every_study_by_its_own_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.sqlite3"
    with History.open(path, clock=Clock(NOW)) as history:
        history.record_received(study())
        history._connection.execute("UPDATE study SET standing = 'read'")  # as another version may have said
    with History.open(path, clock=Clock(NOW)) as history:
        same = lanes(history)

    monkeypatch.setattr(standing, "RULES", "999")
    with History.open(path, clock=Clock(NOW)) as history:
        other = lanes(history)

    assert (same, other) == ({"1.2.3": Lane.READ}, {"1.2.3": Lane.RANKED})


def test_a_list_that_can_not_be_settled_anew_is_read_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.sqlite3"
    with History.open(path, clock=Clock(NOW)) as history:
        history.record_received(study())

    def no_disk(_connection: sqlite3.Connection, _study: int) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(standing, "RULES", "999")
    monkeypatch.setattr(standing, "settle", no_disk)
    with History.open(path, clock=Clock(NOW)) as history:
        assert "could not be brought" in history.read_only_because
        assert lanes(history) == {"1.2.3": Lane.RANKED}
    monkeypatch.undo()

    with History.open(path, clock=Clock(NOW)) as history:
        assert history.read_only_because == ""
