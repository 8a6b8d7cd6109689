"""A pack around a toy network of a few kilobytes, for tests of everything but the real weights.

The toy's answers are simple: cam is a 1x1 convolution of 32x32 means. It can be told to answer with NaN, or to
fail, for slices whose mean is above a limit.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.model.pack import FeatureStatistics, KnownAnswer, OperatingPoint, Pack, Tolerance
from aicorona_desktop.model.preprocess import prepare
from aicorona_desktop.model.score import contribution_of

SIDE = 64
FEATURES = 1536
BRIGHT = 200.0  # the mean from which a toy of another temper turns bad
HEAD = np.array([0.02, -0.01, 0.015], np.float32)


def tiny_pack(
    folder: Path,
    *,
    temper: str = "good",
    operating_point: OperatingPoint | None = None,
    statistics: FeatureStatistics | None = None,
    temperature: float = 1.0,
) -> Pack:
    """Write the toy's model.onnx into a folder and return a pack around it."""
    content = toy(temper)
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    pack = Pack(
        folder=folder,
        name="tiny",
        version="1",
        made=date(2026, 1, 1),
        sha256=hashlib.sha256(b"tiny" + content).hexdigest(),
        status="untrained",
        architecture="toy",
        input_size=SIDE,
        map_size=SIDE // 32,
        classes=CLASSES,
        bias=(0.1, 0.2, -0.3),
        slice_rule="middle(0.5)",
        preparation="window-1",
        temperature=temperature,
        operating_point=operating_point,
        tolerances={"default": Tolerance(0.9999, 1e-2)},
        known_slice=chest(0),
        known_answer=KnownAnswer((0.0, 0.0, 0.0), np.zeros((3, 2, 2), np.float32), np.zeros(FEATURES, np.float32)),
        statistics=statistics,
        training_data=(),
        measured=(),
        licences=(),
        notes=(),
        model_sha256=hashlib.sha256(content).hexdigest(),
        model_size_bytes=len(content),
    )
    return replace(pack, known_answer=answer_of(pack))


def answer_of(pack: Pack) -> KnownAnswer:
    """Return what the model gives in this process for the known slice."""
    session = onnxruntime.InferenceSession(pack.model_bytes(), providers=["CPUExecutionProvider"])
    prepared = prepare(pack.known_slice, pack.preparation, pack.input_size)
    cam, features = session.run(["cam", "features"], {"slices": prepared[None]})
    return KnownAnswer(contribution_of(cam[0]), cam[0], features[0])


def chest(number: int, side: int = 128) -> np.ndarray:
    """Return an int16 slice of numbers: a bright round body with two dark holes, different for every number."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:side, :side] / side - 0.5
    body = x**2 + y**2 < 0.16
    lungs = (np.abs(x) - 0.18) ** 2 + y**2 < 0.012 + 0.0005 * (number % 10)
    hounsfield = np.where(body, 40, -1000) + np.where(lungs, -850, 0) + rng.normal(0, 15, (side, side))
    return hounsfield.astype(np.int16)


def bright(number: int = 0, side: int = 128) -> np.ndarray:
    """Return a slice that is bright nearly everywhere."""
    hounsfield = np.full((side, side), 100, np.int16)
    hounsfield[: side // 16] = -1000 + number
    return hounsfield


def toy(temper: str) -> bytes:
    """Return the toy network as ONNX; `temper` is good, nan or failing."""
    rng = np.random.default_rng(7)
    tensors = {
        "head": HEAD.reshape(3, 1, 1, 1),
        "spread": rng.normal(size=(FEATURES, 1, 1, 1)).astype(np.float32),
        "limit": np.array(BRIGHT, np.float32),
        "nothing": np.array(0, np.float32),
        "row": np.arange(1, dtype=np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["slices"], ["blocks"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Conv", ["blocks", "head"], ["plain"]),
        helper.make_node("Conv", ["blocks", "spread"], ["wide"]),
        helper.make_node("GlobalAveragePool", ["wide"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        *_tempered(temper),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("slices", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["n", 3, "ch", "cw"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", FEATURES]),
        ],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _tempered(temper: str) -> list[onnx.NodeProto]:
    if temper == "good":
        return [helper.make_node("Identity", ["plain"], ["cam"])]
    mean = [
        helper.make_node("ReduceMean", ["slices"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["limit", "mean"], ["left"]),
    ]
    if temper == "nan":
        return [
            *mean,
            helper.make_node("Sqrt", ["left"], ["root"]),  # of a negative number: NaN
            helper.make_node("Mul", ["root", "nothing"], ["harmless"]),
            helper.make_node("Add", ["plain", "harmless"], ["cam"]),
        ]
    return [
        *mean,
        helper.make_node("Less", ["left", "nothing"], ["is bright"]),
        helper.make_node("Cast", ["is bright"], ["outside"], to=TensorProto.INT64),
        helper.make_node("Gather", ["row", "outside"], ["zero"]),  # one past the end where it is bright
        helper.make_node("Cast", ["zero"], ["harmless"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["plain", "harmless"], ["cam"]),
    ]
