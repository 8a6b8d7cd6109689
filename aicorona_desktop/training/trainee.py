"""What a run trains: the network, beside it a guess of the source, and how fast each part of them learns."""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import nn

from aicorona_desktop.training.config import Stage
from aicorona_desktop.training.network import HEAD_CHANNELS, EfficientNetB3

ADVERSARY_RATE: Final = 1e-3


class Trainee(nn.Module):  # type: ignore[misc] # torch has no types here
    """The network, and beside it a guess of the source that the features are to leave undecided."""

    def __init__(self, network: EfficientNetB3, sources: int) -> None:
        super().__init__()
        self.network = network
        self.adversary = nn.Linear(HEAD_CHANNELS, sources) if sources else None

    def forward(
        self, pictures: torch.Tensor, unit_of_slice: torch.Tensor, units: int
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None, list[torch.Tensor]]:
        """Return logits [units, 3], logits of the sources twice, and the outputs of the stages.

        The first logits of the sources teach the guess and leave the network alone, the second teach the network and
        leave the guess alone.
        """
        outputs = self.network.stage_outputs(pictures)
        slices = outputs[-1].float().mean((2, 3))
        counts = torch.bincount(unit_of_slice, minlength=units).to(slices.dtype)
        features = slices.new_zeros(units, slices.shape[1]).index_add(0, unit_of_slice, slices) / counts[:, None]
        with torch.autocast(features.device.type, enabled=False):
            logits = self.network.classifier(self.network.dropout(features))
            sources = None
            if self.adversary is not None:
                scaled = features / (features.detach().std() + 1e-3)
                weight, bias = self.adversary.weight.detach(), self.adversary.bias.detach()
                sources = self.adversary(scaled.detach()), nn.functional.linear(scaled, weight, bias)
        return logits, sources, outputs


def scheduled(stage: Stage, step: int, steps: int) -> float:
    """Return the part of the full rate in one step: a straight warm-up, then a cosine to `final_rate`."""
    if step < stage.warm_up:
        return (step + 1) / stage.warm_up
    done = (step - stage.warm_up) / max(1, steps - stage.warm_up)
    return stage.final_rate + (1 - stage.final_rate) * (1 + math.cos(math.pi * done)) / 2


def parameter_groups(trainee: Trainee, stage: Stage, weight_decay: float) -> list[dict[str, Any]]:
    """Return the optimiser's groups: rates fall towards the stem; batch-norm and biases don't decay."""
    groups: dict[tuple[float, bool], list[Any]] = {}
    for name, values in trainee.named_parameters():
        groups.setdefault((_rate_of(name, stage), values.ndim > 1), []).append(values)
    return [
        {"params": members, "full_rate": rate, "lr": rate, "weight_decay": weight_decay if decays else 0.0}
        for (rate, decays), members in groups.items()
    ]


def _rate_of(name: str, stage: Stage) -> float:
    if name.startswith("adversary"):
        return ADVERSARY_RATE
    parts = name.split(".")[1:]
    if parts[0] == "classifier":
        return stage.head_rate
    depth = int(parts[1]) + 1 if parts[0] == "blocks" else 0 if parts[0] in {"conv_stem", "bn1"} else 8
    return stage.rate * stage.rate_decay ** (8 - depth)
