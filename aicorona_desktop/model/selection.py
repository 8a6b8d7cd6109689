"""Which slices of a series the model sees, and in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

_MIDDLE = re.compile(r"middle\((0\.\d{1,9}|1|1\.0)\)")
PRELIMINARY_SLICES = 8


def selected(slices: int, rule: str) -> tuple[int, ...]:
    """Return the positions that a slice rule keeps, ascending, 0 = the first slice of the series.

    `middle(f)` leaves out q = floor(n (1 - f) / 2) slices at either end, in exact arithmetic; `middle(0.5)` is the
    paper's middle half, q = n // 4. `all` keeps everything. `top_half` is the first ceil(n / 2) positions and
    `bottom_half` the last ceil(n / 2): "top" counts from the first slice of the list, as the paper's wording has no
    anatomy in it. Our series start at the feet, so `top_half` is the lower half of the patient.

    Raises:
        ValueError: no slices, or a rule that this version does not know.

    Source: paper-spec 2.4.
    """
    if slices < 1:
        raise ValueError("a series without slices has none to select")
    if rule == "all":
        return tuple(range(slices))
    half = (slices + 1) // 2
    if rule == "top_half":
        return tuple(range(half))
    if rule == "bottom_half":
        return tuple(range(slices - half, slices))
    middle = _MIDDLE.fullmatch(rule)
    if middle is None or not Fraction(middle[1]):
        raise ValueError(f"unknown slice rule {rule!r}")
    left_out = int(slices * (1 - Fraction(middle[1])) / 2)
    return tuple(range(left_out, slices - left_out))


def anytime(indices: Sequence[int]) -> tuple[int, ...]:
    """Return the same positions in bit-reversal order, so that every prefix is spread evenly over them.

    The sequence starts half a step in from the edge of eight equal parts, so that the eight slices of a preliminary
    score lie in the middle of their parts and lean to neither end (design D6).
    """
    count = len(indices)
    bits = max(count - 1, 0).bit_length()
    places = 1 << bits
    offset = Fraction(1, 2 * PRELIMINARY_SLICES)
    order: dict[int, None] = {}
    for step in range(places if count else 0):
        at = (Fraction(_reversed_bits(step, bits), places) + offset) % 1
        order.setdefault(int(at * count))
    return tuple(indices[place] for place in order)


def _reversed_bits(number: int, bits: int) -> int:
    return int(f"{number:0{bits}b}"[::-1], 2) if bits else 0
