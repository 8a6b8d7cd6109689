from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.intake.settling import FileSettling, Reach, Sight, StudySettling


def sights(at_s: float, **sizes: int) -> dict[str, Sight]:
    return {name: Sight(size, size, (1, hash(name)), at_s) for name, size in sizes.items()}


def look(settling: FileSettling, at_s: float, complete: bool = True, **sizes: int) -> tuple[str, ...]:
    return settling.looked(sights(at_s, **sizes), at_s, complete)


def test_a_file_is_complete_when_it_stood_still_between_two_looks_five_seconds_apart():
    settling = FileSettling()

    assert look(settling, 0, a=1) == ()
    assert look(settling, 4.9, a=1) == ()
    assert settling.arriving == 1
    assert look(settling, 5, a=1) == ("a",)
    assert settling.arriving == 0


def test_it_is_told_once():
    settling = FileSettling()
    for at_s in (0, 5):
        look(settling, at_s, a=1)

    assert [look(settling, at_s, a=1) for at_s in (10, 15, 20)] == [(), (), ()]


def test_a_file_that_grows_waits_from_its_last_change():
    settling = FileSettling()

    assert look(settling, 0, a=1) == look(settling, 5, a=2) == look(settling, 9, a=2) == ()
    assert look(settling, 10, a=2) == ("a",)


def test_time_size_and_identity_all_count():
    still = Sight(1, 1, (1, 1), 0.0)
    for moved in (Sight(2, 1, (1, 1), 5.0), Sight(1, 2, (1, 1), 5.0), Sight(1, 1, (1, 2), 5.0)):
        settling = FileSettling()
        settling.looked({"a": still}, 0.0)

        assert settling.looked({"a": moved}, 5.0) == ()


def test_a_complete_file_that_changes_is_a_new_version():
    settling = FileSettling()
    for at_s in (0, 5):
        look(settling, at_s, a=1)

    assert look(settling, 10, a=2) == ()
    assert look(settling, 15, a=2) == ("a",)


def test_a_share_that_drops_out_and_comes_back_is_offline_and_nothing_is_told_twice():
    settling = FileSettling()
    for at_s in (0, 5):
        look(settling, at_s, a=1, b=1)

    assert look(settling, 10) == ()
    assert (settling.reach, settling.since_s) == (Reach.OFFLINE, 10)
    assert look(settling, 20) == ()
    assert (settling.reach, settling.since_s) == (Reach.OFFLINE, 10)
    assert look(settling, 30, a=1, b=1) == ()
    assert (settling.reach, settling.since_s) == (Reach.WATCHING, None)


def test_a_folder_that_was_always_empty_is_not_offline():
    settling = FileSettling()

    look(settling, 0)

    assert settling.reach is Reach.WATCHING


def test_a_file_that_has_gone_is_forgotten():
    settling = FileSettling()
    for at_s in (0, 5):
        look(settling, at_s, a=1, b=1)

    look(settling, 10, b=1)

    assert look(settling, 15, a=1, b=1) == ()
    assert look(settling, 20, a=1, b=1) == ("a",)


def test_where_a_part_could_not_be_listed_nothing_is_forgotten():
    settling = FileSettling()
    for at_s in (0, 5):
        look(settling, at_s, a=1, b=1)

    look(settling, 10, complete=False, b=1)
    look(settling, 12, complete=False)

    assert settling.reach is Reach.WATCHING
    assert [look(settling, at_s, a=1, b=1) for at_s in (15, 20)] == [(), ()]


def test_three_failed_looks_in_a_row_mean_unreachable_since_the_first():
    settling = FileSettling()
    look(settling, 0, a=1)

    settling.failed(10)
    settling.failed(20)
    assert settling.reach is Reach.WATCHING
    settling.failed(30)

    assert (settling.reach, settling.since_s) == (Reach.UNREACHABLE, 10)
    assert look(settling, 40, a=1) == ("a",)
    assert settling.reach is Reach.WATCHING


def test_a_good_look_between_them_starts_the_count_again():
    settling = FileSettling()

    for at_s in (0, 10):
        settling.failed(at_s)
    look(settling, 20, a=1)
    for at_s in (30, 40):
        settling.failed(at_s)

    assert settling.reach is Reach.WATCHING


def test_a_file_that_is_taken_back_waits_again():
    settling = FileSettling()
    for at_s in (0, 5):
        look(settling, at_s, a=1)

    settling.hold("a", sights(5, a=1)["a"])

    assert look(settling, 9, a=1) == ()
    assert look(settling, 10, a=1) == ("a",)


STEPS = st.lists(
    st.tuples(
        st.floats(0.1, 12),
        st.one_of(st.none(), st.just("part"), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3), max_size=4)),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_happens_only_files_that_stood_still_are_told_and_none_twice(steps):
    settling, now, history, told = FileSettling(), 0.0, [], []
    for seconds, seen in steps:
        now += seconds
        if seen is None:
            before = settling.arriving
            settling.failed(now)
            assert settling.arriving == before
            continue
        present = {} if seen == "part" else seen
        history.append((now, present, seen != "part"))
        told += [(now, name, present[name]) for name in look(settling, now, complete=seen != "part", **present)]

    for at_s, name, size in told:
        same = [then for then, present, _ in history if present.get(name) == size and then <= at_s - 5]
        assert same, "told before two looks five seconds apart"
        changed = [then for then, present, _ in history if same[-1] <= then <= at_s and present.get(name, size) != size]
        assert changed == []
    for (first_s, name, size), (again_s, again, again_size) in itertools.combinations(told, 2):
        if (again, again_size) == (name, size):
            # Told again only when it was gone, or another, in between.
            between = [present for then, present, complete in history if first_s < then < again_s and complete]
            assert any(present.get(name) != size for present in between)


@given(STEPS)
def test_a_file_that_stands_still_long_enough_is_always_told(steps):
    settling, now, told = FileSettling(), 0.0, []
    for seconds, seen in steps:
        now += seconds
        if isinstance(seen, dict):
            told += look(settling, now, still=9, **seen)
        elif seen is None:
            settling.failed(now)

    told += look(settling, now + 5, still=9) + look(settling, now + 10.1, still=9)

    assert told.count("still") == 1


def test_a_study_settles_when_its_quiet_time_has_passed_since_the_last_slice():
    studies = StudySettling(30)
    studies.arrived("1.2", 0)
    studies.arrived("1.3", 10)
    studies.arrived("1.2", 20)

    assert studies.settled(39) == ()
    assert studies.settled(40) == ("1.3",)
    assert studies.settled(60) == ("1.2",)
    assert studies.settled(99) == ()


def test_late_slices_open_a_study_again():
    studies = StudySettling(30)
    studies.arrived("1.2", 0)
    studies.settled(30)

    studies.arrived("1.2", 100)

    assert studies.growing == ("1.2",)
    assert studies.settled(129) == ()
    assert studies.settled(130) == ("1.2",)


def test_score_now_does_not_wait():
    studies = StudySettling(30)
    studies.arrived("1.2", 0)

    studies.score_now("1.2")
    studies.score_now("1.9")

    assert studies.settled(1) == ("1.2",)
