from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.model.selection import anytime, selected

COUNTS = st.integers(1, 700)
RULES = ("middle(0.5)", "middle(0.25)", "middle(0.7)", "middle(1)", "all", "top_half", "bottom_half")


@pytest.mark.parametrize(
    ("slices", "first", "last"),
    [
        (1, 0, 0),
        (2, 0, 1),
        (3, 0, 2),
        (4, 1, 2),
        (5, 1, 3),
        (6, 1, 4),
        (7, 1, 5),
        (8, 2, 5),
        (9, 2, 6),
        (10, 2, 7),
        (20, 5, 14),
        (21, 5, 15),
        (46, 11, 34),
        (100, 25, 74),
        (133, 33, 99),
    ],
)
def test_the_middle_half_is_that_of_the_specification(slices: int, first: int, last: int) -> None:
    assert selected(slices, "middle(0.5)") == tuple(range(first, last + 1))


@given(COUNTS)
def test_the_middle_half_leaves_out_a_quarter_at_either_end_and_is_never_less_than_half(slices: int) -> None:
    kept = selected(slices, "middle(0.5)")

    assert kept == tuple(range(slices // 4, slices - slices // 4))
    assert len(kept) - slices / 2 in {0, 0.5, 1, 1.5}


@given(COUNTS, st.sampled_from(["middle(0.5)", "middle(0.3)", "middle(0.75)", "all"]))
def test_a_reversed_series_keeps_the_same_slices(slices: int, rule: str) -> None:
    kept = selected(slices, rule)

    assert tuple(sorted(slices - 1 - index for index in kept)) == kept


@given(COUNTS)
def test_the_halves_hold_the_larger_half_of_an_odd_count(slices: int) -> None:
    half = -(-slices // 2)

    assert selected(slices, "top_half") == tuple(range(half))
    assert selected(slices, "bottom_half") == tuple(range(slices - half, slices))


def test_the_share_is_taken_in_exact_arithmetic() -> None:
    # given: 50 * (1 - 0.56) / 2 is 11, and 10.999999999999998 in binary floating point
    assert int(50 * (1 - 0.56) / 2) == 10

    assert selected(50, "middle(0.56)")[0] == 11


@pytest.mark.parametrize("rule", RULES)
def test_a_series_without_slices_is_an_error(rule: str) -> None:
    with pytest.raises(ValueError, match="without slices"):
        selected(0, rule)


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "middle",
        "middle()",
        "middle(0)",
        "middle(0.0)",
        "middle(1.5)",
        "middle(0.5) ",
        "Middle(0.5)",
        "middle(-0.5)",
        "middle(5e-1)",
        "half",
    ],
)
def test_a_rule_that_is_not_spelt_exactly_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match="unknown slice rule"):
        selected(10, rule)


@given(st.lists(st.integers(), unique=True, max_size=300))
def test_the_anytime_order_holds_every_slice_once(indices: list[int]) -> None:
    assert sorted(anytime(indices)) == sorted(indices)


@given(st.integers(8, 400), st.integers(1, 8))
def test_every_prefix_of_the_first_eight_is_spread_evenly(count: int, prefix: int) -> None:
    # when: the range is cut into as many equal parts as the power of two that the prefix has filled
    parts = 1 << (prefix.bit_length() - 1)
    taken = anytime(range(count))[:prefix]

    # then: each part holds at least one slice
    assert {(2 * place + 1) * parts // (2 * count) for place in taken[:parts]} == set(range(parts))


@given(st.integers(8, 400))
def test_the_first_eight_lean_to_neither_end(count: int) -> None:
    first = anytime(range(count))[:8]

    assert abs(sum(first) / 8 - (count - 1) / 2) <= 1
