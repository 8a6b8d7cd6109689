"""What people say of a study is kept as they said it, taken back by a row of its own, and in the audit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from aicorona_desktop.core.identities import PatientIdentity
from aicorona_desktop.core.rows import State
from aicorona_desktop.history.store import History, HistoryError, OutcomeKind, StudyError
from tests.history.made_up import NOW, Clock, choice, score, study


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(tmp_path: Path, clock: Clock) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite3", clock=clock) as opened:
        opened.record_received(study())
        opened.move_through("1.2.3", [(State.CHECKING, ""), (State.QUEUED, "")])
        opened.record_result("1.2.3", score(study()), (), "1.0", "gate-1", choice=choice(study()))
        yield opened


def events(history: History) -> list[str]:
    return [one.event for one in history.trail("1.2.3")]


# --- verdicts -------------------------------------------------------------------------------------------------


def test_a_verdict_keeps_the_score_it_was_given_beside_and_what_had_been_seen(history: History) -> None:
    stood = history.result("1.2.3")
    history.save_verdict("1.2.3", impression="cp", note="left", initials="AB", slices_seen=0.62, map_seen=True)
    history.record_received(study(slices=4))

    (verdict,) = history.verdicts("1.2.3")

    assert stood is not None
    assert (verdict.result, verdict.revision) == (stood.number, 0)
    assert (verdict.slices_seen, verdict.map_seen) == (0.62, True)


def test_a_verdict_knows_from_the_viewings_whether_a_map_had_been_on(history: History) -> None:
    history.save_verdict("1.2.3", impression="cp")
    viewing = history.open_viewing("1.2.3", "AB")
    history.map_switched_on(viewing)
    history.save_verdict("1.2.3", impression="covid")

    assert [one.map_seen for one in history.verdicts("1.2.3")] == [False, True]


def test_the_row_has_the_newest_verdict_and_note_that_stand(history: History, clock: Clock) -> None:
    history.save_verdict("1.2.3", impression="cp", action="now", note="first", initials="AB")
    clock.pass_by(minutes=1)
    second = history.save_verdict("1.2.3", impression="covid", initials="CD")
    later = history.row("1.2.3")
    clock.pass_by(minutes=1)
    note = history.add_note("1.2.3", "call the ward", "EF")
    noted = history.row("1.2.3")
    history.take_back_verdict(second)
    history.take_back_note(note)
    row = history.row("1.2.3")

    assert later is not None
    assert noted is not None
    assert row is not None
    assert (later.impression, later.action, later.read_by, later.note) == ("covid", "now", "CD", "first")
    assert noted.note == "call the ward"
    assert (row.impression, row.action, row.read_by, row.note) == ("cp", "now", "AB", "first")
    assert events(history) == ["verdict", "verdict", "note", "verdict taken back", "note taken back"]


def test_the_action_of_a_second_person_leaves_the_impression_of_the_first_standing(history: History) -> None:
    history.save_verdict("1.2.3", impression="covid", action="routine", initials="AB")
    history.save_verdict("1.2.3", action="now", initials="CD")

    row = history.row("1.2.3")

    assert row is not None
    assert (row.impression, row.action, row.read_by) == ("covid", "now", "AB")


def test_a_correction_takes_away_what_the_same_person_had_said(history: History) -> None:
    history.save_verdict("1.2.3", impression="covid", action="now", initials="AB")
    corrected = history.save_verdict("1.2.3", impression="cp", initials="ab")
    row = history.row("1.2.3")
    history.take_back_verdict(corrected)
    before = history.row("1.2.3")

    assert row is not None
    assert before is not None
    assert (row.impression, row.action) == ("cp", "")
    assert (before.impression, before.action) == ("covid", "now")


def test_a_verdict_belongs_to_the_score_and_the_files_that_were_on_the_screen(history: History) -> None:
    shown = history.row("1.2.3")
    assert shown is not None
    history.record_received(study(slices=4))  # late files come while the person still looks
    history.save_verdict("1.2.3", impression="cp", initials="AB", result=shown.result, revision=shown.revision)

    (verdict,) = history.verdicts("1.2.3")
    row = history.row("1.2.3")

    assert row is not None
    assert (verdict.result, verdict.revision) == (shown.result, 0)
    assert (row.read_at, row.revision) == (None, 1)


def test_a_verdict_beside_another_study_s_score_is_refused(history: History) -> None:
    history.record_received(study("4.5.6"))
    mine = history.row("1.2.3")
    assert mine is not None

    with pytest.raises(StudyError, match="not one of the study's"):
        history.save_verdict("4.5.6", impression="cp", result=mine.result)
    with pytest.raises(StudyError, match="not the files"):
        history.save_verdict("1.2.3", impression="cp", revision=7)
    assert history.verdicts("4.5.6") == history.verdicts("1.2.3") == ()


# --- whose study it is --------------------------------------------------------------------------------------------

DOE, ROE = PatientIdentity("1", "", "Doe^Jane"), PatientIdentity("2", "", "Roe^Richard")


def test_a_choice_between_identities_is_kept_with_all_that_stood_and_can_be_taken_back(history: History) -> None:
    number = history.choose_identity("1.2.3", DOE, (DOE, ROE), whole=False, initials="AB")

    choice = history.identity_choice("1.2.3")
    history.take_back_identity(number, "CD")

    assert choice is not None
    assert (choice.identity, choice.seen, choice.whole, choice.initials) == (DOE, (DOE, ROE), False, "AB")
    assert history.identity_choice("1.2.3") is None
    assert [one.taken_back_by for one in history.identity_choices("1.2.3")] == ["CD"]
    assert events(history) == ["identity chosen", "choice of identity taken back"]
    assert all("Doe" not in one.details for one in history.trail("1.2.3"))


def test_an_identity_that_was_not_there_cannot_be_chosen(history: History) -> None:
    with pytest.raises(StudyError, match="does not stand"):
        history.choose_identity("1.2.3", PatientIdentity("3"), (DOE, ROE), whole=True)


def test_a_name_that_is_read_otherwise_is_shown_and_found_and_the_file_s_own_stays(history: History) -> None:
    number = history.read_name_as("1.2.3", "cp1251", "Иванов^Пётр", "AB")
    row = history.row("1.2.3")
    found = history.search("иванов"), history.search("doe")
    history.record_received(study(slices=4))
    late = history.search("иванов")
    history.take_back_name(number, "AB")
    after = history.row("1.2.3")

    assert row is not None
    assert after is not None
    assert (row.name_read_as, row.patient_name) == ("Иванов^Пётр", "Doe^Jane")
    assert [len(one) for one in (*found, late)] == [1, 1, 1]
    assert after.name_read_as == ""
    assert history.search("иванов") == ()
    assert all("Иванов" not in one.details for one in history.trail("1.2.3"))


def test_late_files_take_the_verdict_off_the_row_and_leave_it_in_the_history(history: History) -> None:
    history.save_verdict("1.2.3", impression="cp", action="now", initials="AB")

    history.record_received(study(slices=4))

    row = history.row("1.2.3")
    assert row is not None
    assert (row.impression, row.action, row.read_by, row.read_at) == ("", "", "", None)
    assert len(history.verdicts("1.2.3")) == 1


def test_a_share_of_slices_over_one_is_refused(history: History) -> None:
    with pytest.raises(HistoryError, match="verdict"):
        history.save_verdict("1.2.3", impression="cp", slices_seen=1.1)


# --- outcomes, notes, who was told, measures ---------------------------------------------------------------------


def test_an_outcome_comes_back_as_it_was_entered_with_the_score_that_stood(history: History) -> None:
    number = history.record_outcome(
        "1.2.3",
        OutcomeKind.RT_PCR,
        "neg",
        source="laboratory",
        dated=date(2026, 11, 20),
        note="throat",
        initials="AB",
    )
    stood = history.result("1.2.3")

    (outcome,) = history.outcomes("1.2.3")

    assert stood is not None
    assert (outcome.number, outcome.kind, outcome.value, outcome.result) == (
        number,
        OutcomeKind.RT_PCR,
        "neg",
        stood.number,
    )
    assert (outcome.source, outcome.dated, outcome.note, outcome.initials) == (
        "laboratory",
        date(2026, 11, 20),
        "throat",
        "AB",
    )
    assert (outcome.at, outcome.taken_back) == (NOW, False)
    assert history.row("1.2.3") is not None


@pytest.mark.parametrize(
    ("kind", "value"), [(OutcomeKind.RT_PCR, "covid"), (OutcomeKind.REPORT, "pos"), (OutcomeKind.FOLLOW_UP, "")]
)
def test_an_outcome_of_an_unknown_value_is_refused(history: History, kind: OutcomeKind, value: str) -> None:
    with pytest.raises(HistoryError, match="no such value"):
        history.record_outcome("1.2.3", kind, value)

    assert history.outcomes("1.2.3") == ()


SAY: dict[
    str, tuple[Callable[[History], int], Callable[[History, int], None], Callable[[History], tuple[object, ...]]]
] = {
    "verdict": (
        lambda history: history.save_verdict("1.2.3", action="now"),
        lambda history, number: history.take_back_verdict(number, "CD"),
        lambda history: history.verdicts("1.2.3"),
    ),
    "outcome": (
        lambda history: history.record_outcome("1.2.3", OutcomeKind.REPORT, "cp"),
        lambda history, number: history.take_back_outcome(number, "CD"),
        lambda history: history.outcomes("1.2.3"),
    ),
    "escalation": (
        lambda history: history.record_escalation("1.2.3", "ward 3", "AB", "by phone"),
        lambda history, number: history.take_back_escalation(number, "CD"),
        lambda history: history.escalations("1.2.3"),
    ),
    "note": (
        lambda history: history.add_note("1.2.3", "hm", "AB"),
        lambda history, number: history.take_back_note(number, "CD"),
        lambda history: history.notes("1.2.3"),
    ),
}


@pytest.mark.parametrize("what", list(SAY))
def test_what_was_said_is_taken_back_once_and_both_stay(history: History, clock: Clock, what: str) -> None:
    say, take_back, read = SAY[what]
    number = say(history)
    clock.pass_by(minutes=3)

    take_back(history, number)

    (said,) = read(history)
    assert (said.number, said.at, said.taken_back) == (number, NOW, True)  # type: ignore[attr-defined]
    assert (said.taken_back_at, said.taken_back_by) == (NOW + timedelta(minutes=3), "CD")  # type: ignore[attr-defined]
    assert events(history) == [what, f"{what} taken back"]
    with pytest.raises(HistoryError, match="taken back already"):
        take_back(history, number)
    with pytest.raises(HistoryError, match="not in the history"):
        take_back(history, number + 1)  # the row that took it back
    assert history.broken_audit_row() is None


def test_a_measure_comes_back_until_it_is_deleted(history: History) -> None:
    geometry = {"slice": "1.2.3.1", "points": [[1.5, 2.25], [3.0, 1e-7]], "mm": 12.5}
    first = history.save_measure("1.2.3", "1.2.3.1000", "distance", geometry, "AB")
    second = history.save_measure("1.2.3", "1.2.3.1000", "ellipse", {"points": []}, "AB")

    history.take_back_measure(second, "AB")

    (measure,) = history.measures("1.2.3")
    assert (measure.number, measure.kind, measure.series_instance_uid) == (first, "distance", "1.2.3.1000")
    assert measure.geometry == geometry
    with pytest.raises(HistoryError, match="taken back already"):
        history.take_back_measure(second)


@pytest.mark.parametrize("geometry", [{"mm": float("nan")}, {"mm": object()}, {"mm": {1, 2}}])
def test_a_measure_of_no_plain_values_is_refused(history: History, geometry: dict[str, object]) -> None:
    with pytest.raises(HistoryError, match="finite numbers"):
        history.save_measure("1.2.3", "1.2.3.1000", "distance", geometry)

    assert history.measures("1.2.3") == ()


def test_an_empty_note_is_refused(history: History) -> None:
    with pytest.raises(HistoryError, match="needs a text"):
        history.add_note("1.2.3", " \n")


# --- looking --------------------------------------------------------------------------------------------------


def test_a_viewing_keeps_when_how_much_and_whether_the_map_came_before_the_impression(
    history: History, clock: Clock
) -> None:
    first = history.open_viewing("1.2.3", "AB")
    clock.pass_by(minutes=1)
    history.map_switched_on(first)
    clock.pass_by(minutes=1)
    history.map_switched_on(first)  # again: the first time counts
    history.close_viewing(first, 0.62)
    history.save_verdict("1.2.3", impression="cp")
    second = history.open_viewing("1.2.3", "CD")
    history.map_switched_on(second)
    third = history.open_viewing("1.2.3")

    one, two, three = history.viewings("1.2.3")

    assert (one.number, one.by, one.opened_at, one.closed_at) == (first, "AB", NOW, NOW + timedelta(minutes=2))
    assert (one.slices_seen, one.map_on_at, one.map_before_impression) == (0.62, NOW + timedelta(minutes=1), True)
    assert (two.map_before_impression, two.closed_at) == (False, None)
    assert (three.number, three.map_on_at, three.map_before_impression) == (third, None, None)
    row = history.row("1.2.3")
    assert row is not None
    assert row.first_opened_at == NOW
    assert events(history) == [
        "opened",
        "map switched on",
        "closed",
        "verdict",
        "opened",
        "map switched on",
        "opened",
    ]


def test_opening_a_study_is_not_reading_it(history: History) -> None:
    history.close_viewing(history.open_viewing("1.2.3"), 1.0)

    row = history.row("1.2.3")
    assert row is not None
    assert row.read_at is None


def test_a_viewing_that_is_not_there_or_a_share_that_is_none_is_refused(history: History) -> None:
    viewing = history.open_viewing("1.2.3")

    with pytest.raises(HistoryError, match="viewing"):
        history.map_switched_on(viewing + 1)
    with pytest.raises(HistoryError, match="viewing"):
        history.close_viewing(viewing + 1)
    with pytest.raises(HistoryError, match="from 0 to 1"):
        history.close_viewing(viewing, 62)
    assert history.viewings("1.2.3")[0].closed_at is None


# --- over threads and restarts -----------------------------------------------------------------------------------


def test_all_of_it_is_there_after_a_restart(tmp_path: Path, history: History) -> None:
    for say, _, _ in SAY.values():
        say(history)
    history.save_measure("1.2.3", "1.2.3.1000", "distance", {"mm": 1.0})
    history.open_viewing("1.2.3")
    said = [read(history) for _, _, read in SAY.values()]
    history.close()

    with History.open(tmp_path / "history.sqlite3") as again:
        assert [read(again) for _, _, read in SAY.values()] == said
        assert len(again.measures("1.2.3")) == len(again.viewings("1.2.3")) == 1


def test_one_thread_reads_at_one_moment_while_others_write(history: History) -> None:
    seen: list[tuple[int, int]] = []

    def write() -> None:
        for _ in range(15):
            history.add_note("1.2.3", "hm")

    writers = [threading.Thread(target=write) for _ in range(2)]
    with history.at_one_moment():
        before = len(history.notes("1.2.3"))
        for writer in writers:
            writer.start()
        seen.append((before, len(history.notes("1.2.3"))))
    for writer in writers:
        writer.join()

    assert seen == [(0, 0)]
    assert len(history.notes("1.2.3")) == 30
    assert history.broken_audit_row() is None


def test_a_reader_of_its_own_sees_what_the_writer_has_recorded(tmp_path: Path, history: History) -> None:
    with History.open(tmp_path / "history.sqlite3", read_only=True) as reading:
        before = reading.row("1.2.3")
        history.save_verdict("1.2.3", impression="cp")
        after = reading.row("1.2.3")

    assert before is not None
    assert after is not None
    assert (before.impression, after.impression) == ("", "cp")
