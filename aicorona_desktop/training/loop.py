"""The one training loop: stages are data, bags and single slices are one path, a killed run goes on as it would have.

What is drawn in a step follows from the seed, the stage and the step (`sampling.generator_of`), so a checkpoint needs
no random states. Runs on a CPU, a GPU, or several under `torchrun`; arithmetic is bf16, weights are fp32.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import nn

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.training import growing
from aicorona_desktop.training.augmentation import Augmenter, Looks
from aicorona_desktop.training.checkpoint import (
    BEST,
    LAST,
    Checkpoint,
    TrainingError,
    read_checkpoint,
    write_checkpoint,
    write_weights,
)
from aicorona_desktop.training.config import Config, Stage
from aicorona_desktop.training.logs import Logs
from aicorona_desktop.training.losses import (
    consistency_loss,
    label_loss,
    ranking_loss,
    soft_label_loss,
    source_losses,
    stage_loss,
    targets_of,
)
from aicorona_desktop.training.measuring import answers_of, normalised, tune_figures
from aicorona_desktop.training.network import EfficientNetB3
from aicorona_desktop.training.processes import default_device, distributed, stop_signal
from aicorona_desktop.training.sampling import Sampler, generator_of
from aicorona_desktop.training.starts import read_weights, started
from aicorona_desktop.training.store import Store, Unit
from aicorona_desktop.training.trainee import Trainee, parameter_groups, scheduled

SAVE_EVERY_S: Final = 300.0
RUN: Final = "run.json"
AVERAGED: Final = "averaged.safetensors"
SLIDING_STAGES: Final = 3
TEACHER_STAGE_WEIGHTS: Final = (0.3, 0.3, 0.5, 0.5, 0.7, 0.7, 1.0, 1.0)
MOST_PREFETCHED: Final = 1

Told = Callable[[str, int, int, dict[str, float]], None]
"""Called after each step: the stage's name, steps done and to do in all, the losses."""


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """What a run left in its folder; `finished` is false after a signal to stop."""

    folder: Path
    finished: bool
    steps: int
    best: float  # of the measure that selects; NaN when nothing could be measured
    losses: tuple[float, ...]

    @property
    def weights(self) -> Path:
        """The best weights on the tuning split, else the last."""
        return self.folder / BEST


@dataclass(frozen=True, slots=True)
class Batch:
    """Prepared slices [views x n, 1, s, s] in 0...255, whose slice belongs to which unit, and the units."""

    pictures: torch.Tensor
    unit_of_slice: torch.Tensor
    units: tuple[Unit, ...]
    views: int


def train(
    config: Config,
    store: Store,
    out: Path,
    *,
    resume: bool = False,
    device: str = "",
    told: Told = lambda _stage, _done, _all, _losses: None,
    base: Path | None = None,
    network: Callable[[], Any] | None = None,
) -> TrainedRun:
    """Run all stages of a training file and leave `best.safetensors` and `run.json` in `out`.

    Args:
        config: the run.
        store: the prepared slices.
        out: the run's folder; it may not hold another run, unless `resume`.
        resume: go on from the folder's last checkpoint.
        device: `cpu`, `cuda`, ...; what is there unless told.
        told: hears of every step.
        base: the folder that file names in the config are relative to.
        network: makes the network to train, in place of what the config starts from (`backbones`).

    Raises:
        TrainingError: the run can't start or go on; the last checkpoint is kept.
    """
    trainer = Trainer(config, store, out, device or default_device(), base or Path(), network=network)
    with stop_signal() as stopping, distributed(trainer.device):
        trainer.begin(resume=resume)
        return trainer.run(told, stopping)


class Trainer:
    """One run: its network, its running mean, its place. `train` is the door to it."""

    def __init__(
        self,
        config: Config,
        store: Store,
        out: Path,
        device: str,
        base: Path,
        *,
        network: Callable[[], Any] | None = None,
    ) -> None:
        """Take what a run needs; nothing is read or written yet."""
        self.make_network = network
        self.config, self.store, self.out, self.base = config, store, out, base
        self.device = torch.device(device)
        self.rank, self.ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        rule = config.data.slice_rule
        self.sampler = Sampler(store.units("train", rule), config.sampling)
        self.tune = store.units("tune", rule)
        if not self.sampler.units:
            raise TrainingError("There is no labelled slice to train on.")
        self.source_number = {source: at for at, source in enumerate(store.sources)}
        self.augmenter = Augmenter(store, Looks(store, config.data.preparation), config.augmentation)
        self.stage_at, self.step = 0, 0
        self.best, self.best_at = math.nan, ""
        self.history: list[dict[str, float | str]] = []
        self.losses: list[float] = []
        self.teacher: growing.LiteTeacher | None = None
        self.soft_teachers: list[EfficientNetB3] = []
        self.average: dict[str, torch.Tensor] = {}

    # --- beginning ------------------------------------------------------------------------------------------------
    def begin(self, *, resume: bool) -> None:
        """Make the network, or read it from the last checkpoint.

        Raises:
            TrainingError: the folder holds another run, or the start can't be had.
        """
        torch.manual_seed(self.config.seed)
        checkpoint = self._checkpoint() if resume else None
        if not resume and (self.out / LAST).exists():
            raise TrainingError("The folder of the run holds a run already; resume it or name another folder.")
        network = self._new_network(fresh=checkpoint is None)
        pressed = any(stage.source_pressure for stage in self.config.stages)
        trainee = Trainee(network, len(self.source_number) if pressed else 0)
        self.trainee = trainee.to(self.device).to(memory_format=torch.channels_last)
        self.network = self.trainee.network
        self.soft_teachers = [self._soft_teacher(name) for name in self.config.soft_label_teachers]
        if checkpoint:
            self._restore(checkpoint)
        else:
            self._begin_stage()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError("The folder of the run can't be made.") from error

    def _new_network(self, *, fresh: bool) -> Any:
        if self.make_network is not None:
            return self.make_network()
        return started(self.config, self.store, self.base) if fresh else EfficientNetB3()

    def _checkpoint(self) -> Checkpoint:
        checkpoint = read_checkpoint(self.out)
        if checkpoint.config_sha256 != self.config.sha256:
            raise TrainingError("The training file has changed since the checkpoint was written; start another run.")
        if checkpoint.manifest_sha256 != self.store.manifest_sha256:
            raise TrainingError("The prepared slices have changed since the checkpoint was written; start another run.")
        return checkpoint

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.stage_at, self.step = checkpoint.stage, checkpoint.step
        self.best, self.best_at, self.history = checkpoint.best, checkpoint.best_at, list(checkpoint.history)
        self.network.load_state_dict(checkpoint.network)
        if self.trainee.adversary is not None:
            self.trainee.adversary.load_state_dict(checkpoint.adversary)
        if self.stage_at >= len(self.config.stages):
            return
        self._begin_stage(step=self.step)
        self.average = {name: values.to(self.device) for name, values in checkpoint.average.items()}
        self.optimiser.load_state_dict(checkpoint.optimiser)

    def _soft_teacher(self, name: str) -> EfficientNetB3:
        network = EfficientNetB3()
        network.load_state_dict(read_weights(self.base / name))
        network.eval()
        return cast("EfficientNetB3", network.to(self.device).to(memory_format=torch.channels_last))

    @property
    def stage(self) -> Stage:
        """The stage under way."""
        return self.config.stages[self.stage_at]

    def steps_of(self, stage: Stage) -> int:
        """Return the steps of a stage."""
        return stage.steps or stage.epochs * self.sampler.batches_an_epoch(stage.batch)

    def _begin_stage(self, step: int = 0) -> None:
        stage = self.stage
        self.step = step
        self.network.dropout.p = stage.dropout
        self.network.set_drop_path(stage.drop_path)
        self.average = {}
        if stage.average:
            self.average = {name: values.detach().clone() for name, values in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            parameter_groups(self.trainee, stage, self.config.optimiser.weight_decay),
            betas=(self.config.optimiser.beta_1, self.config.optimiser.beta_2),
        )
        if stage.teacher and self.teacher is None:
            self.teacher = growing.lite_teacher().to(self.device)
        self.parallel: Any = self.trainee
        if self.ranks > 1:
            self.parallel = nn.parallel.DistributedDataParallel(self.trainee)

    # --- running --------------------------------------------------------------------------------------------------
    def run(self, told: Told, stopping: Sequence[bool]) -> TrainedRun:
        """Run from where it stands to the end, or to a signal to stop."""
        saved = time.monotonic()
        total = sum(self.steps_of(stage) for stage in self.config.stages)
        with Logs(self.out, self.history, self._steps_done(), write=self.rank == 0) as logs:
            while self.stage_at < len(self.config.stages):
                for batch in self._batches():
                    if self._is_to_stop(stopping):
                        self._save()
                        return self._ended(finished=False)
                    losses = self._one_step(batch)
                    logs.step(self.stage.name, self._steps_done(), losses)
                    told(self.stage.name, self._steps_done(), total, losses)
                    self._measure_if_due(logs)
                    if time.monotonic() - saved > SAVE_EVERY_S:
                        self._save()
                        saved = time.monotonic()
                self._end_stage()
        self._save()
        return self._ended(finished=True)

    def _is_to_stop(self, stopping: Sequence[bool]) -> bool:
        """Whether any of the processes was asked to end: they stop at one step, or those that go on would wait."""
        if self.ranks == 1:
            return bool(stopping)
        asked = torch.tensor(float(len(stopping)), device=self.device)
        torch.distributed.all_reduce(asked)
        return bool(asked > 0)

    def _steps_done(self) -> int:
        return sum(self.steps_of(stage) for stage in self.config.stages[: self.stage_at]) + self.step

    def _end_stage(self) -> None:
        if self.average:
            self.network.load_state_dict(self.average)
        self.stage_at, self.step = self.stage_at + 1, 0
        if self.stage_at < len(self.config.stages):
            self._begin_stage()

    def _batches(self) -> Iterator[Batch]:
        """Yield the batches of the rest of the stage; on a GPU the next one is made meanwhile."""
        steps = range(self.step, self.steps_of(self.stage))
        if self.device.type == "cpu":
            yield from map(self._batch, steps)
            return
        with ThreadPoolExecutor(MOST_PREFETCHED) as pool:
            coming = [pool.submit(self._batch, step) for step in steps[:MOST_PREFETCHED]]
            for step in steps:
                ready = coming.pop(0).result()
                if step + MOST_PREFETCHED < steps.stop:
                    coming.append(pool.submit(self._batch, step + MOST_PREFETCHED))
                yield ready

    def _batch(self, step: int) -> Batch:
        stage, seed = self.stage, (self.config.seed, self.stage_at)
        drawn = self.sampler.batch(seed, step, stage.batch)
        units = drawn[self.rank :: self.ranks] or drawn[:1]  # an epoch's last batch may be smaller than the ranks
        generator = generator_of(*seed, step, self.rank, 1)
        chosen = [self.sampler.slices_of(unit, generator) for unit in units]
        places = [place for slices in chosen for place in slices]
        owners = [at for at, slices in enumerate(chosen) for _ in slices]
        views = 2 if stage.consistency else 1
        if self.config.augmentation.enabled:
            pictures = torch.cat(self.augmenter.views(places, stage.size, views, generator, owners))
        else:
            prepared = [self.store.prepared(at, self.config.data.preparation, stage.size) for at in places]
            pictures = torch.from_numpy(np.stack(prepared)).repeat(views, 1, 1, 1)
        unit_of_slice = torch.tensor([at + view * len(units) for view in range(views) for at in owners])
        return Batch(pictures, unit_of_slice, tuple(units), views)

    def _one_step(self, batch: Batch) -> dict[str, float]:
        stage = self.stage
        began = time.monotonic()
        torch.manual_seed(int(generator_of(self.config.seed, self.stage_at, self.step, self.rank, 2).integers(2**62)))
        self._set_modes()
        rate = scheduled(stage, self.step, self.steps_of(stage))
        for group in self.optimiser.param_groups:
            group["lr"] = group["full_rate"] * rate
        pictures = normalised(batch.pictures.to(self.device), self.config.data.normalisation)
        owners = batch.unit_of_slice.to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits, sources, outputs = self.parallel(pictures, owners, len(batch.units) * batch.views)
            parts = self._losses(batch, logits, sources, outputs, pictures)
        loss = sum(weight * part for weight, part in parts.values())
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError("The loss is no longer a number; lower the rate. The last checkpoint is kept.")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trainee.parameters(), self.config.optimiser.clip)
        self.optimiser.step()
        self._update_average()
        self.step += 1
        self.losses.append(value)
        named = {name: float(part.detach()) for name, (_, part) in parts.items()}
        return {"loss": value, **named, "rate": stage.rate * rate, "seconds": time.monotonic() - began}

    def _set_modes(self) -> None:
        stage = self.stage
        self.trainee.train()
        if stage.batch_norm == "frozen":
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        start, end = stage.slide
        amount = 1.0 if end <= start else min(max((self.step - start) / (end - start), 0.0), 1.0)
        self.network.slide(amount, SLIDING_STAGES, growing.CEILING)

    def _losses(
        self,
        batch: Batch,
        logits: torch.Tensor,
        sources: tuple[torch.Tensor, torch.Tensor] | None,
        outputs: list[torch.Tensor],
        pictures: torch.Tensor,
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """Return the parts of the loss by name, each with its weight."""
        stage, views = self.stage, batch.views
        targets = targets_of([unit.label for unit in batch.units] * views, self.config.sampling.class_weights)
        targets = type(targets)(targets.allowed.to(self.device), targets.weight.to(self.device))
        origins = torch.tensor([self.source_number[unit.source] for unit in batch.units] * views, device=self.device)
        soft = stage.soft_labels if self.soft_teachers else 0.0
        parts = {"labels": (1.0 - soft, label_loss(logits, targets, stage.smoothing))}
        if soft:
            answers = self._soft_answers(pictures, batch)
            parts["soft labels"] = (soft, soft_label_loss(logits, answers, targets.weight))
        if stage.ranking:
            parts["ranking"] = (stage.ranking, ranking_loss(logits, targets.allowed, origins))
        if stage.consistency:
            first, second = logits.chunk(2)
            ramp = min(1.0, (self.step + 1) / max(1, stage.consistency_ramp))
            parts["consistency"] = (stage.consistency * ramp, consistency_loss(first, second))
        if stage.teacher and self.teacher is not None and self.step < stage.teacher_until:
            weight = stage.teacher * (1 - self.step / stage.teacher_until)
            with torch.no_grad():
                theirs = self.teacher.stage_outputs(pictures)
            parts["teacher"] = (weight, stage_loss(outputs, theirs, TEACHER_STAGE_WEIGHTS))
        if stage.source_pressure and sources is not None:
            counted = torch.tensor([unit.label == "covid" for unit in batch.units] * views, device=self.device)
            guess, confusion = source_losses(*sources, origins, counted)  # covid is the one class of all sources
            parts["source guess"] = (1.0, guess)  # moves nothing but the guess
            parts["confusion"] = (stage.source_pressure, confusion)
        return parts

    def _soft_answers(self, pictures: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the teachers' mean probabilities, one row a unit and view; all views get the mean over the views.

        What a change of grey alone does to a teacher is noise.
        """
        owners, units = batch.unit_of_slice.to(self.device), len(batch.units) * batch.views
        counts = torch.bincount(owners, minlength=units)[:, None]
        mean = torch.zeros(units, len(CLASSES), device=self.device)
        with torch.no_grad():
            for teacher in self.soft_teachers:
                slices = teacher.features(pictures).float().mean((2, 3))
                features = slices.new_zeros(units, slices.shape[1]).index_add(0, owners, slices) / counts
                with torch.autocast(self.device.type, enabled=False):
                    mean += torch.softmax(teacher.classifier(features), 1) / len(self.soft_teachers)
        return mean.view(batch.views, -1, len(CLASSES)).mean(0).repeat(batch.views, 1)

    def _update_average(self) -> None:
        decay = self.stage.average
        if not decay:
            return
        warm = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, values in self.network.state_dict().items():
                mean = self.average[name]
                if mean.is_floating_point():
                    mean.lerp_(values, 1 - warm)
                else:
                    mean.copy_(values)

    # --- measuring, saving ----------------------------------------------------------------------------------------
    def _measure_if_due(self, logs: Logs) -> None:
        steps = self.steps_of(self.stage)
        every = self.config.selection.every
        if not every:
            every = self.sampler.batches_an_epoch(self.stage.batch) if self.stage.epochs else steps
        if self.rank or not self.tune or (self.step % every and self.step != steps):
            return
        self._measure(logs)

    def _measure(self, logs: Logs) -> None:
        size = self.config.selection.size or self.stage.size
        data = self.config.data
        self.network.slide(1.0, 0, growing.CEILING)  # as it would be shipped; the next step slides on
        with self._averaged_weights():
            answers = answers_of(self.network, self.store, self.tune, data, size)
            figures = tune_figures(answers)
            place = f"{self.stage.name} step {self.step}"
            row: dict[str, float | str] = {
                "stage": self.stage.name,
                "step": self._steps_done(),
                "size": size,
                **figures,
            }
            self.history.append(row)
            logs.tune(row)
            value = figures.get(self.config.selection.by, math.nan)
            if math.isfinite(value) and not value <= self.best:
                self.best, self.best_at = value, place
                write_weights(self.out / BEST, self.network.state_dict())

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """The running mean stands in for the weights within the block."""
        own: dict[str, torch.Tensor] = {}
        if self.average:
            own = {name: values.detach().clone() for name, values in self.network.state_dict().items()}
            self.network.load_state_dict(self.average)
        try:
            yield
        finally:
            if own:
                self.network.load_state_dict(own)

    def _save(self) -> None:
        if self.rank:
            return
        adversary = self.trainee.adversary
        write_checkpoint(
            self.out,
            Checkpoint(
                self.config.sha256,
                self.store.manifest_sha256,
                self.stage_at,
                self.step,
                self.network.state_dict(),
                self.average,
                self.optimiser.state_dict(),
                {} if adversary is None else adversary.state_dict(),
                self.best,
                self.best_at,
                self.history,
            ),
        )

    def _ended(self, *, finished: bool) -> TrainedRun:
        if not self.rank and finished:
            write_weights(self.out / AVERAGED, self.network.state_dict())
            if not (self.out / BEST).exists():
                write_weights(self.out / BEST, self.network.state_dict())
            _write_run(self)
        return TrainedRun(self.out, finished, self._steps_done(), self.best, tuple(self.losses))


def _write_run(trainer: Trainer) -> None:
    values = {
        "config": dataclasses.asdict(trainer.config),
        "config_sha256": trainer.config.sha256,
        "manifest_sha256": trainer.store.manifest_sha256,
        "units": {"train": len(trainer.sampler.units), "tune": len(trainer.tune)},
        "selected_by": trainer.config.selection.by,
        "best": None if math.isnan(trainer.best) else trainer.best,
        "best_at": trainer.best_at,
        "tune": trainer.history,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    try:
        write_file(trainer.out / RUN, json.dumps(values, indent=1).encode())
    except OSError as error:
        raise TrainingError("The description of the run can't be written.") from error
