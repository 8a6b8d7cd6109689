"""Temperature, Brier score and calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from aicorona_desktop.evaluation.calibration import (
    brier,
    brier_of_classes,
    brier_parts,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
)
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.intervals import proportion


def _drawn(rows: int, temperature: float) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Classes drawn from the softmax of logits; the logits are then given too large by the temperature."""
    random = np.random.default_rng(5)
    logits = random.normal(size=(rows, 3)) * 2
    classes = [int(random.choice(3, p=softmax(row))) for row in logits]
    return logits * temperature, [(one,) for one in classes]


def test_the_temperature_that_was_put_in_is_found():
    logits, possible = _drawn(4000, 2.5)

    found = fit_temperature(logits, possible)

    assert found.value == pytest.approx(2.5, rel=0.05)
    assert found.loss_after < found.loss_before
    assert found.loss_after == pytest.approx(log_loss(logits, possible, found.value))
    assert not found.at_limit


def test_no_other_temperature_has_a_smaller_loss():
    logits, possible = _drawn(300, 0.5)

    found = fit_temperature(logits, possible)

    for other in (found.value * 0.99, found.value * 1.01):
        assert log_loss(logits, possible, other) > found.loss_after


def test_answers_that_are_all_right_drive_the_temperature_to_its_limit():
    found = fit_temperature(np.eye(3), [(0,), (1,), (2,)])

    assert found.at_limit


def test_a_row_known_only_as_not_covid_counts_by_the_sum_of_two_classes():
    logits = np.log([[0.2, 0.3, 0.5]])

    assert log_loss(logits, [(0, 1)]) == pytest.approx(-np.log(0.5))
    with pytest.raises(EvaluationError, match="two rows"):
        fit_temperature(logits, [(0, 1)])


def test_answers_that_are_not_finite_are_said_to_be():
    with pytest.raises(EvaluationError, match="not finite"):
        fit_temperature(np.array([[np.nan, 0, 0], [0, 0, 0]]), [(0,), (1,)])


def test_the_brier_score_is_scikit_learns():
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(1)
    scores, truth = random.random(200), random.random(200) < 0.4

    assert brier(scores, truth) == pytest.approx(sklearn_metrics.brier_score_loss(truth, scores))
    assert brier_of_classes(np.array([[1.0, 0, 0], [0, 0.5, 0.5]]), np.array([0, 1])) == 0.25


def test_the_parts_of_the_brier_score_add_up_where_bins_hold_equal_scores():
    random = np.random.default_rng(7)
    scores = random.integers(0, 10, 400) / 10 + 0.05
    truth = random.random(400) < scores

    parts = brier_parts(scores, truth)

    assert parts.reliability - parts.resolution + parts.uncertainty == pytest.approx(brier(scores, truth), abs=1e-12)
    assert parts.skill == pytest.approx(1 - brier(scores, truth) / parts.uncertainty)
    assert 0 < parts.skill < 1
    assert np.isnan(brier_parts(np.array([0.2, 0.4]), np.array([False, False])).skill)


def test_the_bins_of_the_diagram_are_scikit_learns_with_an_interval_each():
    calibration = pytest.importorskip("sklearn.calibration")
    random = np.random.default_rng(1)
    scores, truth = random.random(300), random.random(300) < 0.4

    bins = reliability(scores, truth)

    shares, means = calibration.calibration_curve(truth, scores, n_bins=10)
    assert [one.share_positive for one in bins] == pytest.approx(shares.tolist())
    assert [one.mean_score for one in bins] == pytest.approx(means.tolist())
    assert sum(one.positives for one in bins) == truth.sum()
    assert bins[0].share() == proportion(bins[0].positives, bins[0].rows)


def test_calibration_error_is_the_gap_weighed_by_rows():
    scores, truth = np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True])

    parts = reliability(scores, truth)

    assert [(part.rows, part.mean_score, part.share_positive) for part in parts] == [(2, 0.05, 0.5), (2, 0.975, 1.0)]
    assert expected_calibration_error(scores, truth) == pytest.approx(0.5 * 0.45 + 0.5 * 0.025)
