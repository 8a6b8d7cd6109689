"""Quality control: what leaves, why, and how many at each step."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from aicorona_desktop.core.study import SeriesChoice
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import choose_series
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.layouts import read_studies
from aicorona_desktop.evaluation.manifest import Cohort, QcStatus, Split
from aicorona_desktop.evaluation.quality import (
    OK,
    Judgement,
    QualityRules,
    Tally,
    cascade,
    first_against,
    judge_choice,
    judge_labels,
    judge_slices,
    judged,
    write_reasons,
)
from aicorona_desktop.intake.keeping import Spool
from tests.evaluation.manifests import row
from tests.phantom import Chest, chest


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as started:
        yield started


def chosen(phantom: Chest, folder: Path, reader: Reader) -> SeriesChoice:
    (study,) = read_studies([phantom.written_to(folder / "study")], reader, Spool(folder / "spool"))
    return choose_series(study)


def test_fewer_than_ten_slices_are_too_few_unless_the_rules_say_otherwise():
    assert judge_slices(10) == OK
    assert judge_slices(9) == Judgement(QcStatus.FEW_SLICES, "9 slices, fewer than 10.")
    assert judge_slices(15, QualityRules(fewest_slices=16)).status is QcStatus.FEW_SLICES


@pytest.mark.parametrize(
    ("phantom", "status"),
    [
        (chest(), QcStatus.OK),
        (chest().with_slices(12, spacing_mm=12.0), QcStatus.OK),  # too few for the clinical gate, not for a data set
        (chest().with_slices(9, spacing_mm=12.0), QcStatus.FEW_SLICES),
        (chest().with_slices(15, spacing_mm=3.0), QcStatus.OTHER),  # 42 mm are no chest
        (chest().with_tags(SeriesDescription="HRCT LUNG"), QcStatus.HRCT),
        (chest().with_tags(SliceThickness=1), QcStatus.HRCT),
        (chest().with_tags(ProtocolName="Thorax_High-Resolution"), QcStatus.HRCT),
        (
            _abdomen := chest().with_tags(BodyPartExamined="ABDOMEN", SeriesDescription="5.0", StudyDescription="CT"),
            QcStatus.ABDOMEN,
        ),
        (_abdomen.with_tags(BodyPartExamined=None, StudyDescription="CT ABDOMEN"), QcStatus.ABDOMEN),
        (_abdomen.with_tags(StudyDescription="CT CHEST ABDOMEN"), QcStatus.OK),
        (_abdomen.with_tags(BodyPartExamined="HEAD"), QcStatus.OTHER),
        (chest().with_tags(ImageType=("DERIVED", "SECONDARY", "MPR")), QcStatus.UNREADABLE),
    ],
)
def test_headers_say_what_kind_of_scan_it_is(phantom, status, tmp_path, reader):
    judgement = judge_choice(chosen(phantom.with_matrix(128), tmp_path, reader))

    assert judgement.status is status
    assert bool(judgement.reason) == (status is not QcStatus.OK)


def test_two_readings_that_differ_take_a_scan_out():
    assert judge_labels("covid", "") == judge_labels("covid", "covid") == OK
    judgement = judge_labels("covid", "nca")
    assert judgement.status is QcStatus.LABEL_DISAGREE
    assert "covid at first and nca" in judgement.reason


def test_the_first_reason_counts():
    assert first_against(OK, Judgement(QcStatus.HRCT), Judgement(QcStatus.OTHER)).status is QcStatus.HRCT
    assert first_against(OK, OK) == OK


def test_what_is_judged_out_is_excluded_and_the_rest_keeps_its_split():
    scan = row(split=Split.TEST)

    assert judged(scan, OK) == scan
    out = judged(scan, Judgement(QcStatus.HRCT, "thin"))
    assert (out.qc_status, out.split) == (QcStatus.HRCT, Split.EXCLUDED)


def test_the_cascade_counts_scans_and_subjects_at_each_step():
    def out(scan: str, subject: str, status: QcStatus, label: str = "covid"):
        return row(scan, subject, label, cohort=Cohort.MDH, qc_status=status, split=Split.EXCLUDED)

    rows = [
        row("a1", "a", cohort=Cohort.MDH),
        out("a2", "a", QcStatus.ABDOMEN),
        out("b1", "b", QcStatus.ABDOMEN),
        out("b2", "b", QcStatus.LABEL_DISAGREE),
        out("c1", "c", QcStatus.FEW_SLICES, "nca"),
    ]

    steps = {step.title if step.status is None else step.status.value: step for step in cascade(rows)}

    covid, other = ("MDH", "covid"), ("MDH", "nca")
    assert steps["all scans"].left == {covid: Tally(2, 4), other: Tally(1, 1)}
    assert steps["abdomen"].removed == {covid: Tally(2, 2)}
    assert steps["abdomen"].left == {covid: Tally(2, 2), other: Tally(1, 1)}
    assert steps["hrct"].removed == {}
    assert steps["few_slices"].removed == {other: Tally(1, 1)}
    assert steps["label_disagree"].left == {covid: Tally(1, 1)}
    assert list(steps) == ["all scans", "unreadable", "abdomen", "hrct", "few_slices", "other", "label_disagree"]


def test_every_reason_is_logged(tmp_path):
    write_reasons(tmp_path / "qc.csv", {"b": judge_slices(3), "a": judge_labels("cp", "covid")})

    with (tmp_path / "qc.csv").open(encoding="utf-8") as stream:
        assert list(csv.reader(stream)) == [
            ["scan_id", "qc_status", "reason"],
            ["a", "label_disagree", "Labelled cp at first and covid in the second reading."],
            ["b", "few_slices", "3 slices, fewer than 10."],
        ]


def test_a_log_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(EvaluationError, match="could not be written"):
        write_reasons(tmp_path / "missing" / "qc.csv", {})
