from __future__ import annotations

import contextlib
import csv
import errno
import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from aicorona_desktop.core.findings import Finding, Outcome, Reason, worst
from aicorona_desktop.intake.opening import not_dicom, open_regular
from aicorona_desktop.intake.walking import DEEPEST_FOLDER, is_junk, natural_key, shown_text, walk

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs links and special files")


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def shown(folder: Path) -> list[str]:
    return [found.shown for found in walk([folder]) if found.finding is None]


def findings(folder: Path) -> dict[str, tuple[Outcome, Reason]]:
    return {found.shown: (found.finding.outcome, found.finding.reason) for found in walk([folder]) if found.finding}


@pytest.fixture
def ordinary_user():
    """A folder of an ordinary user, in whose name the test goes on: root would be let in everywhere."""
    if sys.platform == "win32":
        pytest.skip("permissions are others there")
    folder = Path(tempfile.mkdtemp(prefix="aicorona-user-", dir="/tmp"))
    folder.chmod(0o777)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if was_root:
            os.seteuid(0)
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                path.chmod(0o700)
        shutil.rmtree(folder)


def test_files_come_in_natural_order_whatever_order_they_were_made_in(tmp_path):
    tree(tmp_path, "IM10", "b/1", "IM2", "im1", "a/x12.dcm", "a/x2.dcm")

    assert shown(tmp_path) == ["a/x2.dcm", "a/x12.dcm", "b/1", "im1", "IM2", "IM10"]


def test_the_order_is_the_same_for_names_that_differ_in_case_only():
    assert sorted(["a1", "A1", "A01"], key=natural_key) == sorted(["A01", "a1", "A1"], key=natural_key)


def test_empty_folders_give_nothing_and_a_folder_may_be_called_as_an_image(tmp_path):
    (tmp_path / "img.dcm").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)

    assert list(walk([tmp_path])) == []


@pytest.mark.parametrize(
    "name",
    ["Thumbs.db", ".DS_Store", "~$report.docx", "IM1.dcm.part", "IM1.crdownload", "IM1.dcm.tmp", ".IM1", "AUTORUN.INF"],
)
def test_files_of_other_programs_are_ignored_also_when_named_themselves(tmp_path, name):
    tree(tmp_path, name)

    (below,), (itself,) = walk([tmp_path]), walk([tmp_path / name])

    assert below.finding == itself.finding == Finding(Outcome.IGNORED, Reason.JUNK)


def test_junk_in_an_archive_is_told_by_the_last_name():
    assert is_junk("study.zip/__MACOSX/._IM1")
    assert is_junk("study.zip/Thumbs.db")
    assert not is_junk("study.zip/.hidden/IM1")


def test_hidden_folders_and_waste_baskets_are_named_once_and_not_entered(tmp_path):
    tree(tmp_path, ".git/1", ".git/2", "$RECYCLE.BIN/IM1", "ok/IM1")

    assert shown(tmp_path) == ["ok/IM1"]
    assert findings(tmp_path) == dict.fromkeys((".git", "$RECYCLE.BIN"), (Outcome.IGNORED, Reason.JUNK))


def test_a_hidden_folder_that_the_user_names_is_walked(tmp_path):
    tree(tmp_path, ".study/IM1")

    assert shown(tmp_path / ".study") == ["IM1"]


@posix_only
def test_links_are_never_followed(tmp_path):
    outside = tree(tmp_path / "outside", "secret.dcm")
    inside = tree(tmp_path / "inside", "IM1")
    (inside / "to-file.dcm").symlink_to(outside / "secret.dcm")
    (inside / "to-folder").symlink_to(outside)
    (inside / "up").symlink_to("..")
    (inside / "nowhere.dcm").symlink_to("gone")
    (inside / "self.dcm").symlink_to("self.dcm")

    assert shown(inside) == ["IM1"]
    assert findings(inside) == {
        "to-file.dcm": (Outcome.REFUSED, Reason.LINK),
        "to-folder": (Outcome.IGNORED, Reason.LINK),
        "up": (Outcome.IGNORED, Reason.LINK),
        "nowhere.dcm": (Outcome.REFUSED, Reason.LINK),
        "self.dcm": (Outcome.REFUSED, Reason.LINK),
    }


@posix_only
def test_a_link_that_the_user_names_is_resolved_once(tmp_path):
    tree(tmp_path / "real", "IM1")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").symlink_to("real/IM1")

    assert [found.path for found in walk([tmp_path / "link"])] == [(tmp_path / "real" / "IM1").resolve()]
    assert [found.finding for found in walk([tmp_path / "file"])] == [None]


@posix_only
@pytest.mark.parametrize("target", ["gone", "link"])
def test_a_link_that_leads_nowhere_is_refused_when_named_itself(tmp_path, target):
    (tmp_path / "link").symlink_to(target)

    (found,) = walk([tmp_path / "link"])

    assert found.finding == Finding(Outcome.REFUSED, Reason.LINK)


def test_what_is_not_there_is_said(tmp_path):
    (found,) = walk([tmp_path / "gone"])

    assert found.finding == Finding(Outcome.REFUSED, Reason.NOT_FOUND)


@posix_only
def test_pipes_and_sockets_are_refused_without_being_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.dcm")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.dcm"))
        refused = (Outcome.REFUSED, Reason.NOT_A_FILE)
        assert findings(tmp_path) == {"pipe.dcm": refused, "socket.dcm": refused}
    (named,) = walk([tmp_path / "pipe.dcm"])
    assert named.finding == Finding(Outcome.REFUSED, Reason.NOT_A_FILE)


def test_a_folder_without_permission_is_refused_and_the_rest_goes_on(ordinary_user):
    tree(ordinary_user, "a/1", "locked/1", "z/1")
    (ordinary_user / "locked").chmod(0)

    assert shown(ordinary_user) == ["a/1", "z/1"]
    assert findings(ordinary_user) == {"locked": (Outcome.REFUSED, Reason.NOT_LISTED)}
    (root,) = walk([ordinary_user / "locked"])
    assert root.finding == Finding(Outcome.REFUSED, Reason.NOT_LISTED)


class Torn:
    """A listing that breaks off: what `os.scandir` gives on a disc with a scratch."""

    def __init__(self, entries):
        self.entries = entries

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.entries.close()

    def __iter__(self):
        yield next(self.entries)
        raise OSError(errno.EIO, "scratched")


def test_a_folder_that_can_be_listed_in_part_gives_that_part_and_says_so(tmp_path, monkeypatch):
    tree(tmp_path, "disc/1", "disc/2", "disc/3")
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda place: Torn(scandir(place)))

    seen = list(walk([tmp_path / "disc"]))

    assert len([found for found in seen if found.finding is None]) == 1
    (told,) = [found for found in seen if found.finding is not None]
    assert (told.path, told.finding) == (tmp_path / "disc", Finding(Outcome.REFUSED, Reason.UNREADABLE))


def test_a_file_without_permission_is_refused_when_opened(ordinary_user):
    tree(ordinary_user, "a.dcm")
    (ordinary_user / "a.dcm").chmod(0)

    assert open_regular(ordinary_user / "a.dcm") == Finding(Outcome.REFUSED, Reason.NO_PERMISSION)


@posix_only
def test_names_that_are_not_utf8_are_kept_as_they_are_and_shown_safely(tmp_path):
    (tmp_path / os.fsdecode(b"\xff\xfe1.dcm")).write_bytes(b"x")

    (found,) = walk([tmp_path])

    assert os.fsencode(found.path.name) == b"\xff\xfe1.dcm"
    assert found.shown == "\ufffd\ufffd1.dcm"
    assert not isinstance(open_regular(found.path), Finding)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a\u202emcd.1.dcm", "a\ufffdmcd.1.dcm"),  # right-to-left override: would read a.1.dcm backwards
        ("a\n\t\x1b[31m.dcm", "a\ufffd\ufffd\ufffd[31m.dcm"),
        ("u\u0308.dcm", "\u00fc.dcm"),
        ("スキャン-ü-\U0001fa7b.dcm", "スキャン-ü-\U0001fa7b.dcm"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a\u2028b\u2066c\u200f\ufeff", "a\ufffdb\ufffdc\ufffd\ufffd"),
    ],
)
def test_shown_names_hide_and_turn_nothing(name, text):
    assert shown_text(name) == text


@posix_only
def test_a_path_longer_than_the_system_takes_is_walked_and_its_file_opened(tmp_path):
    top = tmp_path / "long"
    top.mkdir()
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(100):
        os.mkdir("d" * 60, dir_fd=descriptor)
        above, descriptor = descriptor, os.open("d" * 60, os.O_RDONLY, dir_fd=descriptor)
        os.close(above)
    with os.fdopen(os.open("IM1.dcm", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor), "wb") as file:
        file.write(b"abc")
    os.close(descriptor)
    try:
        (found,) = walk([top])
        opened = open_regular(found.path, found.shown)
        strict = open_regular(found.path, found.shown, below=found.root)
    finally:
        shutil.rmtree(top)

    assert len(os.fsencode(found.path)) > 6000
    assert not isinstance(opened, Finding)
    assert not isinstance(strict, Finding)
    assert opened[0] == strict[0] == b"abc"


@posix_only
def test_folders_nested_without_end_are_refused_at_a_depth(tmp_path):
    tree(tmp_path, "/".join(["d"] * (DEEPEST_FOLDER + 5)) + "/IM1", "z")

    assert shown(tmp_path) == ["z"]
    assert [reason for _, reason in findings(tmp_path).values()] == [Reason.FOLDER_TOO_DEEP]


def test_a_path_given_twice_or_inside_another_is_walked_once(tmp_path):
    tree(tmp_path, "a/1", "b/2")

    given = [tmp_path / "a", tmp_path, tmp_path / "a" / "1", tmp_path]

    assert [found.shown for found in walk(given)] == ["a/1", "b/2"]


@posix_only
def test_fifty_thousand_entries_stream(tmp_path):
    for number in range(50_000):
        os.mknod(f"{tmp_path}/IM{number}")

    walked = walk([tmp_path])
    first = next(walked)
    count = 1 + sum(1 for _ in walked)

    assert (first.shown, count) == ("IM0", 50_000)


def test_a_walk_that_is_broken_off_gives_its_handles_back(tmp_path):
    tree(tmp_path, "a/b/c/1", "a/b/c/2")
    before = _handles()

    walked = walk([tmp_path])
    next(walked)
    walked.close()  # type: ignore[attr-defined]

    assert _handles() == before


def test_the_generated_file_system_cases_come_out_as_their_manifest_says(bad_inputs):
    """What walking and opening can decide alone; that the files are images is the reader's to say."""
    with (bad_inputs / "manifest.csv").open(encoding="utf-8") as stream:
        cases = [case for case in csv.DictReader(stream) if case["class"] == "file-system"]
    wrong, skipped = [], []

    for case in cases:
        if case["case"].startswith("fs-unreadable") and os.geteuid() == 0:
            skipped.append(case["case"])  # root reads everything; the two tests above cover them
            continue
        told = [_outcome(found) for found in walk([bad_inputs / case["path"]])]
        noticed = tuple(finding for finding in told if finding is not None)
        scored = any(finding is None for finding in told)
        outcome = worst(noticed) if noticed or scored else Outcome.IGNORED
        text = " ".join(map(str, noticed))
        if outcome != case["expected"] or not re.search(case["reason"], text, re.IGNORECASE):
            wrong.append((case["case"], outcome, text))

    assert wrong == []
    assert len(cases) - len(skipped) >= 38


def _outcome(found):
    if found.finding is not None:
        return found.finding
    opened = open_regular(found.path, found.shown, below=found.root)
    if isinstance(opened, Finding):
        return opened
    data, _ = opened
    return None if data[128:132] == b"DICM" else not_dicom(found.shown, data[:16])


def _handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
