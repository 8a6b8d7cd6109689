"""What a site sets is there at the next start; what it can't mean is said."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.core.receiving import ReceiverSettings
from aicorona_desktop.core.settings import FILE_NAME, Order, Settings, SettingsError, load_settings, save_settings
from aicorona_desktop.core.sources import WatchedSource


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings()


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    watched = (
        WatchedSource(tmp_path / "CT 1", "Scanner 1", copied=False, quiet_time_s=60.0, look_every_s=30.0),
        WatchedSource(tmp_path / "КТ"),
    )
    chosen = Settings(45, Order.ARRIVAL, 12.5, 2, "cpu", 3, tmp_path / "pack é", watched, True, True, True)
    chosen = replace(chosen, cache_gb=20, keep_days=30, keep_gb=500, copy_files=False)
    chosen = replace(chosen, receiver=ReceiverSettings(port=11113), backup_also_to=tmp_path / "stick")
    assert all(getattr(chosen, field.name) != getattr(Settings(), field.name) for field in fields(Settings))

    save_settings(chosen, tmp_path)

    assert load_settings(tmp_path) == chosen
    assert [one.name for one in tmp_path.iterdir()] == [FILE_NAME]


def test_the_folders_of_a_version_before_are_watched_as_they_were_in_place(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"watched": ["/in/CT"]}')

    assert load_settings(tmp_path).watched == (WatchedSource(Path("/in/CT"), copied=False),)


def test_a_setting_of_another_version_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"of_2031": 1, "wait_cap_minutes": 30}')

    assert load_settings(tmp_path) == Settings(wait_cap_minutes=30)


def test_what_another_version_has_set_is_still_there_after_saving(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"of_2031": {"a": [1]}, "wait_cap_minutes": 30}')

    save_settings(Settings(wait_cap_minutes=40), tmp_path)

    stored = json.loads((tmp_path / FILE_NAME).read_text())
    assert (stored["of_2031"], stored["wait_cap_minutes"], stored["version"]) == ({"a": [1]}, 40, 1)


@pytest.mark.parametrize(
    "values",
    [
        {"wait_cap_minutes": 9},
        {"wait_cap_minutes": 721},
        {"quiet_time_s": -1},
        {"poll_s": 0},
        {"workers": 0},
        {"workers": "two"},
        {"order": "random"},
        {"pack": 7},
        {"watched": "one folder"},
        {"watched": [3]},
        {"look_first": "yes"},
    ],
)
def test_a_value_that_can_not_be_is_told(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps(values))

    with pytest.raises(SettingsError, match=r"must be|wrong kind"):
        load_settings(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "\xff"])
def test_a_file_that_holds_no_settings_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_bytes(text.encode("latin-1"))

    with pytest.raises(SettingsError, match="mend or remove"):
        load_settings(tmp_path)


def test_settings_that_can_not_be_saved_leave_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_settings(Settings(30), tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="could not be saved"):
        save_settings(Settings(40), tmp_path)

    assert load_settings(tmp_path) == Settings(30)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
