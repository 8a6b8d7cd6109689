"""The account of one import while it is read: each file once, and whether the history knew it before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.imports import ImportedFile, ImportSummary
from aicorona_desktop.core.sources import SourceKind
from aicorona_desktop.core.study import Study
from aicorona_desktop.history.store import History
from aicorona_desktop.triage.reading import FileRead


@dataclass(frozen=True, slots=True)
class Source:
    """What is being imported: the number of the batch, what people call it, what kind of place it comes from.

    `copied`: what joins a study is kept as a copy of ours; else it is referenced where it lies. `quiet_time_s` is how
    long its studies must have been quiet, None for the site's, where its files come in parts. `folder` is the one
    that is watched, None where none is.
    """

    number: int
    label: str
    kind: SourceKind = SourceKind.PERSON
    copied: bool = False
    quiet_time_s: float | None = None
    folder: Path | None = None

    @property
    def watched(self) -> bool:
        """Whether files come in parts, so that a study must go quiet before it is whole."""
        return self.kind in (SourceKind.FOLDER, SourceKind.RECEIVER)


class Account:
    """Takes in what is read; `summary` closes it. A file is known by its study and its bytes (SHA-256)."""

    def __init__(self, source: Source, started_at: datetime) -> None:
        self.source = source
        self._started_at = started_at
        self._read: list[FileRead] = []
        self._known: dict[str, frozenset[str]] = {}
        self._grown: set[str] = set()

    @property
    def files_read(self) -> int:
        """How many files have been read."""
        return len(self._read)

    @property
    def touched(self) -> tuple[str, ...]:
        """Every study that has been recorded meanwhile."""
        return tuple(self._known)

    @property
    def grown(self) -> frozenset[str]:
        """The studies of which the history did not know all files."""
        return frozenset(self._grown)

    def add(self, read: FileRead) -> None:
        """Count a file."""
        self._read.append(read)

    def before_recording(self, study_instance_uid: str, history: History) -> None:
        """Note what the history knows of a study, once, before anything of this import is recorded."""
        if study_instance_uid not in self._known:
            self._known[study_instance_uid] = known_files(study_instance_uid, history)

    def note_grown(self, study_instance_uid: str) -> None:
        """Note that the history did not know all of a study's files."""
        self._grown.add(study_instance_uid)

    def summary(
        self,
        ended_at: datetime,
        studies: Callable[[Iterable[str]], Iterable[Study]],
        *,
        cancelled: bool = False,
        trouble: str = "",
    ) -> ImportSummary:
        """Return what became of each file; `studies` gives the studies as they stand, to say what is no slice."""
        source = self.source
        standing = tuple(studies(self._known))
        files = tuple(self._files(_why_no_slice(standing), _further_files(standing)))
        return ImportSummary(
            number=source.number,
            label=source.label,
            started_at=self._started_at,
            ended_at=ended_at,
            files=files,
            cancelled=cancelled,
            trouble=trouble,
            watched=source.watched,
        )

    def _files(self, why_no_slice: dict[str, Finding], further: frozenset[str]) -> Iterator[ImportedFile]:
        seen: set[tuple[str, str]] = set()
        for read in self._read:
            uid = read.study_instance_uid
            known = bool(uid) and (read.sha256 in self._known.get(uid, ()) or (uid, read.sha256) in seen)
            known = known or read.sha256 in further
            seen.add((uid, read.sha256))
            finding = read.finding or why_no_slice.get(read.location)
            yield ImportedFile(read.shown, finding.outcome if finding else Outcome.SCORED, finding, uid, known)


def keep_account(summary: ImportSummary, history: History, number: int | None = None) -> ImportSummary:
    """Keep the account of an import in the history, where it may have begun; return it with its number there.

    A watched folder hands out all its files anew after every start: what brings nothing new leaves no trace.
    """
    if summary.watched and all(one.known for one in summary.files):
        return summary
    if number is None:
        number = history.begin_import(summary.label, summary.started_at)
    history.add_import_files(number, summary.files)
    history.end_import(number, stopped=summary.cancelled, at=summary.ended_at)
    return replace(summary, recorded=number)


def known_files(study_instance_uid: str, history: History) -> frozenset[str]:
    """Return the SHA-256 of every file of a study that the history has recorded."""
    images = {file.sha256 for file in history.files(study_instance_uid)}
    return frozenset(images | {one.file.sha256 for one in history.left_out(study_instance_uid)})


def _why_no_slice(studies: Iterable[Study]) -> dict[str, Finding]:
    return {one.file.location: one.finding for study in studies for series in study.series for one in series.left_out}


def _further_files(studies: Iterable[Study]) -> frozenset[str]:
    """Return the SHA-256 of files that hold what another file holds: known, although these bytes are new."""
    found: set[str] = set()
    for study in studies:
        own = study.own_sha256s
        found.update(file.sha256 for series in study.series for file in series.duplicates if file.sha256 not in own)
        found.update(one.file.sha256 for one in study.left_out if one.finding.reason is Reason.SAME_IMAGE)
    return frozenset(found)
