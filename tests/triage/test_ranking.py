"""Where a study stands in the worklist, and the sentence that says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.rows import Lane, Row, State
from aicorona_desktop.core.settings import Order, Settings
from aicorona_desktop.triage.ranking import Policy, not_for_tool, policy_of, rank

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
COVID = Policy()


def row(uid: str, minutes: float = 10, p_covid: float | None = None, **values: Any) -> Row:
    """A study that came some minutes ago, done when it has a score, else queued."""
    given = None if p_covid is None else ((1 - p_covid) / 4, (1 - p_covid) * 3 / 4, p_covid)
    state = State.QUEUED if p_covid is None else State.DONE
    return Row(
        **{
            "study_instance_uid": uid,
            "received_at": NOW - timedelta(minutes=minutes),
            "state": state,
            "probabilities": given,
        }
        | values
    )


def unsuitable(reason: Reason, outcome: Outcome = Outcome.UNSUITABLE) -> dict[str, Any]:
    return {"state": State.UNSUITABLE, "findings": (Finding(outcome, reason, found=3.0, needed=16.0, name="HEAD"),)}


def order(rows: list[Row], policy: Policy = COVID) -> list[str]:
    return [one.study_instance_uid for one in rank(rows, NOW, policy)]


def lane(one: Row, policy: Policy = COVID) -> Lane | None:
    return rank([one], NOW, policy)[0].lane


def reason(one: Row, policy: Policy = COVID) -> str:
    return rank([one], NOW, policy)[0].reason


# --- lanes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.FAILED},
        {"state": State.REFUSED},
        {"p_covid": 0.5, "identity_conflict": True},
        {"p_covid": 0.5, "unlike_training_data": True},
        {"p_covid": 0.5, "doubtful": True},
        {"p_covid": 0.5, "pinned": True},
        {"p_covid": 0.5, "pinned": True, "read_at": NOW},
        {"minutes": 90, "state": State.REFUSED},
        unsuitable(Reason.TOO_FEW_SLICES),
        unsuitable(Reason.NO_LUNGS),
        unsuitable(Reason.BODY_PART_OTHER, Outcome.WARNED),
        unsuitable(Reason.BODY_PART_OTHER) | {"identity_conflict": True},
        unsuitable(Reason.NO_CHEST_CT) | {"pinned": True},
    ],
)
def test_a_study_that_only_a_person_can_judge_needs_one(values: dict[str, Any]) -> None:
    assert lane(row("1", **values)) is Lane.NEEDS_PERSON


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.IGNORED},
        {"state": State.SUPERSEDED},
        unsuitable(Reason.BODY_PART_OTHER),
        unsuitable(Reason.NO_CHEST_CT),
        unsuitable(Reason.ONLY_LOCALIZERS),
        unsuitable(Reason.ONLY_LOCALIZERS) | {"minutes": 90},
    ],
)
def test_what_is_no_chest_ct_is_not_for_this_tool(values: dict[str, Any]) -> None:
    one = row("1", **values)

    assert not_for_tool(one)
    assert lane(one) is Lane.NOT_FOR_TOOL


@pytest.mark.parametrize("state", [State.RECEIVED, State.CHECKING, State.QUEUED, State.RUNNING, State.DONE])
def test_whatever_nobody_has_read_is_overdue_at_the_wait_cap(state: State) -> None:
    assert lane(row("1", 59.9, state=state)) is Lane.RANKED
    assert lane(row("1", 60, state=state)) is Lane.OVERDUE
    assert lane(row("1", 60, state=state), Policy(wait_cap_minutes=61)) is Lane.RANKED


@pytest.mark.parametrize("values", [{"p_covid": 0.9}, {"state": State.FAILED}, {"p_covid": 0.5, "doubtful": True}])
def test_a_study_with_a_saved_impression_is_read_whatever_it_was(values: dict[str, Any]) -> None:
    assert lane(row("1", 500, read_at=NOW, **values)) is Lane.READ


def test_the_lanes_stand_in_their_order_and_ranks_count_through_all_of_them() -> None:
    rows = [
        row("head", **unsuitable(Reason.BODY_PART_OTHER)),
        row("read", p_covid=0.99, read_at=NOW),
        row("ranked", p_covid=0.9),
        row("overdue", 61, p_covid=0.1),
        row("doubtful", 1, p_covid=0.5, doubtful=True),
    ]

    ranked = rank(rows, NOW, COVID)

    assert [one.lane for one in ranked] == list(Lane)
    assert [one.rank for one in ranked] == [1, 2, 3, 4, 5]


# --- order within a lane --------------------------------------------------------------------------------------


def test_unread_studies_stand_by_their_score_and_those_without_one_at_the_end_by_arrival() -> None:
    rows = [
        row("none-late", 1),
        row("none-early", 50),
        row("low", 40, 0.1),
        row("prelim", 2, 0.7, preliminary=True, state=State.PRELIMINARY),
        row("high", 3, 0.9),
    ]

    assert order(rows) == ["high", "prelim", "low", "none-early", "none-late"]


def test_equal_scores_stand_by_arrival_then_by_study_uid() -> None:
    rows = [row("b", 5, 0.5), row("a", 5, 0.5), row("c", 9, 0.5)]

    assert order(rows) == ["c", "a", "b"]


def test_those_that_need_a_person_and_the_overdue_stand_oldest_first_whatever_their_score() -> None:
    needy = [row("n2", 5, 0.9, doubtful=True), row("n1", 50, 0.1, doubtful=True)]
    late = [row("o2", 70, 0.9), row("o1", 80, 0.1), row("o3", 61)]

    assert order(needy + late) == ["n1", "n2", "o1", "o2", "o3"]


def test_the_read_stand_newest_reading_first() -> None:
    rows = [row(str(minutes), 600, 0.5, read_at=NOW - timedelta(minutes=minutes)) for minutes in (3, 1, 2)]

    assert order(rows) == ["1", "2", "3"]


def test_a_score_that_is_not_a_number_counts_as_none() -> None:
    rows = [row("nan", 50, 0.5, probabilities=(0.0, 0.0, float("nan"))), row("low", 1, 0.01)]

    assert order(rows) == ["low", "nan"]


def test_abnormal_first_stands_by_how_little_a_study_looks_normal() -> None:
    rows = [
        row("covid", 1, probabilities=(0.4, 0.0, 0.6), state=State.DONE),
        row("pneumonia", 2, probabilities=(0.1, 0.85, 0.05), state=State.DONE),
        row("none", 50),
    ]

    assert order(rows, Policy(Order.ABNORMAL_FIRST)) == ["pneumonia", "covid", "none"]


def test_two_bands_put_the_flagged_first_and_all_others_in_order_of_arrival() -> None:
    rows = [row("at", 5, 0.5), row("above", 1, 0.9), row("below", 3, 0.49), row("none", 4), row("old", 30, 0.1)]

    assert order(rows, Policy(Order.TWO_BANDS, operating_point=0.5)) == ["at", "above", "old", "none", "below"]


def test_in_order_of_arrival_the_score_says_nothing() -> None:
    rows = [row("late", 1, 0.9), row("none", 5), row("early", 9, 0.1)]

    assert order(rows, Policy(Order.ARRIVAL)) == ["early", "none", "late"]


@pytest.mark.parametrize("values", [{"wait_cap_minutes": 9}, {"wait_cap_minutes": 721}, {"operating_point": 1.5}])
def test_an_impossible_policy_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Policy(**values)


def test_two_bands_need_an_operating_point_and_a_site_without_one_gets_the_score() -> None:
    with pytest.raises(ValueError, match="operating point"):
        Policy(Order.TWO_BANDS)

    wanted = Settings(order=Order.TWO_BANDS, wait_cap_minutes=30)
    assert policy_of(wanted, None) == Policy(Order.COVID, 30)
    assert policy_of(wanted, 0.4) == Policy(Order.TWO_BANDS, 30, 0.4)


# --- reasons --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "policy", "sentence"),
    [
        (row("1", 14, 0.81), COVID, "Score 81, rank 1 of 1; waits 14 min"),
        (row("1", 14, 0.81, preliminary=True), COVID, "Preliminary score 81, rank 1 of 1; waits 14 min"),
        (row("1", 2), COVID, "No score yet (queued), rank 1 of 1; waits 2 min"),
        (row("1", -5, 0.5), COVID, "Score 50, rank 1 of 1; waits 0 min"),
        (row("1", 63, 0.81), COVID, "Moved to Overdue: waits 63 min"),
        (row("1", 60 * 30, 0.81), COVID, "Moved to Overdue: waits 30 h"),
        (row("1", 60 * 72, 0.81), COVID, "Moved to Overdue: waits 3 days"),
        (row("1", 4, 0.2), Policy(Order.ABNORMAL_FIRST), "Score 20, not normal 80, rank 1 of 1; waits 4 min"),
        (row("1", 4, 0.2), Policy(Order.ARRIVAL), "Score 20, in order of arrival, rank 1 of 1; waits 4 min"),
        (row("1", 4), Policy(Order.ARRIVAL), "No score yet, in order of arrival, rank 1 of 1; waits 4 min"),
        (
            row("1", 4, 0.2),
            Policy(Order.TWO_BANDS, operating_point=0.2),
            "Score 20, from the operating point, rank 1 of 1; waits 4 min",
        ),
        (
            row("1", 4, 0.1),
            Policy(Order.TWO_BANDS, operating_point=0.2),
            "Score 10, below the operating point, rank 1 of 1; waits 4 min",
        ),
        (row("1", **unsuitable(Reason.TOO_FEW_SLICES)), COVID, "There are too few slices: 3, at least 16 needed."),
        (row("1", **unsuitable(Reason.NO_CHEST_CT)), COVID, "No axial chest CT in this study."),
        (row("1", state=State.IGNORED), COVID, "Not for this tool."),
        (row("1", p_covid=0.5, identity_conflict=True), COVID, "The identity of the patient is not certain."),
        (row("1", p_covid=0.5, unlike_training_data=True), COVID, "This study is unlike the training data."),
        (row("1", p_covid=0.5, pinned=True), COVID, "Pinned by a person, or one could not judge it."),
        (row("1", 90, 0.5, read_at=NOW - timedelta(minutes=7)), COVID, "Read 7 min ago"),
    ],
)
def test_every_row_says_why_it_stands_where_it_stands(one: Row, policy: Policy, sentence: str) -> None:
    assert reason(one, policy) == sentence


def test_the_gravest_finding_is_the_one_that_is_said() -> None:
    findings = (
        Finding(Outcome.WARNED, Reason.CONTRAST),
        Finding(Outcome.UNSUITABLE, Reason.NO_BODY, found=2, needed=10),
        Finding(Outcome.UNSUITABLE, Reason.TOO_FEW_SLICES, found=3, needed=16),
    )

    assert reason(row("1", state=State.UNSUITABLE, findings=findings)).startswith("There is no body in the pictures")


def test_a_study_that_is_not_for_the_tool_says_what_it_is_even_when_more_is_wrong() -> None:
    findings = (
        Finding(Outcome.UNSUITABLE, Reason.NO_LUNGS, found=0, needed=500),
        Finding(Outcome.UNSUITABLE, Reason.BODY_PART_OTHER, name="HEAD"),
    )

    assert "HEAD" in reason(row("1", state=State.UNSUITABLE, findings=findings))


def test_ranks_are_counted_over_what_is_still_to_do() -> None:
    rows = [row("a", 1, 0.9, doubtful=True), row("b", 2, 0.8), row("c", 3, 0.7, read_at=NOW)]

    assert rank(rows, NOW, COVID)[1].reason == "Score 80, rank 2 of 2; waits 2 min"


# --- what always holds ----------------------------------------------------------------------------------------

PROBABILITY = st.integers(0, 20).map(lambda twentieth: twentieth / 20)
FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from(Outcome),
        st.sampled_from([Reason.TOO_FEW_SLICES, Reason.BODY_PART_OTHER, Reason.NO_CHEST_CT, Reason.CONTRAST]),
        st.just(1.0),
        st.just(2.0),
        st.just("HEAD"),
    ),
    max_size=3,
).map(tuple)
MOMENT = st.integers(-30, 800).map(lambda minutes: NOW - timedelta(minutes=minutes))
ROW = st.builds(
    Row,
    study_instance_uid=st.just(""),
    received_at=MOMENT,
    state=st.sampled_from(State),
    probabilities=st.none() | PROBABILITY.map(lambda p: ((1 - p) / 2, (1 - p) / 2, p)),
    preliminary=st.booleans(),
    doubtful=st.booleans(),
    unlike_training_data=st.booleans(),
    identity_conflict=st.booleans(),
    pinned=st.booleans(),
    read_at=st.none() | MOMENT,
    findings=FINDINGS,
)
ROWS = st.lists(ROW, max_size=12).map(
    lambda rows: [replace(one, study_instance_uid=f"1.{place}") for place, one in enumerate(rows)]
)
POLICY = st.builds(Policy, st.sampled_from(Order), st.integers(10, 720), PROBABILITY)


@given(ROWS, POLICY, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_in_which_rows_come_in_never_matters(rows: list[Row], policy: Policy, random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)

    assert rank(shuffled, NOW, policy) == rank(rows, NOW, policy)


@given(ROWS, POLICY)
@settings(max_examples=150, deadline=None)
def test_nobody_disappears_and_everybody_has_a_lane_a_rank_and_a_reason(rows: list[Row], policy: Policy) -> None:
    ranked = rank(rows, NOW, policy)

    bare = [replace(one, lane=None, rank=None, reason="") for one in ranked]
    assert sorted(bare, key=lambda one: one.study_instance_uid) == sorted(rows, key=lambda one: one.study_instance_uid)
    assert [one.rank for one in ranked] == list(range(1, len(rows) + 1))
    assert all(one.reason and "\n" not in one.reason for one in ranked)
    lanes = [list(Lane).index(one.lane) for one in ranked if one.lane]
    assert lanes == sorted(lanes)
    assert len(lanes) == len(rows)


@given(ROWS, POLICY)
@settings(max_examples=150, deadline=None)
def test_nobody_past_the_wait_cap_stands_below_anybody_within_it(rows: list[Row], policy: Policy) -> None:
    cap = timedelta(minutes=policy.wait_cap_minutes)

    unread = [one for one in rank(rows, NOW, policy) if one.lane in (Lane.OVERDUE, Lane.RANKED)]

    late = [NOW - one.received_at >= cap for one in unread]
    assert late == sorted(late, reverse=True)
    waiting = [one.received_at for one in unread if one.lane is Lane.OVERDUE]
    assert all(first <= second for first, second in pairwise(waiting))


@given(ROWS, POLICY)
@settings(max_examples=100, deadline=None)
def test_ranking_what_is_ranked_changes_nothing(rows: list[Row], policy: Policy) -> None:
    once = rank(rows, NOW, policy)

    assert rank(once, NOW, policy) == once
