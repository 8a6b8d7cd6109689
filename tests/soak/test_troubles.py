"""What a clinic's computer does to a program: a newer history, a closed folder, clocks that jump, shares that vanish.

The program is the real one (`tests.soak.program`), with a reader and a scorer that need no processes.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aicorona_desktop.history import migrations
from aicorona_desktop.history.store import History
from tests import phantom
from tests.soak.child import Child
from tests.soak.faults import shim
from tests.soak.ledger import Acknowledged, troubles
from tests.soak.small_disk import can_mount, make_read_only, mount, unmount

DISK_BYTES = 64_000_000
needs_mounts = pytest.mark.skipif(not can_mount(), reason="disks can only be mounted as root, or in a user namespace")


@pytest.fixture
def preload(tmp_path: Path) -> Path:
    built = shim(tmp_path)
    if built is None:
        pytest.skip("there is no C compiler to build the shim with")
    return built


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder, DISK_BYTES)
    yield folder
    unmount(folder)


def study(folder: Path, name: str) -> str:
    one = phantom.chest(name).with_slices(18)
    one.written_to(folder / name)
    return one.study_instance_uid


def life(place: Path, *words: str, near: bool = True) -> list[str]:
    return Child(
        place / "history.sqlite", place.parent / "pack", [*(["near", "floorless"] if near else []), *words]
    ).wait()


def scored(lines: list[str]) -> set[str]:
    return {line.split()[1] for line in lines if line.startswith("scored")}


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    """What each file below a folder holds, and when it was changed."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_history_of_a_newer_version_is_byte_identical_after_the_whole_program_has_had_it(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    study(tmp_path / "source", "before")
    study(tmp_path / "later", "later")
    assert scored(life(place, f"submit={tmp_path / 'source'}", "backup"))
    with closing(sqlite3.connect(place / "history.sqlite")) as raw:
        raw.execute(f"PRAGMA user_version = {len(migrations.STEPS) + 7}")
    before = fingerprint(place)

    lines = life(place, f"submit={tmp_path / 'later'}", "backup")

    assert "newer version" in "".join(lines)
    assert not scored(lines)
    assert fingerprint(place) == before
    with History.open(place / "history.sqlite", read_only=True) as history:
        assert len(history.rows()) == 1


@needs_mounts
def test_in_a_folder_that_can_not_be_written_the_history_is_read_and_nothing_is_scored(
    tmp_path: Path, disk: Path
) -> None:
    study(tmp_path / "source", "before")
    study(tmp_path / "later", "later")
    assert scored(life(disk, f"submit={tmp_path / 'source'}"))
    make_read_only(disk)
    before = fingerprint(disk)

    lines = life(disk, f"submit={tmp_path / 'later'}")

    assert "can't be written" in "".join(lines)
    assert fingerprint(disk) == before
    with History.open(disk / "history.sqlite", read_only=True) as history:
        assert [row.probabilities is not None for row in history.rows()] == [True]


JUMPS = {
    "1970": -1_795_000_000,  # an empty battery
    "an hour back": -3600,
    "2038": 400_000_000,
    "beyond 2038": 600_000_000,
    "the night of the winter clock": -30 * 86_400,
}


def test_whatever_the_clock_says_everything_is_kept_in_order_and_backed_up(tmp_path: Path, preload: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    told = Acknowledged()
    expected = []
    child = Child(
        place / "history.sqlite", tmp_path / "pack", ["near", "floorless", "stay"], preload, TZ="Europe/Berlin"
    )
    assert child.heard("open")
    for jump, seconds in {"now": 0, **JUMPS, "now again": 0}.items():
        at = len(child.lines)
        child.say(f"clock={seconds}")
        expected.append(study(tmp_path / "source", jump.replace(" ", "-")))
        child.say(f"submit={tmp_path / 'source' / jump.replace(' ', '-')}")
        assert child.heard("scored", at), (jump, child.lines[at:])
        child.say("backup")
        assert child.heard("backed-up", at), jump
    lines = child.end()
    told.hear(lines)

    assert lines[-1] == "end\n"
    assert list(troubles(place / "history.sqlite", told)) == []
    assert told.scored == set(expected)
    newest = max(place.glob("*.backups/*.sqlite3"), key=lambda path: path.name)
    for ledger in (place / "history.sqlite", newest):
        with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as raw:
            found = raw.execute("SELECT study_instance_uid FROM study ORDER BY sequence").fetchall()
        assert [uid for (uid,) in found] == expected


def test_a_clock_set_back_between_two_starts_makes_a_backup_due_and_loses_nothing(
    tmp_path: Path, preload: Path
) -> None:
    place = tmp_path / "data"
    place.mkdir()
    study(tmp_path / "source", "once")
    ahead = Child(place / "history.sqlite", tmp_path / "pack", ["near", "floorless", "stay"], preload)
    assert ahead.heard("open")
    ahead.say("clock=400000000")
    ahead.say(f"submit={tmp_path / 'source'}")
    assert ahead.heard("scored")
    ahead.say("backup")
    assert ahead.heard("backed-up")
    told = Acknowledged()
    told.hear(ahead.end())

    with History.open(place / "history.sqlite") as history:
        assert history.backup_is_due
    assert list(troubles(place / "history.sqlite", told)) == []


@needs_mounts
def test_a_share_that_vanishes_is_said_and_nothing_of_it_is_read_twice_when_it_is_back(
    tmp_path: Path, disk: Path
) -> None:
    place = tmp_path / "data"
    place.mkdir()
    first = study(disk, "first")
    child = Child(place / "history.sqlite", tmp_path / "pack", ["near", "floorless", f"watch={disk}", "files", "stay"])
    assert child.heard(f"scored {first}")
    files_before = sum(line.startswith("file") for line in child.lines)
    kept = {path.relative_to(disk): (path.read_bytes(), path.stat().st_mtime_ns) for path in disk.rglob("*.dcm")}

    unmount(disk)

    assert child.heard("lost", timeout_s=30)
    mount(disk, DISK_BYTES)
    for path, (content, mtime_ns) in kept.items():
        (disk / path).parent.mkdir(exist_ok=True)
        (disk / path).write_bytes(content)
        os.utime(disk / path, ns=(mtime_ns, mtime_ns))
    assert child.heard("back", timeout_s=30)
    second = study(disk, "second")
    assert child.heard(f"scored {second}")
    told = Acknowledged()
    told.hear(child.end())

    assert told.scored == {first, second}
    assert list(troubles(place / "history.sqlite", told)) == []
    assert files_before == 18


def test_a_share_that_answers_nothing_but_errors_is_said_and_comes_back(tmp_path: Path, preload: Path) -> None:
    place, share = tmp_path / "data", tmp_path / "share"
    place.mkdir()
    first = study(share, "first")
    words = ["near", "floorless", f"watch={share}", "files", "stay"]
    child = Child(place / "history.sqlite", tmp_path / "pack", words, preload)
    assert child.heard(f"scored {first}")

    child.say(f"dead={share}")

    assert child.heard("lost", timeout_s=30)
    second = study(share, "second")
    child.say("dead=")
    assert child.heard("back", timeout_s=30)
    assert child.heard(f"scored {second}")
    told = Acknowledged()
    told.hear(lines := child.end())
    assert told.scored == {first, second}
    assert sum(line.startswith("file") for line in lines) == 36  # each once: the first ones were not read again
    assert list(troubles(place / "history.sqlite", told)) == []


@needs_mounts
def test_a_medium_that_is_pulled_out_in_mid_copy_is_waited_for_and_copied_whole(tmp_path: Path, disk: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    names = [f"pulled-{number}" for number in range(6)]
    uids = {study(disk, name) for name in names}
    kept = {path.relative_to(disk): path.read_bytes() for path in disk.rglob("*.dcm")}
    child = Child(place / "history.sqlite", tmp_path / "pack", ["near", "floorless", f"disc={disk}", "stay"])
    assert child.heard("disc copying", timeout_s=60)

    unmount(disk)
    assert child.heard("disc away", timeout_s=60), [line for line in child.lines if line.startswith("disc")]
    mount(disk, DISK_BYTES)
    for path, content in kept.items():
        (disk / path).parent.mkdir(exist_ok=True)
        (disk / path).write_bytes(content)

    assert child.heard("disc safe", timeout_s=120)
    assert child.heard_all({f"scored {uid}" for uid in uids})
    said = Acknowledged()
    said.hear(child.end())
    assert said.scored == uids
    assert said.instances == len(kept)
    assert list(troubles(place / "history.sqlite", said)) == []
