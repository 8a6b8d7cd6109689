"""What training makes small: cross-entropy with labels, label sets and a teacher's answers; two views that differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.training.store import NOT_COVID

COVID = CLASSES.index("covid")


@dataclass(frozen=True, slots=True)
class Targets:
    """What is known of each unit: `allowed` [n, 3] holds 1 for every class it may be, `weight` [n] its share."""

    allowed: torch.Tensor
    weight: torch.Tensor


def targets_of(labels: Sequence[str], class_weights: Sequence[float]) -> Targets:
    """Return the targets of labels; "not covid" allows the other two classes, with their mean weight."""
    allowed = torch.zeros(len(labels), len(CLASSES))
    for at, label in enumerate(labels):
        for place, name in enumerate(CLASSES):
            allowed[at, place] = float(label == name or (label == NOT_COVID and name != "covid"))
    weight = (allowed * torch.tensor(class_weights)).sum(1) / allowed.sum(1)
    return Targets(allowed, weight)


def label_loss(logits: torch.Tensor, targets: Targets, smoothing: float) -> torch.Tensor:
    """Return the weighted mean of -log(sum of the allowed p): cross-entropy where one class is allowed.

    Label smoothing mixes in the mean of -log p over the classes, as PyTorch's cross-entropy does.
    """
    log_p = functional.log_softmax(logits, 1)
    known = -torch.logsumexp(log_p + torch.log(targets.allowed), 1)
    each = (1 - smoothing) * known - smoothing * log_p.mean(1)
    return (each * targets.weight).sum() / targets.weight.sum()


def soft_label_loss(logits: torch.Tensor, probabilities: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean cross-entropy against a teacher's probabilities [n, 3]."""
    each = -(probabilities * functional.log_softmax(logits, 1)).sum(1)
    return (each * weight).sum() / weight.sum()


def consistency_loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the mean symmetric Kullback-Leibler divergence between two views' answers, from logits [n, 3]."""
    log_p, log_q = functional.log_softmax(first, 1), functional.log_softmax(second, 1)
    each: torch.Tensor = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1)
    return each.mean() / 2


def ranking_loss(logits: torch.Tensor, allowed: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    """Return how badly units of one source are ordered by their classes; 0 where a batch has nothing to order.

    For each two units of a source that can't be of one class: the logistic loss of how much more the first favours its
    own class over the other's than the second does. Knowing the source earns nothing here, which is what the areas
    within a source ask for.

    Args:
        logits: [n, 3].
        allowed: 1 for every class that a unit may be [n, 3], as in `Targets`.
        sources: the number of each unit's source [n].
    """
    favoured = torch.logsumexp(logits[:, None] + torch.log(allowed)[None], 2)  # [unit, whose classes]
    own = favoured.diagonal()
    margins = own[:, None] - favoured - favoured.T + own[None]
    same = sources[:, None] == sources[None]
    weights = (same & (allowed @ allowed.T == 0)) / same.sum(1)  # a source weighs as many units as it has
    each: torch.Tensor = functional.softplus(-margins) * weights
    return each.sum() / weights.sum().clamp_min(1e-6)


def stage_loss(
    outputs: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], weights: Sequence[float]
) -> torch.Tensor:
    """Return how far the first channels of each stage are from the teacher's, in parts of its channels' variance.

    A tenth of the stage's mean variance is added: channels that are silent on CT would otherwise outweigh all others.

    Source: training.md 4.4.
    """
    total = outputs[0].new_zeros((), dtype=torch.float32)
    for own, theirs, weight in zip(outputs, teacher, weights, strict=True):
        wanted = theirs.float()
        variance = wanted.var((0, 2, 3))
        error = (own[:, : wanted.shape[1]].float() - wanted).square().mean((0, 2, 3))
        total = total + weight * (error / (variance + 0.1 * variance.mean())).mean()
    return total


def source_losses(
    guessed: torch.Tensor, undecided: torch.Tensor, wanted: torch.Tensor, counted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how badly the source is guessed, and how far a guess is from "any", over the units that are counted.

    How far is what the guess's entropy lacks to the highest: bounded, and without a pull where the guess is certain.
    Reversing the gradient of the guess has no bound, nor has the cross-entropy with even sources (Tzeng et al. 2015):
    both have broken a network (docs/training.md).

    Args:
        guessed: logits [n, sources] that teach the guess.
        undecided: the same logits [n, sources], by which the network learns to leave the guess undecided.
        wanted: the number of each unit's source [n].
        counted: which units count [n]: those of a class that all sources have.
    """
    guess = functional.cross_entropy(guessed, wanted, reduction="none")
    log_p = functional.log_softmax(undecided, 1)
    confusion = (log_p.exp() * log_p).sum(1) + math.log(undecided.shape[1])
    counts = counted.sum().clamp_min(1)
    return (guess * counted).sum() / counts, (confusion * counted).sum() / counts
