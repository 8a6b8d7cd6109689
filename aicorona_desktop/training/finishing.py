"""What a pack needs beyond its weights and only whole scans can tell: temperature, bias, operating points.

Each is set on the scans of the tuning split where there are enough of them, else left, with the reason. Averaging
over slices shrinks logits, so single slices can't stand in for scans (training.md 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.evaluation.calibration import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.metrics import log_probabilities, roc
from aicorona_desktop.evaluation.operating_points import Point, choose_all, tuning_sha256
from aicorona_desktop.model.pack import OperatingPoint
from aicorona_desktop.training.measuring import Answers

FEWEST_SUBJECTS: Final = 10
"""Of each class, with whole scans in the tuning split: below it a temperature or a bias is a guess."""

COVID: Final = CLASSES.index("covid")
UNSHIFTED: Final[Triple] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class LastLayer:
    """What is done to logits before the softmax: a shift is added, then they are divided by the temperature."""

    temperature: float = 1.0
    bias_shift: Triple = UNSHIFTED
    origin: str = "Left as trained."

    def probabilities(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return probabilities [n, 3] of the network's own logits [n, 3]."""
        return np.exp(log_probabilities(np.asarray(logits, np.float64) + self.bias_shift, self.temperature))


@dataclass(frozen=True, slots=True)
class ChosenPoints:
    """The operating points that may be used, all five with what they do on the tuning scans, or why there are none."""

    usable: tuple[OperatingPoint, ...] = ()
    details: tuple[dict[str, object], ...] = ()
    not_set: str = ""


def scans_of(answers: Answers) -> list[int]:
    """Return the places of the whole scans whose class is known."""
    return [at for at, unit in enumerate(answers.units) if unit.scan and unit.label in CLASSES]


def last_layer(answers: Answers, fewest: int = FEWEST_SUBJECTS) -> LastLayer:
    """Return temperature and bias fitted to the scans, each class with the same weight; as trained with too few."""
    places = scans_of(answers)
    counts = {
        name: len({answers.units[at].subject for at in places if answers.units[at].label == name}) for name in CLASSES
    }
    if min(counts.values()) < fewest:
        there = ", ".join(f"{count} {name}" for name, count in counts.items())
        return LastLayer(
            origin=f"Left as trained, 1 and unshifted: {fewest} subjects of each class with whole scans in the tuning "
            f"split are needed to set them, and there are {there}. Single slices can't stand in for scans."
        )
    logits = answers.logits[places].astype(np.float64)
    truth = np.array([CLASSES.index(answers.units[at].label) for at in places])
    temperature, shift = _fitted(logits, truth)
    return LastLayer(
        temperature, shift, f"Fitted to {len(places)} scans of the tuning split, each class with the same weight."
    )


def operating_points(answers: Answers, layer: LastLayer) -> ChosenPoints:
    """Return the points of rules A to E for covid against the rest, chosen on the scans of the tuning split."""
    places = [at for at, unit in enumerate(answers.units) if unit.scan]
    if not places:
        return ChosenPoints(not_set="Not set: the tuning split has no whole scans, and single slices can't choose it.")
    scores = layer.probabilities(answers.logits[places])[:, COVID]
    truth = np.array([answers.units[at].label == "covid" for at in places])
    try:
        points = choose_all(scores, truth)
    except EvaluationError as error:
        return ChosenPoints(not_set=f"Not set. {error}")
    proof = tuning_sha256([answers.units[at].scan for at in places], truth.tolist(), scores.tolist())
    area = roc(scores, truth).auc
    origin = f"{len(places)} scans of the tuning split, {int(truth.sum())} of them covid"
    usable = tuple(OperatingPoint(point.threshold, point.rule.value, origin) for point in points if not point.why_not)
    details = tuple(_detail(point, proof, area) for point in points)
    first = next((point.why_not for point in points if point.why_not), "")
    return ChosenPoints(usable, details, "" if usable else f"Not set. {first}")


def _detail(point: Point, proof: str, area: float) -> dict[str, object]:
    counts, se, sp = point.counts, point.sensitivity, point.specificity
    return {
        "task": "covid against the rest, by p(covid), whole scans",
        "rule": point.rule.value,
        "threshold": point.threshold if point.threshold <= 1 else None,
        "logit": point.logit if abs(point.logit) < float("inf") else None,
        "why_not": point.why_not,
        "true_positives": counts.true_positives,
        "false_negatives": counts.false_negatives,
        "false_positives": counts.false_positives,
        "true_negatives": counts.true_negatives,
        "sensitivity": [se.value, se.low, se.high],
        "specificity": [sp.value, sp.low, sp.high],
        "auc": area,
        "tuning_sha256": proof,
    }


def _fitted(logits: NDArray[np.float64], truth: NDArray[np.intp]) -> tuple[float, Triple]:
    """Return temperature and shift (which adds up to 0) of the smallest mean log loss over classes."""
    weights = 1 / np.bincount(truth, minlength=len(CLASSES))[truth] / len(CLASSES)
    rows = np.arange(len(truth))

    def shift_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.append(values, -values.sum())

    def loss(values: NDArray[np.float64]) -> float:
        logs = log_probabilities(np.add(logits, shift_of(values[1:])), exp(values[0]))
        # A little pull to what was trained: scans that are told apart without an error have no best temperature.
        return float(-(weights * logs[rows, truth]).sum() + 1e-3 * np.square(values).sum())

    ends = (log(LOWEST_TEMPERATURE), log(HIGHEST_TEMPERATURE))
    found = minimize(loss, np.zeros(3), method="L-BFGS-B", bounds=[ends, (-5, 5), (-5, 5)])
    shift = tuple(float(round(value, 4)) for value in shift_of(found.x[1:]))
    return round(exp(float(found.x[0])), 4), cast("Triple", shift)
