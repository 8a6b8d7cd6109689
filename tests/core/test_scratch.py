from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aicorona_desktop.core.scratch import scratch_folder, sweep_scratch

pytestmark = pytest.mark.skipif(os.name == "nt", reason="whether a process runs can't be asked safely there")


def dead_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_folders_of_killed_processes_are_swept_with_what_they_hold(tmp_path: Path) -> None:
    left = tmp_path / f"aicorona-{dead_process()}-abc"
    left.mkdir()
    (left / "copy.dcm").write_bytes(b"a patient's file")

    assert sweep_scratch(tmp_path) == 1
    assert not left.exists()


def test_folders_of_running_processes_and_of_others_are_left_alone(tmp_path: Path) -> None:
    kept = [tmp_path / f"aicorona-{os.getpid()}-abc", tmp_path / "aicorona-notes-abc", tmp_path / "somebody-1-abc"]
    for folder in kept:
        folder.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / f"aicorona-{dead_process()}-link"
    link.symlink_to(target)

    assert sweep_scratch(tmp_path) == 0
    assert all(folder.is_dir() for folder in (*kept, target))


def test_a_scratch_folder_is_private_and_goes_in_the_end() -> None:
    with scratch_folder() as folder:
        assert Path(folder).stat().st_mode & 0o077 == 0
    assert not Path(folder).exists()
