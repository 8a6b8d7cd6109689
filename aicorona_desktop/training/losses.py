"""What training makes small: cross-entropy with labels, label sets and a teacher's answers; two views that differ."""

from __future__ import annotations

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
