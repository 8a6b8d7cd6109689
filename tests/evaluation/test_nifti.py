"""NIfTI volumes as scans: how they lie, what their values mean, and what is said when something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation import layouts
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.layouts import Kind, ScanError, ScanReader
from aicorona_desktop.evaluation.manifest import Layout
from tests.evaluation.manifests import row

nibabel = pytest.importorskip("nibabel")

VOLUME = np.random.default_rng(0).integers(-1000, 400, (5, 24, 32)).astype(np.int16)  # feet first, rows, columns
AS_RAS = VOLUME.transpose(2, 1, 0)[::-1, ::-1]  # to the right, to the front, to the head


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as started:
        yield started


@pytest.fixture
def scans(tmp_path: Path, reader: Reader) -> Iterator[ScanReader]:
    with ScanReader(tmp_path, reader) as opened:
        yield opened


def nifti(path: Path, values: np.ndarray, codes: str = "RAS", spacing_mm: float = 8.0) -> Path:
    """Write a volume given to the right, front and head as a file whose axes run as the codes say."""
    affine = np.diag([0.7, 0.7, spacing_mm, 1.0])
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(values, affine).as_reoriented(turn).to_filename(path)
    return path


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SAR"])
def test_a_nifti_volume_is_turned_to_stand_as_the_programs_slices_do(tmp_path, scans, codes):
    nifti(tmp_path / "study.nii.gz", AS_RAS, codes)

    scan = scans.open(row(path="study.nii.gz"))

    assert (scan.kind, scan.n_slices) == (Kind.HOUNSFIELD, 5)
    assert scan.slice_spacing_mm == pytest.approx(8.0)
    for index, pixels in scan.slices():
        assert pixels.dtype == np.int16
        assert (pixels == VOLUME[index]).all()


def test_scaled_values_are_rounded_to_hounsfield_units_and_what_is_no_number_is_padding(tmp_path, scans):
    values = AS_RAS.astype(np.float32) + 0.4
    values[0, 0, 0], values[1, 0, 0] = np.nan, 40_000
    nifti(tmp_path / "study.nii", values)

    slices = dict(scans.open(row(path="study.nii", layout=Layout.NIFTI)).slices())

    expected = VOLUME[0].copy()
    expected[-1, -1], expected[-1, -2] = PADDING_HU, 32767
    assert (slices[0] == expected).all()


def test_the_constant_around_a_round_field_is_padding(tmp_path, scans):
    values = AS_RAS.astype(np.int32)
    values[:3], values[-3:] = -2048, -2048
    nifti(tmp_path / "study.nii.gz", values)

    slices = dict(scans.open(row(path="study.nii.gz")).slices([2]))

    assert (slices[2][:, :3] == PADDING_HU).all()
    assert (slices[2][:, 3:-3] == VOLUME[2][:, 3:-3]).all()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (AS_RAS[:, :, 0], "three dimensions"),
        (np.stack([AS_RAS, AS_RAS], axis=-1), "three dimensions"),
        (AS_RAS[:8], "impossible size"),
        (np.abs(AS_RAS), "not Hounsfield units"),
    ],
)
def test_a_volume_that_is_none_of_ct_slices_is_named_by_its_row(tmp_path, scans, values, said):
    nibabel.Nifti1Image(np.ascontiguousarray(values), np.diag([0.7, 0.7, 8, 1])).to_filename(tmp_path / "study.nii.gz")

    with pytest.raises(ScanError, match=f"The scan s7 .*{said}"):
        list(scans.open(row("s7", path="study.nii.gz")).slices())


def test_a_damaged_volume_is_named_by_its_row(tmp_path, scans):
    data = nifti(tmp_path / "study.nii.gz", AS_RAS).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(data[: len(data) // 2])
    (tmp_path / "none.nii.gz").write_bytes(b"no volume")

    for name in ("cut.nii.gz", "none.nii.gz"):
        with pytest.raises(ScanError, match="The scan s7 could not be read"):
            list(scans.open(row("s7", path=name)).slices())


def test_without_nibabel_a_volume_says_what_to_install(tmp_path, scans, monkeypatch):
    nifti(tmp_path / "study.nii", AS_RAS)
    monkeypatch.setattr(layouts.importlib, "import_module", _missing)

    with pytest.raises(EvaluationError, match="extra `evaluate`"):
        scans.open(row(path="study.nii"))


def _missing(_name: str) -> None:
    raise ImportError("no such package")
