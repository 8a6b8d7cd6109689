"""What the engine tells its clients, the terminal and the window; frozen values, no callbacks inside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aicorona_desktop.core.findings import Finding, Outcome
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.score import Score


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch of files has come; `total` is None while files are still being counted."""

    files_read: int
    files_total: int | None


@dataclass(frozen=True, slots=True)
class FileDone:
    """What became of one file at reading: `finding` is None for a slice that joined a study."""

    shown: str
    outcome: Outcome
    finding: Finding | None


@dataclass(frozen=True, slots=True)
class StudySeen:
    """A study has appeared, or grown, and is being checked."""

    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class SliceScored:
    """One more slice of a study has been scored."""

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
class SourceLost:
    """A watched folder cannot be reached; it is tried again for ever."""

    folder: Path


@dataclass(frozen=True, slots=True)
class SourceBack:
    """A lost folder answers again."""

    folder: Path


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence about the program itself, such as a device that was left."""

    finding: Finding


Event = (
    Progress
    | FileDone
    | StudySeen
    | SliceScored
    | PreliminaryScore
    | FinalScore
    | Unscored
    | SourceLost
    | SourceBack
    | Notice
)
