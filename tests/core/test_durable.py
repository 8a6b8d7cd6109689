"""A file is the old one or the whole new one, whatever breaks while it is written."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from aicorona_desktop.core import durable
from aicorona_desktop.core.durable import ONLY_OURS, write_file


@pytest.mark.parametrize("failure", [OSError("no disk"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_file_that_can_not_be_written_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, failure: BaseException
) -> None:
    path = tmp_path / "settings.json"
    write_file(path, b"old")

    def fail(*_arguments: object) -> None:
        raise failure

    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(type(failure)):
        write_file(path, b"new")

    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("settings.json", b"old")]


def test_two_that_write_the_same_file_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sync = tmp_path / "answer.json", os.fsync

    def another_comes(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        write_file(path, b"another")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", another_comes)
    write_file(path, b"one")

    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("answer.json", b"one")]


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of POSIX")
def test_a_private_file_is_private_before_anything_stands_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, modes = os.fsync, []

    def note(descriptor: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_file(tmp_path / "copy", b"bytes", ONLY_OURS)

    assert modes[0] == stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600


@pytest.mark.parametrize(("held_for", "is_written"), [(2, True), (3, False)])
def test_a_file_that_a_virus_scanner_holds_is_renamed_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_for: int, is_written: bool
) -> None:
    path, replace, pauses = tmp_path / "copy", Path.replace, []

    def held(part: Path, target: Path) -> Path:
        if len(pauses) < held_for:
            raise PermissionError
        return replace(part, target)

    monkeypatch.setattr(durable, "RENAME_TRIES", 3)
    monkeypatch.setattr(durable.time, "sleep", pauses.append)
    monkeypatch.setattr(Path, "replace", held)
    if is_written:
        write_file(path, b"bytes")
    else:
        with pytest.raises(PermissionError):
            write_file(path, b"bytes")

    assert [one.name for one in tmp_path.iterdir()] == (["copy"] if is_written else [])
    assert len(pauses) == 2
