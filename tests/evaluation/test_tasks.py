"""Tasks as data: what they ask, their scores, and the readers' tables of the paper through them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from aicorona_desktop.evaluation import metrics
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import CLASSES, Split
from aicorona_desktop.evaluation.metrics import Counts, counts_of
from aicorona_desktop.evaluation.table_1 import paper_shaped
from aicorona_desktop.evaluation.tasks import (
    Reading,
    ScoreKind,
    ambiguity_warning,
    load_tasks,
    task_named,
    tasks_file,
)
from tests.evaluation.worked_examples import READERS

SIZES = {
    "cc_covid_vs_rest": (143, 252),
    "mdh_covid_vs_rest": (119, 238),
    "mos_covid_vs_nonpneumonia": (856, 254),
    "mdh_covid_vs_normal": (119, 121),
    "mdh_covid_vs_nca": (119, 117),
    "mdh_nca_vs_rest": (117, 240),
    "mdh_normal_vs_rest": (121, 236),
    "mdh_nca_vs_normal": (117, 121),
}
NAMES = {"R. resident+AI": "R.res.+AI"}
MDH_LABELS = ("normal", "nca", "covid")


def test_each_task_finds_its_scans_in_a_manifest_of_the_papers_shape():
    rows = paper_shaped()

    sizes = {}
    for task in load_tasks():
        truth = task.truth([row.label_raw for row in task.rows(rows)])
        sizes[task.id] = int(truth.sum()), int((~truth).sum())

    assert sizes == SIZES


def expanded(table) -> tuple[list[str], list[Reading]]:
    """The labels and readings of every scan that a reader's table counts."""
    cells = [(label, call) for label in range(3) for call in range(3) for _ in range(table[label][call])]
    return [MDH_LABELS[label] for label, _ in cells], [Reading.of_call(CLASSES[call]) for _, call in cells]


def reader_counts(table, task) -> Counts:
    labels, readings = expanded(table)
    asked = [at for at, label in enumerate(labels) if label in (*task.positive, *task.negative)]
    truth = task.truth([labels[at] for at in asked])
    return counts_of(truth, task.reader_calls([readings[at] for at in asked]))


def test_the_readers_tables_give_every_number_that_the_paper_prints_of_them(shared: Path):
    tasks = {task.table: task for task in load_tasks()}
    figures = {
        "sensitivity": metrics.sensitivity,
        "specificity": metrics.specificity,
        "f1": metrics.f1,
        "kappa": metrics.kappa,
    }
    by_name = {NAMES.get(name, name): table for name, table in READERS.items()}
    checked = 0
    with (shared / "paper-tables.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["table"] not in ("3b", "4", "5", "6", "7", "8") or row["row"] not in by_name:
                continue
            if row["metric"] not in figures:
                continue
            counts = reader_counts(by_name[row["row"]], tasks[row["table"]])

            assert counts == Counts(*(int(row[name]) for name in ("TP", "FN", "FP", "TN"))), row
            assert abs(figures[row["metric"]](counts) - float(row["value"])) <= 0.000501, row
            checked += 1
    assert checked == 192


def test_a_covid_scan_called_other_abnormal_is_a_hit_against_normal_only():
    table = ((0, 0, 0), (0, 0, 0), (0, 12, 0))

    assert reader_counts(table, task_named("mdh_covid_vs_normal")).true_positives == 12
    assert reader_counts(table, task_named("mdh_covid_vs_nca")).true_positives == 0
    assert reader_counts(table, task_named("mdh_covid_vs_rest")).true_positives == 0


def test_a_pair_is_scored_without_the_third_class():
    probabilities = np.array([[0.1, 0.3, 0.6]])

    assert task_named("mdh_covid_vs_nca").scores(probabilities) == pytest.approx([0.666667], abs=5e-7)
    assert task_named("mdh_covid_vs_nca").scores(probabilities, np.log(probabilities)) == pytest.approx([2 / 3])
    assert task_named("mdh_covid_vs_rest").scores(probabilities) == pytest.approx([0.6])
    plain = replace(task_named("mdh_covid_vs_nca"), score=ScoreKind.P)
    assert plain.scores(probabilities) == pytest.approx([0.6])


def test_a_pair_keeps_its_order_where_both_probabilities_vanish():
    logits = np.array([[0.0, -800.0, -801.0], [0.0, -801.0, -800.0]])
    task = task_named("mdh_covid_vs_nca")

    assert task.scores(softmax(logits, axis=1)).tolist() == [0.5, 0.5]
    assert task.scores(softmax(logits, axis=1), logits) == pytest.approx([0.268941, 0.731059], abs=5e-7)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_log_odds_are_the_logit_of_the_score(name):
    logits = np.random.default_rng(2).normal(size=(50, 3)) * 3
    task = task_named(name)

    scores = task.scores(softmax(logits, axis=1), logits)

    assert task.log_odds(logits) == pytest.approx(np.log(scores) - np.log1p(-scores))


def test_a_label_that_the_task_does_not_know_is_refused():
    with pytest.raises(ValueError, match="nca"):
        task_named("mdh_covid_vs_normal").truth(["normal", "nca"])


def test_without_exactly_one_yes_the_yes_of_the_class_in_question_counts():
    several, none = Reading((False, True, True)), Reading((False, False, False))

    assert task_named("mdh_covid_vs_rest").reader_calls([several, none]).tolist() == [True, False]
    assert task_named("mdh_nca_vs_rest").reader_calls([several, none]).tolist() == [True, False]
    assert task_named("mdh_covid_vs_normal").reader_calls([several, none]).tolist() == [True, True]
    assert (several.call, none.call) == ("", "")
    assert ambiguity_warning([several, none, Reading.of_call("covid")]) == (
        "Of 3 readings 1 have no Yes and 1 have several: they name no single class."
    )
    assert ambiguity_warning([Reading.of_call("cp")]) == ""
    with pytest.raises(ValueError, match="none of"):
        Reading.of_call("nca")


TASK = """
[[task]]
id = "site"
title = "Our question"
cohort = ""
split = "test"
positive = ["covid"]
negative = ["normal", "cp"]
score = "pair"
reader_rule = "is_positive"
"""


def test_a_site_may_bring_its_own_tasks(tmp_path: Path):
    place = tmp_path / "tasks.toml"
    place.write_text(TASK)

    (task,) = load_tasks(place)

    assert task.cohort is None
    assert len(task.rows(paper_shaped())) == 121 + 119 + 395
    assert task.split is Split.TEST


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('score = "pair"', 'score = "max"', "max"),
        ('score = "pair"\n', "", "needs"),
        ('["normal", "cp"]', '["normal", "covid"]', "positive and negative"),
        ('["normal", "cp"]', '"normal"', "list"),
        ('["normal", "cp"]', '["flu"]', "list"),
        ('id = "site"', 'id = ""', "not empty"),
        ('split = "test"', 'split = "test"\nthreshold = 1', "threshold"),
        ('["normal", "cp"]', '["normal", "non_pneumonia"]', "'x'"),
        ("[[task]]", "[[tasks]]", "none"),
        ("[[task]]", "[[task", "could not be read"),
    ],
)
def test_a_task_that_is_not_right_is_named(tmp_path: Path, old, new, sentence):
    place = tmp_path / "tasks.toml"
    text = TASK.replace(old, new)
    place.write_text(text + (text if sentence == "'x'" else ""))

    with pytest.raises(EvaluationError, match="twice" if sentence == "'x'" else sentence):
        load_tasks(place)


def test_labels_of_the_same_class_are_no_pair(tmp_path: Path):
    place = tmp_path / "tasks.toml"
    place.write_text(TASK.replace('["covid"]', '["nca"]'))

    with pytest.raises(EvaluationError, match="different classes"):
        load_tasks(place)


def test_a_task_that_is_not_there_is_said_to_be_missing(tmp_path: Path):
    assert tasks_file().is_file()
    with pytest.raises(EvaluationError, match="no task"):
        task_named("covid")
    with pytest.raises(EvaluationError, match="could not be read"):
        load_tasks(tmp_path / "nowhere.toml")
