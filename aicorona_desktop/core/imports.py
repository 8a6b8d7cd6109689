"""What an import brought: every file counted once, with what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from aicorona_desktop.core.findings import Finding, Outcome, Reason


class Fate(StrEnum):
    """Under which heading a file is counted; every file has exactly one."""

    KNOWN = "known"
    """The same bytes were in the history before, or stand twice in this import: recognised, not doubled."""
    NOT_DICOM = "not_dicom"
    """A file of another program, or an empty one."""
    DAMAGED = "damaged"
    """It should be an image and could not be read: damaged, unsafe, locked, without permission."""
    IGNORED = "ignored"
    """Nothing to score: a localizer, DICOM of another kind, a disc directory, an archive (its files are counted)."""
    IMAGE = "images"
    """A slice that has joined a study."""


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """What became of one file of an import.

    `shown` is what a person calls it and may hold a patient's name: it goes into no log. `finding` says why it is no
    slice to score, None for a plain one. `known` says that its bytes were in the history before, or stand twice.
    """

    shown: str
    outcome: Outcome
    finding: Finding | None = None
    study_instance_uid: str = ""
    known: bool = False

    @property
    def fate(self) -> Fate:
        """The heading under which it is counted, as `history.imports` counts."""
        if self.known:
            return Fate.KNOWN
        if self.finding is not None and self.finding.reason in _NO_DICOM:
            return Fate.NOT_DICOM
        fates = {Outcome.REFUSED: Fate.DAMAGED, Outcome.IGNORED: Fate.IGNORED}
        return fates.get(self.outcome, Fate.IMAGE)


_NO_DICOM = frozenset({Reason.NOT_DICOM, Reason.JUNK, Reason.EMPTY_FILE})


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """The files of an import: `files` is the sum of the next five; `studies` is how many of them images are in."""

    files: int = 0
    images: int = 0
    known: int = 0
    not_dicom: int = 0
    damaged: int = 0
    ignored: int = 0
    studies: int = 0


def counts_of(files: Iterable[ImportedFile]) -> ImportCounts:
    """Count files by their fate."""
    all_files = tuple(files)
    found = Counter(one.fate for one in all_files)
    return ImportCounts(
        files=len(all_files),
        images=found[Fate.IMAGE],
        known=found[Fate.KNOWN],
        not_dicom=found[Fate.NOT_DICOM],
        damaged=found[Fate.DAMAGED],
        ignored=found[Fate.IGNORED],
        studies=len({one.study_instance_uid for one in all_files if one.fate is Fate.IMAGE}),
    )


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """One batch of files from beginning to end.

    `number` is that of `Engine.submit`, `label` what the source is called. `cancelled`: a person stopped it, what was
    read until then is kept. `trouble` is one sentence where it broke off by itself. `watched`: the files came from a
    watched folder. `recorded` is its number in the history, None where nothing was kept of it.
    """

    number: int
    label: str
    started_at: datetime
    ended_at: datetime
    files: tuple[ImportedFile, ...]
    cancelled: bool = False
    trouble: str = ""
    watched: bool = False
    recorded: int | None = None

    @property
    def counts(self) -> ImportCounts:
        """The files by what became of them."""
        return counts_of(self.files)

    @property
    def studies(self) -> tuple[str, ...]:
        """Every study that a file of this import names, in the order of its first file."""
        return tuple(dict.fromkeys(one.study_instance_uid for one in self.files if one.study_instance_uid))
