"""A watched folder: looked through again and again, since no notification can be relied on.

A look may block for long on a dead network mount: `Lookout` asks for it on a thread that nothing else waits for.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from aicorona_desktop.core.drives import is_on_network
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.sources import LOOK_EVERY_ON_NETWORK_S
from aicorona_desktop.intake.opening import file_finding, is_busy, open_regular, status_of
from aicorona_desktop.intake.settling import (
    BETWEEN_LOOKS_ON_NETWORK_S,
    BETWEEN_LOOKS_S,
    FileSettling,
    Reach,
    Sight,
    Version,
)
from aicorona_desktop.intake.walking import Found, walk_folder

log = logging.getLogger(__name__)

ENTRIES_PER_LOOK = 50_000
REPORT_BUSY_AFTER_S = 600.0
TRY_AGAIN_S = 5.0
LONGEST_TRY_AGAIN_S = 600.0
"""A file that could not be read is tried again after so long, then after twice as long each time, up to this."""
SOONEST_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a folder gave.

    `settled` are complete files, each version once, in natural order, and what was refused, each once.
    `arriving` counts files that are not complete yet. `finding` says why the folder could not be listed. `root` is the
    folder without links; `sights` is how each settled file was seen, by its path.
    """

    settled: tuple[Found, ...]
    reach: Reach
    arriving: int = 0
    finding: Finding | None = None
    root: Path = Path()
    sights: Mapping[str, Sight] = field(default_factory=dict)

    @property
    def reachable(self) -> bool:
        """Whether the folder can be seen, as far as is known."""
        return self.reach is Reach.WATCHING


@dataclass(slots=True)
class _Trial:
    """When a file that could not be read is tried again; None: it has been handed out once more since."""

    due_s: float | None
    pause_s: float


class FolderWatch:
    """Looks into one folder, links never followed; the folder itself is resolved once, when the watch is made.

    `known` is what earlier runs have read, by path below the folder: none of it is handed out again unless it has
    changed. On a network drive files must stand still for longer, and looks are further apart.
    """

    def __init__(
        self,
        folder: Path,
        between_looks_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        entries_per_look: int = ENTRIES_PER_LOOK,
        *,
        known: Mapping[str, Version] | None = None,
        may_empty: bool = False,
    ) -> None:
        self.folder = folder
        self._root = folder.resolve()
        self.is_on_network = is_on_network(self._root)
        if between_looks_s is None:
            between_looks_s = BETWEEN_LOOKS_ON_NETWORK_S if self.is_on_network else BETWEEN_LOOKS_S
        earlier = {str(self._root / path): version for path, version in (known or {}).items()}
        self._clock = clock
        self._entries_per_look = entries_per_look
        self._settling = FileSettling(between_looks_s, earlier, may_empty)
        self._round: _Round | None = None
        self._refused: set[tuple[str, Reason]] = set()
        self._busy_since: dict[str, float] = {}
        self._trials: dict[str, _Trial] = {}

    @property
    def since_s(self) -> float | None:
        """Since when, on the watch's clock, the folder is not seen; None while it is."""
        return self._settling.since_s

    def next_look_in_s(self, every_s: float) -> float:
        """Return in how many seconds to look again: sooner than usual where files may be complete by then."""
        due = self._settling.settles_at_s
        return every_s if due is None else min(every_s, max(due - self._clock(), SOONEST_LOOK_S))

    def try_again(self, keys: Iterable[str]) -> None:
        """Hand files out once more that were handed out and not taken in: after a while, and only if they can be read.

        The pauses grow, each time it was in vain.
        """
        for key in keys:
            before = self._trials.get(key)
            pause_s = TRY_AGAIN_S if before is None else min(2 * before.pause_s, LONGEST_TRY_AGAIN_S)
            self._trials[key] = _Trial(self._clock() + pause_s, pause_s)

    def look(self) -> Look:
        """List the folder; where it is very large, a part of it, and the rest at the next look."""
        if self._round is None:
            self._round = _Round(walk_folder(self._root), self._root, self._clock)
        ended = self._round.go_on(self._entries_per_look)
        if not ended:
            return self._answer(())
        looked, self._round = self._round, None
        if looked.failure is not None:
            self._settling.failed(self._clock())
            return self._answer((), looked.failure)
        keys = self._settling.looked(looked.sights, self._clock(), looked.complete)
        keys = (*keys, *self._readable_again(looked))
        ready = [looked.found[key] for key in keys if not self._is_held(key, looked.sights[key])]
        overdue = [looked.found[key] for key in self._overdue(looked)]
        answer = self._answer((*ready, *self._refused_now(looked, overdue)))
        return replace(answer, sights={str(one.path): looked.sights[str(one.path)] for one in ready})

    def _readable_again(self, looked: _Round) -> list[str]:
        """Return the files whose time has come and that can be read now; the others wait for longer."""
        self._trials = {
            key: trial for key, trial in self._trials.items() if key in looked.sights or not looked.complete
        }
        now_s, readable = self._clock(), []
        for key, trial in self._trials.items():
            found = looked.found.get(key)
            if found is None or trial.due_s is None or trial.due_s > now_s:
                continue
            if not self._settling.is_told(key, looked.sights[key]):
                trial.due_s = None  # another version by now, which is handed out by itself
            elif isinstance(open_regular(found.path, found.shown, below=found.root, pause_s=0), Finding):
                trial.pause_s = min(2 * trial.pause_s, LONGEST_TRY_AGAIN_S)
                trial.due_s = now_s + trial.pause_s
            else:
                trial.due_s = None
                readable.append(key)
        return readable

    def _answer(self, settled: tuple[Found, ...], finding: Finding | None = None) -> Look:
        return Look(settled, self._settling.reach, self._settling.arriving, finding, self._root)

    def _is_held(self, key: str, sight: Sight) -> bool:
        """Whether another program has the file locked; it is then looked at again later."""
        if not is_busy(Path(key)):
            self._busy_since.pop(key, None)
            return False
        self._busy_since.setdefault(key, sight.at_s)
        self._settling.hold(key, sight)
        return True

    def _overdue(self, looked: _Round) -> list[str]:
        """Return the files that have been locked for so long that somebody should know."""
        self._busy_since = {key: since for key, since in self._busy_since.items() if key in looked.sights}
        return [
            key for key, since in self._busy_since.items() if looked.sights[key].at_s - since >= REPORT_BUSY_AFTER_S
        ]

    def _refused_now(self, looked: _Round, overdue: list[Found]) -> list[Found]:
        """Return the refusals that were not there at the look before."""
        locked = Finding(Outcome.REFUSED, Reason.LOCKED)
        refused = looked.refused + [Found(found.path, found.shown, locked, found.root) for found in overdue]
        named = {(str(found.path), found.finding.reason): found for found in refused if found.finding is not None}
        new = [found for key, found in named.items() if key not in self._refused]
        self._refused = set(named) if looked.complete else self._refused | set(named)
        return new


class Lookout:
    """Looks into one folder every so often on a thread of its own; what it saw waits until it is taken.

    The next look begins only when the one before was taken: what has settled is handed out once, and nothing of it
    may be lost. `close` returns at once; a look that hangs ends when the system lets it go.
    """

    def __init__(
        self,
        folder: Path,
        every_s: float,
        woken: Callable[[], None] = lambda: None,
        make: Callable[[Path], FolderWatch] = FolderWatch,
        *,
        is_exact: bool = False,
    ) -> None:
        """Start looking.

        Args:
            folder: what to look into; it need not be there yet.
            every_s: seconds between two looks; may be changed later.
            woken: called on the thread of the looks when there is one to take.
            make: makes the watch, on that thread, as even that may hang.
            is_exact: whether `every_s` was chosen for this very folder, so that it stands on a network drive too.
        """
        self.folder = folder
        self.every_s = every_s
        self.is_exact = is_exact
        self._woken = woken
        self._make = make
        self._looks: queue.Queue[Look] = queue.Queue(maxsize=1)
        self._to_try: queue.SimpleQueue[tuple[str, ...]] = queue.SimpleQueue()
        self._began_s: float | None = None
        self._closed = threading.Event()
        self._due = threading.Event()
        threading.Thread(target=self._work, name="folder look", daemon=True).start()

    @property
    def waiting(self) -> bool:
        """Whether there is a look to take."""
        return not self._looks.empty()

    @property
    def looking_s(self) -> float:
        """For how long the present look has lasted; 0 between two looks."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def take(self) -> Look | None:
        """Return what was seen, if anything was since the last call."""
        try:
            return self._looks.get_nowait()
        except queue.Empty:
            return None

    def try_again(self, keys: Iterable[str]) -> None:
        """Have files handed out once more, as `FolderWatch.try_again`."""
        self._to_try.put(tuple(keys))

    def look_now(self) -> None:
        """Don't wait for the next look."""
        self._due.set()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._due.set()
        self.take()  # the thread may be waiting for room

    def _every(self, watch: FolderWatch) -> float:
        """The time between two looks: on a network drive no less than 30 s, unless somebody has said so."""
        is_slow = watch.is_on_network and not self.is_exact
        return max(self.every_s, LOOK_EVERY_ON_NETWORK_S) if is_slow else self.every_s

    def _work(self) -> None:
        watch: FolderWatch | None = None
        while not self._closed.is_set():
            self._began_s = time.monotonic()
            try:
                watch = watch or self._make(self.folder)
                while not self._to_try.empty():
                    watch.try_again(self._to_try.get())
                look = watch.look()
            except Exception:
                log.exception("a look into a watched folder failed")
                look = Look((), Reach.UNREACHABLE, finding=Finding(Outcome.REFUSED, Reason.UNREADABLE))
            self._began_s = None
            if self._closed.is_set():
                return
            self._looks.put(look)
            self._woken()
            self._due.wait(self.every_s if watch is None else watch.next_look_in_s(self._every(watch)))
            self._due.clear()


class _Round:
    """One walk through the folder, over one or more looks."""

    def __init__(self, walked: Iterator[Found], root: Path, clock: Callable[[], float]) -> None:
        self._walked, self._root, self._clock = walked, root, clock
        self.sights: dict[str, Sight] = {}
        self.found: dict[str, Found] = {}
        self.refused: list[Found] = []
        self.failure: Finding | None = None
        self.complete = True

    def go_on(self, entries: int) -> bool:
        """Take in so many entries; True when the walk has come to its end."""
        count = 0
        for found in islice(self._walked, entries):
            count += 1
            self._take(found)
        return count < entries

    def _take(self, found: Found) -> None:
        finding = found.finding or self._see(found)
        if finding is None or finding.outcome is Outcome.IGNORED:
            return
        if found.path == self._root:
            self.failure = finding
        elif finding.reason is not Reason.NOT_FOUND:
            self.complete &= finding.reason not in (Reason.NOT_LISTED, Reason.UNREADABLE)
            self.refused.append(Found(found.path, found.shown, finding, found.root))

    def _see(self, found: Found) -> Finding | None:
        key = str(found.path)
        try:
            status = status_of(found.path)
        except OSError as error:
            return file_finding(error)
        file_id = (status.st_dev, status.st_ino)
        self.sights[key] = Sight(status.st_size, status.st_mtime_ns, file_id, self._clock())
        self.found[key] = found
        return None
