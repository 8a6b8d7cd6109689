"""What is recorded is there again, exactly; what came before it stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.score import Fragility
from aicorona_desktop.core.study import LeftOut, Series, Study
from aicorona_desktop.history.recording import NEXT_STATES
from aicorona_desktop.history.store import History, HistoryError, SiteVerification
from tests.history.made_up import (
    NOW,
    PACK,
    TILT,
    TOO_FEW,
    Clock,
    choice,
    damaged_file,
    file,
    header,
    renamed,
    score,
    study,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(tmp_path: Path, clock: Clock) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite3", clock=clock) as opened:
        yield opened


def queued(history: History, uid: str = "1.2.3", slices: int = 3) -> None:
    history.record_received(study(uid, slices))
    history.move(uid, State.CHECKING, "files read")
    history.move(uid, State.QUEUED, "suitable")


def scored(history: History, uid: str = "1.2.3", slices: int = 3, p_covid: float = 0.81) -> int:
    queued(history, uid, slices)
    return history.record_result(uid, score(study(uid, slices), p_covid=p_covid), (TILT,), "1.0", "gate-1")


def raw(history: History, sql: str, *values: object) -> list[sqlite3.Row]:
    """Do to the file what another program could do."""
    return history._connection.execute(sql, values).fetchall()


# --- studies and files ----------------------------------------------------------------------------------------


def test_a_received_study_is_a_row_with_its_patient_and_its_time_of_arrival(history: History) -> None:
    history.record_received(study(), NOW)

    (row,) = history.rows()

    assert (row.study_instance_uid, row.state, row.received_at) == ("1.2.3", State.RECEIVED, NOW)
    assert (row.patient_name, row.patient_id, row.patient_age_years) == ("Doe^Jane", "ID-1.2.3", 61.5)
    assert row.probabilities is None
    assert row == history.row("1.2.3")


def test_the_files_of_a_study_come_back_as_they_were_seen(history: History) -> None:
    history.record_received(study(slices=3, left_out=(damaged_file(),)))

    assert history.files("1.2.3") == tuple(file(f"1.2.3.{number}") for number in range(3))
    assert history.left_out("1.2.3") == (damaged_file(),)


def test_a_file_with_many_frames_is_one_file(history: History) -> None:
    of_frames = study(slices=1)
    series = of_frames.series[0]
    one = series.instances[0]
    frames = tuple(replace(one, header=replace(one.header, number_of_frames=4, frame=frame)) for frame in range(4))

    history.record_received(replace(of_frames, series=(replace(series, instances=frames),)))

    assert history.files("1.2.3") == (one.file,)
    assert len(raw(history, "SELECT * FROM instance")) == 4


def test_the_same_files_again_change_nothing(history: History) -> None:
    scored(history)
    before = history.rows()

    is_new = history.record_received(study(), NOW + timedelta(hours=1))

    assert not is_new
    assert history.rows() == before
    assert len(raw(history, "SELECT * FROM instance")) == 3


def test_a_file_that_moved_is_read_from_where_it_was_seen_last(history: History) -> None:
    history.record_received(study(slices=1))
    moved = study(slices=1)
    series = moved.series[0]
    there = replace(series.instances[0], file=file("1.2.3.0", path=Path("/elsewhere/a"), source="/usb"))

    history.record_received(replace(moved, series=(replace(series, instances=(there,)),)))

    assert history.files("1.2.3") == (there.file,)


def test_a_path_that_is_no_text_is_kept_to_the_byte(history: History) -> None:
    odd = Path("/store/caf\udce9")
    of_one = study(slices=1)
    series = of_one.series[0]
    one = replace(series.instances[0], file=replace(series.instances[0].file, path=odd, shown="caf\udce9"))

    history.record_received(replace(of_one, series=(replace(series, instances=(one,)),)))

    assert history.files("1.2.3")[0].path == odd


def test_the_scanner_of_a_series_is_kept_for_tables_by_scanner(history: History) -> None:
    history.record_received(study())

    (found,) = raw(history, "SELECT manufacturer, kvp FROM series")

    assert tuple(found) == ("ACME", 120.0)


def test_a_source_keeps_its_number_and_the_files_that_name_it(history: History) -> None:
    number = history.record_source("/in", "folder")
    history.record_received(study(slices=1))

    assert history.record_source("/in", "folder") == number
    assert [tuple(one) for one in raw(history, "SELECT shown, kind FROM source")] == [("/in", "folder")]


def test_a_study_of_refused_files_only_is_known_without_a_name(history: History) -> None:
    history.record_received(replace(study(), series=(), left_out=(damaged_file(),)))

    row = history.row("1.2.3")

    assert row is not None
    assert row.patient_name == ""
    assert history.files("1.2.3") == ()


def of_a_localizer(**values: object) -> LeftOut:
    told = {"patient_name": "Doe^Jane", "patient_id": "ID-7", "study_date": "2026-11-22", "patient_age_years": 61.5}
    seen = header(**told | {"patient_sex": "F", "study_description": "CT Thorax"} | values)
    return LeftOut(file("localizer"), TOO_FEW, "1.2.3.1", "1.2.3", str(values.get("patient_id", "ID-7")), seen)


@pytest.mark.parametrize("place", ["series", "study"])
def test_a_study_whose_files_are_all_left_out_is_known_with_its_patient(history: History, place: str) -> None:
    left_out = (damaged_file(), of_a_localizer())
    series = (Series("1.2.3.1", (), left_out),) if place == "series" else ()

    history.record_received(Study("1.2.3", series, left_out if place == "study" else ()))

    row = history.row("1.2.3")
    assert row is not None
    assert (row.patient_name, row.patient_id, row.patient_sex) == ("Doe^Jane", "ID-7", "F")
    assert (row.patient_age_years, row.study_date, row.study_description) == (61.5, "2026-11-22", "CT Thorax")
    assert history.search("jane") == history.search("ID-7") == (row,)


def test_of_the_files_left_out_one_that_names_its_patient_speaks(history: History) -> None:
    nameless = of_a_localizer(patient_name="", patient_id="", study_description="Dose report")

    history.record_received(Study("1.2.3", (), (nameless, of_a_localizer())))

    row = history.row("1.2.3")
    assert row is not None
    assert (row.patient_name, row.study_description) == ("Doe^Jane", "CT Thorax")


def test_a_refused_file_gives_the_patient_id_that_was_read_of_it(history: History) -> None:
    refused = replace(damaged_file(), patient_id="ID-8")

    history.record_received(Study("1.2.3", (), (damaged_file("other"), refused)))

    row = history.row("1.2.3")
    assert row is not None
    assert (row.patient_name, row.patient_id) == ("", "ID-8")
    assert history.search("ID-8") == (row,)


def test_a_slice_that_is_read_speaks_before_a_file_left_out(history: History) -> None:
    history.record_received(study(left_out=(of_a_localizer(patient_name="Roe^Rita"),)))

    row = history.row("1.2.3")
    assert row is not None
    assert (row.patient_name, row.patient_id) == ("Doe^Jane", "ID-1.2.3")


# --- late files -----------------------------------------------------------------------------------------------


def test_late_slices_reopen_a_study_and_its_score_stays_in_sight_as_a_preliminary_one(history: History) -> None:
    scored(history)
    history.save_verdict("1.2.3", impression="normal")

    is_new = history.record_received(study(slices=4))

    row = history.row("1.2.3")
    assert is_new
    assert row is not None
    assert (row.state, row.read_at) == (State.RECEIVED, None)
    assert row.probabilities is not None
    assert row.preliminary


def test_the_score_of_before_the_late_slices_is_superseded_and_not_removed(history: History) -> None:
    first = scored(history, slices=3)
    second = scored(history, slices=4)

    old_and_new = [(one.number, one.superseded) for one in history.results("1.2.3")]

    assert old_and_new == [(second, False), (first, True)]
    row = history.row("1.2.3")
    assert row is not None
    assert not row.preliminary


def test_slices_that_come_while_a_study_still_settles_reopen_nothing(history: History) -> None:
    history.record_received(study(slices=1))
    history.move("1.2.3", State.SETTLING, "still growing")

    assert history.record_received(study(slices=2))
    assert [one.state for one in history.states("1.2.3")] == [State.RECEIVED, State.SETTLING]


# --- states ---------------------------------------------------------------------------------------------------


def test_every_step_of_a_study_is_kept_with_its_time_and_cause(history: History, clock: Clock) -> None:
    history.record_received(study())
    clock.pass_by(seconds=1)
    history.move("1.2.3", State.CHECKING, "quiet for 30 s")
    clock.pass_by(hours=-1)  # the clock is set back: the order stays
    history.move("1.2.3", State.QUEUED, "suitable")

    assert [(one.state, one.cause, one.at) for one in history.states("1.2.3")] == [
        (State.RECEIVED, "first files", NOW),
        (State.CHECKING, "quiet for 30 s", NOW + timedelta(seconds=1)),
        (State.QUEUED, "suitable", NOW + timedelta(seconds=1, hours=-1)),
    ]


@pytest.mark.parametrize("state", [state for state in State if state not in NEXT_STATES[State.RECEIVED]])
def test_a_state_that_can_not_follow_is_refused_and_leaves_no_trace(history: History, state: State) -> None:
    history.record_received(study())

    if state is not State.RECEIVED:
        with pytest.raises(HistoryError, match="can't go from received"):
            history.move("1.2.3", state, "")
    else:
        history.move("1.2.3", state, "")

    assert [one.state for one in history.states("1.2.3")] == [State.RECEIVED]


def test_every_state_has_a_way_on_and_back(history: History) -> None:
    assert set(NEXT_STATES) == set(State)
    assert all(State.RECEIVED in following for state, following in NEXT_STATES.items() if state is not State.RECEIVED)


def test_an_unknown_study_is_refused(history: History) -> None:
    with pytest.raises(HistoryError, match="not in the history"):
        history.move("9.9", State.CHECKING, "")


# --- scores ---------------------------------------------------------------------------------------------------


def test_a_score_comes_back_with_every_bit(history: History) -> None:
    queued(history)

    number = history.record_result("1.2.3", score(study()), (TILT,), "1.0", "gate-1", choice=choice(study()), at=NOW)

    stored = history.result("1.2.3")
    assert stored is not None
    assert stored.score == score(study())
    assert (stored.number, stored.findings, stored.series_instance_uid) == (number, (TILT,), "1.2.3.1000")
    assert (stored.application_version, stored.gate_version, stored.recorded_at) == ("1.0", "gate-1", NOW)


def test_a_scored_study_is_done_and_its_row_has_what_ranking_needs(history: History) -> None:
    queued(history)
    history.record_result("1.2.3", score(study(), doubtful=True), (TILT,), "1.0", "gate-1", choice=choice(study()))

    row = history.row("1.2.3")

    assert row is not None
    assert (row.state, row.preliminary, row.doubtful, row.half_spread) == (State.DONE, False, True, 0.04)
    assert row.probabilities == score(study()).probabilities
    assert (row.findings, row.series_reason) == ((TILT,), "The only axial series.")
    assert (row.pack, row.pack_status, row.provider) == ("demo 1.0", "untrained", "cpu")
    assert not row.unlike_training_data


def test_a_score_that_rests_on_one_slice_says_so_in_its_row(history: History) -> None:
    queued(history)
    resting = replace(score(study()), fragility=Fragility(0.04, rests_on_one_slice=True, doubtful=False))
    history.record_result("1.2.3", resting, (), "1.0", "gate-1")

    row = history.row("1.2.3")

    assert row is not None
    assert (row.rests_on_one_slice, row.doubtful) == (True, False)
    assert history.rows() == [row]


def test_the_standard_error_of_a_preliminary_score_is_kept(history: History) -> None:
    queued(history)
    early = replace(score(study(), preliminary=True), standard_error=(0.125, 1 / 3, 0.5))
    history.record_result("1.2.3", early, (), "1.0", "gate-1")

    stored = history.result("1.2.3")

    assert stored is not None
    assert stored.score == early


def test_a_score_over_the_distance_limit_is_unlike_the_training_data(history: History) -> None:
    queued(history)
    history.record_result("1.2.3", replace(score(study()), training_distance=40.5), (), "1.0", "gate-1")

    row = history.row("1.2.3")

    assert row is not None
    assert row.unlike_training_data


def test_the_same_score_again_is_recorded_once(history: History) -> None:
    first = scored(history)
    history.move("1.2.3", State.QUEUED, "score again")

    again = history.record_result("1.2.3", score(study()), (TILT,), "1.0", "gate-1")

    assert again == first
    assert len(history.results("1.2.3")) == 1
    assert history.states("1.2.3")[-1].state is State.DONE


@pytest.mark.parametrize("other", ["pack", "gate"])
def test_another_pack_or_gate_gives_a_new_result(history: History, other: str) -> None:
    first = scored(history)
    history.move("1.2.3", State.QUEUED, "score again")
    new = score(study(), pack_sha256="f" * 64 if other == "pack" else PACK)

    second = history.record_result("1.2.3", new, (), "1.0", "gate-2" if other == "gate" else "gate-1")

    assert second != first
    assert [one.superseded for one in history.results("1.2.3")] == [False, True]


def test_a_preliminary_score_is_followed_by_the_final_one(history: History) -> None:
    queued(history)
    history.record_result("1.2.3", score(study(), preliminary=True), (), "1.0", "gate-1")
    early = history.row("1.2.3")
    history.move("1.2.3", State.RUNNING, "final pass")
    history.record_result("1.2.3", score(study()), (), "1.0", "gate-1")
    late = history.row("1.2.3")

    assert early is not None
    assert late is not None
    assert (early.state, early.preliminary) == (State.PRELIMINARY, True)
    assert (late.state, late.preliminary) == (State.DONE, False)


def test_a_preliminary_score_never_takes_the_place_of_a_final_one(history: History) -> None:
    final = scored(history)
    history.move("1.2.3", State.QUEUED, "score again")

    assert history.record_result("1.2.3", score(study(), preliminary=True), (), "1.0", "gate-1") == final
    row = history.row("1.2.3")
    assert row is not None
    assert not row.preliminary


def test_a_study_that_can_not_be_scored_says_why_and_shows_no_old_score(history: History) -> None:
    scored(history)
    history.move("1.2.3", State.CHECKING, "checked again")

    history.record_unscored("1.2.3", State.UNSUITABLE, (TOO_FEW,))

    row = history.row("1.2.3")
    assert row is not None
    assert (row.state, row.probabilities, row.findings) == (State.UNSUITABLE, None, (TOO_FEW,))
    assert history.states("1.2.3")[-1].findings == (TOO_FEW,)
    assert [one.superseded for one in history.results("1.2.3")] == [True]


def test_done_is_no_state_without_a_score(history: History) -> None:
    queued(history)

    with pytest.raises(HistoryError, match="without a score"):
        history.record_unscored("1.2.3", State.DONE, ())


def test_a_score_that_is_not_a_number_is_refused_whole(history: History) -> None:
    queued(history)

    with pytest.raises(HistoryError, match="finite"):
        history.record_result("1.2.3", replace(score(study()), logits=(float("nan"), 0, 0)), (), "1.0", "gate-1")

    assert history.result("1.2.3") is None
    assert history.states("1.2.3")[-1].state is State.QUEUED


def test_two_patients_in_a_study_are_a_conflict_of_identity(history: History) -> None:
    of_two = replace(study(), findings=(Finding(Outcome.UNSUITABLE, Reason.TWO_PATIENTS),))
    history.record_received(of_two)

    row = history.row("1.2.3")

    assert row is not None
    assert row.identity_conflict


def test_a_code_of_another_version_keeps_its_outcome(history: History) -> None:
    history.record_received(study())
    raw(history, """UPDATE study SET findings = '[["warned","OF_2031",1.5,null,""]]'""")

    row = history.row("1.2.3")

    assert row is not None
    assert row.findings == (Finding(Outcome.WARNED, Reason.OTHER_VERSION, name="OF_2031"),)


# --- changes from outside --------------------------------------------------------------------------------------


def test_a_score_changed_from_outside_is_not_shown(history: History) -> None:
    scored(history)
    history.save_verdict("1.2.3", action="routine")
    raw(history, "UPDATE result SET probability_covid = 0.01")

    row = history.row("1.2.3")

    assert row is not None
    assert (row.state, row.probabilities, row.read_at) == (State.FAILED, None, None)
    assert row.findings[0].reason is Reason.RESULT_DAMAGED
    with pytest.raises(HistoryError, match="changed"):
        history.result("1.2.3")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE result_slice SET contribution_covid = contribution_covid + 1e-15 WHERE slice_index = 2",
        "UPDATE result_slice SET sha256 = randomblob(32) WHERE slice_index = 0",
        "DELETE FROM result_slice WHERE slice_index = 1",
    ],
)
def test_slices_of_a_score_changed_from_outside_are_noticed(history: History, change: str) -> None:
    scored(history)
    raw(history, change)

    with pytest.raises(HistoryError, match="changed"):
        history.results("1.2.3")


@pytest.mark.parametrize(
    "change", ["UPDATE audit SET who = 'X' WHERE sequence = 2", "DELETE FROM audit WHERE sequence = 1"]
)
def test_a_change_in_the_audit_is_noticed(history: History, change: str) -> None:
    for event in ("viewed", "exported", "viewed"):
        history.audit(event, by="AB")
    assert history.broken_audit_row() is None

    raw(history, change)

    assert history.broken_audit_row() == 2


def test_several_steps_are_one_transaction_all_of_them_or_none(history: History) -> None:
    history.record_received(study())

    with pytest.raises(HistoryError, match="can't go from"):
        history.move_through("1.2.3", [(State.CHECKING, "files read"), (State.DONE, "too early")])
    before = [one.state for one in history.states("1.2.3")]
    history.move_through("1.2.3", [(State.CHECKING, "files read"), (State.QUEUED, "suitable")])

    assert before == [State.RECEIVED]
    assert [one.state for one in history.states("1.2.3")] == [State.RECEIVED, State.CHECKING, State.QUEUED]


def test_a_moment_without_its_zone_is_not_recorded(history: History) -> None:
    with pytest.raises(ValueError, match="zone"):
        history.record_received(study(), NOW.replace(tzinfo=None))

    assert history.rows() == []


def test_a_slice_whose_answer_is_no_number_is_not_recorded(history: History) -> None:
    queued(history)
    broken = replace(score(study()), slice_contributions=((float("nan"), 0.0, 0.0),) * 3)

    with pytest.raises(HistoryError, match="finite"):
        history.record_result("1.2.3", broken, (), "1.0", "gate-1")

    row = history.row("1.2.3")
    assert row is not None
    assert (row.state, row.probabilities, history.results("1.2.3")) == (State.QUEUED, None, ())


def test_a_stored_score_that_became_infinite_is_not_shown(history: History) -> None:
    scored(history)

    raw(history, "UPDATE result SET probability_covid = 9e999")

    row = history.row("1.2.3")
    assert row is not None
    assert (row.state, row.probabilities) == (State.FAILED, None)
    with pytest.raises(HistoryError, match="changed outside"):
        history.result("1.2.3")


# --- people ---------------------------------------------------------------------------------------------------


def test_a_verdict_makes_a_study_read_and_taking_it_back_unread(history: History, clock: Clock) -> None:
    scored(history)
    clock.pass_by(minutes=5)
    number = history.save_verdict("1.2.3", impression="covid", action="now", co_rads=5, initials="AB", note="left")
    read = history.row("1.2.3")
    history.take_back_verdict(number, "AB")
    unread = history.row("1.2.3")

    assert read is not None
    assert unread is not None
    assert (read.read_at, unread.read_at) == (clock.now, None)
    (verdict,) = history.verdicts("1.2.3")
    assert (verdict.impression, verdict.action, verdict.co_rads, verdict.taken_back) == ("covid", "now", 5, True)
    assert [one["event"] for one in raw(history, "SELECT event FROM audit")] == ["verdict", "verdict taken back"]


def test_taking_a_verdict_back_lets_the_one_before_stand(history: History, clock: Clock) -> None:
    scored(history)
    history.save_verdict("1.2.3", impression="normal")
    clock.pass_by(minutes=5)
    second = history.save_verdict("1.2.3", impression="cannot_judge")
    unjudged = history.row("1.2.3")
    history.take_back_verdict(second)
    row = history.row("1.2.3")

    assert unjudged is not None
    assert row is not None
    assert unjudged.pinned
    assert (row.read_at, row.pinned) == (NOW, False)
    with pytest.raises(HistoryError, match="taken back already"):
        history.take_back_verdict(second)


@pytest.mark.parametrize(
    "values", [{}, {"note": "hm"}, {"impression": "sick"}, {"action": "later"}, {"action": "now", "co_rads": 7}]
)
def test_a_verdict_without_an_answer_or_with_an_unknown_one_is_refused(
    history: History, values: dict[str, object]
) -> None:
    scored(history)

    with pytest.raises(HistoryError, match="verdict"):
        history.save_verdict("1.2.3", **values)  # type: ignore[arg-type]

    assert history.verdicts("1.2.3") == ()


def test_a_verdict_that_is_not_there_can_not_be_taken_back(history: History) -> None:
    with pytest.raises(HistoryError, match="not in the history"):
        history.take_back_verdict(1)


def test_a_study_is_pinned_and_let_go(history: History) -> None:
    history.record_received(study())
    history.pin("1.2.3", "AB")
    pinned = history.row("1.2.3")
    history.pin("1.2.3", "AB", pinned=False)
    free = history.row("1.2.3")

    assert pinned is not None
    assert free is not None
    assert (pinned.pinned, free.pinned) == (True, False)


def test_settings_packs_escalations_and_verifications_are_kept(history: History) -> None:
    scored(history)
    history.record_pack(PACK, "demo 1.0", "untrained")
    history.record_pack("a" * 64, "other 2.0", "trained", "AB")
    verification = SiteVerification(PACK, "paper-1", "cpu", 0.4, 0.94, 0.83, 120, "AB", NOW)
    history.record_site_verification(verification)
    history.record_escalation("1.2.3", "ward 3", "AB")
    history.set_setting("wait_cap_minutes", "60", "AB")
    history.set_setting("wait_cap_minutes", "45", "AB")

    assert history.setting("wait_cap_minutes") == "45"
    assert history.setting("nothing") is None
    assert history.site_verification(PACK) == verification
    assert history.site_verification("a" * 64) is None
    events = [one["event"] for one in raw(history, "SELECT event FROM audit")]
    assert events == ["pack", "site verification", "escalation", "setting", "setting"]
    assert history.broken_audit_row() is None


# --- looking things up ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Müller^Änne", "muller"),
        ("MULLER^ANNE", "Müller Än"),
        ("Wang^XiaoDong=王^小东", "小东"),
        ("Wang^XiaoDong=王^小东", "王小东"),
        ("Иванов^Пётр", "петр иван"),
        ("حسن^علي", "علي"),
        ("Kim^Minjun=金^民俊=김^민준", "민준"),
        ('O\'Brien^"Bob"', 'brien "bob"'),
        ("Doe^Jane", "jane doe"),
    ],
)
def test_a_name_in_any_script_is_found_by_a_part_of_it(history: History, name: str, wanted: str) -> None:
    history.record_received(study("1.2.3", name=name))
    history.record_received(study("1.2.4", name="Somebody^Else"))

    assert [row.study_instance_uid for row in history.search(wanted)] == ["1.2.3"]


def test_a_study_is_found_by_a_part_of_its_numbers_and_a_corrected_name(history: History) -> None:
    history.record_received(study("1.2.840.55", name="Wrong^Name"))
    history.record_received(renamed(study("1.2.840.55"), "Right^Name"))

    assert [len(history.search(text)) for text in ("840.55", "id-1.2", "right", "wrong", "", '"', "%", "a\0b")] == [
        1, 1, 1, 0, 0, 0, 0, 0,
    ]  # fmt: skip


def test_a_patients_number_is_not_found_in_the_uid_of_another_study(history: History) -> None:
    history.record_received(study("1.2.840.4711.9", patient_id="8"))
    history.record_received(study("1.2.5", patient_id="A4711"))

    assert [row.study_instance_uid for row in history.search("4711")] == ["1.2.5"]
    assert [row.study_instance_uid for row in history.search("840.4711")] == ["1.2.840.4711.9"]


def test_pages_give_every_study_once_newest_first(history: History) -> None:
    for number in range(7):
        history.record_received(study(f"1.{number}", 1))

    pages, key = [], None
    while True:
        page = history.page(key, 3)
        pages.append([row.study_instance_uid for row in page.rows])
        key = page.next_key
        if key is None:
            break

    assert pages == [["1.6", "1.5", "1.4"], ["1.3", "1.2", "1.1"], ["1.0"]]


def test_the_worklist_can_leave_out_what_was_read_long_ago(history: History, clock: Clock) -> None:
    for uid in ("1.1", "1.2", "1.3"):
        scored(history, uid)
    history.save_verdict("1.1", action="routine")
    clock.pass_by(days=2)
    history.save_verdict("1.2", action="routine")

    rows = history.rows(read_since=clock.now - timedelta(days=1))

    assert [row.study_instance_uid for row in rows] == ["1.2", "1.3"]


def test_no_sentence_of_an_error_names_a_patient_or_a_path(history: History, tmp_path: Path) -> None:
    history.record_received(study(name="Marker^Name"))
    history.close()

    with pytest.raises(HistoryError) as trouble:
        history.move("1.2.3", State.CHECKING, "")

    assert "Marker" not in str(trouble.value)
    assert str(tmp_path) not in str(trouble.value)
    assert header(patient_name="x").patient_name == "x"
