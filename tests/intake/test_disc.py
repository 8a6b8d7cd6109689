"""Copying a disc: in its order, with patience, never twice, and proved before it may be taken out."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aicorona_desktop.core.discs import CopyProgress, Phase
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.intake.disc import Copied, Copying, Left, Lost
from aicorona_desktop.intake.disc_journal import Journal
from aicorona_desktop.intake.disc_order import Order, Plan, plan
from aicorona_desktop.intake.keeping import Spool
from tests.intake.faulty_disc import FaultyDisc


@pytest.fixture
def disc(tmp_path: Path) -> FaultyDisc:
    root = tmp_path / "cd"
    (root / "IMAGES").mkdir(parents=True)
    for number in range(12):
        (root / "IMAGES" / f"IM{number}").write_bytes(bytes([number]) * (5000 + number))
    (root / "dicomdir").write_bytes(b"index")
    return FaultyDisc(root)


def planned(disc: FaultyDisc) -> Plan:
    return plan(disc.root, place_of=lambda _: None)


def copying(disc: FaultyDisc, tmp_path: Path, **options: object) -> Copying:
    settings: dict[str, object] = {
        "opened": disc.opened,
        "pause": lambda _: None,
        "clock": map(float, itertools.count()).__next__,
    }
    where = lambda: disc.root if disc.root.is_dir() else None  # noqa: E731
    return Copying(planned(disc), where, Spool(tmp_path / "spool").keep, **settings | options)  # type: ignore[arg-type]


def contents(disc: FaultyDisc) -> set[str]:
    return {hashlib.sha256(one.read_bytes()).hexdigest() for one in disc.root.rglob("*") if one.is_file()}


# --- order --------------------------------------------------------------------------------------------------------


def test_files_are_read_as_they_lie_where_that_is_known(disc: FaultyDisc) -> None:
    places = {f"IM{number}": (number * 5) % 12 + 100 for number in range(12)}

    found = plan(disc.root, "iso9660", place_of=lambda path: places.get(path.name, 1))

    assert found.order is Order.EXTENT
    assert [one.below.name for one in found.files] == ["dicomdir", *sorted(places, key=places.__getitem__)]


def test_a_disc_that_tells_no_places_is_read_by_its_entries_and_any_other_by_its_index_or_by_name(
    disc: FaultyDisc,
) -> None:
    nowhere: Callable[[Path], int | None] = lambda _: None  # noqa: E731
    index = [("images", f"im{number}") for number in (7, 3, 11)] + [("..", "etc"), ("IMAGES", "GONE")]

    by_entry = plan(disc.root, "iso9660", place_of=nowhere)
    by_index = plan(disc.root, "vfat", index, place_of=nowhere)
    by_name = plan(disc.root, "vfat", place_of=nowhere)

    assert (by_entry.order, by_index.order, by_name.order) == (Order.ENTRY, Order.INDEX, Order.NAME)
    inodes = [(disc.root / one.below).stat().st_ino for one in by_entry.files[1:]]
    assert inodes == sorted(inodes)
    assert [one.below.name for one in by_index.files[:5]] == ["dicomdir", "IM7", "IM3", "IM11", "IM0"]
    assert [one.below.name for one in by_name.files] == ["dicomdir", *(f"IM{number}" for number in range(12))]
    assert len(by_index.files) == 13  # the index is a hint: what it leaves out is read, what it makes up is not


def test_what_is_not_to_be_read_is_named_with_the_reason(disc: FaultyDisc) -> None:
    (disc.root / "link").symlink_to("/etc/passwd")
    (disc.root / "empty").write_bytes(b"")
    (disc.root / "Thumbs.db").write_bytes(b"x")

    left = {one.path.name: one.finding.reason for one in planned(disc).left if one.finding}

    assert left == {"link": Reason.LINK, "empty": Reason.EMPTY_FILE, "Thumbs.db": Reason.JUNK}


# --- copying ------------------------------------------------------------------------------------------------------


def test_a_whole_disc_is_copied_checked_and_safe(disc: FaultyDisc, tmp_path: Path) -> None:
    run = copying(disc, tmp_path)

    steps = list(run.steps())

    copies = [one for one in steps if isinstance(one, Copied)]
    assert {hashlib.sha256(one.path.read_bytes()).hexdigest() for one in copies} == contents(disc)
    assert len(copies) == 13
    assert disc.order == [one.file.below.name for one in copies]  # one sweep, each file opened once
    phases = [one.phase for one in steps if isinstance(one, CopyProgress)]
    assert list(dict.fromkeys(phases)) == [Phase.COPYING, Phase.VERIFYING, Phase.SAFE]
    assert run.progress.files_copied == run.progress.files_total == 13
    assert run.progress.bytes_copied == run.progress.bytes_total


def test_the_time_left_is_told_from_what_was_read(disc: FaultyDisc, tmp_path: Path) -> None:
    steps = [one for one in copying(disc, tmp_path).steps() if isinstance(one, CopyProgress)]

    left = [one.seconds_left for one in steps if one.phase is Phase.COPYING and one.seconds_left is not None]

    assert left[0] > left[len(left) // 2] > left[-1] >= 0


def test_a_bad_spot_that_heals_costs_no_file(disc: FaultyDisc, tmp_path: Path) -> None:
    disc.bad, disc.heals_after = {"IM4": range(100, 200)}, 2
    pauses: list[float] = []

    steps = list(copying(disc, tmp_path, pause=pauses.append).steps())

    assert not [one for one in steps if isinstance(one, Lost)]
    assert pauses == [1.0, 1.0]


def test_a_spot_that_heals_late_is_read_in_the_second_pass(disc: FaultyDisc, tmp_path: Path) -> None:
    disc.bad, disc.heals_after = {"IM4": range(100, 200)}, 4
    run = copying(disc, tmp_path)

    steps = list(run.steps())

    assert [one.file.below.name for one in steps if isinstance(one, Copied)][-1] == "IM4"
    assert run.progress.phase is Phase.SAFE
    assert max(one.files_waiting for one in steps if isinstance(one, CopyProgress)) == 1


def test_what_stays_unreadable_is_told_with_its_bytes_and_the_rest_is_safe(disc: FaultyDisc, tmp_path: Path) -> None:
    disc.bad = {"IM4": range(2100, 2110), "IM9": range(10_000)}
    run = copying(disc, tmp_path)

    lost = {one.file.below.name: one.finding for one in run.steps() if isinstance(one, Lost)}

    assert {name: (one.reason, one.found) for name, one in lost.items()} == {
        "IM4": (Reason.DISC_UNREADABLE, 2048),
        "IM9": (Reason.DISC_UNREADABLE, 5009),
    }
    assert run.progress.phase is Phase.SAFE
    assert (run.progress.files_copied, run.progress.files_lost, run.progress.bytes_lost) == (11, 2, 2048 + 5009)


def test_a_disc_that_is_pulled_out_is_waited_for_and_nothing_is_read_twice(disc: FaultyDisc, tmp_path: Path) -> None:
    disc.pulled_at = 6
    run, steps = copying(disc, tmp_path), []

    for step in run.steps():
        steps.append(step)
        if isinstance(step, CopyProgress) and step.phase is Phase.AWAY:
            disc.put_back()

    names = [one.file.below.name for one in steps if isinstance(one, Copied)]
    assert Phase.AWAY in {one.phase for one in steps if isinstance(one, CopyProgress)}
    assert sorted(names) == sorted({*names})
    assert len(names) == 13
    assert sorted(disc.order) == sorted([*names, names[5]])  # the one under way, once more
    assert run.progress.phase is Phase.SAFE
    assert not [one for one in steps if isinstance(one, Lost)]


def test_a_person_can_stop_at_any_moment_and_keeps_what_is_read(disc: FaultyDisc, tmp_path: Path) -> None:
    for reads in (0, 1, 5, 13):
        stop = threading.Event()
        run = copying(disc, tmp_path / str(reads), stopped=stop.is_set)
        kept = 0
        steps = run.steps()
        for step in steps:
            if kept == reads:
                stop.set()
            kept += isinstance(step, Copied)
        assert run.progress.phase is Phase.STOPPED
        assert len(run.copied) in (reads, reads + 1)
        assert all(one.path.is_file() for one in run.copied)


def test_a_disc_that_stays_away_can_be_stopped(disc: FaultyDisc, tmp_path: Path) -> None:
    disc.pulled_at, stop = 6, threading.Event()
    run = copying(disc, tmp_path, stopped=stop.is_set)

    for step in run.steps():
        if isinstance(step, CopyProgress) and step.phase is Phase.AWAY:
            stop.set()

    assert run.progress.phase is Phase.STOPPED
    assert len(run.copied) == 5


def test_a_copy_that_is_not_what_was_read_is_noticed_and_the_disc_not_called_safe(
    disc: FaultyDisc, tmp_path: Path
) -> None:
    run, lost = copying(disc, tmp_path), []

    for step in run.steps():
        if isinstance(step, Copied) and step.file.below.name == "IM7":
            step.path.chmod(0o600)
            step.path.write_bytes(b"z" * step.file.size_bytes)
        if isinstance(step, Lost):
            lost.append(step)

    assert [(one.file.below.name, one.finding.reason) for one in lost] == [("IM7", Reason.COPY_DIFFERS)]
    assert run.progress.phase is Phase.FAILED


def test_what_is_not_to_be_kept_is_read_no_further_than_its_first_bytes(disc: FaultyDisc, tmp_path: Path) -> None:
    (disc.root / "VIEWER.EXE").write_bytes(b"MZ" + bytes(3 * 1024 * 1024))
    foreign = Finding(Outcome.IGNORED, Reason.JUNK)
    run = copying(disc, tmp_path, judge=lambda one, head: foreign if head.startswith(b"MZ") else None)

    left = [one for one in run.steps() if isinstance(one, Left)]

    assert [(one.file.below.name, one.finding) for one in left] == [("VIEWER.EXE", foreign)]
    assert run.progress.phase is Phase.SAFE
    assert (run.progress.files_copied, run.progress.files_lost, disc.reads) == (14, 0, 14)


def test_a_file_that_changes_meanwhile_is_not_taken(disc: FaultyDisc, tmp_path: Path) -> None:
    run = copying(disc, tmp_path)
    (disc.root / "IMAGES" / "IM3").write_bytes(b"longer" * 2000)

    lost = [one for one in run.steps() if isinstance(one, Lost)]

    assert [(one.file.below.name, one.finding.reason) for one in lost] == [("IM3", Reason.CHANGED_WHILE_READING)]


def test_a_link_that_takes_the_place_of_a_folder_leads_nowhere(disc: FaultyDisc, tmp_path: Path) -> None:
    run = copying(disc, tmp_path)
    (disc.root / "IMAGES").rename(tmp_path / "elsewhere")
    (disc.root / "IMAGES").symlink_to(tmp_path / "elsewhere")

    lost = [one for one in run.steps() if isinstance(one, Lost)]

    assert {one.finding.reason for one in lost} == {Reason.LINK}
    assert len(lost) == 12


# --- going on -----------------------------------------------------------------------------------------------------


def test_what_was_copied_before_is_not_read_again_after_a_restart(disc: FaultyDisc, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with Journal(tmp_path / "discs", "mark") as journal:
        for step in itertools.islice(copying(disc, tmp_path).steps(), 9):
            if isinstance(step, Copied):
                journal.note(step.file, step.sha256)
    with (tmp_path / "discs" / "mark.jsonl").open("a") as stream:
        stream.write('["cut off')
    disc.order.clear()

    with Journal(tmp_path / "discs", "mark") as journal:
        before = {one: (sha, spool.path_of(sha)) for one, sha in journal.copied(planned(disc).files).items()}
    steps = list(copying(disc, tmp_path, before=before).steps())

    again = [one for one in steps if isinstance(one, Copied) and one.again]
    assert len(again) == len(before) == 4
    assert len(disc.order) == 13 - 4
    assert not {one.file.below.name for one in again} & set(disc.order)


def test_a_copy_that_is_gone_or_a_file_that_has_changed_is_read_again(disc: FaultyDisc, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with Journal(tmp_path / "discs", "mark") as journal:
        for step in copying(disc, tmp_path).steps():
            if isinstance(step, Copied):
                journal.note(step.file, step.sha256)
                gone = step.path
    gone.unlink()
    (disc.root / "IMAGES" / "IM2").write_bytes(b"another")
    disc.order.clear()

    with Journal(tmp_path / "discs", "mark") as journal:
        before = {one: (sha, spool.path_of(sha)) for one, sha in journal.copied(planned(disc).files).items()}
    list(copying(disc, tmp_path, before=before).steps())

    assert sorted(disc.order) == ["IM11", "IM2"]
