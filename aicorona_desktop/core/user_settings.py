"""What each user of the computer likes, with its defaults; one small JSON file in the user's data folder.

Stored are fixed English keys, never shown texts. A value that this version can't use is its default again: a
window must open whatever an older or newer version has left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aicorona_desktop.core.kept import KeptError, known_values, load_values, save_values
from aicorona_desktop.core.settings import SettingsError

FILE_NAME = "user-settings.json"


class Theme(StrEnum):
    """Light or dark; `SYSTEM` follows the desktop."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class MouseScheme(StrEnum):
    """What dragging with the left button does in the viewer (ux.md 4.2)."""

    WINDOW_ON_LEFT = "window_on_left"
    SCROLL_ON_LEFT = "scroll_on_left"
    ONE_BUTTON = "one_button"


class DragSpeed(StrEnum):
    """How far a drag goes."""

    SLOW = "slow"
    NORMAL = "normal"
    FAST = "fast"


@dataclass(frozen=True, slots=True)
class Preset:
    """A VOI window of the user's own: width and level in HU, and the number key that calls it, "" for none."""

    name: str
    width_hu: float
    level_hu: float
    key: str = ""

    def __post_init__(self) -> None:
        _require(bool(self.name) and self.width_hu > 0, "A window needs a name and a width over 0 HU.")


@dataclass(frozen=True, slots=True)
class UserSettings:
    """What one user likes.

    `text_percent` is the size of texts, 80 to 200. `keys` are key sequences by the name of an action, only where
    they differ from the default; `mouse_bindings` what a button or wheel does, only where the scheme has it otherwise;
    `wheel_steps` how many slices a notch goes, 1 to 10; `layout` what windows, splitters and columns remember, as text
    by name. `acknowledged` are the packs (SHA-256) for which this user has read what the program is not.
    """

    theme: Theme = Theme.SYSTEM
    text_percent: int = 100
    initials: str = ""
    mouse_scheme: MouseScheme = MouseScheme.WINDOW_ON_LEFT
    mouse_bindings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    wheel_reversed: bool = False
    wheel_steps: int = 1
    drag_speed: DragSpeed = DragSpeed.NORMAL
    presets: tuple[Preset, ...] = ()
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    colour_map: str = "cividis"
    map_opacity_percent: int = 35
    corner_text: str = "all"
    image_overlays: bool = True
    two_line_rows: bool = False
    ask_for_discs: bool = True
    ask_for_sticks: bool = True
    last_place: str = "worklist"
    acknowledged: tuple[str, ...] = ()
    layout: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        _require(80 <= self.text_percent <= 200, "The text size must be 80 to 200 percent.")
        _require(1 <= self.wheel_steps <= 10, "A notch of the wheel must go 1 to 10 slices.")
        _require(0 <= self.map_opacity_percent <= 100, "The opacity must be 0 to 100 percent.")

    def with_layout(self, name: str, value: str) -> UserSettings:
        """Return these settings with one more thing that a window remembers."""
        return replace(self, layout=MappingProxyType({**self.layout, name: value}))

    def with_acknowledged(self, pack_sha256: str) -> UserSettings:
        """Return these settings with one more pack acknowledged."""
        return replace(self, acknowledged=tuple(dict.fromkeys((*self.acknowledged, pack_sha256))))


def load_user_settings(folder: Path) -> UserSettings:
    """Return the user's settings; defaults for those that are missing or can't be used, names unknown left alone."""
    try:
        stored = known_values(UserSettings, load_values(folder / FILE_NAME))
    except KeptError:
        return UserSettings()
    settings = UserSettings()
    for name, value in stored.items():
        try:
            settings = replace(settings, **{name: _READ[name](value)})
        except (TypeError, ValueError, KeyError, AttributeError, SettingsError):
            continue  # its default stands
    return settings


def save_user_settings(settings: UserSettings, folder: Path) -> None:
    """Keep the user's settings; names that this version doesn't know stay in the file.

    Raises:
        SettingsError: the file could not be written; the old one stands.
    """
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    plain["presets"] = [asdict(one) for one in settings.presets]
    try:
        save_values(plain, folder / FILE_NAME)
    except KeptError as error:
        raise SettingsError("Your settings could not be saved; is the disk full or the folder closed?") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a text")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("expected a whole number")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("expected true or false")
    return value


def _texts_by_name(value: Mapping[str, object]) -> Mapping[str, str]:
    return MappingProxyType({_text(name): _text(text) for name, text in value.items()})


def _preset(value: Mapping[str, Any]) -> Preset:
    return Preset(_text(value["name"]), float(value["width_hu"]), float(value["level_hu"]), _text(value.get("key", "")))


_READ: Mapping[str, Callable[[Any], Any]] = {
    "theme": Theme,
    "text_percent": _whole,
    "initials": _text,
    "mouse_scheme": MouseScheme,
    "mouse_bindings": _texts_by_name,
    "wheel_reversed": _flag,
    "wheel_steps": _whole,
    "drag_speed": DragSpeed,
    "presets": lambda values: tuple(map(_preset, values)),
    "keys": _texts_by_name,
    "colour_map": _text,
    "map_opacity_percent": _whole,
    "corner_text": _text,
    "image_overlays": _flag,
    "two_line_rows": _flag,
    "ask_for_discs": _flag,
    "ask_for_sticks": _flag,
    "last_place": _text,
    "acknowledged": lambda values: tuple(map(_text, values)),
    "layout": _texts_by_name,
}
"""How each stored value is read; it raises where it is of another kind."""


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise SettingsError(sentence)
