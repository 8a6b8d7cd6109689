"""Figures by vendor, kernel, slice thickness, sex and age band."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aicorona_desktop.evaluation.delong import area, auc_interval, compare_unpaired
from aicorona_desktop.evaluation.metrics import counts_of
from aicorona_desktop.evaluation.subgroups import UNKNOWN, age_band, manifest_splits, subgroups, thickness_band
from aicorona_desktop.evaluation.table_1 import paper_shaped

RANDOM = np.random.default_rng(9)
TRUTH = np.arange(240) % 2 == 0
VENDOR = ["SIEMENS"] * 100 + ["GE"] * 100 + [""] * 40
SCORES = RANDOM.normal(size=240) + 2.5 * TRUTH
SCORES[100:200] = RANDOM.normal(size=100)  # tells nothing on this vendor
CALLS = SCORES >= 1.2


def test_each_group_has_the_figures_of_its_rows_and_unknown_comes_last():
    found = subgroups({"vendor": VENDOR}, SCORES, TRUTH, CALLS)

    assert [(one.group, one.rows) for one in found] == [("GE", 100), ("SIEMENS", 100), (UNKNOWN, 40)]
    siemens = found[1]
    assert siemens.counts == counts_of(TRUTH[:100], CALLS[:100])
    assert siemens.auc == auc_interval(SCORES[:100], TRUTH[:100])
    assert siemens.sensitivity.value == pytest.approx(siemens.counts.true_positives / 50)


def test_a_scanner_on_which_the_model_fails_stands_out_against_the_rest():
    ge, siemens, unknown = subgroups({"vendor": VENDOR}, SCORES, TRUTH, CALLS)

    expected = compare_unpaired(area(SCORES[100:200], TRUTH[100:200]), area(SCORES[:100], TRUTH[:100]))
    assert ge.rest == expected
    assert ge.rest_judged.passes_three_sigma
    assert ge.rest_judged.holm_p >= ge.rest.p
    assert ge.rest.difference.high < 0 < siemens.rest.difference.low
    assert ge.sensitivity_to_rest.high < 0
    assert unknown.rows == 40


def test_a_group_of_one_kind_has_no_area_and_nothing_to_compare():
    groups = ["a" if truth else "b" for truth in TRUTH]

    for one in subgroups({"kind": groups}, SCORES, TRUTH, CALLS):
        assert not one.auc.estimable
        assert math.isnan(one.rest.p)
        assert one.rest_judged.words() == "-"


def test_a_split_of_other_rows_is_refused():
    with pytest.raises(ValueError, match="vendor splits 2 rows, not 240"):
        subgroups({"vendor": ["a", "b"]}, SCORES, TRUTH, CALLS)


@pytest.mark.parametrize(
    ("years", "band"),
    [(None, ""), (0, "under 40"), (39.9, "under 40"), (40, "40 to 59"), (79, "60 to 79"), (80, "80 and older")],
)
def test_ages_stand_in_bands(years, band):
    assert age_band(years) == band


@pytest.mark.parametrize(
    ("millimetres", "band"),
    [(None, ""), (1.0, "up to 1.5 mm"), (1.5, "up to 1.5 mm"), (2, "over 1.5 to 3 mm"), (8, "over 5 mm")],
)
def test_thicknesses_stand_in_bands(millimetres, band):
    assert thickness_band(millimetres) == band


def test_a_manifest_says_what_it_knows():
    rows = paper_shaped()

    splits = manifest_splits(rows)

    assert {name: len(groups) for name, groups in splits.items()} == dict.fromkeys(splits, len(rows))
    assert set(splits["source"]) == {"MDH", "CC-CCII", "MosMedData"}
    assert set(splits["slice thickness"]) == {"", "over 5 mm"}
    assert set(splits["sex"]) == {"F", "M", ""}
