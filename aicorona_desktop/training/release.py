"""From a finished run to a model pack: measured on the very file that is handed on, nothing set that data can't set.

Source: training.md 7 to 9; paper-spec 3.5, 10; design D9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from aicorona_desktop.core.score import Triple
from aicorona_desktop.evaluation.bootstrap import ROUNDS
from aicorona_desktop.evaluation.manifest import Manifest
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.providers import cosine
from aicorona_desktop.training import card, shortcuts
from aicorona_desktop.training.checkpoint import BEST
from aicorona_desktop.training.config import Config
from aicorona_desktop.training.evaluating import (
    Evaluation,
    Exported,
    Single,
    Subject,
    Told,
    evaluate,
    network_of,
    plain,
    read_run,
    size_of,
)
from aicorona_desktop.training.export import Recipe, Slices, check_names, export_pack, model_bytes
from aicorona_desktop.training.finishing import ChosenPoints, LastLayer, last_layer, operating_points
from aicorona_desktop.training.graph import NORMALISATIONS, ExportError
from aicorona_desktop.training.measuring import answers_of, normalised
from aicorona_desktop.training.network import EfficientNetB3
from aicorona_desktop.training.store import Store, Unit

MOST_TRAIN_SLICES: Final = 2048  # for the statistics of features
MOST_TUNE_SLICES: Final = 1024
LOWEST_COSINE: Final = 0.9999
SCANS_RECORDED: Final = 24


@dataclass(frozen=True, slots=True)
class Wish:
    """What whoever exports decides: names, and what data can't say."""

    name: str
    version: str
    made: date
    input_size: int = 0  # 0: the size that the run was selected at
    half: bool = True
    layer: LastLayer | None = None  # set by hand; None: as far as the tuning scans allow
    about: Mapping[str, Any] = field(default_factory=dict)  # `started_from`, and lines that are added to the card
    earlier: tuple[Path, ...] = ()  # runs that came before this one on the way of the weights
    rounds: int = ROUNDS
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """The pack as the program loads it, its figures, and the sheet of maps over the slices themselves."""

    pack: Pack
    evaluation: Evaluation
    sheet: bytes


def release(
    out: Path,
    run: Path,
    store: Store,
    manifest: Manifest,
    wish: Wish,
    *,
    judge: Store | None = None,
    weights: Path | None = None,
    told: Told = lambda _what: None,
) -> Released:
    """Export a finished run as a pack with its card.

    Args:
        out: the folder of packs.
        run: the folder of the run; its `run.json` gives preparation, slice rule, tuning table and hashes.
        store: the prepared slices that it was trained on, without the sources that were left out.
        judge: the same with all sources, to be measured on; `store` unless given.
        manifest: what the slices were prepared from: licences stand there.
        wish: names, and what is decided by hand.
        weights: other weights than the run's best, such as a mean of several runs.
        told: hears what is being done.

    Raises:
        ExportError: the data are not those of the run, or the file is not the network.
        TrainingError: the run is not finished, or there is nothing to measure on.
        PackError: the program would refuse the pack.
    """
    check_names(out, wish.name, wish.version)  # before minutes of measuring
    config, record = read_run(run)
    _check_data(record, store, manifest)
    size = wish.input_size or size_of(config)
    network = network_of(weights or run / BEST)
    judge = judge or store
    units = judge.units("tune", config.data.slice_rule)
    if not units:
        raise ExportError("The prepared slices have no tuning split, so nothing could be said of the pack.")
    told("scoring the tuning split with PyTorch")
    trained = answers_of(Single(network), judge, units, config.data, size)
    layer = wish.layer or last_layer(trained)
    points = operating_points(trained, layer)
    _shift(network, layer)
    exported = _exported(network, config, size, layer, half=wish.half)
    told("comparing the exported file with PyTorch, slice by slice")
    subject = Subject(f"{wish.name} {wish.version}", exported, config.data, size)
    agreement, maps = compared(network, subject, judge, units)
    evaluation = evaluate(subject, judge, rounds=wish.rounds, seed=wish.seed, told=told)
    chosen = shortcuts.chosen_maps([one for one in maps if one.source in store.sources], seed=wish.seed)
    facts = card.Facts(
        config=config,
        started_from=str(wish.about.get("started_from", "")),
        sources=card.summaries(store.records),
        train_subjects=len({record.subject for record in store.records if record.split == "train"}),
        licences=card.licences_of(manifest.rows, store.sources),
        evaluation=evaluation,
        agreement=agreement,
        last_layer=layer.origin,
        not_trained_on=tuple(sorted({unit.source for unit in units} - set(store.sources))),
        borders=shortcuts.border_by_source(maps),
        legend=shortcuts.legend(chosen),
    )
    told("features of the training slices, and writing")
    recipe = replace(
        _recipe(wish, facts, layer, points),
        record=_record(wish, facts, layer, points, record),
        files={shortcuts.SHEET_FILE: shortcuts.sheet(chosen, silhouettes=True)},
    )
    pack = export_pack(out, recipe, network, statistics_slices(store, config, size))
    return Released(pack, evaluation, shortcuts.sheet(chosen, silhouettes=False))


def compared(
    network: EfficientNetB3, subject: Subject, store: Store, units: Sequence[Unit]
) -> tuple[card.Agreement, list[shortcuts.ShownMap]]:
    """Compare PyTorch and the exported file on every slice of units, and return the maps of those that may be shown.

    Raises:
        ExportError: the features point elsewhere, or a most probable class differs.
    """
    shown = {place: unit for unit, place in shortcuts.mappable(units)}
    places = [place for unit in units for place in unit.slices]
    exported, data = subject.network, subject.data
    bias = network.classifier.bias.detach().numpy()
    cosines, differences, maps = [], [], []
    same = 0
    for place in places:
        picture = store.prepared(place, data.preparation, subject.size)
        with torch.inference_mode():
            last = network.features(normalised(torch.from_numpy(picture[None]), data.normalisation))
            expected = last.mean((2, 3))
            logits = network.classifier(expected)[0].numpy()
        cam, features = exported.run(picture)
        found = cam.mean((1, 2), dtype=np.float64) + bias
        cosines.append(cosine(features, expected[0].numpy()))
        differences.append(float(np.abs(found - logits).max()))
        same += int(found.argmax() == logits.argmax())
        if place in shown:
            maps.append(shortcuts.shown_map(shown[place], cam, found / exported.temperature, picture))
    agreement = card.Agreement(len(places), min(cosines), same, max(differences))
    if not agreement.lowest_cosine > LOWEST_COSINE or same < len(places):
        raise ExportError(
            f"The exported file is not the network: on {len(places) - same} of {len(places)} tuning slices another "
            f"class is the most probable, and the lowest cosine of the features is {agreement.lowest_cosine:.5f}."
        )
    return agreement, maps


def statistics_slices(store: Store, config: Config, size: int) -> tuple[Slices, Slices, str]:
    """Return prepared slices of train and tune, evenly thinned out where there are many, and their origin in words."""
    train = _thinned(store, "train", config, MOST_TRAIN_SLICES)
    tune = _thinned(store, "tune", config, MOST_TUNE_SLICES)
    single = not any(store.records[place].scan for place in tune)
    origin = (
        f"Mean and main directions of the features, scaled to length 1, of {len(train)} training slices; the limit is "
        f"the 99th percentile of {len(tune)} tuning slices, one by one and not means over scans, so it is wide"
        + (": there are no scans to take it from." if single else ".")
        + " It finds the grossly foreign and proves nothing else."
    )
    return _prepared(store, train, config, size), _prepared(store, tune, config, size), origin


def _thinned(store: Store, split: str, config: Config, most: int) -> list[int]:
    places = [place for unit in store.units(split, config.data.slice_rule) for place in unit.slices]
    step = max(1, -(-len(places) // most))
    return places[::step]


def _prepared(store: Store, places: Sequence[int], config: Config, size: int) -> Slices:
    rounded: NDArray[np.uint8] = np.empty((len(places), 1, size, size), np.uint8)  # a quarter of the memory
    for at, place in enumerate(places):
        rounded[at] = np.rint(store.prepared(place, config.data.preparation, size))
    return cast("Slices", rounded)


def _check_data(record: Mapping[str, Any], store: Store, manifest: Manifest) -> None:
    if record.get("manifest_sha256") != store.manifest_sha256:
        raise ExportError("The prepared slices are not those that the run was trained on.")
    if manifest.sha256 != store.manifest_sha256:
        raise ExportError("The manifest is not the one that the slices were prepared from.")


def _shift(network: EfficientNetB3, layer: LastLayer) -> None:
    with torch.no_grad():
        network.classifier.bias += torch.tensor(layer.bias_shift)


def _exported(network: EfficientNetB3, config: Config, size: int, layer: LastLayer, *, half: bool) -> Exported:
    weights = {name: values.numpy() for name, values in network.state_dict().items()}
    model = model_bytes(weights, NORMALISATIONS[config.data.normalisation], size, half=half)
    bias = cast("Triple", tuple(float(value) for value in weights["classifier.bias"]))
    return Exported(model, bias, size, config.data.normalisation, layer.temperature)


def _recipe(wish: Wish, facts: card.Facts, layer: LastLayer, points: ChosenPoints) -> Recipe:
    data, about = facts.config.data, wish.about
    added = tuple((str(part["heading"]), str(part["text"])) for part in about.get("sections", []))
    return Recipe(
        name=wish.name,
        version=wish.version,
        made=wish.made,
        preparation=data.preparation,
        input_size=facts.evaluation.input_size,
        normalisation=data.normalisation,
        slice_rule=data.slice_rule,
        temperature=layer.temperature,
        half=wish.half,
        sections=(*card.sections(facts), *added),
        operating_points=points.usable,
        not_set=points.not_set,
        training_data=card.merged(card.training_data(facts), about, "training_data"),
        measured=card.merged(card.measured(facts), about, "measured"),
        licences=card.merged(card.licences(facts), about, "licences"),
        notes=card.merged(card.notes(facts), about, "notes"),
    )


def _record(
    wish: Wish, facts: card.Facts, layer: LastLayer, points: ChosenPoints, record: Mapping[str, Any]
) -> dict[str, object]:
    kept = ("config_sha256", "manifest_sha256", "selected_by", "best", "best_at", "units", "tune", "torch")
    shown = replace(facts.evaluation, whole_scans=facts.evaluation.whole_scans[:SCANS_RECORDED])
    return {
        "training": {
            **{name: plain(record.get(name)) for name in kept},
            "without": list(facts.config.data.without),
            "earlier_runs": [_earlier(folder) for folder in wish.earlier],
        },
        "last_layer": plain(layer),
        "operating_point_details": plain(list(points.details)),
        "evaluation": plain(shown),
        "agreement_on_tune": asdict(facts.agreement),
        "sources": plain(list(facts.sources)),
    }


def _earlier(folder: Path) -> dict[str, object]:
    config, record = read_run(folder)
    return {
        "name": config.name,
        "start": config.start.kind,
        "config_sha256": record.get("config_sha256"),
        "manifest_sha256": record.get("manifest_sha256"),
    }
