"""How much of p(covid) hangs on the few slices that contribute most to it (design D10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aicorona_desktop.core.score import CLASSES, Fragility, Triple

LEFT_OUT = (1, 3)
LEFT_OUT_SHARE = 10  # percent of the slices, rounded up


def fragility(
    contributions: Sequence[Triple], probability_of_covid: Callable[[Sequence[Triple]], float], threshold: float | None
) -> Fragility:
    """Return how far p(covid) moves without the 1, 3 and 10 % of slices that contribute most to COVID-19.

    The spread is the range of these probabilities and the full one; half of it is the "±" of a row. Doubtful: the
    probability with that much added and taken away stands on both sides of the operating point. A positive whose
    probability falls below the point without its strongest slice rests on one slice; so does a positive of one
    slice. Without an operating point neither is said.

    Args:
        contributions: of every scored slice, in any order.
        probability_of_covid: the probability of a subset of them.
        threshold: the operating point; positive is at or above it.
    """
    full = probability_of_covid(contributions)
    without = without_strongest(contributions, probability_of_covid)
    probabilities = (full, *without.values())
    half_spread = (max(probabilities) - min(probabilities)) / 2
    if threshold is None:
        return Fragility(half_spread, rests_on_one_slice=False, doubtful=False)
    rests_on_one = full >= threshold > without.get(1, 0.0)
    return Fragility(half_spread, rests_on_one, doubtful=full - half_spread < threshold <= full + half_spread)


def without_strongest(
    contributions: Sequence[Triple], probability_of_covid: Callable[[Sequence[Triple]], float]
) -> dict[int, float]:
    """Return p(covid) without the 1, 3 and 10 % of slices that contribute most to it, by how many are left out.

    The arguments are those of `fragility`. As many as there are slices can't be left out.
    """
    weakest_first = sorted(contributions, key=lambda one: one[CLASSES.index("covid")])
    count = len(weakest_first)
    return {
        left_out: probability_of_covid(weakest_first[: count - left_out])
        for left_out in (*LEFT_OUT, -(-count * LEFT_OUT_SHARE // 100))
        if left_out < count
    }
