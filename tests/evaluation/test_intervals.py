"""Intervals of proportions, to the printed digits of worked examples and against statsmodels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.stats import beta, binomtest

from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.intervals import THREE_SIGMA_LEVEL, Method, proportion, shown

WORKED = """
139/143 0.972028 0.934873 0.990486 0.930407 0.988631 0.930289 0.989070 0.929931 0.992327
244/252 0.968254 0.940997 0.984879 0.938648 0.983607 0.938619 0.983828 0.938408 0.986197
110/119 0.924370 0.866536 0.961920 0.862399 0.959314 0.862495 0.959703 0.861283 0.964835
234/238 0.983193 0.960538 0.994301 0.957705 0.993173 0.957591 0.993445 0.957530 0.995402
804/856 0.939252 0.921751 0.953791 0.921189 0.953335 0.921204 0.953376 0.921097 0.954302
211/254 0.830709 0.780975 0.872957 0.779659 0.871738 0.779744 0.871819 0.778819 0.874691
238/238 1 0.989512 1 0.984684 0.999894 0.984116 1 0.984620 1
0/10 0 0 0.217196 0.002299 0.284914 0 0.277533 0 0.308497
7/10 0.7 0.394182 0.907305 0.390257 0.890737 0.396778 0.892209 0.347547 0.933260
"""
METHODS = (Method.JEFFREYS, Method.FLAT, Method.WILSON, Method.CLOPPER_PEARSON)


@pytest.mark.parametrize("line", WORKED.split("\n")[1:-1])
def test_each_method_gives_the_worked_ends(line):
    share, value, *ends = line.split()
    successes, total = map(int, share.split("/"))

    found = [proportion(successes, total, method=method) for method in METHODS]

    assert {round(one.value, 6) for one in found} == {float(value)}
    assert [round(end, 6) for one in found for end in (one.low, one.high)] == [float(end) for end in ends]


def test_the_textbook_interval_is_the_worked_one():
    found = [proportion(*share, method=Method.WALD) for share in ((139, 143), (110, 119))]

    assert [(round(one.low, 6), round(one.high, 6)) for one in found] == [(0.945002, 0.999054), (0.876864, 0.971875)]


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(139, 143, 0.908538, 0.995616), (110, 119, 0.829475, 0.975710), (234, 238, 0.944270, 0.997377)],
)
def test_the_conservative_level_is_three_standard_deviations(successes, total, low, high):
    found = proportion(successes, total, THREE_SIGMA_LEVEL)

    # The worked ends contradict the stated level (0.0026997961) and one another by one in the last digit.
    assert (found.low, found.high) == pytest.approx((low, high), abs=1.5e-6)


def test_the_methods_are_those_of_statsmodels():
    statsmodels = pytest.importorskip("statsmodels.stats.proportion")
    names = {Method.WILSON: "wilson", Method.CLOPPER_PEARSON: "beta", Method.JEFFREYS: "jeffreys"}
    for method, name in names.items():
        found = proportion(37, 41, method=method)
        assert (found.low, found.high) == pytest.approx(statsmodels.proportion_confint(37, 41, method=name), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 300), some.integers(1, 300), some.sampled_from([0.68, 0.95, THREE_SIGMA_LEVEL]))
def test_the_methods_are_those_of_scipy(successes, total, level):
    successes = min(successes, total)
    tail = (1 - level) / 2
    ends = {
        Method.JEFFREYS: beta(successes + 0.5, total - successes + 0.5),
        Method.FLAT: beta(successes + 1, total - successes + 1),
    }
    for method, posterior in ends.items():
        found = proportion(successes, total, level, method)
        edges = method is Method.JEFFREYS
        assert found.low == pytest.approx(0 if edges and successes == 0 else posterior.ppf(tail), abs=1e-9)
        assert found.high == pytest.approx(1 if edges and successes == total else posterior.ppf(1 - tail), abs=1e-9)
    for method, name in {Method.CLOPPER_PEARSON: "exact", Method.WILSON: "wilson"}.items():
        theirs = binomtest(successes, total).proportion_ci(level, name)
        found = proportion(successes, total, level, method)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_nothing_of_nothing_has_no_interval():
    found = proportion(0, 0)

    assert math.isnan(found.value)
    assert not found.estimable
    assert shown(found) == "-"


def test_more_than_all_is_no_proportion():
    with pytest.raises(ValueError, match="no proportion"):
        proportion(11, 10)


def test_tables_show_three_digits_and_the_ends():
    assert shown(proportion(139, 143)) == "0.972 (0.935 to 0.990)"
    assert shown(Interval(1.0, math.nan, math.nan)) == "1.000"
    assert shown(Interval(math.inf, 16.4, math.inf), 1) == "∞ (16.4 to ∞)"
