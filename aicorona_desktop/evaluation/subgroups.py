"""The same figures for parts of the data: by vendor, kernel, slice thickness, sex, age band.

A model may look well overall and fail on one scanner. Every group is shown with its numbers, small ones too: the
interval says how little they tell. What is not known is a group of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.comparisons import Judged, judged, unpaired_difference
from aicorona_desktop.evaluation.delong import Area, AreaDifference, area, auc_interval, compare_unpaired
from aicorona_desktop.evaluation.intervals import proportion
from aicorona_desktop.evaluation.manifest import ManifestRow
from aicorona_desktop.evaluation.metrics import Counts, counts_of

UNKNOWN = "unknown"
AGE_BANDS = (40, 60, 80)
THICKNESS_BANDS_MM = (1.5, 3.0, 5.0)


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One group of one way to split the rows.

    `rest` is the AUC of the group less that of all other rows that are known, its p adjusted after Holm over the
    groups of the same split; `sensitivity_to_rest` and `specificity_to_rest` are differences in the same sense.
    """

    split_by: str
    group: str
    counts: Counts
    sensitivity: Interval
    specificity: Interval
    auc: Interval
    rest: AreaDifference
    rest_judged: Judged
    sensitivity_to_rest: Interval
    specificity_to_rest: Interval

    @property
    def rows(self) -> int:
        """How many."""
        return self.counts.total


def subgroups(
    splits: Mapping[str, Sequence[str]],
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    calls: NDArray[np.bool_],
    level: float = 0.95,
) -> tuple[Subgroup, ...]:
    """Return the figures of every group of every split, in the order of names, the lowest band first, unknown last.

    Args:
        splits: for each way to split, the group of each row; "" is not known.
        scores: [rows].
        truth: bool [rows].
        calls: bool [rows], at the operating point.
        level: of the intervals.

    Raises:
        ValueError: a split has another number of rows.
    """
    rows = _Rows(np.asarray(scores, np.float64), np.asarray(truth, np.bool_), np.asarray(calls, np.bool_))
    found: list[Subgroup] = []
    for name, groups in splits.items():
        if len(groups) != len(scores):
            raise ValueError(f"{name} splits {len(groups)} rows, not {len(scores)}")
        found += _of_split(name, groups, rows, level)
    return tuple(found)


def manifest_splits(rows: Iterable[ManifestRow]) -> dict[str, list[str]]:
    """Return the splits that a manifest knows: slice thickness, sex, age band, source, vendor, kernel."""
    known = tuple(rows)
    return {
        "slice thickness": [thickness_band(row.slice_thickness_mm) for row in known],
        "sex": [row.sex for row in known],
        "age": [age_band(row.age) for row in known],
        "source": [row.origin for row in known],
        "vendor": [row.vendor for row in known],
        "kernel": [row.kernel for row in known],
    }


def age_band(years: float | None) -> str:
    """Return the band of an age: under 40, 40 to 59, 60 to 79, 80 and older; "" of none."""
    if years is None:
        return ""
    under = next((number for number, edge in enumerate(AGE_BANDS) if years < edge), len(AGE_BANDS))
    names = [f"under {AGE_BANDS[0]}"]
    names += [f"{low} to {high - 1}" for low, high in pairwise(AGE_BANDS)]
    return [*names, f"{AGE_BANDS[-1]} and older"][under]


def thickness_band(millimetres: float | None) -> str:
    """Return the band of a slice thickness, such as "1.5 to 3 mm", the upper end belonging to it; "" of none."""
    if millimetres is None:
        return ""
    edges = THICKNESS_BANDS_MM
    under = next((number for number, edge in enumerate(edges) if millimetres <= edge), len(edges))
    names = [f"up to {edges[0]:g} mm"]
    names += [f"over {low:g} to {high:g} mm" for low, high in pairwise(edges)]
    return [*names, f"over {edges[-1]:g} mm"][under]


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    scores: NDArray[np.float64]
    truth: NDArray[np.bool_]
    calls: NDArray[np.bool_]

    def among(self, chosen: NDArray[np.bool_]) -> _Rows:
        return _Rows(self.scores[chosen], self.truth[chosen], self.calls[chosen])

    @property
    def counts(self) -> Counts:
        return counts_of(self.truth, self.calls)

    @property
    def area(self) -> Area:
        return area(self.scores, self.truth)


def _of_split(name: str, groups: Sequence[str], rows: _Rows, level: float) -> list[Subgroup]:
    member = np.array([group.strip() or UNKNOWN for group in groups])
    names = sorted({str(group) for group in member}, key=_place)
    pairs = [(rows.among(member == group), rows.among((member != group) & (member != UNKNOWN))) for group in names]
    differences = [compare_unpaired(here.area, rest.area, level) for here, rest in pairs]
    verdicts = judged([difference.p for difference in differences])
    return [
        Subgroup(
            name,
            group,
            here.counts,
            proportion(*_caught(here.counts), level),
            proportion(*_spared(here.counts), level),
            auc_interval(here.scores, here.truth, level),
            difference,
            verdict,
            unpaired_difference(_caught(here.counts), _caught(rest.counts), level),
            unpaired_difference(_spared(here.counts), _spared(rest.counts), level),
        )
        for group, (here, rest), difference, verdict in zip(names, pairs, differences, verdicts, strict=True)
    ]


def _place(group: str) -> tuple[bool, bool, str]:
    """The lowest band first, what is not known last, the rest by name."""
    return group == UNKNOWN, not group.startswith(("under ", "up to ")), group


def _caught(counts: Counts) -> tuple[int, int]:
    return counts.true_positives, counts.positives


def _spared(counts: Counts) -> tuple[int, int]:
    return counts.true_negatives, counts.negatives
