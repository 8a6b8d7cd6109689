"""What a person chooses between when the same images came with different bytes: read from the files when asked.

Both versions are shown as what they are: where each came from and when, what differs in their headers, and in their
pixels. Nothing is guessed from either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.app.study_files import instances_of
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.study import Instance
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.late_reader import LateReader
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.dicom.volume import to_standard_orientation
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.opening import read_again
from aicorona_desktop.triage.identities import has_two_identities, settled
from aicorona_desktop.triage.same_images import Contents, without_same_images
from aicorona_desktop.triage.versions import versions_of

NO_VERSIONS = "All images of this study that can be read now have one version each."
NO_FILES = "No file of this study can be read now; is the disc or the network drive there?"


class VersionsError(AicoronaError):
    """There is nothing to choose between, or the files can't be read."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an image: its file and header, and when that file was first recorded, None where nobody knows."""

    instance: Instance
    arrived_at: datetime | None

    @property
    def file(self) -> FileRef:
        """The file, with where it came from and its SHA-256."""
        return self.instance.file


@dataclass(frozen=True, slots=True)
class ImageVersions:
    """One image with its versions in the order of their arrival."""

    identity: str
    versions: tuple[Version, ...]

    @property
    def seen(self) -> tuple[str, ...]:
        """The SHA-256 of the versions."""
        return tuple(one.file.sha256 for one in self.versions)


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of the header that two versions give differently; `name` is the field of `Header`."""

    name: str
    first: object
    other: object


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The pixels of an image's versions, int16 [rows, columns] in HU, or why there are none.

    `differing` is where each version differs from the first, bool [rows, columns]; None where that can't be told, as
    their sizes differ or one can't be read.
    """

    pixels: tuple[NDArray[np.int16] | Finding, ...]
    differing: tuple[NDArray[np.bool_] | None, ...]


def read_versions(
    history: History, study_instance_uid: str, make_reader: Callable[[], Reader] = Reader
) -> tuple[ImageVersions, ...]:
    """Return the images of a study that have more than one version, in the order of their numbers.

    Raises:
        VersionsError: there are none, or no file can be read.
        HistoryError: the history can't be read.
    """
    with make_reader() as reader:
        found = list(instances_of(history, study_instance_uid, reader))
        study = next((one for one in studies_of(found) if one.study_instance_uid == study_instance_uid), None)
        if study is None:
            raise VersionsError(NO_FILES)
        study = without_same_images(study, history, Contents(lambda: reader))
    if has_two_identities(study):
        study = settled(study, history.identity_choice(study_instance_uid))
    arrivals = history.arrivals(study_instance_uid)
    images = [
        ImageVersions(
            identity, tuple(sorted((_version(one, arrivals.get(sha)) for sha, one in files.items()), key=_age))
        )
        for identity, files in versions_of(study).items()
    ]
    if not images:
        raise VersionsError(NO_VERSIONS)
    return tuple(sorted(images, key=lambda one: (one.versions[0].instance.header.instance_number or 0, one.identity)))


def differences(first: Header, other: Header) -> tuple[Difference, ...]:
    """Return the fields that two headers give differently, in the order of the header."""
    return tuple(
        Difference(one.name, getattr(first, one.name), getattr(other, one.name))
        for one in fields(Header)
        if one.name != "findings" and getattr(first, one.name) != getattr(other, one.name)
    )


def compare(pixels: tuple[NDArray[np.int16] | Finding, ...]) -> Compared:
    """Return versions of an image with where each differs from the first."""
    return Compared(pixels, tuple(_differing(pixels[0], one) for one in pixels))


class VersionReader(LateReader):
    """Reads the pixels of versions in a reader process of its own, which starts when it is first needed."""

    def compared(self, image: ImageVersions) -> Compared:
        """Return the pixels of all versions of an image, in the order of their arrival.

        Raises:
            ReaderError: no reader process can be started, or this was closed.
        """
        reader = self.started()
        return compare(tuple(_pixels(reader, one.instance) for one in image.versions))


def _pixels(reader: Reader, instance: Instance) -> NDArray[np.int16] | Finding:
    data = read_again(instance.file)
    if isinstance(data, Finding):
        return data
    _, _, answer = next(reader.read_slices([(None, data, instance.file.sha256, (instance.header.frame,))]))
    return answer if isinstance(answer, Finding) else to_standard_orientation(answer.hounsfield, instance.header)


def _differing(first: NDArray[np.int16] | Finding, other: NDArray[np.int16] | Finding) -> NDArray[np.bool_] | None:
    if isinstance(first, Finding) or isinstance(other, Finding) or first.shape != other.shape:
        return None
    return np.asarray(first != other)


def _version(instance: Instance, arrived_at: datetime | None) -> Version:
    return Version(instance, arrived_at)


def _age(version: Version) -> tuple[bool, str, str, str]:
    """The earliest first; files that came together in the order of their names."""
    at = version.arrived_at
    return (at is None, at.isoformat() if at else "", version.file.shown, version.file.sha256)
