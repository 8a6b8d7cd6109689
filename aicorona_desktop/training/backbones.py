"""The other networks that the paper compared, built by timm: DenseNet, ResNet, Xception, EfficientNet-B0 to B5.

For the comparison alone: packs are EfficientNet-B3. timm is imported when one is asked for, and fetches nothing.
Start weights come from a file that the user names, with timm's names, or there are none.

Source: paper-spec 3.2, 3.3.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from aicorona_desktop.training.checkpoint import UNREADABLE, TrainingError
from aicorona_desktop.training.network import CLASS_COUNT

PAPERS: Final = "efficientnet-b3"
"""The one that the paper chose."""


@dataclass(frozen=True, slots=True)
class BackbonePlan:
    """One network without its top: what timm calls it, how long its features are, how good it is on ImageNet.

    `top_1` is the share of ImageNet's validation pictures in percent, as the documentation of Keras Applications,
    the paper's toolkit, publishes it.
    """

    timm_name: str
    feature_length: int
    top_1: float


BACKBONES: Final[Mapping[str, BackbonePlan]] = {
    "densenet-121": BackbonePlan("densenet121", 1024, 75.0),
    "densenet-169": BackbonePlan("densenet169", 1664, 76.2),
    "densenet-201": BackbonePlan("densenet201", 1920, 77.3),
    "resnet-50": BackbonePlan("resnet50", 2048, 74.9),
    "resnet-101": BackbonePlan("resnet101", 2048, 76.4),
    "resnet-152": BackbonePlan("resnet152", 2048, 76.6),
    "xception": BackbonePlan("legacy_xception", 2048, 79.0),
    "efficientnet-b0": BackbonePlan("tf_efficientnet_b0", 1280, 77.1),
    "efficientnet-b1": BackbonePlan("tf_efficientnet_b1", 1280, 79.1),
    "efficientnet-b2": BackbonePlan("tf_efficientnet_b2", 1408, 80.1),
    PAPERS: BackbonePlan("tf_efficientnet_b3", 1536, 81.6),
    "efficientnet-b4": BackbonePlan("tf_efficientnet_b4", 1792, 82.9),
    "efficientnet-b5": BackbonePlan("tf_efficientnet_b5", 2048, 83.6),
}


class Backbone(nn.Module):  # type: ignore[misc] # torch has no types here
    """A network of timm with the paper's head: the mean over the last map, and one linear layer to three classes.

    It has what the training loop asks of a network. The activation doesn't slide and no block is dropped.
    """

    def __init__(self, name: str, dropout: float = 0.3) -> None:
        super().__init__()
        plan = plan_of(name)
        self.name = name
        self.body = _timm().create_model(plan.timm_name, pretrained=False, num_classes=0)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(plan.feature_length, CLASS_COUNT)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last map [n, feature length, h', w'] of [n, 3, h, w]."""
        return self.body.forward_features(x)

    def stage_outputs(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the last map alone."""
        return [self.features(x)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [n, 3]."""
        return self.classifier(self.dropout(self.features(x).mean((2, 3))))

    def slide(self, amount: float, stages: int, ceiling: float) -> None:
        """Do nothing: only a grown network slides."""

    def set_drop_path(self, last: float) -> None:
        """Do nothing: not all of these networks have blocks that can be skipped."""


def plan_of(name: str) -> BackbonePlan:
    """Return what is known of a backbone.

    Raises:
        TrainingError: there is none of this name.
    """
    if name not in BACKBONES:
        raise TrainingError(f"There is no backbone {name!r}; there are {', '.join(BACKBONES)}.")
    return BACKBONES[name]


def backbone(name: str, seed: int, weights: Path | None = None) -> Backbone:
    """Return a backbone with random weights, or with those of a file; the classifier is always new.

    Args:
        name: one of `BACKBONES`.
        seed: of the random weights.
        weights: safetensors or PyTorch file with timm's names.

    Raises:
        TrainingError: timm is missing, or the file can't be read or holds another network.
    """
    torch.manual_seed(seed)
    network = Backbone(name)
    if weights is not None:
        _load(network, weights)
    return network


def parameters_of(network: Any) -> int:
    """Return how many parameters a network has, the classifier of three classes included."""
    return sum(values.numel() for values in network.parameters())


def _load(network: Backbone, path: Path) -> None:
    own, stored = network.body.state_dict(), _tensors(path)
    for name, values in own.items():
        if name.endswith("num_batches_tracked"):
            stored.setdefault(name, values)
        elif name not in stored or stored[name].shape != values.shape:
            raise TrainingError(f"The file to start from is not the {network.name} of timm: {name} does not fit.")
    network.body.load_state_dict({name: stored[name] for name in own})


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return cast("dict[str, torch.Tensor]", load_file(path))
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (*UNREADABLE, SafetensorError) as error:
        raise TrainingError("The file of weights to start from can't be read.") from error
    inner = stored.get("state_dict", stored) if isinstance(stored, Mapping) else {}
    return {str(name).removeprefix("module."): values for name, values in inner.items() if torch.is_tensor(values)}


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise TrainingError("The comparison needs timm: install the extra `compare`.") from error
