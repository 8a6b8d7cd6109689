"""What a person has begun to say of a study and not saved: kept on the disk, so that no end of the program loses it.

A draft is nobody's answer yet. It counts nowhere, and comes back only to the person who wrote it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from aicorona_desktop.core.kept import KeptError, known_values, load_values, save_values
from aicorona_desktop.ui.jobs import Jobs

FILE = "drafts.json"
LANE = "settings"
KEPT_AFTER_MS = 300
"""A note is typed letter by letter."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person says of a study; stored keys, "" and None for what is not said."""

    impression: str = ""
    action: str = ""
    co_rads: int | None = None
    note: str = ""

    @property
    def says_something(self) -> bool:
        """Whether it can be saved: an impression or an action."""
        return bool(self.impression or self.action)


NOTHING = Answer()


Key = tuple[str, str]  # Study Instance UID, initials as they are compared


class Drafts(QObject):
    """The unsaved answers of one history by study and person; in a file beside it that only its owner may read."""

    def __init__(self, folder: Path, jobs: Jobs, parent: QObject | None = None) -> None:
        """Read what an earlier session has left; a file that can't be read holds nothing."""
        super().__init__(parent)
        self._file = _File(folder / FILE)
        self._jobs = jobs
        self._drafts = self._file.load()
        self._later = QTimer(self, singleShot=True, interval=KEPT_AFTER_MS)
        self._later.timeout.connect(self._keep)

    def of(self, study_instance_uid: str, by: str) -> Answer | None:
        """Return what a person has begun to say of a study; None where that is nothing."""
        return self._drafts.get(_key(study_instance_uid, by))

    def put(self, study_instance_uid: str, by: str, answer: Answer) -> None:
        """Keep what a person says now, in place of what they said before."""
        self._drafts[_key(study_instance_uid, by)] = answer
        self._later.start()

    def drop(self, study_instance_uid: str, by: str) -> None:
        """Forget what a person has begun to say of a study: it is saved, or withdrawn."""
        if self._drafts.pop(_key(study_instance_uid, by), None) is not None:
            self._later.start()

    def end(self) -> None:
        """Keep what is not on the disk yet; what can't be kept is not worth staying open for."""
        if self._later.isActive():
            self._later.stop()
            with contextlib.suppress(KeptError):
                self._file.save(*self._file.numbered(self._drafts))

    def _keep(self) -> None:
        number, drafts = self._file.numbered(self._drafts)
        self._jobs.run(lambda: self._file.save(number, drafts), _nothing, lane=LANE, owner=self)


class _File:
    """The drafts on the disk; of several savings on different threads, the one asked for last stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._asked = self._saved = 0

    def numbered(self, drafts: Mapping[Key, Answer]) -> tuple[int, dict[Key, Answer]]:
        """Return a copy to save, with its place in the order of asking; on one thread only."""
        self._asked += 1
        return self._asked, dict(drafts)

    def save(self, number: int, drafts: Mapping[Key, Answer]) -> None:
        """Replace what is kept, unless something newer is; raises KeptError."""
        kept = [{"study": uid, "by": by} | asdict(answer) for (uid, by), answer in drafts.items()]
        with self._lock:
            if number > self._saved:
                save_values({"drafts": kept}, self._path)
                self._saved = number

    def load(self) -> dict[Key, Answer]:
        """Return what is kept; entries that make no sense are left out."""
        try:
            kept = load_values(self._path).get("drafts")
        except KeptError:
            return {}
        entries = [one for one in kept if isinstance(one, Mapping)] if isinstance(kept, list) else []
        return {_key(str(one.get("study")), str(one.get("by"))): answer for one in entries if (answer := _answer(one))}


def _key(study_instance_uid: str, by: str) -> Key:
    return study_instance_uid, by.strip().casefold()


def _answer(entry: Mapping[str, object]) -> Answer | None:
    answer = Answer(**known_values(Answer, entry))
    texts = (answer.impression, answer.action, answer.note)
    is_sound = all(isinstance(text, str) for text in texts) and isinstance(answer.co_rads, int | None)
    return answer if is_sound else None


def _nothing(_: object) -> None:
    pass
