"""Free space is what the disk says, asked for rarely."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES, FLOOR_WRITE_BYTES, FreeSpace, free_bytes


def test_free_space_is_what_the_system_tells_of_the_disk(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, abs=50_000_000)


def test_a_folder_that_is_not_there_yet_has_the_space_of_the_disk_it_would_lie_on(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") == pytest.approx(free_bytes(tmp_path), abs=50_000_000)


def test_intake_stops_before_the_history_does() -> None:
    assert FLOOR_INTAKE_BYTES > FLOOR_WRITE_BYTES > 0


def test_the_disk_is_asked_at_most_once_a_second(tmp_path: Path) -> None:
    moments, answers, asked = iter([10.0, 10.5, 11.0]), iter([7, 5]), []

    def measure(folder: Path) -> int:
        asked.append(folder)
        return next(answers)

    space = FreeSpace(tmp_path, measure, lambda: next(moments))

    assert [space(), space(), space()] == [7, 7, 5]
    assert asked == [tmp_path, tmp_path]
