"""From a row of a manifest to its slices, in order, however they lie on the disk.

DICOM series go the product's own way: its reader process, its choice of the series, its order from feet to head,
its gate on headers. Pictures and NIfTI volumes are decoded in the reader process too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.core.study import Instance, Series, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.gate import may_be_scored
from aicorona_desktop.dicom.geometry import geometry_of
from aicorona_desktop.dicom.protocol import SliceRead
from aicorona_desktop.dicom.series import choose_series
from aicorona_desktop.dicom.volume import to_standard_orientation
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import Layout, ManifestRow
from aicorona_desktop.evaluation.volumes import Volume, Volumes
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.opening import open_regular, read_again
from aicorona_desktop.intake.walking import natural_key, walk
from aicorona_desktop.triage.catalogue import Catalogue
from aicorona_desktop.triage.reading import FileReading

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
NIFTI_SUFFIXES = (".nii", ".nii.gz")

Pixels = NDArray[np.int16] | NDArray[np.uint8] | NDArray[np.uint16]


class Kind(StrEnum):
    """What the values of pixels mean."""

    HOUNSFIELD = "hounsfield"  # int16, -32768 is padding, rows to the back and columns to the left (LPS)
    GREY = "grey"  # uint8 or uint16, brighter is denser, any window


class ScanError(EvaluationError):
    """A scan could not be read; names the row of the manifest and nothing of the patient."""

    def __init__(self, row: ManifestRow, what: str) -> None:
        super().__init__(f"The scan {row.scan_id} could not be read: {what}")


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One opened scan: what its pixels are and how many slices it has; pixels are read when asked for.

    `series` and `findings` (the gate's, of the headers) are those of a DICOM series; `slice_spacing_mm` is None
    where nothing says it. Order is from feet to head for DICOM and NIfTI, by file name for pictures.
    """

    kind: Kind
    n_slices: int
    fetch: Callable[[Sequence[int]], Iterator[Pixels]]
    series: Series | None = None
    findings: tuple[Finding, ...] = ()
    slice_spacing_mm: float | None = None

    @property
    def suitable(self) -> bool:
        """Whether the gate would let the program score this series; always, for what is no DICOM."""
        return may_be_scored(self.findings)

    def slices(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Pixels]]:
        """Yield place and pixels [rows, columns] of the slices asked for (all: None), in that order.

        Raises:
            ScanError: a slice could not be read; one that is left out would change the scan.
            ValueError: there is no such slice.
        """
        wanted = tuple(range(self.n_slices) if indices is None else indices)
        if any(not 0 <= index < self.n_slices for index in wanted):
            raise ValueError(f"asked for a slice beyond the {self.n_slices} of this scan")
        return zip(wanted, self.fetch(wanted), strict=True)


class ScanReader:
    """Opens the scans of a manifest below the folder of its data set; owns reader processes unless given them."""

    def __init__(self, root: Path, reader: Reader | None = None, volumes: Volumes | None = None) -> None:
        self._root = root
        self._closing = ExitStack()
        self._reader = reader or self._closing.enter_context(Reader())
        self._spool = Spool(Path(self._closing.enter_context(scratch_folder())))
        self._volumes = volumes or self._closing.enter_context(Volumes())

    def __enter__(self) -> ScanReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the reader processes that are ours, and remove what archives were unpacked to."""
        self._closing.close()

    def open(self, row: ManifestRow) -> Scan:
        """Open one scan.

        Raises:
            ScanError: there is nothing, too little or too much at its path, or it can't be read.
        """
        path = self.path_of(row)
        opened = {
            Layout.DICOM: self._open_dicom,
            Layout.PICTURES: self._open_pictures,
            Layout.NIFTI: self._open_nifti,
            Layout.PICTURE: self._open_picture,
        }
        return opened[row.layout or layout_of(path)](row, path)

    def path_of(self, row: ManifestRow) -> Path:
        """Return where a scan lies.

        Raises:
            ScanError: the manifest gives no path, or nothing is there.
        """
        if not row.path:
            raise ScanError(row, "the manifest gives no path.")
        path = self._root / row.path
        if not path.exists():
            raise ScanError(row, "there is no such file or folder; is the folder of the data set the right one?")
        return path

    def study(self, row: ManifestRow) -> Study:
        """Return the one study of a DICOM scan, read and grouped as the program does it.

        Raises:
            ScanError: there is no study at its path, or more than one.
        """
        return _one_study(row, read_studies([self.path_of(row)], self._reader, self._spool))

    # --- DICOM ----------------------------------------------------------------------------------------------------

    def _open_dicom(self, row: ManifestRow, _path: Path) -> Scan:
        choice = choose_series(self.study(row))
        series = choice.series or (choice.checked[0] if choice.checked else None)
        if series is None or not series.instances:
            raise ScanError(row, _said(choice.findings) or "there are no axial slices.")
        return Scan(
            Kind.HOUNSFIELD,
            len(series.instances),
            lambda indices: self._dicom_slices(row, [series.instances[index] for index in indices]),
            series,
            choice.findings,
            geometry_of(series.instances).spacing_mm,
        )

    def _dicom_slices(self, row: ManifestRow, instances: Sequence[Instance]) -> Iterator[Pixels]:
        for instance, _, read in self._reader.read_slices(self._dicom_items(row, instances)):
            if not isinstance(read, SliceRead):
                raise ScanError(row, str(read))
            yield to_standard_orientation(read.hounsfield, instance.header)

    def _dicom_items(
        self, row: ManifestRow, instances: Sequence[Instance]
    ) -> Iterator[tuple[Instance, bytes, str, tuple[int, ...]]]:
        """Ask for the frames of one file together: a multi-frame file is sent once."""
        for file, members in groupby(instances, key=lambda instance: instance.file):
            together = tuple(members)
            data = read_again(file)
            if isinstance(data, Finding):
                raise ScanError(row, str(data))
            yield together[0], data, file.sha256, tuple(one.header.frame for one in together)

    # --- pictures -------------------------------------------------------------------------------------------------

    def _open_pictures(self, row: ManifestRow, path: Path) -> Scan:
        pictures = pictures_in(path)
        if not pictures:
            raise ScanError(row, "there are no pictures in its folder.")
        return Scan(
            Kind.GREY,
            len(pictures),
            lambda indices: self._pictures(row, [pictures[index] for index in indices]),
        )

    def _open_picture(self, row: ManifestRow, path: Path) -> Scan:
        if not path.is_file():
            raise ScanError(row, "its path is no picture.")
        return Scan(Kind.GREY, 1, lambda indices: self._pictures(row, [path for _ in indices]))

    def _pictures(self, row: ManifestRow, paths: Iterable[Path]) -> Iterator[Pixels]:
        for path in paths:
            opened = open_regular(path)
            if isinstance(opened, Finding):
                raise ScanError(row, str(opened))
            data, file = opened
            picture = self._reader.picture(data, file.sha256)
            if isinstance(picture, Finding):
                raise ScanError(row, str(picture))
            yield picture

    # --- NIfTI ----------------------------------------------------------------------------------------------------

    def _open_nifti(self, row: ManifestRow, path: Path) -> Scan:
        volume = self._volumes.volume(path)
        if isinstance(volume, Finding):
            raise ScanError(row, str(volume))
        return Scan(
            Kind.HOUNSFIELD,
            volume.listed.slices,
            lambda indices: self._volume_slices(row, volume, indices),
            slice_spacing_mm=volume.listed.spacing_mm,
        )

    def _volume_slices(self, row: ManifestRow, volume: Volume, indices: Sequence[int]) -> Iterator[Pixels]:
        for pixels in self._volumes.slices(volume, indices):
            if isinstance(pixels, Finding):
                raise ScanError(row, str(pixels))
            yield pixels


# --- what lies there ---------------------------------------------------------------------------------------------


def layout_of(path: Path) -> Layout:
    """Return the layout that the names at a path suggest."""
    if path.is_dir():
        return Layout.PICTURES if pictures_in(path) else Layout.DICOM
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return Layout.NIFTI
    return Layout.PICTURE if path.suffix.lower() in PICTURE_SUFFIXES else Layout.DICOM


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """Return the pictures that lie in a folder itself, in natural order of their names (2 before 10).

    Hidden files, links and what other programs left there are no pictures.
    """
    if not folder.is_dir():
        return ()
    found = (
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and not path.is_symlink()
    )
    return tuple(sorted(found, key=lambda path: natural_key(path.name)))


def files_of(path: Path, layout: Layout) -> tuple[Path, ...]:
    """Return the files that make up a scan."""
    if layout is Layout.PICTURES:
        return pictures_in(path)
    if layout is Layout.DICOM:
        return tuple(found.path for found in walk([path]) if found.finding is None)
    return (path,)


def content_sha256(path: Path, layout: Layout) -> str:
    """Return the SHA-256 over the sorted SHA-256 of a scan's files (hex, one a line): the manifest's `sha256`.

    Raises:
        EvaluationError: a file could not be read.
    """
    digests = []
    for file in files_of(path, layout):
        opened = open_regular(file)
        if isinstance(opened, Finding):
            raise EvaluationError(f"A file of a scan could not be read: {opened}")
        digests.append(opened[1].sha256)
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def read_studies(paths: Iterable[Path], reader: Reader, spool: Spool) -> tuple[Study, ...]:
    """Return the studies below some paths, read and grouped as the program does it."""
    catalogue = Catalogue()
    touched = catalogue.add(FileReading(reader, spool).read(paths))
    return catalogue.studies(touched)


def _one_study(row: ManifestRow, studies: tuple[Study, ...]) -> Study:
    with_slices = [study for study in studies if any(series.instances for series in study.series)]
    if len(with_slices) > 1:
        raise ScanError(row, "there is more than one study at its path; give each a folder and a row of its own.")
    if not with_slices:
        raise ScanError(row, _said(tuple(f for study in studies for f in study.findings)) or "there is no CT study.")
    return with_slices[0]


def _said(findings: tuple[Finding, ...]) -> str:
    return str(findings[0]) if findings else ""
