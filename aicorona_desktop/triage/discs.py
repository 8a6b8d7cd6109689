"""Discs and sticks being imported: each is copied on a thread of its own, and read by the engine as the copies come.

A disc is one import in many portions. Its studies are in the list from the first portion on, and can be looked at;
none of them is scored before the copying has ended, for slices may be missing until then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aicorona_desktop.core.discs import CopyProgress, Phase
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import DiscProgress
from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.sources import SourceKind
from aicorona_desktop.core.space import FLOOR_INTAKE_BYTES
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.intake.disc import Copied, Copying, Left, Opened
from aicorona_desktop.intake.disc_journal import Journal
from aicorona_desktop.intake.disc_order import Plan, Planned, plan
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.media import Medium, Whereabouts, fingerprint, is_disc_directory
from aicorona_desktop.intake.opening import not_dicom, open_regular
from aicorona_desktop.intake.walking import Found, walk_folder
from aicorona_desktop.triage.account import Source
from aicorona_desktop.triage.arriving import Arriving, OpenImport
from aicorona_desktop.triage.disc_image import IMAGE_SUFFIXES
from aicorona_desktop.triage.reading import HEAD_BYTES, ZIP_SUFFIX, NoInstance, Seen

log = logging.getLogger(__name__)

PORTION_FILES = 100
"""So many files of a disc are read before something else may have its turn."""
PORTION_S = 1.0
"""Fewer are read after so long, so that the first rows are there while the rest is copied."""
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A medium to be imported; `opened` opens its files (tests let that fail)."""

    medium: Medium
    opened: Opened | None = None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What copying a disc needs: who keeps the copies, who reads a disc directory, the free bytes, whom to wake."""

    spool: Spool
    reader: Reader
    free_bytes: Callable[[], int]
    woken: Callable[[], None]


class DiscCopy:
    """Copies one medium on a thread of its own; the engine takes from it what has come."""

    def __init__(self, source: Source, wanted: Wanted, neighbours: Neighbours) -> None:
        self.source = source
        self.seen = Seen()
        self.import_: OpenImport | None = None
        self.told: CopyProgress | None = None
        self._wanted = wanted
        self._spool = neighbours.spool
        self._reader = neighbours.reader
        self._free_bytes = neighbours.free_bytes
        self._woken = neighbours.woken
        self._lock = threading.Lock()
        self._come: list[FileRef | NoInstance] = []
        self._directories: list[FileRef] = []
        self._progress = CopyProgress(Phase.LISTING)
        self._taken_at = 0.0
        self._ended = False
        self.trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="disc", daemon=True)
        self._thread.start()

    @property
    def progress(self) -> CopyProgress:
        """How far it is."""
        with self._lock:
            return self._progress

    @property
    def waiting(self) -> bool:
        """Whether there is enough to read, or the end to be told: a file at a time would hold up all else."""
        with self._lock:
            overdue = bool(self._come) and time.monotonic() - self._taken_at > PORTION_S
            return self._ended or overdue or len(self._come) >= PORTION_FILES

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        with self._lock:
            return self._ended and not self._come

    @property
    def is_told(self) -> bool:
        """Whether the client has heard how far it is."""
        return self.told == self.progress

    @property
    def stopped(self) -> bool:
        """Whether a person has stopped it."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Copy nothing more; what is copied is kept."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread."""
        self._thread.join(timeout_s)

    def take(self) -> list[FileRef | NoInstance]:
        """Return the next files that have come, at most a portion; the disc directory comes last of all."""
        with self._lock:
            portion, self._come = self._come[:PORTION_FILES], self._come[PORTION_FILES:]
            self._taken_at = time.monotonic()
            return portion

    # --- the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._copy()
        except (AicoronaError, OSError) as error:
            ours = isinstance(error, AicoronaError)
            self._fail(str(error) if ours else "The disc could not be read; clean it, put it in again and try again.")
        except Exception:
            log.exception("copying a disc failed")
            self._fail("The disc could not be copied by a fault of the program; the log has the details.")
        with self._lock:
            self._come += self._directories if self._whole else map(_as_ignored, self._directories)
            self._ended = True
        self._woken()

    @property
    def _whole(self) -> bool:
        return self._progress.phase in (Phase.SAFE, Phase.FAILED) and not self.trouble

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _fail(self, sentence: str) -> None:
        self.trouble = sentence
        with self._lock:
            before = self._progress
            self._progress = CopyProgress(
                Phase.FAILED,
                before.files_total,
                before.files_copied,
                before.files_waiting,
                before.files_lost,
                before.bytes_total,
                before.bytes_copied,
                before.bytes_lost,
            )

    def _copy(self) -> None:
        medium = self._wanted.medium
        mark = fingerprint(medium)
        # The name of the source tells two discs apart that were mounted in the same place.
        name = f"{medium.shown} ({mark[:8]})"
        planned = plan(medium.root, medium.file_system, self._index(medium), stopped=self._stop.is_set)
        missing = planned.size_bytes + FLOOR_INTAKE_BYTES - self._free_bytes()
        if missing > 0:
            raise NoRoomError(
                f"There is no room for a copy of this disc: {missing / MB:.0f} MB more must be free. Free some space"
                " and import it again."
            )
        self._give([NoInstance(name, one.shown, one.finding) for one in planned.left if one.finding is not None])
        with Journal(self._spool.folder.parent / "discs", mark) as journal:
            self._follow(self._copying(planned, journal), name, journal)

    def _copying(self, planned: Plan, journal: Journal) -> Copying:
        copied = journal.copied(planned.files)
        before = {one: (sha256, self._spool.path_of(sha256)) for one, sha256 in copied.items()}
        where = Whereabouts(self._wanted.medium)
        return Copying(
            planned,
            where,
            self._spool.keep,
            before=before,
            opened=self._wanted.opened,
            judge=_why_not_kept,
            stopped=self._stop.is_set,
            pause=self._pause,
        )

    def _follow(self, copying: Copying, name: str, journal: Journal) -> None:
        told: set[Planned] = set()
        for step in copying.steps():
            if isinstance(step, CopyProgress):
                with self._lock:
                    self._progress = step
            elif isinstance(step, Copied):
                if not step.again:
                    journal.note(step.file, step.sha256)
                told.add(step.file)
                self._take_copied(step, name)
            elif (
                isinstance(step, Left) or step.file not in told
            ):  # else its copy, read back, is another: said for all of them at the end
                self._give([NoInstance(name, step.file.shown, step.finding)])
        if copying.progress.phase is Phase.FAILED:
            self.trouble = "Some copies are not what was read from the disc; keep the disc and import it again."

    def _take_copied(self, step: Copied, name: str) -> None:
        one = step.file
        file = FileRef(step.path, one.shown, one.size_bytes, one.mtime_ns, step.sha256, name)
        if is_disc_directory(one.below.name):
            self._directories.append(file)
        else:
            self._give([file])

    def _give(self, files: list[FileRef | NoInstance]) -> None:
        with self._lock:
            self._come += files
        self._woken()

    def _index(self, medium: Medium) -> tuple[tuple[str, ...], ...]:
        """Return what the disc's directory names, below the root; () where there is none at the root to read."""
        for found in _at_root(medium.root):
            opened = open_regular(found.path, found.shown, below=medium.root, pause_s=0)
            if isinstance(opened, tuple):
                data, file = opened
                return self._reader.disc_directory(data, file.sha256).file_ids
        return ()


class Discs:
    """The discs being imported, for the engine's thread; `begin`, `stop` and `active` may be asked from any."""

    def __init__(self, neighbours: Neighbours, arriving: Arriving) -> None:
        self._neighbours = neighbours
        self._arriving = arriving
        self._lock = threading.Lock()
        self._copies: dict[int, DiscCopy] = {}

    @property
    def active(self) -> bool:
        """Whether a disc is being imported."""
        with self._lock:
            return bool(self._copies)

    @property
    def waiting(self) -> bool:
        """Whether there is something to read now."""
        return any(one.waiting for one in self._all())

    def begin(self, number: int, wanted: Wanted, label: str = "") -> None:
        """Begin to copy a medium."""
        source = Source(number, label or wanted.medium.shown, SourceKind.DISC)
        copy = DiscCopy(source, wanted, self._neighbours)
        with self._lock:
            self._copies[number] = copy

    def stop(self, number: int) -> bool:
        """Stop copying; False where no disc has this number."""
        with self._lock:
            copy = self._copies.get(number)
        if copy is not None:
            copy.stop()
        return copy is not None

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop all of them: the program ends. What was not read is copied again at the next import."""
        for one in self._all():
            one.stop()
        for one in self._all():
            one.join(timeout_s)

    def news(self) -> Iterator[DiscProgress]:
        """Yield how far each disc is, where that has changed."""
        for one in self._all():
            if not one.is_told:
                one.told = progress = one.progress
                yield DiscProgress(one.source.number, one.source.label, progress)

    def read_next(self) -> bool:
        """Read one portion of one disc, or close its import; False where nothing has come."""
        for one in self._all():
            if not one.waiting:
                continue
            opened = one.import_ = one.import_ or self._arriving.begin(one.source, disc=True)
            portion = one.take()
            if portion:
                self._arriving.read_portion(opened, portion, one.seen, one.progress.files_total)
            if opened.trouble:  # our side can't take in what has come
                one.stop()
            if one.is_over and one.is_told:  # its last word, such as that it is safe, comes before its end
                opened.stopped |= one.stopped
                opened.trouble = opened.trouble or one.trouble
                with self._lock:
                    del self._copies[one.source.number]
                self._arriving.end_portions(opened)
            return True
        return False

    def _all(self) -> tuple[DiscCopy, ...]:
        with self._lock:
            return tuple(self._copies.values())


class NoRoomError(AicoronaError):
    """The copy of a disc has no room on our disk."""


def _why_not_kept(one: Planned, head: bytes) -> Finding | None:
    """Say why a file of a disc is not worth a copy: it is no DICOM, doesn't claim to be, and holds none."""
    name = one.shown.lower()
    if head[128:132] == b"DICM" or is_disc_directory(one.below.name) or name.endswith((ZIP_SUFFIX, *IMAGE_SUFFIXES)):
        return None
    judged = not_dicom(one.shown, head[:HEAD_BYTES])
    return judged if judged.outcome is Outcome.IGNORED else None


def _as_ignored(directory: FileRef) -> NoInstance:
    """A disc directory that is held against nothing: not all of its disc was read."""
    finding = Finding(Outcome.IGNORED, Reason.DICOMDIR_FILE)
    return NoInstance(directory.source, directory.shown, finding, directory.path, directory)


def _at_root(root: Path) -> Iterator[Found]:
    """Yield what is called DICOMDIR at the root of a medium."""
    for found in walk_folder(root):
        if found.finding is None and found.path.parent == root and is_disc_directory(found.path.name):
            yield found
            return
