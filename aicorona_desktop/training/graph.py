"""EfficientNet-B3 as an ONNX graph, written node by node from its weights, not traced.

Folded in, exactly: copying the grey slice to three channels and normalising it, borders included; batch-norms;
TensorFlow's asymmetric padding. One pass gives class-activation maps and features (design D4).

Source: performance.md 2, 4 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.model.onnx_check import FEATURE_LENGTH, OPSET
from aicorona_desktop.training.network import (
    ARCHITECTURE,
    BATCH_NORM_EPSILON,
    BlockPlan,
    EfficientNetB3,
    block_plans,
    same_padding,
)

IR_VERSION: Final = 8
LARGEST_HALF: Final = 65504.0
SMALLEST_NORMAL_HALF: Final = 2.0**-14

Weights = Mapping[str, NDArray[Any]]


class ExportError(AicoronaError):
    """A checkpoint can't become a pack; the text says why."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Grey 0...255 becomes (grey / 255 - mean) / deviation, one constant a channel."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


NORMALISATIONS: Final = {
    "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "grey": Normalisation((0.449, 0.449, 0.449), (0.226, 0.226, 0.226)),
}


@dataclass(frozen=True, slots=True)
class HalfReport:
    """How well the weights fit into 16 bits: the largest, and the share too small for full precision."""

    largest: float
    share_below_normal: float


def build_graph(
    weights: Weights, normalisation: Normalisation, input_size: int, *, half: bool = True
) -> onnx.ModelProto:
    """Return the ONNX model: `slices` [n, 1, h, w] in 0...255 to `cam` [n, 3, h', w'] and `features` [n, 1536].

    With `half`, kernels are stored as they are in 16 bits beside the 32-bit scale of their batch-norm, and the runtime
    multiplies the two once, when it loads the model: so a 16-bit checkpoint loses nothing by folding. Without, they
    are folded in 64 bits and stored in 32. Biases, stem and classifier are 32 bits either way.

    Args:
        weights: a state dict with the names of `training.network`.
        normalisation: the constants the network was trained with.
        input_size: the slice size in pixels that the padding is right for; all sizes divisible by 32 share one.
        half: whether kernels are stored in 16 bits.

    Raises:
        ExportError: a weight is missing, not finite, or too large for 16 bits.
    """
    _check_weights(weights, half=half)
    graph = _Graph(weights, half=half)
    x, size = graph.stem(normalisation, input_size)
    for plan in block_plans():
        x, size = graph.block(plan, x, size)
    x = graph.silu(graph.convolution("conv_head", "bn2", x, size))
    cam = weights["classifier.weight"].astype(np.float32)[:, :, None, None]
    graph.add("Conv", [x, graph.constant("classifier.weight", cam)], "cam")
    graph.add("Flatten", [graph.add("GlobalAveragePool", [x], "features.pooled")], "features", axis=1)
    return graph.finished()


def half_report(weights: Weights) -> HalfReport:
    """Say how the kernels that are stored in 16 bits fit into them."""
    kernels = np.concatenate([np.abs(weights[name].astype(np.float64)).ravel() for name in _kernel_names()])
    below = (kernels < SMALLEST_NORMAL_HALF) & (kernels > 0)
    return HalfReport(float(kernels.max()), float(below.mean()))


class _Graph:
    """Collects nodes and tensors in the order of the forward pass; names come from the state dict."""

    def __init__(self, weights: Weights, *, half: bool) -> None:
        self.weights = weights
        self.half = half
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        little_endian = values.astype(values.dtype.newbyteorder("<"))
        kind = {"f2": TensorProto.FLOAT16, "f4": TensorProto.FLOAT}[values.dtype.str[1:]]
        self.tensors.append(helper.make_tensor(name, kind, values.shape, little_endian.tobytes(), raw=True))
        return name

    def stem(self, normalisation: Normalisation, size: int) -> tuple[str, int]:
        """Grey and a channel of ones, both padded with 0 as the network's own padding is: exact at the border too.

        sum over c of W_c (x / 255 - m_c) / s_c = K x - T 1 with K = sum W_c / (255 s_c), T = sum W_c m_c / s_c.
        """
        scale, shift = self._batch_norm("bn1")
        kernel = self.weights["conv_stem.weight"].astype(np.float64) * scale[:, None, None, None]
        deviation = np.asarray(normalisation.deviation)[None, :, None, None]
        mean = np.asarray(normalisation.mean)[None, :, None, None]
        grey = (kernel / (255 * deviation)).sum(1)
        ones = -(kernel * mean / deviation).sum(1)
        folded = np.stack((grey, ones), 1).astype(np.float32)
        self.add("Shape", ["slices"], "ones.shape")
        one = helper.make_tensor("one", TensorProto.FLOAT, [1], np.ones(1, "<f4").tobytes(), raw=True)
        self.add("ConstantOfShape", ["ones.shape"], "ones", value=one)
        self.add("Concat", ["slices", "ones"], "slices_and_ones", axis=1)
        inputs = ["slices_and_ones", self.constant("conv_stem.folded", folded), self._bias("conv_stem", shift)]
        self.add("Conv", inputs, "conv_stem", **_geometry(size, 3, 2, 1))
        return self.silu("conv_stem"), (size + 1) // 2

    def block(self, plan: BlockPlan, x: str, size: int) -> tuple[str, int]:
        shortcut, hidden = x, x
        names = ("bn1", "conv_pw", "bn2")
        if plan.expansion != 1:
            hidden = self.silu(self.convolution(f"{plan.name}.conv_pw", f"{plan.name}.bn1", x, size))
            names = ("bn2", "conv_pwl", "bn3")
        depthwise, projection, last = (f"{plan.name}.{name}" for name in names)
        conv = f"{plan.name}.conv_dw"
        hidden = self.silu(self.convolution(conv, depthwise, hidden, size, stride=plan.stride, groups=plan.hidden))
        size = -(-size // plan.stride)
        answer = self.convolution(projection, last, self._squeeze_excite(f"{plan.name}.se", hidden), size)
        if plan.has_shortcut:
            answer = self.add("Add", [answer, shortcut], f"{plan.name}.sum")
        return answer, size

    def convolution(self, conv: str, batch_norm: str, x: str, size: int, *, stride: int = 1, groups: int = 1) -> str:
        """A convolution without bias, its batch-norm folded in."""
        scale, shift = self._batch_norm(batch_norm)
        kernel = self.weights[f"{conv}.weight"]
        by_output = scale[:, None, None, None]
        if self.half:
            stored = self.constant(f"{conv}.half", kernel.astype(np.float16))
            single = self.add("Cast", [stored], f"{conv}.single", to=TensorProto.FLOAT)
            factor = self.constant(f"{conv}.scale", by_output.astype(np.float32))
            folded = self.add("Mul", [single, factor], f"{conv}.folded")
        else:
            folded = self.constant(f"{conv}.folded", (kernel.astype(np.float64) * by_output).astype(np.float32))
        geometry = _geometry(size, kernel.shape[2], stride, groups)
        return self.add("Conv", [x, folded, self._bias(conv, shift)], conv, **geometry)

    def silu(self, x: str) -> str:
        return self.add("Mul", [x, self.add("Sigmoid", [x], f"{x}.sigmoid")], f"{x}.silu")

    def finished(self) -> onnx.ModelProto:
        batch, open_size, map_size = "n", ["h", "w"], ["map_h", "map_w"]
        graph = helper.make_graph(
            self.nodes,
            ARCHITECTURE,
            [helper.make_tensor_value_info("slices", TensorProto.FLOAT, [batch, 1, *open_size])],
            [
                helper.make_tensor_value_info("cam", TensorProto.FLOAT, [batch, len(CLASSES), *map_size]),
                helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, FEATURE_LENGTH]),
            ],
            self.tensors,
        )
        model = helper.make_model(
            graph,
            producer_name="aicorona-desktop",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        helper.set_model_props(model, {"input_space": "0_255", "classes": ",".join(CLASSES)})
        onnx.checker.check_model(model, full_check=True)
        return model

    def _squeeze_excite(self, name: str, x: str) -> str:
        reduced = self._one_by_one(f"{name}.conv_reduce", self.add("GlobalAveragePool", [x], f"{name}.mean"))
        gate = self.add("Sigmoid", [self._one_by_one(f"{name}.conv_expand", self.silu(reduced))], f"{name}.gate")
        return self.add("Mul", [x, gate], f"{name}.scaled")

    def _one_by_one(self, name: str, x: str) -> str:
        kernel = self.weights[f"{name}.weight"]
        if self.half:
            stored = self.constant(f"{name}.half", kernel.astype(np.float16))
            single = self.add("Cast", [stored], f"{name}.single", to=TensorProto.FLOAT)
        else:
            single = self.constant(f"{name}.weight", kernel.astype(np.float32))
        return self.add("Conv", [x, single, self._bias(name, self.weights[f"{name}.bias"])], name)

    def _bias(self, name: str, values: NDArray[Any]) -> str:
        return self.constant(f"{name}.bias", values.astype(np.float32))

    def _batch_norm(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the scale and shift that a batch-norm is in evaluation mode."""
        gain, bias, mean, variance = (
            self.weights[f"{name}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + BATCH_NORM_EPSILON)
        return scale, bias - mean * scale


def _geometry(size: int, kernel: int, stride: int, groups: int) -> dict[str, object]:
    before, after = same_padding(size, kernel, stride)
    return {
        "kernel_shape": [kernel, kernel],
        "strides": [stride, stride],
        "pads": [before, before, after, after],
        "group": groups,
    }


def _kernel_names() -> list[str]:
    return [name for name in _parameter_shapes() if name.endswith(".weight") and "conv" in name and "stem" not in name]


def _parameter_shapes() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(values.shape) for name, values in EfficientNetB3().state_dict().items()}


def _check_weights(weights: Weights, *, half: bool) -> None:
    for name, shape in _parameter_shapes().items():
        if name not in weights or weights[name].shape != shape:
            raise ExportError(f"The checkpoint has no weights named {name} of the right shape.")
        if not np.isfinite(weights[name]).all():
            raise ExportError(f"The checkpoint's weights named {name} are not finite.")
    if half and half_report(weights).largest > LARGEST_HALF:
        raise ExportError("The checkpoint has weights too large for 16 bits; export it with --single.")
