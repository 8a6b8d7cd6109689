"""Two identities in one study: no score until a person has chosen; and what one study can't do to the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.app.identities import IdentityError, read_claims, read_names
from aicorona_desktop.app.viewing import StudyReader
from aicorona_desktop.core import events
from aicorona_desktop.core.findings import Reason
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import StudyError
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.triage.identities import Claim
from tests import phantom
from tests.street.bench import Bench

MINE = phantom.chest("mine").with_tags(PatientID="4711", PatientName="Doe^Jane", PatientBirthDate="19700101")
OTHER = phantom.chest("other").with_tags(
    StudyInstanceUID=MINE.study_instance_uid,
    PatientID="4712",
    PatientName="Roe^Richard",
    SeriesNumber=9,
    SeriesDescription="of another",
)
UID = MINE.study_instance_uid


@pytest.fixture
def bench(reader: Reader, scorer: Scorer, tmp_path: Path) -> Iterator[Bench]:
    with Bench(reader, scorer, tmp_path, Settings(), resident=True) as bench:
        yield bench


@pytest.fixture
def two(bench: Bench, tmp_path: Path) -> tuple[Claim, ...]:
    """Both patients' series in one study, read; what a person is asked."""
    bench.engine.submit([MINE.written_to(tmp_path / "mine"), OTHER.without_slice(0, 1).written_to(tmp_path / "other")])
    bench.done()
    return read_claims(bench.history, UID)


def row(bench: Bench) -> Row:
    found = bench.history.row(UID)
    assert found is not None
    return found


def choose(bench: Bench, claims: tuple[Claim, ...], name: str, **how: Any) -> int:
    seen = [one.identity for one in claims]
    chosen = next(one for one in seen if one.patient_name == name)
    number = bench.history.choose_identity(UID, chosen, seen, initials="AB", **how)
    bench.engine.settle_identity(UID)
    bench.done()
    return number


def test_two_identities_get_no_score_and_are_told_with_their_images(bench: Bench, two: tuple[Claim, ...]) -> None:
    assert row(bench).state is State.UNSUITABLE
    assert row(bench).identity_conflict
    assert [(one.identity.patient_id, one.birth_date, one.images, one.series) for one in two] == [
        ("4711", "1970-01-01", 20, 1),
        ("4712", two[1].birth_date, 18, 1),
    ]


def test_the_files_of_the_other_are_left_out_and_the_rest_is_scored(bench: Bench, two: tuple[Claim, ...]) -> None:
    choose(bench, two, "Roe^Richard", whole=False)

    found = row(bench)
    assert (found.state, found.identity_conflict, found.slices_total) == (State.DONE, False, 18)
    assert (found.patient_id, found.patient_name) == ("4712", "Roe^Richard")
    assert Reason.IDENTITY_CHOSEN in {one.reason for one in found.findings}
    left = [one for one in bench.history.left_out(UID) if one.finding.reason is Reason.OTHER_IDENTITY]
    assert {one.series_instance_uid for one in left} == {MINE.series_instance_uid}
    assert len(left) == 20
    with StudyReader() as reader:
        viewed = reader.open(bench.history, UID)
    assert [one.series_instance_uid for one in viewed.series] == [OTHER.series_instance_uid]


def test_all_files_may_be_of_one_patient_whose_number_was_corrected(bench: Bench, two: tuple[Claim, ...]) -> None:
    choose(bench, two, "Roe^Richard", whole=True)

    found = row(bench)
    assert (found.state, found.patient_id, found.patient_name) == (State.DONE, "4712", "Roe^Richard")
    assert found.slices_total == 20  # the series that the rules prefer, of either number
    assert not [one for one in bench.history.left_out(UID) if one.finding.reason is Reason.OTHER_IDENTITY]


def test_a_choice_that_is_taken_back_takes_the_score_with_it(bench: Bench, two: tuple[Claim, ...]) -> None:
    number = choose(bench, two, "Doe^Jane", whole=False)
    assert row(bench).state is State.DONE

    bench.history.take_back_identity(number, "AB")
    bench.engine.settle_identity(UID)
    bench.done()

    found = row(bench)
    assert (found.state, found.probabilities, found.identity_conflict) == (State.UNSUITABLE, None, True)
    assert len(bench.history.results(UID)) >= 1  # superseded, not gone


def test_late_files_of_a_third_identity_ask_anew_and_those_of_the_two_do_not(
    bench: Bench, two: tuple[Claim, ...], tmp_path: Path
) -> None:
    choose(bench, two, "Doe^Jane", whole=False)
    late = tmp_path / "late.dcm"
    late.write_bytes(OTHER.file(0))
    bench.engine.submit([late])
    bench.done()
    assert (row(bench).state, row(bench).slices_total) == (State.DONE, 20)

    third = OTHER.named("third").with_tags(PatientID="4713", StudyInstanceUID=UID)
    late.write_bytes(third.file(0))
    bench.engine.submit([late])
    bench.done()

    assert (row(bench).state, row(bench).identity_conflict) == (State.UNSUITABLE, True)


def test_files_that_are_gone_are_said_to_be(bench: Bench, two: tuple[Claim, ...], tmp_path: Path) -> None:
    for file in tmp_path.rglob("*.dcm"):
        file.unlink()

    with pytest.raises(IdentityError, match="No file"):
        read_claims(bench.history, UID)
    with pytest.raises(IdentityError, match="No file"):
        read_names(bench.history, UID)


def test_a_name_without_a_character_set_is_offered_as_it_reads_in_each(bench: Bench, tmp_path: Path) -> None:
    chest = phantom.chest("cyrillic").with_tags(PatientName="Xxxxxx^Xxxx", SpecificCharacterSet=None)
    folder = chest.written_to(tmp_path / "cyrillic")
    for file in folder.glob("*.dcm"):
        file.write_bytes(file.read_bytes().replace(b"Xxxxxx^Xxxx", "Иванов^Пётр".encode("cp1251")))
    bench.engine.submit([folder])
    bench.done()

    offers = read_names(bench.history, chest.study_instance_uid)

    by_set = {character_set: one.name for one in offers for character_set in one.character_sets}
    assert by_set["cp1251"] == "Иванов^Пётр"
    assert "utf-8" not in by_set
    assert len({one.name for one in offers}) == len(offers)


def test_a_choice_recorded_as_the_program_ended_takes_effect_at_the_next_start(
    bench: Bench, two: tuple[Claim, ...]
) -> None:
    seen = [one.identity for one in two]
    number = bench.history.choose_identity(UID, seen[0], seen, whole=False, initials="AB")
    bench.engine.resume()
    bench.done()
    assert (row(bench).state, row(bench).identity_conflict) == (State.DONE, False)

    bench.history.take_back_identity(number)
    bench.engine.resume()
    bench.done()
    assert (row(bench).state, row(bench).identity_conflict) == (State.UNSUITABLE, True)

    states = len(bench.history.states(UID))
    bench.engine.resume()
    bench.done()
    assert len(bench.history.states(UID)) == states


# --- one study breaks, the others go on -----------------------------------------------------------------------------


def test_a_state_that_can_not_follow_fails_that_study_only(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = phantom.chest("broken")
    move_through = bench.history.move_through

    def refuse(uid: str, steps: Any) -> None:
        if uid == broken.study_instance_uid:
            raise StudyError("A study can't go from done to queued.")
        move_through(uid, steps)

    monkeypatch.setattr(bench.history, "move_through", refuse)
    bench.engine.submit([broken.written_to(tmp_path / "a"), MINE.written_to(tmp_path / "b")])
    bench.done()

    failed = bench.history.row(broken.study_instance_uid)
    assert failed is not None
    assert (failed.state, row(bench).state) == (State.FAILED, State.DONE)
    assert bench.told(events.EngineFailed) == []


def test_a_wish_that_breaks_on_our_side_leaves_the_score_standing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.engine.submit([MINE.written_to(tmp_path / "mine")])
    bench.done()
    before = row(bench)
    monkeypatch.setattr(bench.engine._scoring, "_preliminary", lambda *_: 1 / 0)

    bench.engine.score_again(UID, by="AB")
    bench.done()

    assert (row(bench).state, row(bench).probabilities) == (State.DONE, before.probabilities)
    assert bench.told(events.NotDone)[-1].study_instance_uid == UID


# --- cut off in the middle ------------------------------------------------------------------------------------------


def test_a_study_whose_import_was_cut_off_is_not_scored_as_if_it_were_whole(
    reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    with Bench(reader, scorer, tmp_path, Settings(), resident=True) as bench:
        arriving = bench.engine._arriving
        read_on = arriving._file_read

        def stop_at_thirty(read: Any) -> None:
            read_on(read)
            if bench.engine.files_done == 30:
                arriving._arrive(arriving._reading.batch.portion(), arriving._account)
                bench.engine._stopping.set()

        bench.engine._arriving._reading._told = stop_at_thirty
        bench.engine.submit([MINE.with_slices(60, 5).written_to(tmp_path / "in")], "Disc 7")
        bench.engine.submit([OTHER.written_to(tmp_path / "next")], "Disc 8")
        bench.engine._thread.join(30)
    with Bench(reader, scorer, tmp_path, Settings(quiet_time_s=0.2), resident=True) as bench:
        cut_off = [one.label for one in bench.history.unfinished_imports()]
        bench.engine.resume()
        bench.done()

        assert cut_off == ["Disc 7", "Disc 8"]
        assert row(bench).slices_total in (0, 30)
        assert Reason.IMPORT_STOPPED in {one.reason for one in row(bench).findings}

        bench.engine.submit([tmp_path / "in"])
        bench.done()
        assert row(bench).slices_total == 60
        assert Reason.IMPORT_STOPPED not in {one.reason for one in row(bench).findings}
