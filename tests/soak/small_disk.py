"""Disks of a few megabytes to fill up, and disks that can be taken away: tmpfs, by root or in a user namespace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_NAMESPACE = "AICORONA_SOAK_NAMESPACE"


def can_mount() -> bool:
    """Whether this process may mount: as root, or as root of its own user namespace."""
    return sys.platform == "linux" and os.geteuid() == 0


def in_a_namespace(arguments: list[str]) -> int | None:
    """Run the soak once more where it may mount; None where that isn't possible, or is so already."""
    if can_mount() or os.environ.get(IN_NAMESPACE):
        return None
    command = ["unshare", "-Urm", sys.executable, "-m", "tests.soak", *arguments]
    try:
        return subprocess.run(command, check=False, env=os.environ | {IN_NAMESPACE: "1"}).returncode
    except FileNotFoundError:
        return None


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A disk of so many bytes at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    mount(folder, size_bytes)
    try:
        yield folder
    finally:
        unmount(folder)


def mount(folder: Path, size_bytes: int) -> None:
    """Put a new, empty disk at a folder."""
    options = f"size={size_bytes},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)


def unmount(folder: Path) -> None:
    """Take it away at once, whoever uses it."""
    subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def make_read_only(folder: Path) -> None:
    """Let nobody, not even root, write on it any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, capture_output=True)
