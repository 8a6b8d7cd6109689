"""All figures of one table with their intervals."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from aicorona_desktop.evaluation import metrics
from aicorona_desktop.evaluation.intervals import Method, proportion
from aicorona_desktop.evaluation.metrics import Counts
from aicorona_desktop.evaluation.summary import TITLES, as_json, summary

FIGURES = {
    "sensitivity": metrics.sensitivity,
    "specificity": metrics.specificity,
    "f1": metrics.f1,
    "hm_se_sp": metrics.harmonic_mean,
    "kappa": metrics.kappa,
    "accuracy": metrics.accuracy,
    "balanced_accuracy": metrics.balanced_accuracy,
    "youden_j": metrics.youden_j,
    "ppv": metrics.positive_predictive_value,
    "npv": metrics.negative_predictive_value,
    "lr_plus": lambda counts: metrics.likelihood_ratios(counts)[0],
    "lr_minus": lambda counts: metrics.likelihood_ratios(counts)[1],
    "mcc": metrics.matthews_correlation,
}


def test_each_figure_is_the_plain_one_within_its_interval():
    counts = Counts(110, 9, 4, 234)

    found = summary(counts)

    assert tuple(found.figures) == tuple(TITLES) == tuple(FIGURES)
    for name, figure in FIGURES.items():
        assert found[name].value == figure(counts), name
        assert found[name].low < found[name].value < found[name].high, name


@pytest.mark.parametrize("method", [Method.JEFFREYS, Method.FLAT, Method.WILSON, Method.CLOPPER_PEARSON])
def test_the_method_goes_for_proportions_and_its_prior_for_joint_figures(method):
    found = summary(Counts(110, 9, 4, 234), method=method)

    assert found["sensitivity"] == proportion(110, 119, method=method)
    assert found["ppv"] == proportion(110, 114, method=method)
    expected = {Method.JEFFREYS: "jeffreys posterior", Method.FLAT: "flat posterior"}
    assert found["kappa"].method == expected.get(method, "jeffreys posterior")
    assert found["accuracy"].method == expected.get(method, method.value)


def test_a_higher_level_is_wider():
    narrow, wide = summary(Counts(110, 9, 4, 234), level=0.68), summary(Counts(110, 9, 4, 234), level=0.9973)

    for name in TITLES:
        assert wide[name].low < narrow[name].low < narrow[name].high < wide[name].high, name


@pytest.mark.parametrize(("prevalence", "ppv", "npv"), [(0.01, 0.357143, 0.999224), (0.5, 0.982143, 0.928571)])
def test_predictive_values_at_a_prevalence_have_intervals_too(prevalence, ppv, npv):
    found = summary(Counts(110, 9, 4, 234), prevalence=prevalence, only=("ppv", "npv"))

    assert (round(found["ppv"].value, 6), round(found["npv"].value, 6)) == (ppv, npv)
    assert all(interval.low < interval.value < interval.high for interval in found.figures.values())
    assert tuple(found.figures) == ("ppv", "npv")


def test_what_is_undefined_is_null_and_so_is_what_is_infinite():
    nothing, never_false = summary(Counts(0, 0, 0, 0)), summary(Counts(102, 17, 0, 238))

    assert all(math.isnan(interval.value) for interval in nothing.figures.values())
    assert all(as_json(interval)["value"] is None for interval in nothing.figures.values())
    assert never_false["lr_plus"].value == never_false["lr_plus"].high == math.inf
    assert as_json(never_false["lr_plus"])["high"] is None
    assert as_json(never_false["lr_plus"])["low"] == never_false["lr_plus"].low
    assert not any(
        interval.estimable for interval in summary(Counts(0, 0, 3, 5), prevalence=0.1, only=("ppv",)).figures.values()
    )


def test_every_row_of_the_papers_tables_lies_in_its_interval(shared: Path):
    seen = set()
    with (shared / "paper-tables.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["TP"]:
                seen.add(tuple(int(row[name]) for name in ("TP", "FN", "FP", "TN")))
    for cells in seen:
        for interval in summary(Counts(*cells), only=("sensitivity", "specificity", "f1", "kappa")).figures.values():
            assert interval.low <= interval.value <= interval.high
    assert len(seen) > 50
