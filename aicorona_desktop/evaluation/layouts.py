"""From a row of a manifest to its slices, in order, however they lie on the disk.

DICOM series go the product's own way: its reader process, its choice of the series, its order from feet to head,
its gate on headers. Pictures are decoded in the reader process too. Only NIfTI is parsed here, by nibabel.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.core.study import PADDING_HU, Instance, Series, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.gate import may_be_scored
from aicorona_desktop.dicom.geometry import geometry_of
from aicorona_desktop.dicom.protocol import SliceRead
from aicorona_desktop.dicom.series import choose_series
from aicorona_desktop.dicom.thresholds import GATE
from aicorona_desktop.dicom.volume import to_standard_orientation
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import Layout, ManifestRow
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.opening import open_regular, read_again
from aicorona_desktop.intake.walking import natural_key, walk
from aicorona_desktop.triage.catalogue import Catalogue
from aicorona_desktop.triage.reading import FileReading

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
LARGEST_SIDE_PX = 4096
MOST_SLICES = 5000
LARGEST_VOLUME = 2**30  # voxels; what a small file unpacks to is not its own choice
HIGHEST_AIR_HU = GATE.air_at_most_hu

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
    """Opens the scans of a manifest below the folder of its data set; owns a reader process unless given one."""

    def __init__(self, root: Path, reader: Reader | None = None) -> None:
        self._root = root
        self._closing = ExitStack()
        self._reader = reader or self._closing.enter_context(Reader())
        self._spool = Spool(Path(self._closing.enter_context(scratch_folder())))

    def __enter__(self) -> ScanReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the reader process that is ours, and remove what archives were unpacked to."""
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
        image = _nifti(row, path)
        slices, spacing_mm = _axial_slices(row, image)
        return Scan(
            Kind.HOUNSFIELD, slices, lambda indices: _nifti_slices(row, image, indices), slice_spacing_mm=spacing_mm
        )


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


def nifti_slices(row: ManifestRow, path: Path) -> tuple[int, float]:
    """Return how many axial slices a NIfTI volume has, and how far apart they are in mm, by its header.

    Raises:
        ScanError: it is no volume of axial slices.
    """
    return _axial_slices(row, _nifti(row, path))


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


# --- NIfTI -------------------------------------------------------------------------------------------------------


def _nifti(row: ManifestRow, path: Path) -> Any:
    """Open the header; the values are read later."""
    nibabel = _nibabel()
    try:
        return nibabel.load(path)
    except (*_NIFTI_TROUBLE, nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError) as error:
        raise ScanError(row, "this is not NIfTI, or it is damaged.") from error


def _axial_slices(row: ManifestRow, image: Any) -> tuple[int, float]:
    """Return how many axial slices a volume has and how far apart they are, in mm."""
    shape = _volume_shape(row, image)
    axes = _axes(row, image)
    height = int(np.flatnonzero(axes[:, 0] == 2)[0])
    sides = [size for axis, size in enumerate(shape) if axis != height]
    if not 16 <= min(sides) <= max(sides) <= LARGEST_SIDE_PX or not 1 <= shape[height] <= MOST_SLICES:
        raise ScanError(row, "the volume has an impossible size.")
    if math.prod(shape) > LARGEST_VOLUME:
        raise ScanError(row, "the volume is too large.")
    return shape[height], float(np.linalg.norm(np.asarray(image.affine)[:3, height]))


def _volume_shape(row: ManifestRow, image: Any) -> tuple[int, int, int]:
    shape = tuple(int(size) for size in image.shape)
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise ScanError(row, "the volume does not have three dimensions.")
    if np.dtype(image.get_data_dtype()).kind not in "iuf":
        raise ScanError(row, "the values are not numbers in Hounsfield units.")
    return shape[0], shape[1], shape[2]


def _axes(row: ManifestRow, image: Any) -> NDArray[np.float64]:
    """Which patient axis each array axis is nearest to (right, front, head: 0 to 2), and its sense, as [3, 2]."""
    axes = np.asarray(_nibabel().orientations.io_orientation(image.affine), dtype=np.float64)
    if not np.isfinite(axes).all():
        raise ScanError(row, "the volume does not say how it lies.")
    return axes


def _nifti_slices(row: ManifestRow, image: Any, indices: Sequence[int]) -> Iterator[Pixels]:
    try:
        stored = np.asanyarray(image.dataobj)
    except _NIFTI_TROUBLE as error:
        raise ScanError(row, "its values are damaged or cut off.") from error
    # To right, front, head; then columns to the left and rows to the back, as the program's slices lie.
    volume = _nibabel().orientations.apply_orientation(stored.reshape(stored.shape[:3]), _axes(row, image))
    standing = volume[::-1, ::-1].transpose(2, 1, 0)
    hounsfield = _hounsfield(standing)
    if int(np.where(hounsfield == PADDING_HU, 32767, hounsfield).min()) > HIGHEST_AIR_HU:
        raise ScanError(row, "there is no air in it: the values are not Hounsfield units.")
    for index in indices:
        yield np.ascontiguousarray(hounsfield[index])


def _hounsfield(values: NDArray[Any]) -> NDArray[np.int16]:
    """Return int16; what is no number, and the constant around a round field, become padding.

    NIfTI has no tag for padding. As in the gate, one value far below air that all corners hold is taken for it.
    """
    if values.dtype.kind == "f":
        padding = ~np.isfinite(values)
        rounded = np.rint(np.where(padding, 0, values)).clip(-32767, 32767).astype(np.int16)
        rounded[padding] = PADDING_HU
    elif np.can_cast(values.dtype, np.int16):
        rounded = np.maximum(values.astype(np.int16), np.int16(-32767))
    else:
        rounded = values.astype(np.int64).clip(-32767, 32767).astype(np.int16)
    corners = rounded[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    value = int(corners[0, 0])
    if value < GATE.value_from_hu and (corners == value).all():
        rounded[rounded == value] = PADDING_HU
    return rounded


_NIFTI_TROUBLE = (OSError, EOFError, ValueError, zlib.error, OverflowError)


def _nibabel() -> Any:
    try:
        return importlib.import_module("nibabel")
    except ImportError as error:
        raise EvaluationError("NIfTI volumes need nibabel: install the extra `evaluate`.") from error
