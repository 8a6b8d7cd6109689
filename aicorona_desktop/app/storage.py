"""What the program keeps on the disk, and which copies go by the rules of the site: counted, named, removed.

The rules name a study first; its copies go after a time in which a person may keep them (`core.retention.GRACE`).
Each removal is recorded before and after, so that a program that dies in between finishes it at the next start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aicorona_desktop.app.volume_cache import VolumeCache
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.retention import CopiedStudy, Named, Rule, Step, named
from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES, FreeSpace, free_bytes
from aicorona_desktop.history import backup
from aicorona_desktop.history.store import History, StudyError, utc_now
from aicorona_desktop.intake.originals import Originals

log = logging.getLogger(__name__)

LOOK_EVERY_S = 600.0
ROOM_WANTED_BYTES = FLOOR_INTAKE_BYTES * 3 // 2
"""So much is made free, from what the cache holds, before intake would pause."""
BY_DAYS = "read {days} days ago"
BY_SIZE = "all images over {gigabytes} GB"
WHO = "the rule of this site"


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes on the disk that holds the history, and what of them is ours.

    `originals_bytes` are our copies of images, `cache_bytes` decoded slices, which are made again when they are wanted,
    as are the maps; `history_bytes` the ledger and its audit.
    """

    disk_bytes: int
    free_bytes: int
    originals_bytes: int
    cache_bytes: int
    cache_most_bytes: int
    maps_bytes: int
    backups_bytes: int
    history_bytes: int


def originals_beside(history: Path) -> Path:
    """Return the folder of our copies of a history."""
    return history.with_name(f"{history.name}.files")


def cache_beside(history: Path, most_gb: float) -> VolumeCache:
    """Return the kept slices of a history."""
    return VolumeCache(history.with_name(f"{history.name}.cache"), most_gb)


def storage_of(history: Path, volumes: VolumeCache) -> Storage:
    """Count what lies beside a history.

    Raises:
        OSError: the disk doesn't answer.
    """
    there = next(one for one in (history, *history.parents) if one.exists())
    disk = shutil.disk_usage(there)
    return Storage(
        disk_bytes=disk.total,
        free_bytes=disk.free,
        originals_bytes=_size(originals_beside(history)),
        cache_bytes=volumes.size_bytes,
        cache_most_bytes=volumes.most_bytes,
        maps_bytes=_size(history.with_name(f"{history.name}.maps")),
        backups_bytes=sum(one.path.stat().st_size for one in backup.copies(history)),
        history_bytes=sum(one.stat().st_size for one in _ledger(history)),
    )


def rule_text(rule: Rule, by: str) -> str:
    """Return the rule that named a study, as it is kept with the removal."""
    return BY_DAYS.format(days=rule.days) if by == "days" else BY_SIZE.format(gigabytes=rule.gigabytes)


class RoomyDisk:
    """The free bytes of a history's disk; before they run low, kept slices make room."""

    def __init__(self, folder: Path, volumes: VolumeCache, measure: Callable[[Path], int] = free_bytes) -> None:
        self._free = FreeSpace(folder, measure)
        self._folder, self._volumes, self._measure = folder, volumes, measure

    def __call__(self) -> int:
        """Return the free bytes of at most a second ago; raises OSError when the disk doesn't answer."""
        free = self._free()
        if free >= ROOM_WANTED_BYTES or not self._volumes.make_room(ROOM_WANTED_BYTES - free):
            return free
        return self._measure(self._folder)


class Retention:
    """Removes our copies by the rules of a site, from its own thread; `told` hears once of each trouble.

    Without a rule it only finishes what an earlier session has begun.
    """

    def __init__(
        self,
        history: History,
        volumes: VolumeCache,
        rule: Rule,
        told: Callable[[str], None],
        *,
        now: Callable[[], datetime] = utc_now,
        free: Callable[[], int] | None = None,
        originals: Originals | None = None,
    ) -> None:
        """Prepare it.

        Args:
            history: open for writing.
            volumes: what was decoded of a study goes with its copies.
            rule: of the site.
            told: hears of trouble.
            now: the clock.
            free: gives the free bytes of the disk; None measures them.
            originals: the store of the copies, the one that intake keeps them with; None: beside the history.
        """
        self._history = history
        self._originals = originals or Originals(originals_beside(history.path))
        self._folder = self._originals.folder
        self._volumes = volumes
        self.rule = rule
        self._told = told
        self._now = now
        self._free = free or FreeSpace(history.path.parent)
        self._trouble = ""
        self._one_at_a_time = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name="retention", daemon=True)

    def start(self) -> None:
        """Look now, and every ten minutes."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the study whose copies are being removed."""
        self._closed.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def change(self, rule: Rule) -> None:
        """Take another rule, and look."""
        self.rule = rule
        self._wake.set()

    def copied(self, history: History | None = None) -> tuple[CopiedStudy, ...]:
        """Return all studies with copies of ours, read by another connection if one is given."""
        return (history or self._history).copied_studies(self._folder)

    def preview(self, rule: Rule | None = None, history: History | None = None) -> tuple[Named, ...]:
        """Return what would go, and when, by a rule: the one that holds, or one that somebody thinks of."""
        return named(self.copied(history), rule or self.rule, self._now(), needs_room=self._needs_room())

    def look(self) -> tuple[str, ...]:
        """Finish what was begun, name what the rule names, remove what is due; return the studies that lost copies.

        Raises:
            AicoronaError: the history can't be written, or a copy not removed; the next look goes on.
        """
        with self._one_at_a_time:
            removed = list(self._finish_begun())
            if not self.rule.is_on:
                return tuple(removed)
            now = self._now()
            for one in self.preview():
                if self._closed.is_set():
                    break
                uid, rule = one.study.study_instance_uid, rule_text(self.rule, one.rule)
                if one.goes_at <= now:
                    removed += [uid] if self._remove(uid, rule) else []
                elif one.study.step is not Step.MARKED:
                    self._history.mark_for_removal(uid, rule, WHO)
            return tuple(removed)

    def _finish_begun(self) -> Iterator[str]:
        for uid, begun, sha256s in self._history.unfinished_removals(self._folder):
            self._take_away(uid, sha256s, begun.rule, begun.who)
            yield uid

    def _remove(self, uid: str, rule: str) -> bool:
        try:
            sha256s = self._history.begin_removal(uid, self._folder, rule, WHO)
        except StudyError:  # it came up again since it was named: pinned, or with more files
            return False
        self._take_away(uid, sha256s, rule, WHO)
        return True

    def _take_away(self, uid: str, sha256s: tuple[str, ...], rule: str, who: str) -> None:
        """Remove copies and what was decoded from them, and record that they are gone."""
        with self._originals.removal(sha256s) as gone:
            self._volumes.forget(uid)
            self._history.end_removal(uid, self._folder, gone, rule, who)

    def _needs_room(self) -> bool:
        try:
            return self._free() < FLOOR_INTAKE_BYTES
        except OSError:  # the disk doesn't answer: nothing goes sooner for that
            return False

    def _keep_looking(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                self.look()
                self._tell("")
            except AicoronaError as error:
                log.warning("images could not be removed by the rule of the site", exc_info=error)
                self._tell(str(error))
            self._wake.wait(LOOK_EVERY_S)

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self._told(trouble)
        self._trouble = trouble


def _ledger(history: Path) -> Iterator[Path]:
    suffixes = ("", "-wal", "-shm", ".audit.jsonl")
    return (one for one in (history.with_name(history.name + suffix) for suffix in suffixes) if one.exists())


def _size(folder: Path) -> int:
    """Return the bytes of all files below a folder; what goes meanwhile doesn't count."""
    size = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += (Path(where) / name).lstat().st_size
    return size
