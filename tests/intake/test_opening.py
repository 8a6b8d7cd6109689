from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import sys
import threading
from dataclasses import replace

import pytest

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.intake import opening
from aicorona_desktop.intake.opening import LARGEST_FILE_BYTES, is_busy, not_dicom, open_regular, read_again

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs links, pipes or locks of POSIX")


def refused(reason: Reason) -> Finding:
    return Finding(Outcome.REFUSED, reason)


def test_a_file_comes_with_what_proves_it(tmp_path):
    path = tmp_path / "IM1"
    path.write_bytes(b"abc" * 1_000_000)

    opened = open_regular(path, "disc/IM1", "source")

    assert isinstance(opened, tuple)
    data, ref = opened
    assert data == b"abc" * 1_000_000
    sha256 = hashlib.sha256(data).hexdigest()
    assert ref == FileRef(path, "disc/IM1", 3_000_000, path.stat().st_mtime_ns, sha256, "source")


def test_a_file_is_shown_by_its_own_name_where_none_is_given(tmp_path):
    (tmp_path / "a\u202e.dcm").write_bytes(b"x")

    opened = open_regular(tmp_path / "a\u202e.dcm")

    assert isinstance(opened, tuple)
    assert opened[1].shown == "a\ufffd.dcm"


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a").touch()

    assert open_regular(tmp_path / "a") == refused(Reason.EMPTY_FILE)


def test_a_file_over_the_limit_is_refused_without_being_read(tmp_path):
    with (tmp_path / "a").open("wb") as stream:
        stream.truncate(2**36)  # a hole: takes no space

    finding = open_regular(tmp_path / "a")

    assert finding == Finding(Outcome.REFUSED, Reason.TOO_LARGE_FILE, found=65536.0, needed=256.0)
    assert "65536 MiB" in str(finding)


def test_a_file_of_exactly_the_limit_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "LARGEST_FILE_BYTES", 1000)
    (tmp_path / "at").write_bytes(b"x" * 1000)
    (tmp_path / "over").write_bytes(b"x" * 1001)

    assert isinstance(open_regular(tmp_path / "at"), tuple)
    assert isinstance(open_regular(tmp_path / "over"), Finding)
    assert LARGEST_FILE_BYTES == 256 * 1024 * 1024


@pytest.mark.parametrize("kind", ["gone", "folder"])
def test_what_is_no_file_is_refused(tmp_path, kind):
    (tmp_path / "folder").mkdir()
    reasons = {"gone": Reason.NOT_FOUND, "folder": Reason.NOT_A_FILE}

    assert open_regular(tmp_path / kind) == refused(reasons[kind])


@posix_only
def test_links_and_pipes_are_refused_at_once(tmp_path):
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")

    assert open_regular(tmp_path / "link") == refused(Reason.LINK)
    assert open_regular(tmp_path / "pipe") == refused(Reason.NOT_A_FILE)


@posix_only
@pytest.mark.parametrize("trick", ["link", "pipe", "other"])
def test_a_file_exchanged_between_look_and_open_is_refused(tmp_path, monkeypatch, trick):
    path = tmp_path / "a"
    path.write_bytes(b"harmless")
    (tmp_path / "secret").write_bytes(b"secret")
    look = os.stat

    def exchange_after(*arguments, **options):
        status = look(*arguments, **options)
        path.unlink()
        {"link": lambda: path.symlink_to("secret"), "pipe": lambda: os.mkfifo(path)}.get(
            trick, lambda: (tmp_path / "secret").rename(path)
        )()
        return status

    monkeypatch.setattr(opening.os, "stat", exchange_after)

    finding = open_regular(path)
    monkeypatch.undo()

    expected = {"link": [Reason.LINK], "pipe": [Reason.NOT_A_FILE, Reason.CHANGED_WHILE_READING]}
    assert finding in [refused(reason) for reason in expected.get(trick, [Reason.CHANGED_WHILE_READING])]


@posix_only
def test_no_folder_on_the_way_may_be_a_link_below_a_walked_folder(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "IM1").write_bytes(b"secret")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "sub").symlink_to("../outside")

    assert open_regular(tmp_path / "root" / "sub" / "IM1", below=tmp_path / "root") == refused(Reason.LINK)


def test_a_file_that_grows_or_shrinks_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a"
    read = os.read

    for change in (b"x" * 3_000_000, b"x" * 1_500_000, b"y" * 2_500_000):
        path.write_bytes(b"x" * 2_500_000)
        os.utime(path, (1, 1))
        calls = []

        def change_under_it(descriptor, count, change=change, calls=calls):
            calls.append(count)
            if len(calls) == 2:
                path.write_bytes(change)
            return read(descriptor, count)

        monkeypatch.setattr(opening.os, "read", change_under_it)
        finding = open_regular(path)
        monkeypatch.undo()

        assert finding == refused(Reason.CHANGED_WHILE_READING)


@pytest.mark.parametrize(("failures", "read_in_the_end"), [(2, True), (3, False)])
def test_a_scratched_disc_is_asked_three_times(tmp_path, monkeypatch, failures, read_in_the_end):
    (tmp_path / "a").write_bytes(b"abc")
    read, left = os.read, [failures]

    def scratched(descriptor, count):
        if left[0]:
            left[0] -= 1
            raise OSError(errno.EIO, "Input/output error")
        return read(descriptor, count)

    monkeypatch.setattr(opening.os, "read", scratched)

    opened = open_regular(tmp_path / "a", pause_s=0)
    monkeypatch.undo()

    assert (opened == refused(Reason.UNREADABLE)) is not read_in_the_end
    assert isinstance(opened, tuple) is read_in_the_end


def test_every_error_of_the_system_has_its_sentence():
    assert opening.file_finding(OSError(errno.EACCES, "")) == refused(Reason.NO_PERMISSION)
    assert opening.file_finding(OSError(errno.ELOOP, "")) == refused(Reason.LINK)
    assert opening.file_finding(OSError(errno.ESTALE, "")) == refused(Reason.UNREADABLE)
    sharing = OSError(errno.EACCES, "")
    sharing.winerror = 32  # type: ignore[attr-defined]
    assert opening.file_finding(sharing) == refused(Reason.LOCKED)


@posix_only
def test_a_file_that_another_program_holds_locked_is_left_until_it_is_released(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    context = multiprocessing.get_context("spawn")
    holds, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(path, holds, release))
    other.start()
    assert holds.wait(30)

    busy, while_held = is_busy(path), open_regular(path)
    release.set()
    other.join(30)

    assert busy
    assert while_held == refused(Reason.LOCKED)
    assert not is_busy(path)
    assert isinstance(open_regular(path), tuple)


@posix_only
def test_reading_keeps_nobody_from_locking_the_file(tmp_path, monkeypatch):
    import fcntl

    path = tmp_path / "a"
    path.write_bytes(b"abc")
    read = os.read

    def lock_meanwhile(descriptor, count):
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return read(descriptor, count)

    monkeypatch.setattr(opening.os, "read", lock_meanwhile)

    opened = open_regular(path)
    monkeypatch.undo()

    assert isinstance(opened, tuple)


def test_what_was_read_is_read_again_only_while_it_is_the_same(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    opened = open_regular(path)
    assert isinstance(opened, tuple)
    ref = opened[1]

    same = read_again(ref)
    path.write_bytes(b"abd")
    os.utime(path, ns=(ref.mtime_ns, ref.mtime_ns))
    other = read_again(ref)
    path.unlink()

    assert same == b"abc"
    assert other == refused(Reason.CHANGED_WHILE_READING)
    assert read_again(replace(ref)) == refused(Reason.NOT_FOUND)


@pytest.mark.parametrize(
    ("name", "outcome", "reason"),
    [
        ("README.txt", Outcome.IGNORED, Reason.JUNK),
        ("photo.jpg", Outcome.IGNORED, Reason.JUNK),
        ("LOCKFILE", Outcome.IGNORED, Reason.JUNK),
        ("VIEWER/v.exe", Outcome.IGNORED, Reason.JUNK),
        ("img.dcm", Outcome.REFUSED, Reason.NOT_DICOM),
        ("IMG.DCM. ", Outcome.REFUSED, Reason.NOT_DICOM),
        ("a.dicom", Outcome.REFUSED, Reason.NOT_DICOM),
        ("slice.IMA", Outcome.REFUSED, Reason.NOT_DICOM),
        ("DICOM/IM00012", Outcome.REFUSED, Reason.NOT_DICOM),
        ("00000001", Outcome.REFUSED, Reason.NOT_DICOM),
        ("CT.1.2.840.113619.2.55", Outcome.REFUSED, Reason.NOT_DICOM),
        ("pd_zipMR.gz", Outcome.REFUSED, Reason.ARCHIVE_KIND),
        ("study.7z", Outcome.REFUSED, Reason.ARCHIVE_KIND),
        ("study.tar", Outcome.REFUSED, Reason.ARCHIVE_KIND),
    ],
)
def test_no_dicom_is_refused_only_where_it_claims_to_be(name, outcome, reason):
    assert not_dicom(name) == Finding(outcome, reason)


def test_a_data_set_without_preamble_is_never_missed_in_silence(shared):
    path = shared / "data" / "dicom_bad" / "d4_no_preamble_dicm_in_data"

    assert not_dicom(path.name).outcome is Outcome.IGNORED
    assert not_dicom(path.name, path.read_bytes()[:16]).outcome is Outcome.REFUSED
    assert not_dicom("notes", b"\x08\x00 is how it began").outcome is Outcome.IGNORED


def test_opening_in_many_threads_mixes_nothing_up(tmp_path):
    contents = {tmp_path / str(number): bytes([number]) * 100_000 for number in range(8)}
    for path, data in contents.items():
        path.write_bytes(data)
    answers = {}

    def work(path):
        answers[path] = open_regular(path)

    threads = [threading.Thread(target=work, args=(path,)) for path in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {path: answer[0] for path, answer in answers.items()} == contents


def _hold(path, holds, release):
    import fcntl

    with path.open("r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        holds.set()
        release.wait(30)
