"""From a network to a pack: it is EfficientNet-B3, the graph is that network, and a pack is the same each time."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")
onnx = pytest.importorskip("onnx", reason="onnx is in the train extra")
pytest.importorskip("safetensors", reason="safetensors is in the train extra")

import onnxruntime  # noqa: E402 - only where the extras are there
from safetensors.torch import save_file  # noqa: E402

from aicorona_desktop.model.client import Scorer  # noqa: E402
from aicorona_desktop.model.onnx_check import OPERATORS, PackError  # noqa: E402
from aicorona_desktop.model.pack import load_pack  # noqa: E402
from aicorona_desktop.model.preprocess import prepare  # noqa: E402
from aicorona_desktop.model.providers import ProofRecord  # noqa: E402
from aicorona_desktop.training import export  # noqa: E402
from aicorona_desktop.training.__main__ import main  # noqa: E402
from aicorona_desktop.training.config import Data  # noqa: E402
from aicorona_desktop.training.evaluating import Exported, Subject  # noqa: E402
from aicorona_desktop.training.graph import NORMALISATIONS, ExportError, build_graph, half_report  # noqa: E402
from aicorona_desktop.training.measuring import normalised  # noqa: E402
from aicorona_desktop.training.network import EfficientNetB3, block_plans, same_padding  # noqa: E402
from aicorona_desktop.training.release import compared  # noqa: E402
from tests.training.made_up import hounsfield, record, store_of  # noqa: E402

torch.set_num_threads(1)  # many small layers: on a machine that is busy a second thread costs more than it gives
SIZE = 96
IMAGENET = NORMALISATIONS["imagenet"]
RECIPE = export.Recipe(
    name="random",
    version="0.1",
    made=date(2026, 11, 23),
    preparation="paper-1",
    input_size=SIZE,
    normalisation="imagenet",
    status="untrained",
)

LABELLED = ((4, "normal"), (5, "cp"), (6, "covid"), (7, "covid"))  # phantom slices, told apart by nobody

MONAI_STAGES = [
    "r1_k3_s11_e1_i32_o16_se0.25",
    "r2_k3_s22_e6_i16_o24_se0.25",
    "r2_k5_s22_e6_i24_o40_se0.25",
    "r3_k3_s22_e6_i40_o80_se0.25",
    "r3_k5_s11_e6_i80_o112_se0.25",
    "r4_k5_s22_e6_i112_o192_se0.25",
    "r1_k3_s11_e6_i192_o320_se0.25",
]


@pytest.fixture(scope="module")
def network() -> EfficientNetB3:
    return export.untrained_network(3, IMAGENET)


@pytest.fixture(scope="module")
def weights(network: EfficientNetB3) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in network.state_dict().items()}


def test_the_network_is_efficientnet_b3_by_its_published_size():
    parameters = sum(values.numel() for values in EfficientNetB3().parameters())

    assert parameters == 12_233_232 - 1000 * (1536 + 1) + 3 * (1536 + 1)
    assert len(list(block_plans())) == 26


def test_the_network_equals_monais_efficientnet_b3_with_the_same_weights(network: EfficientNetB3):
    nets = pytest.importorskip("monai.networks.nets", reason="monai is in the train extra")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Its own "efficientnet-b3" pads for 300 pixels; at sizes divisible by 32 SAME is the same for all.
        other = nets.EfficientNet(
            MONAI_STAGES, num_classes=3, width_coefficient=1.2, depth_coefficient=1.4, image_size=64
        ).eval()
    ours = network.state_dict()
    # Both list their parameters in the order of the forward pass: the mapping of names is that order.
    other.load_state_dict(dict(zip(other.state_dict(), ours.values(), strict=True)))
    slices = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))

    exact, other = copy.deepcopy(network).double(), other.double()  # a random net magnifies what rounding differs by
    with torch.no_grad():
        assert torch.allclose(exact(slices.double()), other(slices.double()), rtol=1e-9)
        assert network.features(slices).shape == (1, 1536, 2, 3)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (512, 3, 2, (0, 1)),
        (64, 5, 2, (1, 2)),
        (75, 3, 2, (1, 1)),
        (75, 5, 2, (2, 2)),
        (19, 5, 1, (2, 2)),
        (7, 1, 1, (0, 0)),
    ],
)
def test_padding_is_tensorflows_same(size: int, kernel: int, stride: int, padding: tuple[int, int]):
    assert same_padding(size, kernel, stride) == padding


def test_a_random_network_keeps_its_activations_in_range_and_is_the_same_for_a_seed(network: EfficientNetB3):
    again = export.untrained_network(3, IMAGENET)

    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), again.parameters(), strict=True))
    with torch.no_grad():
        features = network.features(torch.zeros(1, 3, SIZE, SIZE))
    assert torch.isfinite(features).all()
    assert 0.01 < features.std() < 100


@pytest.mark.parametrize(("constants", "half"), [("imagenet", False), ("grey", True)])
def test_the_graph_is_the_network_borders_included_whether_stored_in_16_or_32_bits(
    network: EfficientNetB3, weights: dict[str, np.ndarray], constants: str, half: bool
):
    normalisation = NORMALISATIONS[constants]
    model = export.model_bytes(weights, normalisation, SIZE, half=half)

    proof = export.prove(model, network, normalisation, export.proof_slices(SIZE, "paper-1"))

    proof.check(half=False)  # a checkpoint of 16 bits loses nothing by being stored in them
    assert proof.cam_error_border < 1e-3


def test_the_exported_file_calls_every_slice_as_pytorch_does_and_another_file_is_refused(
    network: EfficientNetB3, weights: dict[str, np.ndarray], tmp_path: Path
):
    rows = [(record(at, label, kind="hounsfield", scan="", split="tune"), hounsfield(at)) for at, label in LABELLED]
    store = store_of(tmp_path, iter(rows))
    data, units = Data("window-1", "imagenet", "all"), store.units("tune", "all")
    model = export.model_bytes(weights, IMAGENET, SIZE, half=False)
    turned = dict(weights) | {"classifier.weight": weights["classifier.weight"][::-1].copy()}
    other = export.model_bytes(turned, IMAGENET, SIZE, half=False)

    agreement, maps = compared(
        network, Subject("same", Exported(model, (0, 0, 0), SIZE, "imagenet"), data, SIZE), store, units
    )

    assert (agreement.slices, agreement.same_top_class, len(maps)) == (4, 4, 4)
    assert agreement.lowest_cosine > 0.9999
    with pytest.raises(ExportError, match="another class is the most probable"):
        compared(network, Subject("other", Exported(other, (0, 0, 0), SIZE, "imagenet"), data, SIZE), store, units)


def test_a_wrong_normalisation_or_a_wrong_padding_fails_the_proof(
    network: EfficientNetB3, weights: dict[str, np.ndarray]
):
    other_constants = export.model_bytes(weights, NORMALISATIONS["grey"], SIZE, half=False)
    other_size = export.model_bytes(weights, IMAGENET, 96, half=False)
    right_size = export.model_bytes(weights, IMAGENET, 100, half=False)
    slices = export.proof_slices(100, "paper-1")[:2]

    with pytest.raises(ExportError, match="is not the network"):
        export.prove(other_constants, network, IMAGENET, slices).check(half=False)
    with pytest.raises(ExportError, match="is not the network"):
        export.prove(other_size, network, IMAGENET, slices).check(half=False)
    export.prove(right_size, network, IMAGENET, slices).check(half=False)


def test_the_runtime_is_left_with_no_padding_no_cast_and_no_folding_to_do(
    weights: dict[str, np.ndarray], tmp_path: Path
):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3  # that such a file fits this machine only is known
    model = export.model_bytes(weights, IMAGENET, SIZE)

    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    operators = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    assert operators["Pad"] == operators["Cast"] == operators["BatchNormalization"] == 0
    assert operators["Conv"] + operators["FusedConv"] == 131
    assert operators["Mul"] + operators["QuickGelu"] + operators["Sigmoid"] <= 26 + 78


def test_the_graph_uses_what_the_check_before_loading_allows(weights: dict[str, np.ndarray]):
    model = build_graph(weights, IMAGENET, SIZE)

    assert {node.op_type for node in model.graph.node} == OPERATORS
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert model.metadata_props[0].value == "0_255"


def test_weights_too_large_for_16_bits_are_stored_in_32_or_not_at_all(weights: dict[str, np.ndarray]):
    large = dict(weights) | {"conv_head.weight": weights["conv_head.weight"] * 1e6}

    assert half_report(large).largest > 65504
    with pytest.raises(ExportError, match="too large for 16 bits"):
        build_graph(large, IMAGENET, SIZE)
    assert build_graph(large, IMAGENET, SIZE, half=False).graph.name == "efficientnet-b3"


def test_weights_that_are_missing_or_not_finite_are_named(weights: dict[str, np.ndarray]):
    broken = dict(weights) | {"bn2.bias": np.full(1536, np.nan, np.float32)}
    missing = {name: values for name, values in weights.items() if name != "bn1.bias"}

    with pytest.raises(ExportError, match=r"bn2\.bias are not finite"):
        build_graph(broken, IMAGENET, SIZE)
    with pytest.raises(ExportError, match=r"no weights named bn1\.bias"):
        build_graph(missing, IMAGENET, SIZE)


def test_two_exports_give_the_same_files_and_a_pack_that_loads(network: EfficientNetB3, tmp_path: Path):
    slices = export.proof_slices(SIZE, "paper-1")

    first = export.export_pack(tmp_path / "first", RECIPE, network, (slices, slices[:3], "made-up slices"))
    second = export.export_pack(tmp_path / "second", RECIPE, network, (slices, slices[:3], "made-up slices"))

    assert contents(first.folder) == contents(second.folder)
    assert first.status_text.startswith("untrained weights")
    assert first.map_size == 3
    assert first.statistics is not None
    assert len(first.statistics.variances) == 4
    assert "made-up slices" in first.card()
    with pytest.raises(ExportError, match="already"):
        export.export_pack(tmp_path / "first", RECIPE, network)


def test_a_pack_of_the_papers_512_pixels_runs_in_the_program_as_in_pytorch(network: EfficientNetB3, tmp_path: Path):
    prepared = prepare(hounsfield(5), "paper-1", 512)

    pack = export.export_pack(tmp_path / "packs", replace(RECIPE, input_size=512), network)
    with Scorer(load_pack(pack.folder), "cpu", 1, record=ProofRecord(tmp_path / "providers.json")) as scorer:
        scorer.submit(0, hounsfield(5))
        answer = scorer.next()

    assert answer is not None
    with torch.inference_mode():
        expected = network(normalised(torch.from_numpy(prepared[None]), "imagenet"))[0].numpy()
    assert (pack.input_size, answer[1].cam.shape) == (512, (3, 16, 16))
    assert np.allclose(np.add(answer[1].contribution, pack.bias), expected, atol=0.01 * np.ptp(expected))


def test_a_recipe_the_program_would_refuse_leaves_nothing_behind(network: EfficientNetB3, tmp_path: Path):
    with pytest.raises(PackError, match="temperature"):
        export.export_pack(tmp_path, replace(RECIPE, temperature=0.0), network)
    with pytest.raises(ExportError, match="small letters"):
        export.export_pack(tmp_path, replace(RECIPE, name="../elsewhere"), network)

    assert list(tmp_path.iterdir()) == []


def test_the_command_line_writes_a_pack_from_a_checkpoint(network: EfficientNetB3, tmp_path: Path, capsys):
    checkpoint, about = tmp_path / "weights.safetensors", tmp_path / "about.toml"
    save_file({name: values.half() for name, values in network.state_dict().items()}, checkpoint)
    about.write_text('notes = ["made for a test"]\n[[sections]]\nheading = "Use"\ntext = "None."\n')
    arguments = ["--out", tmp_path / "out", "--name", "mine", "--version", "1", "--input-size", SIZE]
    arguments += ["--preparation", "window-1", "--normalisation", "grey", "--about", about, "--made", "2026-11-23"]

    status = main(["export", "--weights", str(checkpoint), *map(str, arguments)])

    assert status == 0
    pack = load_pack(tmp_path / "out" / "mine-1")
    assert pack.sha256 in capsys.readouterr().out
    assert pack.notes == ("made for a test",)
    assert "## Use\n\nNone." in pack.card()


def test_the_command_line_says_in_a_sentence_what_is_wrong(tmp_path: Path, capsys):
    checkpoint = tmp_path / "weights.safetensors"
    checkpoint.write_bytes(b"no weights")
    arguments = ["--out", tmp_path, "--name", "mine", "--version", "1", "--input-size", SIZE]
    arguments += ["--preparation", "window-1", "--normalisation", "grey", "--weights", checkpoint]

    assert main(["export", *map(str, arguments)]) == 2
    assert capsys.readouterr().err.startswith("The checkpoint can't be read")


def test_the_same_weights_give_the_same_model_byte_by_byte(shared: Path):
    start = shared / "model_start" / "b3_research_fp16.safetensors"
    networks = [export.load_network(start) for _ in range(2)]
    weights = [{name: values.numpy() for name, values in one.state_dict().items()} for one in networks]

    models = [export.model_bytes(one, NORMALISATIONS["grey"], 256) for one in weights]

    assert models[0] == models[1]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}
