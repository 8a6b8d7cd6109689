"""Where files lie: the user's data folder, the program's resources."""

from __future__ import annotations

import sys
from pathlib import Path

import platformdirs

APPLICATION = "aicorona-desktop"


def data_dir() -> Path:
    """Return the folder of the history, our copies and the logs, made if missing (mode 0700)."""
    folder = Path(platformdirs.user_data_dir(APPLICATION, appauthor=False))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def resources_dir() -> Path:
    """Return the folder of packs, icons and fonts: in the frozen program, the installed wheel or the checkout."""
    frozen = getattr(sys, "_MEIPASS", None)
    package = Path(__file__).resolve().parents[1]
    candidates = (Path(frozen) / "resources",) if frozen else (package / "resources", package.parent / "resources")
    return next((folder for folder in candidates if folder.is_dir()), candidates[-1])


def packs_dir() -> Path:
    """Return the folder that holds one folder a model pack, NAME-VERSION."""
    return resources_dir() / "packs"
