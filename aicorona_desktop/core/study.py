"""Studies and series as the gate and the scorer see them."""

from __future__ import annotations

from dataclasses import dataclass

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.headers import Header

PADDING_HU = -32768
"""What pixels outside the scan carry in place of Hounsfield units, which are clipped to ±32767."""


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

    def left_out(self, finding: Finding) -> LeftOut:
        """Return this as a file that is not among the scored slices, and why."""
        header = self.header
        return LeftOut(
            file=self.file,
            finding=finding,
            series_instance_uid=header.series_instance_uid,
            study_instance_uid=header.study_instance_uid,
            patient_id=header.patient_id,
            header=header,
        )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that names a study but is not among its scored slices, and why.

    The two UIDs and the patient ID are what the reader saw before it stopped, "" where it saw none.
    `header` is there when the file is readable (a localizer, a reformat): it can still be looked at.
    """

    file: FileRef
    finding: Finding
    series_instance_uid: str = ""
    study_instance_uid: str = ""
    patient_id: str = ""
    header: Header | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One reconstruction of one scan, its instances ordered from feet to head.

    `instances` may be empty: then `left_out` says what the series held. `duplicates` are further files
    of the images kept: with the same bytes, or with the same image in them (`triage.same_images`). `findings` says what
    the gate noticed; the worst of them is the outcome of the series.
    """

    series_instance_uid: str
    instances: tuple[Instance, ...]
    left_out: tuple[LeftOut, ...] = ()
    findings: tuple[Finding, ...] = ()
    duplicates: tuple[FileRef, ...] = ()
    series_number: int | None = None
    description: str = ""  # (0008,103E), for display


@dataclass(frozen=True, slots=True)
class Study:
    """What the worklist ranks: all series of one Study Instance UID.

    `left_out` are files that name the study but no series with a readable image (refused files, other
    modalities). `findings` concern the whole study, such as two patients in it.
    """

    study_instance_uid: str
    series: tuple[Series, ...]
    left_out: tuple[LeftOut, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def own_sha256s(self) -> frozenset[str]:
        """The SHA-256 of every file that its series are made of, duplicates not among them."""
        images = {one.file.sha256 for series in self.series for one in series.instances}
        return frozenset(images | {one.file.sha256 for series in self.series for one in series.left_out})


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """Which series is scored, or none, and why: one sentence that names each series left out.

    `findings` are those of the study and of the series that stands for it, gravest first, one a reason.
    `checked` are all series with the gate's findings, best first: what "use another series" offers.
    """

    series: Series | None
    reason: str
    findings: tuple[Finding, ...] = ()
    checked: tuple[Series, ...] = ()
