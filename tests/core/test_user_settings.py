"""What a user likes is there at the next start; what can't be used is its default again, so that a window opens."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.core.settings import SettingsError
from aicorona_desktop.core.user_settings import (
    FILE_NAME,
    DragSpeed,
    MouseScheme,
    Preset,
    Theme,
    UserSettings,
    load_user_settings,
    save_user_settings,
)

CHOSEN = UserSettings(
    theme=Theme.DARK,
    text_percent=150,
    initials="ÄB",
    mouse_scheme=MouseScheme.ONE_BUTTON,
    mouse_bindings={"right": "none"},
    wheel_reversed=True,
    wheel_steps=3,
    drag_speed=DragSpeed.FAST,
    presets=(Preset("Pleura", 1200, -300, "6"),),
    keys={"next_study": "Ctrl+J"},
    colour_map="inferno",
    map_opacity_percent=50,
    corner_text="identity",
    image_overlays=False,
    two_line_rows=True,
    ask_for_discs=False,
    ask_for_sticks=False,
    last_place="viewer",
    acknowledged=("ab" * 32,),
    layout={"worklist/columns": "AAAA"},
)


def test_what_a_user_likes_comes_back(tmp_path: Path) -> None:
    assert all(getattr(CHOSEN, field.name) != getattr(UserSettings(), field.name) for field in fields(UserSettings))

    save_user_settings(CHOSEN, tmp_path)

    assert load_user_settings(tmp_path) == CHOSEN


def test_without_a_file_or_with_a_broken_one_the_defaults_hold(tmp_path: Path) -> None:
    assert load_user_settings(tmp_path) == UserSettings()

    (tmp_path / FILE_NAME).write_text("{")

    assert load_user_settings(tmp_path) == UserSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theme", "purple"),
        ("text_percent", 500),
        ("text_percent", "large"),
        ("text_percent", True),
        ("mouse_scheme", 3),
        ("wheel_reversed", "no"),
        ("wheel_steps", 0),
        ("mouse_bindings", {"left": 1}),
        ("presets", [{"name": "x", "width_hu": 0, "level_hu": 1}]),
        ("presets", [{"width_hu": 3}]),
        ("presets", 4),
        ("keys", {"next_study": 7}),
        ("layout", ["x"]),
        ("acknowledged", [1]),
    ],
)
def test_a_value_that_can_not_be_used_is_its_default_and_takes_no_other_with_it(
    tmp_path: Path, name: str, value: Any
) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({name: value, "initials": "AB"}))

    assert load_user_settings(tmp_path) == UserSettings(initials="AB")


def test_names_of_another_version_stay_in_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"of_2031": 1}')

    save_user_settings(UserSettings(), tmp_path)

    assert json.loads((tmp_path / FILE_NAME).read_text())["of_2031"] == 1


def test_a_window_and_a_pack_are_remembered_beside_the_others() -> None:
    settings = (
        replace(CHOSEN, acknowledged=()).with_layout("main", "BBBB").with_acknowledged("1").with_acknowledged("1")
    )

    assert settings.layout == {"worklist/columns": "AAAA", "main": "BBBB"}
    assert settings.acknowledged == ("1",)


def test_a_size_that_nobody_can_read_is_refused() -> None:
    with pytest.raises(SettingsError, match="80 to 200"):
        UserSettings(text_percent=20)
