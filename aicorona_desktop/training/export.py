"""From a network to a model pack: graph, proof, known answer, card, all written at once or not at all.

Source: performance.md 9; training.md 7 and 9; design D4, D5, D7, D9.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from aicorona_desktop.core.durable import sync_folder, write_file
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.model import pack as packs
from aicorona_desktop.model.description import DESCRIPTION_FILE
from aicorona_desktop.model.novelty import training_distances
from aicorona_desktop.model.onnx_check import FEATURE_LENGTH, check_model
from aicorona_desktop.model.preprocess import prepare
from aicorona_desktop.model.providers import cosine
from aicorona_desktop.model.score import contribution_of
from aicorona_desktop.model.scorer.network import OnnxNetwork
from aicorona_desktop.training.graph import (
    NORMALISATIONS,
    ExportError,
    HalfReport,
    Normalisation,
    Weights,
    build_graph,
    half_report,
)
from aicorona_desktop.training.network import ARCHITECTURE, EfficientNetB3, untrained

PHANTOM_PX: Final = 256

Slices = NDArray[np.float32]


# --- the proof ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """How far the exported graph is from the network it was made of, worst over some slices, rounded for print.

    The reference is PyTorch in 64 bits with nothing folded. Errors of the maps are in parts of the largest
    |cam|, those of the logits in parts of the largest |logit| where that is above 1. "Border" is the outermost
    ring of positions, where a wrong fold of the padding would show.
    """

    slices: int
    features_cosine_below_one: float  # 1 - cosine
    cam_error_border: float
    cam_error_inside: float
    logit_error: float
    identity_error: float  # of logit = mean(cam) + bias against logit = classifier(features of the same graph)

    def check(self, *, half: bool) -> None:
        """Refuse a graph that isn't its network.

        Raises:
            ExportError: an error is larger than rounding explains.
        """
        no_worse = max(4 * self.cam_error_inside, 1e-5)  # a border that is padded wrongly is off by 0.1
        limits = (
            (self.features_cosine_below_one, 1e-4 if half else 1e-6, "features"),
            (self.cam_error_border, no_worse, "maps at the border"),
            (self.logit_error, 1e-2 if half else 1e-4, "logits"),
            (self.identity_error, 1e-4, "mean of the maps"),
        )
        for found, limit, what in limits:
            if not found <= limit:
                raise ExportError(f"The exported graph is not the network: its {what} are off by {found:.1e}.")


def prove(model: bytes, network: EfficientNetB3, normalisation: Normalisation, slices: Slices) -> Proof:
    """Compare the exported graph with its network on slices [n, 1, h, w] in 0...255."""
    exported = OnnxNetwork(model, "cpu", slices.shape[-1], 1)
    exact = copy.deepcopy(network).double().eval()
    comparisons = [_compared(exported, exact, normalisation, one) for one in slices]
    return Proof(len(slices), *(float(f"{worst:.1e}") for worst in np.max(comparisons, axis=0)))


def proof_slices(input_size: int, preparation: str) -> Slices:
    """Return slices that a wrong fold can't pass: a phantom, plain, in bright frames, inverted; a ramp; black."""
    chest = prepare(phantom_slice(), preparation, input_size)[0]
    framed, half_framed = chest.copy(), chest.copy()
    framed[:9], framed[-9:], framed[:, :9], framed[:, -9:] = 255, 255, 255, 255
    half_framed[-5:], half_framed[:, -5:] = 255, 255
    ramp = np.broadcast_to(np.linspace(0, 255, input_size, dtype=np.float32), chest.shape)
    return np.stack((chest, framed, half_framed, 255 - chest, ramp, np.zeros_like(chest)))[:, None]


def phantom_slice() -> NDArray[np.int16]:
    """Return the known slice of new packs: a phantom of numbers, [256, 256] in Hounsfield units."""
    return Thorax(slices=24, matrix=PHANTOM_PX, ground_glass=0.4, noise_hu=4.0).slice(12)


def _compared(
    exported: OnnxNetwork, exact: EfficientNetB3, normalisation: Normalisation, one: Slices
) -> tuple[float, ...]:
    cam, features = (answer[None] for answer in exported.run(one))
    with torch.no_grad():
        last = exact.features(_normalised(one[None], normalisation).double())
        weight, bias = exact.classifier.weight, exact.classifier.bias
        expected = torch.einsum("kc,nchw->nkhw", weight, last).numpy()
        pooled = last.mean((2, 3))
        logits = exact.classifier(pooled).numpy()
        own = (torch.from_numpy(features).double() @ weight.T + bias).numpy()
    if cam.shape != expected.shape:
        raise ExportError("The exported graph is not the network: its maps have another size.")
    found = cam.astype(np.float64).mean((2, 3)) + bias.detach().numpy()
    unit = max(1.0, float(np.abs(logits).max()))
    error = np.abs(cam - expected) / np.abs(expected).max()
    ring = np.ones(error.shape[2:], bool)
    ring[1:-1, 1:-1] = False
    inside = error[..., ~ring].max() if not ring.all() else error.max()
    return (
        1 - cosine(features[0], pooled.numpy()[0]),
        float(error[..., ring].max()),
        float(inside),
        float(np.abs(found - logits).max()) / unit,
        float(np.abs(found - own).max()) / unit,
    )


def _normalised(slices: Slices, normalisation: Normalisation) -> torch.Tensor:
    mean = torch.tensor(normalisation.mean)[None, :, None, None]
    deviation = torch.tensor(normalisation.deviation)[None, :, None, None]
    return (torch.from_numpy(slices) / 255 - mean) / deviation


# --- what the training data look like ----------------------------------------------------------------------------


def feature_statistics(
    model: bytes, train: Slices, tune: Slices, origin: str, components: int = 64
) -> packs.FeatureStatistics:
    """Return mean and main directions of the training slices' features, and the limit that one in a hundred passes.

    Features are scaled to length 1 first: how long they are says how sure the network is more than what it sees.
    Variances outside the main directions are replaced by their mean, which is the shrinkage. Slices are prepared,
    [n, 1, h, w] in 0...255; the limit is the 99th percentile over single slices of `tune`, more than the mean over
    a study's slices needs, as there are no studies to take it from.
    """
    exported = OnnxNetwork(model, "cpu", train.shape[-1], 1)
    features = _features(exported, train).astype(np.float64)
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    mean = directions.mean(0)
    count = min(components, len(directions) - 2)
    _, singular, rows = np.linalg.svd(directions - mean, full_matrices=False)
    variances = np.square(singular) / (len(directions) - 1)
    main = rows[:count]
    main *= np.sign(main[np.arange(count), np.abs(main).argmax(1)])[:, None]  # the same sign on every machine
    unlimited = packs.FeatureStatistics(
        mean.astype(np.float32),
        main.astype(np.float32),
        variances[:count].astype(np.float32),
        float(variances[count:].sum() / (FEATURE_LENGTH - count)),
        1.0,
        origin,
        unit_length=True,
    )
    distances = training_distances(unlimited, _features(exported, tune))
    return replace(unlimited, limit=float(np.percentile(distances, 99)))


def _features(exported: OnnxNetwork, slices: Slices) -> NDArray[np.float32]:
    return np.stack([exported.run(one.astype(np.float32))[1] for one in slices])


# --- the pack ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a pack is besides its weights; everything here ends in model.json or in the card."""

    name: str
    version: str
    made: date
    preparation: str
    input_size: int
    normalisation: str
    status: str = "research"
    slice_rule: str = "middle(0.5)"
    temperature: float = 1.0
    half: bool = True
    training_data: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sections: tuple[tuple[str, str], ...] = ()  # heading and text, for the card
    operating_points: tuple[packs.OperatingPoint, ...] = ()
    not_set: str = "Not set: the list is ordered, no study is called positive."  # why there is no operating point
    record: Mapping[str, object] = field(default_factory=dict)  # more for model.json: hashes, tables
    files: Mapping[str, bytes] = field(default_factory=dict)  # more for the folder, with their hashes in model.json


def export_pack(
    out: Path, recipe: Recipe, network: EfficientNetB3, statistics_slices: tuple[Slices, Slices, str] | None = None
) -> packs.Pack:
    """Write the pack's folder NAME-VERSION into `out`, prove it, and return it as the program loads it.

    The same recipe and weights give the same `model.onnx` everywhere, and the same folder on one machine.

    Args:
        out: the folder of packs.
        recipe: what the pack says of itself.
        network: the trained network.
        statistics_slices: prepared slices of the train and tune splits, and their origin in words.

    Raises:
        ExportError: the graph isn't the network, or there is such a pack already: a pack never changes.
        PackError: the pack doesn't load.
    """
    final = check_names(out, recipe.name, recipe.version)
    weights = {name: values.numpy() for name, values in network.state_dict().items()}
    normalisation = NORMALISATIONS[recipe.normalisation]
    model = model_bytes(weights, normalisation, recipe.input_size, half=recipe.half)
    proof = prove(model, network, normalisation, proof_slices(recipe.input_size, recipe.preparation))
    proof.check(half=recipe.half)
    statistics = None if statistics_slices is None else feature_statistics(model, *statistics_slices)
    bias = tuple(float(value) for value in weights["classifier.bias"])
    description = _description(recipe, model, bias, proof, half_report(weights))
    card = _card(recipe, description, statistics).encode()
    files = {packs.MODEL_FILE: model, packs.CARD_FILE: card, **recipe.files}
    if statistics is not None:
        rows = np.vstack((statistics.mean, statistics.components))
        files[packs.STATISTICS_FILE] = rows.astype("<f4").tobytes()
        description["feature_statistics"] = _statistics_part(statistics)
    description["sha256"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    description["size_bytes"] = {name: len(content) for name, content in files.items()}
    files[DESCRIPTION_FILE] = (json.dumps(description, indent=1, ensure_ascii=False) + "\n").encode()
    _write_folder(final, files)
    return packs.load_pack(final)


def check_names(out: Path, name: str, version: str) -> Path:
    """Return the folder that a pack will have.

    Raises:
        ExportError: names that the program would refuse, or there is such a pack already: a pack never changes.
    """
    if not (packs.NAME.fullmatch(name) and packs.VERSION.fullmatch(version)):
        raise ExportError("A pack's name is small letters and hyphens; its version is numbers and dots.")
    final = out / f"{name}-{version}"
    if final.exists():
        raise ExportError("There is a pack of this name and version already; give it another version.")
    return final


def model_bytes(weights: Weights, normalisation: Normalisation, input_size: int, *, half: bool = True) -> bytes:
    """Return the ONNX file; equal weights give equal bytes."""
    model = build_graph(weights, normalisation, input_size, half=half).SerializeToString(deterministic=True)
    check_model(model)
    return cast("bytes", model)


def load_network(checkpoint: Path) -> EfficientNetB3:
    """Return the network of a safetensors file with timm's names, in evaluation mode.

    Raises:
        ExportError: the file can't be read or holds other weights.
    """
    try:
        stored = load_file(checkpoint)
        network = EfficientNetB3()
        network.load_state_dict({name: values.float() for name, values in stored.items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ExportError(
            "The checkpoint can't be read, or is not one of EfficientNet-B3 with three classes."
        ) from error
    network.eval()
    return network


def untrained_network(seed: int, normalisation: Normalisation) -> EfficientNetB3:
    """Return random weights calibrated on phantom slices: for tests of the program, never for people."""
    thorax = Thorax(slices=8, matrix=96, slice_spacing_mm=24.0, ground_glass=0.3)
    slices = np.stack([prepare(thorax.slice(index), "paper-1", 96) for index in range(thorax.slices)])
    return untrained(seed, _normalised(slices, normalisation))


def _description(
    recipe: Recipe, model: bytes, bias: tuple[float, ...], proof: Proof, halves: HalfReport
) -> dict[str, object]:
    known = phantom_slice()
    picture = prepare(known, recipe.preparation, recipe.input_size)
    cam, features = OnnxNetwork(model, "cpu", recipe.input_size, 1).run(picture)  # as the scorer will run it
    tolerance = {"features_cosine": 0.9999, "logit_difference": 1e-2}
    near = {"features_cosine": 0.99999, "logit_difference": 1e-3}
    divisible = recipe.input_size % 32 == 0
    return {
        "schema": packs.SCHEMA,
        "name": recipe.name,
        "version": recipe.version,
        "made": recipe.made.isoformat(),
        "status": recipe.status,
        "status_text": packs.STATUSES[recipe.status],
        "sha256": {},
        "size_bytes": {},
        "architecture": ARCHITECTURE,
        "input_size": recipe.input_size,
        "padding_right_for": "sizes divisible by 32" if divisible else f"{recipe.input_size} pixels only",
        "input_range": [0, 255],
        "normalisation_folded_in": asdict(NORMALISATIONS[recipe.normalisation]),
        "classes": list(CLASSES),
        "bias": bias,
        "feature_length": FEATURE_LENGTH,
        "slice_rule": recipe.slice_rule,
        "preparation": recipe.preparation,
        "temperature": recipe.temperature,
        "operating_points": [asdict(point) for point in recipe.operating_points],
        "tolerances": {"default": tolerance, "cpu": near, "cuda": tolerance, "directml": tolerance},
        "feature_statistics": None,
        "known_slice": {
            "rows": known.shape[0],
            "columns": known.shape[1],
            "int16_zlib_base64": _packed(known.astype("<i2")),
        },
        "known_answer": {
            "contribution": contribution_of(cam),
            "cam_float32_zlib_base64": _packed(cam.astype("<f4")),
            "features_float32_zlib_base64": _packed(features.astype("<f4")),
        },
        "weights_stored_as": "float16, with the float32 scale of their batch-norm" if recipe.half else "float32",
        "largest_weight": halves.largest,
        "share_of_weights_below_float16_normal": float(f"{halves.share_below_normal:.2g}"),
        "proof": asdict(proof),
        "training_data": recipe.training_data,
        "measured": recipe.measured,
        "licences": recipe.licences,
        "notes": recipe.notes,
        **recipe.record,
    }


def _statistics_part(statistics: packs.FeatureStatistics) -> dict[str, object]:
    return {
        "unit_length": statistics.unit_length,
        "variances": [float(value) for value in statistics.variances],
        "residual_variance": statistics.residual_variance,
        "limit": statistics.limit,
        "origin": statistics.origin,
    }


def _card(recipe: Recipe, description: Mapping[str, object], statistics: packs.FeatureStatistics | None) -> str:
    proof = cast("dict[str, float]", description["proof"])
    points = [f"p(covid) >= {point.threshold:g}: {point.method}, {point.origin}" for point in recipe.operating_points]
    distance = "None: this pack can't say whether a study is unlike its training data."
    if statistics is not None:
        distance = f"Limit {statistics.limit:.1f}. {statistics.origin}"
    sections = [
        *recipe.sections,
        ("Trained on", _listed(recipe.training_data)),
        ("Measured", _listed(recipe.measured)),
        ("Limits", _listed(recipe.notes)),
        ("Licences", _listed(recipe.licences)),
        ("Operating point", _listed(tuple(points)) if points else recipe.not_set),
        ("Unlike the training data", distance),
        (
            "Input and answer",
            f"Axial slices in Hounsfield units; slices chosen by `{recipe.slice_rule}`, prepared by "
            f"`{recipe.preparation}` at {recipe.input_size} x {recipe.input_size} pixels. {ARCHITECTURE}, classes "
            f"{', '.join(CLASSES)}; logits are the mean over slices of the maps' means, plus the bias; probabilities "
            f"at temperature {recipe.temperature:g}.",
        ),
        (
            "The file against the network it was made of",
            f"Worst of {proof['slices']} made-up slices, some with bright borders, against PyTorch in 64 bits: "
            f"1 - cosine of the features {proof['features_cosine_below_one']:.0e}, error of the maps at the border "
            f"{proof['cam_error_border']:.0e} and inside {proof['cam_error_inside']:.0e} of the largest value, "
            f"error of the logits {proof['logit_error']:.0e}.",
        ),
    ]
    title = f"# {recipe.name} {recipe.version}\n\n**{packs.STATUSES[recipe.status].capitalize()}.**"
    return "\n\n".join([title, *(f"## {heading}\n\n{text.strip()}" for heading, text in sections)]) + "\n"


def _listed(texts: tuple[str, ...]) -> str:
    return "\n".join(f"- {text}" for text in texts) or "Nothing."


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode("ascii")


def _write_folder(final: Path, files: Mapping[str, bytes]) -> None:
    """Write under a temporary name, force everything to the disk, then rename: a pack is there whole or not at all."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        for name, content in files.items():
            write_file(temporary / name, content)
        packs.load_pack(temporary)
        temporary.chmod(0o755)
        temporary.rename(final)
        sync_folder(final.parent)
    except OSError as error:
        raise ExportError("The pack could not be written; is the disk full?") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
