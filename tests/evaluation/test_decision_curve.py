"""Net benefit of calling by a score."""

from __future__ import annotations

import numpy as np
import pytest

from aicorona_desktop.evaluation.decision_curve import decision_curve

SCORES = np.array([0.9, 0.7, 0.4, 0.6, 0.2, 0.1, 0.3, 0.05])
TRUTH = np.array([True, True, True, False, False, False, False, False])


def test_net_benefit_counts_found_cases_less_false_alarms_at_the_rate_of_exchange():
    half, fifth = decision_curve(SCORES, TRUTH, thresholds=(0.5, 0.2))

    assert half.by_score == pytest.approx(2 / 8 - 1 / 8 * 1)
    assert half.of_everybody == pytest.approx(3 / 8 - 5 / 8)
    assert fifth.by_score == pytest.approx(3 / 8 - 3 / 8 * 0.25)
    assert fifth.of_everybody == pytest.approx(3 / 8 - 5 / 8 * 0.25)
    assert fifth.avoided == pytest.approx((fifth.by_score - fifth.of_everybody) * 4)


def test_another_prevalence_weighs_cases_and_alarms_anew():
    (found,) = decision_curve(SCORES, TRUTH, thresholds=(0.5,), prevalence=0.1)

    assert found.by_score == pytest.approx(0.1 * 2 / 3 - 0.9 * 1 / 5)
    assert found.of_everybody == pytest.approx(0.1 - 0.9)


def test_where_everybody_is_called_both_are_the_same():
    (found,) = decision_curve(SCORES, TRUTH, thresholds=(0.01,))

    assert found.by_score == pytest.approx(found.of_everybody)


def test_what_can_not_be_drawn_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        decision_curve(SCORES, TRUTH, thresholds=(1.0,))
    with pytest.raises(ValueError, match="positives and of negatives"):
        decision_curve(SCORES, np.zeros(8, bool))
