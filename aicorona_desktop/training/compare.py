"""The paper's comparison: other backbones and slice rules, each trained and measured on one training file.

Every cell is a run in a folder of its own; a comparison that was stopped goes on where it was, and what is finished
is not trained again.

Source: paper-spec 2.4, 3.3.
"""

from __future__ import annotations

import csv
import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.evaluation.intervals import shown
from aicorona_desktop.evaluation.metrics import macro_auc
from aicorona_desktop.training.backbones import BACKBONES, PAPERS, backbone, parameters_of, plan_of
from aicorona_desktop.training.checkpoint import BEST, LAST, TrainingError
from aicorona_desktop.training.config import Config, Start, check
from aicorona_desktop.training.evaluating import Single, known_classes, network_of, read_run, size_of, within
from aicorona_desktop.training.loop import RUN, Told, train
from aicorona_desktop.training.measuring import answers_of, questions_for
from aicorona_desktop.training.network import CLASS_COUNT
from aicorona_desktop.training.starts import read_weights
from aicorona_desktop.training.store import Store

SLICE_RULES: Final = ("middle(0.5)", "middle(0.75)", "all", "top_half", "bottom_half")
"""What the paper tried: the middle half, more than half, everything, either half (paper-spec 2.4)."""

TIMED_SLICES: Final = 7
TABLE: Final = "comparison.csv"
IMAGENET_CLASSES: Final = 1000


@dataclass(frozen=True, slots=True)
class Compared:
    """One row: a backbone under a slice rule. NaN where the tuning split can't answer."""

    backbone: str
    slice_rule: str
    feature_length: int
    parameters: int  # with the classifier of three classes
    imagenet_top_1: float  # percent, as published
    top_1_per_million: float  # the paper's accuracy density: by the parameters with ImageNet's own classifier
    tuning_macro_auc: float
    tuning_within_source: str  # mean with its interval, "" where no source has two classes
    ms_a_slice: float  # forward, one slice at a time, on this machine
    started_from: str


def compare(
    config: Config,
    store: Store,
    out: Path,
    backbones: Sequence[str],
    *,
    rules: Sequence[str] = (),
    weights: Mapping[str, Path] | None = None,
    base: Path | None = None,
    device: str = "",
    told: Told = lambda _stage, _done, _all, _losses: None,
    beginning: Callable[[str], None] = lambda _what: None,
) -> tuple[Compared, ...]:
    """Train and measure every backbone under every slice rule; write the table as CSV after each.

    Args:
        config: the training file; what it starts from holds for EfficientNet-B3 alone.
        store: the prepared slices.
        out: the folder of the comparison, one folder a run below it.
        backbones: names of `backbones.BACKBONES`.
        rules: slice rules; that of the config unless given. They matter where there are whole scans.
        weights: files to start from, by backbone; the others start at random.
        base: the folder that file names in the config are relative to.
        device: as in `train`.
        told: hears of every step.
        beginning: hears which run begins.

    Raises:
        TrainingError: an unknown backbone, a run that can't go on, or one that was told to stop.
        ConfigError: a slice rule that does not exist.
    """
    files = dict(weights or {})
    for name in (*backbones, *files):
        plan_of(name)
    rows: list[Compared] = []
    for name in backbones:
        for rule in rules or (config.data.slice_rule,):
            cell = cell_config(config, name, rule, files.get(name))
            beginning(f"{name}, {rule}")
            rows.append(_one(cell, store, out, name, files.get(name), base or Path(), device, told))
            write_table(out, rows)
    return tuple(rows)


def cell_config(config: Config, name: str, rule: str, weights: Path | None) -> Config:
    """Return the training file of one run; what makes it another run stands in its name, and so in its hash.

    Raises:
        TrainingError: a stage needs EfficientNet-B3, or the file to start from can't be read.
        ConfigError: there is no such slice rule.
    """
    marks = [config.name, name, rule]
    start = config.start
    if name != PAPERS:
        start = Start("random")
        if any(stage.teacher or stage.soft_labels or stage.source_pressure for stage in config.stages):
            raise TrainingError("Stages with a teacher or source pressure are for EfficientNet-B3 alone.")
    if weights is not None:
        try:
            marks.append(hashlib.sha256(weights.read_bytes()).hexdigest()[:12])
        except OSError as error:
            raise TrainingError("The file of weights to start from can't be read.") from error
        start = Start("file", str(weights.absolute())) if name == PAPERS else start
    cell = replace(config, name="/".join(marks), start=start, data=replace(config.data, slice_rule=rule))
    check(cell)
    return cell


def write_table(out: Path, rows: Sequence[Compared]) -> None:
    """Write the rows as CSV.

    Raises:
        TrainingError: the file could not be written.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Compared)]
    table.writerow(names)
    table.writerows([getattr(row, name) for name in names] for row in rows)
    try:
        write_file(out / TABLE, text.getvalue().encode())
    except OSError as error:
        raise TrainingError("The table of the comparison could not be written.") from error


def table_text(rows: Sequence[Compared]) -> str:
    """Return the rows as a table in Markdown, for a person."""
    heads = (
        *("backbone", "slices", "features", "parameters", "ImageNet top-1", "per million", "macro AUC on tune"),
        *("within source", "ms a slice", "start"),
    )
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        cells = (
            row.backbone,
            row.slice_rule,
            str(row.feature_length),
            f"{row.parameters / 1e6:.1f} M",
            f"{row.imagenet_top_1:.1f} %",
            f"{row.top_1_per_million:.2f}",
            "-" if np.isnan(row.tuning_macro_auc) else f"{row.tuning_macro_auc:.3f}",
            row.tuning_within_source or "-",
            f"{row.ms_a_slice:.1f}",
            row.started_from,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _one(  # noqa: PLR0917 - one run has these
    cell: Config, store: Store, out: Path, name: str, weights: Path | None, base: Path, device: str, told: Told
) -> Compared:
    folder = out / f"{name}-{cell.data.slice_rule.translate(str.maketrans('()', '--')).strip('-')}"
    if not _is_finished(folder, cell, store):
        make = None if name == PAPERS else lambda: backbone(name, cell.seed, weights)
        resume = (folder / LAST).exists()
        run = train(cell, store, folder, resume=resume, device=device, told=told, base=base, network=make)
        if not run.finished:
            raise TrainingError("The comparison was told to stop; run the same command again to go on.")
    started = cell.start.kind if weights is None else weights.name
    return _measured(_trained(folder, name, cell), name, cell, store, started)


def _is_finished(folder: Path, cell: Config, store: Store) -> bool:
    if not (folder / RUN).exists():
        return False
    config, record = read_run(folder)
    if config != cell or record.get("manifest_sha256") != store.manifest_sha256:
        raise TrainingError("The folder of the comparison holds other runs; name another folder.")
    return True


def _trained(folder: Path, name: str, cell: Config) -> Any:
    if name == PAPERS:
        return network_of(folder / BEST)
    network = backbone(name, cell.seed)
    network.load_state_dict(read_weights(folder / BEST))
    return network.eval()


def _measured(network: Any, name: str, cell: Config, store: Store, started: str) -> Compared:
    plan, size = BACKBONES[name], size_of(cell)
    units = store.units("tune", cell.data.slice_rule)
    area, mean = float("nan"), ""
    if units:
        answers = answers_of(Single(network), store, units, cell.data, size)
        known, truth = known_classes(answers)
        area = macro_auc(answers.probabilities[known], truth) if known.any() else area
        found = within(answers, questions_for(units))
        mean = shown(found.mean) if found is not None else ""
    parameters = parameters_of(network)
    with_imagenet = parameters + (IMAGENET_CLASSES - CLASS_COUNT) * (plan.feature_length + 1)
    return Compared(
        backbone=name,
        slice_rule=cell.data.slice_rule,
        feature_length=network.classifier.in_features,
        parameters=parameters,
        imagenet_top_1=plan.top_1,
        top_1_per_million=plan.top_1 / (with_imagenet / 1e6),
        tuning_macro_auc=area,
        tuning_within_source=mean,
        ms_a_slice=ms_a_slice(network, size),
        started_from=started,
    )


def ms_a_slice(network: Any, size: int, slices: int = TIMED_SLICES) -> float:
    """Return the median time of one slice through a network, in milliseconds, after a first that is not counted."""
    device = next(network.parameters()).device
    picture = torch.zeros((1, 3, size, size), device=device)
    times = []
    with torch.inference_mode():
        for _ in range(slices + 1):
            began = time.perf_counter()
            network(picture).cpu()
            times.append(time.perf_counter() - began)
    return float(np.median(times[1:])) * 1e3
