"""What is said of one score on one question."""

from __future__ import annotations

import numpy as np
import pytest

from aicorona_desktop.evaluation import metrics
from aicorona_desktop.evaluation.assessment import AUC, FIGURES, assess
from aicorona_desktop.evaluation.bootstrap import bootstrap, of_scores
from aicorona_desktop.evaluation.delong import auc_interval
from aicorona_desktop.evaluation.metrics import counts_of
from aicorona_desktop.evaluation.summary import summary

RANDOM = np.random.default_rng(3)
TRUTH = np.arange(200) < 80
SCORES = RANDOM.normal(size=200) + 1.5 * TRUTH


def test_with_a_row_a_subject_intervals_are_those_of_the_counts_and_delong():
    found = assess(SCORES, TRUTH, 1.0, [f"s{number}" for number in range(200)])

    assert found.summary == summary(counts_of(TRUTH, SCORES >= 1.0), only=FIGURES)
    assert found.interval(AUC) == found.auc == auc_interval(SCORES, TRUTH)
    assert found.interval("kappa") == found.summary["kappa"]
    assert (found.by_subject, found.note) == ({}, "")
    assert found.curve.auc == pytest.approx(found.auc.value)


def test_with_several_rows_a_subject_intervals_are_by_subject_and_their_cost_is_told():
    twice = np.repeat(np.arange(200), 2)

    found = assess(SCORES[twice], TRUTH[twice], 1.0, twice.tolist(), rounds=600, seed=2)

    assert found.interval(AUC) == bootstrap(
        of_scores(SCORES[twice], TRUTH[twice]), twice.tolist(), TRUTH[twice].tolist(), rounds=600, seed=2
    )
    once, doubled = assess(SCORES, TRUTH, 1.0), found.summary
    for name in FIGURES:
        width = found.interval(name).high - found.interval(name).low
        assert width > 1.2 * (doubled[name].high - doubled[name].low), name
        assert width == pytest.approx(once.summary[name].high - once.summary[name].low, rel=0.25), name
    assert found.design_effects["sensitivity"] == pytest.approx(2, rel=0.2)
    assert "design effect: sensitivity" in found.note


def test_a_threshold_that_nobody_reaches_calls_nobody():
    found = assess(SCORES, TRUTH, np.inf)

    assert found.summary["sensitivity"].value == 0
    assert np.isnan(found.summary["kappa"].value) or found.summary["kappa"].value == 0
    assert found.summary.counts.true_negatives == 120
    assert metrics.youden_j(found.summary.counts) == 0
