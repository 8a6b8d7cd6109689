"""From slices to a study: logits, probabilities and their uncertainty, all in float64 and in slice order.

The head is linear, so a study's logit is the bias plus the mean over slices of the mean of the map, exactly
(paper-spec 4.2): every subset of slices has its score without another run.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.score import CLASSES, Score, SliceScore, Triple
from aicorona_desktop.model.fragility import fragility
from aicorona_desktop.model.novelty import training_distance
from aicorona_desktop.model.pack import Pack


@dataclass(frozen=True, slots=True)
class ScoredSlice:
    """One slice of a study: what identifies it and what the model said."""

    identity: str  # SOP Instance UID (and frame), or what stands in for it
    sha256: str  # of the file
    score: SliceScore


@dataclass(frozen=True, slots=True)
class Combined:
    """What a set of slices says together; see `core.score.Score` for the meaning of the fields."""

    logits: Triple
    probabilities: Triple
    standard_error: Triple


def contribution_of(cam: NDArray[np.float32]) -> Triple:
    """Return the mean of each map [3, h, w] over its positions, summed in float64: the slice's share in the logits."""
    normal, pneumonia, covid = cam.mean(axis=(1, 2), dtype=np.float64).tolist()
    return normal, pneumonia, covid


def combine(pack: Pack, contributions: Sequence[Triple]) -> Combined:
    """Return logits, probabilities and standard error of a set of slices; any subset of a study has its own.

    The sums are exact before they are rounded once, so neither order nor repetition changes a digit.

    Raises:
        ValueError: no slices.
    """
    if not contributions:
        raise ValueError("a score needs at least one slice")
    logits = _triple(
        math.fsum(one[c] for one in contributions) / len(contributions) + pack.bias[c] for c in range(len(CLASSES))
    )
    return Combined(logits, softmax(logits, pack.temperature), _standard_error(contributions))


def softmax(logits: Triple, temperature: float = 1.0) -> Triple:
    """Return probabilities that add up to 1, computed with the largest logit subtracted."""
    largest = max(logits)
    powers = [math.exp((logit - largest) / temperature) for logit in logits]
    total = math.fsum(powers)
    return _triple(power / total for power in powers)


def score_of(
    pack: Pack,
    slices: Mapping[int, ScoredSlice],
    *,
    slices_total: int,
    preliminary: bool,
    provider: str,
    seconds_read: float,
    seconds_infer: float,
    threshold: float | None = None,
) -> Score:
    """Return the score of a study.

    Args:
        pack: the model's pack.
        slices: scored slices by their position in the ordered series, 0 = nearest the feet, in any order.
        slices_total: how many slices the series has.
        preliminary: whether more slices are to come.
        provider: what ran the model.
        seconds_read: wall time of reading.
        seconds_infer: wall time of inference.
        threshold: the operating point that holds; None: the pack's.

    Raises:
        ValueError: no slices.
    """
    indices = tuple(sorted(slices))
    in_order = [slices[index] for index in indices]
    contributions = tuple(one.score.contribution for one in in_order)
    combined = combine(pack, contributions)

    def probability_of_covid(some: Sequence[Triple]) -> float:
        return combine(pack, some).probabilities[CLASSES.index("covid")]

    if threshold is None and pack.operating_point is not None:
        threshold = pack.operating_point.threshold
    statistics = pack.statistics
    return Score(
        logits=combined.logits,
        probabilities=combined.probabilities,
        slice_indices=indices,
        slice_identities=tuple(one.identity for one in in_order),
        slice_sha256=tuple(one.sha256 for one in in_order),
        slice_contributions=contributions,
        slices_total=slices_total,
        preliminary=preliminary,
        standard_error=combined.standard_error,
        fragility=fragility(contributions, probability_of_covid, threshold),
        training_distance=None
        if statistics is None
        else training_distance(statistics, (s.score.features for s in in_order)),
        training_distance_limit=None if statistics is None else statistics.limit,
        pack=pack.title,
        pack_sha256=pack.sha256,
        pack_status=pack.status,
        preparation=pack.preparation,
        provider=provider,
        seconds_read=seconds_read,
        seconds_infer=seconds_infer,
    )


def output_digest(slice_scores: Iterable[SliceScore]) -> str:
    """Return the SHA-256 of the features and maps, in the order given: different studies never share one."""
    digest = hashlib.sha256()
    for one in slice_scores:
        digest.update(np.ascontiguousarray(one.cam, "<f4").data)
        digest.update(np.ascontiguousarray(one.features, "<f4").data)
    return digest.hexdigest()


def _standard_error(contributions: Sequence[Triple]) -> Triple:
    """Return the standard error of the mean slice logit; 0 for a single slice, which leaves nothing to compare."""
    if len(contributions) < 2:
        return 0.0, 0.0, 0.0
    spread = np.asarray(contributions, np.float64).std(axis=0, ddof=1)
    return _triple((spread / math.sqrt(len(contributions))).tolist())


def _triple(values: Iterable[float]) -> Triple:
    normal, pneumonia, covid = values
    return normal, pneumonia, covid
