"""Whose turn it is; every test sets the time itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicorona_desktop.triage.queue import Queue

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
CAP = timedelta(minutes=60)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def queue_of(*studies: str) -> Queue:
    """A queue in which the studies came one minute after the other."""
    queue = Queue(CAP)
    for minute, uid in enumerate(studies):
        queue.add(uid, at(minute))
    return queue


def test_an_empty_queue_has_nothing_to_do() -> None:
    queue = queue_of()

    assert queue.next(at(0)) is None
    assert not queue.should_yield(at(0))


def test_new_studies_get_their_preliminary_pass_first_and_the_oldest_first() -> None:
    queue = queue_of("old", "new")

    assert queue.next(at(5)) == ("old", "preliminary")
    queue.preliminary_done("old", 0.99)
    assert queue.next(at(5)) == ("new", "preliminary")


def test_then_the_final_passes_come_with_the_highest_preliminary_score_first() -> None:
    queue = queue_of("low", "high", "middle")
    for uid, p_covid in {"low": 0.1, "high": 0.9, "middle": 0.5}.items():
        queue.preliminary_done(uid, p_covid)

    turns = []
    while (turn := queue.next(at(5))) is not None:
        turns.append(turn)
        queue.final_done(turn[0])

    assert turns == [("high", "final"), ("middle", "final"), ("low", "final")]


def test_equal_scores_go_by_arrival_then_by_study_uid() -> None:
    queue = Queue(CAP)
    for uid, minute in {"b": 1, "a": 1, "c": 0}.items():
        queue.add(uid, at(minute))
        queue.preliminary_done(uid, 0.5)

    turns = []
    for _ in range(3):
        turn = queue.next(at(5))
        assert turn is not None
        turns.append(turn[0])
        queue.final_done(turn[0])

    assert turns == ["c", "a", "b"]


def test_a_running_final_pass_yields_to_a_new_study_and_goes_on_after_it() -> None:
    queue = queue_of("first")
    queue.preliminary_done("first", 0.5)
    assert queue.next(at(5)) == ("first", "final")
    assert not queue.should_yield(at(5))

    queue.add("second", at(6))

    assert queue.should_yield(at(6))
    assert queue.next(at(6)) == ("second", "preliminary")
    assert not queue.should_yield(at(6))
    queue.preliminary_done("second", 0.1)
    assert queue.next(at(6)) == ("first", "final")


def test_a_running_final_pass_does_not_yield_to_another_final_pass() -> None:
    queue = queue_of("running", "other")
    queue.preliminary_done("running", 0.6)
    queue.preliminary_done("other", 0.5)
    assert queue.next(at(5)) == ("running", "final")

    queue.preliminary_done("other", 0.9)

    assert not queue.should_yield(at(5))


def test_a_running_preliminary_pass_is_never_stopped_for_another_study() -> None:
    queue = queue_of("running")
    assert queue.next(at(0)) == ("running", "preliminary")

    queue.add("older", at(-30))

    assert not queue.should_yield(at(1))


def test_a_pass_stops_when_its_study_leaves_or_begins_again() -> None:
    left, again = queue_of("1"), queue_of("1")
    left.next(at(0))
    again.next(at(0))

    left.remove("1")
    again.add("1", at(1))

    assert left.should_yield(at(1))
    assert again.should_yield(at(1))
    assert again.next(at(61)) == ("1", "preliminary")


def test_a_study_past_the_wait_cap_goes_first_whatever_its_score() -> None:
    queue = queue_of("starved", "urgent")
    queue.preliminary_done("starved", 0.01)
    queue.preliminary_done("urgent", 0.99)
    queue.add("new", at(59))

    assert queue.next(at(59.9)) == ("new", "preliminary")
    assert queue.next(at(60)) == ("starved", "final")
    queue.add("newer", at(60))
    assert not queue.should_yield(at(60))


def test_a_study_past_the_wait_cap_without_any_score_gets_its_preliminary_pass() -> None:
    queue = queue_of("starved")

    assert queue.next(at(90)) == ("starved", "preliminary")


def test_late_slices_begin_a_study_again_without_making_it_wait_anew() -> None:
    queue = queue_of("study")
    queue.preliminary_done("study", 0.9)

    queue.add("study", at(30))

    assert len(queue) == 1
    assert queue.next(at(31)) == ("study", "preliminary")
    queue.preliminary_done("study", 0.1)
    queue.add("new", at(60))
    assert queue.next(at(60)) == ("study", "final")


def test_what_is_told_of_a_study_that_has_left_does_nothing() -> None:
    queue = queue_of("study")
    queue.remove("study")

    queue.preliminary_done("study", 0.5)
    queue.final_done("study")

    assert "study" not in queue
    assert queue.next(at(1)) is None


@pytest.mark.parametrize("p_covid", [-0.1, 1.1, float("nan")])
def test_a_score_that_is_no_probability_is_refused(p_covid: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        queue_of("study").preliminary_done("study", p_covid)


def test_a_stream_of_urgent_studies_starves_nobody() -> None:
    """A final pass takes 3 minutes, a preliminary half of one, and an urgent study comes every 2 minutes."""
    queue, finished, now = Queue(CAP), {}, 0.0
    queue.add("quiet", at(0))
    arrivals = iter(range(0, 2000, 2))
    upcoming = next(arrivals)
    while now < 240:
        while upcoming <= now:
            queue.add(f"urgent {upcoming:04}", at(upcoming))
            upcoming = next(arrivals)
        turn = queue.next(at(now))
        if turn is None:
            now = upcoming
        elif turn[1] == "preliminary":
            now += 0.5
            queue.preliminary_done(turn[0], 0.01 if turn[0] == "quiet" else 0.9)
        else:
            now += 3
            queue.final_done(turn[0])
            finished[turn[0]] = now

    assert 60 <= finished["quiet"] <= 64


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=12), st.integers(0, 200))
@settings(max_examples=100, deadline=None)
def test_every_study_gets_one_preliminary_and_then_one_final_pass(studies: list[tuple[int, int]], minute: int) -> None:
    queue = Queue(CAP)
    for number, (received, _) in enumerate(studies):
        queue.add(str(number), at(received))

    turns = []
    while (turn := queue.next(at(minute))) is not None:
        turns.append(turn)
        if turn[1] == "preliminary":
            queue.preliminary_done(turn[0], studies[int(turn[0])][1] / 100)
        else:
            queue.final_done(turn[0])

    everybody = [str(number) for number in range(len(studies))]
    assert sorted(uid for uid, stage in turns if stage == "preliminary") == sorted(everybody)
    assert sorted(uid for uid, stage in turns if stage == "final") == sorted(everybody)
    assert all(turns.index((uid, "preliminary")) < turns.index((uid, "final")) for uid in everybody)
