"""Intervals of F1, kappa, harmonic mean and accuracy: worked quantiles, draws beside integrals, what has none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from aicorona_desktop.evaluation import metrics, posteriors
from aicorona_desktop.evaluation.metrics import Counts
from aicorona_desktop.evaluation.posteriors import FLAT_PRIOR
from tests.evaluation.worked_examples import READERS

POSTERIORS = (
    posteriors.f1_posterior,
    posteriors.kappa_posterior,
    posteriors.harmonic_mean_posterior,
    posteriors.accuracy_posterior,
)
INTERVALS = (
    (posteriors.f1_interval, metrics.f1),
    (posteriors.kappa_interval, metrics.kappa),
    (posteriors.harmonic_mean_interval, metrics.harmonic_mean),
    (posteriors.accuracy_interval, metrics.accuracy),
)
WORKED = {
    (139, 4, 8, 244): (
        (0.929262, 0.956445, 0.975869),
        (0.887829, 0.931199, 0.962011),
        (0.946980, 0.968388, 0.982880),
        (0.947695, 0.968031, 0.982395),
    ),
    (110, 9, 4, 234): (
        (0.905673, 0.941613, 0.967147),
        (0.860911, 0.913321, 0.951005),
        (0.919278, 0.951162, 0.973020),
        (0.939162, 0.961871, 0.978352),
    ),
    (91, 52, 26, 226): (
        (0.633759, 0.698751, 0.756988),
        (0.463415, 0.552962, 0.635305),
        (0.684296, 0.743476, 0.795026),
        (0.762892, 0.801594, 0.837175),
    ),
    (102, 17, 0, 238): (
        (0.877705, 0.920423, 0.951901),
        (0.826567, 0.884959, 0.929455),
        (0.879298, 0.921592, 0.952680),
        (0.926895, 0.950659, 0.969329),
    ),
    (804, 52, 43, 211): (
        (0.932582, 0.943920, 0.953990),
        (0.711926, 0.759215, 0.801726),
        (0.851822, 0.881103, 0.905773),
        (0.896812, 0.913957, 0.929299),
    ),
}
"""Counts to the quantiles 0.025, 0.5 and 0.975 of F1, kappa, harmonic mean and accuracy."""


@pytest.mark.parametrize("counts", WORKED, ids=str)
def test_quantiles_are_the_worked_ones(counts):
    found = [[posterior(Counts(*counts)).quantile(at) for at in (0.025, 0.5, 0.975)] for posterior in POSTERIORS]

    assert np.array(found) == pytest.approx(np.array(WORKED[counts]), abs=2e-6)


@pytest.mark.parametrize(("interval", "metric"), INTERVALS, ids=lambda one: one.__name__)
def test_an_interval_stands_around_the_plain_figure(interval, metric):
    counts = Counts(139, 4, 8, 244)

    found = interval(counts)

    assert found.value == metric(counts)
    assert found.low < found.value < found.high
    assert found.method == "jeffreys posterior"


def _table_of(se, f, p, n):
    return p * se, p * (1 - se), n * f, n * (1 - f)


DRAWN = (
    lambda tp, fn, fp, tn: 2 * tp / (2 * tp + fp + fn),
    lambda tp, fn, fp, tn: 2 * (tp * tn - fp * fn) / ((tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)),
    lambda tp, fn, fp, tn: 2 * tp * tn / ((tp + fn) * tn + tp * (fp + tn)),
    lambda tp, fn, fp, tn: (tp + tn) / (tp + fn + fp + tn),
)


@pytest.mark.parametrize("prior", [0.5, FLAT_PRIOR])
@pytest.mark.parametrize("counts", [Counts(20, 11, 9, 43), Counts(300, 10, 6, 12), Counts(3, 40, 5, 2)], ids=str)
def test_the_integral_and_draws_agree(counts, prior):
    p, n = counts.positives, counts.negatives
    for posterior, metric in zip(POSTERIORS, DRAWN, strict=True):
        drawn = posteriors.drawn_interval(counts, 0.5, lambda se, f, m=metric: m(*_table_of(se, f, p, n)), prior=prior)
        exact = posterior(counts, prior)

        assert drawn.low == pytest.approx(min(exact.quantile(0.025), 0.5), abs=3e-3)
        assert drawn.high == pytest.approx(max(exact.quantile(0.975), 0.5), abs=3e-3)


@given(
    counts=some.tuples(*[some.integers(0, 60)] * 4).filter(lambda cells: cells[0] + cells[1] and cells[2] + cells[3]),
    number=some.integers(0, 3),
)
@settings(max_examples=25, deadline=None)
def test_a_distribution_rises_from_nothing_to_everything(counts, number):
    posterior = POSTERIORS[number](Counts(*counts))
    values = np.linspace(posterior.lowest, 1, 21)

    shares = [posterior.distribution(value) for value in values]

    assert (np.diff(shares) >= -1e-9).all()
    assert shares[0] == pytest.approx(0, abs=1e-6)
    assert shares[-1] == pytest.approx(1, abs=1e-6)
    low, high = posterior.quantile(0.025), posterior.quantile(0.975)
    assert posterior.lowest <= low < high <= 1


def test_without_an_error_the_interval_reaches_1_and_with_errors_only_the_lowest():
    perfect, hopeless = Counts(30, 0, 0, 40), Counts(0, 30, 40, 0)

    for interval, _ in INTERVALS:
        assert interval(perfect).high == 1.0
        assert interval(perfect).low < 1.0
    assert posteriors.f1_interval(hopeless).low == 0.0
    assert posteriors.kappa_interval(hopeless).low == metrics.kappa(hopeless) < 0
    assert posteriors.f1_interval(perfect, prior=FLAT_PRIOR).high < 1.0


def test_a_kappa_of_nothing_may_lie_below_nothing():
    found = posteriors.kappa_interval(Counts(10, 10, 10, 10))

    assert found.value == 0
    assert found.low == pytest.approx(-found.high, abs=1e-4)


def test_what_is_undefined_has_no_interval():
    only_negatives, only_positives, nothing = Counts(0, 0, 2, 9), Counts(9, 2, 0, 0), Counts(0, 0, 0, 0)

    assert not posteriors.f1_interval(only_negatives).estimable
    assert posteriors.f1_interval(only_positives).estimable
    for interval in (posteriors.kappa_interval, posteriors.harmonic_mean_interval):
        assert not interval(only_negatives).estimable
        assert not interval(only_positives).estimable
    assert not posteriors.accuracy_interval(nothing).estimable
    assert math.isnan(posteriors.harmonic_mean_interval(only_negatives).value)
    same = posteriors.accuracy_interval(only_negatives), posteriors.accuracy_interval(Counts(9, 2, 0, 0))
    assert (same[0].low, same[0].high) == (same[1].low, same[1].high)


@pytest.mark.parametrize(
    ("counts", "f1", "kappa"),
    [
        (Counts(139, 4, 8, 244), (0.9279, 0.9762), (0.8871, 0.9620)),
        (Counts(110, 9, 4, 234), (0.9052, 0.9672), (0.8605, 0.9508)),
    ],
    ids=str,
)
def test_with_class_sizes_left_to_chance_the_ends_are_the_worked_ones(counts, f1, kappa):
    for metric, plain, worked in ((DRAWN[0], metrics.f1, f1), (DRAWN[1], metrics.kappa, kappa)):
        found = posteriors.random_class_sizes_interval(metric, counts, plain(counts), seed=1)

        assert (found.low, found.high) == pytest.approx(worked, abs=6e-4)


def test_figures_of_three_classes_have_intervals_that_shrink_to_those_of_two():
    table = np.array(READERS["Senior 1"])
    kappa, accuracy = posteriors.table_kappa_interval(table), posteriors.table_accuracy_interval(table)

    assert kappa.value == metrics.table_kappa(table)
    assert kappa.low < kappa.value < kappa.high
    assert accuracy.value == pytest.approx(327 / 357)
    two = np.array([[244, 8], [4, 139]])
    exact = posteriors.kappa_interval(Counts(139, 4, 8, 244))
    drawn = posteriors.table_kappa_interval(two)
    assert (drawn.value, drawn.low, drawn.high) == pytest.approx((exact.value, exact.low, exact.high), abs=2e-3)
    assert not posteriors.table_kappa_interval(np.array([[3, 1, 0], [0, 0, 0], [0, 1, 4]])).estimable


def test_draws_are_the_same_for_the_same_seed_and_never_leave_out_the_plain_figure():
    counts = Counts(20, 0, 0, 30)

    def plus(seed: int):
        return posteriors.drawn_interval(counts, math.inf, lambda se, f: se / f, seed=seed)

    assert plus(3) == plus(3)
    assert plus(3).low != plus(4).low
    assert plus(3).high == math.inf
