"""One made-up scan: a phantom written as DICOM, for Figures 6 and 7 of a made-up study."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from aicorona_desktop.dicom.writing import Value, ct_slice, uid_of
from aicorona_desktop.imaging.phantom import Thorax

SLICES: Final = 24
_SIDE_PX: Final = 192


def draw_scan(folder: Path, scan_id: str, seed: int, slices: int = SLICES) -> None:
    """Write a phantom with patches of raised density as DICOM.

    Raises:
        OSError: it can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng([seed, 8])
    thorax = Thorax(
        slices=slices,
        matrix=_SIDE_PX,
        slice_spacing_mm=240.0 / slices,
        seed=seed,
        ground_glass=round(float(drawn.uniform(0.4, 0.9)), 2),
    )
    common: dict[str, Value | None] = {
        "PatientName": "Synthetic^Phantom",
        "PatientID": scan_id,
        "StudyInstanceUID": uid_of("evaluate", scan_id),
        "SeriesInstanceUID": uid_of("evaluate", scan_id, "axial"),
        "FrameOfReferenceUID": uid_of("evaluate", scan_id, "frame"),
        "StudyDate": "20201201",
        "SeriesNumber": 1,
        "SeriesDescription": "AXIAL",
        "Manufacturer": "Synthetic phantom",
        "StudyDescription": "CT CHEST",
        "BodyPartExamined": "CHEST",
        "PatientPosition": "HFS",
        "ConvolutionKernel": "STANDARD",
        "KVP": 120,
        "GantryDetectorTilt": 0,
        "AcquisitionNumber": 1,
        "BurnedInAnnotation": "NO",
    }
    for index, position in enumerate(thorax.positions_mm):
        own: dict[str, Value | None] = {
            "SOPInstanceUID": uid_of("evaluate", scan_id, "axial", index),
            "InstanceNumber": index + 1,
            "SliceThickness": thorax.slice_spacing_mm,
        }
        content = ct_slice(thorax.slice(index), position, thorax.pixel_spacing_mm, common | own)
        (folder / f"CT{index + 1:04d}.dcm").write_bytes(content)
