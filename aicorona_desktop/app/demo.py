"""Synthetic chest studies on the disk, so that the program can be shown and checked without a patient."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.dicom.writing import Value, ct_slice, uid_of
from aicorona_desktop.imaging.phantom import Head, Thorax


class DemoError(AicoronaError):
    """The demo could not be written."""


@dataclass(frozen=True, slots=True)
class DemoStudy:
    """One study of the demo: what it is called and what it shows. Sex as in DICOM: F, M or O."""

    folder: str
    patient_name: str
    age_years: int
    sex: str
    picture: Thorax | Head
    localizer: bool = False


STUDIES = (
    DemoStudy("1-clear", "Demo^Clear", 44, "F", Thorax(seed=11), localizer=True),
    DemoStudy("2-marked-ground-glass", "Demo^Marked", 61, "M", Thorax(seed=12, ground_glass=0.9)),
    DemoStudy("3-mild-patches", "Demo^Mild", 38, "M", Thorax(44, slice_spacing_mm=6.0, seed=13, ground_glass=0.3)),
    DemoStudy("4-one-sided-consolidation", "Demo^OneSided", 70, "F", Thorax(seed=14, consolidation=0.7)),
    DemoStudy("5-too-few-slices", "Demo^Few", 55, "M", Thorax(slices=12, seed=15)),
    DemoStudy("6-not-a-chest", "Demo^Head", 49, "F", Head(seed=16)),
)
STUDY_YEAR = 2026
INSTITUTION = "Synthetic phantom"


def write_demo(folder: Path) -> tuple[Path, ...]:
    """Write the studies below a folder, each in a folder of its own; return those folders.

    A study that stands there from an earlier call is left as it is. Each appears whole or not at all.

    Raises:
        DemoError: the folder cannot be written to, or holds something else under a name of ours.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tuple(_write_study(folder, number, study) for number, study in enumerate(STUDIES, 1))
    except OSError as error:
        raise DemoError("The demo studies could not be written; choose a folder that can be written to.") from error


def _write_study(folder: Path, number: int, study: DemoStudy) -> Path:
    place = folder / study.folder
    files: dict[str, Callable[[], bytes]] = dict(_files(number, study))
    if place.is_dir() and {path.name for path in place.iterdir()} == set(files):
        return place
    if place.exists():
        raise DemoError(f"The folder already holds something else named {study.folder}; choose an empty folder.")
    temporary = Path(tempfile.mkdtemp(prefix=".demo-", suffix=".part", dir=folder))
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content())
        temporary.chmod(0o755)
        temporary.rename(place)
    except OSError:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary)
        raise
    return place


def _files(number: int, study: DemoStudy) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the name of each file and what makes its content; nothing is drawn before that is called."""
    for index in range(study.picture.slices):
        yield f"CT{index + 1:04d}.dcm", partial(_slice, number, study, index)
    if study.localizer:
        yield "LOC0001.dcm", partial(_localizer, number, study)


def _slice(number: int, study: DemoStudy, index: int) -> bytes:
    picture = study.picture
    position = picture.positions_mm[index]
    values: dict[str, Value | None] = {
        "SeriesInstanceUID": uid_of("demo", number, "axial"),
        "SOPInstanceUID": uid_of("demo", number, "axial", index),
        "SeriesNumber": 2,
        "SeriesDescription": "AXIAL",
        "InstanceNumber": index + 1,
        "SliceThickness": picture.slice_spacing_mm,
    }
    return ct_slice(picture.slice(index), position, picture.pixel_spacing_mm, _common(number, study) | values)


def _localizer(number: int, study: DemoStudy) -> bytes:
    """The overview that scanners take first: the body seen from the front, head up."""
    picture = study.picture
    seen = np.stack([picture.slice(index).mean(axis=0) for index in reversed(range(picture.slices))])
    steps = max(1, round(picture.slice_spacing_mm / picture.pixel_spacing_mm))
    rows = np.repeat(np.clip(seen * 2 + 600, -1024, 1500), steps, axis=0).astype(np.int16)
    left, front, top = picture.positions_mm[-1]
    values: dict[str, Value | None] = {
        "ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER"),
        "ImageOrientationPatient": (1, 0, 0, 0, 0, -1),
        "PixelSpacing": (picture.slice_spacing_mm / steps, picture.pixel_spacing_mm),
        "SeriesInstanceUID": uid_of("demo", number, "localizer"),
        "SOPInstanceUID": uid_of("demo", number, "localizer", 0),
        "SeriesNumber": 1,
        "SeriesDescription": "LOCALIZER",
        "InstanceNumber": 1,
    }
    return ct_slice(rows, (left, front, top), picture.pixel_spacing_mm, _common(number, study) | values)


def _common(number: int, study: DemoStudy) -> dict[str, Value | None]:
    chest = isinstance(study.picture, Thorax)
    date, time = f"{STUDY_YEAR}0105", f"{8 + number:02d}1500"
    return {
        "PatientName": study.patient_name,
        "PatientID": f"DEMO-{number}",
        "PatientBirthDate": f"{STUDY_YEAR - study.age_years}0101",
        "PatientAge": f"{study.age_years:03d}Y",
        "PatientSex": study.sex,
        "StudyInstanceUID": uid_of("demo", number),
        "FrameOfReferenceUID": uid_of("demo", number, "frame"),
        "StudyDate": date,
        "SeriesDate": date,
        "AcquisitionDate": date,
        "StudyTime": time,
        "SeriesTime": time,
        "AcquisitionTime": time,
        "StudyID": str(number),
        "AccessionNumber": f"DEMO{number:04d}",
        "ReferringPhysicianName": "",
        "InstitutionName": INSTITUTION,
        "Manufacturer": INSTITUTION,
        "StudyDescription": "CT CHEST" if chest else "CT HEAD",
        "BodyPartExamined": "CHEST" if chest else "HEAD",
        "PatientPosition": "HFS",
        "ConvolutionKernel": "STANDARD",
        "KVP": 120,
        "GantryDetectorTilt": 0,
        "AcquisitionNumber": 1,
        "BurnedInAnnotation": "NO",
        "WindowCenter": -600 if chest else 40,
        "WindowWidth": 1500 if chest else 80,
    }
