"""What the engine tells its clients, the terminal and the window; frozen values, no callbacks inside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from aicorona_desktop.core.discs import CopyProgress
from aicorona_desktop.core.findings import Finding, Outcome
from aicorona_desktop.core.imports import ImportSummary
from aicorona_desktop.core.receiving import ReceiverState
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.score import Score


class WatchState(StrEnum):
    """Whether a watched folder can be seen (ux.md 3.3)."""

    WATCHING = "watching"
    LOST = "lost"  # it does not answer, or is empty where files were; tried again for ever
    REFUSED = "refused"  # this user may not list it


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """A watched folder and since when, aware UTC, it is in this state.

    `files` is how many it has given so far, `last_at` when the last of them came; `arriving` how many are seen that
    are not complete yet.
    """

    folder: Path
    state: WatchState
    since: datetime
    files: int = 0
    last_at: datetime | None = None
    arriving: int = 0


@dataclass(frozen=True, slots=True)
class BatchStarted:
    """The files of a batch are being read.

    `number` is what `Engine.submit` gave, `label` what the source is called; `watched`: a watched folder gave them;
    `disc`: they are copied from a disc at the same time, and `DiscProgress` tells how far that is.
    """

    number: int
    label: str
    watched: bool = False
    disc: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the files of a batch have been read; `files_total` is None while they are still being counted.

    Told at most ten times a second.
    """

    files_read: int
    files_total: int | None
    number: int = 0


@dataclass(frozen=True, slots=True)
class FileDone:
    """What became of one file at reading: `finding` is None for a slice that joined a study."""

    shown: str
    outcome: Outcome
    finding: Finding | None


@dataclass(frozen=True, slots=True)
class FilesDone:
    """The files read since this was told last, at most ten times a second."""

    number: int
    files: tuple[FileDone, ...]


@dataclass(frozen=True, slots=True)
class DiscProgress:
    """How far the copying of a disc is; told at most five times a second. `number` is that of `Engine.import_disc`."""

    number: int
    label: str
    progress: CopyProgress


@dataclass(frozen=True, slots=True)
class ImportDone:
    """A batch is read and recorded; its studies are being checked and scored from here on."""

    summary: ImportSummary


@dataclass(frozen=True, slots=True)
class StudySeen:
    """A study has appeared, or grown, and is being checked."""

    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class SliceScored:
    """More slices of a study have been scored; told at most ten times a second."""

    study_instance_uid: str
    scored: int
    to_score: int


@dataclass(frozen=True, slots=True)
class PreliminaryScore:
    """A first score from a few slices, spread evenly over the used half."""

    study_instance_uid: str
    score: Score


@dataclass(frozen=True, slots=True)
class FinalScore:
    """The score of a study, with every warning."""

    study_instance_uid: str
    score: Score
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Unscored:
    """A study that got no score, and why."""

    study_instance_uid: str
    state: State
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class NotDone:
    """What a person asked for a study could not be done; the study is as it was. `sentence` says why."""

    study_instance_uid: str
    sentence: str


@dataclass(frozen=True, slots=True)
class MapsReady:
    """The maps of the score that stands can be loaded, or `trouble` says in one sentence why there are none."""

    study_instance_uid: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """A stored score was computed again: `agreement` is identical, within tolerance or different; "" where it failed.

    `sentence` explains; `largest_difference` is over the logits of every slice.
    """

    study_instance_uid: str
    agreement: str
    largest_difference: float
    sentence: str


@dataclass(frozen=True, slots=True)
class SourceLost:
    """A watched folder cannot be reached; it is tried again for ever."""

    folder: Path
    state: WatchState = WatchState.LOST


@dataclass(frozen=True, slots=True)
class SourceBack:
    """A lost folder answers again."""

    folder: Path


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence about the program itself, such as a device that was left."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class ReceiverChanged:
    """The DICOM receiver was switched, listens, does not, or has taken objects."""

    state: ReceiverState


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """The engine has stopped: nothing more is read or scored until the program starts again."""

    sentence: str


Event = (
    BatchStarted
    | Progress
    | FilesDone
    | DiscProgress
    | ImportDone
    | StudySeen
    | SliceScored
    | PreliminaryScore
    | FinalScore
    | Unscored
    | NotDone
    | MapsReady
    | Verified
    | SourceLost
    | SourceBack
    | Notice
    | ReceiverChanged
    | EngineFailed
)
