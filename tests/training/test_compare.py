"""The comparison: each backbone and rule once, resumable, a table of it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")
pytest.importorskip("timm", reason="timm is in the compare extra")

from aicorona_desktop.training.checkpoint import TrainingError  # noqa: E402 - only where the extra is there
from aicorona_desktop.training.compare import SLICE_RULES, cell_config, compare, table_text  # noqa: E402
from aicorona_desktop.training.config import Config, ConfigError, Data, Stage, Start, check  # noqa: E402
from aicorona_desktop.training.store import Store  # noqa: E402
from tests.training.made_up import slices_of_scans, store_of  # noqa: E402

torch.set_num_threads(1)
CONFIG = Config(
    name="small",
    data=Data(preparation="window-1", normalisation="grey", slice_rule="all"),
    stages=(Stage(name="only", steps=1, epochs=0, size=32, batch=3),),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    labels = ("normal", "cp", "covid") * 2
    return store_of(tmp_path / "store", slices_of_scans(labels), slices_of_scans(labels, split="tune"))


def test_backbones_and_slice_rules_are_trained_once_each_and_compared_in_a_table(store: Store, tmp_path: Path) -> None:
    begun: list[str] = []
    trained: list[str] = []

    def run() -> list[str]:
        rows = compare(
            CONFIG,
            store,
            tmp_path / "out",
            ["efficientnet-b0"],
            rules=["all", "top_half"],
            device="cpu",
            told=lambda stage, *_: trained.append(stage),
            beginning=begun.append,
        )
        return [(row.backbone, row.slice_rule, row.feature_length, row.tuning_macro_auc) for row in rows]

    first, again = run(), run()

    assert first == again
    assert [row[:3] for row in first] == [("efficientnet-b0", "all", 1280), ("efficientnet-b0", "top_half", 1280)]
    assert len(trained) == 2  # one step a run, and none the second time
    assert len(begun) == 4
    with (tmp_path / "out" / "comparison.csv").open(encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    assert [row["imagenet_top_1"] for row in table] == ["77.1", "77.1"]
    assert float(table[0]["ms_a_slice"]) > 0
    assert int(table[0]["parameters"]) == 4_007_548 + 3 * 1281
    assert float(table[0]["top_1_per_million"]) == pytest.approx(77.1 / 5.288548)


def test_the_table_for_a_person_has_the_papers_columns(store: Store, tmp_path: Path) -> None:
    rows = compare(CONFIG, store, tmp_path / "out", ["efficientnet-b0"], device="cpu")

    heads, _, line, _ = table_text(rows).split("\n")
    assert heads.startswith("| backbone | slices | features | parameters | ImageNet top-1 |")
    assert line.startswith("| efficientnet-b0 | all | 1280 | 4.0 M | 77.1 % | 14.58 |")


def test_a_run_of_other_settings_in_the_folder_is_not_taken_for_this_one(store: Store, tmp_path: Path) -> None:
    compare(CONFIG, store, tmp_path / "out", ["efficientnet-b0"], device="cpu")

    with pytest.raises(TrainingError, match="holds other runs"):
        compare(replace(CONFIG, seed=5), store, tmp_path / "out", ["efficientnet-b0"], device="cpu")


def test_each_cell_is_another_run_by_its_hash_and_the_start_of_b3_is_not_given_to_others(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"any")
    grown = replace(CONFIG, start=Start("grown"))

    b3, b0 = (cell_config(grown, name, "all", None) for name in ("efficientnet-b3", "efficientnet-b0"))
    named = cell_config(grown, "efficientnet-b3", "all", weights)

    assert (b3.start.kind, b0.start.kind, named.start.kind) == ("grown", "random", "file")
    assert len({b3.sha256, b0.sha256, named.sha256, cell_config(grown, "efficientnet-b0", "all", weights).sha256}) == 4


def test_what_can_not_be_compared_is_said_before_anything_is_trained(store: Store, tmp_path: Path) -> None:
    taught = replace(CONFIG, stages=(replace(CONFIG.stages[0], teacher=0.4, teacher_until=5),))

    with pytest.raises(TrainingError, match="no backbone 'vgg'"):
        compare(CONFIG, store, tmp_path / "out", ["vgg"])
    with pytest.raises(TrainingError, match="for EfficientNet-B3 alone"):
        compare(taught, store, tmp_path / "out", ["resnet-50"])
    with pytest.raises(ConfigError, match="no slice rule"):
        compare(CONFIG, store, tmp_path / "out", ["resnet-50"], rules=["left_half"])
    assert not (tmp_path / "out").exists()


def test_the_papers_slice_rules_all_exist() -> None:
    for rule in SLICE_RULES:
        check(replace(CONFIG, data=replace(CONFIG.data, slice_rule=rule)))
