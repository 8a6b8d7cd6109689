"""When a file is complete and when a study has stopped growing: pure rules over what the looks saw.

Nothing here reads a clock or a disk. All times are seconds of one monotonic clock of the caller's; a file's
own time is only ever compared with itself, since a server's clock may go wrong.

Source: reliability rules, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

BETWEEN_LOOKS_S = 5.0
BETWEEN_LOOKS_ON_NETWORK_S = 15.0
"""How long a file must stand still on a local disk, and on a network, whose attributes are cached."""

QUIET_TIME_S = 30.0
FAILED_LOOKS = 3


Version = tuple[int, int, str]
"""Size, modification time in ns, number of the file on its disk as text."""


class Reach(StrEnum):
    """Whether a watched folder can be seen."""

    WATCHING = "watching"
    OFFLINE = "offline"  # empty where files were: an unmounted share looks like an empty folder
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Sight:
    """One file as one look saw it; two sights are equal when the file has not moved between them."""

    size_bytes: int
    mtime_ns: int
    file_id: tuple[int, int]  # device and inode, or volume and file index
    at_s: float = field(compare=False)

    @property
    def version(self) -> Version:
        """What tells this version from others across restarts: a device may have another number by then."""
        return self.size_bytes, self.mtime_ns, str(self.file_id[1])


@dataclass(slots=True)
class FileSettling:
    """Remembers the files of one folder and tells which of them have become complete.

    Each version of a file is told once. A file that changes later is a new version. One that has gone is
    forgotten; but a folder that is suddenly empty is taken for offline, and a failed look changes nothing.

    `known` is what earlier runs of the program were told, by the version that they read: it is not told again, and a
    folder that held such files and is empty now is offline from the first look on. `may_empty`: the folder is an inbox
    of ours, which is empty whenever all is done.
    """

    between_looks_s: float = BETWEEN_LOOKS_S
    known: dict[str, Version] = field(default_factory=dict)
    may_empty: bool = False
    reach: Reach = Reach.WATCHING
    since_s: float | None = None  # when `reach` last stopped being "watching"
    _moving: dict[str, Sight] = field(default_factory=dict)
    _told: dict[str, Sight] = field(default_factory=dict)
    _failed: int = 0
    _failed_since_s: float = 0.0

    @property
    def settles_at_s(self) -> float | None:
        """When all that is seen can be complete, if it stands still; None where nothing is awaited."""
        return max(one.at_s for one in self._moving.values()) + self.between_looks_s if self._moving else None

    @property
    def arriving(self) -> int:
        """How many files are seen but not complete."""
        return len(self._moving)

    def looked(self, sights: Mapping[str, Sight], now_s: float, complete: bool = True) -> tuple[str, ...]:
        """Take in one look; return the files that have settled, in the order they were seen.

        `complete` is False where a part of the folder could not be listed: nothing is then forgotten.
        """
        self._failed = 0
        if not sights and (self._moving or self._told or self.known) and not self.may_empty:
            if complete:
                self._lose(Reach.OFFLINE, now_s)
            return ()
        self.reach, self.since_s = Reach.WATCHING, None
        if complete:
            self._moving = {key: sight for key, sight in self._moving.items() if key in sights}
            self._told = {key: sight for key, sight in self._told.items() if key in sights}
            self.known = {key: version for key, version in self.known.items() if key in sights}
        return tuple(key for key, sight in sights.items() if self._settles(key, sight))

    def failed(self, now_s: float) -> None:
        """Take in a look that failed: three in a row mean that the folder cannot be reached."""
        if not self._failed:
            self._failed_since_s = now_s
        self._failed += 1
        if self._failed >= FAILED_LOOKS:
            self._lose(Reach.UNREACHABLE, self._failed_since_s)

    def is_told(self, key: str, sight: Sight) -> bool:
        """Whether this version of a file was told, in this run or an earlier one."""
        return self._told.get(key) == sight

    def hold(self, key: str, sight: Sight) -> None:
        """Take back a file that was told: another program still holds it, so that its wait starts again."""
        self._told.pop(key, None)
        self._moving[key] = sight

    def _settles(self, key: str, sight: Sight) -> bool:
        if self._told.get(key) == sight:
            self._moving.pop(key, None)
            return False
        if self.known.pop(key, None) == sight.version:
            self._told[key] = sight
            return False
        first = self._moving.get(key)
        if first != sight:
            self._moving[key] = sight
            return False
        if sight.at_s - first.at_s < self.between_looks_s:
            return False
        del self._moving[key]
        self._told[key] = sight
        return True

    def _lose(self, reach: Reach, since_s: float) -> None:
        if self.reach is not reach:
            self.reach, self.since_s = reach, since_s


@dataclass(slots=True)
class StudySettling:
    """Which studies are still growing: one settles when its quiet time has passed since its last new slice."""

    quiet_time_s: float = QUIET_TIME_S
    _last_s: dict[str, float] = field(default_factory=dict)
    _own_quiet_s: dict[str, float] = field(default_factory=dict)

    @property
    def growing(self) -> tuple[str, ...]:
        """The studies that have not settled."""
        return tuple(self._last_s)

    def arrived(self, study_instance_uid: str, now_s: float, quiet_time_s: float | None = None) -> None:
        """A new slice of this study has been read, of a source with a quiet time of its own or the common one."""
        self._last_s[study_instance_uid] = now_s
        if quiet_time_s is None:
            self._own_quiet_s.pop(study_instance_uid, None)
        else:
            self._own_quiet_s[study_instance_uid] = quiet_time_s

    def score_now(self, study_instance_uid: str) -> None:
        """Somebody does not want to wait: the study settles at the next question."""
        if study_instance_uid in self._last_s:
            self._last_s[study_instance_uid] = float("-inf")

    def settled(self, now_s: float) -> tuple[str, ...]:
        """Return the studies that have settled by now, each once, longest quiet first."""
        quiet = sorted(
            (
                uid
                for uid, last_s in self._last_s.items()
                if now_s - last_s >= self._own_quiet_s.get(uid, self.quiet_time_s)
            ),
            key=lambda uid: (self._last_s[uid], uid),
        )
        for uid in quiet:
            del self._last_s[uid]
            self._own_quiet_s.pop(uid, None)
        return tuple(quiet)
