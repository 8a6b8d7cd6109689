"""The command line of training, from a manifest of pictures to an installed pack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")
pytest.importorskip("onnx", reason="onnx is in the train extra")
pytest.importorskip("sklearn", reason="scikit-learn is in the evaluate extra")

from aicorona_desktop.evaluation.manifest import (  # noqa: E402 - only where the extras are there
    Cohort,
    LabelSource,
    Layout,
    ManifestRow,
    QcStatus,
    Split,
    write_manifest,
)
from aicorona_desktop.imaging.png import png_bytes  # noqa: E402
from aicorona_desktop.model.pack import load_pack  # noqa: E402
from aicorona_desktop.training.__main__ import main  # noqa: E402
from tests.training.made_up import striped  # noqa: E402

torch.set_num_threads(1)
CONFIG = """
name = "small"
[data]
preparation = "window-1"
normalisation = "grey"
[[stages]]
name = "only"
steps = 1
epochs = 0
size = 32
batch = 3
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest of made-up pictures of two sources, a training file, and a finished run."""
    folder = tmp_path_factory.mktemp("training")
    rows = []
    for number in range(12):
        label, split = ("normal", "cp", "covid")[number % 3], (Split.TRAIN, Split.TUNE)[number // 6]
        (folder / f"{number}.png").write_bytes(png_bytes(striped(label, number)))
        rows.append(row(number, label, split, ("one", "two")[number // 3 % 2]))
    write_manifest(folder / "manifest.csv", rows)
    (folder / "small.toml").write_text(CONFIG)
    at = [*("--manifest", folder / "manifest.csv", "--data", folder)]
    assert run("prepare", *at, "--out", folder / "store") == 0
    training = ("--config", folder / "small.toml", "--store", folder / "store", "--device", "cpu")
    assert run("train", *training, "--out", folder / "run") == 0
    return folder


def row(number: int, label: str, split: Split, source: str) -> ManifestRow:
    return ManifestRow(
        scan_id=f"secret-{number}",
        subject_id=f"person-{number}",
        cohort=Cohort.OTHER,
        split=split,
        label_raw=label,
        label3=label,
        n_slices=1,
        label_source=LabelSource.PUBLIC,
        qc_status=QcStatus.OK,
        path=f"{number}.png",
        source=source,
        licence="CC BY 4.0" if source == "one" else "CC BY-NC-ND 3.0",
        layout=Layout.PICTURE,
    )


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def exported(work: Path, out: Path, *more: object) -> int:
    data = ("--store", work / "store", "--manifest", work / "manifest.csv")
    # 32 bits: a network of chance magnifies what rounding to 16 bits changes.
    pack = ("--out", out, "--name", "mine", "--version", "1", "--rounds", "20", "--single")
    return run("export", "--run", work / "run", *data, *pack, *more)


@pytest.fixture(scope="module")
def folder(work: Path) -> Path:
    """The pack that the run became."""
    about = work / "about.toml"
    about.write_text('started_from = "made-up weights"\nnotes = ["only a test"]\n')
    assert exported(work, work / "packs", "--about", about, "--sheet", work / "sheet.png") == 0
    return work / "packs" / "mine-1"


def test_a_run_becomes_a_pack_that_the_program_loads_with_all_that_the_card_must_say(folder: Path) -> None:
    pack = load_pack(folder)

    assert (pack.status, pack.preparation, pack.input_size) == ("research", "window-1", 32)
    assert (pack.temperature, pack.operating_point) == (1.0, None)
    assert pack.statistics is not None
    card = pack.card()
    for words in (
        "Start: made-up weights",
        "All in all 6 slices of 6 subjects",
        "non-commercial research only",
        "restrict derivatives: two.",
        "--without SOURCE",
        "Not set: the tuning split has no whole scans",
        "whole scans is unknown",
        "most probable class equal in 6 of 6",
        "No decision about a person",
        "brings that",
        "only a test",
    ):
        assert words in card
    assert "secret" not in card
    assert "person-" not in card


def test_the_description_holds_hashes_tables_and_the_sheet(work: Path, folder: Path) -> None:
    description = json.loads((folder / "model.json").read_text())

    record = json.loads((work / "run" / "run.json").read_text())
    assert description["training"]["config_sha256"] == record["config_sha256"]
    assert description["training"]["manifest_sha256"] == record["manifest_sha256"]
    assert description["training"]["tune"]
    assert description["agreement_on_tune"]["lowest_cosine"] > 0.9999
    assert description["agreement_on_tune"]["same_top_class"] == 6
    assert description["evaluation"]["units"] == 6
    assert len(description["sha256"]["maps.png"]) == 64
    assert (folder / "maps.png").read_bytes().startswith(b"\x89PNG")
    assert (work / "sheet.png").read_bytes() != (folder / "maps.png").read_bytes()


def test_what_was_decided_by_hand_about_the_last_layer_is_in_the_pack(work: Path, folder: Path, tmp_path: Path) -> None:
    decided = ("--temperature", 0.8, "--bias-shift", "0.5,0,-0.5", "--last-layer-from", "Set on nine scans of ours.")

    assert exported(work, tmp_path, *decided) == 0

    shifted, as_trained = load_pack(tmp_path / "mine-1"), load_pack(folder)
    assert shifted.temperature == 0.8
    assert np.subtract(shifted.bias, as_trained.bias) == pytest.approx([0.5, 0, -0.5], abs=1e-6)
    assert exported(work, tmp_path, "--temperature", 0.8) == 2


def test_a_run_a_checkpoint_and_a_pack_are_evaluated_alike(
    work: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = ("--config", work / "small.toml", "--weights", work / "run" / "best.safetensors")
    capsys.readouterr()
    on = ("--store", work / "store", "--rounds", "20")

    statuses = [
        run("evaluate", "--run", work / "run", *on, "--out", tmp_path / "found"),
        run("evaluate", *weights, "--manifest", work / "manifest.csv", "--data", work, "--rounds", "20"),
        run("evaluate", "--pack", folder, *on),
    ]

    assert statuses == [0, 0, 0]
    reports = capsys.readouterr().out.split(" on tune: ")[1:]
    figures = [[line for line in report.splitlines() if "mean: " in line] for report in reports]
    assert figures[0] == figures[1] == figures[2] != []
    assert json.loads((tmp_path / "found" / "evaluation.json").read_text())["units"] == 6


def test_without_a_source_another_run_is_made(work: Path, tmp_path: Path) -> None:
    training = ("--config", work / "small.toml", "--store", work / "store", "--device", "cpu")

    assert run("train", *training, "--out", tmp_path, "--without", "two") == 0

    record = json.loads((tmp_path / "run.json").read_text())
    assert record["config"]["data"]["without"] == ["two"]
    assert record["units"] == {"train": 3, "tune": 3}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("prepare", "--manifest", "{work}/none.csv", "--data", "{work}", "--out", "{work}/x"), "could not be read"),
        (("train", "--config", "{work}/none.toml", "--store", "{work}/store", "--out", "{work}/x"), "can't be read"),
        (("train", "--config", "{work}/small.toml", "--store", "{work}", "--out", "{work}/x"), "prepare it again"),
        (("train", "--config", "{work}/small.toml", "--store", "{work}/store", "--out", "{work}/run"), "a run already"),
        (("evaluate", "--config", "{work}/small.toml", "--store", "{work}/store"), "with --weights"),
        (("evaluate", "--run", "{work}", "--store", "{work}/store"), "not finished"),
        (("evaluate", "--run", "{work}/run", "--manifest", "{work}/manifest.csv"), "with --data"),
        (("evaluate", "--pack", "{work}/run", "--store", "{work}/store"), "missing or can't be read"),
        (("export", "--out", "{work}", "--name", "a", "--version", "1"), "Name a run"),
        (("export", "--run", "{work}/run", "--out", "{work}", "--name", "a", "--version", "1"), "--store"),
        (
            (
                *("export", "--run", "{work}/run", "--store", "{work}/store", "--manifest", "{work}/manifest.csv"),
                *("--out", "{work}", "--name", "Mine", "--version", "1"),
            ),
            "small letters and hyphens",
        ),
        (
            (
                *("compare", "--config", "{work}/small.toml", "--store", "{work}/store", "--out", "{work}/x"),
                *("--backbones", "vgg"),
            ),
            "no backbone",
        ),
    ],
)
def test_what_can_not_be_done_is_one_sentence_and_status_2(
    work: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    status = run(*(argument.format(work=work) for argument in arguments))

    error = capsys.readouterr().err
    assert status == 2
    assert sentence in error
    assert "Traceback" not in error
    assert str(work) not in error


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("prepare", "grow", "train", "average", "evaluate", "compare", "export"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"training {command}" in capsys.readouterr().out
