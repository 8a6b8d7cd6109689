"""Table 1: a manifest of the paper's shape agrees, and whatever differs is named cell by cell."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from aicorona_desktop.evaluation.manifest import Cohort, Split, write_manifest
from aicorona_desktop.evaluation.table_1 import COLUMNS, Cell, compare, differences, paper_shaped
from tests.evaluation.manifests import row


@pytest.fixture(scope="module")
def paper():
    return paper_shaped(seed=3)


def cell(cells: tuple[Cell, ...], cohort: str, label: str, column: str) -> Cell:
    (found,) = (one for one in cells if (one.cohort, one.label, one.column) == (cohort, label, column))
    return found


def test_a_made_up_manifest_of_the_papers_shape_agrees_in_every_cell(paper, tmp_path):
    assert differences(paper) == ()
    assert len(write_manifest(tmp_path / "manifest.csv", paper).rows) == 7184


@pytest.mark.parametrize(
    ("cohort", "totals"),
    [
        ("MDH", [(1518, 1590), (168, 174), (346, 357), (2032, 2121)]),
        ("CC-CCII", [(2069, 3206), (230, 352), (252, 395), (2551, 3953)]),
        ("MosMedData", [(0, 0), (0, 0), (1110, 1110), (1110, 1110)]),
        ("all", [(3587, 4796), (398, 526), (1708, 1862), (5693, 7184)]),
    ],
)
def test_the_sums_are_the_papers(paper, cohort, totals):
    cells = compare(paper)

    found = [cell(cells, cohort, "all", column) for column in COLUMNS]

    assert [(one.subjects, one.scans) for one in found] == totals
    assert [(one.expected_subjects, one.expected_scans) for one in found] == totals


def test_the_expected_numbers_are_those_of_the_papers_table(shared: Path, paper):
    cells = compare(paper)
    names = {"subjects": "expected_subjects", "scans": "expected_scans"}
    with (shared / "paper-tables.csv").open(encoding="utf-8") as stream:
        printed = [line for line in csv.DictReader(stream) if line["table"] == "1" and "/" in line["row"]]

    for line in printed:
        (cohort, label), (column, unit) = line["row"].split("/"), line["metric"].split("_")
        assert getattr(cell(cells, cohort, label, column), names[unit]) == int(line["recomputed"]), line
    assert len(printed) == 72  # eight classes and the sum of all, four columns, subjects and scans


def test_the_two_misprints_are_footnoted_and_not_compared_with(paper):
    cells = compare(paper)
    noted = {(one.cohort, one.label, one.column): one for one in cells if one.footnote}

    assert set(noted) == {("MDH", "normal", "total"), ("CC-CCII", "cp", "tuning")}
    assert noted["MDH", "normal", "total"].expected_subjects == 638
    assert "Printed as 628" in noted["MDH", "normal", "total"].footnote
    assert noted["CC-CCII", "cp", "tuning"].expected_subjects == 76
    assert "Printed as 67" in noted["CC-CCII", "cp", "tuning"].footnote


def test_a_scan_moved_to_another_split_shows_in_both_cells_and_their_sums(paper):
    test_scan = next(one for one in paper if one.cohort is Cohort.MDH and one.split is Split.TEST)
    moved = [replace(one, split=Split.TUNE) if one.subject_id == test_scan.subject_id else one for one in paper]

    off = {(one.cohort, one.label, one.column): (one.subjects_off, one.scans_off) for one in differences(moved)}

    scans = sum(one.subject_id == test_scan.subject_id for one in paper)
    for line in (("MDH", test_scan.label_raw), ("MDH", "all"), ("all", "all")):
        assert off.pop((*line, "tuning")) == (1, scans)
        assert off.pop((*line, "test")) == (-1, -scans)
    assert off == {}


def test_a_cohort_that_the_paper_does_not_have_is_a_line_of_its_own(paper):
    off = differences([*paper, row("new", label="cp", split=Split.TEST)])

    assert {(one.cohort, one.label) for one in off} == {("other", "cp"), ("other", "all"), ("all", "all")}
    assert cell(off, "other", "cp", "test").expected_scans == 0


def test_what_is_excluded_does_not_count(paper):
    assert differences([*paper, row("off", split=Split.EXCLUDED)]) == ()


def test_the_made_up_numbers_stay_within_what_is_stated(paper):
    at_mdh = [one for one in paper if one.cohort is Cohort.MDH]

    assert {one.slice_thickness_mm for one in at_mdh} == {8.0, 10.0}
    assert (min(one.n_slices for one in at_mdh), max(one.n_slices for one in at_mdh)) == (21, 46)
    assert paper_shaped(seed=3) == paper
