"""From paths to instances: every file below them ends in an instance, or in a finding that says why not.

One way for every kind of source: a file is opened by intake, its bytes are examined by the reader process;
members of an archive are first kept as files of ours, the disc directory is a hint beside the walk.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PurePosixPath

from aicorona_desktop.core.files import FileRef, located
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import Instance
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import ArchiveMember, Examined
from aicorona_desktop.intake.keeping import Spool, SpoolError
from aicorona_desktop.intake.media import is_disc_directory
from aicorona_desktop.intake.opening import not_dicom, open_regular, read_again
from aicorona_desktop.intake.walking import Found, is_junk, shown_text, walk
from aicorona_desktop.triage.disc_image import DiscImage, ImageError, is_image_name

ZIP_SUFFIX = ".zip"
HEAD_BYTES = 16
MOST_NAMED = 1000
"""So many files that a disc directory names in vain are told one by one."""


@dataclass(frozen=True, slots=True)
class NoInstance:
    """A file that gave no slice: what it is called, why, and the study it names, as far as it could be read."""

    source: str
    shown: str
    finding: Finding
    path: Path | None = None
    file: FileRef | None = None
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    patient_id: str = ""

    @property
    def location(self) -> str:
        """What names this file among all others, as `FileRef.location`."""
        return located(self.source, self.shown, self.path)


@dataclass(frozen=True, slots=True)
class FileRead:
    """What became of one file at reading: `finding` is None for slices that joined a study."""

    shown: str
    location: str
    finding: Finding | None
    study_instance_uid: str = ""
    sha256: str = ""


@dataclass(slots=True)
class Seen:
    """Where slices and other files were found, to hold a disc directory against; a disc comes in several portions."""

    slices: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)

    def note(self, batch: Batch) -> None:
        """Take in what a batch holds."""
        self.slices |= {one.file.location for one in batch.instances}
        self.others |= {one.location for one in batch.others}


@dataclass(slots=True)
class Batch:
    """All that was found below some paths, in reading order."""

    instances: list[Instance] = field(default_factory=list)
    others: list[NoInstance] = field(default_factory=list)
    directory_findings: list[tuple[PurePath, Finding]] = field(default_factory=list)  # folder of the DICOMDIR, finding
    _taken: tuple[int, int, int] = (0, 0, 0)

    def portion(self) -> Batch:
        """Return what has come in since the last portion was taken."""
        instances, others, findings = self._taken
        self._taken = len(self.instances), len(self.others), len(self.directory_findings)
        return Batch(self.instances[instances:], self.others[others:], self.directory_findings[findings:])

    def take(self, file: FileRef, examined: Examined) -> None:
        """Add what the reader said of one file."""
        if examined.finding is None:
            self.instances.extend(Instance(file, header) for header in examined.headers)
            return
        uids = (examined.study_instance_uid, examined.series_instance_uid, examined.patient_id)
        place = file.origin or file.path
        self.others.append(NoInstance(file.source, file.shown, examined.finding, place, file, *uids))


Keep = Callable[[FileRef, bytes], FileRef | Finding]
"""Returns the reference of our copy, or why there is none."""


@dataclass(slots=True)
class _Later:
    """What is read when all plain files have been: what holds other files, or tells of them."""

    archives: list[FileRef] = field(default_factory=list)
    directories: list[FileRef] = field(default_factory=list)
    images: list[Found] = field(default_factory=list)

    def takes(self, file: FileRef) -> bool:
        """Whether this is a file to be read later; it is then held here."""
        if PurePosixPath(file.shown).name.lower().endswith(ZIP_SUFFIX):
            self.archives.append(file)
            return True
        if is_image_name(file.shown):
            self.images.append(Found(file.path, file.shown))
            return True
        return self.takes_directory(file)

    def takes_directory(self, file: FileRef) -> bool:
        """Whether this is a disc directory; it is then held here."""
        is_one = is_disc_directory(PurePosixPath(file.shown).name)
        if is_one:
            self.directories.append(file)
        return is_one


class FileReading:
    """Reads files into a batch. `told` is called after every file, `stopped` asked before the next one."""

    def __init__(
        self,
        reader: Reader,
        spool: Spool,
        told: Callable[[FileRead], None] = lambda _read: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._reader = self.reader = reader
        self._spool = spool
        self._told = told
        self._stopped = stopped
        self.keep: Keep | None = None
        """Makes what joins a study ours before it counts; None leaves it where it lies."""
        self.batch = Batch()
        """What has been read so far by the present or last call."""
        self.members = 0
        """How many files the archives of the present or last call hold, as far as they have been listed."""

    def read(self, paths: Iterable[Path]) -> Batch:
        """Read everything below the paths."""
        return self.read_found(walk(paths))

    def read_found(self, found: Iterable[Found]) -> Batch:
        """Read files that a walk or a watched folder has found."""
        batch = self.batch = Batch()
        self.members = 0
        later = _Later()
        self._examine(self._open_all(found, batch, later), batch)
        self._read_later(later, batch, Seen())
        return batch

    def read_kept(self, kept: Iterable[FileRef | NoInstance], seen: Seen) -> Batch:
        """Read files of which a copy is kept already, as those of a disc, and take in those that could not be kept.

        `seen` holds what earlier portions of the same source have brought, and takes this one in.
        """
        batch = self.batch = Batch()
        self.members = 0
        later = _Later()
        self._examine(self._kept_now(kept, batch, later), batch)
        self._read_later(later, batch, seen)
        seen.note(batch)
        return batch

    def _read_later(self, later: _Later, batch: Batch, seen: Seen) -> None:
        """Read what holds other files, and then the directories that tell of them."""
        for archive in later.archives:
            if not self._stopped():
                self._read_archive(archive, batch, later)
        for image in later.images:
            if not self._stopped():
                self._read_image(image, batch, later)
        for directory in later.directories:
            self._read_directory(directory, batch, seen)

    def _kept_now(
        self, kept: Iterable[FileRef | NoInstance], batch: Batch, later: _Later
    ) -> Iterator[tuple[FileRef, bytes]]:
        for one in kept:
            if self._stopped():
                return
            if isinstance(one, NoInstance):
                self._set_aside(batch, replace(one, finding=_unless_junk(one.shown, one.finding)))
            elif not later.takes(one):
                data = read_again(one)
                if isinstance(data, Finding):
                    self._set_aside(batch, NoInstance(one.source, one.shown, data, one.path, one))
                else:
                    yield one, data

    def read_known(self, files: Iterable[FileRef]) -> tuple[Batch, tuple[FileRef, ...]]:
        """Read files again that were read before; return them, and those that are gone or have changed.

        Nothing is told of them: they are no news.
        """
        batch, gone = Batch(), list[FileRef]()

        def opened() -> Iterator[tuple[FileRef, bytes, str]]:
            for file in files:
                data = read_again(file)
                if isinstance(data, Finding):
                    gone.append(file)
                else:
                    yield file, data, file.sha256

        for file, examined in self._reader.examine_all(opened()):
            batch.take(file, examined)
        return batch, tuple(gone)

    def _open_all(self, found: Iterable[Found], batch: Batch, later: _Later) -> Iterator[tuple[FileRef, bytes]]:
        for one in found:
            if self._stopped():
                return
            if one.finding is None and is_image_name(one.shown):
                later.images.append(one)  # may be as large as a disc: read in parts, where its files lie
                continue
            source = str(one.root or one.path.parent)
            opened = one.finding or open_regular(one.path, one.shown, source, one.root)
            if isinstance(opened, Finding):
                self._set_aside(batch, NoInstance(source, one.shown, _unless_junk(one.shown, opened), one.path))
                continue
            data, file = opened
            if not later.takes(file):
                yield file, data

    def _examine(self, opened: Iterable[tuple[FileRef, bytes]], batch: Batch) -> None:
        items = (((file, data), data, file.sha256) for file, data in opened)
        for (file, data), examined in self._reader.examine_all(items):
            judged = _judged(examined, file.shown, data[:HEAD_BYTES])
            study = judged.headers[0].study_instance_uid if judged.headers else judged.study_instance_uid
            kept = self.keep(file, data) if self.keep and study else file
            if isinstance(kept, Finding):
                self._set_aside(batch, NoInstance(file.source, file.shown, kept, file.path))
                continue
            batch.take(kept, judged)
            self._told(FileRead(kept.shown, kept.location, judged.finding, study, kept.sha256))

    def _set_aside(self, batch: Batch, other: NoInstance) -> None:
        batch.others.append(other)
        self._told(FileRead(other.shown, other.location, other.finding))

    def _read_archive(self, archive: FileRef, batch: Batch, later: _Later) -> None:
        data = read_again(archive)
        members = data if isinstance(data, Finding) else self._reader.archive(data, archive.sha256)
        if isinstance(members, Finding):
            self._set_aside(batch, NoInstance(archive.source, archive.shown, members, archive.path, archive))
            return
        self.members += len(members)
        try:
            kept = list(self._kept_members(archive, members, batch))
        except SpoolError:
            full = Finding(Outcome.REFUSED, Reason.NOT_KEPT)
            self._set_aside(batch, NoInstance(archive.source, archive.shown, full, archive.path, archive))
            return
        finally:
            self._reader.forget_archive()
        # Only now: what an archive holds is examined when all of it is safe on the disk.
        self._examine(((file, file.path.read_bytes()) for file in kept if not later.takes_directory(file)), batch)
        self._told(FileRead(archive.shown, archive.location, Finding(Outcome.IGNORED, Reason.ARCHIVE_OPENED)))

    def _kept_members(self, archive: FileRef, members: Iterable[ArchiveMember], batch: Batch) -> Iterator[FileRef]:
        """Keep each member as a file of ours; raises SpoolError."""
        for member in members:
            if self._stopped():
                return
            shown = shown_text(member.name)
            content = Finding(Outcome.IGNORED, Reason.JUNK) if is_junk(shown) else self._reader.archive_member(member)
            if isinstance(content, Finding):
                self._set_aside(batch, NoInstance(str(archive.path), shown, content))
                continue
            digest = hashlib.sha256(content).hexdigest()
            path = self._spool.keep(content, digest)
            yield FileRef(path, shown, len(content), archive.mtime_ns, digest, str(archive.path))

    def _read_image(self, image: Found, batch: Batch, later: _Later) -> None:
        """Read what is in a disc image: its files become ours one by one, as those of an archive."""
        source, location = str(image.root or image.path.parent), str(image.path)
        try:
            with DiscImage(image, self._reader) as opened:
                self.members += len(opened.files)
                kept = list(self._kept_files(opened, batch))
        except ImageError as error:
            self._set_aside(batch, NoInstance(source, image.shown, error.finding, image.path))
            return
        except SpoolError:
            full = Finding(Outcome.REFUSED, Reason.NOT_KEPT)
            self._set_aside(batch, NoInstance(source, image.shown, full, image.path))
            return
        self._examine(((file, file.path.read_bytes()) for file in kept if not later.takes_directory(file)), batch)
        self._told(FileRead(image.shown, location, Finding(Outcome.IGNORED, Reason.ARCHIVE_OPENED)))

    def _kept_files(self, image: DiscImage, batch: Batch) -> Iterator[FileRef]:
        """Keep each file of a disc image as a file of ours; raises SpoolError."""
        for one in image.files:
            if self._stopped():
                return
            shown = shown_text(one.name)
            content = Finding(Outcome.IGNORED, Reason.JUNK) if is_junk(shown) else image.read(one)
            if isinstance(content, Finding):
                self._set_aside(batch, NoInstance(str(image.path), shown, _unless_junk(shown, content)))
                continue
            digest = hashlib.sha256(content).hexdigest()
            path = self._spool.keep(content, digest)
            yield FileRef(path, shown, len(content), image.mtime_ns, digest, str(image.path))

    def _read_directory(self, directory: FileRef, batch: Batch, seen: Seen) -> None:
        data = read_again(directory)
        if isinstance(data, Finding):
            self._set_aside(batch, NoInstance(directory.source, directory.shown, data, directory.path, directory))
            return
        told = self._reader.disc_directory(data, directory.sha256)
        folder = PurePath(directory.location).parent
        all_seen = Seen(set(seen.slices), set(seen.others))
        all_seen.note(batch)
        missing, unlisted = _compare_with_walk(folder, told.file_ids, all_seen)
        findings = [*told.findings, *_differences(missing, unlisted)]
        for one in missing[:MOST_NAMED]:  # no file: told in the account of the import, and nothing of it is held
            shown = str(PurePosixPath(directory.shown).parent.joinpath(*one))
            place = located(directory.source, shown, None)
            self._told(FileRead(shown, place, Finding(Outcome.REFUSED, Reason.DICOMDIR_NAMED)))
        batch.directory_findings += [(folder, finding) for finding in findings]
        summary = _of_directory(findings)
        self._set_aside(batch, NoInstance(directory.source, directory.shown, summary, directory.path, directory))


def _judged(examined: Examined, shown: str, head: bytes) -> Examined:
    """A file without a DICOM header is refused only where it claims to be DICOM."""
    finding = examined.finding
    foreign = finding is not None and finding.reason is Reason.NOT_DICOM
    return replace(examined, finding=not_dicom(shown, head)) if foreign else examined


def _of_directory(findings: list[Finding]) -> Finding:
    """Say what becomes of the DICOMDIR itself: one that leads outside its disc is refused, the disc walked anyway."""
    if any(finding.reason is Reason.DICOMDIR_PATH for finding in findings):
        return Finding(Outcome.REFUSED, Reason.DICOMDIR_PATH)
    return findings[0] if findings else Finding(Outcome.IGNORED, Reason.DICOMDIR_FILE)


def _unless_junk(shown: str, finding: Finding) -> Finding:
    """An empty file is refused only where its name says that it should be DICOM."""
    judged = not_dicom(shown)
    return judged if finding.reason is Reason.EMPTY_FILE and judged.outcome is Outcome.IGNORED else finding


def _compare_with_walk(
    folder: PurePath, file_ids: tuple[tuple[str, ...], ...], seen: Seen
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """Compare what a DICOMDIR lists with what the walk found, without case: what is missing, how much is unlisted."""
    if not file_ids:
        return (), 0
    listed = {str(folder.joinpath(*parts)).casefold(): parts for parts in file_ids}
    slices = {place.casefold() for place in seen.slices if PurePath(place).is_relative_to(folder)}
    there = slices | {place.casefold() for place in seen.others}
    missing = tuple(parts for place, parts in listed.items() if place not in there)
    return missing, len(slices - listed.keys())


def _differences(missing: Sized, unlisted: int) -> Iterator[Finding]:
    if len(missing):
        yield Finding(Outcome.WARNED, Reason.DICOMDIR_MISSING_FILES, found=len(missing))
    if unlisted:
        yield Finding(Outcome.WARNED, Reason.DICOMDIR_NOT_LISTED, found=unlisted)


def refused_beside(batch: Batch) -> Counter[PurePath]:
    """Return, for each folder, how many refused files in it name no study and may belong to one beside them."""
    return Counter(
        PurePath(other.location).parent
        for other in batch.others
        if other.finding.outcome is Outcome.REFUSED
        and not other.study_instance_uid
        and other.finding.reason is not Reason.DICOMDIR_PATH
    )
