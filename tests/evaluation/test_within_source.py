"""Bootstrap by subject, AUC within one source, and how well the source can be guessed."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.evaluation import within_source as module
from aicorona_desktop.evaluation.bootstrap import bootstrap, percentile_interval, weights_of_rounds
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.metrics import auc, weighted_auc
from aicorona_desktop.evaluation.within_source import (
    PAPER_QUESTIONS,
    STRICT_QUESTIONS,
    SourceQuestion,
    source_guess,
    within_source,
)


def test_a_round_draws_subjects_within_their_stratum_with_all_their_rows():
    subjects = ["a", "a", "b", "c", "d", "d", "d"]
    strata = ["x", "x", "x", "x", "y", "y", "y"]

    weights = np.concatenate(list(weights_of_rounds(subjects, strata, rounds=500, seed=1)))

    assert weights.shape == (500, 7)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert (weights[:, 4:] == 1).all()  # the only one of its stratum
    assert weights[:, 0].mean() == pytest.approx(1, abs=0.1)


def test_the_same_seed_gives_the_same_rounds_and_another_seed_others():
    def drawn(seed: int) -> np.ndarray:
        return np.concatenate(list(weights_of_rounds(list("abcdef"), [0] * 6, rounds=50, seed=seed)))

    assert (drawn(4) == drawn(4)).all()
    assert (drawn(4) != drawn(5)).any()


def test_with_one_scan_a_subject_the_spread_is_the_binomial_one():
    positives, called = 100, 80
    calls = np.arange(positives) < called

    def sensitivity(weights: np.ndarray) -> np.ndarray:
        return (weights * calls).sum(axis=1) / weights.sum(axis=1)

    drawn = [sensitivity(weights) for weights in weights_of_rounds(list(range(positives)), [0] * positives, seed=2)]

    assert np.concatenate(drawn).std() == pytest.approx(math.sqrt(0.8 * 0.2 / positives), rel=0.05)
    interval = bootstrap(sensitivity, list(range(positives)), [0] * positives, seed=2)
    assert interval.value == 0.8
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(np.concatenate(drawn), [0.025, 0.975])))


def test_rounds_without_an_answer_are_dropped_and_too_many_of_them_leave_no_interval():
    drawn = np.arange(1000.0)
    few, many = drawn.copy(), drawn.copy()
    few[:10], many[:11] = math.nan, math.nan

    assert percentile_interval(500.0, few).low == pytest.approx(np.quantile(few[10:], 0.025))
    assert not percentile_interval(500.0, many).estimable


def test_each_question_is_answered_with_the_rows_of_its_source_only():
    random = np.random.default_rng(0)
    sources = ["mosmed"] * 60 + ["ucsd-covid-ct"] * 40 + ["elsewhere"] * 30
    labels = ["normal"] * 30 + ["covid"] * 30 + ["cp"] * 20 + ["covid"] * 20 + ["normal"] * 30
    subjects = [f"s{number // 2}" for number in range(130)]
    probabilities = random.dirichlet((1, 1, 1), 130)
    questions = (PAPER_QUESTIONS[0], PAPER_QUESTIONS[2])

    found = within_source(probabilities, labels, sources, subjects, questions=questions, seed=7)

    mosmed, ucsd = probabilities[:60], probabilities[60:100]
    expected = [
        auc(mosmed[:, 2] / (mosmed[:, 2] + mosmed[:, 0]), np.arange(60) >= 30),
        auc(ucsd[:, 2] / (ucsd[:, 2] + ucsd[:, 1]), np.arange(40) >= 20),
    ]
    assert [answer.auc.value for answer in found.answers] == pytest.approx(expected, abs=1e-12)
    assert [(one.negatives, one.positives, one.subjects) for one in found.answers] == [(30, 30, 30), (20, 20, 20)]
    assert found.mean.value == pytest.approx(np.mean(expected))
    assert found.mean.low < found.mean.value < found.mean.high
    assert found.mean.high - found.mean.low < found.answers[0].auc.high - found.answers[0].auc.low


def test_without_covid_means_both_other_classes_where_the_labels_are_ambiguous():
    answers = np.array([[0.1, 0.3, 0.6], [0.0, 0.0, 0.0]])

    assert STRICT_QUESTIONS[1].scores(answers).tolist() == pytest.approx([0.6, 0.5])
    assert PAPER_QUESTIONS[1].scores(answers).tolist() == pytest.approx([0.6 / 0.7, 0.5])
    assert STRICT_QUESTIONS[1].name == PAPER_QUESTIONS[1].name == "sarscov2-ct normal-covid"


def test_a_question_without_rows_of_both_kinds_is_said_to_have_no_answer():
    with pytest.raises(EvaluationError, match="mosmed normal-covid"):
        within_source(np.full((2, 3), 1 / 3), ["covid", "covid"], ["mosmed"] * 2, ["a", "b"])


def test_the_questions_of_the_paper_can_be_asked_of_the_tune_slices(shared: Path):
    with (shared / "data" / "ct_slices" / "manifest.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "tune"]
    columns = [[row[name] for row in rows] for name in ("label", "source", "subject_id")]
    probabilities = np.random.default_rng(1).dirichlet((1, 1, 1), len(rows))

    found = within_source(probabilities, *columns)

    counts = [(one.negatives, one.positives, one.subjects) for one in found.answers]
    assert counts == [(38, 121, 159), (36, 54, 12), (59, 52, 42)]
    assert found.mean.low < 0.5 < found.mean.high


def test_a_source_that_shows_in_the_features_is_guessed_and_one_that_does_not_is_not():
    random = np.random.default_rng(0)
    sources = ["a", "b", "c"] * 40
    subjects = [f"{source}{number // 6}" for number, source in enumerate(sources)]
    telling = random.normal(size=(120, 8))
    telling[:, :3] += np.tile(10 * np.eye(3), (40, 1))

    found, blind = source_guess(telling, sources, subjects), source_guess(telling[:, 3:], sources, subjects)

    assert (found.sources, found.chance) == (("a", "b", "c"), 1 / 3)
    assert found.balanced_accuracy > 0.95
    assert blind.balanced_accuracy < 0.55
    assert source_guess(telling, sources, subjects) == found


def test_a_subject_that_the_features_give_away_is_never_seen_before_it_is_tested():
    random = np.random.default_rng(0)
    sources = [source for source in "ab" for _ in range(60)]
    subjects = [f"{source}{number % 6}" for source in "ab" for number in range(60)]
    one_hot = np.eye(12)[[sorted(set(subjects)).index(subject) for subject in subjects]]

    found = source_guess(one_hot + 0.01 * random.normal(size=(120, 12)), sources, subjects)

    assert found.balanced_accuracy < 0.7  # knowing the subject says nothing of another subject


def test_the_guess_is_that_of_plain_logistic_regression_on_all_features():
    linear_model = pytest.importorskip("sklearn.linear_model")
    selection, preprocessing = (
        pytest.importorskip("sklearn.model_selection"),
        pytest.importorskip("sklearn.preprocessing"),
    )
    random = np.random.default_rng(2)
    sources, subjects = ["a", "b"] * 40, [f"s{number // 2 * 2 + number % 2}" for number in range(80)]
    features = random.normal(size=(80, 150)) + 0.3 * np.array(sources == "b")
    truth = np.array([source == "b" for source in sources])

    found = source_guess(features, sources, subjects, seed=3, repeats=1)

    guessed = np.zeros(80, bool)
    folds = selection.StratifiedGroupKFold(5, shuffle=True, random_state=3)
    for learn, test in folds.split(features, truth, subjects):
        scaler = preprocessing.StandardScaler().fit(features[learn])
        classifier = linear_model.LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000)
        classifier.fit(scaler.transform(features[learn]), truth[learn])
        guessed[test] = classifier.predict(scaler.transform(features[test]))
    assert found.balanced_accuracy == pytest.approx((guessed[truth].mean() + (~guessed[~truth]).mean()) / 2)


def test_a_source_of_one_subject_is_left_out():
    features = np.random.default_rng(0).normal(size=(50, 4))
    sources = ["a"] * 20 + ["b"] * 20 + ["lonely"] * 10
    subjects = [f"s{number}" for number in range(40)] + ["one"] * 10

    assert source_guess(features, sources, subjects).sources == ("a", "b")
    with pytest.raises(EvaluationError, match="two sources"):
        source_guess(features[20:], sources[20:], subjects[20:])


def test_without_scikit_learn_the_guess_says_what_to_install(monkeypatch):
    def missing(_name: str) -> None:
        raise ImportError("no such package")

    monkeypatch.setattr(module.importlib, "import_module", missing)

    with pytest.raises(EvaluationError, match="extra `evaluate`"):
        source_guess(np.zeros((4, 2)), ["a", "a", "b", "b"], ["1", "2", "3", "4"])


def test_ten_thousand_rows_are_resampled_two_thousand_times_in_slices_of_memory():
    random = np.random.default_rng(0)
    truth = random.random(10_000) < 0.4
    scores = random.normal(size=10_000) + truth

    found = bootstrap(lambda weights: weighted_auc(scores, truth, weights), list(range(10_000)), truth.tolist())

    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.0048, rel=0.1)


def test_a_question_has_a_name():
    assert SourceQuestion("x", ("normal", "cp"), ("covid",)).name == "x normal+cp-covid"
