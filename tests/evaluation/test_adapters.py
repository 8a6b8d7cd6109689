"""Manifests of published data sets, from small trees of the same shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.adapters import cc_ccii, covid_ct_md, mosmeddata, project_scans, project_slices
from aicorona_desktop.evaluation.adapting import Adapted, moved_below
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.layouts import ScanReader
from aicorona_desktop.evaluation.manifest import (
    Cohort,
    LabelQuality,
    Layout,
    ManifestRow,
    QcStatus,
    Split,
    read_manifest,
    write_manifest,
)
from aicorona_desktop.imaging.png import png_bytes
from tests.phantom import chest

PICTURE = png_bytes(np.full((20, 20), 7, np.uint8))


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as started:
        yield started


def by_id(adapted: Adapted) -> dict[str, ManifestRow]:
    return {row.scan_id: row for row in adapted.rows}


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(PICTURE)


def test_cc_ccii_is_read_from_class_patient_and_scan(tmp_path, reader):
    pictures(tmp_path / "CP" / "12" / "3001", 12)
    pictures(tmp_path / "CP" / "12" / "3002", 9)
    pictures(tmp_path / "NCP" / "100" / "1200", 11)
    pictures(tmp_path / "Normal" / "1900" / "80", 10)
    (tmp_path / "Normal" / "1900" / "81").mkdir()
    (tmp_path / "lesions").mkdir()

    adapted = cc_ccii(tmp_path)

    rows = by_id(adapted)
    assert {scan: (row.label_raw, row.n_slices, row.qc_status.value) for scan, row in rows.items()} == {
        "cc-ccii-cp-12-3001": ("cp", 12, "ok"),
        "cc-ccii-cp-12-3002": ("cp", 9, "few_slices"),
        "cc-ccii-covid-100-1200": ("covid", 11, "ok"),
        "cc-ccii-normal-1900-80": ("normal", 10, "ok"),
        "cc-ccii-normal-1900-81": ("normal", 1, "few_slices"),
    }
    assert {row.subject_id for row in rows.values()} == {"cc-ccii-12", "cc-ccii-100", "cc-ccii-1900"}
    assert {row.cohort for row in rows.values()} == {Cohort.CC_CCII}
    assert adapted.judgements["cc-ccii-normal-1900-81"].reason == "0 slices, fewer than 10."
    assert write_manifest(tmp_path / "manifest.csv", adapted.rows).rows == adapted.rows
    with ScanReader(tmp_path, reader) as scans:
        assert scans.open(rows["cc-ccii-covid-100-1200"]).n_slices == 11


def test_mosmeddata_is_external_and_ct_0_is_without_pneumonia(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    for grade, study in ((0, "study_0001"), (1, "study_0255"), (4, "study_1110")):
        folder = tmp_path / "studies" / f"CT-{grade}"
        folder.mkdir(parents=True)
        volume = np.full((16, 16, 36), -1000, np.int16)
        nibabel.Nifti1Image(volume, np.diag([0.7, 0.7, 8, 1])).to_filename(folder / f"{study}.nii.gz")
    (folder / "study_1111.nii.gz").write_bytes(b"damaged")

    adapted = mosmeddata(tmp_path)

    rows = by_id(adapted)
    assert {scan: (row.label_raw, row.label3, row.n_slices, row.split.value) for scan, row in rows.items()} == {
        "mosmed-ct0-study-0001": ("non_pneumonia", "", 36, "external"),
        "mosmed-ct1-study-0255": ("covid", "covid", 36, "external"),
        "mosmed-ct4-study-1110": ("covid", "covid", 36, "external"),
        "mosmed-ct4-study-1111": ("covid", "covid", 1, "excluded"),
    }
    assert rows["mosmed-ct0-study-0001"].possible_classes == ("normal", "cp")
    assert rows["mosmed-ct0-study-0001"].slice_thickness_mm == 8.0
    assert rows["mosmed-ct4-study-1111"].qc_status is QcStatus.UNREADABLE
    assert write_manifest(tmp_path / "manifest.csv", adapted.rows).rows == adapted.rows


def test_covid_ct_md_is_read_from_its_headers(tmp_path, reader):
    names = {"Cap subjects/cap001": "cp", "COVID-19 subjects/P002": "covid", "Normal subjects/normal001": "normal"}
    for name in names:
        chest(name[:3].lower()).with_slices(16).written_to(tmp_path / name)
    chest("few").with_slices(8).written_to(tmp_path / "Normal subjects" / "normal002")
    (tmp_path / "Normal subjects" / "normal003").mkdir()

    adapted = covid_ct_md(tmp_path, reader)

    rows = by_id(adapted)
    assert {row.path: row.label3 for row in rows.values() if row.qc_status is QcStatus.OK} == names
    known = rows["covidctmd-p002"]
    assert (known.n_slices, known.slice_thickness_mm, known.age, known.sex) == (16, 10.0, 56, "O")
    assert known.layout is Layout.DICOM
    assert rows["covidctmd-normal002"].qc_status is QcStatus.FEW_SLICES
    assert rows["covidctmd-normal003"].qc_status is QcStatus.UNREADABLE
    assert write_manifest(tmp_path / "manifest.csv", adapted.rows).rows == adapted.rows


@pytest.mark.parametrize("adapter", [cc_ccii, mosmeddata])
def test_a_folder_of_something_else_is_said_to_be_the_wrong_one(adapter, tmp_path):
    (tmp_path / "photos").mkdir()

    with pytest.raises(EvaluationError, match="right folder"):
        adapter(tmp_path)


def test_the_projects_slices_keep_split_source_licence_and_doubt(tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "file,label,detail,source,subject_id,split,repo,original_path,licence,label_quality,repo_commit,sha256\n"
        'train/covid/m1.webp,covid,x,mosmed,m-1,train,r,o,"CC BY-NC-ND 3.0",strong,c,aa\n'
        "tune/normal/s1.webp,normal,x,sarscov2-ct,s-1,tune,r,o,CC BY-NC-SA 4.0,ambiguous,c,bb\n",
        encoding="utf-8",
    )

    first, second = project_slices(tmp_path).rows

    assert (first.scan_id, first.split, first.source, first.label3) == (
        "train-covid-m1",
        Split.TRAIN,
        "mosmed",
        "covid",
    )
    assert (second.label_raw, second.label3, second.label_quality) == ("normal", "", LabelQuality.AMBIGUOUS)
    assert second.possible_classes == ("normal", "cp")
    assert second.path == "tune/normal/s1.webp"


def test_the_projects_collections_fit_into_one_manifest(shared: Path, tmp_path: Path, reader: Reader):
    slices = project_slices(shared / "data" / "ct_slices")
    scans = project_scans(shared / "data" / "ct_scans")
    rows = (*moved_below(slices.rows, "ct_slices"), *moved_below(scans.rows, "ct_scans"))

    write_manifest(tmp_path / "manifest.csv", rows)

    read = read_manifest(tmp_path / "manifest.csv").rows
    assert read == rows
    assert len(slices.rows) == 2254
    assert Counter(row.label3 or "not covid" for row in scans.rows) == {
        "normal": 1,
        "cp": 1,
        "covid": 1,
        "not covid": 1,
    }
    assert [row.n_slices for row in scans.rows] == [45, 56, 52, 41]
    with ScanReader(shared / "data", reader) as opened:
        for row in (read[0], read[-1]):
            assert opened.open(row).n_slices == row.n_slices


def test_a_collection_without_its_table_says_so(tmp_path):
    with pytest.raises(EvaluationError, match=r"manifest\.csv"):
        project_slices(tmp_path)
