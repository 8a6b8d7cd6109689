"""McNemar, Bonett-Price, Newcombe, Fisher, Holm, three sigma: worked figures, other libraries, properties."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from aicorona_desktop.evaluation.comparisons import (
    THREE_SIGMA_P,
    Discordant,
    fisher_exact_p,
    holm,
    judged,
    least_exact_p,
    paired,
    unpaired_difference,
)


@pytest.fixture(scope="module")
def peer() -> object:
    """The other library, imported before any property is timed."""
    pytest.importorskip("statsmodels.stats.contingency_tables")
    pytest.importorskip("statsmodels.stats.multitest")
    return pytest.importorskip("statsmodels.stats.api")


@pytest.mark.parametrize(
    ("first_only", "second_only", "exact", "mid_p"),
    [
        (10, 2, 0.038574, 0.022461),
        (6, 0, 0.031250, 0.015625),
        (1, 8, 0.0390625, 0.021484),
        (20, 0, 0.00000191, 0.00000095),
        (5, 5, 1, 1),
        (0, 0, 1, 1),
    ],
)
def test_mcnemar_gives_the_worked_figures(first_only, second_only, exact, mid_p):
    found = Discordant(first_only, second_only, 119)

    assert found.mcnemar_exact == pytest.approx(exact, rel=1e-4, abs=5e-7)
    assert found.mcnemar_mid_p == pytest.approx(mid_p, rel=1e-2 if exact < 1e-4 else 1e-4, abs=5e-7)


@settings(max_examples=50, deadline=None)
@given(some.integers(0, 400), some.integers(0, 400))
def test_mcnemar_is_that_of_statsmodels_and_mid_p_is_never_larger(peer, first_only, second_only):
    found = Discordant(first_only, second_only, 1000)

    table = [[100, first_only], [second_only, 100]]
    theirs = peer.mcnemar(table, exact=True).pvalue if first_only + second_only else 1.0
    assert found.mcnemar_exact == pytest.approx(theirs, abs=1e-9)
    assert 0 <= found.mcnemar_mid_p <= found.mcnemar_exact <= 1
    assert found.mcnemar_exact == Discordant(second_only, first_only, 1000).mcnemar_exact


def test_mcnemar_of_many_rows_is_still_a_number():
    found = Discordant(3000, 2000, 10_000)

    assert 0 < found.mcnemar_mid_p < found.mcnemar_exact < 1e-40


@pytest.mark.parametrize(
    ("first_only", "second_only", "expected"),
    [(10, 2, (0.067227, 0.006664, 0.125567)), (6, 0, (0.050420, 0.004632, 0.094542))],
)
def test_a_paired_difference_has_the_worked_interval(first_only, second_only, expected):
    found = Discordant(first_only, second_only, 119).difference()

    assert (found.value, found.low, found.high) == pytest.approx(expected, abs=5.1e-7)


def test_differing_rows_are_counted_among_positives_negatives_and_all():
    truth = np.array([True, True, True, False, False, False])
    first = np.array([True, True, False, False, True, False])
    second = np.array([True, False, True, True, True, False])

    found = paired(truth, first, second)

    assert found.sensitivity == Discordant(1, 1, 3)
    assert found.specificity == Discordant(1, 0, 3)
    assert found.accuracy == Discordant(2, 1, 6)
    with pytest.raises(ValueError, match="same rows"):
        paired(truth, first[:-1], second)


def test_more_rows_that_differ_than_rows_are_refused():
    with pytest.raises(ValueError, match="rows"):
        Discordant(3, 3, 5)


def test_nothing_of_nothing_has_no_difference():
    assert math.isnan(Discordant(0, 0, 0).difference().value)
    assert math.isnan(unpaired_difference((0, 0), (1, 2)).value)


def test_an_unpaired_difference_is_the_worked_one():
    found = unpaired_difference((139, 143), (110, 119))

    assert (found.value, found.low, found.high) == pytest.approx((0.047658, -0.007028, 0.111837), abs=5.1e-7)
    assert round(fisher_exact_p((139, 143), (110, 119)), 6) == 0.091415


@settings(max_examples=50, deadline=None)
@given(*[some.tuples(some.integers(0, 40), some.integers(1, 40)) for _ in range(2)])
def test_newcombes_interval_is_that_of_statsmodels(peer, first, second):
    shares = [(min(successes, total), total) for successes, total in (first, second)]

    found = unpaired_difference(*shares)

    (one, n), (other, m) = shares
    theirs = peer.confint_proportions_2indep(one, n, other, m, method="newcomb", compare="diff")
    assert (found.low, found.high) == pytest.approx(theirs, abs=1e-9)
    assert found.low - 1e-12 <= found.value <= found.high + 1e-12


def test_holm_gives_the_worked_adjustment():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


def test_holm_is_that_of_statsmodels(peer):
    random = np.random.default_rng(8)
    for size in (1, 2, 5, 12, 40):
        raw = np.round(random.random(size) ** 3, 3).tolist()

        assert holm(raw) == pytest.approx(peer.multipletests(raw, method="holm")[1].tolist(), abs=1e-12)


@given(some.lists(some.integers(0, 1000), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_helps(thousandths):
    raw = [number / 1000 for number in thousandths]

    found = holm(raw)

    assert all(p <= adjusted <= 1 for p, adjusted in zip(raw, found, strict=True))
    order = np.argsort(raw, kind="stable")
    assert (np.diff(np.array(found)[order]) >= 0).all()


def test_what_was_no_comparison_does_not_count_in_the_family():
    found = holm([0.01, math.nan, 0.04])

    assert found[0] == pytest.approx(0.02)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(0.04)


def test_three_sigma_goes_by_the_adjusted_p_and_its_words_are_kept_for_it():
    strong, weak, none, missing = judged([0.0005, 0.01, 0.6, math.nan])

    assert round(THREE_SIGMA_P, 10) == 0.0026997961
    assert (strong.passes_three_sigma, weak.passes_three_sigma) == (True, False)
    assert "significant at three sigma" in strong.words()
    assert weak.words() == "p < 0.05"
    assert "significant" in weak.words(conservative=False)
    assert none.words() == "no difference shown"
    assert missing.words() == "-"
    assert not judged([0.002] * 2)[0].passes_three_sigma  # 0.004 together


NET = """
CC-CCII Senior 1 6 0.031 -2 0.50
CC-CCII Senior 2 8 0.0078 6 0.031
CC-CCII Junior 20 1.9e-6 4 0.125
CC-CCII R. resident 2 0.50 29 3.7e-9
MDH Senior 1 6 0.031 2 0.50
MDH Senior 2 0 1 3 0.25
MDH Junior 11 0.00098 2 0.50
MDH R. resident 2 0.50 11 0.00098
"""


def test_the_margins_that_the_paper_prints_can_show_four_changes_of_sixteen_at_most(shared: Path):
    counts = {}
    with (shared / "paper-tables.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["table"] in ("3a", "3b") and row["metric"] == "sensitivity" and row["TP"]:
                counts[row["table"], row["row"].replace("R.res.", "R. resident")] = int(row["TP"]), int(row["TN"])
    passing = 0
    for line in NET.split("\n")[1:-1]:
        place, *reader, sens, sens_p, spec, spec_p = line.split()
        table, name = {"CC-CCII": "3a", "MDH": "3b"}[place], " ".join(reader)
        before, after = counts[table, name], counts[table, f"{name}+AI"]
        net = after[0] - before[0], after[1] - before[1]

        assert net == (int(sens), int(spec))
        for change, printed in zip(net, (sens_p, spec_p), strict=True):
            assert least_exact_p(change) == pytest.approx(float(printed), rel=0.04)
            assert least_exact_p(change) == pytest.approx(Discordant(abs(change), 0, 500).mcnemar_exact, rel=1e-9)
            passing += least_exact_p(change) < THREE_SIGMA_P
    assert passing == 4
