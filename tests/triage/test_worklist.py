"""The list that is paged from the history is the one that ranking gives, row for row."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.lanes import model_and_reader_differ, model_answer
from aicorona_desktop.core.rows import Lane, Row, State
from aicorona_desktop.core.settings import Order
from aicorona_desktop.history.store import Column, Filter, History, OutcomeKind
from aicorona_desktop.triage.ranking import TO_DO, Policy, lane_of, rank
from aicorona_desktop.triage.worklist import Worklist
from tests.history.made_up import Clock, choice, score, study
from tests.history.many import Made, fill

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STUDIES = 1000
POLICIES = [
    Policy(),
    Policy(Order.ABNORMAL_FIRST, 30),
    Policy(Order.TWO_BANDS, 120, operating_point=0.25),
    Policy(Order.ARRIVAL, 720, operating_point=0.5),
    Policy(Order.TWO_BANDS, 10, operating_point=0.0),
]
FINDINGS = (
    Finding(Outcome.UNSUITABLE, Reason.NO_CHEST_CT),
    Finding(Outcome.UNSUITABLE, Reason.TOO_FEW_SLICES, found=3.0, needed=16.0),
    Finding(Outcome.UNSUITABLE, Reason.TWO_PATIENTS),
    Finding(Outcome.WARNED, Reason.TILT, found=3.5),
)


def one_of_many(number: int, chance: random.Random) -> Made:
    """A study of few different values, so that ties and the very moment of the wait cap are common."""
    minutes = chance.choice([-5, 0, 9, 10, 10, 30, 30, 60, 60, 120, 719, 720, 721, 5000])
    received = NOW - timedelta(minutes=minutes, microseconds=chance.choice([0, 0, 0, 1]))
    normal, covid = chance.choice(
        [(0.25, 0.25), (0.5, 0.25), (0.25, 0.5), (0.1, 0.6), (0.0, 1.0), (1.0, 0.0), (1 / 3, 1 / 3)]
    )
    impression, action = chance.choice(
        [("", "now"), ("covid", ""), ("normal", ""), ("cp", "routine"), ("cannot_judge", "")]
    )
    read_at = NOW - timedelta(minutes=chance.choice([0, 1, 1, 2000]), microseconds=chance.choice([0, 1]))
    return Made(
        uid=f"1.{chance.randrange(10**9)}.{number}",
        received_at=received,
        state=chance.choice(list(State)) if chance.random() < 0.3 else State.DONE,
        probabilities=(normal, 1 - normal - covid, covid) if chance.random() < 0.8 else None,
        doubtful=chance.random() < 0.05,
        one_slice=chance.random() < 0.1,
        unlike=chance.random() < 0.05,
        findings=(chance.choice(FINDINGS),) if chance.random() < 0.2 else (),
        pinned=chance.random() < 0.03,
        read=(read_at, impression, action, chance.choice(["AB", "cd"])) if chance.random() < 0.3 else None,
        removed=chance.random() < 0.05,
        damaged=chance.random() < 0.01,
        name=chance.choice(["Doe^Jane", "Roe^Rita", "Wang^XiaoDong=王^小东"]),
        study_date=chance.choice(["", "2026-11-20", "2026-11-21", "2026-11-22"]),
    )


def look_for_damage(history: History) -> None:
    after: int | None = 0
    while after is not None:
        after = history.look_for_damage(after, 400)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    chance = random.Random(20)
    with History.open(tmp_path_factory.mktemp("many") / "history.sqlite", clock=Clock(NOW)) as opened:
        fill(opened, (one_of_many(number, chance) for number in range(STUDIES)))
        look_for_damage(opened)
        yield opened


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite", clock=Clock(NOW)) as opened:
        yield opened


def paged(worklist: Worklist, policy: Policy, wanted: Filter = Filter(), limit: int = 97) -> list[Row]:  # noqa: B008
    """All rows of all lanes, page by page."""
    rows: list[Row] = []
    for lane in Lane:
        after = None
        while True:
            page = worklist.page(lane, NOW, policy, wanted, after, limit)
            rows += page.rows
            after = page.next_key
            if after is None:
                break
    return rows


def ranked(history: History, policy: Policy) -> list[Row]:
    return list(rank((row for row in history.rows() if row.removed_at is None), NOW, policy))


# --- the order ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.order}-{policy.wait_cap_minutes}")
def test_the_pages_are_the_ranking_with_rank_and_reason(many: History, policy: Policy) -> None:
    assert paged(Worklist(many), policy) == ranked(many, policy)


@pytest.mark.parametrize("seed", range(2))
def test_the_pages_are_the_ranking_whatever_their_size_and_before_damage_is_known(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for policy in POLICIES:
        with History.open(tmp_path / f"{policy.order}{policy.wait_cap_minutes}.sqlite", clock=Clock(NOW)) as history:
            fill(history, (one_of_many(number, chance) for number in range(60)))
            # What is damaged is found when a row is read: the second look has it in its lane.
            paged(Worklist(history), policy)

            assert paged(Worklist(history), policy, limit=chance.randrange(1, 20)) == ranked(history, policy)


def test_damage_that_was_looked_for_is_in_its_lane_at_the_first_look(many: History) -> None:
    with History.open(many.path, read_only=True) as reading:
        look_for_damage(reading)

        assert paged(Worklist(reading), POLICIES[0]) == ranked(many, POLICIES[0])


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.order}-{policy.wait_cap_minutes}")
def test_the_counts_are_those_of_the_ranking(many: History, policy: Policy) -> None:
    rows = ranked(many, policy)

    counts = Worklist(many).counts(NOW, policy)

    assert counts.lanes == {lane: sum(row.lane is lane for row in rows) for lane in Lane}
    assert counts.unread == sum(row.lane in TO_DO and row.read_at is None for row in rows)
    assert counts.total == counts.wanted == len(rows)
    assert counts.removed == STUDIES - len(rows) > 0


def test_a_jump_into_a_lane_gives_the_rows_that_stand_there(many: History) -> None:
    policy = POLICIES[0]
    overdue = [row for row in ranked(many, policy) if row.lane is Lane.OVERDUE]

    page = Worklist(many).page(Lane.OVERDUE, NOW, policy, limit=10, skip=100)
    after = Worklist(many).page(Lane.OVERDUE, NOW, policy, after=page.next_key, limit=10)

    assert [*page.rows, *after.rows] == overdue[100:120]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.order}-{policy.wait_cap_minutes}")
def test_a_study_is_found_where_it_stands(many: History, policy: Policy) -> None:
    rows = ranked(many, policy)
    worklist = Worklist(many)
    first = {lane: next(number for number, row in enumerate(rows) if row.lane is lane) for lane in Lane}

    for number in range(0, len(rows), 97):
        row = rows[number]
        position = worklist.position(row.study_instance_uid, NOW, policy)
        assert row.lane is not None
        assert position is not None
        assert (position.lane, position.index, position.place) == (
            row.lane,
            number - first[row.lane],
            number - first[row.lane] + 1,
        )
        assert worklist.row(row.study_instance_uid, NOW, policy) == row


def test_a_study_off_the_list_has_a_row_and_no_position(many: History) -> None:
    removed = next(row for row in many.rows() if row.removed_at is not None)

    assert Worklist(many).position(removed.study_instance_uid, NOW, Policy()) is None
    assert Worklist(many).row(removed.study_instance_uid, NOW, Policy()) == removed
    assert Worklist(many).row("9.9", NOW, Policy()) is None


# --- filters --------------------------------------------------------------------------------------------------

Holds = Callable[[Row, Policy], bool]
CANNOT = (State.FAILED, State.REFUSED, State.UNSUITABLE)
WANTED: dict[str, tuple[Filter, Holds]] = {
    "text": (Filter(text="roe RITA"), lambda row, _: row.patient_name == "Roe^Rita"),
    "short": (Filter(text="小东"), lambda row, _: "小东" in row.patient_name),
    "states": (Filter(states=frozenset({State.QUEUED, State.DONE})), lambda row, _: row.state in ("queued", "done")),
    "lanes": (
        Filter(lanes=frozenset({Lane.OVERDUE, Lane.READ})),
        lambda row, policy: lane_of(row, NOW, policy) in (Lane.OVERDUE, Lane.READ),
    ),
    "differ": (Filter(differ=True), lambda row, policy: model_and_reader_differ(row, policy.operating_point)),
    "doubtful": (Filter(doubtful=True), lambda row, _: row.doubtful),
    "unsuitable": (Filter(unsuitable=True), lambda row, _: row.state in CANNOT),
    "one slice": (Filter(one_slice=True), lambda row, _: row.rests_on_one_slice),
    "reader": (Filter(reader="CD"), lambda row, _: row.read_by == "cd"),
    "unread": (Filter(unread=True), lambda row, _: row.read_at is None),
    "dates": (
        Filter(date_from=date(2026, 11, 21), date_to=date(2026, 11, 22)),
        lambda row, _: "2026-11-21" <= (row.study_date or row.received_at.date().isoformat()) <= "2026-11-22",
    ),
    "together": (
        Filter(text="doe", differ=True, reader="ab"),
        lambda row, policy: (
            row.patient_name == "Doe^Jane"
            and row.read_by == "AB"
            and model_and_reader_differ(row, policy.operating_point)
        ),
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Many studies without a damaged one: a filter looks at what was kept before the damage."""
    chance = random.Random(21)
    with History.open(tmp_path_factory.mktemp("sound") / "history.sqlite", clock=Clock(NOW)) as opened:
        made = (one_of_many(number, chance) for number in range(500))
        fill(opened, (one for one in made if not one.damaged))
        yield opened


@pytest.mark.parametrize("policy", POLICIES[1:4], ids=lambda policy: str(policy.order))
@pytest.mark.parametrize("name", list(WANTED))
def test_a_filter_leaves_the_wanted_rows_their_order_rank_and_reason(sound: History, name: str, policy: Policy) -> None:
    wanted, holds = WANTED[name]
    expected = [row for row in ranked(sound, policy) if holds(row, policy)]
    worklist = Worklist(sound)

    assert paged(worklist, policy, wanted, limit=29) == expected
    counts = worklist.counts(NOW, policy, wanted)
    assert counts.lanes == {lane: sum(row.lane is lane for row in expected) for lane in Lane}
    assert counts.unread == sum(row.lane in TO_DO and row.read_at is None for row in expected)
    assert counts.total == len(ranked(sound, policy))
    assert expected


def test_a_filtered_study_is_found_by_its_index_among_the_wanted_ones(sound: History) -> None:
    policy, wanted = POLICIES[2], Filter(text="roe")
    rows = [row for row in ranked(sound, policy) if row.patient_name == "Roe^Rita" and row.lane is Lane.RANKED]
    others = [row for row in ranked(sound, policy) if row.patient_name == "Doe^Jane"]

    indices = [Worklist(sound).position(row.study_instance_uid, NOW, policy, wanted) for row in rows]

    assert [position and position.index for position in indices] == list(range(len(rows)))
    assert len(rows) > 3
    assert Worklist(sound).position(others[0].study_instance_uid, NOW, policy, wanted) is None


def test_the_history_place_pages_the_removed_as_well_newest_first(sound: History) -> None:
    rows, key = [], None
    while True:
        page = sound.page(key, 100, Filter(one_slice=True))
        rows += page.rows
        key = page.next_key
        if key is None:
            break

    assert rows == [row for row in reversed(sound.rows()) if row.rests_on_one_slice]
    assert any(row.removed_at for row in rows)


# --- sorted by a column ---------------------------------------------------------------------------------------

SORTED: dict[Column, Callable[[Row], tuple[object, ...]]] = {
    Column.NAME: lambda row: (row.patient_name, row.patient_id),
    Column.AGE: lambda row: (-1 if row.patient_age_years is None else row.patient_age_years,),
    Column.STUDY_TIME: lambda row: (row.study_date, row.study_time),
    Column.WAITING: lambda row: (),
    Column.SCORE: lambda row: (row.probabilities[2] if row.probabilities else -1,),
    Column.STATE: lambda row: (row.state,),
    Column.SERIES: lambda row: (row.series_description,),
    Column.READER: lambda row: (row.read_by,),
}


@pytest.mark.parametrize("column", list(Column))
@pytest.mark.parametrize("descending", [False, True])
def test_a_column_sorts_the_whole_list_and_each_row_keeps_its_rank(
    sound: History, column: Column, descending: bool
) -> None:
    def key(row: Row) -> tuple[object, ...]:
        return (*SORTED[column](row), row.received_at, row.study_instance_uid)

    policy, rows, after = POLICIES[0], [], None
    while True:
        page = Worklist(sound).sorted_page(column, NOW, policy, Filter(), after, 200, descending=descending)
        rows += page.rows
        after = page.next_key
        if after is None:
            break

    assert rows == sorted(ranked(sound, policy), key=key, reverse=descending)  # type: ignore[type-var]


# --- model and reader -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probabilities", "operating_point", "answer"),
    [
        ((0.5, 0.2, 0.3), None, "normal"),
        ((0.2, 0.5, 0.3), None, "cp"),
        ((0.2, 0.3, 0.5), None, "covid"),
        ((0.5, 0.2, 0.3), 0.3, "covid"),
        ((0.1, 0.2, 0.7), 0.8, "cp"),
        ((0.2, 0.1, 0.7), 0.8, "normal"),
        ((0.4, 0.4, 0.2), None, "normal"),
        (None, 0.3, ""),
        ((float("nan"), 0.5, 0.5), None, ""),
    ],
)
def test_the_answer_of_the_model_is_covid_from_the_operating_point_else_the_greater_of_the_others(
    probabilities: tuple[float, float, float] | None, operating_point: float | None, answer: str
) -> None:
    row = Row("1", NOW, State.DONE, probabilities=probabilities)

    assert model_answer(row, operating_point) == answer


@pytest.mark.parametrize(
    ("impression", "differ"), [("covid", False), ("cp", True), ("normal", True), ("cannot_judge", False), ("", False)]
)
def test_model_and_reader_differ_when_they_name_different_classes(impression: str, differ: bool) -> None:
    row = Row("1", NOW, State.DONE, probabilities=(0.1, 0.2, 0.7), impression=impression)

    assert model_and_reader_differ(row, None) == differ


# --- what happens to a study, through the history ------------------------------------------------------------------


def scored(history: History, uid: str = "1.2.3", p_covid: float = 0.81) -> None:
    history.record_received(study(uid))
    history.move_through(uid, [(State.CHECKING, ""), (State.QUEUED, "")])
    history.record_result(uid, score(study(uid), p_covid=p_covid), (), "1.0", "gate-1", choice=choice(study(uid)))


def lane_in(history: History, uid: str = "1.2.3", at: datetime = NOW) -> Lane | None:
    position = Worklist(history).position(uid, at, Policy())
    return position.lane if position else None


def test_a_study_changes_its_lane_with_what_is_recorded_of_it(history: History) -> None:
    history.record_received(study())
    assert lane_in(history) is Lane.RANKED
    assert lane_in(history, at=NOW + timedelta(minutes=60)) is Lane.OVERDUE
    history.move("1.2.3", State.CHECKING, "")
    history.record_unscored("1.2.3", State.UNSUITABLE, (FINDINGS[0],))
    assert lane_in(history) is Lane.NOT_FOR_TOOL
    history.pin("1.2.3")
    assert lane_in(history) is Lane.NEEDS_PERSON
    history.pin("1.2.3", pinned=False)
    verdict = history.save_verdict("1.2.3", impression="normal")
    assert lane_in(history) is Lane.READ
    history.take_back_verdict(verdict)
    assert lane_in(history) is Lane.NOT_FOR_TOOL
    history.record_received(study(slices=4))
    assert lane_in(history) is Lane.RANKED


def test_a_study_taken_off_the_list_is_counted_stays_in_the_history_and_comes_back(history: History) -> None:
    scored(history)
    history.remove("1.2.3", "AB")

    counts = Worklist(history).counts(NOW, Policy())
    assert (counts.removed, counts.total, lane_in(history)) == (1, 0, None)
    assert [row.study_instance_uid for row in history.page().rows] == ["1.2.3"]
    assert [row.study_instance_uid for row in history.search("Doe")] == ["1.2.3"]

    history.put_back("1.2.3", "AB")
    assert lane_in(history) is Lane.RANKED
    assert [(one.event, one.who) for one in history.trail("1.2.3")] == [
        ("removed from the list", "AB"),
        ("put back on the list", "AB"),
    ]


def test_late_slices_put_a_removed_study_back_on_the_list(history: History) -> None:
    scored(history)
    history.remove("1.2.3")

    history.record_received(study())
    still_off = lane_in(history)
    history.record_received(study(slices=4))

    assert still_off is None
    assert lane_in(history) is Lane.RANKED


def test_covid_by_outcome_with_a_negative_rt_pcr_is_found(history: History) -> None:
    for uid in ("1.1", "1.2", "1.3", "1.4"):
        scored(history, uid)
    negative = (OutcomeKind.RT_PCR, "neg")
    history.record_outcome("1.1", *negative, dated=date(2026, 11, 20))
    history.record_outcome("1.1", OutcomeKind.RT_PCR, "pos", dated=date(2026, 11, 22))
    history.record_outcome("1.2", OutcomeKind.REPORT, "covid")
    history.record_outcome("1.3", *negative)
    history.record_outcome("1.3", OutcomeKind.FOLLOW_UP, "covid", dated=date(2026, 11, 1))
    history.record_outcome("1.3", OutcomeKind.REPORT, "cp", dated=date(2026, 11, 2))
    history.record_outcome("1.4", OutcomeKind.REPORT, "covid")
    taken_back = history.record_outcome("1.4", *negative)
    wanted = Filter(covid_outcome_pcr_negative=True)

    before = [row.study_instance_uid for row in paged(Worklist(history), Policy(), wanted)]
    history.take_back_outcome(taken_back)
    after = [row.study_instance_uid for row in paged(Worklist(history), Policy(), wanted)]

    assert (before, after) == (["1.1", "1.4"], ["1.1"])
    rows = {row.study_instance_uid: row for row in history.rows()}
    assert [rows[uid].outcome for uid in sorted(rows)] == ["covid", "covid", "cp", "covid"]
    assert [rows[uid].rt_pcr for uid in sorted(rows)] == ["pos", "", "neg", ""]


def test_read_today_counts_from_midnight_here(history: History) -> None:
    midnight = NOW.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    for uid, at in (("1.1", midnight), ("1.2", midnight - timedelta(microseconds=1)), ("1.3", NOW)):
        scored(history, uid)
        history.save_verdict(uid, action="routine", at=at)

    assert Worklist(history).counts(NOW, Policy()).read_today == 2


def steps_of(history: History, work: Callable[[], object]) -> int:
    """How many steps SQLite's machine takes for it."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    history._connection.set_progress_handler(count, 10)
    work()
    history._connection.set_progress_handler(None, 0)
    return 10 * steps


ONE_STUDY: dict[str, Callable[[History], object]] = {
    "verdict": lambda history: history.save_verdict("1.2.3", impression="covid", note="hm"),
    "taken back": lambda history: history.take_back_verdict(history.save_verdict("1.2.3", action="now")),
    "outcome": lambda history: history.record_outcome("1.2.3", OutcomeKind.REPORT, "cp"),
    "note": lambda history: history.add_note("1.2.3", "hm"),
    "said": lambda history: (history.verdicts("1.2.3"), history.outcomes("1.2.3"), history.escalations("1.2.3")),
    "rest": lambda history: (history.notes("1.2.3"), history.measures("1.2.3"), history.viewings("1.2.3")),
    "files": lambda history: history.record_received(study(slices=4)),
    "state": lambda history: history.move("1.2.3", State.CHECKING, ""),
    "trail": lambda history: history.trail("1.2.3"),
    "row": lambda history: history.row("1.2.3"),
    "newest": lambda history: history.page(limit=1),
    "page": lambda history: history.lane_page(Lane.OVERDUE, NOW, Policy(), limit=10),
    "ranked": lambda history: history.lane_page(Lane.RANKED, NOW, Policy(), limit=10),
    "read": lambda history: history.lane_page(Lane.READ, NOW, Policy(), limit=10),
}


def test_what_concerns_one_study_or_page_costs_the_same_among_few_and_many_studies(tmp_path: Path) -> None:
    steps = []
    ages = [(0, None), (0, (NOW, "covid", "now", "AB")), (90, None)]
    for count in (60, 600):
        with History.open(tmp_path / f"{count}.sqlite", clock=Clock(NOW)) as history:
            scored(history)
            kinds = [(f"2.{number}", *ages[number % 3]) for number in range(count)]
            fill(
                history,
                (
                    Made(uid, NOW - timedelta(minutes=age), probabilities=(0.25, 0.25, 0.5), read=read)
                    for uid, age, read in kinds
                ),
            )
            steps.append({name: steps_of(history, lambda work=work: work(history)) for name, work in ONE_STUDY.items()})

    few, many = steps
    assert {name: many[name] for name in ONE_STUDY if many[name] > 1.5 * few[name] + 200} == {}
