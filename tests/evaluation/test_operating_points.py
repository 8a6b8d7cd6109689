"""Operating points: the worked choices of all rules, what makes a point unfit, what a stored one may be used with."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.metrics import Counts, auc, roc
from aicorona_desktop.evaluation.operating_points import (
    Demands,
    Point,
    Rule,
    StoredPoint,
    applied,
    choose,
    choose_all,
    expected_cost,
    tuning_sha256,
)
from tests.evaluation.worked_examples import SCORES, TRUTH


@pytest.mark.parametrize(
    ("rule", "threshold", "se", "sp"),
    [
        (Rule.A, 0.7, 0.5, 1.0),
        (Rule.B, 0.3, 1.0, 0.375),
        (Rule.C, 0.55, 0.833333, 0.75),
        (Rule.D, 0.55, 0.833333, 0.75),
        (Rule.E, 0.55, 0.833333, 0.75),
    ],
)
def test_each_rule_chooses_the_worked_point(rule, threshold, se, sp):
    point = choose(rule, roc(SCORES, TRUTH))

    assert point.threshold == threshold
    assert (round(point.sensitivity.value, 6), round(point.specificity.value, 6)) == (se, sp)


def test_the_cost_of_the_points_is_the_worked_one():
    curve = roc(SCORES, TRUTH)

    assert round(choose(Rule.E, curve).cost, 6) == 0.404167
    assert round(expected_cost(curve.counts(4)), 6) == 0.452083
    assert expected_cost(curve.counts(0)) == pytest.approx(1)
    assert math.isnan(choose(Rule.A, curve).cost)


def test_a_demand_is_met_in_whole_rows():
    curve = roc(SCORES, TRUTH)

    assert choose(Rule.A, curve, Demands(specificity=7 / 8)).threshold == 0.6
    assert choose(Rule.B, curve, Demands(sensitivity=5 / 6)).threshold == 0.55


def test_with_the_highest_score_on_a_negative_no_point_is_useful():
    scores, truth = np.linspace(1, 0, 60), np.arange(60) % 2 == 1

    point = choose(Rule.A, roc(scores, truth), Demands(specificity=1.0))

    assert point.threshold == math.inf
    assert point.logit == math.inf
    assert "nobody" in point.why_not


def test_too_few_rows_are_a_reason_not_to_set_a_point():
    def whys(times: int) -> dict[Rule, str]:
        points = choose_all(np.tile(SCORES, times), np.tile(TRUTH, times))
        return {point.rule: point.why_not for point in points}

    assert all("Too few positives (6)" in why for why in whys(1).values())
    assert "Too few negatives (16)" in whys(2)[Rule.A]  # one false alarm of 16 is 6 % already
    assert "Too few positives (12)" in whys(2)[Rule.B]
    assert whys(2)[Rule.C] == ""
    assert set(whys(10).values()) == {""}


def test_a_point_that_calls_everybody_is_not_useful():
    scores, truth = np.linspace(0, 1, 60), np.arange(60) % 2 == 0

    assert "everybody" in choose(Rule.B, roc(scores, truth), Demands(sensitivity=1.0)).why_not


def test_nothing_is_chosen_without_positives():
    with pytest.raises(EvaluationError, match="positives"):
        choose(Rule.C, roc(SCORES[6:], TRUTH[6:]))


def test_a_point_applied_elsewhere_warns_when_the_specificity_is_another():
    point = Point(Rule.A, Demands(), 0.5, Counts(50, 10, 5, 95))
    truth = np.array([True] * 20 + [False] * 100)
    like_before = np.concatenate([np.ones(20), np.zeros(95), np.ones(5)])
    worse = np.concatenate([np.ones(20), np.zeros(50), np.ones(50)])

    assert applied(point, like_before, truth) == (Counts(20, 0, 5, 95), "")
    counts, warning = applied(point, worse, truth)
    assert counts == Counts(20, 0, 50, 50)
    assert "0.500 (0.403 to 0.597)" in warning
    assert "0.950" in warning


def test_a_stored_point_is_refused_for_another_model():
    point = choose(Rule.C, roc(SCORES, TRUTH))
    stored = StoredPoint(
        "covid_vs_rest", point, "0" * 64, "a" * 64, 14, 6, 8, date(2026, 1, 5), auc(SCORES, TRUTH), "0.1"
    )

    assert stored.for_model("a" * 64) is point
    with pytest.raises(EvaluationError, match="another model"):
        stored.for_model("b" * 64)


def test_the_hash_of_tuning_data_knows_scores_and_not_their_order():
    one = tuning_sha256(["a", "b"], [True, False], [0.1, 0.2])

    assert one == tuning_sha256(["b", "a"], [False, True], [0.2, 0.1])
    assert one != tuning_sha256(["a", "b"], [True, False], [0.1, np.nextafter(0.2, 1)])


def test_the_logit_of_a_threshold_keeps_what_the_probability_would_round():
    point = Point(Rule.A, Demands(), 0.6, Counts(1, 0, 0, 1))

    assert point.logit == pytest.approx(math.log(1.5))
    assert Point(Rule.A, Demands(), 0.0, Counts(1, 0, 0, 1)).logit == -math.inf


def test_demands_are_shares():
    with pytest.raises(ValueError, match="shares"):
        Demands(specificity=95)
