"""Which units make up a batch: drawn by source, class and subject, from a seed and the step alone.

A batch depends on nothing but the seed and where it stands in the run, so a resumed run draws the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.training.config import Sampling
from aicorona_desktop.training.store import NOT_COVID, Unit

SLICES_A_SCAN: Final = 3.0
"""A scan counts as this many slices when its subject is weighed: its slices are not independent."""


def generator_of(*numbers: int) -> np.random.Generator:
    """Return the generator of one purpose in one step of one run."""
    return np.random.default_rng(numbers)


class Sampler:
    """Draws batches of units."""

    def __init__(self, units: Sequence[Unit], rule: Sampling) -> None:
        """Weigh the units; those without a label can't be drawn."""
        self.units = tuple(unit for unit in units if unit.label in (*CLASSES, NOT_COVID))
        self._rule = rule
        self._weights = balanced_weights(self.units, rule) if rule.rule == "balanced" else None

    def batches_an_epoch(self, batch: int) -> int:
        """Return how many batches show as many units as there are."""
        return max(1, math.ceil(len(self.units) / batch))

    def batch(self, seed: Sequence[int], step: int, batch: int) -> list[Unit]:
        """Return the units of one step; `plain` shows each unit once an epoch, in an order of its own.

        The last batch of an epoch may be smaller.
        """
        if self._weights is not None:
            generator = generator_of(*seed, step)
            return [self.units[at] for at in generator.choice(len(self.units), batch, p=self._weights)]
        epoch, place = divmod(step, self.batches_an_epoch(batch))
        order = generator_of(*seed, epoch).permutation(len(self.units))
        return [self.units[at] for at in order[place * batch : (place + 1) * batch]]

    def slices_of(self, unit: Unit, generator: np.random.Generator) -> tuple[int, ...]:
        """Return the slices of a unit that are shown: all of them, or a bag of neighbours spread over the scan.

        A bag takes one slice from each of equal parts of the scan, in random places.
        """
        bag = self._rule.bag_slices
        if not unit.scan or bag == 0 or len(unit.slices) <= bag:
            return unit.slices
        edges = np.linspace(0, len(unit.slices), bag + 1)
        places = [int(generator.uniform(low, high)) for low, high in pairwise(edges)]
        return tuple(unit.slices[min(place, len(unit.slices) - 1)] for place in places)


def balanced_weights(units: Sequence[Unit], rule: Sampling) -> NDArray[np.float64]:
    """Return the chance of each unit: source sqrt(subjects), its classes evenly, a subject sqrt(slices).

    Source: training.md 4.2.
    """
    weights = np.zeros(len(units))
    sources: dict[str, dict[str, dict[str, list[int]]]] = {}
    for at, unit in enumerate(units):
        sources.setdefault(unit.source, {}).setdefault(unit.label, {}).setdefault(unit.subject, []).append(at)
    for classes in sources.values():
        subjects = len({subject for of_class in classes.values() for subject in of_class})
        scans = any(units[at].scan for of_class in classes.values() for places in of_class.values() for at in places)
        source_weight = math.sqrt(subjects) * (1.0 if len(classes) > 1 else rule.one_class_weight)
        source_weight *= rule.scan_share if scans else 1.0
        parts = {label: rule.ambiguous_weight if label == NOT_COVID else 1.0 for label in classes}
        for label, of_class in classes.items():
            class_weight = source_weight * parts[label] / sum(parts.values())
            total = sum(math.sqrt(_size(units, places)) for places in of_class.values())
            for places in of_class.values():
                subject_weight = class_weight * math.sqrt(_size(units, places)) / total
                weights[places] = subject_weight / len(places)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _size(units: Sequence[Unit], places: Sequence[int]) -> float:
    return sum(SLICES_A_SCAN if units[at].scan else 1.0 for at in places)
