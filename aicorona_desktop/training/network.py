"""EfficientNet-B3 in PyTorch, with the parameter names and shapes of timm's `tf_efficientnet_b3`.

TensorFlow's SAME padding (asymmetric where the stride is 2) to the end: the weights that ours were grown from were
trained with it, and so was the Keras network of the paper (training.md 2). No part of timm is used or needed.

Beyond timm's: an activation that can slide from a clipped line to SiLU (how Lite2's weights become B3's), drop path,
and 32-bit arithmetic where PyTorch's 16-bit one is slow on a CPU. None of it adds a parameter or changes an answer
of a finished network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.nn import functional

ARCHITECTURE: Final = "efficientnet-b3"
BATCH_NORM_EPSILON: Final = 1e-3
STEM_CHANNELS, HEAD_CHANNELS, CLASS_COUNT = 40, 1536, 3
RESIDUAL_DAMPING: Final = 0.3  # of the last batch-norm in a block with a shortcut, as trained networks have it


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage: its first block has this stride, the others 1."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


STAGES: Final = (
    StagePlan(kernel=3, stride=1, expansion=1, channels=24, blocks=2),
    StagePlan(kernel=3, stride=2, expansion=6, channels=32, blocks=3),
    StagePlan(kernel=5, stride=2, expansion=6, channels=48, blocks=3),
    StagePlan(kernel=3, stride=2, expansion=6, channels=96, blocks=5),
    StagePlan(kernel=5, stride=1, expansion=6, channels=136, blocks=5),
    StagePlan(kernel=5, stride=2, expansion=6, channels=232, blocks=6),
    StagePlan(kernel=3, stride=1, expansion=6, channels=384, blocks=2),
)
"""EfficientNet-B0's stages, widened by 1.2 (to multiples of 8) and deepened by 1.4 (rounded up)."""


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """One inverted-bottleneck block; `name` is its prefix in the state dict."""

    name: str
    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int

    @property
    def hidden(self) -> int:
        """Channels between the expanding and the projecting convolution."""
        return self.inputs * self.expansion

    @property
    def squeezed(self) -> int:
        """Channels inside squeeze-and-excitation: a quarter of the block's inputs."""
        return max(1, self.inputs // 4)

    @property
    def has_shortcut(self) -> bool:
        """Whether the block's input is added to its output."""
        return self.stride == 1 and self.inputs == self.outputs


def block_plans() -> Iterator[BlockPlan]:
    """Yield the 26 blocks in the order of the forward pass."""
    inputs = STEM_CHANNELS
    for stage, plan in enumerate(STAGES):
        for block in range(plan.blocks):
            stride = plan.stride if block == 0 else 1
            yield BlockPlan(f"blocks.{stage}.{block}", plan.kernel, stride, plan.expansion, inputs, plan.channels)
            inputs = plan.channels


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding before and after one axis; the odd pixel goes to the end."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):  # type: ignore[misc] # torch has no types here
    """A square convolution without bias that pads as TensorFlow's SAME does."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve [n, inputs, h, w] to [n, outputs, ceil(h / stride), ceil(w / stride)]."""
        top, bottom = same_padding(x.shape[2], self.kernel_size[0], self.stride[0])
        left, right = same_padding(x.shape[3], self.kernel_size[1], self.stride[1])
        if self._slow_in_half(x):
            with torch.autocast(x.device.type, enabled=False):
                return super().forward(functional.pad(x.float(), (left, right, top, bottom))).to(x.dtype)
        if top or bottom or left or right:
            x = functional.pad(x, (left, right, top, bottom))
        return super().forward(x)

    def _slow_in_half(self, x: torch.Tensor) -> bool:
        """Whether bf16 takes several times as long as fp32 here: on CPUs, channel by channel (training.md 4)."""
        by_channel = self.groups > 1 and (self.stride[0] > 1 or self.kernel_size[0] > 3)
        return bool(by_channel and x.dtype == torch.bfloat16 and x.device.type == "cpu")


class Activation(nn.Module):  # type: ignore[misc] # torch has no types here
    """SiLU; while `slide` is below 1, a mixture of it with a line clipped to 0...`ceiling`."""

    def __init__(self) -> None:
        super().__init__()
        self.slide = 1.0
        self.ceiling = 6.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x after the activation, same shape."""
        if self.slide >= 1:
            return functional.silu(x)
        clipped = x.clamp(0, self.ceiling)
        return clipped if self.slide <= 0 else torch.lerp(clipped, functional.silu(x), self.slide)


class SqueezeExcite(nn.Module):  # type: ignore[misc] # torch has no types here
    """Scales each channel by a gate computed from all channels' means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x scaled, same shape."""
        squeezed = functional.silu(self.conv_reduce(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.conv_expand(squeezed))


class Block(nn.Module):  # type: ignore[misc] # torch has no types here
    """Expand, convolve each channel, gate, project; plus the shortcut where shapes agree.

    Blocks without expansion have one convolution and one batch-norm fewer; timm then calls the projection
    `conv_pw` and its batch-norm `bn2`.
    """

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.drop_path = 0.0
        self.activation = Activation()
        self.has_shortcut = plan.has_shortcut
        self.expands = plan.expansion != 1
        if self.expands:
            self.conv_pw = SameConv2d(plan.inputs, plan.hidden, 1)
            self.bn1 = _batch_norm(plan.hidden)
            self.conv_dw = SameConv2d(plan.hidden, plan.hidden, plan.kernel, plan.stride, groups=plan.hidden)
            self.bn2 = _batch_norm(plan.hidden)
            self.se = SqueezeExcite(plan.hidden, plan.squeezed)
            self.conv_pwl = SameConv2d(plan.hidden, plan.outputs, 1)
            self.bn3 = _batch_norm(plan.outputs)
        else:
            self.conv_dw = SameConv2d(plan.hidden, plan.hidden, plan.kernel, plan.stride, groups=plan.hidden)
            self.bn1 = _batch_norm(plan.hidden)
            self.se = SqueezeExcite(plan.hidden, plan.squeezed)
            self.conv_pw = SameConv2d(plan.hidden, plan.outputs, 1)
            self.bn2 = _batch_norm(plan.outputs)

    @property
    def last_batch_norm(self) -> nn.BatchNorm2d:
        """The one after the projection: what a shortcut is added to."""
        return self.bn3 if self.expands else self.bn2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's answer to [n, inputs, h, w]."""
        if self.expands:
            hidden = self.activation(self.bn1(self.conv_pw(x)))
            hidden = self.activation(self.bn2(self.conv_dw(hidden)))
            answer = self.bn3(self.conv_pwl(self.se(hidden)))
        else:
            hidden = self.activation(self.bn1(self.conv_dw(x)))
            answer = self.bn2(self.conv_pw(self.se(hidden)))
        if not self.has_shortcut:
            return answer
        if self.training and self.drop_path > 0:
            answer = answer * self._kept(len(x), answer)
        return answer + x

    def _kept(self, count: int, like: torch.Tensor) -> torch.Tensor:
        """Return a factor a picture: 0 for those that skip the block, and what makes up for them for the others."""
        kept = torch.rand((count, 1, 1, 1), device=like.device) >= self.drop_path
        return kept.to(like.dtype) / (1 - self.drop_path)


class EfficientNetB3(nn.Module):  # type: ignore[misc] # torch has no types here
    """EfficientNet-B3 with a linear layer to three classes (normal, cp, covid) on the mean of the last map.

    Input is float [n, 3, h, w], normalised. A scan's logits are the mean of its slices' logits, for everything
    behind the last map is linear (design D4). `dropout` acts on the pooled features, in training only.

    Source: Tan and Le 2019 (EfficientNet); paper-spec 3.1.
    """

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(3, STEM_CHANNELS, 3, 2)
        self.bn1 = _batch_norm(STEM_CHANNELS)
        self.stem_activation, self.head_activation = Activation(), Activation()
        plans = block_plans()
        self.blocks = nn.Sequential(
            *(nn.Sequential(*(Block(next(plans)) for _ in range(stage.blocks))) for stage in STAGES)
        )
        self.conv_head = SameConv2d(STAGES[-1].channels, HEAD_CHANNELS, 1)
        self.bn2 = _batch_norm(HEAD_CHANNELS)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(HEAD_CHANNELS, CLASS_COUNT)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last map [n, 1536, ceil(h / 32), ceil(w / 32)], after its activation: what is pooled."""
        return self.stage_outputs(x)[-1]

    def stage_outputs(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of every stage and, last, the map that `features` returns."""
        x = self.stem_activation(self.bn1(self.conv_stem(x)))
        outputs = []
        for stage in self.blocks:
            x = stage(x)
            outputs.append(x)
        return [*outputs, self.head_activation(self.bn2(self.conv_head(x)))]

    def slide(self, amount: float, stages: int, ceiling: float) -> None:
        """Set how far stem and first `stages` stages are on the way from the clipped line (0) to SiLU (1).

        With more stages than there are, the head too. The others have SiLU.
        """
        for module in self.modules():
            if isinstance(module, Activation):
                module.slide = 1.0
        activations = [self.stem_activation, *(block.activation for stage in self.blocks[:stages] for block in stage)]
        if stages > len(self.blocks):
            activations.append(self.head_activation)
        for activation in activations:
            activation.slide, activation.ceiling = amount, ceiling

    def set_drop_path(self, last: float) -> None:
        """Set the share of pictures that skip a block: 0 in the first, growing to `last` in the last."""
        blocks = [block for stage in self.blocks for block in stage]
        for place, block in enumerate(blocks):
            block.drop_path = last * place / (len(blocks) - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [n, 3]."""
        return self.classifier(self.dropout(self.features(x).mean((2, 3))))


def untrained(seed: int, calibration: torch.Tensor) -> EfficientNetB3:
    """Return a network of random weights whose activations stay in a plausible range, in evaluation mode.

    Kaiming weights; batch-norm statistics measured on `calibration` (normalised slices [n, 3, h, w]); blocks with a
    shortcut damped, as in trained networks; everything rounded to 16 bits. The same seed, slices and torch build give
    the same weights.

    Source: performance.md, head ("Weights").
    """
    generator = torch.Generator().manual_seed(seed)
    network = EfficientNetB3()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, Block) and module.has_shortcut:
                nn.init.constant_(module.last_batch_norm.weight, RESIDUAL_DAMPING)
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the plain mean over the calibration batches
        nn.init.normal_(network.classifier.weight, std=HEAD_CHANNELS**-0.5, generator=generator)
        network.train()
        network.features(calibration)
    network.eval()
    # As checkpoints are kept: so that storing it in 16 bits changes nothing, for a random net magnifies any change.
    network.load_state_dict({name: values.half().float() for name, values in network.state_dict().items()})
    return network


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)
