"""The folder of received objects: nothing half, nothing twice, room asked for."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.receive import inbox as inbox_module
from aicorona_desktop.receive.inbox import GroupSync, Inbox, InboxError
from aicorona_desktop.receive.protocol import WhatFails


def test_an_object_stands_under_its_hash_only_after_it_was_synced_and_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (steps.append("rename"), replace(self, to))[1])
    inbox = Inbox(tmp_path / "inbox")
    arriving = inbox.begin(b"head")
    arriving.write(b" and body")

    kept = arriving.keep()

    assert kept.read_bytes() == b"head and body"
    assert kept.stem == hashlib.sha256(b"head and body").hexdigest()
    assert steps == ["fsync", "rename", "fsync"]
    assert [one.name for one in inbox.folder.iterdir()] == [kept.name]


def test_an_object_that_is_too_large_leaves_nothing(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, largest_object_bytes=1000)
    arriving = inbox.begin(b"x" * 900)

    with pytest.raises(InboxError) as raised:
        arriving.write(b"x" * 101)

    assert raised.value.what is WhatFails.NOT_UNDERSTOOD
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limits", [{"measure_free": lambda _folder: 100_000_000}, {"largest_inbox_bytes": -1}])
def test_without_room_no_object_is_begun(tmp_path: Path, limits: dict[str, Any]) -> None:
    inbox = Inbox(tmp_path, **limits)

    with pytest.raises(InboxError) as raised:
        inbox.begin(b"head")

    assert raised.value.what is WhatFails.FULL


@pytest.mark.parametrize(
    ("number", "what"), [(errno.ENOSPC, WhatFails.FULL), (errno.EIO, WhatFails.NOT_WRITTEN)], ids=["full", "broken"]
)
@pytest.mark.parametrize("failing", ["file", "folder", "rename"])
def test_a_disk_that_fails_at_any_step_acknowledges_nothing_and_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what: WhatFails, failing: str
) -> None:
    inbox = Inbox(tmp_path)
    arriving = inbox.begin(b"head")

    def fail(*_: object) -> None:
        raise OSError(number, "disk")

    if failing == "file":
        monkeypatch.setattr(inbox_module.os, "fsync", fail)
    elif failing == "rename":
        monkeypatch.setattr(inbox_module, "_rename", fail)
    else:
        inbox.sync = GroupSync(tmp_path, fail)

    with pytest.raises(InboxError) as raised:
        arriving.keep()

    assert raised.value.what is what
    assert not list(tmp_path.glob("*.part"))


def test_what_a_killed_receiver_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "0f.part").write_bytes(b"half")
    (tmp_path / "whole.dcm").write_bytes(b"whole")

    Inbox(tmp_path)

    assert [one.name for one in tmp_path.iterdir()] == ["whole.dcm"]


def test_those_who_come_while_the_folder_is_synced_share_the_next_sync(tmp_path: Path) -> None:
    runs: list[float] = []

    def slow(_folder: Path) -> None:
        runs.append(time.monotonic())
        time.sleep(0.1)

    sync = GroupSync(tmp_path, slow)
    asked: list[float] = []
    answered: list[tuple[float, int]] = []

    def ask() -> None:
        at = time.monotonic()
        asked.append(at)
        sync()
        answered.append((at, len(runs)))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()

    assert len(runs) < 6
    for at, _ in answered:
        assert any(run >= at for run in runs)  # a sync that began after the call


def test_a_sync_that_failed_counts_for_nobody(tmp_path: Path) -> None:
    outcomes = iter([OSError(errno.EIO, "disk"), None])

    def flaky(_folder: Path) -> None:
        error = next(outcomes)
        if error is not None:
            raise error

    sync = GroupSync(tmp_path, flaky)

    with pytest.raises(OSError, match="disk"):
        sync()
    sync()
