"""Studies and series as the gate and the scorer see them."""

from __future__ import annotations

from dataclasses import dataclass

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.headers import Header


@dataclass(frozen=True, slots=True)
class Instance:
    """One slice: its header and the file that holds it."""

    file: FileRef
    header: Header

    @property
    def identity(self) -> str:
        """SOP Instance UID and frame; the SHA-256 stands in where the UID is absent."""
        uid = self.header.sop_instance_uid or f"sha256-{self.file.sha256}"
        return uid if self.header.number_of_frames == 1 else f"{uid}#{self.header.frame}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that names a study but is not among its scored slices, and why."""

    file: FileRef
    finding: Finding
    series_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One reconstruction of one scan, its instances ordered from feet to head where they have a position.

    `findings` says what the gate noticed; the worst of them is the outcome of the series.
    """

    series_instance_uid: str
    instances: tuple[Instance, ...]
    left_out: tuple[LeftOut, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """What the worklist ranks: all series of one Study Instance UID.

    `left_out` are files that name the study but no usable series (refused files, other modalities).
    `findings` concern the whole study, such as two patients in it.
    """

    study_instance_uid: str
    series: tuple[Series, ...]
    left_out: tuple[LeftOut, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """Which series is scored, or none, and why: one sentence that names each series left out."""

    series: Series | None
    reason: str
    findings: tuple[Finding, ...] = ()
