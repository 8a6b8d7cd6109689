"""Which studies lie below a folder, and in which files: kept on the disk, so that memory doesn't grow with it.

One line a file, in one of 256 lists by the hash of its Study Instance UID: all files of a study stand in one list,
however far apart they lie, and one list at a time is looked at. The lists name paths and UIDs, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from aicorona_desktop.core.durable import sync_folder, write_file
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.run_folder import RunFolderError
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.walking import Found, walk
from aicorona_desktop.triage.reading import Batch, FileReading, refused_beside

FILES_AT_ONCE: Final = 512
"""How many files' headers are held at a time while an archive is listed."""

DONE: Final = "index.json"
LEFT_OUT: Final = "left_out.jsonl"
BESIDE: Final = "beside.jsonl"


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """One study of an archive: what a worker is given.

    `beside` are folders of its files that hold refused files of no study, and how many.
    """

    study_instance_uid: str
    paths: tuple[Path, ...]
    beside: tuple[tuple[str, int], ...] = ()

    def encoded(self) -> bytes:
        """Return it as ASCII JSON: names that are no text survive."""
        return json.dumps([self.study_instance_uid, [str(path) for path in self.paths], self.beside]).encode("ascii")

    @classmethod
    def decoded(cls, data: bytes) -> StudyFiles:
        """Return what `encoded` gave."""
        uid, paths, beside = json.loads(data)
        return cls(str(uid), tuple(Path(path) for path in paths), tuple((str(at), int(count)) for at, count in beside))


@dataclass(frozen=True, slots=True)
class ArchiveCounts:
    """How many files were looked at, of how many studies, and how many of them name no study."""

    files: int
    studies: int
    left_out: int


def bucket_of(study_instance_uid: str) -> str:
    """Return the list that a study stands in, 00 to ff."""
    return hashlib.sha256(study_instance_uid.encode("utf-8", "surrogatepass")).hexdigest()[:2]


class ArchiveIndex:
    """The lists of an archive in a folder; `build` makes them, once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def counts(self) -> ArchiveCounts | None:
        """What the finished lists hold; None where there are none yet.

        Raises:
            RunFolderError: the lists are damaged.
        """
        place = self._folder / DONE
        if not place.exists():
            return None
        try:
            return ArchiveCounts(**json.loads(place.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise RunFolderError("The list of the archive can't be read; name a new folder.") from error

    def build(self, root: Path, reader: Reader, told: Callable[[int], None] = lambda _files: None) -> ArchiveCounts:
        """List the studies below a folder, reading headers only; lists that were begun before are made anew.

        Args:
            root: the archive.
            reader: reads the headers.
            told: hears how many files were looked at.

        Raises:
            RunFolderError: the lists can't be written.
        """
        try:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
            (self._folder / BESIDE).touch()
            files, left_out = self._listed(root, reader, told)
            counts = ArchiveCounts(files, sum(1 for _ in self.studies()), left_out)
            self._sync()
            write_file(self._folder / DONE, json.dumps(counts_object(counts)).encode())
        except OSError as error:
            raise RunFolderError(f"The list can't be written: {error.strerror or 'unknown reason'}.") from error
        return counts

    def buckets(self) -> tuple[str, ...]:
        """Return the lists that there are, in their order."""
        return tuple(sorted(path.stem for path in self._folder.glob("??.jsonl")))

    def studies(self, bucket: str | None = None) -> Iterator[StudyFiles]:
        """Yield the studies of one list, or of all, in the order of their UIDs within a list.

        Raises:
            RunFolderError: a list is damaged.
        """
        beside: Counter[str] = Counter()
        for folder, count in _lines(self._folder / BESIDE):
            beside[folder] += int(count)
        for name in self.buckets() if bucket is None else (bucket,):
            files: dict[str, dict[str, None]] = defaultdict(dict)
            for uid, path in _lines(self._folder / f"{name}.jsonl"):
                files[uid][path] = None
            for uid in sorted(files):
                paths = tuple(Path(path) for path in files[uid])
                folders = dict.fromkeys(str(path.parent) for path in paths)
                yield StudyFiles(uid, paths, tuple((folder, beside[folder]) for folder in folders if beside[folder]))

    def left_out(self) -> Iterator[dict[str, str]]:
        """Yield the files that name no study: path, reason (its code), sentence."""
        place = self._folder / LEFT_OUT
        if place.exists():
            with place.open("rb") as stream:
                yield from map(json.loads, stream)

    def _listed(self, root: Path, reader: Reader, told: Callable[[int], None]) -> tuple[int, int]:
        files = left_out = 0
        found = walk([root])
        while chunk := list(islice(found, FILES_AT_ONCE)):
            left_out += self._add(chunk, reader)
            files += len(chunk)
            told(files)
        return files, left_out

    def _add(self, found: Iterable[Found], reader: Reader) -> int:
        """Add some files to the lists; return how many of them name no study."""
        with scratch_folder() as scratch:  # for what archives are unpacked to: gone with the chunk
            batch = FileReading(reader, Spool(Path(scratch))).read_found(found)
        lines: dict[str, list[object]] = defaultdict(list)
        for uid, path in _named(batch):
            lines[bucket_of(uid)].append((uid, path))
        nameless = [_nameless(other) for other in batch.others if not other.study_instance_uid]
        for bucket, members in lines.items():
            _append(self._folder / f"{bucket}.jsonl", members)
        _append(self._folder / LEFT_OUT, nameless)
        _append(self._folder / BESIDE, [(str(folder), str(count)) for folder, count in refused_beside(batch).items()])
        return len(nameless)

    def _sync(self) -> None:
        for path in self._folder.glob("*.jsonl"):
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())
        sync_folder(self._folder)


def counts_object(counts: ArchiveCounts) -> dict[str, int]:
    """Return counts as JSON takes them."""
    return {"files": counts.files, "studies": counts.studies, "left_out": counts.left_out}


def _named(batch: Batch) -> Iterator[tuple[str, str]]:
    """Yield study and path of every file that names a study; a member of an archive stands for its archive."""
    for instance in batch.instances:
        file = instance.file
        yield instance.header.study_instance_uid, _path_of(file.source, file.path)
    for other in batch.others:
        if other.study_instance_uid and other.file is not None:
            yield other.study_instance_uid, _path_of(other.file.source, other.file.path)


def _path_of(source: str, path: Path) -> str:
    return str(path) if path.is_relative_to(source) else source


def _nameless(other: Any) -> dict[str, str]:
    return {"path": other.location, "reason": other.finding.reason.code, "sentence": str(other.finding)}


def _append(path: Path, values: Iterable[object]) -> None:
    lines = b"".join(json.dumps(value).encode("ascii") + b"\n" for value in values)
    if lines:
        with path.open("ab") as stream:
            stream.write(lines)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open("rb") as stream:
            for line in stream:
                uid, name = json.loads(line)
                yield str(uid), str(name)
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError("The list of the archive is damaged; name a new folder.") from error
