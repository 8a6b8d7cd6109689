"""NIfTI volumes, parsed in a reader process of their own: most that is evaluated needs none, and none without need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.dicom.client import VOLUMES, Reader
from aicorona_desktop.dicom.late_reader import LateReader
from aicorona_desktop.dicom.protocol import VolumeListed, VolumeSlice
from aicorona_desktop.dicom.thresholds import GATE
from aicorona_desktop.intake.opening import open_regular, read_again


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume on the disk and what its header says of it."""

    file: FileRef
    listed: VolumeListed


class Volumes(LateReader):
    """Reads NIfTI volumes; the reader process starts with the first."""

    def __init__(self) -> None:
        super().__init__(lambda: Reader(arguments=VOLUMES))

    def volume(self, path: Path) -> Volume | Finding:
        """Return what a file holds, by its header alone."""
        opened = open_regular(path)
        if isinstance(opened, Finding):
            return opened
        data, file = opened
        listed = self.started().volume(data, file.sha256)
        return listed if isinstance(listed, Finding) else Volume(file, listed)

    def slices(self, volume: Volume, indices: Sequence[int]) -> Iterator[NDArray[np.int16] | Finding]:
        """Yield slices in HU by their places from the feet: int16, rows to the back, columns to the left (LPS).

        As in the gate, one value far below air that all corners hold is taken for padding, and values without air
        are no Hounsfield units.
        """
        data = read_again(volume.file)
        if isinstance(data, Finding):
            yield data
            return
        for read in self.started().volume_slices(data, volume.file.sha256, volume.listed, indices):
            yield read if isinstance(read, Finding) else _with_padding(read)


def _with_padding(read: VolumeSlice) -> NDArray[np.int16] | Finding:
    corner = read.corner_hu if read.corner_hu is not None and read.corner_hu < GATE.value_from_hu else None
    lowest = read.lowest_hu if corner is None else read.lowest_beside_hu
    if lowest > GATE.air_at_most_hu:
        return Finding(Outcome.REFUSED, Reason.VOLUME_VALUES)
    if corner is None:
        return read.hounsfield
    return np.where(read.hounsfield == corner, np.int16(PADDING_HU), read.hounsfield)
