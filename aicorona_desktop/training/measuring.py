"""How good a network is on the tuning split: answers to units, AUCs within sources, macro-AUC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.metrics import macro_auc
from aicorona_desktop.evaluation.within_source import PAPER_QUESTIONS, SourceQuestion, WithinSource, within_source
from aicorona_desktop.training.config import Data
from aicorona_desktop.training.graph import NORMALISATIONS
from aicorona_desktop.training.store import NOT_COVID, Store, Unit


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a network says of units: logits [n, 3] and pooled features [n, 1536], both float32."""

    units: tuple[Unit, ...]
    logits: NDArray[np.float32]
    features: NDArray[np.float32]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the logits, [n, 3]."""
        shifted = np.exp(self.logits.astype(np.float64) - self.logits.max(1, keepdims=True))
        probabilities: NDArray[np.float64] = shifted / shifted.sum(1, keepdims=True)
        return probabilities


def normalised(pictures: torch.Tensor, normalisation: str) -> torch.Tensor:
    """Return pictures [n, 1, h, w] in 0...255 as the network's input [n, 3, h, w]."""
    constants = NORMALISATIONS[normalisation]
    mean = torch.tensor(constants.mean, device=pictures.device)[None, :, None, None]
    deviation = torch.tensor(constants.deviation, device=pictures.device)[None, :, None, None]
    return ((pictures / 255 - mean) / deviation).contiguous(memory_format=torch.channels_last)


def answers_of(network: Any, store: Store, units: Sequence[Unit], data: Data, size: int, *, batch: int = 32) -> Answers:
    """Return a network's answers to units, each prepared as the product does; the mode of the network is kept.

    A unit's features are the mean over its slices.
    """
    places = [place for unit in units for place in unit.slices]
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    pooled = []
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16):
        for start in range(0, len(places), batch):
            slices = [store.prepared(place, data.preparation, size) for place in places[start : start + batch]]
            pictures = torch.from_numpy(np.stack(slices)).to(device)
            pooled.append(network.features(normalised(pictures, data.normalisation)).float().mean((2, 3)))
    network.train(was_training)
    counts = np.array([len(unit.slices) for unit in units])
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    summed = np.add.reduceat(torch.cat(pooled).cpu().numpy(), starts)
    features: NDArray[np.float32] = (summed / counts[:, None]).astype(np.float32)
    with torch.inference_mode():
        layer = network.classifier
        logits = torch.from_numpy(features).to(device) @ layer.weight.float().T + layer.bias.float()
    return Answers(tuple(units), logits.cpu().numpy(), features)


def questions_for(units: Sequence[Unit]) -> tuple[SourceQuestion, ...]:
    """Return those of the paper's questions that have rows on both sides, else one for each pair within a source."""
    present: dict[str, set[str]] = {}
    for unit in units:
        present.setdefault(unit.source, set()).add(_raw(unit.label))
    known = tuple(one for one in PAPER_QUESTIONS if {*one.negatives, *one.positives} <= present.get(one.source, set()))
    if known:
        return known
    pairs = (("normal", "cp"), ("normal", "covid"), ("cp", "covid"))
    return tuple(
        SourceQuestion(source, (low,), (high,))
        for source, labels in sorted(present.items())
        for low, high in pairs
        if {low, high} <= labels
    )


def within_sources(answers: Answers, rounds: int = 200) -> WithinSource | None:
    """Return the AUCs within sources, None where no source has two classes."""
    questions = questions_for(answers.units)
    if not questions:
        return None
    labels = [_raw(unit.label) for unit in answers.units]
    sources, subjects = [unit.source for unit in answers.units], [unit.subject for unit in answers.units]
    return within_source(answers.probabilities, labels, sources, subjects, questions=questions, rounds=rounds)


def tune_figures(answers: Answers) -> dict[str, float]:
    """Return the figures of one measurement by name; what can't be answered is left out."""
    figures: dict[str, float] = {}
    if (within := within_sources(answers)) is not None:
        figures |= {answer.question.source: answer.auc.value for answer in within.answers}
        figures["within-source"] = within.mean.value
    labels = np.array([CLASSES.index(unit.label) if unit.label in CLASSES else -1 for unit in answers.units])
    known = labels >= 0
    if len(set(labels[known])) == len(CLASSES):
        figures["macro-auc"] = macro_auc(answers.probabilities[known], labels[known])
    return figures


def _raw(label: str) -> str:
    return "normal" if label == NOT_COVID else label
