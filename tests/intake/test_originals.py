"""The originals: whole copies under their hash, nothing half, nothing that nobody knows of."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import threading
from hashlib import sha256 as sha256_of
from pathlib import Path

import pytest

from aicorona_desktop.intake.keeping import SpoolError, SpoolFullError
from aicorona_desktop.intake.originals import Originals


def sha256(data: bytes) -> str:
    return sha256_of(data).hexdigest()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_content_is_kept_once_under_its_hash_for_this_user_alone(tmp_path: Path) -> None:
    originals = Originals(tmp_path / "files")

    path = originals.keep(b"abc" * 1000)
    again = originals.keep(io.BytesIO(b"abc" * 1000), sha256(b"abc" * 1000))

    assert path == again == tmp_path / "files" / sha256(b"abc" * 1000)[:2] / sha256(b"abc" * 1000)
    assert files(tmp_path) == [path]
    assert originals.read(path.name) == b"abc" * 1000
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert {stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path.parent.parent)} == {0o700}


def test_bytes_of_another_hash_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another SHA-256"):
        Originals(tmp_path).keep(b"abd", sha256(b"abc"))
    with pytest.raises(ValueError, match="another SHA-256"):
        Originals(tmp_path).stage(b"abd", sha256(b"abc"))
    assert not files(tmp_path)


def test_what_is_staged_stands_after_it_was_announced_and_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(part: Path, path: Path) -> Path:
        order.append("rename")
        return replace(part, path)

    originals = Originals(tmp_path / "files", lambda told: order.append(f"announced {len(told)}"))
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    paths = [originals.stage(data, sha256(data)) for data in (b"one", b"two", b"one")]
    assert not any(path.exists() for path in paths)

    settled = originals.settle()

    assert set(settled) == {sha256(b"one"), sha256(b"two")}
    assert order[:3] == ["announced 2", "file", "file"]
    assert order[3:5] == ["rename", "rename"]
    assert set(order[5:]) <= {"folder"}
    assert [path.read_bytes() for path in paths] == [b"one", b"two", b"one"]
    assert originals.settle() == ()


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_full_disk_leaves_nothing_half_and_the_same_bytes_are_kept_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    originals = Originals(tmp_path)
    originals.keep(b"first")
    with monkeypatch.context() as full:
        full.setattr(Path if call == "replace" else os, call, fail)
        with pytest.raises(SpoolFullError, match="disk is full"):
            originals.keep(b"second")
    assert files(tmp_path) == [originals.path_of(sha256(b"first"))]

    assert originals.keep(b"second").read_bytes() == b"second"


def test_a_settling_that_fails_is_taken_up_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    originals = Originals(tmp_path)
    paths = [originals.stage(b"%d" % number, sha256(b"%d" % number)) for number in range(5)]
    replace, count = Path.replace, 0

    def fail_at_the_third(part: Path, path: Path) -> Path:
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(part, path)

    with monkeypatch.context() as full:
        full.setattr(Path, "replace", fail_at_the_third)
        with pytest.raises(SpoolFullError):
            originals.settle()
    originals.settle()

    assert [path.read_bytes() for path in paths] == [b"%d" % number for number in range(5)]
    assert len(files(tmp_path)) == 5


def test_a_copy_that_the_disk_has_damaged_is_noticed_and_written_anew(tmp_path: Path) -> None:
    originals = Originals(tmp_path)
    path = originals.keep(b"whole")
    path.write_bytes(b"whale")

    assert originals.read(path.name) is None
    assert originals.keep(b"whole").read_bytes() == b"whole"


def test_removed_copies_are_gone_and_asking_again_does_no_harm(tmp_path: Path) -> None:
    originals = Originals(tmp_path)
    kept, gone = originals.keep(b"kept"), originals.keep(b"gone")

    assert originals.remove([gone.name, sha256(b"never there")]) == 1
    assert originals.remove([gone.name]) == 0
    assert dict(originals.listing()) == {kept.name: 4}
    with pytest.raises(ValueError, match="SHA-256"):
        originals.remove(["../kept"])


def test_the_start_sweeps_half_copies_and_those_that_it_is_told_of_and_no_other(tmp_path: Path) -> None:
    before = Originals(tmp_path)
    known, unknown = before.keep(b"known"), before.keep(b"unknown")
    before.stage(b"half", sha256(b"half"))
    (known.parent / f".{known.name}.abcd.part").write_bytes(b"half")

    assert Originals(tmp_path).sweep([unknown.name]) == 3
    assert files(tmp_path) == [known]


def test_a_folder_that_is_closed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(SpoolError, match="may not write"):
        Originals(tmp_path).keep(b"abc")


def test_what_comes_again_while_it_is_being_removed_stays(tmp_path: Path) -> None:
    originals = Originals(tmp_path / "files")
    again, nobody = originals.keep(b"again"), originals.keep(b"nobody's")
    originals.let_go((again.name, nobody.name))
    originals.stage(b"again", again.name)  # it comes again: nothing has to be written, for it stands

    with originals.removal((again.name, nobody.name)) as gone:
        assert gone == (nobody.name,)
    assert again.is_file()
    assert not nobody.exists()

    originals.let_go((again.name,))
    with originals.removal((again.name,)) as gone:
        assert gone == (again.name,)
        keeping = threading.Thread(target=originals.keep, args=(b"again",))
        keeping.start()  # once more, while the history has not said yet that it is gone
        keeping.join(0.2)
        assert keeping.is_alive()
    keeping.join(10)
    assert again.read_bytes() == b"again"
