from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aicorona_desktop.intake.keeping import Spool, SpoolError


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_bytes_lie_under_their_own_hash(tmp_path):
    spool, data = Spool(tmp_path / "files"), b"abc" * 1000

    path = spool.keep(data, sha256(data))

    assert path == tmp_path / "files" / sha256(data)[:2] / sha256(data)
    assert path.read_bytes() == data
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions there")
def test_only_the_user_may_read_them(tmp_path):
    path = Spool(tmp_path / "files").keep(b"abc", sha256(b"abc"))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_keeping_the_same_bytes_again_does_nothing(tmp_path):
    spool = Spool(tmp_path)
    path = spool.keep(b"abc", sha256(b"abc"))
    before = path.stat()

    again = spool.keep(b"abc", sha256(b"abc"))

    assert again == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_torn_copy_under_the_name_is_replaced(tmp_path):
    spool = Spool(tmp_path)
    path = spool.keep(b"abc", sha256(b"abc"))
    path.write_bytes(b"a")

    spool.keep(b"abc", sha256(b"abc"))

    assert path.read_bytes() == b"abc"


@pytest.mark.parametrize("name", ["", "../../evil", "A" * 64, "0" * 63, "0" * 62 + "/x", "g" * 64])
def test_only_a_hash_can_be_a_name(tmp_path, name):
    with pytest.raises(ValueError, match="SHA-256"):
        Spool(tmp_path / "files").keep(b"abc", name)

    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_not_what_they_are_called_are_not_kept(tmp_path):
    with pytest.raises(ValueError, match="another SHA-256"):
        Spool(tmp_path / "files").keep(b"abd", sha256(b"abc"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "may not write"), (errno.EIO, "check the disk")]
)
def test_a_disk_that_fails_is_said_and_nothing_half_is_left(tmp_path, monkeypatch, call, number, words):
    def fail(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    place = {"fsync": os, "open": os, "replace": Path}[call]
    spool = Spool(tmp_path)
    spool.keep(b"abc", sha256(b"abc"))
    other = b"other" * 9
    (tmp_path / sha256(other)[:2]).mkdir(exist_ok=True)
    monkeypatch.setattr(place, call, fail)

    with pytest.raises(SpoolError, match=words):
        spool.keep(other, sha256(other))
    monkeypatch.undo()

    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [spool.path_of(sha256(b"abc"))]
    assert spool.keep(other, sha256(other)).read_bytes() == other


def test_the_bytes_are_on_the_disk_before_the_name_is_and_the_name_before_it_returns(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor):
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(part, path):
        order.append("rename")
        return replace(part, path)

    spool = Spool(tmp_path)
    spool.path_of(sha256(b"abc")).parent.mkdir()
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)

    spool.keep(b"abc", sha256(b"abc"))

    assert order == (["file", "rename"] if sys.platform == "win32" else ["file", "rename", "folder"])


def test_a_killed_program_leaves_whole_copies_only(tmp_path):
    code = (
        "import hashlib, itertools, sys; from pathlib import Path; from aicorona_desktop.intake.keeping import Spool\n"
        f"spool = Spool(Path({str(tmp_path)!r}))\n"
        "for n in itertools.count():\n"
        "    data = b'%09d' % n * 20000\n"
        "    print(spool.keep(data, hashlib.sha256(data).hexdigest()).name, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        first = program.stdout.readline().strip()
        time.sleep(0.3)
        program.kill()
        said = [first, *program.stdout.read().split()]

    kept = {path.name: path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".part")}
    assert all(name == sha256(path.read_bytes()) for name, path in kept.items())
    assert set(said[:-1]) <= set(kept)
