"""What the report has beyond the paper: subgroups, calibration, decision curve."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from aicorona_desktop.evaluation.manifest import Cohort, Split
from aicorona_desktop.evaluation.report.beyond import POOLED, Beyond, beyond_of, beyond_sheets
from aicorona_desktop.evaluation.report.figures_beyond import figures_beyond
from aicorona_desktop.evaluation.report.inputs import read_inputs
from aicorona_desktop.evaluation.report.pictures import BEYOND_TITLES, Missing, Picture
from aicorona_desktop.evaluation.report.sheets import Sheet, write_sheet
from aicorona_desktop.evaluation.report.study import Study
from aicorona_desktop.evaluation.report.tables import sheets_of
from tests.evaluation.test_report import Wishes, computed


@pytest.fixture(scope="module")
def beyond(study: Study) -> Beyond:
    return beyond_of(study)


@pytest.fixture(scope="module")
def sheets(beyond: Beyond) -> dict[str, Sheet]:
    return {sheet.name: sheet for sheet in beyond_sheets(beyond)}


def test_every_group_of_a_split_is_counted_once(study: Study, beyond: Beyond):
    whole = study.answers.model["mdh_covid_vs_rest"].counts

    by_age = [one for one in beyond.groups["MDH"] if one.split_by == "age"]

    assert [one.group for one in by_age] == ["under 40", "40 to 59", "60 to 79", "80 and older"]
    assert sum(one.counts.true_positives for one in by_age) == whole.true_positives
    assert sum(one.rows for one in by_age) == whole.total == 357


def test_cohorts_stand_against_one_another_each_at_its_own_point(study: Study, beyond: Beyond):
    cohorts = {one.group: one for one in beyond.groups[POOLED] if one.split_by == "cohort"}

    models = [study.answers.model[study.task(table).id] for table in ("3a", "3b", "3c")]
    assert {name: one.counts for name, one in cohorts.items()} == {str(one.task.cohort): one.counts for one in models}


def test_a_group_that_is_told_apart_without_a_mistake_is_said_to_have_no_known_spread(sheets: dict[str, Sheet]):
    mdh = next(part for part in sheets["subgroups"].parts if part.title.endswith("MDH"))

    assert any(row[0] == "age: 80 and older" and row[5] == "1.000" for row in mdh.rows)
    assert any("no known spread" in note and "age 80 and older" in note for note in mdh.notes)


def test_vendor_and_kernel_split_where_the_manifest_has_them(study_folder: Path):
    inputs = read_inputs(study_folder)
    rows = tuple(
        replace(row, vendor=("Siemens", "GE")[number % 2], kernel="B70f" if number % 3 else "")
        for number, row in enumerate(inputs.rows)
    )
    study = computed(replace(inputs, manifest=replace(inputs.manifest, rows=rows)))

    groups = {(one.split_by, one.group) for one in beyond_of(study).groups["MDH"]}

    assert {("vendor", "Siemens"), ("vendor", "GE"), ("kernel", "B70f"), ("kernel", "unknown")} <= groups


def test_the_brier_score_and_the_bins_are_those_of_the_probabilities(study: Study, beyond: Beyond):
    model = study.answers.model["mdh_covid_vs_rest"]
    (mdh,) = (one for one in beyond.calibrations if one.task.cohort is Cohort.MDH)

    assert mdh.brier == pytest.approx(np.mean((model.scores - model.truth) ** 2))
    assert sum(each.rows for each in mdh.bins) == 357
    assert mdh.error == pytest.approx(
        sum(each.rows * abs(each.mean_score - each.share_positive) for each in mdh.bins) / 357
    )


def test_a_temperature_comes_from_the_cohorts_own_tuning_scans_and_from_nowhere_else(study: Study, beyond: Beyond):
    found = {one.task.cohort: one for one in beyond.calibrations}
    tuning = sum(row.cohort is Cohort.MDH and row.split is Split.TUNE for row in study.inputs.rows)

    assert found[Cohort.MDH].tuned_on == tuning == 174
    assert found[Cohort.MDH].temperature.loss_after < found[Cohort.MDH].temperature.loss_before
    assert found[Cohort.MDH].brier_after != found[Cohort.MDH].brier
    assert found[Cohort.MOSMEDDATA].temperature is None
    assert "no scored tuning scans" in found[Cohort.MOSMEDDATA].note


def test_net_benefit_at_one_half_is_found_cases_less_false_alarms(study: Study, beyond: Beyond):
    model = study.answers.model["mdh_covid_vs_rest"]
    called = model.scores >= 0.5
    (half,) = (one for one in beyond.curves["MDH"] if one.threshold == 0.5)

    assert half.by_score == pytest.approx(((called & model.truth).sum() - (called & ~model.truth).sum()) / 357)
    assert half.of_everybody == pytest.approx((119 - 238) / 357)


def test_the_tables_are_written_with_every_bin_and_threshold(sheets: dict[str, Sheet], beyond: Beyond, tmp_path: Path):
    for sheet in sheets.values():
        write_sheet(tmp_path, sheet)

    with (tmp_path / "decision_curve.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 3 * 99
    with (tmp_path / "reliability.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(int(row["scans"]) for row in rows if row["after_temperature"] == "0") == 357 + 395 + 1110
    with (tmp_path / "subgroups.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == sum(map(len, beyond.groups.values()))


def test_the_figures_are_drawn_and_say_their_numbers(beyond: Beyond):
    figures = figures_beyond(beyond)

    assert [one.name for one in figures] == list(BEYOND_TITLES)
    assert all(isinstance(one, Picture) for one in figures)
    words = " ".join(one.alt for one in figures if isinstance(one, Picture))
    assert "MDH, sex F (175 scans): sensitivity" in words
    assert "MDH: net benefit at 0.10" in words


def test_without_predictions_all_of_it_is_named_as_missing(study_folder: Path):
    beyond = beyond_of(computed(replace(read_inputs(study_folder), predictions=None, points=None)))

    assert not any(sheet.available for sheet in beyond_sheets(beyond))
    assert all(isinstance(one, Missing) for one in figures_beyond(beyond))


def test_where_subjects_repeat_the_shown_table_has_their_intervals_below_the_plain_ones(study_folder: Path):
    study = computed(read_inputs(study_folder), wishes=Wishes(rounds=20))
    shown = {sheet.name: sheet for sheet in sheets_of(study)}

    for part in (shown["table_3"].parts[1], shown["table_4"].parts[0]):
        plain, by_subject = (row for row in part.rows if row[0].startswith("ai-corona"))
        assert by_subject[0] == "ai-corona, by subject"
        assert [cell.split(" ")[0] for cell in by_subject[1:]] == [cell.split(" ")[0] for cell in plain[1:]]
        assert by_subject[1:] != plain[1:]
