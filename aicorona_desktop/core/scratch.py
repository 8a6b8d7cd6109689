"""Temporary folders of ours: gone with the process, and swept at the next start when it was killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

_NAMED = re.compile(r"aicorona-(\d+)-.*")


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a new private folder (mode 0700) that carries this process's number in its name."""
    return tempfile.TemporaryDirectory(prefix=f"aicorona-{os.getpid()}-", ignore_cleanup_errors=True)


def sweep_scratch(place: Path | None = None) -> int:
    """Remove the folders of our processes that no longer run, as after a kill; return how many.

    They may hold copies of patients' files. Folders of other users are left alone.
    """
    swept = 0
    for folder in (place or Path(tempfile.gettempdir())).glob("aicorona-*-*"):
        named = _NAMED.fullmatch(folder.name)
        if named and not _runs(int(named.group(1))) and _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
    return swept


def _runs(process: int) -> bool:
    if os.name == "nt":
        return True  # asking would end it: os.kill is TerminateProcess there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink() and status.st_uid == os.getuid()
