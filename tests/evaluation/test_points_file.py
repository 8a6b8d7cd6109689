"""Operating points on the disk, for which model they are, and what has to be said when they are applied."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop import __version__
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.metrics import Counts, auc, roc
from aicorona_desktop.evaluation.operating_points import (
    CHOSEN_HERE,
    Demands,
    Point,
    Rule,
    StoredPoint,
    apply_stored,
    bands,
    choose,
    choose_all,
    store,
    tuning_sha256,
)
from aicorona_desktop.evaluation.points_file import point_for, read_points, write_points

RANDOM = np.random.default_rng(6)
TRUTH = np.arange(400) % 3 == 0
SCORES = 1 / (1 + np.exp(-(RANDOM.normal(size=400) + 3 * TRUTH)))
SCANS = [f"scan-{number}" for number in range(400)]
MODEL = "a" * 64


def stored_points() -> tuple[StoredPoint, ...]:
    return tuple(
        store(
            "mdh_covid_vs_rest",
            point,
            scan_ids=SCANS,
            scores=SCORES,
            truth=TRUTH,
            model_sha256=MODEL,
            chosen_on=date(2026, 3, 1),
        )
        for point in choose_all(SCORES, TRUTH)
    )


def test_points_come_back_from_the_disk_with_every_digit(tmp_path: Path):
    place = tmp_path / "points.csv"
    points = stored_points()

    write_points(place, points)
    read = read_points(place)

    assert [replace(one, point=replace(one.point, cost=0)) for one in read] == [
        replace(one, point=replace(one.point, cost=0)) for one in points
    ]
    assert [repr(one.point.cost) for one in read] == [repr(one.point.cost) for one in points]
    assert read[0].software_version == __version__
    assert read[0].auc == auc(SCORES, TRUTH)


def test_the_file_says_what_a_point_does_where_it_comes_from_and_its_logit(tmp_path: Path):
    place = tmp_path / "points.csv"
    write_points(place, stored_points())

    header, first, *_ = place.read_text().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True))

    point = stored_points()[0].point
    assert float(cells["threshold"]) == point.threshold
    assert float(cells["logit"]) == pytest.approx(math.log(point.threshold / (1 - point.threshold)))
    assert int(cells["TP"]) + int(cells["FN"]) == int(cells["P"])
    assert float(cells["specificity_low"]) < float(cells["specificity"]) < float(cells["specificity_high"])
    assert cells["tuning_sha256"] == tuning_sha256(SCANS, TRUTH.tolist(), SCORES.tolist())
    assert cells["chosen_on"] == "2026-03-01"


def test_a_point_that_calls_nobody_survives_the_disk(tmp_path: Path):
    place = tmp_path / "points.csv"
    nobody = replace(stored_points()[0].point, threshold=math.inf, counts=Counts(0, 134, 0, 266), why_not="No use.")

    write_points(place, [replace(stored_points()[0], point=nobody)])

    (read,) = read_points(place)
    assert read.point.threshold == math.inf
    with pytest.raises(EvaluationError, match="No use"):
        point_for([read], "mdh_covid_vs_rest", MODEL)


def test_a_point_is_found_by_task_rule_and_model_and_refused_for_another_model():
    points = stored_points()

    assert point_for(points, "mdh_covid_vs_rest", MODEL, Rule.C) == points[2].point
    with pytest.raises(EvaluationError, match="another model"):
        point_for(points, "mdh_covid_vs_rest", "b" * 64)
    with pytest.raises(EvaluationError, match="no operating point of rule A"):
        point_for(points, "mdh_nca_vs_rest", MODEL)
    other = replace(points[0], model_sha256="b" * 64)
    assert point_for([points[0], other], "mdh_covid_vs_rest", "b" * 64) == other.point


@pytest.mark.parametrize(
    ("column", "text", "sentence"),
    [
        ("rule", "F", "Line 2"),
        ("threshold", "", "threshold is missing"),
        ("threshold", "high", "threshold is not a number"),
        ("TP", "-1", "TP is not a whole number"),
        ("TP", "3", "contradicts itself"),
        ("model_sha256", "abc", "model_sha256 is not a SHA-256"),
        ("chosen_on", "yesterday", "Line 2"),
        ("prevalence", "5", "shares"),
        ("task", "", "task is missing"),
    ],
)
def test_a_line_that_is_not_right_is_named(tmp_path: Path, column, text, sentence):
    place = tmp_path / "points.csv"
    write_points(place, stored_points()[:1])
    header, first = place.read_text().splitlines()
    names, cells = header.split(","), first.split(",")
    cells[names.index(column)] = text
    place.write_text(f"{header}\n{','.join(cells)}\n")

    with pytest.raises(EvaluationError, match=sentence):
        read_points(place)


def test_two_points_of_the_same_task_rule_and_model_are_refused(tmp_path: Path):
    with pytest.raises(EvaluationError, match="two operating points"):
        write_points(tmp_path / "points.csv", stored_points()[:1] * 2)
    assert not (tmp_path / "points.csv").exists()


def test_a_file_that_is_not_there_or_no_text_is_said_to_be_unreadable(tmp_path: Path):
    place = tmp_path / "points.csv"
    with pytest.raises(EvaluationError, match="could not be read"):
        read_points(place)
    place.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EvaluationError, match="could not be read"):
        read_points(place)
    with pytest.raises(EvaluationError, match="could not be written"):
        write_points(tmp_path / "no folder" / "points.csv", stored_points())


def test_applied_where_it_was_chosen_a_point_flatters_and_it_is_said():
    stored = stored_points()[0]
    fewer = slice(0, 300)

    assert apply_stored(stored, MODEL, SCANS, SCORES, TRUTH).warnings == (CHOSEN_HERE,)
    elsewhere = apply_stored(stored, MODEL, SCANS[fewer], SCORES[fewer], TRUTH[fewer])
    assert elsewhere.warnings == ()
    assert elsewhere.counts.total == 300
    with pytest.raises(EvaluationError, match="another model"):
        apply_stored(stored, "b" * 64, SCANS, SCORES, TRUTH)


def test_where_the_specificity_is_another_it_is_said():
    shifted = np.minimum(SCORES + 0.3, 1)

    (warning,) = apply_stored(stored_points()[0], MODEL, SCANS, shifted, TRUTH).warnings

    assert "excludes" in warning


def test_a_good_model_has_no_middle_and_a_poor_one_has():
    good = roc(SCORES, TRUTH)
    a, b, c = (choose(rule, good, Demands(0.9, 0.9)) for rule in (Rule.A, Rule.B, Rule.C))
    assert a.threshold < b.threshold

    together = bands(a, b, c)
    assert not together.has_middle
    assert a.threshold <= together.call_from <= b.threshold

    strict = [choose(rule, good, Demands(0.99, 0.99)) for rule in (Rule.A, Rule.B, Rule.C)]
    apart = bands(*strict)
    assert apart.has_middle
    assert (apart.rule_out_below, apart.call_from) == (strict[1].threshold, strict[0].threshold)


def test_the_flag_is_moved_into_the_range_that_meets_both_demands():
    def point(rule: Rule, threshold: float) -> Point:
        return Point(rule, Demands(), threshold, Counts(1, 1, 1, 1))

    assert bands(point(Rule.A, 0.3), point(Rule.B, 0.6), point(Rule.C, 0.9)).call_from == 0.6
    assert bands(point(Rule.A, 0.3), point(Rule.B, 0.6), point(Rule.C, 0.1)).call_from == 0.3
    assert bands(point(Rule.A, 0.3), point(Rule.B, 0.6), point(Rule.C, 0.5)).call_from == 0.5
