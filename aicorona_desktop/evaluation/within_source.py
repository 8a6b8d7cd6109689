"""Questions that a model can't answer by recognising where a picture comes from.

Classes and sources are confounded in collections of public data: a model that tells sources apart looks good
without knowing any disease. So only rows of one source are compared with each other, and how well the source can
be guessed from the features is measured beside it.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.evaluation.bootstrap import ROUNDS, Interval, percentile_interval, weights_of_rounds
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import CLASS_OF_LABEL, CLASSES
from aicorona_desktop.evaluation.metrics import share_of_pair, weighted_auc

MOST_FOLDS = 5
REPEATS = 5  # a source of few subjects makes one partition a lottery


@dataclass(frozen=True, slots=True)
class SourceQuestion:
    """Two groups of rows within one source, by the labels that the annotators gave."""

    source: str
    negatives: tuple[str, ...]
    positives: tuple[str, ...]
    negatives_mean: tuple[str, ...] = ()
    """The classes that the negatives may belong to, where that is more than their labels say."""

    @property
    def name(self) -> str:
        """What tables call it, such as `mosmed normal-covid`."""
        return f"{self.source} {'+'.join(self.negatives)}-{'+'.join(self.positives)}"

    def scores(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return p(positive | one of the two) for probabilities [rows, 3] (paper-spec 9)."""
        return share_of_pair(probabilities, _columns(self.positives), _columns(self.negatives_mean or self.negatives))


PAPER_QUESTIONS = (
    SourceQuestion("mosmed", ("normal",), ("covid",)),
    SourceQuestion("sarscov2-ct", ("normal",), ("covid",)),
    SourceQuestion("ucsd-covid-ct", ("cp",), ("covid",)),
)
"""What the tune split of the project's own slices can answer, each by the score of the pair of its labels."""

STRICT_QUESTIONS = (
    PAPER_QUESTIONS[0],
    # "Normal" of this source means without COVID-19, partly with another disease: a call of `cp` is no mistake.
    SourceQuestion("sarscov2-ct", ("normal",), ("covid",), negatives_mean=("normal", "cp")),
    PAPER_QUESTIONS[2],
)
"""The same, with p(covid) against both others where the negatives are known only as not COVID-19."""


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """The AUC of one question, and what stands behind it."""

    question: SourceQuestion
    auc: Interval
    negatives: int
    positives: int
    subjects: int


@dataclass(frozen=True, slots=True)
class WithinSource:
    """The AUCs of all questions, and their plain mean."""

    answers: tuple[SourceAnswer, ...]
    mean: Interval


@dataclass(frozen=True, slots=True)
class SourceGuess:
    """How well a linear classifier names the source from the features, by subjects it has not seen."""

    balanced_accuracy: float
    chance: float  # one over the number of sources
    sources: tuple[str, ...]


def within_source(
    probabilities: NDArray[np.floating[Any]],
    labels: Sequence[str],
    sources: Sequence[str],
    subjects: Sequence[str],
    *,
    questions: Sequence[SourceQuestion] = PAPER_QUESTIONS,
    rounds: int = ROUNDS,
    seed: int = 0,
    level: float = 0.95,
) -> WithinSource:
    """Return the AUC within each source, with intervals by subject.

    Args:
        probabilities: [rows, 3], in the order normal, cp, covid.
        labels: `label_raw` of each row.
        sources: `origin` of each row.
        subjects: whose row it is.
        questions: what to compare; rows of no question are not looked at.
        rounds: of the bootstrap; subjects are drawn within source and label.
        seed: of the bootstrap.
        level: of the intervals, two-sided.

    Raises:
        EvaluationError: a question has no positive or no negative row.
        ValueError: lists of different lengths.
    """
    known = np.asarray(probabilities, dtype=np.float64)
    if known.shape != (len(labels), len(CLASSES)):
        raise ValueError(f"expected probabilities of shape ({len(labels)}, {len(CLASSES)}), got {known.shape}")
    strata = list(zip(sources, labels, strict=True))
    sides = [_sides(question, labels, sources) for question in questions]
    scores = [question.scores(known[rows]) for question, (rows, _) in zip(questions, sides, strict=True)]

    def aucs(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = zip(scores, sides, strict=True)
        return np.stack([weighted_auc(score, truth, weights[:, rows]) for score, (rows, truth) in parts], axis=1)

    values = aucs(np.ones((1, len(labels))))[0]
    drawn = np.concatenate([aucs(weights) for weights in weights_of_rounds(subjects, strata, rounds, seed)])
    answers = tuple(
        SourceAnswer(
            question,
            percentile_interval(float(values[number]), drawn[:, number], level),
            negatives=int((~truth).sum()),
            positives=int(truth.sum()),
            subjects=len({subjects[row] for row in rows}),
        )
        for number, (question, (rows, truth)) in enumerate(zip(questions, sides, strict=True))
    )
    return WithinSource(answers, percentile_interval(float(values.mean()), drawn.mean(axis=1), level))


def source_guess(
    features: NDArray[np.floating[Any]],
    sources: Sequence[str],
    subjects: Sequence[str],
    *,
    seed: int = 0,
    repeats: int = REPEATS,
) -> SourceGuess:
    """Return the balanced accuracy of naming the source from features [rows, n], cross-validated by subject.

    Logistic regression with balanced classes on standardised features; as many folds as the source with the fewest
    subjects allows, at most five; the mean over several partitions. Sources of one subject are left out: nobody
    could learn and be tested on them.

    Raises:
        EvaluationError: scikit-learn is not installed, or fewer than two sources are left.
    """
    kept = _sources_with_subjects(sources, subjects)
    names = tuple(sorted({sources[row] for row in kept}))
    if len(names) < 2:
        raise EvaluationError("Guessing the source needs two sources with two subjects each.")
    truth = np.array([names.index(sources[row]) for row in kept])
    groups = np.array([subjects[row] for row in kept])
    fewest = min(len(set(groups[truth == number].tolist())) for number in range(len(names)))
    known = np.asarray(features, dtype=np.float64)[kept]
    accuracies = []
    for repeat in range(repeats):
        guessed = _guessed(known, truth, groups, min(fewest, MOST_FOLDS), seed + repeat)
        accuracies.append(np.mean([(guessed[truth == number] == number).mean() for number in range(len(names))]))
    return SourceGuess(float(np.mean(accuracies)), 1 / len(names), names)


def _sources_with_subjects(sources: Sequence[str], subjects: Sequence[str]) -> NDArray[np.intp]:
    those: dict[str, set[str]] = {}
    for source, subject in zip(sources, subjects, strict=True):
        those.setdefault(source, set()).add(subject)
    return np.array([row for row, source in enumerate(sources) if len(those[source]) > 1], dtype=np.intp)


def _guessed(
    features: NDArray[np.float64], truth: NDArray[Any], groups: NDArray[Any], folds: int, seed: int
) -> NDArray[Any]:
    """The number of the source that each row was given by a classifier that has not seen its subject."""
    linear_model, selection = _scikit("linear_model"), _scikit("model_selection")
    guessed = np.full(len(truth), -1)
    splits = selection.StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with _one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that stopped short is still a guess
        for learn, test in splits.split(features, truth, groups):
            seen, unseen = _standardised(features[learn], features[test])
            classifier = linear_model.LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000)
            guessed[test] = classifier.fit(seen, truth[learn]).predict(unseen)
    return guessed


def _standardised(seen: NDArray[np.float64], unseen: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Standardise by what is seen, and turn it to the directions that it spans.

    The penalty doesn't know directions, so the fit is the same in them, of which there are no more than rows.
    """
    spread = seen.std(axis=0)
    spread[spread == 0] = 1
    centred, other = (seen - seen.mean(axis=0)) / spread, (unseen - seen.mean(axis=0)) / spread
    directions = np.linalg.svd(centred, full_matrices=False)[2].T
    return centred @ directions, other @ directions


def _one_thread() -> AbstractContextManager[Any]:
    """These fits are small: on a machine at work, threads that wait for one another take six times as long."""
    limits: AbstractContextManager[Any] = importlib.import_module("threadpoolctl").threadpool_limits(1)
    return limits


def _scikit(part: str) -> Any:
    try:
        return importlib.import_module(f"sklearn.{part}")
    except ImportError as error:
        raise EvaluationError("This figure needs scikit-learn: install the extra `evaluate`.") from error


def _sides(
    question: SourceQuestion, labels: Sequence[str], sources: Sequence[str]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The rows of a question, and which of them are its positives."""
    wanted = (*question.negatives, *question.positives)
    pairs = enumerate(zip(labels, sources, strict=True))
    rows = np.array([row for row, (label, source) in pairs if source == question.source and label in wanted], np.intp)
    truth = np.array([labels[row] in question.positives for row in rows], dtype=np.bool_)
    if not truth.any() or truth.all():
        raise EvaluationError(f"There are no rows of both kinds for the question {question.name}.")
    return rows, truth


def _columns(labels: Sequence[str]) -> list[int]:
    return [CLASSES.index(CLASS_OF_LABEL[label]) for label in labels]
