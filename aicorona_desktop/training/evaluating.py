"""What a network is worth on prepared slices: within sources, against changes of the picture, pooled, scan by scan.

A checkpoint and a pack go the same way; a pack's ONNX file is run as the program runs it, one slice at a time.
Probabilities are those after the pack's temperature.
"""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.evaluation.bootstrap import ROUNDS, Interval
from aicorona_desktop.evaluation.calibration import (
    Temperature,
    expected_calibration_error,
    fit_temperature,
    log_loss,
)
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.intervals import shown
from aicorona_desktop.evaluation.metrics import confusion, macro_auc, recalls, table_accuracy
from aicorona_desktop.evaluation.within_source import (
    STRICT_QUESTIONS,
    SourceGuess,
    SourceQuestion,
    WithinSource,
    source_guess,
    within_source,
)
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.scorer.network import OnnxNetwork
from aicorona_desktop.training.checkpoint import TrainingError
from aicorona_desktop.training.config import Config, Data, config_of
from aicorona_desktop.training.graph import NORMALISATIONS
from aicorona_desktop.training.loop import RUN
from aicorona_desktop.training.measuring import Answers, answers_of, questions_for
from aicorona_desktop.training.network import EfficientNetB3
from aicorona_desktop.training.robustness import Robustness, grey_spread, scan_differences, window_spread
from aicorona_desktop.training.starts import read_weights
from aicorona_desktop.training.store import NOT_COVID, Store, Unit

MOST_SCANS: Final = 24  # whose windows and ways are compared: each is scored several times
MOST_PICTURES: Final = 142
SCANS_LISTED: Final = 24
POOLED_NOTE: Final = "pooled over sources, which flatters: class and source go together"

Told = Callable[[str], None]


# --- networks ----------------------------------------------------------------------------------------------------


class Single(nn.Module):  # type: ignore[misc] # torch has no types here
    """A network that computes in 32 bits whatever surrounds it: as it will be exported."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.classifier = network.classifier
        self.eval()  # the whole of it: `answers_of` leaves a network in the mode that it had

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last map [n, channels, h, w] of normalised slices [n, 3, h, w]."""
        with torch.autocast(x.device.type, enabled=False):
            return self.network.features(x.float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [n, 3]."""
        return self.classifier(self.features(x).mean((2, 3)))


class Exported(nn.Module):  # type: ignore[misc] # torch has no types here
    """A pack's ONNX file in the place of a network; its last map is one position, the features."""

    def __init__(self, model: bytes, bias: Triple, size: int, normalisation: str, temperature: float = 1.0) -> None:
        super().__init__()
        self._session = OnnxNetwork(model, "cpu", size, 1)
        self._constants = NORMALISATIONS[normalisation]
        self.temperature = temperature
        weight = torch.from_numpy(_classifier_weight(model))
        self.classifier = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            self.classifier.weight.copy_(weight / temperature)
            self.classifier.bias.copy_(torch.tensor(bias) / temperature)
        self.eval()

    def run(self, prepared: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return maps [3, h, w] and features [1536] of a prepared slice [1, s, s] in 0...255."""
        return self._session.run(prepared)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return features [n, 1536, 1, 1] of normalised slices; the file wants them as they were before."""
        grey = (x[:, :1].float() * self._constants.deviation[0] + self._constants.mean[0]) * 255
        slices = grey.clamp(0, 255).contiguous().numpy()
        return torch.from_numpy(np.stack([self.run(one)[1] for one in slices]))[:, :, None, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [n, 3], divided by the temperature."""
        return self.classifier(self.features(x)[:, :, 0, 0])


def _classifier_weight(model: bytes) -> NDArray[np.float32]:
    for tensor in onnx.load_model_from_string(model).graph.initializer:
        if tensor.name == "classifier.weight":
            weight: NDArray[np.float32] = onnx.numpy_helper.to_array(tensor)[:, :, 0, 0].copy()
            return weight
    raise TrainingError("The pack's model has no classifier of a name that is known here.")


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is to be evaluated: a network, what it is called, and how its slices are prepared."""

    name: str
    network: Any
    data: Data
    size: int


def network_of(weights: Path) -> EfficientNetB3:
    """Return the network of a checkpoint with timm's names, in evaluation mode.

    Raises:
        TrainingError: the file can't be read, or is another network.
    """
    network = EfficientNetB3()
    try:
        network.load_state_dict(read_weights(weights))
    except RuntimeError as error:
        raise TrainingError("The file of weights is not an EfficientNet-B3 with three classes.") from error
    network.eval()
    return network


def checkpoint_subject(weights: Path, config: Config, size: int = 0) -> Subject:
    """Return a checkpoint with the preparation of its run.

    Raises:
        TrainingError: the file can't be read, or is another network.
    """
    network = Single(network_of(weights).to(memory_format=torch.channels_last))
    return Subject(weights.parent.name or config.name, network, config.data, size or size_of(config))


def pack_subject(pack: Pack) -> Subject:
    """Return a pack, run from its ONNX file."""
    data = Data(preparation=pack.preparation, normalisation="grey", slice_rule=pack.slice_rule)
    exported = Exported(pack.model_bytes(), pack.bias, pack.input_size, data.normalisation, pack.temperature)
    return Subject(pack.title, exported, data, pack.input_size)


def size_of(config: Config) -> int:
    """Return the input size that a run was selected at: that of the selection, else of its last stage."""
    return config.selection.size or config.stages[-1].size


def read_run(folder: Path) -> tuple[Config, dict[str, Any]]:
    """Return the config of a finished run, and all that its `run.json` says.

    Raises:
        TrainingError: the run is not finished, or the file is damaged.
        ConfigError: its config is not one of this version.
    """
    try:
        values = json.loads((folder / RUN).read_text("utf-8"))
        config = values["config"]
    except FileNotFoundError as error:
        raise TrainingError(f"There is no {RUN} in the folder of the run; it is not finished.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"The {RUN} of the run can't be read.") from error
    return config_of(config), values


# --- what is measured --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pooled:
    """Figures over all units whose class is known, whatever their source: they flatter."""

    units: int
    confusion: tuple[tuple[int, ...], ...]  # true class (rows), called class (columns)
    accuracy: float
    recalls: tuple[float, ...]
    macro_auc: float
    calibration_error: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class ScanAnswer:
    """One whole scan; named by its line in the manifest, which says nothing of the person."""

    line: int
    source: str
    split: str
    kind: str  # hounsfield or picture
    label: str
    slices: int
    probabilities: Triple


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of one network on one split; None or NaN where the data can't answer."""

    model: str
    preparation: str
    normalisation: str
    slice_rule: str
    input_size: int
    split: str
    manifest_sha256: str
    units: int
    scans: int
    slices: int
    subjects: int
    pairs: WithinSource | None  # by p of the two classes asked for
    strict: WithinSource | None  # by p(covid) against both others, where negatives are known only as not covid
    source: SourceGuess | None
    robustness: Robustness
    robustness_scans: int
    pooled: Pooled | None
    temperature: Temperature | None
    temperature_level: str
    whole_scans: tuple[ScanAnswer, ...]


def evaluate(
    subject: Subject,
    store: Store,
    *,
    split: str = "tune",
    rounds: int = ROUNDS,
    seed: int = 0,
    told: Told = lambda _what: None,
) -> Evaluation:
    """Measure a network on one split of a store.

    Scans of all splits serve for the window and the way that pictures came, for these ask no label.

    Raises:
        TrainingError: the split is empty.
    """
    data, units = subject.data, store.units(split, subject.data.slice_rule)
    if not units:
        raise TrainingError(f"There are no slices in the split {split!r}.")
    told(f"scoring {len(units)} units of {split}")
    answers = answers_of(subject.network, store, units, data, subject.size)
    told("intervals, and the guess of the source")
    pairs = within(answers, questions_for(units), rounds, seed)
    strict = within(answers, answerable(STRICT_QUESTIONS, units), rounds, seed)
    guess = _source_guess(answers, seed)
    told("windows, greys, DICOM against pictures")
    scans = compared_scans(store, data.slice_rule, seed)
    robust = _robustness(subject, store, scans, units, seed)
    temperature, level = _temperature(answers)
    return Evaluation(
        model=subject.name,
        preparation=data.preparation,
        normalisation=data.normalisation,
        slice_rule=data.slice_rule,
        input_size=subject.size,
        split=split,
        manifest_sha256=store.manifest_sha256,
        units=len(units),
        scans=sum(bool(unit.scan) for unit in units),
        slices=sum(len(unit.slices) for unit in units),
        subjects=len({unit.subject for unit in units}),
        pairs=pairs,
        strict=strict,
        source=guess,
        robustness=robust,
        robustness_scans=len(scans),
        pooled=pooled(answers),
        temperature=temperature,
        temperature_level=level,
        whole_scans=tuple(_scan_answers(subject, store, answers, scans)),
    )


def within(
    answers: Answers, questions: Sequence[SourceQuestion], rounds: int = ROUNDS, seed: int = 0
) -> WithinSource | None:
    """Return AUCs within sources with intervals by subject; None where there is no question."""
    if not questions:
        return None
    labels = [_raw(unit) for unit in answers.units]
    sources, subjects = [unit.source for unit in answers.units], [unit.subject for unit in answers.units]
    return within_source(
        answers.probabilities, labels, sources, subjects, questions=questions, rounds=rounds, seed=seed
    )


def answerable(questions: Sequence[SourceQuestion], units: Sequence[Unit]) -> tuple[SourceQuestion, ...]:
    """Return the questions that have rows of every label they name."""
    there = {(unit.source, _raw(unit)) for unit in units}
    return tuple(
        one for one in questions if all((one.source, label) in there for label in (*one.negatives, *one.positives))
    )


def _raw(unit: Unit) -> str:
    return "normal" if unit.label == NOT_COVID else unit.label


def known_classes(answers: Answers) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return which units have one class, and the class of each of these."""
    labels = np.array([CLASSES.index(unit.label) if unit.label in CLASSES else -1 for unit in answers.units], np.intp)
    return labels >= 0, labels[labels >= 0]


def pooled(answers: Answers) -> Pooled | None:
    """Return the figures over all sources; None where no unit has a known class."""
    known, truth = known_classes(answers)
    if not known.any():
        return None
    probabilities, logits = answers.probabilities[known], answers.logits[known]
    calls = probabilities.argmax(1)
    table = confusion(truth.tolist(), calls.tolist())
    return Pooled(
        units=len(truth),
        confusion=tuple(tuple(int(count) for count in row) for row in table),
        accuracy=table_accuracy(table),
        recalls=recalls(table),
        macro_auc=macro_auc(probabilities, truth),
        calibration_error=expected_calibration_error(probabilities.max(1), calls == truth),
        log_loss=log_loss(logits, [[int(one)] for one in truth]),
    )


def possible_classes(unit: Unit) -> tuple[int, ...]:
    """Return the places of the classes that a unit may have: one, or both that are not covid."""
    if unit.label in CLASSES:
        return (CLASSES.index(unit.label),)
    return tuple(place for place, name in enumerate(CLASSES) if name != "covid")


def compared_scans(store: Store, slice_rule: str, seed: int) -> list[Unit]:
    """Return the scans that are scored in several ways: all, or a seeded choice of whole subjects."""
    splits = sorted({record.split for record in store.records})
    by_subject: dict[str, list[Unit]] = {}
    for unit in (unit for split in splits for unit in store.units(split, slice_rule) if unit.scan):
        by_subject.setdefault(unit.subject, []).append(unit)
    subjects = list(by_subject)
    random.Random(seed).shuffle(subjects)  # noqa: S311 - a choice of examples, not a secret
    chosen: list[Unit] = []
    for subject in subjects:
        if len(chosen) + len(by_subject[subject]) <= MOST_SCANS:
            chosen += by_subject[subject]
    return chosen


def _source_guess(answers: Answers, seed: int) -> SourceGuess | None:
    sources, subjects = [unit.source for unit in answers.units], [unit.subject for unit in answers.units]
    try:
        return source_guess(answers.features, sources, subjects, seed=seed)
    except EvaluationError:
        return None


def _robustness(subject: Subject, store: Store, scans: Sequence[Unit], units: Sequence[Unit], seed: int) -> Robustness:
    pictures = [unit for unit in units if not unit.scan and store.records[unit.slices[0]].kind == "picture"]
    random.Random(seed).shuffle(pictures)  # noqa: S311 - a choice of examples, not a secret
    network, data, size = subject.network, subject.data, subject.size
    differences = scan_differences(network, store, data, size, scans)
    return Robustness(
        window_spread(network, store, data, size, scans),
        grey_spread(network, store, data, size, pictures[:MOST_PICTURES]),
        float(np.mean(differences)) if differences else math.nan,
        max(differences, default=math.nan),
    )


def _temperature(answers: Answers) -> tuple[Temperature | None, str]:
    """Return the temperature that fits the split best, on scans where there are any, and which of the two it was."""
    places = [at for at, unit in enumerate(answers.units) if unit.scan]
    level = "scans" if places else "single slices"
    chosen = places or list(range(len(answers.units)))
    try:
        return fit_temperature(answers.logits[chosen], [possible_classes(answers.units[at]) for at in chosen]), level
    except EvaluationError:
        return None, level


def _scan_answers(subject: Subject, store: Store, answers: Answers, scans: Sequence[Unit]) -> Iterator[ScanAnswer]:
    """Yield the scans of the split, then the compared ones of other splits."""
    yield from _answers_of_scans(store, answers)
    measured = {unit.scan for unit in answers.units}
    others = [unit for unit in scans if unit.scan not in measured]
    if others:
        yield from _answers_of_scans(store, answers_of(subject.network, store, others, subject.data, subject.size))


def _answers_of_scans(store: Store, answers: Answers) -> Iterator[ScanAnswer]:
    for unit, (normal, pneumonia, covid) in zip(answers.units, answers.probabilities.tolist(), strict=True):
        if unit.scan:
            record = store.records[unit.slices[0]]
            yield ScanAnswer(
                record.row,
                unit.source,
                record.split,
                record.kind,
                unit.label,
                len(unit.slices),
                (normal, pneumonia, covid),
            )


# --- what is written ---------------------------------------------------------------------------------------------


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write `evaluation.json` and `evaluation.txt`.

    Raises:
        TrainingError: they could not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(plain(evaluation), indent=1, allow_nan=False) + "\n"
        write_file(folder / "evaluation.json", text.encode())
        write_file(folder / "evaluation.txt", table(evaluation).encode())
    except OSError as error:
        raise TrainingError("The evaluation could not be written; is the disk full or the folder closed?") from error


def plain(value: Any) -> Any:
    """Return values as JSON has them; what is undefined becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def table(evaluation: Evaluation) -> str:
    """Return the figures as lines of text for a person."""
    return "\n".join(_lines(evaluation)) + "\n"


def auc_lines(answer: WithinSource | None) -> list[str]:
    """Return one line a question: its AUC, its interval, what stands behind it; last the mean."""
    if answer is None:
        return ["  no source has rows of two kinds"]
    lines = [
        f"  {one.question.name}: {shown(one.auc)}, n {one.negatives} and {one.positives}, {one.subjects} subjects"
        for one in answer.answers
    ]
    return [*lines, f"  mean: {shown(answer.mean)}"]


def _lines(evaluation: Evaluation) -> Iterator[str]:
    yield (
        f"{evaluation.model} on {evaluation.split}: {evaluation.units} units ({evaluation.scans} scans), "
        f"{evaluation.slices} slices, {evaluation.subjects} subjects"
    )
    yield f"{evaluation.preparation}, {evaluation.slice_rule}, {evaluation.input_size} pixels"
    yield ""
    yield "Area under the ROC curve within one source (95 %, bootstrap by subject), by the two classes asked for"
    yield from auc_lines(evaluation.pairs)
    if evaluation.strict is not None:
        yield "The same by p(covid) against both others where negatives are known only as not covid"
        yield from auc_lines(evaluation.strict)
    if evaluation.source is not None:
        yield (
            f"Source guessed from the features: {evaluation.source.balanced_accuracy:.2f} "
            f"(chance {evaluation.source.chance:.2f}, {len(evaluation.source.sources)} sources)"
        )
    yield from _robust_lines(evaluation)
    yield from _pooled_lines(evaluation.pooled)
    if evaluation.temperature is not None:
        yield (
            f"Temperature that fits {evaluation.temperature_level} best: {evaluation.temperature.value:.2f} "
            f"(log loss {evaluation.temperature.loss_before:.3f} to {evaluation.temperature.loss_after:.3f})"
        )
    if evaluation.whole_scans:
        yield "Whole scans, p(normal) p(cp) p(covid); those of train were trained on"
        for scan in evaluation.whole_scans[:SCANS_LISTED]:
            numbers = " ".join(f"{one:.2f}" for one in scan.probabilities)
            place = f"line {scan.line} {scan.source} ({scan.split}, {scan.kind}, {scan.slices} slices)"
            yield f"  {place} {scan.label}: {numbers}"


def _robust_lines(evaluation: Evaluation) -> Iterator[str]:
    robust = evaluation.robustness
    figures = (
        ("mean change of p over five windows in Hounsfield units", robust.windows),
        ("mean change of p over four changes of grey", robust.greys),
        ("mean change of p, DICOM against pictures of the same scan", robust.parity),
        ("worst of these scans", robust.parity_worst),
    )
    for name, value in figures:
        yield f"{name}: {'-' if math.isnan(value) else f'{value:.4f}'}"


def _pooled_lines(figures: Pooled | None) -> Iterator[str]:
    if figures is None:
        return
    yield f"Confusion, {POOLED_NOTE} (true class: called {', '.join(CLASSES)})"
    for name, row, recall in zip(CLASSES, figures.confusion, figures.recalls, strict=True):
        yield f"  {name}: {' '.join(map(str, row))}{'' if math.isnan(recall) else f' ({recall:.2f} called so)'}"
    yield (
        f"  accuracy {figures.accuracy:.3f}, macro AUC {figures.macro_auc:.3f}, expected calibration error "
        f"{figures.calibration_error:.3f}, log loss {figures.log_loss:.3f}"
    )


def interval_text(interval: Interval) -> str:
    """Return 0.88 [0.80, 0.95], as cards have it."""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
