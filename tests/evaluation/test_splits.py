"""Splits by subject: shares in every stratum, the same for the same seed, nobody in two."""

from __future__ import annotations

import pytest

from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import Split, write_manifest
from aicorona_desktop.evaluation.splits import (
    SplitPlan,
    apply_splits,
    plan_splits,
    read_plan,
    subjects_in_two_splits,
    write_plan,
)
from tests.evaluation.manifests import row

SHARES = {Split.TRAIN: 0.7, Split.TUNE: 0.1, Split.TEST: 0.2}
ROWS = tuple(
    row(f"{source}-{label}-{person}-{scan}", f"{source}-{label}-{person}", label, source=source)
    for source in ("north", "south")
    for label in ("normal", "cp", "covid")
    for person in range(20)
    for scan in range(1 + person % 3)
)


def test_every_source_and_class_is_in_every_split_by_its_share():
    rows = apply_splits(ROWS, plan_splits(ROWS, seed=1, shares=SHARES))

    for source in ("north", "south"):
        for label in ("normal", "cp", "covid"):
            of_stratum = [one for one in rows if (one.source, one.label_raw) == (source, label)]
            counts = [len({one.subject_id for one in of_stratum if one.split is split}) for split in SHARES]
            assert counts == [14, 2, 4]


def test_nobody_is_in_two_splits(tmp_path):
    rows = apply_splits(ROWS, plan_splits(ROWS, seed=1, shares=SHARES))

    assert subjects_in_two_splits(rows) == ()
    assert write_manifest(tmp_path / "manifest.csv", rows).rows == rows


def test_a_subject_in_two_splits_is_found():
    rows = (row("a", "p"), row("b", "p", split=Split.TEST), row("c", "q"), row("d", "q", split=Split.EXCLUDED))

    assert subjects_in_two_splits(rows) == ("p",)


def test_a_plan_depends_on_the_seed_and_not_on_the_order_of_rows():
    plan = plan_splits(ROWS, seed=1, shares=SHARES)

    assert plan_splits(tuple(reversed(ROWS)), seed=1, shares=SHARES) == plan
    assert plan_splits(ROWS, seed=2, shares=SHARES).subjects != plan.subjects


def test_what_is_excluded_or_external_stays_so_and_has_no_say():
    rows = (*ROWS, row("x", "north-cp-1", split=Split.EXCLUDED), row("y", "other", split=Split.EXTERNAL))

    plan = plan_splits(rows, seed=1, shares=SHARES)

    assert plan == plan_splits(ROWS, seed=1, shares=SHARES)
    assert [one.split for one in apply_splits(rows, plan)[-2:]] == [Split.EXCLUDED, Split.EXTERNAL]


def test_a_subject_of_two_labels_is_split_as_the_graver_one():
    rows = tuple(row(f"{n}-{label}", f"p{n}", label) for n in range(10) for label in ("normal", "covid"))

    rows = apply_splits(rows, plan_splits(rows, seed=0, shares=SHARES))

    assert subjects_in_two_splits(rows) == ()
    assert len([one for one in rows if one.split is Split.TEST]) == 4


def test_the_paper_s_shares_are_used_where_none_are_given():
    rows = tuple(row(f"s{number}") for number in range(1000))

    splits = list(plan_splits(rows, seed=0).subjects.values())

    assert [splits.count(split) for split in SHARES] == [780, 90, 130]


def test_a_stored_plan_is_the_same_plan(tmp_path):
    plan = plan_splits(ROWS, seed=1, shares=SHARES)

    write_plan(tmp_path / "splits.json", plan)

    assert read_plan(tmp_path / "splits.json") == plan


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"seed": 1, "shares": {"train": 1}, "subjects": {"p": "train", "p": "test"}}',
        '{"seed": 1, "shares": {"train": 1}, "subjects": {"p": "somewhere"}}',
    ],
)
def test_a_file_that_holds_no_plan_or_a_subject_twice_is_refused(tmp_path, text):
    (tmp_path / "splits.json").write_text(text, encoding="utf-8")

    with pytest.raises(EvaluationError, match="holds no splits, or a subject twice"):
        read_plan(tmp_path / "splits.json")


def test_a_subject_that_is_not_in_the_plan_is_named_by_its_scan():
    with pytest.raises(EvaluationError, match="scan s1"):
        apply_splits([row("s1")], SplitPlan(0, SHARES, {}))


def test_shares_add_up_to_one():
    with pytest.raises(EvaluationError, match="add up to one"):
        plan_splits(ROWS, seed=1, shares={Split.TRAIN: 0.7, Split.TEST: 0.2})
