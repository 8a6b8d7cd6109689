"""Table 1 of the paper: how many subjects and scans of each class are in each split; a manifest held against it.

The table here is the corrected one. Two printed cells contradict all the sums around them; they are footnoted,
never compared with.

Source: paper-spec 1.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from aicorona_desktop.evaluation.manifest import (
    Cohort,
    LabelSource,
    ManifestRow,
    QcStatus,
    Split,
    class_of,
)

COLUMNS = ("training", "tuning", "test", "total")

Pair = tuple[int, int]
"""Subjects and scans."""

_COLUMN_OF_SPLIT: Mapping[Split, str] = {
    Split.TRAIN: "training",
    Split.TUNE: "tuning",
    Split.TEST: "test",
    Split.EXTERNAL: "test",  # the paper's external cohort is a test cohort
}

EXPECTED: Mapping[tuple[str, str], tuple[Pair, Pair, Pair]] = {
    ("MDH", "normal"): ((467, 470), (51, 51), (120, 121)),
    ("MDH", "nca"): ((576, 578), (64, 64), (117, 117)),
    ("MDH", "covid"): ((475, 542), (53, 59), (109, 119)),
    ("CC-CCII", "normal"): ((670, 844), (72, 94), (81, 105)),
    ("CC-CCII", "cp"): ((665, 1131), (76, 127), (87, 147)),
    ("CC-CCII", "covid"): ((734, 1231), (82, 131), (84, 143)),
    ("MosMedData", "non_pneumonia"): ((0, 0), (0, 0), (254, 254)),
    ("MosMedData", "covid"): ((0, 0), (0, 0), (856, 856)),
}
"""Training, tuning and test of each cohort and label, corrected."""


@dataclass(frozen=True, slots=True)
class Misprint:
    """A cell that the paper prints otherwise than its own sums allow."""

    cohort: str
    label: str
    column: str
    printed: int
    correct: int
    evidence: str


MISPRINTS = (
    Misprint("MDH", "normal", "total", 628, 638, "467 + 51 + 120 = 638, and the cohort's 2032 subjects need 638."),
    Misprint("CC-CCII", "cp", "tuning", 67, 76, "The cohort's 230, the column's 398 and the row's 828 all need 76."),
)
"""Both are numbers of subjects."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the table: what a manifest holds beside what the paper's data set held."""

    cohort: str  # "all" in the bottom line
    label: str  # "all" in the line of a cohort
    column: str
    subjects: int
    scans: int
    expected_subjects: int
    expected_scans: int
    footnote: str = ""

    @property
    def subjects_off(self) -> int:
        """How many subjects too many; negative: too few."""
        return self.subjects - self.expected_subjects

    @property
    def scans_off(self) -> int:
        """How many scans too many; negative: too few."""
        return self.scans - self.expected_scans

    @property
    def agrees(self) -> bool:
        """Whether both numbers are those of the paper."""
        return self.subjects_off == self.scans_off == 0


def compare(rows: Iterable[ManifestRow]) -> tuple[Cell, ...]:
    """Return all cells of Table 1 for the rows of a manifest that aren't excluded, sub-totals and total included.

    A cohort and label that the paper doesn't have is a line of its own, with nothing expected.
    """
    found = _counted(rows)
    lines = {**dict.fromkeys(EXPECTED), **dict.fromkeys(found)}
    cohorts = dict.fromkeys(cohort for cohort, _ in lines)
    cells: list[Cell] = []
    for cohort in cohorts:
        members = [line for line in lines if line[0] == cohort]
        for line in members:
            cells += _line(line, [line], found)
        cells += _line((cohort, "all"), members, found)
    return (*cells, *_line(("all", "all"), list(lines), found))


def differences(rows: Iterable[ManifestRow]) -> tuple[Cell, ...]:
    """Return the cells in which a manifest differs from the corrected table; none: it is of the paper's shape."""
    return tuple(cell for cell in compare(rows) if not cell.agrees)


def paper_shaped(seed: int = 0) -> tuple[ManifestRow, ...]:
    """Return a made-up manifest of exactly the paper's shape, for tests and for rehearsing an evaluation.

    No numbers of the paper but the counts are in it: ages, sexes and slices are drawn, within the ranges stated
    (21 to 46 slices of 8 to 10 mm for MDH; paper-spec 1.4).
    """
    generator = np.random.default_rng(seed)
    return tuple(
        _made_up(row, generator)
        for (cohort, label), columns in EXPECTED.items()
        for split, (subjects, scans) in zip(_splits_of(cohort), columns, strict=True)
        for row in _rows(Cohort(cohort), label, split, subjects, scans)
    )


def _counted(rows: Iterable[ManifestRow]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """The subject of each scan, by (cohort, label) and column."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in rows:
        if row.split in _COLUMN_OF_SPLIT:
            columns = found.setdefault((row.cohort.value, row.label_raw), {})
            columns.setdefault(_COLUMN_OF_SPLIT[row.split], []).append(row.subject_id)
    return found


def _line(
    name: tuple[str, str], members: list[tuple[str, str]], found: Mapping[tuple[str, str], Mapping[str, list[str]]]
) -> Iterator[Cell]:
    """Return the four cells of a line that sums up these cohorts and labels."""
    for number, column in enumerate(COLUMNS):
        sums = COLUMNS[:-1] if column == "total" else (column,)
        expected = [
            EXPECTED[member][place]
            for member in members
            if member in EXPECTED
            for place in (range(3) if column == "total" else (number,))
        ]
        present = [found.get(member, {}).get(one, []) for member in members for one in sums]
        yield Cell(
            *name,
            column,
            subjects=sum(len(set(subjects)) for subjects in present),
            scans=sum(len(subjects) for subjects in present),
            expected_subjects=sum(subjects for subjects, _ in expected),
            expected_scans=sum(scans for _, scans in expected),
            footnote=_footnote(*name, column),
        )


def _footnote(cohort: str, label: str, column: str) -> str:
    for misprint in MISPRINTS:
        if (misprint.cohort, misprint.label, misprint.column) == (cohort, label, column):
            return f"Printed as {misprint.printed} subjects; {misprint.evidence}"
    return ""


def _splits_of(cohort: str) -> tuple[Split, Split, Split]:
    last = Split.EXTERNAL if cohort == Cohort.MOSMEDDATA else Split.TEST
    return Split.TRAIN, Split.TUNE, last


def _rows(cohort: Cohort, label: str, split: Split, subjects: int, scans: int) -> Iterator[ManifestRow]:
    """Every subject has a scan; what is over goes round once more."""
    names = (f"{cohort}-{label}-{split}-{number:04d}".lower() for number in range(subjects))
    for number, subject in enumerate(islice(cycle(tuple(names)), scans)):
        yield ManifestRow(
            scan_id=f"{subject}-{number // subjects}",
            subject_id=subject,
            cohort=cohort,
            split=split,
            label_raw=label,
            label3=class_of(label),
            n_slices=40,
            label_source=LabelSource.REPORTS if cohort is Cohort.MDH else LabelSource.PUBLIC,
            qc_status=QcStatus.OK,
        )


def _made_up(row: ManifestRow, generator: np.random.Generator) -> ManifestRow:
    at_mdh = row.cohort is Cohort.MDH
    return replace(
        row,
        n_slices=int(generator.integers(21, 47)) if at_mdh else int(generator.integers(30, 121)),
        slice_thickness_mm=float(generator.choice([8.0, 10.0])) if at_mdh else None,
        age=int(np.clip(generator.normal(52, 16), 18, 95)) if at_mdh else None,
        sex=str(generator.choice(["F", "M"])) if at_mdh else "",
        label_source=LabelSource.CRITERIA if at_mdh and _is_early_stage(row) else row.label_source,
        hospital_days_gt3=True if at_mdh and _is_early_stage(row) else None,
    )


def _is_early_stage(row: ManifestRow) -> bool:
    """COVID-19 test scans of MDH: patients in hospital for over three days, confirmed by four criteria."""
    return row.label_raw == "covid" and row.split is Split.TEST
