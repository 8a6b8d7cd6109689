"""What a network is worth: the figures that a known network must give, in the table and in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")
pytest.importorskip("onnx", reason="onnx is in the train extra")
pytest.importorskip("sklearn", reason="scikit-learn is in the evaluate extra")

from aicorona_desktop.model.providers import cosine  # noqa: E402 - only where the extras are there
from aicorona_desktop.training import export  # noqa: E402 - only where the extras are there
from aicorona_desktop.training.checkpoint import TrainingError  # noqa: E402
from aicorona_desktop.training.config import Data  # noqa: E402
from aicorona_desktop.training.evaluating import (  # noqa: E402
    Exported,
    Single,
    Subject,
    evaluate,
    plain,
    read_run,
    table,
    write_evaluation,
)
from aicorona_desktop.training.graph import NORMALISATIONS  # noqa: E402
from aicorona_desktop.training.measuring import answers_of  # noqa: E402
from aicorona_desktop.training.store import Store  # noqa: E402
from tests.training.made_up import hounsfield, record, slices_of_scans, store_of  # noqa: E402

torch.set_num_threads(1)
DATA = Data(preparation="window-1", normalisation="grey", slice_rule="all")


class ByRoughness(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Tells the made-up classes by the width of their stripes; in training mode it is wrong on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = torch.nn.Linear(3, 3)
        self.classifier.weight.data = torch.tensor([[40.0, 0, 0], [0, 40.0, 0], [0, 0, 40.0]])
        self.classifier.bias.data.zero_()

    def features(self, x: Any) -> Any:
        edges = x.float().diff(dim=2).abs().mean((1, 2, 3))
        levels = torch.tensor([0.0, 0.2, 0.4] if self.training else [1.64, 0.69, 0.40])
        near = -(edges[:, None] - levels).abs()
        return near[:, :, None, None]

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x)[:, :, 0, 0])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    labels = ("normal", "cp", "covid") * 4
    return store_of(tmp_path / "store", slices_of_scans(labels[:3]), slices_of_scans(labels, split="tune"))


def test_a_network_that_knows_the_classes_has_areas_of_one_and_a_diagonal_confusion(store: Store) -> None:
    found = evaluate(Subject("known", Single(ByRoughness().train()), DATA, 48), store, rounds=50)

    assert found.pairs is not None
    assert found.pairs.mean.value == 1
    assert {one.question.source for one in found.pairs.answers} == {"source-0", "source-1"}
    assert found.strict is None  # none of the project's own sources is here
    assert found.pooled is not None
    assert found.pooled.confusion == ((4, 0, 0), (0, 4, 0), (0, 0, 4))
    assert found.pooled.accuracy == found.pooled.macro_auc == 1
    assert found.source is not None
    assert found.source.chance == 0.5
    assert found.temperature_level == "scans"
    assert (found.units, found.scans, found.slices, found.subjects) == (12, 12, 24, 12)


def test_scans_are_listed_by_their_line_in_the_manifest_and_never_by_their_name(store: Store) -> None:
    found = evaluate(Subject("known", Single(ByRoughness()), DATA, 48), store, rounds=20)

    text = table(found) + json.dumps(plain(found))
    assert {scan.split for scan in found.whole_scans} == {"tune", "train"}
    assert "tune-3" not in text
    assert "line 5 source-1 (tune, picture, 2 slices) normal" in text


def test_the_window_and_the_way_of_the_pictures_are_measured_on_scans_in_hounsfield_units(tmp_path: Path) -> None:
    slices = [hounsfield(at) for at in (4, 6)]
    pictures = [np.clip((one.astype(float) + 1350) / 1500 * 255, 0, 255).round().astype(np.uint8) for one in slices]
    name = {"subject": "one", "split": "tune"}
    rows: list[Any] = [
        (record(0, "covid", kind="hounsfield", scan="a", position=at, **name), one) for at, one in enumerate(slices)
    ]
    rows += [(record(1, "covid", scan="b", position=at, **name), one) for at, one in enumerate(pictures)]

    found = evaluate(Subject("known", Single(ByRoughness()), DATA, 48), store_of(tmp_path, iter(rows)), rounds=20)

    assert 0 <= 10 * found.robustness.parity < found.robustness.windows
    assert found.robustness_scans == 2
    assert found.pairs is None
    assert "no source has rows of two kinds" in table(found)


def test_an_evaluation_is_written_as_json_without_what_is_undefined(store: Store, tmp_path: Path) -> None:
    found = evaluate(Subject("known", Single(ByRoughness()), DATA, 48), store, rounds=20)

    write_evaluation(tmp_path / "out", found)

    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert values["robustness"]["windows"] is None
    assert values["pooled"]["confusion"] == [[4, 0, 0], [0, 4, 0], [0, 0, 4]]
    assert "which flatters" in (tmp_path / "out" / "evaluation.txt").read_text()


def test_the_exported_file_stands_in_for_its_network_with_bias_and_temperature(store: Store) -> None:
    network = export.untrained_network(2, NORMALISATIONS["grey"])
    network.classifier.bias.data = torch.tensor([0.1, -0.2, 0.3])
    weights = {name: values.numpy() for name, values in network.state_dict().items()}
    model = export.model_bytes(weights, NORMALISATIONS["grey"], 64, half=False)
    units = store.units("tune", "all")[:2]

    exported = answers_of(Exported(model, (0.1, -0.2, 0.3), 64, "grey", 2.0), store, units, DATA, 64)

    expected = answers_of(Single(network), store, units, DATA, 64)
    assert np.allclose(exported.logits, expected.logits / 2, rtol=1e-3, atol=1e-3)
    assert all(cosine(*pair) > 0.9999 for pair in zip(exported.features, expected.features, strict=True))


def test_an_empty_split_and_an_unfinished_run_are_said_in_a_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no slices in the split 'test'"):
        evaluate(Subject("known", Single(ByRoughness()), DATA, 48), store, split="test")
    with pytest.raises(TrainingError, match="it is not finished"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(TrainingError, match="can't be read"):
        read_run(tmp_path)
