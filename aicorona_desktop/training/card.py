"""The words of a pack's card: what it is for, where it comes from, what it reached, what nobody knows of it.

Everything is said from the manifest, the run and the measurement; nothing is promised.

Source: training.md 9.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.manifest import ManifestRow
from aicorona_desktop.evaluation.within_source import WithinSource
from aicorona_desktop.training.config import Config, Start
from aicorona_desktop.training.evaluating import SCANS_LISTED, Evaluation, ScanAnswer, interval_text
from aicorona_desktop.training.store import NOT_COVID, SliceRecord

_NAMED_LICENCE: Final = re.compile(r"\bCC|\bApache|\bMIT\b|\bBSD\b|public domain", re.IGNORECASE)
_NO_DERIVATIVES: Final = re.compile(r"\bND\b|no.?deriv", re.IGNORECASE)
_NON_COMMERCIAL: Final = re.compile(r"\bNC\b|non.?commercial", re.IGNORECASE)
_NOT_STATED: Final = "none stated"

PURPOSE: Final = (
    "Research on ordering a list of chest CT studies by how much they look like COVID-19 to this network. Those who "
    "work with the list are radiologists and researchers who read every study anyway, in studies that were approved "
    "for it."
)
NOT_FOR: Final = (
    "No decision about a person: not to find, exclude, grade or follow disease, not to shorten or skip reading. Not "
    "for children, not for other parts of the body, not for pictures photographed from a screen."
)
VERIFY: Final = (
    "What it reaches at a hospital nobody knows beforehand. Before anyone relies on the order of a list, the hospital "
    "measures this pack on scans of its own, with known answers, of every scanner that it uses; or it trains a pack of "
    "its own on its own data and brings that."
)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The exported file against PyTorch on every slice of the tuning split."""

    slices: int
    lowest_cosine: float  # of the features
    same_top_class: int
    largest_logit_difference: float


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """What one source gave to training and to tuning."""

    source: str
    labels: Mapping[str, int]  # slices of the train split
    subjects: Mapping[str, int]  # subjects of the train split, by label
    weak: int
    train_slices: int
    train_scans: int
    train_subjects: int
    tune_slices: int
    tune_subjects: int
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the card is written from."""

    config: Config
    started_from: str  # in words; "": from what the config says
    sources: tuple[SourceSummary, ...]
    train_subjects: int  # one who is in two sources counts once
    licences: Mapping[str, tuple[str, ...]]  # by source
    evaluation: Evaluation
    agreement: Agreement
    last_layer: str
    not_trained_on: tuple[str, ...]  # sources that it was measured on and never saw
    borders: Mapping[str, float]  # mean share of maps in the outermost ring, by source
    legend: str


def summaries(records: Sequence[SliceRecord]) -> tuple[SourceSummary, ...]:
    """Return what each source gave, by name."""
    return tuple(
        _summary(source, [record for record in records if record.source == source])
        for source in sorted({record.source for record in records})
    )


def _summary(source: str, records: Sequence[SliceRecord]) -> SourceSummary:
    train = [record for record in records if record.split == "train"]
    tune = [record for record in records if record.split == "tune"]
    return SourceSummary(
        source,
        dict(Counter(record.label for record in train)),
        dict(Counter(label for label, _ in {(record.label, record.subject) for record in train})),
        sum(record.quality == "weak" for record in train),
        len(train),
        len({record.scan for record in train if record.scan}),
        len({record.subject for record in train}),
        len(tune),
        len({record.subject for record in tune}),
        tuple(sorted({record.kind for record in records})),
    )


def licences_of(rows: Sequence[ManifestRow], sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the licences that a manifest names for each source, in order of the alphabet."""
    found: dict[str, set[str]] = {source: set() for source in sources}
    for row in rows:
        if row.origin in found:
            found[row.origin].add(_NOT_STATED if row.licence in {"", "nan"} else row.licence)
    return {source: tuple(sorted(texts)) or (_NOT_STATED,) for source, texts in found.items()}


# --- trained on --------------------------------------------------------------------------------------------------


def training_data(facts: Facts) -> tuple[str, ...]:
    """Return where the weights come from and what they saw, source by source."""
    total = sum(one.train_slices for one in facts.sources)
    scans = sum(one.train_scans for one in facts.sources)
    whole = f"{scans} series of them are whole scans" if scans else "none of them is part of a whole scan"
    few = f"All in all {total} slices of {facts.train_subjects} subjects; {whole}. The paper had thousands of scans."
    return (
        f"Start: {facts.started_from or start_text(facts.config.start)}",
        few,
        *(_source_text(one) for one in facts.sources if one.train_slices),
    )


def start_text(start: Start) -> str:
    """Return in words where a run began."""
    if start.kind == "grown":
        return (
            "ImageNet weights of another network, EfficientNet-Lite2, grown into an EfficientNet-B3; not the weights "
            "of the ai-corona paper, and none of its data."
        )
    if start.kind == "random":
        return "random weights; not the weights of the ai-corona paper, and none of its data."
    return "a file of weights that whoever trained it named; where those come from is for them to say."


def _source_text(one: SourceSummary) -> str:
    labels = ", ".join(
        f"{one.labels[label]} {_label_text(label)}" for label in (*CLASSES, NOT_COVID, "") if label in one.labels
    )
    kind = "Hounsfield units" if one.kinds == ("hounsfield",) else "pictures"
    weak = f", {one.weak} of them with weak labels" if one.weak else ""
    scans = f" ({one.train_scans} scans)" if one.train_scans else ""
    return f"{one.source}, {kind}: {one.train_slices} slices{scans} of {one.train_subjects} subjects: {labels}{weak}."


def _label_text(label: str) -> str:
    return {NOT_COVID: "known only as not covid", "": "without a label"}.get(label, label)


# --- measured ----------------------------------------------------------------------------------------------------


def measured(facts: Facts) -> tuple[str, ...]:
    """Return what was reached, with intervals and counts, and what flatters."""
    return tuple(_measured(facts))


def _measured(facts: Facts) -> Iterator[str]:
    found = facts.evaluation
    yield (
        f"On the tuning split, which also chose the weights, so the figures flatter: {found.units} units "
        f"({found.scans} whole scans, the others single slices), {found.subjects} subjects, measured on this pack's "
        f"own file. 95 % intervals by bootstrap over subjects."
    )
    if facts.not_trained_on:
        yield f"Among them are sources that it was not trained on: {', '.join(facts.not_trained_on)}."
    if found.pairs is not None:
        yield f"Area under the ROC curve within one source, by the two classes asked for: {_areas(found.pairs)}."
    else:
        yield "No source of the tuning split has two classes, so nothing can be said that the source does not explain."
    if found.strict is not None and found.strict != found.pairs:
        yield f"The same by p(covid) against both others where that is all that is known: {_areas(found.strict)}."
    if found.source is not None:
        yield (
            f"The source is guessed from the features with a balanced accuracy of "
            f"{found.source.balanced_accuracy:.2f} (chance {found.source.chance:.2f}): what the network still sees of "
            f"where a picture comes from."
        )
    yield from _robust(found)
    yield from _pooled(found)
    if found.temperature is not None:
        yield (
            f"A temperature of {found.temperature.value:.2f} would fit the tuning split's {found.temperature_level} "
            f"best. {facts.last_layer}"
        )
    yield from _scans(found.whole_scans)
    borders = ", ".join(f"{source} {share:.0%}" for source, share in facts.borders.items())
    yield f"Share of the maps in their outermost ring, tuning split, class called: {borders}."
    agreement = facts.agreement
    yield (
        f"The ONNX file against PyTorch with the same weights: most probable class equal in "
        f"{agreement.same_top_class} of {agreement.slices} tuning slices, 1 - cosine of the features at most "
        f"{1 - agreement.lowest_cosine:.0e}, logits within {agreement.largest_logit_difference:.0e}."
    )


def _areas(found: WithinSource) -> str:
    parts = [
        f"{one.question.name} {interval_text(one.auc)} ({one.negatives} and {one.positives}; {one.subjects} subjects)"
        for one in found.answers
    ]
    return f"{'; '.join(parts)}; mean {interval_text(found.mean)}"


def _robust(found: Evaluation) -> Iterator[str]:
    robust = found.robustness
    if not math.isnan(robust.windows):
        yield (
            f"p changes by {robust.windows:.3f} on average over five Hounsfield windows of the same slices "
            f"({found.robustness_scans} scans)"
            + ("" if math.isnan(robust.greys) else f", by {robust.greys:.3f} over four changes of grey of pictures")
            + "."
        )
    if not math.isnan(robust.parity):
        yield (
            f"The same scan read as DICOM and as pictures: p differs by {robust.parity:.3f} on average, "
            f"{robust.parity_worst:.3f} at worst."
        )


def _pooled(found: Evaluation) -> Iterator[str]:
    if found.pooled is None:
        return
    rows = zip(CLASSES, found.pooled.confusion, strict=True)
    calls = ", ".join(f"{name} {row[CLASSES.index(name)]} of {sum(row)}" for name, row in rows if sum(row))
    yield (
        f"Most probable class right, pooled over sources, which flatters as class and source go together: {calls}. "
        f"Expected calibration error {found.pooled.calibration_error:.2f}."
    )


def _scans(scans: Sequence[ScanAnswer]) -> Iterator[str]:
    trained = [scan for scan in scans if scan.split == "train"]
    if not trained or len(trained) > SCANS_LISTED:
        return
    answers = "; ".join(
        f"{_label_text(scan.label)} ({scan.kind}) {' '.join(f'{one:.2f}' for one in scan.probabilities)}"
        for scan in trained
    )
    yield (
        f"Whole scans that it was trained on, p(normal) p(cp) p(covid): {answers}. A check of the way through the "
        f"program, not a result."
    )


# --- limits, licences, sections ----------------------------------------------------------------------------------


def notes(facts: Facts) -> tuple[str, ...]:
    """Return the limits that whoever uses the pack must know."""
    return tuple(_notes(facts))


def _notes(facts: Facts) -> Iterator[str]:
    found = facts.evaluation
    yield "Not validated, not a diagnosis, not a medical device. Every study must be read."
    yield "The ai-corona paper's figures (areas of 0.95 to 0.997, whole scans) are not reached and not claimed."
    if not found.scans:
        yield "How it does on whole scans is unknown: the tuning split has none, and single slices are another thing."
    yield from _one_sided(facts.sources)
    weak = sum(one.weak for one in facts.sources)
    if weak:
        yield f"{weak} training slices have weak labels: they follow from a folder or from the kind of source."
    if any("picture" in one.kinds for one in facts.sources):
        yield (
            "It learnt mostly from pictures of slices; a scanner's slices are another kind of input. What happens on "
            "other scanners, kernels, doses and with contrast is unknown."
        )
    yield "Classes may be unbalanced in sex, age, country, year and scanner; that was not corrected."
    yield (
        "Class-activation maps may light up frames, letters, tables and borders; they show what moved the model "
        "score, not where disease is."
    )


def _one_sided(sources: Sequence[SourceSummary]) -> Iterator[str]:
    """Say of which classes most subjects come from one source, or nobody comes at all."""
    for name in CLASSES:
        counts = {one.source: one.subjects[name] for one in sources if name in one.subjects}
        if not counts:
            yield f"The class {name} was not in the training data: its model score means nothing."
            continue
        most, total = max(counts, key=lambda source: counts[source]), sum(counts.values())
        if counts[most] > total / 2:
            yield (
                f"Most subjects of the class {name} come from one source, {most} ({counts[most]} of {total}): what "
                f"marks the source may be taken for the class."
            )


def licences(facts: Facts) -> tuple[str, ...]:
    """Return under which terms the data came, which of them restrict derivatives, and what can be done about it."""
    return tuple(_licences(facts))


def _licences(facts: Facts) -> Iterator[str]:
    texts = facts.licences
    forbids = sorted(source for source, found in texts.items() if any(map(_NO_DERIVATIVES.search, found)))
    unclear = sorted(source for source, found in texts.items() if not all(map(_NAMED_LICENCE.search, found)))
    commerce = any(_NON_COMMERCIAL.search(text) for found in texts.values() for text in found)
    if forbids or unclear or commerce:
        yield (
            "These weights: non-commercial research only. Whether weights trained on such data may be handed on at "
            "all is not settled; ask the owners before you do."
        )
    else:
        yield "These weights: research only."
    if forbids:
        yield f"Licences that restrict derivatives: {', '.join(forbids)}."
    if unclear:
        yield f"No licence stated for some or all of: {', '.join(unclear)}."
    yield (
        "`python -m aicorona_desktop.training train --without SOURCE` trains without any one source; this pack was "
        f"trained without: {', '.join(facts.config.data.without) or 'none left out'}."
    )
    for source, found in sorted(texts.items()):
        yield f"{source}: {'; '.join(found)}."
    if facts.config.start.kind == "grown":
        yield "EfficientNet-Lite2's ImageNet weights, which it was grown from: Apache-2.0."


def sections(facts: Facts) -> tuple[tuple[str, str], ...]:
    """Return the chapters at the head of the card, and the sheet of maps."""
    return (
        ("What it is for", PURPOSE),
        ("What it must not be used for", NOT_FOR + (" Not for any commercial use." if _is_bound(facts) else "")),
        ("Before it is used anywhere", VERIFY),
        ("Maps", _maps_text(facts)),
    )


def _is_bound(facts: Facts) -> bool:
    texts = [text for found in facts.licences.values() for text in found]
    return any(_NON_COMMERCIAL.search(text) or not _NAMED_LICENCE.search(text) for text in texts)


def _maps_text(facts: Facts) -> str:
    return (
        "`maps.png` shows the maps of single tuning slices, numbered as below: the worst errors first (orange frame), "
        "then right answers drawn by chance (blue frame), each the map of the class called, coloured from a quarter "
        "of its largest value. Under the maps lies a coarse silhouette, not the slice: most licences keep the "
        "pictures where they are.\n\n" + facts.legend
    )


def merged(own: Sequence[str], about: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the generated lines, then those that a person adds in the file about the pack."""
    return (*own, *(str(line) for line in about.get(key, [])))
