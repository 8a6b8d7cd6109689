"""Which media a person has been asked about: each once, also after a restart."""

from __future__ import annotations

import threading
from pathlib import Path

from aicorona_desktop.core.kept import KeptError, load_values, save_values

FILE_NAME = "media.json"
MOST = 500
"""So many media are remembered; the one that was asked about first goes first."""


class Asked:
    """Remembers media by their fingerprints, in a small file of a folder; may be asked from any thread.

    What can't be kept is remembered as long as the program runs.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        self._lock = threading.Lock()
        self._known: dict[str, None] | None = None

    def was(self, fingerprint: str) -> bool:
        """Whether a person was asked about this medium."""
        with self._lock:
            return fingerprint in self._all()

    def note(self, fingerprint: str) -> None:
        """Remember that a person was asked."""
        with self._lock:
            known = self._all()
            known[fingerprint] = None
            while len(known) > MOST:
                del known[next(iter(known))]
            try:
                save_values({"asked": list(known)}, self._file)
            except KeptError:
                return

    def _all(self) -> dict[str, None]:
        if self._known is None:
            try:
                stored = load_values(self._file).get("asked", [])
            except KeptError:
                stored = []
            marks = stored if isinstance(stored, list) else []
            self._known = dict.fromkeys(one for one in marks if isinstance(one, str))
        return self._known
