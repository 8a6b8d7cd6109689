"""How much each slice moved the score, and what the score would be without the strongest ones; no Qt.

All of it follows from the stored contributions: a logit is the bias plus the mean of the contributions of its
slices, exactly (paper-spec 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aicorona_desktop.core.score import CLASSES, Score, Triple
from aicorona_desktop.model.fragility import without_strongest
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.score import combine

TOP = 10
"""How many slices J and K walk through."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """One used slice: its place in the score's list of slices, and what it says for or against a class.

    `part` is what it adds to the logit: the parts and the bias add up to it. `share` is the part's share of all
    that speaks for the class; it is negative for a slice that speaks against it.
    """

    place: int
    part: float
    share: float


@dataclass(frozen=True, slots=True)
class Without:
    """p(COVID-19) without the `left_out` slices that contribute most to it."""

    left_out: int
    p_covid: float


def contributions(score: Score, class_name: str) -> tuple[Contribution, ...]:
    """Return what each slice says of a class, the strongest first; ties in the order of the slices."""
    column = CLASSES.index(class_name)
    count = len(score.slice_contributions)
    parts = [one[column] / count for one in score.slice_contributions]
    speaks_for = sum(part for part in parts if part > 0) or 1.0
    order = sorted(range(count), key=lambda place: -parts[place])
    return tuple(Contribution(place, parts[place], parts[place] / speaks_for) for place in order)


def top(ordered: Sequence[Contribution], count: int = TOP) -> tuple[int, ...]:
    """Return the places of the strongest slices that speak for the class, strongest first."""
    return tuple(one.place for one in ordered[:count] if one.part > 0)


def walked(order: Sequence[int], at: int | None, step: int) -> int | None:
    """Return the place one step down (1) or up (-1) a list of slices; the ends hold.

    From a slice that isn't in the list either step leads to its first, the strongest; None where the list is empty.
    """
    if not order:
        return None
    if at is None or at not in order:
        return order[0]
    return order[min(max(order.index(at) + step, 0), len(order) - 1)]


def without_top_slices(score: Score, pack: Pack) -> tuple[Without, ...]:
    """Return p(COVID-19) without the 1, 3 and 10 % strongest slices, fewest first; () for another pack's score."""
    if score.pack_sha256 != pack.sha256:
        return ()

    def probability_of_covid(some: Sequence[Triple]) -> float:
        return combine(pack, some).probabilities[CLASSES.index("covid")]

    without = without_strongest(score.slice_contributions, probability_of_covid)
    return tuple(Without(left_out, p_covid) for left_out, p_covid in sorted(without.items()))
