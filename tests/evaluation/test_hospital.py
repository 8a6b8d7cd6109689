"""The manifest of a hospital's archive: DICOM files in folders of any name, and a table of labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.hospital import hospital_archive
from aicorona_desktop.evaluation.layouts import ScanReader
from aicorona_desktop.evaluation.manifest import Cohort, LabelSource, ManifestError, QcStatus, write_manifest
from tests.phantom import chest


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as started:
        yield started


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive")
    small = chest().with_slices(16).with_matrix(128)
    small.named("anna").with_localizer().written_to(root / "DICOM" / "0001" / "A")
    small.named("again").with_tags(PatientID="PHANTOM-anna").written_to(root / "DICOM" / "0001" / "B")
    small.named("bert").written_to(root / "DICOM" / "0002")
    small.named("belly").with_tags(
        BodyPartExamined="ABDOMEN", SeriesDescription="5.0", StudyDescription="CT"
    ).written_to(root / "DICOM" / "0003")
    return root


def labels(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_studies_are_found_by_folder_or_uid_and_subjects_are_numbered(archive, tmp_path, reader):
    table = labels(
        tmp_path,
        "folder,study_instance_uid,label,acquired_on,label_source,hospital_days_gt3\n"
        "DICOM/0001/A,,covid,2020-03-31,criteria,1\n"
        f",{chest('again').study_instance_uid},covid,,,\n"
        "DICOM/0002,,nca,,,\n",
    )

    adapted = hospital_archive(archive, table, reader)

    first, again, bert = adapted.rows
    assert [row.path for row in adapted.rows] == ["DICOM/0001/A", "DICOM/0001/B", "DICOM/0002"]
    assert first.subject_id == again.subject_id != bert.subject_id
    assert (first.cohort, first.label3, bert.label3) == (Cohort.MDH, "covid", "cp")
    assert (first.n_slices, first.slice_thickness_mm, first.age) == (16, 10.0, 56)
    assert (str(first.acquired_on), first.label_source, first.hospital_days_gt3) == (
        "2020-03-31",
        LabelSource.CRITERIA,
        True,
    )
    assert again.label_source is LabelSource.REPORTS
    without_vendor = [str(replace(row, vendor="")) for row in adapted.rows]  # that of phantoms is PHANTOM too
    assert {row.vendor for row in adapted.rows} == {"PHANTOM"}
    assert not any("PHANTOM" in text or "anna" in text for text in without_vendor)
    assert write_manifest(tmp_path / "manifest.csv", adapted.rows).rows == adapted.rows
    with ScanReader(archive, reader) as scans:
        assert [scans.open(row).n_slices for row in adapted.rows] == [16, 16, 16]


def test_quality_control_takes_out_what_is_no_chest_and_what_two_readings_disagree_on(archive, tmp_path, reader):
    table = labels(
        tmp_path, "folder,label,second_label\nDICOM/0003,nca,\nDICOM/0002,nca,normal\nDICOM/0001/A,covid,covid\n"
    )

    adapted = hospital_archive(archive, table, reader)

    statuses = [row.qc_status for row in adapted.rows]
    assert statuses == [QcStatus.ABDOMEN, QcStatus.LABEL_DISAGREE, QcStatus.OK]
    assert set(adapted.judgements) == {"mdh-00001", "mdh-00002"}


def test_the_sites_own_pseudonyms_and_cohort_are_kept(archive, tmp_path, reader):
    table = labels(tmp_path, "folder,label,subject_id,age,sex\nDICOM/0002,cp,S-17,44,F\n")

    (row,) = hospital_archive(archive, table, reader, cohort=Cohort.OTHER).rows

    assert (row.scan_id, row.subject_id, row.age, row.sex) == ("other-00001", "S-17", 44, "F")


def test_every_line_that_is_wrong_is_named(archive, tmp_path, reader):
    table = labels(
        tmp_path,
        "folder,study_instance_uid,label,age\n"
        "DICOM/0001,,covid,\n"
        "DICOM/0009,,covid,\n"
        ",1.2.3,covid,\n"
        "DICOM/0002,1.2.3,covid,\n"
        "DICOM/0002,,flu,\n"
        "DICOM/0002,,nca,old\n",
    )

    with pytest.raises(ManifestError) as caught:
        hospital_archive(archive, table, reader)

    said = [str(fault) for fault in caught.value.faults]
    for line, part in enumerate(("more than one study", "no study", "No file", "not both", "one of normal", "age"), 2):
        assert said[line - 2].startswith(f"line {line}: ")
        assert part in said[line - 2]
    assert len(said) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [("a,b\n1,2\n", "column label"), ('label,folder\n"covid,x\n', "not CSV")],
)
def test_a_table_without_labels_is_said_to_be_none(archive, tmp_path, reader, text, said):
    with pytest.raises(ManifestError, match=said):
        hospital_archive(archive, labels(tmp_path, text), reader)


def test_a_table_that_is_not_there_is_said_not_to_be(archive, tmp_path, reader):
    with pytest.raises(EvaluationError, match="could not be read"):
        hospital_archive(archive, tmp_path / "labels.csv", reader)
