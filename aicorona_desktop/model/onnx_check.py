"""What a pack's ONNX file may hold, checked on its bytes before any runtime sees it.

The runtime has opened files that a model names, run operators of foreign libraries and trusted sizes that
a model states (reliability.md 7). This reader is small and bounded: it knows the five protobuf messages
that our graph needs, goes no deeper, and refuses every field, operator and type that `training.export`
doesn't write. The onnx package isn't shipped, so nothing here needs it.

Source: onnx.proto3 of ONNX 1.12 (IR 8, opset 17); protobuf's wire format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Final

from aicorona_desktop.core.errors import AicoronaError

LARGEST_MODEL_BYTES: Final = 64 * 2**20
OLDEST_IR, NEWEST_IR = 7, 8
OPSET: Final = 17
FEATURE_LENGTH: Final = 1536
CLASS_COUNT: Final = 3
MOST_PARTS: Final = 4096  # nodes, tensors or attributes in one message; our graph has about 700 nodes
MOST_DIMS: Final = 8
LARGEST_NAME_BYTES: Final = 4096
OPERATORS: Final = frozenset(
    {"Add", "Cast", "Concat", "ConstantOfShape", "Conv", "Flatten", "GlobalAveragePool", "Mul", "Shape", "Sigmoid"}
)
INPUTS: Final = {"slices": (None, 1, None, None)}
OUTPUTS: Final = {"cam": (None, CLASS_COUNT, None, None), "features": (None, FEATURE_LENGTH)}

FLOAT, INT64, FLOAT16 = 1, 7, 10  # TensorProto.DataType
_ITEM_BYTES = {FLOAT: 4, INT64: 8, FLOAT16: 2}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; groups (3, 4) are long dead

# Field number -> name, for the fields that may stand in each message. What isn't here is refused by name below.
_MODEL = {1: "ir", 2: "producer", 3: "producer version", 5: "version", 6: "doc", 7: "graph", 8: "opset", 14: "metadata"}
_OPSET = {1: "domain", 2: "version"}
_GRAPH = {1: "node", 2: "name", 5: "tensor", 10: "doc", 11: "input", 12: "output"}
_NODE = {1: "input", 2: "output", 3: "name", 4: "operator", 5: "attribute", 6: "doc", 7: "domain"}
_ATTRIBUTE = {1: "name", 2: "float", 3: "int", 4: "text", 5: "tensor", 7: "floats", 8: "ints", 20: "type"}
_TENSOR = {1: "dims", 2: "type", 8: "name", 9: "raw"}
_VALUE = {1: "name", 2: "type"}
_TYPE = {1: "tensor"}
_TENSOR_TYPE = {1: "item", 2: "shape"}
_SHAPE = {1: "dim"}
_DIM = {1: "value", 2: "name"}
_FORBIDDEN = {
    ("model", 20): "training steps",
    ("model", 25): "functions of its own",
    ("graph", 15): "sparse tensors",
    ("attribute", 6): "a graph inside a node",
    ("attribute", 11): "graphs inside a node",
    ("attribute", 21): "references to function attributes",
    ("tensor", 13): "tensors kept in another file",
    ("tensor", 14): "tensors kept in another file",
}

Value = int | memoryview
Message = dict[str, list[Value]]


class PackError(AicoronaError):
    """A model pack can't be used; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the check saw: for logs, benchmarks and tests."""

    ir_version: int
    opset: int
    operators: Mapping[str, int]  # how often each operator stands in the file, before any optimisation
    weight_bytes: int


def check_model(model: bytes) -> ModelFacts:
    """Check the bytes of a `model.onnx` and return what is in it.

    Raises:
        PackError: it is too large, damaged, of another version, or holds something that isn't allowed.

    Source: reliability.md 7, "ONNX checks before load".
    """
    if len(model) > LARGEST_MODEL_BYTES:
        raise PackError(f"The model file is larger than {LARGEST_MODEL_BYTES // 2**20} MiB.")
    fields = _message(memoryview(model), _MODEL, "model")
    ir_version = _integer(fields, "ir")
    if not OLDEST_IR <= ir_version <= NEWEST_IR:
        raise PackError(f"The model file has ONNX IR version {ir_version}; {OLDEST_IR} to {NEWEST_IR} are known.")
    _check_opsets(fields)
    graph = _message(_only(fields, "graph"), _GRAPH, "graph")
    operators = Counter(_check_node(_view(node)) for node in graph.get("node", []))
    weight_bytes = sum(_check_tensor(_view(tensor)) for tensor in graph.get("tensor", []))
    _check_ends(graph, "input", INPUTS)
    _check_ends(graph, "output", OUTPUTS)
    return ModelFacts(ir_version, OPSET, dict(sorted(operators.items())), weight_bytes)


def _check_opsets(fields: Message) -> None:
    opsets = [_message(_view(opset), _OPSET, "opset") for opset in fields.get("opset", [])]
    if len(opsets) != 1 or _text(opsets[0], "domain") != "":
        raise PackError("The model file needs operators that are not part of standard ONNX.")
    version = _integer(opsets[0], "version")
    if version != OPSET:
        raise PackError(f"The model file uses ONNX opset {version}; only {OPSET} is known.")


def _check_node(node: memoryview) -> str:
    fields = _message(node, _NODE, "node")
    operator = _text(fields, "operator")
    if _text(fields, "domain") not in ("", "ai.onnx") or operator not in OPERATORS:
        raise PackError(f"The model file uses an operator that is not allowed ({printable(operator)}).")
    for attribute in fields.get("attribute", []):
        parts = _message(_view(attribute), _ATTRIBUTE, "attribute")
        for tensor in parts.get("tensor", []):
            _check_tensor(_view(tensor))
    return operator


def _check_tensor(tensor: memoryview) -> int:
    """Return the bytes of a tensor, which must be exactly those that its shape and type need."""
    fields = _message(tensor, _TENSOR, "tensor")
    kind = _integer(fields, "type")
    if kind not in _ITEM_BYTES:
        raise PackError("The model file has a tensor of an unexpected type.")
    dims = tuple(islice(_integers(fields.get("dims", [])), MOST_DIMS + 1))
    if len(dims) > MOST_DIMS:
        raise PackError("The model file has a tensor of too many dimensions.")
    expected = _ITEM_BYTES[kind] * prod(dims)
    raw = _view(fields["raw"][0]) if fields.get("raw") else memoryview(b"")
    if len(fields.get("raw", [])) > 1 or len(raw) != expected:
        raise PackError("The model file has a tensor whose size is not that of its data.")
    return expected


def _check_ends(graph: Message, side: str, expected: Mapping[str, tuple[int | None, ...]]) -> None:
    found = dict(_end(_view(value)) for value in graph.get(side, []))
    if len(graph.get(side, [])) != len(expected) or found != dict(expected):
        names = ", ".join(sorted(expected))
        raise PackError(f"The model file's {side} is not what the program expects ({names}).")


def _end(value: memoryview) -> tuple[str, tuple[int | None, ...]]:
    """Return name and shape of an input or output of float32; None stands for a size that is open."""
    fields = _message(value, _VALUE, "value")
    kind = _message(_only(fields, "type"), _TYPE, "type")
    tensor = _message(_only(kind, "tensor"), _TENSOR_TYPE, "tensor type")
    if _integer(tensor, "item") != FLOAT:
        raise PackError("The model file's input or output is not of 32-bit floating point.")
    shape = _message(_only(tensor, "shape"), _SHAPE, "shape")
    dims = [_message(_view(dim), _DIM, "dim") for dim in shape.get("dim", [])]
    return _text(fields, "name"), tuple(_integer(dim, "value") if "value" in dim else None for dim in dims)


def _message(payload: memoryview, known: Mapping[int, str], kind: str) -> Message:
    """Return the fields of one message by name, each with all its values; unknown fields are refused."""
    fields: Message = {}
    for number, value in _fields(payload):
        if number not in known:
            what = _FORBIDDEN.get((kind, number), f"an unknown field ({kind} {number})")
            raise PackError(f"The model file holds {what}, which is not allowed.")
        values = fields.setdefault(known[number], [])
        values.append(value)
        if len(values) > MOST_PARTS:
            raise PackError("The model file has too many parts.")
    return fields


def _fields(payload: memoryview) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(payload):
        key, at = _varint(payload, at)
        take = _TAKE.get(key & 7)
        if take is None or key >> 3 == 0:
            raise PackError("The model file is damaged: a field has an unknown form.")
        value, at = take(payload, at)
        yield key >> 3, value


def _varint(payload: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(payload):
            raise PackError("The model file is damaged: it ends in the middle of a number.")
        byte = payload[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise PackError("The model file is damaged: a number is too long.")


def _take_bytes(payload: memoryview, at: int) -> tuple[memoryview, int]:
    size, at = _varint(payload, at)
    return _take(payload, at, size)


def _take(payload: memoryview, at: int, size: int) -> tuple[memoryview, int]:
    if size > len(payload) - at:
        raise PackError("The model file is damaged: a part is longer than the file.")
    return payload[at : at + size], at + size


_TAKE: dict[int, Callable[[memoryview, int], tuple[Value, int]]] = {
    _VARINT: _varint,
    _FIXED64: lambda payload, at: _take(payload, at, 8),
    _BYTES: _take_bytes,
    _FIXED32: lambda payload, at: _take(payload, at, 4),
}


def _integers(values: list[Value]) -> Iterator[int]:
    """Read a repeated integer, packed or not."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield number


def _integer(fields: Message, name: str) -> int:
    values = fields.get(name, [])
    value = values[-1] if values else 0
    if not isinstance(value, int):
        raise PackError(f"The model file is damaged: {name} is not a number.")
    return value


def _view(value: Value) -> memoryview:
    if isinstance(value, int):
        raise PackError("The model file is damaged: a number stands where a part should.")
    return value


def _only(fields: Message, name: str) -> memoryview:
    values = fields.get(name, [])
    if len(values) != 1:
        raise PackError(f"The model file is damaged: it has {len(values)} parts named {name}, not one.")
    return _view(values[0])


def _text(fields: Message, name: str) -> str:
    values = fields.get(name, [])
    text = bytes(_view(values[-1])) if values else b""
    if len(text) > LARGEST_NAME_BYTES:
        raise PackError(f"The model file is damaged: {name} is too long.")
    return text.decode("utf-8", "replace")


def printable(text: str) -> str:
    """Return the start of a text that a pack brought, fit for a message."""
    return "".join(character if character.isprintable() else "?" for character in text[:40])
