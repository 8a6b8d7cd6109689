"""What has been copied of each disc, so that a copying that broke off goes on where it was, after a restart too.

One small file a disc, beside the copies; a line that was cut off, or that doesn't fit, counts for nothing: its file
is then read once more. Names are kept as their bytes in hex.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TextIO

from aicorona_desktop.intake.disc_order import Planned

MOST_JOURNALS = 200
"""So many discs are remembered; the one that was not used for longest goes first."""
_SHA256 = re.compile("[0-9a-f]{64}")


class Journal:
    """The journal of one disc, named by its fingerprint. What can't be written is not remembered, and no trouble."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._path = folder / f"{fingerprint}.jsonl"
        self._stream: TextIO | None = None

    def __enter__(self) -> Journal:
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _let_go(self._path.parent)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self._stream = os.fdopen(descriptor, "a", encoding="ascii")
            self._stream.write("\n")  # whatever was cut off before ends here
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.close()

    def note(self, one: Planned, sha256: str) -> None:
        """Remember a copy that is safe on the disk."""
        if self._stream is None:
            return
        line = json.dumps([os.fsencode(one.below).hex(), one.size_bytes, one.mtime_ns, sha256])
        with contextlib.suppress(OSError):
            self._stream.write(line + "\n")
            self._stream.flush()

    def copied(self, planned: Iterable[Planned]) -> dict[Planned, str]:
        """Return the SHA-256 of those of the files that were copied before, unchanged since."""
        known: dict[tuple[str, int, int], str] = {}
        try:
            lines = self._path.read_text("ascii", "replace").splitlines()
        except OSError:
            return {}
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):
                below, size, mtime_ns, sha256 = json.loads(line)
                if _SHA256.fullmatch(sha256):
                    known[below, size, mtime_ns] = sha256
        found = {one: known.get((os.fsencode(one.below).hex(), one.size_bytes, one.mtime_ns)) for one in planned}
        return {one: sha256 for one, sha256 in found.items() if sha256 is not None}


def _let_go(folder: Path) -> None:
    """Remove the journals that were not used for longest, where there are too many."""
    journals = sorted(folder.glob("*.jsonl"), key=lambda one: one.stat().st_mtime_ns)
    for one in journals[: max(0, len(journals) - MOST_JOURNALS)]:
        one.unlink(missing_ok=True)
