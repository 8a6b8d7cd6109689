"""The manifest: one line a scan (or single slice), what it is, where it lies, and whether it may be used.

The columns are those of paper-spec 13.3, then eight of ours that may be missing: where a row comes from, under
which licence, how sure its label is, how its pixels lie on the disk, where in the chest a single slice lies, and
what made the pictures (scanner's maker, reconstruction kernel).
Columns whose cells may all be empty may be missing too; columns that we don't know are left alone.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum
from pathlib import Path

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.evaluation.strict_csv import Fault as Fault  # its readers take it from here too
from aicorona_desktop.evaluation.strict_csv import (
    Parse,
    choice,
    content_of,
    day,
    inside_path,
    number,
    one_of,
    rows_of,
    text_cell,
    whole,
    yes_or_no,
)

CLASSES = ("normal", "cp", "covid")
"""What the model answers, in its order (paper-spec 1.1)."""

LABELS = ("normal", "nca", "cp", "covid", "non_pneumonia")
"""What the annotators of the cohorts wrote."""

CLASS_OF_LABEL: Mapping[str, str] = {
    "normal": "normal",
    "nca": "cp",  # many of them are pneumonia other than COVID-19
    "cp": "cp",
    "covid": "covid",
    "non_pneumonia": "",  # normal or another disease: neither class alone
}

FEWEST_SLICES = 10
"""Below it the middle half holds under five slices (paper-spec 1.3); for data sets, not for the clinical gate."""


class Cohort(StrEnum):
    """The data sets of the paper, and everything else."""

    MDH = "MDH"
    CC_CCII = "CC-CCII"
    MOSMEDDATA = "MosMedData"
    OTHER = "other"


class Split(StrEnum):
    """What a scan is for; a subject is in one of them, apart from scans of its own that are excluded."""

    TRAIN = "train"
    TUNE = "tune"
    TEST = "test"
    EXTERNAL = "external"
    EXCLUDED = "excluded"


class LabelSource(StrEnum):
    """Who says so."""

    REPORTS = "reports"
    CONSENSUS = "consensus"
    CRITERIA = "criteria"
    PUBLIC = "public"


class QcStatus(StrEnum):
    """The answer of quality control; whatever isn't ok is excluded."""

    OK = "ok"
    ABDOMEN = "abdomen"
    HRCT = "hrct"
    FEW_SLICES = "few_slices"
    UNREADABLE = "unreadable"
    LABEL_DISAGREE = "label_disagree"
    OTHER = "other"


class LabelQuality(StrEnum):
    """How sure a label is. Ambiguous: known not to be COVID-19, while normal and other disease are mixed."""

    STRONG = "strong"
    WEAK = "weak"
    AMBIGUOUS = "ambiguous"


class Layout(StrEnum):
    """How the pixels of a row lie on the disk; see `layouts`."""

    DICOM = "dicom"  # a folder with a series, or several of which one is chosen
    PICTURES = "pictures"  # a folder with one picture a slice
    NIFTI = "nifti"  # one file with a volume in Hounsfield units
    PICTURE = "picture"  # one slice


_LABELS_OF_COHORT: Mapping[Cohort, tuple[str, ...]] = {
    Cohort.MDH: ("normal", "nca", "covid"),
    Cohort.CC_CCII: ("normal", "cp", "covid"),
    Cohort.MOSMEDDATA: ("non_pneumonia", "covid"),
    Cohort.OTHER: LABELS,
}


class ManifestError(AicoronaError):
    """A manifest can't be used as it is; `faults` names all that is wrong, in the order of lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
        count = "a fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n  ".join([f"The manifest has {count}:", *map(str, self.faults)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """One scan; the names, kinds and order are the columns of paper-spec 13.3. None and "" are empty cells.

    `label3` is the model's class; it is "" where the label isn't one class: `non_pneumonia`, and ambiguous rows.
    `path` is relative to the folder of the data set, with "/". `source` is where the row comes from within its
    cohort. `position` is where in its scan a single slice lies, 0 at the feet to 1 at the head.
    """

    scan_id: str
    subject_id: str
    cohort: Cohort
    split: Split
    label_raw: str
    label3: str
    n_slices: int
    slice_thickness_mm: float | None = None
    age: int | None = None
    sex: str = ""
    acquired_on: date | None = None
    label_source: LabelSource
    n_readers_label: int | None = None
    hospital_days_gt3: bool | None = None
    rtpcr_any_positive: bool | None = None
    qc_status: QcStatus
    path: str = ""
    sha256: str = ""  # of the sorted hashes of the scan's files
    source: str = ""
    licence: str = ""
    label_quality: LabelQuality = LabelQuality.STRONG
    layout: Layout | None = None
    position: float | None = None
    vendor: str = ""
    kernel: str = ""

    @property
    def origin(self) -> str:
        """The source, or the cohort where none is named: what confounds the classes."""
        return self.source or self.cohort.value

    @property
    def possible_classes(self) -> tuple[str, ...]:
        """The classes that may be right: one, or `normal` and `cp` for a row known only as not COVID-19."""
        return (self.label3,) if self.label3 else ("normal", "cp")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The rows of a checked manifest, and the SHA-256 of the file that holds them."""

    rows: tuple[ManifestRow, ...]
    sha256: str

    def of_split(self, *splits: Split) -> tuple[ManifestRow, ...]:
        """Return the rows of these splits."""
        return tuple(row for row in self.rows if row.split in splits)


def class_of(label_raw: str, label_quality: LabelQuality = LabelQuality.STRONG) -> str:
    """Return the model's class of a label; "" where there is no single one."""
    return "" if label_quality is LabelQuality.AMBIGUOUS else CLASS_OF_LABEL[label_raw]


def cell_value(column: str, text: str) -> object:
    """Return what a cell of a column, which isn't empty, means as `ManifestRow` holds it.

    Raises:
        ValueError: it is none of what the column may hold; the text says what it must be.
    """
    return _COLUMNS[column](text)


# --- reading and writing -----------------------------------------------------------------------------------------


def read_manifest(path: Path, fewest_slices: int = FEWEST_SLICES) -> Manifest:
    """Read and check a manifest in CSV, UTF-8, with a header.

    Args:
        path: the file.
        fewest_slices: a scan with less of them can't be `ok`; single slices (layout `picture`) can.

    Raises:
        ManifestError: it can't be read, or breaks rules; every one that it breaks is named with its line.
    """
    faults: list[Fault] = []
    return _checked(content_of(path, faults), fewest_slices, faults)


def write_manifest(path: Path, rows: Iterable[ManifestRow], fewest_slices: int = FEWEST_SLICES) -> Manifest:
    """Check rows and write them: the old file stays whole until the new one is on the disk.

    Raises:
        ManifestError: the rows break rules (lines are those that the file would have), or it can't be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in _COLUMNS])
    data = stream.getvalue().encode()
    manifest = _checked(data, fewest_slices, [])
    try:
        write_file(path, data)
    except OSError as error:
        sentence = "The file could not be written; is the disk full or the folder closed?"
        raise ManifestError([Fault(0, sentence)]) from error
    return manifest


def _checked(data: bytes, fewest_slices: int, faults: list[Fault]) -> Manifest:
    rows: list[tuple[int, ManifestRow]] = []
    known = len(faults)
    for line, values in rows_of(data, _COLUMNS, _NEVER_EMPTY, _MAY_LACK, faults):
        if len(faults) == known:
            given = {name: value for name, value in values.items() if value is not None}
            rows.append((line, ManifestRow(**{"label3": "", **given})))
        known = len(faults)
    faults += _faults(tuple(rows), fewest_slices)
    if faults:
        raise ManifestError(faults)
    return Manifest(tuple(row for _, row in rows), hashlib.sha256(data).hexdigest())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value)


# --- the rules ---------------------------------------------------------------------------------------------------


def _faults(rows: tuple[tuple[int, ManifestRow], ...], fewest_slices: int) -> Iterator[Fault]:
    for line, row in rows:
        yield from (Fault(line, sentence) for sentence in _faults_of_row(row, fewest_slices))
    yield from _scans_twice(rows)
    yield from _subjects_in_two_splits(rows)


def _faults_of_row(row: ManifestRow, fewest_slices: int) -> Iterator[str]:
    if row.label_raw not in _LABELS_OF_COHORT[row.cohort]:
        yield f"label_raw {row.label_raw} is no label of the cohort {row.cohort}."
    right = class_of(row.label_raw, row.label_quality)
    if row.label3 != right:
        yield f"label3 must be {right or 'empty'} for the label {row.label_raw} ({row.label_quality})."
    if row.label_quality is LabelQuality.AMBIGUOUS and row.label_raw == "covid":
        yield "label_quality can't be ambiguous for covid: it means known not to be COVID-19."
    if row.qc_status is not QcStatus.OK and row.split is not Split.EXCLUDED:
        yield f"split must be excluded, as qc_status is {row.qc_status}."
    if row.qc_status is QcStatus.OK and row.layout is not Layout.PICTURE and row.n_slices < fewest_slices:
        yield f"qc_status can't be ok with {row.n_slices} slices, fewer than {fewest_slices}."


def _scans_twice(rows: tuple[tuple[int, ManifestRow], ...]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for line, row in rows:
        if row.scan_id in first:
            yield Fault(line, f"scan_id stands in line {first[row.scan_id]} already.")
        first.setdefault(row.scan_id, line)


def _subjects_in_two_splits(rows: tuple[tuple[int, ManifestRow], ...]) -> Iterator[Fault]:
    first: dict[str, dict[Split, int]] = defaultdict(dict)
    for line, row in rows:
        if row.split is Split.EXCLUDED:
            continue
        splits = first[row.subject_id]
        if splits and row.split not in splits:
            other, its_line = next(iter(splits.items()))
            yield Fault(line, f"The subject is in the split {row.split} here and in {other} in line {its_line}.")
        splits.setdefault(row.split, line)


# --- cells -------------------------------------------------------------------------------------------------------


def _thickness(text: str) -> float:
    millimetres = number(0, 1e6)(text)
    if not millimetres:
        raise ValueError("must be over zero.")
    return millimetres


_COLUMNS: Mapping[str, Parse] = {
    "scan_id": text_cell,
    "subject_id": text_cell,
    "cohort": choice(Cohort),
    "split": choice(Split),
    "label_raw": one_of(*LABELS),
    "label3": one_of(*CLASSES),
    "n_slices": whole(1, 100_000),
    "slice_thickness_mm": _thickness,
    "age": whole(0, 120),
    "sex": one_of("F", "M", "O"),
    "acquired_on": day,
    "label_source": choice(LabelSource),
    "n_readers_label": whole(0, 1000),
    "hospital_days_gt3": yes_or_no,
    "rtpcr_any_positive": yes_or_no,
    "qc_status": choice(QcStatus),
    "path": inside_path,
    "sha256": text_cell,
    "source": text_cell,
    "licence": text_cell,
    "label_quality": choice(LabelQuality),
    "layout": choice(Layout),
    "position": number(0, 1),
    "vendor": text_cell,
    "kernel": text_cell,
}
"""How the text of a cell becomes a value, in the order of the columns; ValueError says what it must be."""

_REQUIRED = (
    *("scan_id", "subject_id", "cohort", "split", "label_raw", "label3", "n_slices", "label_source", "qc_status"),
)
_NEVER_EMPTY = frozenset(_REQUIRED) - {"label3"}
_MAY_LACK = frozenset(_COLUMNS) - frozenset(_REQUIRED)
assert tuple(_COLUMNS) == tuple(field.name for field in fields(ManifestRow))  # noqa: S101 - two lists of one thing
