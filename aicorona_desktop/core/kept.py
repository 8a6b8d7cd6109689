"""Small values kept as one JSON object in a file, across versions of the program.

What a newer version has written under names that this one doesn't know is left alone, when reading and when
writing; `version` is the form of the file, for a later change that names alone can't tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from aicorona_desktop.core.durable import ONLY_OURS, write_file
from aicorona_desktop.core.errors import AicoronaError

VERSION = 1


class KeptError(AicoronaError):
    """The file could not be read or written, or holds something else than values by name."""


def load_values(file: Path) -> dict[str, Any]:
    """Return what is kept in a file, {} where there is none; raises KeptError."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KeptError("A file of the program could not be read.") from error
    if not isinstance(stored, dict):
        raise KeptError("A file of the program holds no values.")
    return stored


def save_values(values: Mapping[str, Any], file: Path) -> None:
    """Keep values under their names beside what the file holds under other names; raises KeptError.

    A file that can't be read is replaced: nothing of it could have been used.
    """
    try:
        others = load_values(file)
    except KeptError:
        others = {}
    text = json.dumps(others | {"version": VERSION} | dict(values), indent=2) + "\n"
    try:
        write_file(file, text.encode(), ONLY_OURS)
    except OSError as error:
        raise KeptError("A file of the program could not be written.") from error


def known_values(kind: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the stored values whose names are fields of a dataclass."""
    return {field.name: stored[field.name] for field in fields(kind) if field.name in stored}
