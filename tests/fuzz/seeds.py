"""Sound files to begin with: a drawn slice in every transfer syntax that is read, and what lies around slices."""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import gdcm
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests import phantom
from tests.dicom.ct_files import compressed, ct_file, enhanced_file, written

LARGEST_HEADER_SEED_BYTES = 64 * 1024
SIDE = 64
GDCM_WRITES = {
    JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
}
# What the real samples are for: no encoder at hand writes these, or not as others do.
REAL = {
    HTJ2KLossless: "ct_HTJ2K_lossless_1.2.840.10008.1.2.4.201.dcm",
    "1.2.840.10008.1.2.4.203": "ct_HTJ2K_lossy_1.2.840.10008.1.2.4.203.dcm",
    JPEGLSNearLossless: "ct_JPEGLSLossy_1.2.840.10008.1.2.4.81.dcm",
    JPEGLossless: "ct_JPEGProcess14_1.2.840.10008.1.2.4.57.dcm",
}


def drawn(side: int = SIDE) -> NDArray[np.int16]:
    """A slice of a chest with noise, int16 [side, side], in HU."""
    slice_hu = phantom.chest("fuzz").with_matrix(side).hounsfield(10)
    return np.array(slice_hu, np.int16)


@lru_cache(maxsize=1)
def slices() -> Mapping[str, bytes]:
    """The drawn slice in each transfer syntax that something here can write, by transfer syntax UID."""
    pixels = drawn()
    native = {
        syntax: ct_file(pixels, syntax)
        for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
    }
    native[ExplicitVRBigEndian] = big_endian(native[ExplicitVRLittleEndian])
    packed = {syntax: written(compressed(pixels, syntax), syntax) for syntax in (RLELossless, JPEG2000Lossless)}
    by_gdcm = {syntax: written_by_gdcm(native[ExplicitVRLittleEndian], syntax) for syntax in GDCM_WRITES}
    return {**native, **packed, **by_gdcm}


def big_endian(content: bytes) -> bytes:
    data_set = pydicom.dcmread(io.BytesIO(content))
    data_set.PixelData = np.frombuffer(data_set.PixelData, "<i2").astype(">i2").tobytes()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data_set, enforce_file_format=True, little_endian=False, implicit_vr=False)
    return stream.getvalue()


def written_by_gdcm(content: bytes, syntax: str) -> bytes:
    """The file with its pixels encoded by GDCM, which wants files."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.dcm", Path(folder) / "after.dcm"
        before.write_bytes(content)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(before))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(GDCM_WRITES[syntax]))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(after))
        assert writer.Write()
        return after.read_bytes()


def headers(real: Path | None = None) -> Iterator[bytes]:
    """Files with few pixels and much header; `real` is a folder of DICOM files to take the small ones from."""
    yield from slices().values()
    yield enhanced_file(np.zeros((3, 32, 32), np.int16), (1.0, 1.0, 1.0))
    yield ct_file(PatientName="Yamada^Tarou=山田^太郎", SpecificCharacterSet="ISO_IR 192")
    chest = phantom.chest("fuzz").with_matrix(32).with_localizer()
    yield chest.localizer()
    yield chest.with_tags(PixelPaddingValue=-2000, RescaleType="HU", BurnedInAnnotation="NO").file(3)
    for path in sorted(real.rglob("*")) if real is not None else ():
        if path.is_file() and path.suffix != ".csv" and 132 < path.stat().st_size <= LARGEST_HEADER_SEED_BYTES:
            yield path.read_bytes()


def frames(real: Path | None = None) -> Mapping[str, tuple[bytes, ...]]:
    """Slices by the name of what decodes them; `real` is the folder with one slice in many encodings."""
    made = slices()
    found = {
        "native": [made[ImplicitVRLittleEndian], made[ExplicitVRLittleEndian], made[ExplicitVRBigEndian]],
        "deflate": [made[DeflatedExplicitVRLittleEndian]],
        "rle": [made[RLELossless]],
        "jpeg-lossless-57": [made[JPEGLossless]],
        "jpeg-lossless-70": [made[JPEGLosslessSV1]],
        "jpeg-ls": [made[JPEGLSLossless]],
        "jpeg-2000": [made[JPEG2000Lossless]],
    }
    if real is not None:
        found["htj2k"] = [
            (real / REAL[HTJ2KLossless]).read_bytes(),
            (real / REAL["1.2.840.10008.1.2.4.203"]).read_bytes(),
        ]
        found["jpeg-ls"].append((real / REAL[JPEGLSNearLossless]).read_bytes())
        found["jpeg-lossless-57"].append((real / REAL[JPEGLossless]).read_bytes())
    return {name: tuple(files) for name, files in found.items()}


def archives() -> Iterator[bytes]:
    """ZIP archives, stored and deflated, with folders and a comment, as some program writes them."""
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.comment = b"a comment"
            archive.writestr("A/", b"")
            for index, content in enumerate(list(slices().values())[:3]):
                archive.writestr(f"A/IM{index}", content[:6000])
            archive.writestr("notes \u00e4.txt", b"plain words " * 40)
        yield stream.getvalue()


def directories(real: Path | None = None) -> Iterator[bytes]:
    """Disc directories: one made of nothing but records, and those of real discs."""
    ids = (b"", b"", b"IMAGES\\IM000001", b"IMAGES\\IM000002")
    for implicit in (False, True):
        yield _directory(ids, implicit=implicit)
    for path in sorted(real.rglob("DICOMDIR")) if real is not None else ():
        yield path.read_bytes()


def _directory(ids: tuple[bytes, ...], *, implicit: bool) -> bytes:
    def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        size = len(value) if length is None else length
        if implicit:
            return head + struct.pack("<I", size) + value
        return head + vr + (struct.pack("<HI", 0, size) if vr in {b"SQ", b"OB"} else struct.pack("<H", size)) + value

    items = b""
    for name in ids:
        body = element(0x00041400, b"UL", struct.pack("<I", 0)) + element(0x00041420, b"UL", struct.pack("<I", 0))
        body += element(0x00041500, b"CS", name + b" " * (len(name) % 2))
        items += struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
    syntax = b"1.2.840.10008.1.2\0" if implicit else b"1.2.840.10008.1.2.1\0"
    meta = b"\2\0\2\0UI" + struct.pack("<H", 20) + b"1.2.840.10008.1.3.10"
    meta += b"\2\0\x10\0UI" + struct.pack("<H", len(syntax)) + syntax
    meta = b"\2\0\0\0UL\4\0" + struct.pack("<I", len(meta)) + meta
    return b"\0" * 128 + b"DICM" + meta + element(0x00041200, b"UL", b"\0" * 4) + element(0x00041220, b"SQ", items)


def deflated(data_set: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data_set) + packer.flush()
