from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isnan
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from aicorona_desktop.app.reader_study import (
    Answer,
    Event,
    Kind,
    Session,
    Step,
    StudyState,
    applied,
    begun,
    replayed,
)
from aicorona_desktop.app.reader_study_cases import Candidate, candidates_of_outcomes, candidates_of_table, cases_of
from aicorona_desktop.app.reader_study_clock import IDLE_S, ActiveClock, Spent
from aicorona_desktop.app.reader_study_design import Case, Design, Participant, ReaderStudyError
from aicorona_desktop.app.reader_study_files import EventLog, make_study, read_study, reader_rows, write_study
from aicorona_desktop.app.reader_study_results import results_of
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.evaluation.comparisons import holm
from aicorona_desktop.evaluation.readers import COLUMNS, read_readers
from aicorona_desktop.evaluation.strict_csv import TableError
from aicorona_desktop.history.store import History, HistoryError, OutcomeKind
from tests.history import made_up

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
TRUTHS = ("covid", "normal", "cp", "nca")


def a_design(cases: int = 5, readers: int = 2, **rules: object) -> Design:
    made = tuple(
        Case(f"C{place:03d}", f"1.2.{place}", TRUTHS[place % len(TRUTHS)], f"scan{place}", f"S-{place}")
        for place in range(cases)
    )
    people = tuple(Participant(f"r{place}", "senior", 10 + place) for place in range(readers))
    values: dict[str, object] = {"name": "Test", "cases": made, "readers": people, "seed": 7, "chunk_cases": 2}
    return Design(**{**values, **rules})  # type: ignore[arg-type]


def only(call: str) -> dict[str, object]:
    return Answer((call == "normal", call == "cp", call == "covid")).as_details()


class Player:
    """Lets readers do what may be done, on a clock of its own."""

    def __init__(self, design: Design) -> None:
        self.state = begun(design)
        self.now = START
        self.events: list[Event] = []

    def do(self, kind: Kind, reader: str = "r0", case: str = "", **details: object) -> None:
        session = self.state.standing(reader, self.now).session.number if reader else 0
        event = Event(kind, self.now, reader, session, case, details)
        self.state = applied(self.state, event)
        self.events.append(event)

    def session(self, reader: str = "r0") -> Session:
        return self.state.standing(reader, self.now).session

    def read_case(self, reader: str, call: str, seconds: float = 20.0) -> str:
        session = self.session(reader)
        case = session.order[len(session.readings)]
        self.do(Kind.SHOWN, reader, case)
        self.do(Kind.TIME, reader, case, seconds=seconds, idle_cut=False)
        if session.aided:
            if self.state.design.sequential:
                self.do(Kind.FIRST, reader, case, **only("normal"))
            self.do(Kind.REVEALED, reader, case, p_covid=0.25)
        self.do(Kind.ANSWERED, reader, case, **only(call))
        return case

    def finish(self, reader: str, answer: object = None) -> None:
        """Read both sessions to their ends, with the answers of `answer(session, case)`."""
        while True:
            standing = self.state.standing(reader, self.now)
            match standing.step:
                case Step.FINISHED:
                    return
                case Step.WAITS | Step.PAUSES:
                    assert standing.until is not None
                    self.now = standing.until
                case Step.MAY_BEGIN:
                    self.do(Kind.PART_OPENED, reader)
                case Step.MAY_CLOSE:
                    self.do(Kind.PART_CLOSED, reader)
                case Step.READS:
                    session = standing.session
                    code = session.order[len(session.readings)]
                    call = answer(session, self.state.design.case(code)) if callable(answer) else "normal"
                    self.read_case(reader, call)


# --- orders ------------------------------------------------------------------------------------------------------


@given(seed=some.integers(0, 2**32 - 1), cases=some.integers(2, 30), readers=some.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_every_order_holds_each_case_once_and_the_two_sessions_never_have_the_same(
    seed: int, cases: int, readers: int
) -> None:
    design = a_design(cases, readers, seed=seed)
    codes = Counter(one.code for one in design.cases)

    for reader in design.readers:
        first, second = design.order(reader.code, 1), design.order(reader.code, 2)
        assert Counter(first) == Counter(second) == codes
        assert first != second
        assert design.order(reader.code, 1) == first  # the seed alone makes it


def test_readers_get_orders_of_their_own_and_another_seed_gives_others() -> None:
    design = a_design(20, 4)
    orders = [design.order(reader.code, session) for reader in design.readers for session in (1, 2)]

    assert len(set(orders)) == 8
    assert replace(design, seed=8).order("r0", 1) != design.order("r0", 1)


@given(seed=some.integers(0, 2**32 - 1), readers=some.integers(2, 9))
@settings(max_examples=40, deadline=None)
def test_in_a_crossover_half_the_readers_begin_aided_and_all_read_both_ways(seed: int, readers: int) -> None:
    design = a_design(3, readers, seed=seed, crossover=True)

    assert sum(design.is_aided(one.code, 1) for one in design.readers) == readers // 2
    assert all(design.is_aided(one.code, 1) != design.is_aided(one.code, 2) for one in design.readers)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"cases": ()},
        {"readers": ()},
        {"chunk_cases": 0},
        {"washout_days": -1},
        {"readers": (Participant("a", "senior"), Participant("a", "junior"))},
        {"readers": (Participant("a", "chief"),)},
        {"readers": (Participant("a", "senior"),), "crossover": True},
        {"cases": tuple(Case(f"C{n}", f"1.{n}", "flu", f"s{n}", "") for n in range(3))},
        {"cases": tuple(Case(f"C{n}", "1.1", "covid", f"s{n}", "") for n in range(3))},
    ],
)
def test_a_design_that_can_be_no_study_is_refused_with_a_sentence(wrong: dict[str, object]) -> None:
    with pytest.raises(ReaderStudyError, match=r"\.$"):
        replace(a_design(), **wrong)  # type: ignore[arg-type]


# --- what may happen ---------------------------------------------------------------------------------------------

KINDS = [Kind.PART_OPENED, Kind.SHOWN, Kind.TIME, Kind.FIRST, Kind.REVEALED, Kind.MAP, Kind.ANSWERED, Kind.PART_CLOSED]
MOVES = some.tuples(
    some.sampled_from(KINDS),
    some.sampled_from(["r0", "r1"]),
    some.integers(0, 4),
    some.sampled_from(CLASSES),
    some.sampled_from([1, 400, 86_400 * 40]),
)


@given(
    moves=some.lists(MOVES, max_size=120),
    sequential=some.booleans(),
    crossover=some.booleans(),
    guided=some.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_tried_a_study_keeps_its_rules_and_goes_on_from_its_events_alone(
    moves: list[tuple[Kind, str, int, str, int]], sequential: bool, crossover: bool, guided: bool
) -> None:
    design = a_design(sequential=sequential, crossover=crossover, chunk_minutes=1)
    player = Player(design)
    for kind, reader, place, call, seconds in moves:
        player.now += timedelta(seconds=seconds)
        before, session = player.state, player.session(reader)
        case = session.unanswered if guided and session.unanswered else design.cases[place].code
        if kind is Kind.SHOWN and guided:
            case = session.order[min(len(session.readings), len(session.order) - 1)]
        details = {"seconds": 25.0, "idle_cut": False, "p_covid": 0.5, **only(call)}
        try:
            player.do(kind, reader, case, **details)
        except ReaderStudyError:
            assert player.state is before
        check_rules(before, player.state)

    assert replayed(design, player.events) == player.state
    for cut in range(0, len(player.events), 7):  # a crash after any event
        part = replayed(design, player.events[:cut])
        assert replayed_further(part, player.events[cut:]) == player.state


def replayed_further(state: StudyState, events: list[Event]) -> StudyState:
    for event in events:
        state = applied(state, event)
    return state


def check_rules(before: StudyState, after: StudyState) -> None:
    design = after.design
    for key, session in after.sessions.items():
        was = before.sessions[key]
        assert [one.case for one in session.readings] == list(session.order[: len(session.readings)])
        assert [one.chunk for one in session.readings] == sorted(one.chunk for one in session.readings)
        assert all(count <= design.chunk_cases for count in Counter(one.chunk for one in session.readings).values())
        for old, new in zip(was.readings, session.readings, strict=False):
            if not was.is_open or old.chunk < was.chunk:
                assert old == new  # what is closed never changes
            assert new.seconds >= old.seconds
        for one in session.readings:
            assert session.aided or not (one.revealed or one.map_opened or one.shown_p_covid is not None)
            assert one.answer is None or one.revealed == session.aided
            assert (one.first is not None) <= (session.aided and design.sequential)
            assert not (one.revealed and design.sequential) or one.first is not None
        assert sum(one.answer is None for one in session.readings) <= 1
        assert session.is_open or all(one.answer is not None for one in session.readings)
    for reader in design.readers:
        first, second = (after.session(reader.code, number) for number in (1, 2))
        assert not second.chunk or first.finished


def test_a_part_ends_when_it_is_full_and_then_the_pause_is_forced() -> None:
    player = Player(a_design())
    player.do(Kind.PART_OPENED)
    player.read_case("r0", "normal")
    with pytest.raises(ReaderStudyError, match="not at its end"):
        player.do(Kind.PART_CLOSED)
    player.read_case("r0", "covid")
    assert player.state.standing("r0", player.now).step is Step.MAY_CLOSE
    with pytest.raises(ReaderStudyError, match="No further case"):
        player.do(Kind.SHOWN, "r0", player.session().order[2])
    player.do(Kind.PART_CLOSED)

    player.now += timedelta(minutes=4, seconds=59)
    with pytest.raises(ReaderStudyError, match="pause is not over"):
        player.do(Kind.PART_OPENED)
    player.now += timedelta(seconds=1)
    player.do(Kind.PART_OPENED)

    assert player.session().chunk == 2


def test_a_part_ends_after_its_minutes_of_active_time_once_the_case_has_its_answer() -> None:
    player = Player(a_design(chunk_cases=20, chunk_minutes=1))
    player.do(Kind.PART_OPENED)
    player.read_case("r0", "normal", seconds=30)
    assert player.state.standing("r0", player.now).step is Step.READS
    case = player.session().order[1]
    player.do(Kind.SHOWN, "r0", case)
    player.do(Kind.TIME, "r0", case, seconds=31.0)
    assert player.state.standing("r0", player.now).step is Step.READS  # it waits for the answer

    player.do(Kind.ANSWERED, "r0", case, **only("cp"))

    standing = player.state.standing("r0", player.now)
    assert (standing.step, standing.time_is_over) == (Step.MAY_CLOSE, True)


def test_an_answer_may_change_inside_its_part_which_is_noted_and_never_afterwards() -> None:
    player = Player(a_design())
    player.do(Kind.PART_OPENED)
    first = player.read_case("r0", "normal")
    player.read_case("r0", "covid")
    player.do(Kind.ANSWERED, "r0", first, **only("cp"))
    reading = player.session().reading(first)
    assert reading is not None
    assert (reading.answer, reading.changed) == (Answer((False, True, False)), True)

    player.do(Kind.PART_CLOSED)

    with pytest.raises(ReaderStudyError, match="closed"):
        player.do(Kind.ANSWERED, "r0", first, **only("covid"))
    with pytest.raises(ReaderStudyError, match="closed"):
        player.do(Kind.TIME, "r0", first, seconds=1.0)


def test_the_second_session_waits_for_the_washout_and_an_early_start_needs_a_reason_that_is_kept() -> None:
    player = Player(a_design(2))
    player.do(Kind.PART_OPENED)
    player.read_case("r0", "normal")
    player.read_case("r0", "normal")
    player.do(Kind.PART_CLOSED)
    player.now += timedelta(days=27)
    standing = player.state.standing("r0", player.now)
    assert (standing.step, standing.session.number) == (Step.WAITS, 2)
    with pytest.raises(ReaderStudyError, match="needs a reason"):
        player.do(Kind.PART_OPENED)

    player.do(Kind.PART_OPENED, early_because="Reader leaves the hospital")

    assert player.session().early_because == "Reader leaves the hospital"
    assert player.session().aided


@pytest.mark.parametrize("yes", [(False, False, False), (True, False, True)])
def test_only_where_classes_are_answered_by_themselves_no_or_several_may_be_yes(yes: tuple[bool, bool, bool]) -> None:
    for exclusive in (True, False):
        player = Player(a_design(exclusive=exclusive))
        player.do(Kind.PART_OPENED)
        case = player.session().order[0]
        player.do(Kind.SHOWN, "r0", case)
        if exclusive:
            with pytest.raises(ReaderStudyError, match="Exactly one"):
                player.do(Kind.ANSWERED, "r0", case, **Answer(yes).as_details())
        else:
            player.do(Kind.ANSWERED, "r0", case, **Answer(yes).as_details())
            assert reader_rows(player.state)[0].call == ""


# --- time --------------------------------------------------------------------------------------------------------


def test_time_runs_only_while_it_is_let_run_and_a_long_rest_of_the_hands_is_cut_and_told() -> None:
    now = [0.0]
    clock = ActiveClock(lambda: now[0])
    now[0] = 50
    assert clock.take() == Spent()
    clock.run()
    for now[0] in (60, 80, 139):
        clock.touch()
    clock.halt()
    assert clock.take() == Spent(89.0)

    now[0] = 500
    clock.touch()
    clock.run()
    now[0] = 700
    clock.halt()

    assert clock.take() == Spent(IDLE_S, idle_cut=True)
    assert clock.take() == Spent()


# --- the history and the files -----------------------------------------------------------------------------------


def test_a_study_goes_on_from_the_history_exactly_where_it_stood(tmp_path: Path) -> None:
    player = Player(a_design(sequential=True, confidence=True))
    player.finish("r0")
    player.do(Kind.PART_OPENED, "r1")
    player.read_case("r1", "covid")
    with History.open(tmp_path / "history.sqlite", clock=made_up.Clock()) as history:
        number = make_study(history, player.state.design, "AB")
        log = EventLog(history, number)
        log.add(*player.events)
        log.write()
    with History.open(tmp_path / "history.sqlite", clock=made_up.Clock()) as history:
        state, events = read_study(history, number)

    assert state == player.state
    assert events == tuple(player.events)


def test_what_could_not_be_written_waits_and_nothing_is_written_twice(tmp_path: Path) -> None:
    player = Player(a_design())
    player.do(Kind.PART_OPENED)
    player.read_case("r0", "normal")
    with History.open(tmp_path / "history.sqlite", clock=made_up.Clock()) as history:
        number = make_study(history, player.state.design, "AB")
    log = EventLog(history, number)
    log.add(*player.events[:1])
    with pytest.raises(HistoryError):
        log.write()  # closed
    with History.open(tmp_path / "history.sqlite", clock=made_up.Clock()) as history:
        log._history = history
        log.add(*player.events[1:])
        log.write()
        log.write()

        assert read_study(history, number)[0] == player.state


def test_the_files_are_read_back_by_the_reader_of_the_evaluation(tmp_path: Path) -> None:
    player = Player(a_design(sequential=True))
    for reader in ("r0", "r1"):
        player.finish(reader, lambda session, case: "covid" if session.aided else "normal")

    readers, design = write_study(tmp_path, player.state, player.events, START)

    rows = read_readers(readers)
    assert rows == reader_rows(player.state)
    assert len(rows) == 2 * 2 * 5
    with readers.open(newline="") as stream:
        assert tuple(next(csv.reader(stream))) == COLUMNS
    assert {(row.reading_pass, row.aided) for row in rows} == {(1, False), (2, True)}
    assert all((row.shown_p_covid == 0.25) == row.aided for row in rows)
    assert all(row.seconds == 20.0 and row.years in (10, 11) for row in rows)
    told = json.loads(design.read_text())
    assert told["seed"] == 7
    orders = {(one["reader"], one["pass"]): one["order"] for one in told["sessions"]}
    for row in rows:
        assert orders[row.reader_id, row.reading_pass][row.order_index - 1] == row.scan_id
    assert len(told["sessions"][1]["first_impressions"]) == 5
    assert "1.2.3" not in design.read_text()  # no UID leaves the program


# --- cases -------------------------------------------------------------------------------------------------------


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History.open(tmp_path / "history.sqlite", clock=made_up.Clock())
    for place in range(3):
        history.record_received(made_up.study(f"9.{place}", patient_id=f"P{place}"))
    return history


def test_a_table_of_labels_names_studies_by_uid_patient_or_folder(history: History, tmp_path: Path) -> None:
    rows = {row.patient_id: row.study_instance_uid for row in history.rows()}
    table = tmp_path / "cases.csv"
    table.write_text(f"study_instance_uid,patient_id,label,scan_id,subject_id\n{rows['P0']},,covid,A,X\n,P1,nca,,\n")

    found = candidates_of_table(table, history)

    assert [(one.row.patient_id, one.truth, one.scan_id, one.subject_id) for one in found] == [
        ("P0", "covid", "A", "X"),
        ("P1", "nca", "", ""),
    ]
    cases = cases_of(found, seed=3)
    assert {one.scan_id for one in cases} == {"A", cases_code(cases, rows["P1"])}
    assert not any(part in one.code for one in cases for part in ("P0", "P1", "9."))
    history.close()


def cases_code(cases: tuple[Case, ...], uid: str) -> str:
    return next(one.code for one in cases if one.study_instance_uid == uid)


def test_a_table_names_studies_by_the_folder_of_their_files(history: History, tmp_path: Path) -> None:
    where = history.files(history.rows()[0].study_instance_uid)[0].path.parent
    table = tmp_path / "cases.csv"
    table.write_text(f"folder,label\n{where},covid\n")

    assert set(history.studies_below(where)) == {row.study_instance_uid for row in history.rows()}
    with pytest.raises(TableError, match="3 studies fit"):  # made-up studies lie in one folder
        candidates_of_table(table, history)
    assert history.studies_below(tmp_path / "elsewhere") == ()
    history.close()


def test_every_fault_of_a_table_is_told_with_its_line(history: History, tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text("patient_id,label\nP0,covid\nP0,normal\nP7,cp\n,cp\n")

    with pytest.raises(TableError) as error:
        candidates_of_table(table, history)

    assert [fault.line for fault in error.value.faults] == [3, 4, 5]
    history.close()


def test_studies_with_a_later_outcome_become_cases(history: History) -> None:
    uid = history.rows()[0].study_instance_uid
    history.record_outcome(uid, OutcomeKind.REPORT, "covid", source="Report", initials="AB")

    found = candidates_of_outcomes(history.rows())

    assert [(one.row.study_instance_uid, one.truth) for one in found] == [(uid, "covid")]
    history.close()


def test_codes_differ_for_thousands_of_cases() -> None:
    many = [Candidate(Row(f"1.2.{place}", START, State.DONE), "covid") for place in range(4000)]

    assert len({one.code for one in cases_of(many, 5)}) == 4000


# --- results -----------------------------------------------------------------------------------------------------


def model_of(design: Design) -> dict[str, Triple]:
    """A model that gives COVID-19 0.9 where it is, and once where it is not."""
    found: dict[str, Triple] = {}
    for place, case in enumerate(design.cases):
        high = case.truth == "covid" or place == 1
        found[case.study_instance_uid] = (0.05, 0.05, 0.9) if high else (0.8, 0.15, 0.05)
    return found


def test_results_are_covered_until_all_have_finished_or_somebody_answers_for_it() -> None:
    player = Player(a_design())
    player.finish("r0")
    with pytest.raises(ReaderStudyError, match="covered"):
        results_of(player.state, {}, None)
    with pytest.raises(ReaderStudyError, match="who"):
        player.do(Kind.UNBLINDED, "", by="AB", why="")

    player.do(Kind.UNBLINDED, "", by="AB", why="The grant ends")

    early = results_of(player.state, {}, None)
    assert early.unblinded
    assert {row.caller.reader.code for row in early.rows if row.caller.reader} == {"r0"}
    player.finish("r1")
    assert not results_of(player.state, {}, None).unblinded


def test_the_paired_tests_changes_and_times_are_those_of_a_study_counted_by_hand() -> None:
    design = a_design(8, 2)  # covid at places 0 and 4

    def answer(session: Session, case: Case) -> str:
        if session.reader == "r1":
            return "covid" if case.truth == "covid" else "normal"
        if not session.aided:
            return "covid" if case.code == "C001" else "normal"  # both missed, one called wrongly
        return "covid" if case.truth == "covid" or case.code == "C002" else "cp"

    player = Player(design)
    for reader in ("r0", "r1"):
        player.finish(reader, answer)

    found = results_of(player.state, model_of(design), 0.5)

    figures = {(row.caller.reader.code, row.caller.aided): row for row in found.rows if row.caller.reader}
    counts = figures["r0", False].counts
    assert (counts.true_positives, counts.false_negatives, counts.false_positives, counts.true_negatives) == (
        0,
        2,
        1,
        5,
    )
    aided = next(one for one in found.comparisons if one.kind == "aided" and one.reader.code == "r0")
    by_name = {one.figure: one for one in aided.figures}
    assert (by_name["sensitivity"].cases.first_only, by_name["sensitivity"].cases.second_only) == (2, 0)
    assert by_name["sensitivity"].judged.p == 0.5
    assert by_name["sensitivity"].judged.holm_p == holm([0.5, 1.0])[0]
    assert (by_name["specificity"].cases.first_only, by_name["specificity"].cases.second_only) == (1, 1)
    changes = found.changes[0]
    # C000, C004 to right with the model, C001 to right against it, C002 to wrong against it.
    assert (changes.cases, changes.wrong_to_right, changes.right_to_wrong) == (8, 3, 1)
    assert (changes.with_model, changes.against_model) == (2, 2)
    assert found.model is not None
    assert (found.model.row.counts.true_positives, found.model.row.counts.false_positives) == (2, 1)
    assert found.times[0].unaided_minutes == pytest.approx(8 * 20 / 60)
    assert found.times[0].aided_s_per_scan == 20
    assert found.times[0].ratio == 1
    assert found.mean_difference["sensitivity"] == pytest.approx(0.5)


def test_without_an_operating_point_the_model_calls_its_top_class_and_without_scores_nothing() -> None:
    player = Player(a_design(4, 1))
    player.finish("r0")

    by_class = results_of(player.state, model_of(player.state.design), None)
    without = results_of(player.state, {}, None)

    assert by_class.model is not None
    assert by_class.model.threshold is None
    assert without.model is None
    assert without.changes[0].with_model is None
    assert all(isnan(row.auc.value) for row in without.rows)


def test_the_orders_of_the_study_are_the_ones_that_were_read() -> None:
    player = Player(a_design(6, 1))
    player.finish("r0")
    for number in (1, 2):
        read = player.state.session("r0", number).readings
        assert [one.case for one in read] == list(player.state.design.order("r0", number))
        assert all(one.started_at <= two.started_at for one, two in pairwise(read))
