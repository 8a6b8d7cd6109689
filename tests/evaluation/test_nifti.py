"""NIfTI volumes as scans: how they lie, what their values mean, and what is said when something is wrong."""

from __future__ import annotations

import gzip
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.core.findings import Finding, Reason
from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.layouts import Kind, ScanError, ScanReader
from aicorona_desktop.evaluation.manifest import Layout
from aicorona_desktop.evaluation.volumes import Volume, Volumes
from tests.evaluation.manifests import row

nibabel = pytest.importorskip("nibabel")

VOLUME = np.random.default_rng(0).integers(-1000, 400, (5, 24, 32)).astype(np.int16)  # feet first, rows, columns
AS_RAS = VOLUME.transpose(2, 1, 0)[::-1, ::-1]  # to the right, to the front, to the head


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as started:
        yield started


@pytest.fixture(scope="module")
def volumes() -> Iterator[Volumes]:
    with Volumes() as opened:
        yield opened


@pytest.fixture
def scans(tmp_path: Path, reader: Reader, volumes: Volumes) -> Iterator[ScanReader]:
    with ScanReader(tmp_path, reader, volumes) as opened:
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


def test_only_a_reader_that_was_started_for_volumes_reads_them_and_others_say_what_is_missing(tmp_path, reader):
    data = nifti(tmp_path / "study.nii", AS_RAS).read_bytes()

    refused = reader.volume(data, "hash")

    assert isinstance(refused, Finding)
    assert "extra `evaluate`" in str(refused)


def test_nothing_of_a_volume_is_parsed_outside_the_reader_process(tmp_path, scans):
    nifti(tmp_path / "study.nii.gz", AS_RAS)
    script = (
        "import sys; from pathlib import Path\n"
        "from aicorona_desktop.evaluation.layouts import ScanReader\n"
        "from tests.evaluation.manifests import row\n"
        f"with ScanReader(Path({str(tmp_path)!r})) as scans:\n"
        "    assert len(list(scans.open(row(path='study.nii.gz')).slices())) == 5\n"
        "assert 'nibabel' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


# --- what somebody may send ---------------------------------------------------------------------------------------


def header_of(values: np.ndarray = AS_RAS) -> bytearray:
    """Return an uncompressed file whose header a test may spoil."""
    return bytearray(nibabel.Nifti1Image(np.ascontiguousarray(values), np.diag([0.7, 0.7, 8, 1])).to_bytes())


def spoiled(place: int, layout: str, *values: object) -> bytes:
    data = header_of()
    struct.pack_into(layout, data, place, *values)
    return bytes(data)


HUGE = spoiled(40, "<8h", 3, 32767, 32767, 32767, 1, 1, 1, 1)
HOSTILE = {
    "huge sides": (HUGE, "impossible size"),
    "more than is there": (spoiled(40, "<8h", 3, 512, 512, 300, 1, 1, 1, 1), "damaged or cut off"),
    "more than is ever read": (spoiled(40, "<8h", 3, 4096, 4096, 4000, 1, 1, 1, 1), "too large"),
    "sides below zero": (spoiled(40, "<8h", 3, -32, 24, 5, 1, 1, 1, 1), "."),
    "no sides": (spoiled(40, "<8h", 0, 0, 0, 0, 0, 0, 0, 0), "three dimensions"),
    "too many dimensions": (spoiled(40, "<8h", 30_000, 32, 24, 5, 1, 1, 1, 1), "."),
    "colours": (spoiled(70, "<2h", 128, 24), "not Hounsfield units"),
    "an unknown kind of value": (spoiled(70, "<2h", 7777, 16), "damaged"),
    "values inside the header": (spoiled(108, "<f", 4.0), "damaged"),
    "values nowhere": (spoiled(108, "<f", float("nan")), "damaged"),
    "values far behind the end": (spoiled(108, "<f", 1e30), "."),
    "an offset that is no number": (spoiled(112, "<2f", 1.0, float("inf")), "damaged"),
    "no place in the patient": (spoiled(280, "<12f", *[float("nan")] * 12), "how it lies"),
    "a flat patient": (spoiled(280, "<12f", *[0.0] * 12), "how it lies"),
    "values in another file": (spoiled(344, "4s", b"ni1\0"), "damaged"),
    "another magic": (spoiled(344, "4s", b"evil"), "damaged"),
    "cut in the header": (bytes(header_of()[:200]), "damaged"),
    "a bomb": (gzip.compress(bytes(spoiled(40, "<8h", 3, 512, 512, 400, 1, 1, 1, 1)) + bytes(210_000_000), 6), "ratio"),
    "a bomb behind the values": (gzip.compress(bytes(header_of()) + bytes(50_000_000), 6), "ratio"),
    "a cut bomb": (gzip.compress(header_of())[:300], "damaged"),
    "a wrong checksum": (gzip.compress(header_of())[:-8] + bytes(8), "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_volume_is_refused_with_a_sentence_and_the_reader_lives(tmp_path, volumes, name):
    data, said = HOSTILE[name]
    (tmp_path / "study.nii").write_bytes(data)

    answers = [volumes.volume(tmp_path / "study.nii")]
    if isinstance(answers[0], Volume):
        answers = list(volumes.slices(answers[0], [0]))

    assert all(isinstance(answer, Finding) for answer in answers)
    assert re.search(said, str(answers[0]))
    assert all(answer.reason not in (Reason.STOPPED_THE_READER, Reason.READER_FAILED) for answer in answers)
    nifti(tmp_path / "good.nii.gz", AS_RAS)
    assert isinstance(volumes.volume(tmp_path / "good.nii.gz"), Volume)


def test_a_slope_that_is_no_number_scales_nothing_as_its_writers_mean_it(tmp_path, scans):
    (tmp_path / "study.nii").write_bytes(spoiled(112, "<2f", float("nan"), 0.0))

    slices = dict(scans.open(row(path="study.nii")).slices())

    assert all((slices[index] == VOLUME[index]).all() for index in range(5))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("scaling", [(1.0, 0.0), (2.5, -1000.25)])
def test_every_slice_equals_what_nibabel_makes_of_the_whole_file(tmp_path, scans, dtype, scaling):
    stored = np.random.default_rng(1).integers(0, 255, (32, 24, 5)).astype(dtype)
    image = nibabel.Nifti1Image(stored, np.diag([0.7, -0.7, 8, 1]), dtype=dtype)
    image.header.set_slope_inter(*scaling)
    path = tmp_path / "study.nii.gz"
    image.to_filename(path)
    expected = nibabel.as_closest_canonical(nibabel.load(path)).get_fdata()[::-1, ::-1].transpose(2, 1, 0)
    if expected.min() > -850:
        with pytest.raises(ScanError, match="not Hounsfield units"):
            list(scans.open(row(path="study.nii.gz")).slices())
        return

    for index, pixels in scans.open(row(path="study.nii.gz")).slices([4, 0, 2]):
        assert (pixels == np.rint(expected[index])).all()


def test_the_second_version_of_the_format_and_the_other_order_of_bytes_are_read_too(tmp_path, scans):
    affine = np.diag([0.7, 0.7, 8, 1])
    nibabel.Nifti2Image(np.ascontiguousarray(AS_RAS), affine).to_filename(tmp_path / "second.nii.gz")
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.dtype(">i2"))
    nibabel.Nifti1Image(np.ascontiguousarray(AS_RAS).astype(">i2"), affine, header).to_filename(tmp_path / "big.nii")

    for name in ("second.nii.gz", "big.nii"):
        slices = dict(scans.open(row(path=name)).slices())
        assert all((slices[index] == VOLUME[index]).all() for index in range(5))
