from __future__ import annotations

import os
import shutil
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicorona_desktop.core.findings import Outcome, Reason
from aicorona_desktop.intake.folders import FolderWatch, Look, Lookout
from aicorona_desktop.intake.settling import Reach
from aicorona_desktop.intake.walking import Found

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs links or locks of POSIX")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    def __init__(self, folder, **options):
        self.clock = Clock()
        self.folder = folder
        self.watch = FolderWatch(folder, clock=self.clock, **options)

    def look(self, after_s: float = 5.0):
        self.clock.now += after_s
        return self.watch.look()

    def settled(self, after_s: float = 5.0) -> list[str]:
        return [found.shown for found in self.look(after_s).settled]


@pytest.fixture
def watched(tmp_path):
    folder = tmp_path / "watched"
    folder.mkdir()
    return Watched(folder)


def write(path, data=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_files_are_handed_out_once_complete_and_once_only_in_natural_order(watched):
    for name in ("IM10", "IM2", "sub/IM1"):
        write(watched.folder / name)

    assert [watched.settled() for _ in range(4)] == [[], ["IM2", "IM10", "sub/IM1"], [], []]


def test_a_file_that_is_still_being_written_is_only_counted(watched):
    for size in (10, 20, 30):
        write(watched.folder / "IM1", b"x" * size)
        look = watched.look()
        assert (look.settled, look.arriving) == ((), 1)

    assert watched.settled() == ["IM1"]


def test_half_written_files_of_others_wait_for_their_name(watched):
    write(watched.folder / "IM1.dcm.part")
    assert [watched.settled() for _ in range(3)] == [[], [], []]

    (watched.folder / "IM1.dcm.part").rename(watched.folder / "IM1.dcm")

    assert [watched.settled() for _ in range(2)] == [[], ["IM1.dcm"]]


def test_a_file_that_changes_later_is_handed_out_again(watched):
    write(watched.folder / "IM1")
    watched.settled(), watched.settled()

    write(watched.folder / "IM1", b"other bytes")

    assert [watched.settled() for _ in range(3)] == [[], ["IM1"], []]


def test_a_folder_that_is_empty_after_it_was_not_is_offline_and_comes_back_as_it_was(watched, tmp_path):
    write(watched.folder / "IM1")
    watched.settled(), watched.settled()
    (watched.folder / "IM1").rename(tmp_path / "aside")

    gone = watched.look()
    (tmp_path / "aside").rename(watched.folder / "IM1")
    back = watched.look()

    assert (gone.reach, gone.reachable) == (Reach.OFFLINE, False)
    assert (back.reach, back.settled) == (Reach.WATCHING, ())


def test_a_folder_that_cannot_be_reached_is_said_after_three_looks_and_nothing_is_lost(watched, tmp_path):
    write(watched.folder / "IM1")
    watched.look()
    watched.folder.rename(tmp_path / "unplugged")

    looks = [watched.look() for _ in range(3)]
    (tmp_path / "unplugged").rename(watched.folder)

    assert [look.reachable for look in looks] == [True, True, False]
    assert looks[2].reach is Reach.UNREACHABLE
    assert looks[2].finding is not None
    assert looks[2].finding.reason is Reason.NOT_FOUND
    assert watched.watch.since_s == 10.0
    assert watched.settled() == ["IM1"]


@posix_only
def test_links_are_not_followed_and_refused_once(watched, tmp_path):
    write(tmp_path / "outside" / "secret")
    write(watched.folder / "IM1")
    (watched.folder / "link").symlink_to(tmp_path / "outside" / "secret")
    (watched.folder / "folder").symlink_to(tmp_path / "outside")

    looks = [watched.look() for _ in range(3)]

    told = [(found.shown, found.finding) for look in looks for found in look.settled]
    assert [shown for shown, _ in told] == ["link", "IM1"]
    assert told[0][1] is not None
    assert (told[0][1].outcome, told[0][1].reason) == (Outcome.REFUSED, Reason.LINK)
    assert told[1][1] is None


@posix_only
def test_a_watched_folder_that_is_replaced_by_a_link_is_not_followed(watched, tmp_path):
    write(tmp_path / "outside" / "secret")
    watched.look()
    watched.folder.rename(tmp_path / "aside")
    watched.folder.symlink_to(tmp_path / "outside")

    looks = [watched.look() for _ in range(4)]

    assert [look.settled for look in looks] == [()] * 4
    assert looks[-1].reach is Reach.UNREACHABLE


@posix_only
def test_a_watched_folder_that_was_a_link_from_the_start_is_resolved_once(tmp_path):
    write(tmp_path / "real" / "IM1")
    (tmp_path / "link").symlink_to("real")
    watched = Watched(tmp_path / "link")

    assert [watched.settled() for _ in range(2)] == [[], ["IM1"]]
    assert watched.watch.folder == tmp_path / "link"


def test_a_very_large_folder_is_looked_through_over_several_looks(tmp_path):
    for number in range(25):
        write(tmp_path / f"IM{number}")
    watched = Watched(tmp_path, entries_per_look=10)

    settled = [watched.settled() for _ in range(9)]

    assert [len(names) for names in settled] == [0, 0, 0, 0, 0, 25, 0, 0, 0]


@posix_only
def test_a_locked_file_is_handed_out_after_its_release_and_reported_when_that_takes_long(watched):
    import fcntl

    write(watched.folder / "IM1")
    with (watched.folder / "IM1").open("r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        early = [watched.settled() for _ in range(3)]
        late = [watched.look(300) for _ in range(4)]

    assert early == [[], [], []]
    reasons = [[found.finding and found.finding.reason for found in look.settled] for look in late]
    assert reasons == [[], [Reason.LOCKED], [], []]
    assert watched.settled(300) == ["IM1"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "delete", "rename", "unplug"]), st.integers(0, 3), st.floats(0.5, 9)),
        max_size=25,
    )
)
def test_whatever_happens_in_the_folder_every_file_ends_up_handed_out_as_it_is(tmp_path, steps):
    folder = tmp_path / "property"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    watched, last = Watched(folder), {}

    def take(look):
        for found in look.settled:
            last[found.shown] = (found.path.stat().st_mtime_ns, found.path.read_bytes())
            assert watched.clock.now - changed_at[found.shown] >= 5

    changed_at = {}
    for stamp, (what, number, seconds) in enumerate(steps, 1):
        name, path = f"IM{number}", folder / f"IM{number}"
        if what == "write":
            path.write_bytes(b"%d" % stamp)
            os.utime(path, ns=(stamp, stamp))
            changed_at[name] = watched.clock.now
        elif what == "delete":
            path.unlink(missing_ok=True)
        elif what == "rename" and path.exists():
            path.rename(folder / f"IM{number + 4}")
            changed_at[f"IM{number + 4}"] = watched.clock.now
        elif what == "unplug":
            folder.rename(tmp_path / "unplugged")
            assert watched.look(seconds).settled == ()
            (tmp_path / "unplugged").rename(folder)
        take(watched.look(seconds))

    for _ in range(2):
        take(watched.look())

    for path in folder.iterdir():
        assert last[path.name] == (path.stat().st_mtime_ns, path.read_bytes())
    assert watched.look().settled == ()


# --- looks on a thread of their own -----------------------------------------------------------------------------


def eventually(answer, timeout_s=10.0):
    until = time.monotonic() + timeout_s
    while not (found := answer()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


class Scripted:
    """A watch whose looks the test decides on."""

    def __init__(self, *looks):
        self.looks = list(looks)

    is_on_network = False

    def __call__(self, _folder):
        return self

    def next_look_in_s(self, every_s):
        return every_s

    def look(self):
        look = self.looks.pop(0)
        if isinstance(look, threading.Event):
            look.wait(10)
            return Look((), Reach.WATCHING)
        if isinstance(look, Exception):
            raise look
        return look


def test_a_look_waits_until_it_is_taken_and_the_next_one_begins_only_then(tmp_path):
    looks = [Look((Found(tmp_path / name, name),), Reach.WATCHING) for name in "abc"]
    watch = Scripted(*looks)
    woken = threading.Event()
    lookout = Lookout(tmp_path, 0.01, woken.set, watch)

    assert woken.wait(10)
    time.sleep(0.2)
    assert len(watch.looks) >= 1  # one waits, one more at most was looked at meanwhile
    taken = [eventually(lookout.take) for _ in looks]
    lookout.close()

    assert taken == looks


def test_a_look_that_hangs_is_seen_from_outside_and_closing_does_not_wait_for_it(tmp_path):
    hangs = threading.Event()
    lookout = Lookout(tmp_path, 0.01, make=Scripted(hangs))

    eventually(lambda: lookout.looking_s > 0.1)
    started = time.monotonic()
    lookout.close()

    assert time.monotonic() - started < 1
    assert not lookout.waiting
    hangs.set()


def test_a_look_that_breaks_counts_as_one_that_saw_nothing_and_the_next_one_is_tried(tmp_path):
    good = Look((), Reach.WATCHING)
    lookout = Lookout(tmp_path, 0.01, make=Scripted(OSError("broken"), good, good, good))

    first, second = eventually(lookout.take), eventually(lookout.take)
    lookout.close()

    assert (first.reachable, first.finding.reason) == (False, Reason.UNREADABLE)
    assert second == good


def test_a_look_can_be_asked_for_before_its_time(tmp_path):
    good = Look((), Reach.WATCHING)
    lookout = Lookout(tmp_path, 600, make=Scripted(good, good, good))
    eventually(lookout.take)

    lookout.look_now()

    assert eventually(lookout.take) == good
    lookout.close()


# --- over restarts, and on other drives -----------------------------------------------------------------------------


def known_of(watched) -> dict[str, tuple[int, int, str]]:
    return {
        str(path.relative_to(watched.folder)): (path.stat().st_size, path.stat().st_mtime_ns, str(path.stat().st_ino))
        for path in watched.folder.rglob("*")
        if path.is_file()
    }


def test_what_an_earlier_run_has_read_is_handed_out_again_only_where_it_has_changed(watched):
    for name in ("a", "b", "c"):
        (watched.folder / name).write_bytes(b"1")
    again = Watched(watched.folder, known=known_of(watched))
    (watched.folder / "b").write_bytes(b"22")
    (watched.folder / "d").write_bytes(b"new")

    assert again.settled() == []
    assert again.settled() == ["b", "d"]
    assert again.settled() == []


def test_a_folder_that_held_files_in_an_earlier_run_and_is_empty_now_is_offline(watched):
    (watched.folder / "a").write_bytes(b"1")
    known = known_of(watched)
    (watched.folder / "a").unlink()

    assert Watched(watched.folder, known=known).look().reach is Reach.OFFLINE
    assert Watched(watched.folder, known=known, may_empty=True).look().reach is Reach.WATCHING


def test_the_next_look_comes_as_soon_as_a_file_may_be_complete(watched):
    (watched.folder / "a").write_bytes(b"1")
    watched.look()
    assert watched.watch.next_look_in_s(10.0) == 5.0

    watched.clock.now += 3
    assert watched.watch.next_look_in_s(10.0) == 2.0
    assert watched.settled(1.5) == []
    assert watched.watch.next_look_in_s(10.0) == 0.5
    watched.clock.now += 5
    assert watched.watch.next_look_in_s(10.0) == 0.2
    assert watched.settled(0.2) == ["a"]
    assert watched.watch.next_look_in_s(10.0) == 10.0


def test_on_a_network_drive_files_stand_still_for_longer_and_looks_are_further_apart(watched, monkeypatch):
    monkeypatch.setattr("aicorona_desktop.intake.folders.is_on_network", lambda _folder: True)
    remote = Watched(watched.folder)
    (watched.folder / "a").write_bytes(b"1")
    assert [remote.settled(10.0) for _ in range(3)] == [[], [], ["a"]]
    assert remote.watch.is_on_network
