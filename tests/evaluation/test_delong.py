"""The spread of AUCs after DeLong: worked digits, the definition in full, what has no spread."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from aicorona_desktop.evaluation.delong import area, auc_interval, compare_paired, compare_unpaired, covariance
from aicorona_desktop.evaluation.metrics import auc
from tests.evaluation.worked_examples import OTHER_SCORES, SCORES, TRUTH


def _rounded(*numbers: float) -> list[float]:
    return [round(number, 6) for number in numbers]


def test_areas_and_their_spread_are_the_worked_ones():
    first, second = area(SCORES, TRUTH), area(OTHER_SCORES, TRUTH)

    assert _rounded(first.value, second.value) == [0.854167, 0.770833]
    assert _rounded(first.variance, second.variance, covariance(first, second)) == [0.012736, 0.018266, 0.006628]
    assert _rounded(first.standard_error, second.standard_error) == [0.112852, 0.135153]


def test_the_paired_comparison_is_the_worked_one():
    found = compare_paired(area(SCORES, TRUTH), area(OTHER_SCORES, TRUTH))

    numbers = (found.difference.value, found.standard_error, found.z, found.p)
    assert numbers == pytest.approx((0.083333, 0.133212, 0.6255675, 0.531599), abs=5.1e-7)
    assert found.difference.low < 0 < found.difference.high


def test_the_unpaired_comparison_is_the_worked_one():
    found = compare_unpaired(area(SCORES, TRUTH), area(OTHER_SCORES, TRUTH))

    assert _rounded(found.z, found.p) == [0.473286, 0.636009]


@pytest.mark.parametrize(
    ("scores", "logit", "wald"),
    [(SCORES, (0.498002, 0.971895), (0.632980, 1)), (OTHER_SCORES, (0.428853, 0.937765), (0.505938, 1))],
)
def test_intervals_are_the_worked_ones(scores, logit, wald):
    found = auc_interval(scores, TRUTH), auc_interval(scores, TRUTH, wald=True)

    assert [tuple(_rounded(one.low, one.high)) for one in found] == [logit, wald]


def _by_definition(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Area and variance over all pairs, one by one."""
    above, below = scores[truth], scores[~truth]
    psi = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    variance = psi.mean(axis=1).var(ddof=1) / len(above) + psi.mean(axis=0).var(ddof=1) / len(below)
    return psi.mean(), variance


@given(some.lists(some.tuples(some.integers(0, 6), some.integers(0, 6), some.booleans()), min_size=4, max_size=40))
def test_it_is_the_definition_with_ties_and_never_spreads_less_than_nothing(rows):
    first, second, truth = (np.array(column) for column in zip(*rows, strict=True))
    if min(truth.sum(), (~truth).sum()) < 2:
        assert not auc_interval(first, truth).estimable
        return

    one, other = area(first, truth), area(second, truth)

    assert (one.value, one.variance) == pytest.approx(_by_definition(first, truth), abs=1e-12)
    assert one.value == pytest.approx(auc(first.astype(float), truth), abs=1e-12)
    assert one.variance >= 0
    assert abs(covariance(one, other)) <= math.sqrt(one.variance * other.variance) + 1e-12
    mirrored = area(-first, truth)
    assert (mirrored.value, mirrored.variance) == pytest.approx((1 - one.value, one.variance), abs=1e-12)
    assert compare_paired(one, one).p == 1.0


def test_the_variance_is_that_of_samples_drawn_anew():
    random = np.random.default_rng(4)
    truth = np.arange(150) < 60

    areas = [area(random.normal(size=150) + truth, truth) for _ in range(400)]

    spread = np.std([one.value for one in areas])
    assert np.mean([one.standard_error for one in areas]) == pytest.approx(spread, rel=0.1)


def test_scores_without_an_error_have_no_interval():
    found = auc_interval(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))

    assert found.value == 1.0
    assert not found.estimable


def test_with_one_positive_there_is_an_area_and_no_spread():
    one = area(np.array([0.9, 0.1, 0.2]), np.array([True, False, False]))

    assert one.value == 1.0
    assert math.isnan(one.variance)
    assert math.isnan(compare_unpaired(one, one).p)
    assert math.isnan(area(np.array([0.9]), np.array([True])).value)


def test_different_rows_are_no_pair():
    with pytest.raises(ValueError, match="same rows"):
        compare_paired(area(SCORES, TRUTH), area(SCORES[:-1], TRUTH[:-1]))


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        area(np.array([math.nan, 1.0]), np.array([True, False]))
