"""CT files written by pydicom, value by value, right or wrong, for the tests of the reader process."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from aicorona_desktop.core.headers import Header
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import Examined

EMPTY = np.zeros((32, 32), np.int16)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ct_data_set(stored: NDArray[np.int16] | NDArray[np.uint16] = EMPTY, **elements: object) -> Dataset:
    """A complete CT slice; an element given as None is left out."""
    rows, columns = stored.shape[-2:]
    values: dict[str, object] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": "1.2.826.1",
        "StudyDate": "20260105",
        "Modality": "CT",
        "PatientName": "Phantom^Test",
        "PatientID": "P-1",
        "StudyInstanceUID": "1.2.826.2",
        "SeriesInstanceUID": "1.2.826.3",
        "ImagePositionPatient": [-100, -100, 5],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": rows,
        "Columns": columns,
        "PixelSpacing": [0.7, 0.7],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "PixelRepresentation": int(stored.dtype == np.int16),
        "RescaleIntercept": 0,
        "RescaleSlope": 1,
        **elements,
    }
    data_set = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wrong values are what some tests are about
        for keyword, value in values.items():
            if value is not None:
                setattr(data_set, keyword, value)
        data_set.HighBit = data_set.BitsStored - 1
        data_set.add_new("PixelData", "OW", stored.astype(stored.dtype.newbyteorder("<")).tobytes())
    return data_set


def written(data_set: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The file of a data set."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    data_set.file_meta = meta
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(stream, data_set, enforce_file_format=True)
    return stream.getvalue()


def compressed(stored: NDArray[np.int16] | NDArray[np.uint16], transfer_syntax: str, **elements: object) -> Dataset:
    """A data set whose pixels pydicom has encoded."""
    data_set = ct_data_set(stored, **elements)
    written(data_set)
    data_set.compress(transfer_syntax, generate_instance_uid=False)
    return data_set


def with_element(content: bytes, tag: int, vr: str, value: bytes) -> bytes:
    """The file, explicit VR little endian, with bytes of any kind under a tag; pydicom would put them right."""
    at = 144 + int.from_bytes(content[140:144], "little")
    while True:
        group, number = struct.unpack_from("<HH", content, at)
        if group << 16 | number >= tag:
            break
        at = _end_of(content, at)
    end = _end_of(content, at) if group << 16 | number == tag else at
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    size = struct.pack("<xxI" if vr in _LONG else "<H", len(value))
    return content[:at] + head + size + value + content[end:]


_LONG = {"OB", "OW", "SQ", "UN", "UT"}


def _end_of(content: bytes, at: int) -> int:
    if content[at + 4 : at + 6].decode() in _LONG:
        return at + 12 + int.from_bytes(content[at + 8 : at + 12], "little")
    return at + 8 + int.from_bytes(content[at + 6 : at + 8], "little")


def ct_file(
    stored: NDArray[np.int16] | NDArray[np.uint16] = EMPTY,
    transfer_syntax: str = ExplicitVRLittleEndian,
    raw: Mapping[int, tuple[str, bytes]] | None = None,
    **elements: object,
) -> bytes:
    """One CT slice as a file; `raw` as in `with_element`."""
    content = written(ct_data_set(stored, **elements), transfer_syntax)
    for tag, (vr, value) in (raw or {}).items():
        content = with_element(content, tag, vr, value)
    return content


def _group(**elements: object) -> list[Dataset]:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return [item]


def enhanced_file(
    stored: NDArray[np.int16],
    slopes: tuple[float, ...],
    transfer_syntax: str = ExplicitVRLittleEndian,
    **left_out: None,
) -> bytes:
    """An enhanced multi-frame CT with one frame for each slope, 2.5 mm apart, shared spacing and orientation."""
    data_set = ct_data_set(
        stored,
        SOPClassUID=EnhancedCTImageStorage,
        NumberOfFrames=len(slopes),
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        PixelSpacing=None,
        RescaleIntercept=None,
        RescaleSlope=None,
    )
    shared = Dataset()
    shared.PixelMeasuresSequence = _group(PixelSpacing=[0.8, 0.8], SliceThickness=2.5)
    shared.PlaneOrientationSequence = _group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.CTReconstructionSequence = _group(ConvolutionKernel="B70f")
    shared.CTXRayDetailsSequence = _group(KVP=110)
    data_set.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index, slope in enumerate(slopes):
        frame = Dataset()
        frame.PlanePositionSequence = _group(ImagePositionPatient=[0, 0, 2.5 * index])
        frame.PixelValueTransformationSequence = _group(RescaleSlope=slope, RescaleIntercept=-10, RescaleType="HU")
        frame.CTImageFrameTypeSequence = _group(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
        frame.FrameContentSequence = _group(FrameAcquisitionNumber=7, TemporalPositionIndex=index + 1)
        for sequence in left_out:
            delattr(frame, sequence)
        frames.append(frame)
    data_set.PerFrameFunctionalGroupsSequence = frames
    return written(data_set, transfer_syntax)


def examined(reader: Reader, content: bytes) -> Examined:
    return reader.examine(content, sha256(content))


def header_of(reader: Reader, content: bytes) -> Header:
    answer = examined(reader, content)
    assert answer.finding is None, str(answer.finding)
    return answer.headers[0]
