"""The manifest: every rule, every fault with its line, and that what is written is what is read."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest

from aicorona_desktop.evaluation.manifest import (
    Cohort,
    LabelQuality,
    Layout,
    ManifestError,
    QcStatus,
    Split,
    read_manifest,
    write_manifest,
)
from tests.evaluation.manifests import row

HEADER = (
    "scan_id,subject_id,cohort,split,label_raw,label3,n_slices,slice_thickness_mm,age,sex,acquired_on,label_source,"
    "n_readers_label,hospital_days_gt3,rtpcr_any_positive,qc_status,path,sha256"
)
GOOD = "a1,p1,MDH,train,nca,cp,30,8.5,61,F,2020-03-31,reports,2,1,0,ok,mdh/a1,"


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def faults_of(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    return [str(fault) for fault in caught.value.faults]


def test_a_manifest_with_the_columns_of_the_specification_is_read(tmp_path):
    path = written(tmp_path, GOOD)

    manifest = read_manifest(path)

    (one,) = manifest.rows
    assert manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (one.cohort, one.split, one.label_raw, one.label3) == (Cohort.MDH, Split.TRAIN, "nca", "cp")
    assert (one.n_slices, one.slice_thickness_mm, one.age, one.sex) == (30, 8.5, 61, "F")
    assert (one.acquired_on, one.n_readers_label) == (date(2020, 3, 31), 2)
    assert (one.hospital_days_gt3, one.rtpcr_any_positive) == (True, False)
    assert (one.path, one.sha256, one.layout, one.label_quality) == ("mdh/a1", "", None, LabelQuality.STRONG)
    assert one.origin == "MDH"


def test_what_is_written_is_what_is_read(tmp_path):
    rows = (
        row("full", "p1", "covid", slice_thickness_mm=0.625, age=0, sex="O", acquired_on=date(2020, 2, 29)),
        row("plain", "p2", "cp", position=0.1, source='so "called", here', licence="CC BY 4.0; ünïcode"),
        row(
            "slice", "p3", "normal", label3="", n_slices=1, label_quality=LabelQuality.AMBIGUOUS, layout=Layout.PICTURE
        ),
        row("off", "p1", "covid", qc_status=QcStatus.HRCT, split=Split.EXCLUDED, rtpcr_any_positive=False),
    )

    manifest = write_manifest(tmp_path / "out.csv", rows)

    assert manifest.rows == rows
    assert read_manifest(tmp_path / "out.csv") == manifest


def test_every_bad_cell_is_named_with_its_line(tmp_path):
    path = written(
        tmp_path,
        GOOD,
        ",,Mars,training,flu,CP,0,-1,121,X,31.3.2020,rumour,x,yes,2,fine,/abs,",
        GOOD.replace("a1,p1", "a3,p3").replace("8.5", "nan"),
    )

    faults = faults_of(path)

    columns = [name for name in HEADER.split(",") if name != "sha256"]
    assert [fault.split(" ")[2] for fault in faults] == [*columns, "slice_thickness_mm"]
    assert [fault.split(":")[0] for fault in faults] == ["line 3"] * len(columns) + ["line 4"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("MDH,train,nca,cp", "CC-CCII,train,nca,cp", "no label of the cohort CC-CCII"),
        ("MDH,train,nca,cp", "MosMedData,external,normal,normal", "no label of the cohort MosMedData"),
        ("nca,cp", "nca,covid", "label3 must be cp"),
        ("MDH,train,nca,cp", "other,train,non_pneumonia,normal", "label3 must be empty"),
        (",ok,", ",abdomen,", "split must be excluded"),
        ("cp,30,", "cp,9,", "9 slices, fewer than 10"),
        ("mdh/a1", "mdh/../../etc", "must be relative"),
        ("mdh/a1", "C:/scans", "must be relative"),
        ("mdh/a1", "mdh\\a1", "must be relative"),
        ("2020-03-31", "2020-W14-2", "must be a date"),
        ("2020-03-31", "2020-02-30", "must be a date"),
        ("8.5", "8,5", "cells, where the header has 18"),
        ("8.5", "inf", "must be a number"),
    ],
)
def test_a_rule_that_is_broken_is_named(tmp_path, old, new, said):
    assert old in GOOD

    (fault,) = faults_of(written(tmp_path, GOOD.replace(old, new)))

    assert fault.startswith("line 2: ")
    assert said in fault


def test_a_scan_and_a_subject_that_stand_twice_are_found_with_both_lines(tmp_path):
    other = GOOD.replace("a1,", "a2,").replace(",train,", ",test,")
    path = written(tmp_path, GOOD, other, GOOD)

    assert faults_of(path) == [
        "line 3: The subject is in the split test here and in train in line 2.",
        "line 4: scan_id stands in line 2 already.",
    ]


def test_a_scan_left_out_by_quality_control_puts_no_subject_into_two_splits(tmp_path):
    excluded = GOOD.replace("a1,", "a2,").replace(",train,", ",excluded,").replace(",ok,", ",few_slices,")

    assert len(read_manifest(written(tmp_path, GOOD, excluded)).of_split(Split.TRAIN)) == 1


def test_an_ambiguous_row_has_no_single_class_and_is_never_covid(tmp_path):
    header = f"{HEADER},label_quality"
    ambiguous = GOOD.replace("MDH", "other")
    path = written(tmp_path, ambiguous.replace("nca,cp", "normal,") + ",ambiguous", header=header)

    (one,) = read_manifest(path).rows

    assert one.possible_classes == ("normal", "cp")
    (fault,) = faults_of(written(tmp_path, ambiguous.replace("nca,cp", "covid,") + ",ambiguous", header=header))
    assert "can't be ambiguous for covid" in fault


def test_a_single_slice_is_not_too_few(tmp_path):
    path = written(tmp_path, GOOD.replace("cp,30", "cp,1") + ",picture", header=f"{HEADER},layout")

    assert read_manifest(path).rows[0].layout is Layout.PICTURE


def test_the_limit_of_slices_is_the_callers(tmp_path):
    path = written(tmp_path, GOOD.replace("cp,30", "cp,12"))

    assert read_manifest(path).rows
    with pytest.raises(ManifestError, match="fewer than 16"):
        read_manifest(path, fewest_slices=16)


def test_a_missing_column_is_named_and_one_that_may_be_empty_may_be_missing(tmp_path):
    path = written(tmp_path, "a,p,other,train,cp,cp,30,public", header=HEADER.split(",slice_th")[0] + ",label_source")

    assert faults_of(path) == ["line 1: The column qc_status is missing."]
    short = written(
        tmp_path,
        "a,p,other,train,cp,cp,30,public,ok,mine",
        header="scan_id,subject_id,cohort,split,label_raw,label3,n_slices,label_source,qc_status,our_own_column",
    )
    assert read_manifest(short).rows[0].age is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The column scan_id is missing"),
        (HEADER.encode() + b"\n\xff\xfe\n", "not UTF-8"),
        (HEADER.encode() + b'\na,"b\n', "not CSV"),
        ((HEADER + ",age\n").encode(), "The column age stands twice"),
    ],
)
def test_what_is_no_table_is_said_to_be_none(tmp_path, content, said):
    (tmp_path / "manifest.csv").write_bytes(content)

    assert any(said in fault for fault in faults_of(tmp_path / "manifest.csv"))


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(tmp_path):
    (tmp_path / "manifest.csv").write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n\r\n{GOOD}\r\n".encode())

    assert read_manifest(tmp_path / "manifest.csv").rows[0].path == "mdh/a1"


def test_a_file_that_is_not_there_is_said_not_to_be(tmp_path):
    with pytest.raises(ManifestError, match="could not be read"):
        read_manifest(tmp_path / "nowhere.csv")


def test_rows_that_break_rules_are_not_written_and_the_old_file_stays(tmp_path):
    path = written(tmp_path, GOOD)
    before = path.read_bytes()

    with pytest.raises(ManifestError) as caught:
        write_manifest(path, [row("s1"), row("s1"), row("s2", path="../out")])

    assert [fault.line for fault in caught.value.faults] == [3, 4]
    assert path.read_bytes() == before
