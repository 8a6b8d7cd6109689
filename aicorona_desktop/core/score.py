"""What the model says of a slice and of a study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASSES = ("normal", "cp", "covid")
"""The order of the classes everywhere: files, tables, tensors (paper-spec 1.1)."""

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class SliceScore:
    """The model's answer for one slice.

    `cam` is float32 [3, h, w], the class activation maps without bias; `features` float32 [1536], the
    pooled features; `contribution` is the mean of each map over its positions, summed in float64: the
    slice's own logit is contribution + bias, and the study's logit is the mean over its slices.
    `seconds_prepare` and `seconds_network` are what the one thread that scored it needed.

    Source: paper-spec 4.2.
    """

    cam: NDArray[np.float32]
    features: NDArray[np.float32]
    contribution: Triple
    seconds_prepare: float = 0.0
    seconds_network: float = 0.0


@dataclass(frozen=True, slots=True)
class Fragility:
    """How far p(covid) moves without its strongest slices (design D10)."""

    half_spread: float  # in units of probability
    rests_on_one_slice: bool
    doubtful: bool  # the spread crosses the operating point


@dataclass(frozen=True, slots=True)
class Score:
    """The model's answer for one study; classes in the order of `CLASSES`.

    `logits` are mean contributions plus bias, before the temperature; `probabilities` are after it and
    add up to 1. `slice_indices` are positions in the ordered series (0 = nearest the feet), ascending,
    `slice_contributions` stand in the same order. `standard_error` is that of the slice logits
    (the uncertainty of a preliminary score). Seconds are wall time.
    """

    logits: Triple
    probabilities: Triple
    slice_indices: tuple[int, ...]
    slice_identities: tuple[str, ...]
    slice_sha256: tuple[str, ...]
    slice_contributions: tuple[Triple, ...]
    slices_total: int
    preliminary: bool
    standard_error: Triple
    fragility: Fragility | None
    training_distance: float | None  # mean Mahalanobis distance; None where the pack has no statistics
    training_distance_limit: float | None
    pack: str  # name and version
    pack_sha256: str
    pack_status: str
    preparation: str
    provider: str
    seconds_read: float
    seconds_infer: float

    @property
    def p_covid(self) -> float:
        """The probability of COVID-19, by which the worklist is ranked."""
        return self.probabilities[CLASSES.index("covid")]
