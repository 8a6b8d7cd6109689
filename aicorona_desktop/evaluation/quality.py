"""Quality control of data sets: which scans are left out, why, and how many at each step.

These are rules for data sets, as the paper cleaned its own; the clinical gate has other limits, and what it finds
unsuitable is left out here as `other`, with its sentence.

Source: paper-spec 1.3 (Figure 8 of the paper); the thresholds are ours, as the paper gives none.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import Series, SeriesChoice
from aicorona_desktop.dicom.geometry import geometry_of
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import FEWEST_SLICES, ManifestRow, QcStatus, Split

STEPS = (
    (QcStatus.UNREADABLE, "could not be read"),
    (QcStatus.ABDOMEN, "abdomen instead of chest"),
    (QcStatus.HRCT, "high-resolution CT"),
    (QcStatus.FEW_SLICES, "too few slices"),
    (QcStatus.OTHER, "other reasons"),
    (QcStatus.LABEL_DISAGREE, "second reading gave another label"),
)
"""The order in which scans leave; each leaves once."""

_HRCT = re.compile(r"\bhrct\b|high[ -]resolution|\bhi[ -]?res\b", re.IGNORECASE)
_ABDOMEN = frozenset(
    {"ABDOM", "PELVI", "LIVER", "HEPAT", "KIDNEY", "RENAL", "PANCREA", "SPLEEN", "BLADDER", "COLON", "RECT", "BOWEL"}
)
"""The stems by which the gate names a body part."""
_COUNTED_HERE = frozenset({Reason.TOO_FEW_SLICES})  # the data-set limit is another one than the clinical gate's


@dataclass(frozen=True, slots=True)
class QualityRules:
    """The limits of quality control.

    A scan is taken for high-resolution CT by its description, or when it samples the lung: slices at most
    `hrct_thickness_at_most_mm` thick, at least `hrct_spacing_at_least_mm` apart.
    """

    fewest_slices: int = FEWEST_SLICES
    hrct_thickness_at_most_mm: float = 1.5
    hrct_spacing_at_least_mm: float = 5.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What quality control says of one scan, and why in words."""

    status: QcStatus
    reason: str = ""


OK = Judgement(QcStatus.OK)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many scans, and of how many subjects."""

    subjects: int
    scans: int


@dataclass(frozen=True, slots=True)
class CascadeStep:
    """One step of the cascade: what it takes away and what it leaves, by (cohort, label)."""

    status: QcStatus | None  # None: what there was at the start
    title: str
    removed: Mapping[tuple[str, str], Tally]
    left: Mapping[tuple[str, str], Tally]


# --- one scan ----------------------------------------------------------------------------------------------------


def judge_slices(slices: int, rules: QualityRules = QualityRules()) -> Judgement:
    """Judge a scan by how many slices it has."""
    if slices >= rules.fewest_slices:
        return OK
    return Judgement(QcStatus.FEW_SLICES, f"{slices} slices, fewer than {rules.fewest_slices}.")


def judge_choice(choice: SeriesChoice, rules: QualityRules = QualityRules()) -> Judgement:
    """Judge a DICOM study by its headers: the series that the program chose, or the best of the others."""
    series = choice.series or (choice.checked[0] if choice.checked else None)
    if series is None or not series.instances:
        return Judgement(QcStatus.UNREADABLE, _first_sentence(choice.findings) or "There are no axial slices.")
    abdomen = _abdomen(series, choice.findings)
    if abdomen is not None:
        return Judgement(QcStatus.ABDOMEN, str(abdomen))
    if _is_hrct(series, rules):
        return Judgement(QcStatus.HRCT, "High-resolution CT by its description, or thin slices far apart.")
    counted = judge_slices(len(series.instances), rules)
    if counted.status is not QcStatus.OK:
        return counted
    against = [one for one in choice.findings if one.outcome in (Outcome.UNSUITABLE, Outcome.REFUSED)]
    grave = [one for one in against if one.reason not in _COUNTED_HERE]
    return Judgement(QcStatus.OTHER, str(grave[0])) if grave else OK


def judge_labels(label: str, second_label: str) -> Judgement:
    """Judge a scan by a second, independent reading ("": there was none): only equal labels stay."""
    if second_label in ("", label):
        return OK
    return Judgement(QcStatus.LABEL_DISAGREE, f"Labelled {label} at first and {second_label} in the second reading.")


def first_against(*judgements: Judgement) -> Judgement:
    """Return the first judgement that is not ok."""
    return next((one for one in judgements if one.status is not QcStatus.OK), OK)


def judged(row: ManifestRow, judgement: Judgement) -> ManifestRow:
    """Return a row with what quality control said; what is not ok is excluded, what is keeps its split."""
    excluded = judgement.status is not QcStatus.OK
    return replace(row, qc_status=judgement.status, split=Split.EXCLUDED if excluded else row.split)


def _abdomen(series: Series, findings: tuple[Finding, ...]) -> Finding | None:
    """What says that this is an abdomen: the tag where no chest is named beside it, or the description alone."""
    tagged = series.instances[0].header.body_part_examined.strip()
    for one in findings:
        named = one.reason is Reason.BODY_PART_OTHER and one.name.upper() in _ABDOMEN
        if named and (one.outcome is Outcome.UNSUITABLE or not tagged):
            return one
    return None


def _is_hrct(series: Series, rules: QualityRules) -> bool:
    header = series.instances[0].header
    described = f"{header.study_description} {header.series_description} {header.protocol_name}".replace("_", " ")
    if _HRCT.search(described):
        return True
    thickness, spacing = header.slice_thickness_mm, geometry_of(series.instances).spacing_mm
    thin = thickness is not None and 0 < thickness <= rules.hrct_thickness_at_most_mm
    return thin and spacing >= rules.hrct_spacing_at_least_mm


def _first_sentence(findings: tuple[Finding, ...]) -> str:
    return str(findings[0]) if findings else ""


# --- all of them -------------------------------------------------------------------------------------------------


def cascade(rows: Iterable[ManifestRow]) -> tuple[CascadeStep, ...]:
    """Return what each step took away, from the column `qc_status`: the start first, then `STEPS` in order."""
    left = tuple(rows)
    steps = [CascadeStep(None, "all scans", {}, tally(left))]
    for status, title in STEPS:
        removed = [row for row in left if row.qc_status is status]
        left = tuple(row for row in left if row.qc_status is not status)
        steps.append(CascadeStep(status, title, tally(removed), tally(left)))
    return tuple(steps)


def tally(rows: Iterable[ManifestRow]) -> dict[tuple[str, str], Tally]:
    """Count scans and subjects by (cohort, label)."""
    scans: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        scans.setdefault((row.cohort.value, row.label_raw), []).append(row.subject_id)
    return {key: Tally(len(set(subjects)), len(subjects)) for key, subjects in sorted(scans.items())}


def write_reasons(path: Path, judgements: Mapping[str, Judgement]) -> None:
    """Write the log of quality control as CSV, one line a scan: scan_id, qc_status, reason.

    Raises:
        EvaluationError: it could not be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["scan_id", "qc_status", "reason"])
    writer.writerows([scan, one.status.value, one.reason] for scan, one in sorted(judgements.items()))
    try:
        write_file(path, stream.getvalue().encode())
    except OSError as error:
        raise EvaluationError("The log of quality control could not be written; is the disk full?") from error
