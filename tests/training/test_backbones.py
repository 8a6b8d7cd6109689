"""The paper's other backbones: their feature lengths, and files to start from."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")
pytest.importorskip("timm", reason="timm is in the compare extra")

from safetensors.torch import save_file  # noqa: E402 - only where the extra is there

from aicorona_desktop.training.backbones import BACKBONES, Backbone, backbone, parameters_of  # noqa: E402
from aicorona_desktop.training.checkpoint import TrainingError  # noqa: E402
from aicorona_desktop.training.network import EfficientNetB3  # noqa: E402

# Paper-spec 3.2: what the text says of each family, and the one that gives 1536.
LENGTHS = {
    "efficientnet-b0": 1280,
    "efficientnet-b1": 1280,
    "efficientnet-b2": 1408,
    "efficientnet-b3": 1536,
    "efficientnet-b4": 1792,
    "efficientnet-b5": 2048,
    "xception": 2048,
    "densenet-121": 1024,
    "densenet-169": 1664,
    "densenet-201": 1920,
    "resnet-50": 2048,
    "resnet-101": 2048,
    "resnet-152": 2048,
}


@pytest.mark.parametrize("name", list(BACKBONES))
def test_the_features_are_as_long_as_the_paper_needs_them(name: str):
    with torch.device("meta"):  # shapes without arithmetic
        network = Backbone(name).eval()
        last = network.features(torch.zeros(2, 3, 96, 64))

    assert last.shape == (2, LENGTHS[name], 3, 2)
    assert network.classifier.in_features == LENGTHS[name]


def test_only_the_papers_b3_has_features_of_1536():
    assert [name for name, length in LENGTHS.items() if length == 1536] == ["efficientnet-b3"]
    assert LENGTHS.keys() == BACKBONES.keys()


def test_timms_b3_has_as_many_parameters_as_the_products():
    with torch.device("meta"):
        assert parameters_of(Backbone("efficientnet-b3")) == parameters_of(EfficientNetB3())


def test_weights_come_from_a_file_or_from_the_seed(tmp_path: Path):
    first, again = backbone("efficientnet-b0", 4), backbone("efficientnet-b0", 4)
    file = tmp_path / "weights.safetensors"
    save_file({name: values + 1 for name, values in first.body.state_dict().items()}, file)

    started = backbone("efficientnet-b0", 9, file)

    assert torch.equal(first.body.conv_stem.weight, again.body.conv_stem.weight)
    assert torch.equal(started.body.conv_stem.weight, first.body.conv_stem.weight + 1)


def test_a_file_of_another_network_and_an_unknown_name_are_refused(tmp_path: Path):
    file = tmp_path / "weights.safetensors"
    save_file({"conv_stem.weight": torch.zeros(3)}, file)

    with pytest.raises(TrainingError, match=r"not the efficientnet-b0 of timm: conv_stem\.weight"):
        backbone("efficientnet-b0", 0, file)
    with pytest.raises(TrainingError, match="no backbone 'vgg-16'"):
        backbone("vgg-16", 0)
    file.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="can't be read"):
        backbone("efficientnet-b0", 0, file)
