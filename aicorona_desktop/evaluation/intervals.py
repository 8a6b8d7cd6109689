"""Intervals of one proportion, and how tables show an interval.

Source: paper-spec 8.1 and 8.7.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from math import isinf, isnan, nan, sqrt

from scipy.special import betaincinv, ndtri

from aicorona_desktop.evaluation.bootstrap import Interval

THREE_SIGMA_LEVEL = 0.9973002039367398
"""The conservative level: what a normal value keeps within three standard deviations."""


class Method(StrEnum):
    """How an interval of a proportion is made."""

    JEFFREYS = "jeffreys"
    FLAT = "flat"
    WILSON = "wilson"
    CLOPPER_PEARSON = "clopper-pearson"
    WALD = "wald"  # for comparison with the paper only


def proportion(successes: int, total: int, level: float = 0.95, method: Method = Method.JEFFREYS) -> Interval:
    """Return successes / total with its two-sided, equal-tailed interval; NaN of nothing.

    Raises:
        ValueError: more successes than there are, or less than none.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} of {total} is no proportion")
    if total == 0:
        return Interval(nan, nan, nan, method.value)
    low, high = _ENDS[method](successes, total, (1 - level) / 2)
    return Interval(successes / total, low, high, method.value)


def _jeffreys(x: int, n: int, tail: float) -> tuple[float, float]:
    """With the ends 0 and 1 where nothing, or everything, succeeded: some libraries leave that out."""
    low, high = _beta_ends(x + 0.5, n - x + 0.5, tail)
    return (0.0 if x == 0 else low), (1.0 if x == n else high)


def _flat(x: int, n: int, tail: float) -> tuple[float, float]:
    return _beta_ends(x + 1, n - x + 1, tail)


def _beta_ends(a: float, b: float, tail: float) -> tuple[float, float]:
    return float(betaincinv(a, b, tail)), float(betaincinv(a, b, 1 - tail))


def _clopper_pearson(x: int, n: int, tail: float) -> tuple[float, float]:
    low = 0.0 if x == 0 else float(betaincinv(x, n - x + 1, tail))
    return low, 1.0 if x == n else float(betaincinv(x + 1, n - x, 1 - tail))


def _wilson(x: int, n: int, tail: float) -> tuple[float, float]:
    z = -float(ndtri(tail))
    half = z * sqrt(x * (n - x) / n + z * z / 4)
    low, high = ((x + z * z / 2 + sign * half) / (n + z * z) for sign in (-1, 1))
    return (0.0 if x == 0 else low), (1.0 if x == n else high)  # else off by what rounding leaves


def _wald(x: int, n: int, tail: float) -> tuple[float, float]:
    share = x / n
    half = -float(ndtri(tail)) * sqrt(share * (1 - share) / n)
    return share - half, share + half


_ENDS: dict[Method, Callable[[int, int, float], tuple[float, float]]] = {
    Method.JEFFREYS: _jeffreys,
    Method.FLAT: _flat,
    Method.WILSON: _wilson,
    Method.CLOPPER_PEARSON: _clopper_pearson,
    Method.WALD: _wald,
}


def shown_number(number: float, digits: int = 3) -> str:
    """Return a number as tables show it, "-" for what is undefined; what is infinite here is so upwards."""
    return "-" if isnan(number) else "∞" if isinf(number) else f"{number:.{digits}f}"


def shown(interval: Interval, digits: int = 3) -> str:
    """Return an interval as tables show it: 0.972 (0.935 to 0.990), with "-" for what is undefined."""
    value, low, high = (shown_number(number, digits) for number in (interval.value, interval.low, interval.high))
    return value if low == high == "-" else f"{value} ({low} to {high})"
