"""Scans in every layout: their slices in order, what their values mean, and what is said when something is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.core.findings import Reason
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.layouts import Kind, ScanError, ScanReader, content_sha256, layout_of
from aicorona_desktop.evaluation.manifest import Layout
from aicorona_desktop.imaging.png import png_bytes
from tests.evaluation.manifests import row
from tests.phantom import chest


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as started:
        yield started


@pytest.fixture
def scans(tmp_path: Path, reader: Reader) -> Iterator[ScanReader]:
    with ScanReader(tmp_path, reader) as opened:
        yield opened


def pictures(folder: Path, count: int, side: int = 24) -> list[np.ndarray]:
    """Write pictures with names whose order as text is not their order as numbers."""
    folder.mkdir(parents=True)
    drawn = [np.full((side, side + 2), 10 * number, dtype=np.uint8) for number in range(count)]
    for number, picture in enumerate(drawn):
        (folder / f"slice{number + 8}.png").write_bytes(png_bytes(picture))
    return drawn


# --- DICOM -------------------------------------------------------------------------------------------------------


def test_a_dicom_series_comes_from_feet_to_head_in_hounsfield_units(tmp_path, scans):
    phantom = chest().with_slices(16).with_matrix(64)
    folder = phantom.written_to(tmp_path / "scan")
    for number, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        path.rename(folder / f"{number:02d}.dcm")

    scan = scans.open(row(path="scan", layout=Layout.DICOM))

    assert (scan.kind, scan.n_slices, scan.slice_spacing_mm) == (Kind.HOUNSFIELD, 16, 10.0)
    for index, pixels in scan.slices():
        assert pixels.dtype == np.int16
        assert (pixels == phantom.hounsfield(index)).all()


def test_slices_are_read_in_the_order_asked_for(tmp_path, scans):
    phantom = chest().with_slices(16).with_matrix(64)
    phantom.written_to(tmp_path / "scan")

    found = list(scans.open(row(path="scan")).slices([7, 3]))

    assert [index for index, _ in found] == [7, 3]
    assert all((pixels == phantom.hounsfield(index)).all() for index, pixels in found)


def test_the_gates_findings_come_along_and_leave_the_decision_to_the_caller(tmp_path, scans):
    chest().with_slices(11).with_matrix(128).written_to(tmp_path / "short")
    chest().with_localizer().written_to(tmp_path / "whole")

    short, whole = scans.open(row(path="short")), scans.open(row(path="whole"))

    assert not short.suitable
    assert Reason.TOO_FEW_SLICES in {finding.reason for finding in short.findings}
    assert (whole.suitable, whole.n_slices) == (True, 20)
    assert len(list(short.slices())) == 11


def test_two_studies_in_one_folder_are_refused_by_the_name_of_the_row(tmp_path, scans):
    chest("one").with_slices(3).written_to(tmp_path / "both" / "a")
    chest("two").with_slices(3).written_to(tmp_path / "both" / "b")

    with pytest.raises(ScanError, match=r"The scan s7 .* more than one study"):
        scans.open(row("s7", path="both", layout=Layout.DICOM))


def test_a_slice_that_cannot_be_decoded_stops_the_scan_instead_of_leaving_a_hole(tmp_path, scans):
    folder = chest().with_slices(16).with_matrix(64).written_to(tmp_path / "scan")
    scan = scans.open(row("s7", path="scan"))
    (folder / "IM0003.dcm").write_bytes(b"changed meanwhile")

    with pytest.raises(ScanError, match=r"The scan s7 .* changed"):
        list(scan.slices())


def test_a_real_series_gives_the_slices_that_its_pictures_show(shared: Path, reader: Reader):
    with ScanReader(shared / "data", reader) as scans:
        scan = scans.open(row(path="dicom/chest_covid_siemens_2mm", layout=Layout.DICOM))
        ((_, middle),) = scan.slices([11])
        shown = scans.open(row(path="ct_scans/ctmd_p002", layout=Layout.PICTURES))
        best = max(_likeness(middle, picture) for _, picture in shown.slices())

    assert scan.n_slices == 22
    assert best > 0.98


def _likeness(hounsfield: np.ndarray, picture: np.ndarray) -> float:
    windowed = np.clip(hounsfield, -1350, 150).astype(float)
    rows, columns = (np.linspace(0, side - 1, 64).round().astype(int) for side in windowed.shape)
    others = [np.linspace(0, side - 1, 64).round().astype(int) for side in picture.shape]
    return float(np.corrcoef(windowed[np.ix_(rows, columns)].ravel(), picture[np.ix_(*others)].ravel())[0, 1])


# --- pictures ----------------------------------------------------------------------------------------------------


def test_pictures_come_in_the_order_of_their_numbers(tmp_path, scans):
    drawn = pictures(tmp_path / "scan", 4)
    (tmp_path / "scan" / "Thumbs.db").write_bytes(b"no picture")
    (tmp_path / "scan" / ".slice9.png").write_bytes(b"hidden")

    scan = scans.open(row(path="scan"))

    assert (scan.kind, scan.n_slices, scan.suitable) == (Kind.GREY, 4, True)
    assert all((pixels == drawn[index]).all() for index, pixels in scan.slices())


def test_a_single_picture_is_a_scan_of_one_slice(tmp_path, scans):
    drawn = pictures(tmp_path / "scan", 1)

    ((index, pixels),) = scans.open(row(path="scan/slice8.png")).slices()

    assert index == 0
    assert (pixels == drawn[0]).all()


def test_a_damaged_picture_is_named_by_its_row(tmp_path, scans):
    pictures(tmp_path / "scan", 2)
    (tmp_path / "scan" / "slice9.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")

    scan = scans.open(row("s7", path="scan"))

    with pytest.raises(ScanError, match=r"The scan s7 could not be read: .*decoded"):
        list(scan.slices())


def test_an_empty_folder_is_named_by_its_row(tmp_path, scans):
    (tmp_path / "scan").mkdir()

    with pytest.raises(ScanError, match=r"The scan s7 .* no pictures"):
        scans.open(row("s7", path="scan", layout=Layout.PICTURES))
    with pytest.raises(ScanError, match=r"The scan s7 .* no CT study"):
        scans.open(row("s7", path="scan", layout=Layout.DICOM))


@pytest.mark.parametrize("path", ["nowhere", ""])
def test_a_path_that_leads_nowhere_is_named_by_its_row(scans, path):
    with pytest.raises(ScanError, match=r"The scan s7 .*(no such file|no path)"):
        scans.open(row("s7", path=path))


def test_a_slice_that_is_not_there_is_a_mistake_of_the_caller(tmp_path, scans):
    pictures(tmp_path / "scan", 2)

    with pytest.raises(ValueError, match="beyond the 2"):
        scans.open(row(path="scan")).slices([2])


# --- what lies there ---------------------------------------------------------------------------------------------


def test_names_suggest_the_layout(tmp_path):
    pictures(tmp_path / "pictures", 1)
    (tmp_path / "dicom").mkdir()

    assert layout_of(tmp_path / "pictures") is Layout.PICTURES
    assert layout_of(tmp_path / "dicom") is Layout.DICOM
    assert layout_of(tmp_path / "study.NII.gz") is Layout.NIFTI
    assert layout_of(tmp_path / "slice.JPG") is Layout.PICTURE


def test_the_hash_of_a_scan_is_that_of_its_sorted_file_hashes(tmp_path):
    pictures(tmp_path / "scan", 3)
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "scan").iterdir())

    found = content_sha256(tmp_path / "scan", Layout.PICTURES)

    assert found == hashlib.sha256("\n".join(digests).encode()).hexdigest()
