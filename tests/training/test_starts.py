"""Files to start from: torchvision's, timm's, Keras' and our own end in the same network; others are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")
pytest.importorskip("safetensors", reason="safetensors is in the train extra")

from safetensors.torch import save_file  # noqa: E402 - only where the extras are there

from aicorona_desktop.training.checkpoint import TrainingError  # noqa: E402
from aicorona_desktop.training.network import STAGES, EfficientNetB3  # noqa: E402
from aicorona_desktop.training.starts import read_start  # noqa: E402

State = dict[str, Any]


@pytest.fixture(scope="module")
def ours() -> State:
    torch.manual_seed(1)
    state = EfficientNetB3().state_dict()
    for name, values in state.items():
        if name.endswith(("running_mean", "running_var")):
            values.uniform_(0.5, 1.5)
    return state


@pytest.fixture(scope="module")
def fresh() -> State:
    torch.manual_seed(2)
    return EfficientNetB3().state_dict()


def same_but_for_the_classifier(found: State, expected: State) -> bool:
    counted = [name for name in expected if not name.startswith("classifier") and "num_batches" not in name]
    return all(torch.equal(found[name], expected[name]) for name in counted)


def of_imagenet(state: State) -> State:
    return state | {"classifier.weight": torch.zeros(1000, 1536), "classifier.bias": torch.zeros(1000)}


def test_our_own_and_timms_names_are_read_as_they_are(tmp_path: Path, ours: State, fresh: State) -> None:
    save_file(ours, tmp_path / "ours.safetensors")
    torch.save({"state_dict": of_imagenet(ours)}, tmp_path / "timm.pth")

    own, timm = (read_start(tmp_path / name, fresh) for name in ("ours.safetensors", "timm.pth"))

    assert same_but_for_the_classifier(own, ours)
    assert torch.equal(own["classifier.weight"], ours["classifier.weight"])
    assert same_but_for_the_classifier(timm, ours)
    assert torch.equal(timm["classifier.weight"], fresh["classifier.weight"])  # ImageNet's classes are not ours


def test_timms_network_has_these_names(ours: State) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    names = {name: tuple(values.shape) for name, values in timm.create_model("tf_efficientnet_b3").state_dict().items()}

    assert names.keys() == ours.keys()
    assert all(names[name] == tuple(ours[name].shape) for name in names if not name.startswith("classifier"))


def test_torchvisions_network_is_recognised(tmp_path: Path, fresh: State) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    torch.manual_seed(3)
    theirs = models.efficientnet_b3(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "b3.pth")

    state = read_start(tmp_path / "b3.pth", fresh)

    network = EfficientNetB3()
    network.load_state_dict(state)
    for module in (*network.modules(), *theirs.modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    pictures = torch.rand(2, 3, 65, 65)  # an odd size, where both pad alike
    with torch.no_grad():
        own, expected = network.eval().features(pictures), theirs.features(pictures)
    assert torch.allclose(own, expected, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("depthwise", ["depthwise_kernel", "kernel"], ids=["as published", "as Keras 3 writes"])
def test_keras_names_and_shapes_are_recognised(tmp_path: Path, ours: State, fresh: State, depthwise: str) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is in the train extra")
    with h5py.File(tmp_path / "b3.h5", "w") as file:
        root = file if depthwise == "depthwise_kernel" else file.create_group("model_weights")  # weights, whole model
        for name, values in as_keras(ours):
            root[name.replace("depthwise_kernel", depthwise)] = values

    assert same_but_for_the_classifier(read_start(tmp_path / "b3.h5", fresh), ours)


def test_without_h5py_a_keras_file_says_what_to_install(
    tmp_path: Path, fresh: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b3.h5").write_bytes(b"\x89HDF")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)

    with pytest.raises(TrainingError, match="need the package h5py"):
        read_start(tmp_path / "b3.h5", fresh)


def test_a_file_whose_name_and_content_disagree_is_refused(tmp_path: Path, ours: State, fresh: State) -> None:
    torch.save(of_imagenet(ours), tmp_path / "b3.pth")
    content = (tmp_path / "b3.pth").read_bytes()
    right = f"b3-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (tmp_path / right).write_bytes(content)
    (tmp_path / "b3-b3899882.pth").write_bytes(content)

    assert same_but_for_the_classifier(read_start(tmp_path / right, fresh), ours)
    with pytest.raises(TrainingError, match="damaged"):
        read_start(tmp_path / "b3-b3899882.pth", fresh)
    (tmp_path / "efficientnetb3_notop.h5").write_bytes(content)
    with pytest.raises(TrainingError, match="not the one that Keras publishes"):
        read_start(tmp_path / "efficientnetb3_notop.h5", fresh)


def test_another_network_is_refused_by_name_or_shape(tmp_path: Path, ours: State, fresh: State) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    save_file(ours | {"conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "narrow.safetensors")
    (tmp_path / "broken.pth").write_bytes(b"nothing")

    for name, said in (
        ("other.safetensors", "conv_stem.weight is missing"),
        ("narrow.safetensors", "another shape"),
        ("broken.pth", "can't be read"),
        ("absent.pth", "can't be read"),
    ):
        with pytest.raises(TrainingError, match=said):
            read_start(tmp_path / name, fresh)


def as_keras(state: State) -> Any:
    """Our weights under Keras' names, each array laid out as Keras has it."""
    kinds = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    tops = {"conv_stem": "stem_conv", "bn1": "stem_bn", "conv_head": "top_conv", "bn2": "top_bn"}
    for name, values in state.items():
        *place, kind = name.split(".")
        if kind == "num_batches_tracked" or place[0] == "classifier":
            continue
        layer = tops.get(place[0]) or keras_layer(int(place[1]), int(place[2]), ".".join(place[3:]))
        array = values.numpy()
        if array.ndim == 4:
            by_channel = layer.endswith("dwconv")
            yield (
                f"{layer}/{layer}/{'depthwise_kernel' if by_channel else 'kernel'}:0",
                array.transpose((2, 3, 0, 1) if by_channel else (2, 3, 1, 0)),
            )
        else:
            yield f"{layer}/{layer}/{'bias' if '_se_' in layer else kinds[kind]}:0", array


def keras_layer(stage: int, block: int, part: str) -> str:
    expands = STAGES[stage].expansion != 1
    parts = {
        "conv_dw": "dwconv",
        "se.conv_reduce": "se_reduce",
        "se.conv_expand": "se_expand",
        **(
            {"conv_pw": "expand_conv", "bn1": "expand_bn", "bn2": "bn", "conv_pwl": "project_conv", "bn3": "project_bn"}
            if expands
            else {"bn1": "bn", "conv_pw": "project_conv", "bn2": "project_bn"}
        ),
    }
    return f"block{stage + 1}{'abcdefg'[block]}_{parts[part]}"
