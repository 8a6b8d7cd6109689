"""From a data set as it is published to the rows of a manifest.

Each adapter knows one tree of folders. Splits come afterwards (`splits`): ok rows say `train`, those of an
external cohort `external`. Subjects keep the pseudonym that the publisher gave.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from aicorona_desktop.core.findings import Finding, Reason
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.adapting import (
    RULES,
    Adapted,
    adapted,
    class_folders,
    folders,
    path_below,
    with_headers,
)
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.layouts import NIFTI_SUFFIXES, ScanError, pictures_in
from aicorona_desktop.evaluation.manifest import (
    Cohort,
    LabelQuality,
    LabelSource,
    Layout,
    ManifestRow,
    QcStatus,
    Split,
    class_of,
)
from aicorona_desktop.evaluation.quality import Judgement, QualityRules
from aicorona_desktop.evaluation.volumes import Volumes
from aicorona_desktop.intake.walking import natural_key

PUBLIC_TABLE = "manifest.csv"

# --- CC-CCII -----------------------------------------------------------------------------------------------------

_CC_CCII_CLASSES = {"normal": "normal", "cp": "cp", "ncp": "covid"}


def cc_ccii(root: Path, rules: QualityRules = RULES) -> Adapted:
    """Return the scans of CC-CCII: class / patient / scan / pictures, classes CP, NCP (novel) and Normal.

    A patient number is one person, whatever the class it stands under.

    Raises:
        EvaluationError: no folder of such a tree is there.
    """
    rows = []
    for folder, label in class_folders(root, _CC_CCII_CLASSES):
        for patient in folders(folder):
            rows += [_cc_ccii_row(root, scan, label) for scan in folders(patient)]
    return adapted(rows, rules)


def _cc_ccii_row(root: Path, scan: Path, label: str) -> ManifestRow:
    patient = scan.parent.name
    return ManifestRow(
        scan_id=f"cc-ccii-{label}-{patient}-{scan.name}",
        subject_id=f"cc-ccii-{patient}",
        cohort=Cohort.CC_CCII,
        split=Split.TRAIN,
        label_raw=label,
        label3=class_of(label),
        n_slices=len(pictures_in(scan)),
        label_source=LabelSource.PUBLIC,
        qc_status=QcStatus.OK,
        path=path_below(root, scan),
        source="cc-ccii",
        layout=Layout.PICTURES,
    )


# --- MosMedData --------------------------------------------------------------------------------------------------

_MOSMED_CLASSES = {"ct-0": "non_pneumonia", "ct-1": "covid", "ct-2": "covid", "ct-3": "covid", "ct-4": "covid"}


def mosmeddata(root: Path, rules: QualityRules = RULES) -> Adapted:
    """Return the studies of MosMedData: CT-0 (no pneumonia) to CT-4 / one NIfTI volume a study.

    The whole cohort is external, as in the paper; a study is a subject. Slices are counted by the volume's header.

    Raises:
        EvaluationError: no folder of such a tree is there, or nibabel is not installed.
    """
    top = root / "studies" if (root / "studies").is_dir() else root
    volumes = [
        (volume, label)
        for folder, label in class_folders(top, _MOSMED_CLASSES)
        for volume in sorted(folder.iterdir(), key=lambda path: natural_key(path.name))
        if volume.name.lower().endswith(NIFTI_SUFFIXES) and not volume.name.startswith(".")
    ]
    rows, unreadable = [], {}
    with Volumes() as reading:
        for path, label in volumes:
            row = _mosmed_row(root, path, label)
            volume = reading.volume(path)
            if isinstance(volume, Finding) and volume.reason is Reason.VOLUME_EXTRA:
                raise EvaluationError(str(volume))
            if isinstance(volume, Finding):
                unreadable[row.scan_id] = Judgement(QcStatus.UNREADABLE, str(ScanError(row, str(volume))))
            else:
                thickness_mm = round(volume.listed.spacing_mm, 3)
                row = replace(row, n_slices=volume.listed.slices, slice_thickness_mm=thickness_mm)
            rows.append(row)
    return adapted(rows, rules, unreadable)


def _mosmed_row(root: Path, volume: Path, label: str) -> ManifestRow:
    study = volume.name.split(".")[0].replace("_", "-").lower()
    name = f"mosmed-{volume.parent.name.replace('-', '').lower()}-{study}"
    return ManifestRow(
        scan_id=name,
        subject_id=name,
        cohort=Cohort.MOSMEDDATA,
        split=Split.EXTERNAL,
        label_raw=label,
        label3=class_of(label),
        n_slices=1,
        label_source=LabelSource.PUBLIC,
        qc_status=QcStatus.OK,
        path=path_below(root, volume),
        source="mosmed",
        licence="CC BY-NC-ND 3.0",
        layout=Layout.NIFTI,
    )


# --- COVID-CT-MD -------------------------------------------------------------------------------------------------

_COVID_CT_MD_CLASSES = {
    "cap": "cp",
    "cap subjects": "cp",
    "covid-19": "covid",
    "covid-19 subjects": "covid",
    "covid-19 cases": "covid",
    "normal": "normal",
    "normal subjects": "normal",
}


def covid_ct_md(root: Path, reader: Reader, rules: QualityRules = RULES) -> Adapted:
    """Return the subjects of COVID-CT-MD: Cap, COVID-19 or Normal (with or without "subjects") / subject / DICOM.

    Raises:
        EvaluationError: no folder of such a tree is there.
    """
    rows, judgements = [], {}
    with scratch_folder() as scratch:
        for folder, label in class_folders(root, _COVID_CT_MD_CLASSES):
            for subject in folders(folder):
                row, judgement = with_headers(
                    _covid_ct_md_row(root, subject, label), subject, reader, Path(scratch), rules
                )
                rows.append(row)
                judgements[row.scan_id] = judgement
    return adapted(rows, rules, judgements)


def _covid_ct_md_row(root: Path, subject: Path, label: str) -> ManifestRow:
    name = f"covidctmd-{subject.name.lower()}"
    return ManifestRow(
        scan_id=name,
        subject_id=name,
        cohort=Cohort.OTHER,
        split=Split.TRAIN,
        label_raw=label,
        label3=class_of(label),
        n_slices=1,
        label_source=LabelSource.PUBLIC,
        qc_status=QcStatus.OK,
        path=path_below(root, subject),
        source="covid-ct-md",
        licence="CC BY 4.0",
        layout=Layout.DICOM,
    )


# --- the project's own collections -------------------------------------------------------------------------------


def project_slices(folder: Path) -> Adapted:
    """Return the single slices of a collection with a manifest.csv of its own.

    Its columns are file, label, source, subject_id, split, licence, label_quality and sha256.

    Raises:
        EvaluationError: there is no such table.
    """
    rows = tuple(_project_slice(line) for line in _project_table(folder))
    return Adapted(rows, {})


def _project_slice(line: Mapping[str, str]) -> ManifestRow:
    quality = LabelQuality(line["label_quality"])
    return ManifestRow(
        scan_id=str(PurePosixPath(line["file"]).with_suffix("")).replace("/", "-"),
        subject_id=line["subject_id"],
        cohort=Cohort.OTHER,
        split=Split(line["split"]),
        label_raw=line["label"],
        label3=class_of(line["label"], quality),
        n_slices=1,
        label_source=LabelSource.PUBLIC,
        qc_status=QcStatus.OK,
        path=line["file"],
        sha256=hashlib.sha256(line["sha256"].encode()).hexdigest(),
        source=line["source"],
        licence=line["licence"],
        label_quality=quality,
        layout=Layout.PICTURE,
    )


def project_scans(folder: Path, rules: QualityRules = RULES) -> Adapted:
    """Return the scans of a collection with a manifest.csv of its own: folders of pictures.

    Its columns are folder, label, subject_id, split, licence and, where known, thickness_mm. A label
    `not_covid_unlabelled` becomes an ambiguous `normal`: known only as not COVID-19.

    Raises:
        EvaluationError: there is no such table.
    """
    return adapted([_project_scan(folder, line) for line in _project_table(folder)], rules)


def _project_scan(folder: Path, line: Mapping[str, str]) -> ManifestRow:
    unlabelled = line["label"] == "not_covid_unlabelled"
    label = "normal" if unlabelled else line["label"]
    quality = LabelQuality.AMBIGUOUS if unlabelled else LabelQuality.STRONG
    return ManifestRow(
        scan_id=f"scan-{line['folder']}",
        subject_id=line["subject_id"],
        cohort=Cohort.OTHER,
        split=Split(line["split"]),
        label_raw=label,
        label3=class_of(label, quality),
        n_slices=len(pictures_in(folder / line["folder"])),
        slice_thickness_mm=float(line["thickness_mm"]) if line.get("thickness_mm") else None,
        label_source=LabelSource.PUBLIC,
        qc_status=QcStatus.OK,
        path=line["folder"],
        source=line["subject_id"].rsplit("-", 1)[0],
        licence=line["licence"],
        label_quality=quality,
        layout=Layout.PICTURES,
    )


def _project_table(folder: Path) -> tuple[Mapping[str, str], ...]:
    try:
        with (folder / PUBLIC_TABLE).open(encoding="utf-8-sig", newline="") as stream:
            return tuple(csv.DictReader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"There is no readable {PUBLIC_TABLE} in the folder of the collection.") from error
