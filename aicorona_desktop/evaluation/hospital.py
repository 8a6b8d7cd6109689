"""The manifest of a hospital's own archive: a tree of DICOM files, and a table that says what each study shows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.core.study import Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import choose_series
from aicorona_desktop.evaluation.adapting import RULES, Adapted, adapted, described
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.layouts import read_studies
from aicorona_desktop.evaluation.manifest import (
    LABELS,
    Cohort,
    Fault,
    LabelSource,
    Layout,
    ManifestError,
    ManifestRow,
    QcStatus,
    Split,
    cell_value,
    class_of,
)
from aicorona_desktop.evaluation.quality import Judgement, QualityRules, first_against, judge_choice, judge_labels
from aicorona_desktop.intake.keeping import Spool

_LABEL_COLUMNS = (
    *("subject_id", "age", "sex", "acquired_on", "label_source", "n_readers_label"),
    *("hospital_days_gt3", "rtpcr_any_positive", "source", "licence"),
)
"""Columns of the labels that mean what they mean in a manifest; all may be missing."""


@dataclass(frozen=True, slots=True)
class _Labelled:
    """One line of a hospital's labels: which study, what it shows, what else is known."""

    line: int
    folder: str
    study_instance_uid: str
    label: str
    second_label: str
    values: Mapping[str, Any]


def hospital_archive(
    root: Path, labels: Path, reader: Reader, cohort: Cohort = Cohort.MDH, rules: QualityRules = RULES
) -> Adapted:
    """Return the labelled studies of a tree of DICOM files, however its folders are called.

    The labels are CSV in UTF-8: `folder` (below `root`) or `study_instance_uid`, `label`, and as far as known
    `second_label` (an independent reading: scans on which the two differ leave) and the manifest's columns
    subject_id, age, sex, acquired_on, label_source, n_readers_label, hospital_days_gt3, rtpcr_any_positive, source,
    licence. Without subject_id, subjects are numbered by the patient ID in the headers, which goes no further.

    Raises:
        ManifestError: lines of the labels that break rules or name no study, each with its line.
    """
    faults: list[Fault] = []
    labelled = _read_labels(labels, faults)
    with scratch_folder() as scratch:
        archive = _Archive(root, read_studies([root.resolve()], reader, Spool(Path(scratch))))
        rows, judgements = [], {}
        for one in labelled:
            found = archive.study(one, faults)
            if found is not None:
                row, judgement = _hospital_row(one, found, archive, cohort, rules)
                rows.append(row)
                judgements[row.scan_id] = judgement
    if faults:
        raise ManifestError(faults)
    return adapted(rows, rules, judgements)


class _Archive:
    """The studies of a tree, with the folder of each and a number for each patient."""

    def __init__(self, root: Path, studies: Iterable[Study]) -> None:
        self._root = root.resolve()
        self._places = {study.study_instance_uid: (study, self._folder(study)) for study in studies}
        self._patients: dict[str, int] = {}

    def study(self, labelled: _Labelled, faults: list[Fault]) -> tuple[Study, PurePosixPath] | None:
        """Return the one study that a line names, and its folder below the root; a fault where it isn't one."""
        if labelled.study_instance_uid:
            place = self._places.get(labelled.study_instance_uid)
            if place is None:
                faults.append(Fault(labelled.line, "No file of the archive is of this study_instance_uid."))
                return None
            folder = place[1]
        else:
            folder = PurePosixPath(labelled.folder)
        there = [study for study, at in self._places.values() if at.is_relative_to(folder)]
        if len(there) != 1:
            how_many = "more than one study" if there else "no study"
            faults.append(Fault(labelled.line, f"There is {how_many} in this folder; a row needs one of its own."))
            return None
        return there[0], folder

    def patient(self, study: Study) -> int:
        """Return the number of a study's patient; one without an ID is nobody else."""
        headers = [instance.header for series in study.series for instance in series.instances]
        known = next((header.patient_id.strip() for header in headers if header.patient_id.strip()), "")
        return self._patients.setdefault(known or f"study {study.study_instance_uid}", len(self._patients) + 1)

    def _folder(self, study: Study) -> PurePosixPath:
        """The deepest folder that holds all files of a study."""
        files = [instance.file.path for series in study.series for instance in series.instances]
        files += [item.file.path for series in study.series for item in series.left_out]
        files += [item.file.path for item in study.left_out]
        below = [path.relative_to(self._root).parent.parts for path in files if path.is_relative_to(self._root)]
        common: list[str] = []
        for parts in zip(*below, strict=False):
            if len(set(parts)) > 1:
                break
            common.append(parts[0])
        return PurePosixPath(*common)


def _read_labels(path: Path, faults: list[Fault]) -> tuple[_Labelled, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise EvaluationError("The file of the labels could not be read; is the name right?") from error
    except UnicodeDecodeError as error:
        raise EvaluationError("The file of the labels is not UTF-8; save it as CSV in UTF-8.") from error
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = set(lines.fieldnames or ())
    if "label" not in names or not names & {"folder", "study_instance_uid"}:
        raise ManifestError([Fault(1, "The labels need a column label, and folder or study_instance_uid.")])
    try:
        return tuple(one for cells in lines if (one := _labelled(cells, lines.line_num, faults)) is not None)
    except csv.Error as error:
        raise ManifestError([Fault(lines.line_num, "This is not CSV.")]) from error


def _labelled(cells: Mapping[str | None, str | None], line: int, faults: list[Fault]) -> _Labelled | None:
    texts = {name: (text or "").strip() for name, text in cells.items() if name is not None and isinstance(text, str)}
    before = len(faults)
    folder, uid, label = (texts.get(name, "") for name in ("folder", "study_instance_uid", "label"))
    second = texts.get("second_label", "")
    if label not in LABELS or second not in (*LABELS, ""):
        faults.append(Fault(line, f"label and second_label must be one of {', '.join(LABELS)}."))
    if bool(folder) == bool(uid):
        faults.append(Fault(line, "Either folder or study_instance_uid must be given, not both."))
    values: dict[str, Any] = {}
    for name in _LABEL_COLUMNS:
        try:
            value = cell_value(name, texts[name]) if texts.get(name) else None
        except ValueError as error:
            faults.append(Fault(line, f"{name} {error}"))
        else:
            values |= {} if value is None else {name: value}
    return _Labelled(line, folder, uid, label, second, values) if len(faults) == before else None


def _hospital_row(
    labelled: _Labelled, found: tuple[Study, PurePosixPath], archive: _Archive, cohort: Cohort, rules: QualityRules
) -> tuple[ManifestRow, Judgement]:
    study, folder = found
    prefix = cohort.value.lower()
    row = ManifestRow(
        scan_id=f"{prefix}-{labelled.line - 1:05d}",
        subject_id=f"{prefix}-subject-{archive.patient(study):05d}",
        cohort=cohort,
        split=Split.TRAIN,
        label_raw=labelled.label,
        label3=class_of(labelled.label),
        n_slices=1,
        label_source=LabelSource.REPORTS,
        qc_status=QcStatus.OK,
        path=str(folder),
        source=prefix,
        layout=Layout.DICOM,
    )
    choice = choose_series(study)
    known = described(row, choice)
    judgement = first_against(judge_choice(choice, rules), judge_labels(labelled.label, labelled.second_label))
    return replace(known, **labelled.values), judgement
