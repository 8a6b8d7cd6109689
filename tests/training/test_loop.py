"""The loop: it learns, it goes on where it was killed, order means nothing, and trouble keeps the last checkpoint."""

from __future__ import annotations

import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")
pytest.importorskip("safetensors", reason="safetensors is in the train extra")

from aicorona_desktop.training import checkpoint as checkpoints  # noqa: E402 - only where the extras are there
from aicorona_desktop.training import loop  # noqa: E402
from aicorona_desktop.training.averaging import averaged, write_averaged  # noqa: E402
from aicorona_desktop.training.checkpoint import TrainingError, read_checkpoint  # noqa: E402
from aicorona_desktop.training.config import Augmentation, Config, Data, Sampling, Selection, Stage, Start  # noqa: E402
from aicorona_desktop.training.export import load_network  # noqa: E402
from aicorona_desktop.training.loop import TrainedRun, train  # noqa: E402
from aicorona_desktop.training.measuring import answers_of  # noqa: E402
from aicorona_desktop.training.network import EfficientNetB3  # noqa: E402
from aicorona_desktop.training.starts import read_weights  # noqa: E402
from aicorona_desktop.training.store import Store  # noqa: E402
from aicorona_desktop.training.trainee import Trainee, scheduled  # noqa: E402
from tests.training.made_up import slices_of_scans, store_of  # noqa: E402

torch.set_num_threads(1)
EIGHT = ("normal", "cp", "covid", "normal", "cp", "covid", "normal", "not_covid")
DATA = Data(preparation="window-1", normalisation="grey", slice_rule="all")
SHORT = Stage(
    name="short",
    steps=6,
    epochs=0,
    size=32,
    batch=3,
    rate=1e-3,
    head_rate=1e-3,
    batch_norm="frozen",
    drop_path=0.1,
    dropout=0.1,
    average=0.9,
    consistency=1.0,
    ranking=0.5,
    source_pressure=0.1,
)
SMALL = Config(
    name="small",
    data=DATA,
    sampling=Sampling(rule="balanced"),
    augmentation=Augmentation(enabled=True),
    stages=(SHORT,),
)


class StoppedError(Exception):
    """What a test raises in place of a power cut."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    tune = slices_of_scans(("normal", "cp", "covid", "normal", "cp", "covid"), slices=1, split="tune", side=32)
    return store_of(tmp_path / "store", slices_of_scans(EIGHT, side=32), tune)


def run(config: Config, store: Store, out: Path, **more: Any) -> TrainedRun:
    return train(config, store, out, device="cpu", **more)


def test_it_overfits_eight_scans(tmp_path: Path, store: Store) -> None:
    stage = Stage(steps=10, epochs=0, size=32, batch=8, rate=2e-3, head_rate=5e-3, dropout=0.0)
    config = Config(data=DATA, sampling=Sampling(), stages=(stage,), selection=Selection(by="macro-auc"))

    trained = run(config, store, tmp_path / "run")

    assert min(trained.losses[-5:]) < 0.05
    assert trained.losses[0] > 0.5
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["config_sha256"] == config.sha256
    assert described["manifest_sha256"] == "0" * 64
    assert [row["step"] for row in described["tune"]] == [10]
    assert set(read_weights(trained.weights)) == set(EfficientNetB3().state_dict())
    assert load_network(trained.weights).classifier.weight.shape == (3, 1536)


def test_a_resumed_run_has_the_losses_of_one_that_was_never_stopped(tmp_path: Path, store: Store) -> None:
    config = replace(SMALL, stages=(replace(SHORT, steps=4), replace(SHORT, name="second", steps=2, size=40)))
    whole = run(config, store, tmp_path / "whole")

    def stop_at(wanted: int) -> loop.Told:
        def told(_stage: str, done: int, _all: int, _losses: dict[str, float]) -> None:
            if done == wanted:
                os.kill(os.getpid(), signal.SIGTERM)

        return told

    first = run(config, store, tmp_path / "parts", told=stop_at(3))
    second = run(config, store, tmp_path / "parts", resume=True, told=stop_at(5))
    third = run(config, store, tmp_path / "parts", resume=True)

    assert (first.finished, second.finished, third.finished) == (False, False, True)
    assert (first.steps, second.steps, third.steps) == (3, 5, 6)
    assert first.losses + second.losses + third.losses == whole.losses
    ours, theirs = (
        read_weights(folder / "averaged.safetensors") for folder in (tmp_path / "parts", tmp_path / "whole")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    lines = (tmp_path / "parts" / "log.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines] == ["step", "1", "2", "3", "4", "5", "6"]


def test_steps_after_the_last_checkpoint_are_done_and_logged_anew(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_stage: str, done: int, _all: int, _losses: dict[str, float]) -> None:
        if done == 2:
            monkeypatch.setattr(loop, "SAVE_EVERY_S", 300.0)
        if done == 3:
            raise StoppedError

    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    with pytest.raises(StoppedError):
        run(SMALL, store, tmp_path / "run", told=cut)
    saved = read_checkpoint(tmp_path / "run").step
    resumed = run(SMALL, store, tmp_path / "run", resume=True)

    lines = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert saved < 3
    assert len(resumed.losses) == 6 - saved
    assert [line.split(",")[1] for line in lines[1:]] == ["1", "2", "3", "4", "5", "6"]


def test_a_bag_is_the_same_in_any_order_of_its_slices(store: Store) -> None:
    torch.manual_seed(0)
    trainee = Trainee(EfficientNetB3(), 0).eval()
    pictures = torch.rand(5, 3, 32, 32)
    owners = torch.tensor([0, 0, 0, 1, 1])
    order = torch.tensor([4, 1, 0, 3, 2])

    with torch.no_grad():
        logits, _, _ = trainee(pictures, owners, 2)
        shuffled, _, _ = trainee(pictures[order], owners[order], 2)
        alone, _, _ = trainee(pictures[:3], owners[:3], 1)

    assert torch.allclose(logits, shuffled, atol=1e-5)
    assert torch.allclose(logits[:1], alone, atol=1e-5)  # bags do not touch each other


def test_a_bag_has_the_mean_of_its_slices_logits(store: Store) -> None:
    torch.manual_seed(0)
    network = EfficientNetB3().eval()
    units = store.units("train", "all")

    answers = answers_of(network, store, units[:2], DATA, 32)
    single = answers_of(network, store, [replace(units[0], slices=(at,)) for at in units[0].slices], DATA, 32)

    assert answers.logits.shape == (2, 3)
    assert answers.logits[0] == pytest.approx(single.logits.mean(0), abs=1e-3)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    real = loop.label_loss
    calls = []

    def turning(*arguments: Any) -> Any:
        calls.append(1)
        return real(*arguments) * (float("nan") if len(calls) == 3 else 1.0)

    monkeypatch.setattr(loop, "label_loss", turning)
    with pytest.raises(TrainingError, match="no longer a number"):
        run(SMALL, store, tmp_path / "run")

    assert read_checkpoint(tmp_path / "run").step == 2


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    real, written = checkpoints.write_file, []

    def filling(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(checkpoints, "write_file", filling)
    with pytest.raises(TrainingError, match=r"No space left on device.*the last one is kept"):
        run(SMALL, store, tmp_path / "run")

    assert read_checkpoint(tmp_path / "run").step == 1


def test_a_run_begins_from_a_file_and_learns_from_a_teachers_answers(tmp_path: Path, store: Store) -> None:
    torch.manual_seed(0)
    checkpoints.write_weights(tmp_path / "start.safetensors", EfficientNetB3().state_dict())
    stage = replace(SHORT, steps=1, rate=0.0, head_rate=0.0, soft_labels=1.0, source_pressure=0.0, average=0.0)
    start = Start(kind="file", file="start.safetensors")
    config = replace(SMALL, start=start, soft_label_teachers=("start.safetensors",), stages=(stage,))

    trained = run(config, store, tmp_path / "run", base=tmp_path)

    kept, begun = read_weights(trained.weights), read_weights(tmp_path / "start.safetensors")
    assert all(torch.equal(kept[name], begun[name]) for name in begun)  # at a rate of 0 nothing moves
    header, line = (tmp_path / "run" / "log.csv").read_text().splitlines()
    losses = dict(zip(header.split(","), line.split(","), strict=True))
    assert 0.3 < float(losses["soft labels"]) < 3
    with pytest.raises(TrainingError, match="can't be read"):
        run(config, store, tmp_path / "other", base=tmp_path / "nowhere")


def test_a_run_goes_on_only_with_the_same_settings_and_slices(tmp_path: Path, store: Store) -> None:
    one_step = replace(SMALL, stages=(replace(SHORT, steps=1),))
    run(one_step, store, tmp_path / "run")

    with pytest.raises(TrainingError, match="holds a run already"):
        run(one_step, store, tmp_path / "run")
    with pytest.raises(TrainingError, match="training file has changed"):
        run(replace(one_step, seed=1), store, tmp_path / "run", resume=True)
    with pytest.raises(TrainingError, match="no checkpoint"):
        run(one_step, store, tmp_path / "other", resume=True)
    (tmp_path / "run" / "last.ckpt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(TrainingError, match="can't be read"):
        run(one_step, store, tmp_path / "run", resume=True)


def test_a_store_without_labels_cant_be_trained_on(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", slices_of_scans(("covid",), split="tune", side=32))

    with pytest.raises(TrainingError, match="no labelled slice"):
        run(SMALL, store, tmp_path / "run")


def test_the_rate_warms_up_and_falls_to_its_end() -> None:
    stage = replace(SHORT, warm_up=10, final_rate=0.02)

    rates = [scheduled(stage, step, 100) for step in range(101)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1)
    assert rates[100] == pytest.approx(0.02)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_mean_of_weights_is_the_mean(tmp_path: Path) -> None:
    torch.manual_seed(0)
    states = [EfficientNetB3().state_dict() for _ in range(2)]
    for number, state in enumerate(states):
        checkpoints.write_weights(tmp_path / f"{number}.safetensors", state)
    files = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]

    mean = read_weights(write_averaged(tmp_path / "mean.safetensors", files, (3, 1)))

    name = "conv_head.weight"
    assert torch.allclose(mean[name], 0.75 * states[0][name] + 0.25 * states[1][name], atol=1e-6)
    rounded = read_weights(write_averaged(tmp_path / "rounded.safetensors", files, (3, 1), half=True))
    assert torch.equal(rounded[name], mean[name].half().float())
    with pytest.raises(TrainingError, match="one share for each"):
        averaged(files, (1,))
    checkpoints.write_weights(tmp_path / "other.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(TrainingError, match="different networks"):
        averaged([files[0], tmp_path / "other.safetensors"])
