"""The slice rules of the paper held against each other on one manifest, from one pass over all slices.

Each rule's score is pooled from the same slice scores, which is exact (`records`), and all rules see the same
bootstrap rounds, so that their differences are paired. Classes are compared within a source too, where a model can't
profit from knowing where a scan comes from.

Source: paper-spec 2.4 and 8.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.bootstrap import ROUNDS, Interval, percentile_interval, weights_of_rounds
from aicorona_desktop.evaluation.manifest import ManifestRow
from aicorona_desktop.evaluation.metrics import weighted_auc
from aicorona_desktop.evaluation.predictions import write_table
from aicorona_desktop.evaluation.records import Record
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.selection import selected

ALL_SLICES: Final = "all"
RULES: Final = ("middle(0.5)", "middle(0.25)", "middle(0.75)", ALL_SLICES, "top_half", "bottom_half")
"""What the paper names: the middle half; more than half, top half, bottom half; and less, for the whole picture."""

SEED: Final = 2020
COLUMNS: Final = (
    *("source", "question", "rule", "scans", "positives", "negatives", "subjects", "slices_used_mean"),
    *("auc", "auc_low", "auc_high", "difference", "difference_low", "difference_high", "against", "method"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAnswer:
    """How well one rule's p(covid) tells covid from the rest, in all scans or in those of one source.

    `difference` is its AUC less that of the rule that the run used. NaN where there is no interval.
    """

    source: str  # "" is all of them
    rule: str
    against: str
    positives: int
    negatives: int
    subjects: int
    slices_used_mean: float
    auc: Interval
    difference: Interval


def rules_with(rule: str) -> tuple[str, ...]:
    """Return the rules that are compared: a run's own first, each once."""
    return tuple(dict.fromkeys((rule, *RULES)))


def compare_rules(
    rows: Sequence[ManifestRow], records: Sequence[Record], pack: Pack, rule: str, rounds: int = ROUNDS
) -> tuple[RuleAnswer, ...]:
    """Compare the rules on scans of which every slice was scored; failed ones are left out.

    Args:
        rows: of the manifest, one a record.
        records: in the same order.
        pack: the one that scored.
        rule: what the others are held against.
        rounds: of the bootstrap by subject.
    """
    ok = [(row, record) for row, record in zip(rows, records, strict=True) if record.status == "ok"]
    sources = {row.origin for row, _ in ok}
    answers: list[RuleAnswer] = []
    for source in ("", *sorted(sources)) if len(sources) > 1 else ("",):
        of_source = [(row, record) for row, record in ok if not source or row.origin == source]
        answers += _answers(of_source, source, pack, rule, rounds)
    return tuple(answers)


def _answers(
    scans: Sequence[tuple[ManifestRow, Record]], source: str, pack: Pack, rule: str, rounds: int
) -> Iterator[RuleAnswer]:
    """Yield the answers of all rules; none where there are no scans of both kinds."""
    truth = np.array([row.label_raw == "covid" for row, _ in scans], dtype=np.bool_)
    if not truth.any() or truth.all():
        return
    rules = rules_with(rule)
    scores = [_p_covid(scans, pack, one) for one in rules]
    subjects = [row.subject_id for row, _ in scans]
    strata = [(row.origin, row.label_raw) for row, _ in scans]

    def aucs(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([weighted_auc(score, truth, weights) for score in scores], axis=1)

    values = aucs(np.ones((1, len(scans))))[0]
    drawn = np.concatenate([aucs(weights) for weights in weights_of_rounds(subjects, strata, rounds, SEED)])
    for number, one in enumerate(rules):
        yield RuleAnswer(
            source=source,
            rule=one,
            against=rule,
            positives=int(truth.sum()),
            negatives=int((~truth).sum()),
            subjects=len(set(subjects)),
            slices_used_mean=float(np.mean([len(selected(record.n_slices or 1, one)) for _, record in scans])),
            auc=percentile_interval(float(values[number]), drawn[:, number]),
            difference=percentile_interval(float(values[number] - values[0]), drawn[:, number] - drawn[:, 0]),
        )


def _p_covid(scans: Iterable[tuple[ManifestRow, Record]], pack: Pack, rule: str) -> NDArray[np.float64]:
    place = CLASSES.index("covid")
    return np.array([record.pooled(pack, rule).probabilities[place] for _, record in scans])


def write_comparison(path: Path, answers: Iterable[RuleAnswer]) -> None:
    """Write the comparison as CSV; what is undefined is an empty cell."""
    write_table(path, COLUMNS, (_cells(answer) for answer in answers))


def _cells(answer: RuleAnswer) -> Iterator[object]:
    yield from (answer.source or "all", "covid against the rest", answer.rule, answer.positives + answer.negatives)
    yield from (answer.positives, answer.negatives, answer.subjects, round(answer.slices_used_mean, 3))
    for interval in (answer.auc, answer.difference):
        yield from (None if np.isnan(value) else value for value in (interval.value, interval.low, interval.high))
    yield from (answer.against, f"{answer.auc.method}, {ROUNDS} rounds, seed {SEED}")
