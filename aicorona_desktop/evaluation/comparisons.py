"""Two ways to call compared: on the same rows, on different ones, and many comparisons at once.

Source: paper-spec 8.4 to 8.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, nan, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri

from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.intervals import THREE_SIGMA_LEVEL, Method, proportion

THREE_SIGMA_P = 1 - THREE_SIGMA_LEVEL
"""0.0027: what the paper takes as its usual conservative bar."""


# --- the same rows -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Discordant:
    """Rows on which two callers differ: only the first right, only the second right, out of all."""

    first_only: int
    second_only: int
    total: int

    def __post_init__(self) -> None:
        if min(self.first_only, self.second_only) < 0 or self.first_only + self.second_only > self.total:
            raise ValueError("there can't be more rows that differ than rows")

    @property
    def mcnemar_exact(self) -> float:
        """The exact two-sided p that neither is right more often."""
        return min(1.0, 2 * self._tail)

    @property
    def mcnemar_mid_p(self) -> float:
        """The same, with half of the probability of what was seen: less cautious, nearer to its level."""
        if self.first_only == self.second_only:
            return 1.0
        point_mass = float(Fraction(comb(self._differing, self._fewer), 2**self._differing))
        return min(1.0, 2 * self._tail - point_mass)

    @property
    def _differing(self) -> int:
        return self.first_only + self.second_only

    @property
    def _fewer(self) -> int:
        return min(self.first_only, self.second_only)

    @property
    def _tail(self) -> float:
        return float(bdtr(self._fewer, self._differing, 0.5))

    def difference(self, level: float = 0.95) -> Interval:
        """Return the first's share of right calls less the second's, with Bonett and Price's ends; NaN of nothing."""
        if not self.total:
            return Interval(nan, nan, nan, "bonett-price")
        more, less = (self.first_only + 1) / (self.total + 2), (self.second_only + 1) / (self.total + 2)
        middle, z = more - less, float(ndtri((1 + level) / 2))
        half = z * sqrt((more + less - middle**2) / (self.total + 2))
        value = (self.first_only - self.second_only) / self.total
        return Interval(value, max(-1.0, middle - half), min(1.0, middle + half), "bonett-price")


@dataclass(frozen=True, slots=True)
class Paired:
    """Two callers on the same rows: among positives, among negatives, and among all."""

    sensitivity: Discordant
    specificity: Discordant
    accuracy: Discordant


def paired(truth: NDArray[np.bool_], first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """Count where two callers differ, all bool [rows].

    Raises:
        ValueError: the shapes differ.
    """
    if not truth.shape == first.shape == second.shape:
        raise ValueError(f"expected the same rows, got {truth.shape}, {first.shape} and {second.shape}")
    return Paired(
        _discordant(first == truth, second == truth, truth),
        _discordant(first == truth, second == truth, ~truth),
        _discordant(first == truth, second == truth, np.ones_like(truth)),
    )


def _discordant(first: NDArray[np.bool_], second: NDArray[np.bool_], among: NDArray[np.bool_]) -> Discordant:
    return Discordant(int((first & ~second & among).sum()), int((~first & second & among).sum()), int(among.sum()))


def least_exact_p(net_change: int) -> float:
    """Return the smallest exact McNemar p that a net change of this many rows allows: nobody changed to the worse.

    It is all that margins alone can show, as the paper prints them.
    """
    return min(1.0, 2 * 0.5 ** abs(net_change))


# --- different rows ----------------------------------------------------------------------------------------------


def unpaired_difference(first: tuple[int, int], second: tuple[int, int], level: float = 0.95) -> Interval:
    """Return the difference of two shares (successes, total) of different rows by Newcombe, from Wilson's ends.

    Raises:
        ValueError: more successes than there are.
    """
    one, other = (proportion(*share, level, Method.WILSON) for share in (first, second))
    if not (one.estimable and other.estimable):
        return Interval(nan, nan, nan, "newcombe")
    value = one.value - other.value
    below = sqrt((one.value - one.low) ** 2 + (other.high - other.value) ** 2)
    above = sqrt((one.high - one.value) ** 2 + (other.value - other.low) ** 2)
    return Interval(value, value - below, value + above, "newcombe")


def fisher_exact_p(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return Fisher's exact two-sided p that two shares (successes, total) of different rows are the same."""
    from scipy.stats import fisher_exact  # half a second that most runs never need

    table = np.array([[successes, total - successes] for successes, total in (first, second)])
    return float(fisher_exact(table)[1])


# --- many at once ------------------------------------------------------------------------------------------------


def holm(raw: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted after Holm for being asked together, in the order in which they came.

    What is NaN was no comparison: it stays NaN and doesn't count.
    """
    values = np.asarray(raw, dtype=np.float64)
    adjusted = np.full(len(values), nan)
    asked = np.flatnonzero(~np.isnan(values))
    order = asked[np.argsort(values[asked], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return tuple(adjusted.tolist())


@dataclass(frozen=True, slots=True)
class Judged:
    """One comparison of a family: its raw p, the one adjusted after Holm, and whether that passes three sigma."""

    p: float
    holm_p: float

    @property
    def passes_three_sigma(self) -> bool:
        """Whether the adjusted p is under the paper's conservative bar of 0.0027."""
        return self.holm_p < THREE_SIGMA_P

    def words(self, *, conservative: bool = True) -> str:
        """Return what may be said; in the conservative mode "significant" is kept for three sigma."""
        if np.isnan(self.holm_p):
            return "-"
        if self.passes_three_sigma:
            return "significant at three sigma (p < 0.0027)"
        if self.holm_p < 0.05:
            return "p < 0.05" if conservative else "significant (p < 0.05)"
        return "no difference shown"


def judged(raw: Sequence[float]) -> tuple[Judged, ...]:
    """Return the comparisons of a family: all that one table says of one figure."""
    return tuple(Judged(p, adjusted) for p, adjusted in zip(raw, holm(raw), strict=True))
