"""Several statistics over the same rounds, by subject: intervals, spread, differences, what clusters cost."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aicorona_desktop.evaluation import metrics
from aicorona_desktop.evaluation.bootstrap import bootstrap, difference_of, of_counts, of_scores, resample
from aicorona_desktop.evaluation.delong import area
from aicorona_desktop.evaluation.metrics import Counts

RANDOM = np.random.default_rng(12)
TRUTH = np.arange(300) < 100
SCORES = RANDOM.normal(size=300) + 1.2 * TRUTH
CALLS = SCORES >= 0.8
PEOPLE = list(range(300))


def test_figures_of_the_rounds_are_those_of_the_rows_repeated():
    rows = np.array([0, 3, 150, 151, 200])
    weights = np.zeros((1, 300))
    weights[0, rows] = (2, 1, 3, 1, 1)
    drawn = np.repeat(rows, (2, 1, 3, 1, 1))

    tables = []
    of_counts(lambda counts: tables.append(counts) or 0.0, TRUTH, CALLS)(weights)

    assert tables == [metrics.counts_of(TRUTH[drawn], CALLS[drawn])]
    assert of_scores(SCORES, TRUTH)(weights) == pytest.approx([metrics.auc(SCORES[drawn], TRUTH[drawn])])


def test_all_statistics_share_the_rounds_and_give_what_each_gives_alone():
    wanted = {"kappa": of_counts(metrics.kappa, TRUTH, CALLS), "auc": of_scores(SCORES, TRUTH)}

    found = resample(wanted, PEOPLE, TRUTH.tolist(), rounds=200, seed=3)

    assert found["auc"].interval == bootstrap(wanted["auc"], PEOPLE, TRUTH.tolist(), rounds=200, seed=3)
    assert found["kappa"].interval.value == metrics.kappa(metrics.counts_of(TRUTH, CALLS))
    assert (found["kappa"].rounds, found["kappa"].seed, found["kappa"].undefined) == (200, 3, 0)
    assert np.corrcoef(found["kappa"].drawn, found["auc"].drawn)[0, 1] > 0.2


def test_with_one_scan_a_subject_the_spread_is_delongs_and_the_design_effect_1():
    found = resample({"auc": of_scores(SCORES, TRUTH)}, PEOPLE, TRUTH.tolist(), rounds=1000)["auc"]

    assert found.design_effect(area(SCORES, TRUTH).standard_error) == pytest.approx(1, abs=0.15)
    assert math.isnan(found.design_effect(0.0))


def test_the_same_scan_three_times_knows_no_more_than_once():
    thrice = np.repeat(np.arange(300), 3)
    truth, calls, people = TRUTH[thrice], CALLS[thrice], thrice.tolist()
    counts = metrics.counts_of(truth, calls)

    found = resample({"se": of_counts(metrics.sensitivity, truth, calls)}, people, truth.tolist(), rounds=1000)["se"]

    share = metrics.sensitivity(counts)
    assert found.design_effect(math.sqrt(share * (1 - share) / counts.positives)) == pytest.approx(3, rel=0.15)


def test_a_paired_difference_is_made_round_by_round():
    other = CALLS & (SCORES < 2.5)
    wanted = {
        "one": of_counts(metrics.sensitivity, TRUTH, CALLS),
        "other": of_counts(metrics.sensitivity, TRUTH, other),
    }
    found = resample(wanted, PEOPLE, TRUTH.tolist(), rounds=500)

    difference = difference_of(found["one"], found["other"])

    assert difference.interval.low > 0  # though the intervals of the two overlap:
    assert found["one"].interval.low < found["other"].interval.high
    assert difference.interval.value == pytest.approx(found["one"].interval.value - found["other"].interval.value)
    alone = resample({"other": wanted["other"]}, PEOPLE, TRUTH.tolist(), rounds=400)["other"]
    with pytest.raises(ValueError, match="same rounds"):
        difference_of(found["one"], alone)


def test_rounds_without_an_answer_are_counted():
    def of_the_first(weights: np.ndarray) -> np.ndarray:
        return np.where(weights[:, 0] > 0, weights[:, 0], np.nan)

    found = resample({"": of_the_first}, PEOPLE, [0] * 300, rounds=500)[""]

    assert found.undefined == pytest.approx(500 / math.e, rel=0.15)
    assert not found.interval.estimable
    assert found.standard_deviation > 0


def test_a_metric_that_is_undefined_in_a_round_is_nan_there():
    statistic = of_counts(metrics.sensitivity, np.array([True, False]), np.array([True, True]))

    assert np.isnan(statistic(np.array([[0.0, 2.0], [1.0, 1.0]]))).tolist() == [True, False]
    assert Counts(0, 0, 2, 0).positives == 0
