"""Make `resources/samples`: one small synthetic CT slice in every transfer syntax that the program reads.

`self-check` decodes them and compares the pictures. Run it from the checkout with the development environment:

    python installer/samples.py

HTJ2K is missing: no encoder of it is among the development dependencies.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import gdcm
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from aicorona_desktop.dicom.writing import ct_slice, uid_of  # noqa: E402 - the checkout, not an installed copy
from aicorona_desktop.imaging.phantom import Thorax  # noqa: E402

BY_GDCM = {
    "jpeg-lossless-process-14": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "jpeg-lossless-sv1": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "jpeg-ls-lossless": gdcm.TransferSyntax.JPEGLSLossless,
}
REWRITTEN = {
    "implicit-vr-little-endian": ImplicitVRLittleEndian,
    "deflated-explicit-vr-little-endian": DeflatedExplicitVRLittleEndian,
    "explicit-vr-big-endian": ExplicitVRBigEndian,
}
COMPRESSED = {"rle-lossless": RLELossless, "jpeg-2000-lossless": JPEG2000Lossless}


def main() -> None:
    """Write all samples."""
    folder = ROOT / "resources" / "samples"
    folder.mkdir(exist_ok=True)
    thorax = Thorax(slices=40, matrix=64)
    words = {"PatientName": "Sample^Synthetic", "PatientID": "SAMPLE", "Modality": "CT"}
    uids = {name: uid_of("sample", name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    plain = folder / "explicit-vr-little-endian.dcm"
    plain.write_bytes(ct_slice(thorax.slice(20), thorax.positions_mm[20], thorax.pixel_spacing_mm, words | uids))
    for name, syntax in REWRITTEN.items():
        _rewrite(plain, folder / f"{name}.dcm", str(syntax))
    for name, syntax in COMPRESSED.items():
        dataset = pydicom.dcmread(plain)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(folder / f"{name}.dcm")
    for name, syntax in BY_GDCM.items():
        _change(plain, folder / f"{name}.dcm", syntax)


def _rewrite(source: Path, target: Path, syntax: str) -> None:
    dataset: Dataset = pydicom.dcmread(source)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(
        target,
        dataset,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        force_encoding=True,
    )


def _change(source: Path, target: Path, syntax: int) -> None:
    """Let GDCM encode; it rewrites the file, so only its pixel data are taken over."""
    with tempfile.TemporaryDirectory() as folder:
        reader = gdcm.ImageReader()
        reader.SetFileName(str(source))
        reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise SystemExit(f"GDCM could not write {target.name}")
        writer = gdcm.ImageWriter()
        changed = str(Path(folder) / "changed.dcm")
        writer.SetFileName(changed)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()
        encoded = pydicom.dcmread(changed)
    dataset = pydicom.dcmread(source)
    dataset.PixelData = encoded.PixelData
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
    dataset.save_as(target)


if __name__ == "__main__":
    main()
