"""The band around a ROC."""

from __future__ import annotations

import numpy as np
import pytest

from aicorona_desktop.evaluation.curves import roc_band
from aicorona_desktop.evaluation.intervals import Method, proportion
from aicorona_desktop.evaluation.metrics import auc

RANDOM = np.random.default_rng(4)
TRUTH = np.arange(260) < 130
SCORES = RANDOM.normal(size=260) + 1.5 * TRUTH


def test_the_curve_itself_lies_in_the_band_and_encloses_its_area():
    band = roc_band(SCORES, TRUTH, points=2001, rounds=300)

    assert (band.low <= band.value).all()
    assert (band.value <= band.high).all()
    assert np.trapezoid(band.value, band.false_positive_rates) == pytest.approx(auc(SCORES, TRUTH), abs=2e-3)
    assert (band.value[-1], band.low[-1], band.high[-1]) == (1, 1, 1)
    assert (np.diff(band.value) >= 0).all()


def test_where_no_negative_reaches_the_positives_its_width_is_that_of_the_share():
    truth = np.arange(200) < 100
    scores = np.where(np.arange(200) < 80, 2.0, np.where(truth, 0.0, 1.0))  # 80 above all negatives, 20 below them

    band = roc_band(scores, truth, rounds=2000)

    expected = proportion(80, 100, method=Method.WILSON)
    assert band.value[0] == 0.8
    assert (band.low[0], band.high[0]) == pytest.approx((expected.low, expected.high), abs=0.025)


def test_two_scans_a_subject_make_it_as_wide_as_one():
    twice = np.repeat(np.arange(260), 2)
    once = roc_band(SCORES, TRUTH, rounds=500)
    by_subject = roc_band(SCORES[twice], TRUTH[twice], twice.tolist(), rounds=500)
    by_row = roc_band(SCORES[twice], TRUTH[twice], rounds=500)

    def width(band) -> float:
        return float((band.high - band.low).mean())

    assert width(by_subject) == pytest.approx(width(once), rel=0.1)
    assert width(by_row) < 0.8 * width(once)


def test_ties_are_crossed_in_a_straight_line():
    band = roc_band(np.zeros(20), np.arange(20) < 10, points=11, rounds=20)

    assert band.value == pytest.approx(band.false_positive_rates)


def test_without_both_kinds_there_is_no_curve():
    with pytest.raises(ValueError, match="positives and negatives"):
        roc_band(np.zeros(3), np.zeros(3, bool))
    with pytest.raises(ValueError, match="a number"):
        roc_band(np.array([np.nan, 1.0]), np.array([True, False]))
