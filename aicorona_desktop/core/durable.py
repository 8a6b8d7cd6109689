"""Writing a file so that a reader, or a power cut, finds the old one or the whole new one."""

from __future__ import annotations

import os
import secrets
import time
from functools import partial
from pathlib import Path

ONLY_OURS = 0o600
"""Permissions of what may name a patient and isn't meant to be handed on: copies, ledger, logs."""

RENAME_TRIES = 10 if os.name == "nt" else 1
"""A virus scanner on Windows may hold a new file for seconds."""


def write_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write to a temporary beside `path`, sync it, rename it, sync the folder.

    Args:
        path: the file; one that stands there is replaced.
        data: all of its content.
        mode: its permissions, less what the user's mask takes away.

    Raises:
        OSError: the file could not be written; what was there before is untouched.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb", opener=partial(os.open, mode=mode)) as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        rename(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(part: Path, path: Path) -> None:
    """Give a whole file its name, patiently: a virus scanner may hold a new one for seconds; raises OSError."""
    for tries_left in reversed(range(RENAME_TRIES)):
        try:
            part.replace(path)
        except PermissionError:
            if not tries_left:
                raise
            time.sleep(0.5)
        else:
            return
