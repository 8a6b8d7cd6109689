"""The window presets by their keys, and the windows of those that are computed (ux.md 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.user_settings import Preset
from aicorona_desktop.imaging.voi import LUNG, PRESETS, VoiWindow, automatic
from aicorona_desktop.model.preprocess import prepare

MODEL: Final = "model"
FROM_FILE: Final = "from_file"
AUTOMATIC: Final = "automatic"

NAMES: Final = {
    "lung": QT_TRANSLATE_NOOP("presets", "Lung"),
    "mediastinum": QT_TRANSLATE_NOOP("presets", "Mediastinum"),
    "bone": QT_TRANSLATE_NOOP("presets", "Bone"),
    "lung_wide": QT_TRANSLATE_NOOP("presets", "Lung, wide"),
    "lung_alternative": QT_TRANSLATE_NOOP("presets", "Lung, alternative"),
    "vessels": QT_TRANSLATE_NOOP("presets", "Vessels"),
    "upper_abdomen": QT_TRANSLATE_NOOP("presets", "Upper abdomen"),
    MODEL: QT_TRANSLATE_NOOP("presets", "As the model sees it"),
    FROM_FILE: QT_TRANSLATE_NOOP("presets", "From the file"),
    AUTOMATIC: QT_TRANSLATE_NOOP("presets", "Automatic"),
}
KEYS: Final = "1234567890"
OWN_KEYS: Final = tuple(f"Shift+{key}" for key in KEYS)
"""Keys that no preset has as shipped: own ones fill them."""
COMPUTED: Final = (MODEL, FROM_FILE, AUTOMATIC)
"""Presets without numbers of their own, whose keys stay."""
MODEL_NOTE: Final = QT_TRANSLATE_NOOP("presets", "exactly what was given to the model, slice by slice")


@dataclass(frozen=True, slots=True)
class KeyedPreset:
    """A preset as a key or the menu calls it: `name` is stored, `window` None where it is computed."""

    key: str
    name: str
    window: VoiWindow | None

    @property
    def text(self) -> str:
        """What a person reads."""
        return preset_text(self.name)


def presets(own: Sequence[Preset] = ()) -> tuple[KeyedPreset, ...]:
    """Return all presets, the shipped ones in the order of their keys and then the user's own.

    One of the user's with the stored name of a shipped one has other numbers and another key for it; those that are
    computed can't be changed. A key that is wanted twice goes to the user's, the last of them.
    """
    changed = {one.name: one for one in own if one.name not in COMPUTED}
    shipped = dict(zip(NAMES, KEYS, strict=True))
    wanted = {name: changed[name].key if name in changed else key for name, key in shipped.items()}
    wanted |= {name: one.key for name, one in changed.items()}
    order = sorted(wanted, key=lambda name: (name in COMPUTED, name in changed))  # the last one has the key
    holders = {wanted[name]: name for name in order if wanted[name] in (*KEYS, *OWN_KEYS)}

    def made(name: str) -> KeyedPreset:
        key = wanted[name] if holders.get(wanted[name]) == name else ""
        one = changed.get(name)
        window = PRESETS.get(name) if one is None else VoiWindow(one.level_hu, max(one.width_hu, 1.0))
        return KeyedPreset(key, name, window)

    return tuple(made(name) for name in (*NAMES, *(name for name in changed if name not in NAMES)))


def free_keys(among: Sequence[KeyedPreset]) -> tuple[str, ...]:
    """Return the keys that call no preset yet, those that none has as shipped first."""
    taken = {one.key for one in among}
    return tuple(key for key in (*OWN_KEYS, *KEYS) if key not in taken)


def with_key(key: str, among: Sequence[KeyedPreset]) -> KeyedPreset | None:
    """Return the preset that a key calls."""
    return next((one for one in among if one.key == key), None)


def window_of(preset: KeyedPreset, header: Header | None, pixels: NDArray[np.int16] | None) -> VoiWindow:
    """Return the window that a preset stands for at this slice.

    Args:
        preset: one of `presets`.
        header: of the slice: the window in the file, else the lung window.
        pixels: int16 [rows, columns] of the slice; the automatic window needs them.
    """
    if preset.window is not None:
        return preset.window
    if preset.name == FROM_FILE and header is not None:
        return _in_file(header)
    if preset.name == AUTOMATIC and pixels is not None:
        return automatic(pixels)
    return LUNG


def model_grey(hounsfield: NDArray[np.int16], preparation: str, input_size: int) -> NDArray[np.uint8]:
    """Return the network's picture of a slice, uint8 [input_size, input_size], rounded for the screen.

    It covers the square that the slice was filled up to at the right or the bottom.
    """
    picture: NDArray[np.uint8] = np.rint(prepare(hounsfield, preparation, input_size)[0]).astype(np.uint8)
    return picture


def preset_text(name: str) -> str:
    """Return what a person reads for a stored name; an own preset is called as its maker called it."""
    return QCoreApplication.translate("presets", str(NAMES[name])) if name in NAMES else name


def _in_file(header: Header) -> VoiWindow:
    if header.window_centre_hu is None or header.window_width_hu is None or header.window_width_hu < 1:
        return LUNG
    return VoiWindow(header.window_centre_hu, header.window_width_hu)
