"""Chest CT made of numbers, as DICOM files: `phantom.chest()` is what most tests start from.

A frozen builder: every `with_...` returns a changed copy. The same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.dicom.writing import Value, ct_slice, uid_of
from aicorona_desktop.imaging.phantom import Thorax

Tags = Mapping[str, Value | None]


@dataclass(frozen=True)
class Chest:
    """One series of one study; slices count from 0 at the feet."""

    name: str = "chest"
    thorax: Thorax = field(default_factory=lambda: Thorax(slices=20, matrix=128, slice_spacing_mm=10.0))
    left_out: frozenset[int] = frozenset()
    tags: Tags = field(default_factory=dict)
    slice_tags: Mapping[int, Tags] = field(default_factory=dict)
    has_localizer: bool = False

    @property
    def study_instance_uid(self) -> str:
        return str(self.tags.get("StudyInstanceUID", uid_of(self.name)))

    @property
    def series_instance_uid(self) -> str:
        return str(self.tags.get("SeriesInstanceUID", uid_of(self.name, "series")))

    @property
    def slices(self) -> tuple[int, ...]:
        """The slices that are there, by their place in the whole."""
        return tuple(index for index in range(self.thorax.slices) if index not in self.left_out)

    def named(self, name: str) -> Chest:
        """Another patient with another study, of the same look."""
        return replace(self, name=name)

    def with_slices(self, count: int, spacing_mm: float | None = None) -> Chest:
        spacing = spacing_mm or self.thorax.slice_spacing_mm
        return replace(self, thorax=replace(self.thorax, slices=count, slice_spacing_mm=spacing))

    def with_matrix(self, matrix: int) -> Chest:
        return replace(self, thorax=replace(self.thorax, matrix=matrix))

    def with_ground_glass(self, extent: float) -> Chest:
        return replace(self, thorax=replace(self.thorax, ground_glass=extent))

    def with_consolidation(self, extent: float) -> Chest:
        return replace(self, thorax=replace(self.thorax, consolidation=extent))

    def with_seed(self, seed: int) -> Chest:
        return replace(self, thorax=replace(self.thorax, seed=seed))

    def without_slice(self, *indices: int) -> Chest:
        return replace(self, left_out=self.left_out | set(indices))

    def with_tags(self, **tags: Value | None) -> Chest:
        """Elements of every slice by DICOM keyword; None leaves one out."""
        return replace(self, tags={**self.tags, **tags})

    def with_slice_tags(self, index: int, **tags: Value | None) -> Chest:
        """Elements of one slice."""
        return replace(self, slice_tags={**self.slice_tags, index: {**self.slice_tags.get(index, {}), **tags}})

    def with_localizer(self) -> Chest:
        """A localizer beside the slices, as a series of its own."""
        return replace(self, has_localizer=True)

    def hounsfield(self, index: int) -> NDArray[np.int16]:
        """What slice `index` shows, int16 [rows, columns], read-only."""
        return _drawn(self.thorax, index)

    def file(self, index: int) -> bytes:
        """Slice `index` as a DICOM file."""
        position = self.thorax.positions_mm[index]
        values = {**self._common(), **self._of_slice(index), **self.tags, **self.slice_tags.get(index, {})}
        return ct_slice(self.hounsfield(index), position, self.thorax.pixel_spacing_mm, values)

    def localizer(self) -> bytes:
        """The localizer as a DICOM file, whether the series has one or not."""
        values: Tags = {
            **self._common(),
            "SeriesInstanceUID": uid_of(self.name, "localizer"),
            "SOPInstanceUID": uid_of(self.name, "localizer", 0),
            "ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER"),
            "ImageOrientationPatient": (1, 0, 0, 0, 0, -1),
            "SeriesNumber": 1,
            "InstanceNumber": 1,
            "SliceThickness": None,
        }
        study = {tag: value for tag, value in self.tags.items() if tag.startswith(("Patient", "Study"))}
        middle = self.thorax.slices // 2
        position = self.thorax.positions_mm[-1]
        return ct_slice(self.hounsfield(middle), position, self.thorax.pixel_spacing_mm, {**values, **study})

    def files(self) -> dict[str, bytes]:
        """All files by name."""
        files = {f"IM{index:04d}.dcm": self.file(index) for index in self.slices}
        return {**files, "LOC0000.dcm": self.localizer()} if self.has_localizer else files

    def written_to(self, folder: Path) -> Path:
        """Write all files into the folder, made if missing; return it."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files().items():
            (folder / name).write_bytes(data)
        return folder

    def _common(self) -> Tags:
        return {
            "PatientName": f"Phantom^{self.name.capitalize()}",
            "PatientID": f"PHANTOM-{self.name}",
            "PatientBirthDate": "19700101",
            "PatientAge": "056Y",
            "PatientSex": "O",
            "StudyDate": "20260105",
            "StudyTime": "101500",
            "SeriesTime": "101530",
            "AccessionNumber": f"ACC-{self.name}"[:16],
            "StudyID": "1",
            "StudyDescription": "CT CHEST",
            "SeriesDescription": "LUNG",
            "BodyPartExamined": "CHEST",
            "Manufacturer": "PHANTOM",
            "PatientPosition": "HFS",
            "ConvolutionKernel": "B50f",
            "KVP": 120,
            "GantryDetectorTilt": 0,
            "SliceThickness": self.thorax.slice_spacing_mm,
            "SeriesNumber": 2,
            "AcquisitionNumber": 1,
            "StudyInstanceUID": self.study_instance_uid,
            "SeriesInstanceUID": self.series_instance_uid,
            "FrameOfReferenceUID": uid_of(self.name, "frame"),
        }

    def _of_slice(self, index: int) -> Tags:
        return {"SOPInstanceUID": uid_of(self.name, "slice", index), "InstanceNumber": index + 1}


def chest(name: str = "chest") -> Chest:
    """A clear chest that passes every rule: 20 slices of 10 mm, 128 pixels; small, so that tests are quick."""
    return Chest(name)


@lru_cache(maxsize=400)
def _drawn(thorax: Thorax, index: int) -> NDArray[np.int16]:
    drawn = thorax.slice(index)
    drawn.flags.writeable = False
    return drawn
