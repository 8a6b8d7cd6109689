"""The check of ONNX files before a runtime sees them: what isn't expected is refused, whatever the bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicorona_desktop.model.onnx_check import LARGEST_MODEL_BYTES, OPERATORS, PackError, check_model
from aicorona_desktop.model.pack import default_pack

onnx = pytest.importorskip("onnx", reason="variants of a model are made with onnx, which is in the dev extra")

SHIPPED = default_pack().folder / "model.onnx"


def small_model() -> onnx.ModelProto:
    """A graph of the right ends: a hundredth of a kilobyte of weights instead of 20 MB."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    head = onnx.numpy_helper.from_array(np.zeros((3, 1, 1, 1), np.float32), "head")
    wide = onnx.numpy_helper.from_array(np.zeros((1536, 1, 1, 1), np.float16), "wide")
    nodes = [
        helper.make_node("Conv", ["slices", "head"], ["cam"], kernel_shape=[1, 1]),
        helper.make_node("Cast", ["wide"], ["single"], to=kind),
        helper.make_node("Conv", ["slices", "single"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("slices", kind, ["n", 1, "h", "w"])],
        [
            helper.make_tensor_value_info("cam", kind, ["n", 3, "a", "b"]),
            helper.make_tensor_value_info("features", kind, ["n", 1536]),
        ],
        [head, wide],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def test_the_shipped_model_passes_and_holds_only_the_operators_that_export_writes():
    facts = check_model(SHIPPED.read_bytes())

    assert (facts.ir_version, facts.opset) == (8, 17)
    assert set(facts.operators) == OPERATORS
    assert (facts.operators["Conv"], facts.operators["Sigmoid"]) == (131, 104)
    assert 21e6 < facts.weight_bytes < 22e6


def test_a_small_model_of_the_right_ends_passes():
    assert check_model(small_model().SerializeToString()).operators["Conv"] == 2


def external(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")


def external_weights(model: onnx.ModelProto) -> None:
    external(model.graph.initializer[0])


def external_attribute(model: onnx.ModelProto) -> None:
    attribute = model.graph.node[0].attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(model.graph.initializer[0])
    external(attribute.t)


def other_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Loop"


def other_domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"


def second_opset(model: onnx.ModelProto) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))


def foreign_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].domain = "ai.onnx.ml"


def newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 18


def newer_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 9


def own_function(model: onnx.ModelProto) -> None:
    model.functions.add(name="Conv")


def training_steps(model: onnx.ModelProto) -> None:
    model.training_info.add()


def inner_graph(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.name = "inner"


def sparse_tensor(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def other_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "images"


def three_channels(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


def fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


def half_output(model: onnx.ModelProto) -> None:
    model.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


def short_features(model: onnx.ModelProto) -> None:
    model.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 1280


def third_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def no_output(model: onnx.ModelProto) -> None:
    model.graph.ClearField("output")


def no_graph(model: onnx.ModelProto) -> None:
    model.ClearField("graph")


def huge_tensor(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 2**40


def many_dimensions(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims.extend([1] * 20 + [2**40])


def text_tensor(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = onnx.TensorProto.STRING


def unpacked_tensor(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].float_data.extend([0, 0, 0])


def too_many_nodes(model: onnx.ModelProto) -> None:
    for _ in range(5000):
        model.graph.node.add(op_type="Add")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (external_weights, "kept in another file"),
        (external_attribute, "kept in another file"),
        (other_operator, r"operator that is not allowed \(Loop\)"),
        (other_domain, "operator that is not allowed"),
        (second_opset, "not part of standard ONNX"),
        (foreign_opset, "not part of standard ONNX"),
        (newer_opset, "opset 18; only 17"),
        (newer_ir, "IR version 9"),
        (own_function, "functions of its own"),
        (training_steps, "training steps"),
        (inner_graph, "graph inside a node"),
        (sparse_tensor, "sparse tensors"),
        (other_input, "input is not what the program expects"),
        (three_channels, "input is not what the program expects"),
        (fixed_batch, "input is not what the program expects"),
        (half_output, "32-bit floating point"),
        (short_features, "output is not what the program expects"),
        (third_output, "output is not what the program expects"),
        (no_output, "output is not what the program expects"),
        (no_graph, "0 parts named graph"),
        (huge_tensor, "size is not that of its data"),
        (many_dimensions, "too many dimensions"),
        (text_tensor, "unexpected type"),
        (unpacked_tensor, "unknown field"),
        (too_many_nodes, "too many parts"),
    ],
)
def test_what_a_model_may_not_hold_is_refused_by_name(change: Callable[[onnx.ModelProto], None], sentence: str):
    model = small_model()
    change(model)

    with pytest.raises(PackError, match=sentence):
        check_model(model.SerializeToString())


def test_a_second_graph_behind_the_first_is_refused():
    content = small_model().SerializeToString()

    with pytest.raises(PackError, match="2 parts named graph"):
        check_model(content + onnx.ModelProto(graph=small_model().graph).SerializeToString())


def test_a_file_over_the_limit_is_refused_unread():
    with pytest.raises(PackError, match="larger than 64 MiB"):
        check_model(bytes(LARGEST_MODEL_BYTES + 1))


def part(number: int, content: bytes) -> bytes:
    """A field of bytes as protobuf writes it, of less than 16 kB."""
    return bytes([number << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7]) + content


IR, OPSET = b"\x08\x08", part(8, b"\x10\x11")


def tensor_of_two_by_three(raw: bytes) -> bytes:
    """A tensor with its dimensions packed into one field, which is as good protobuf as one field each."""
    return IR + OPSET + part(7, part(5, part(1, b"\x02\x03") + b"\x10\x01" + part(9, raw)))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (part(1, b"8"), "ir is not a number"),
        (IR + OPSET + b"\x38\x01", "a number stands where a part should"),
        (IR + OPSET, "0 parts named graph"),
        (IR + part(8, part(1, b"x" * 5000) + b"\x10\x11"), "domain is too long"),
        (tensor_of_two_by_three(bytes(4 * 6 - 1)), "size is not that of its data"),
        (tensor_of_two_by_three(bytes(4 * 6)), "input is not what the program expects"),
    ],
    ids=["text for number", "number for part", "no graph", "long name", "packed and short", "packed and whole"],
)
def test_what_no_writer_writes_is_refused_with_the_reason(content: bytes, sentence: str):
    with pytest.raises(PackError, match=sentence):
        check_model(content)


def test_a_model_cut_anywhere_is_refused():
    content = small_model().SerializeToString()

    for size in range(len(content)):
        with pytest.raises(PackError):
            check_model(content[:size])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_without_another_error(content: bytes):
    with pytest.raises(PackError):
        check_model(content)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_model_with_changed_bytes_is_refused_or_passes_but_never_breaks_the_check(data: st.DataObject):
    content = bytearray(small_model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    try:
        facts = check_model(bytes(content))
    except PackError:
        return
    assert set(facts.operators) <= OPERATORS
