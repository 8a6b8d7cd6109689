"""Plain CT instances as bytes, for phantoms: the main process never imports pydicom, and needs little to write.

Explicit VR little endian, uncompressed, no sequences. Made to be read back by any DICOM program.

Source: DICOM PS3.5 7.1 (data elements) and 6.2 (value representations), PS3.10 7.1 (file meta information),
PS3.3 A.3 (CT image), PS3.5 B.2 (UIDs from UUIDs).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Value = str | int | float | bytes | tuple[str | int | float, ...]

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
RESCALE_INTERCEPT = -1024

_UIDS = uuid.UUID("5f0c5d3e-6d0b-5b7e-9c55-0a1c02b1a6e4")  # the namespace of our phantoms
_WIDE_LENGTH = frozenset({"OB", "OW", "UN", "UT"})  # two reserved bytes and a 32-bit length
_BINARY = {"US": "H", "SS": "h", "UL": "I"}

ELEMENTS: Mapping[str, tuple[int, str]] = {
    "SpecificCharacterSet": (0x00080005, "CS"),
    "ImageType": (0x00080008, "CS"),
    "SOPClassUID": (0x00080016, "UI"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "StudyDate": (0x00080020, "DA"),
    "SeriesDate": (0x00080021, "DA"),
    "AcquisitionDate": (0x00080022, "DA"),
    "ContentDate": (0x00080023, "DA"),
    "StudyTime": (0x00080030, "TM"),
    "SeriesTime": (0x00080031, "TM"),
    "AcquisitionTime": (0x00080032, "TM"),
    "ContentTime": (0x00080033, "TM"),
    "AccessionNumber": (0x00080050, "SH"),
    "Modality": (0x00080060, "CS"),
    "ConversionType": (0x00080064, "CS"),
    "Manufacturer": (0x00080070, "LO"),
    "InstitutionName": (0x00080080, "LO"),
    "ReferringPhysicianName": (0x00080090, "PN"),
    "StudyDescription": (0x00081030, "LO"),
    "SeriesDescription": (0x0008103E, "LO"),
    "ManufacturerModelName": (0x00081090, "LO"),
    "DerivationDescription": (0x00082111, "ST"),
    "PatientName": (0x00100010, "PN"),
    "PatientID": (0x00100020, "LO"),
    "IssuerOfPatientID": (0x00100021, "LO"),
    "PatientBirthDate": (0x00100030, "DA"),
    "PatientSex": (0x00100040, "CS"),
    "PatientAge": (0x00101010, "AS"),
    "PatientIdentityRemoved": (0x00120062, "CS"),
    "ContrastBolusAgent": (0x00180010, "LO"),
    "BodyPartExamined": (0x00180015, "CS"),
    "SliceThickness": (0x00180050, "DS"),
    "KVP": (0x00180060, "DS"),
    "SpacingBetweenSlices": (0x00180088, "DS"),
    "ProtocolName": (0x00181030, "LO"),
    "GantryDetectorTilt": (0x00181120, "DS"),
    "ConvolutionKernel": (0x00181210, "SH"),
    "PatientPosition": (0x00185100, "CS"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "StudyID": (0x00200010, "SH"),
    "SeriesNumber": (0x00200011, "IS"),
    "AcquisitionNumber": (0x00200012, "IS"),
    "InstanceNumber": (0x00200013, "IS"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "FrameOfReferenceUID": (0x00200052, "UI"),
    "TemporalPositionIdentifier": (0x00200100, "IS"),
    "PositionReferenceIndicator": (0x00201040, "LO"),
    "ImageComments": (0x00204000, "LT"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "CS"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "PixelSpacing": (0x00280030, "DS"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "PixelPaddingValue": (0x00280120, "SS"),
    "PixelPaddingRangeLimit": (0x00280121, "SS"),
    "BurnedInAnnotation": (0x00280301, "CS"),
    "WindowCenter": (0x00281050, "DS"),
    "WindowWidth": (0x00281051, "DS"),
    "RescaleIntercept": (0x00281052, "DS"),
    "RescaleSlope": (0x00281053, "DS"),
    "RescaleType": (0x00281054, "LO"),
    "LossyImageCompression": (0x00282110, "CS"),
    "LossyImageCompressionRatio": (0x00282112, "DS"),
    "PixelData": (0x7FE00010, "OW"),
}
"""What can be written, by DICOM keyword: tag and value representation (PS3.6)."""

_META = {
    "FileMetaInformationVersion": (0x00020001, "OB"),
    "MediaStorageSOPClassUID": (0x00020002, "UI"),
    "MediaStorageSOPInstanceUID": (0x00020003, "UI"),
    "TransferSyntaxUID": (0x00020010, "UI"),
    "ImplementationClassUID": (0x00020012, "UI"),
    "ImplementationVersionName": (0x00020013, "SH"),
}


def uid_of(*words: object) -> str:
    """Return a UID below 2.25 that is always the same for the same words."""
    return f"2.25.{uuid.uuid5(_UIDS, '/'.join(map(str, words))).int}"


def ct_slice(
    hounsfield: NDArray[np.int16],
    position_mm: tuple[float, float, float],
    pixel_spacing_mm: float,
    values: Mapping[str, Value | None],
) -> bytes:
    """Return one axial CT slice as a DICOM file.

    Args:
        hounsfield: int16 [rows, columns], row 0 in front, column 0 at the patient's right; -1024 or more.
        position_mm: Image Position (Patient), the centre of the first pixel, in LPS.
        pixel_spacing_mm: between rows and between columns.
        values: elements by DICOM keyword, over those that follow from the picture; None leaves one out.
            The UIDs of study, series and instance must be among them.

    Raises:
        ValueError: a keyword is not in `ELEMENTS`, a value does not fit, or a value of HU is below -1024.
    """
    if hounsfield.ndim != 2 or int(hounsfield.min()) < RESCALE_INTERCEPT:
        raise ValueError(f"expected one slice of {RESCALE_INTERCEPT} HU or more")
    rows, columns = hounsfield.shape
    stored = (hounsfield.astype(np.int32) - RESCALE_INTERCEPT).astype("<u2")
    made: dict[str, Value | None] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "SOPClassUID": CT_IMAGE_STORAGE,
        "Modality": "CT",
        "ImagePositionPatient": position_mm,
        "ImageOrientationPatient": (1, 0, 0, 0, 1, 0),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": rows,
        "Columns": columns,
        "PixelSpacing": (pixel_spacing_mm, pixel_spacing_mm),
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleIntercept": RESCALE_INTERCEPT,
        "RescaleSlope": 1,
        "RescaleType": "HU",
        "PixelData": stored.tobytes(),
    }
    return part_10(made | dict(values))


def part_10(values: Mapping[str, Value | None]) -> bytes:
    """Return any instance as a file: preamble, file meta information, data set in the order of tags.

    Raises:
        ValueError: a keyword is not in `ELEMENTS`, or a value does not fit its value representation.
    """
    unknown = sorted(set(values) - set(ELEMENTS))
    if unknown:
        raise ValueError(f"no such element to write: {', '.join(unknown)}")
    meta = b"".join(
        _element(*_META[keyword], value)
        for keyword, value in (
            ("FileMetaInformationVersion", b"\0\1"),
            ("MediaStorageSOPClassUID", values.get("SOPClassUID") or CT_IMAGE_STORAGE),
            ("MediaStorageSOPInstanceUID", values.get("SOPInstanceUID") or uid_of("unnamed")),
            ("TransferSyntaxUID", EXPLICIT_LITTLE_ENDIAN),
            ("ImplementationClassUID", uid_of("implementation")),
            ("ImplementationVersionName", "AICORONA"),
        )
    )
    kept = {ELEMENTS[keyword]: value for keyword, value in values.items() if value is not None}
    data_set = b"".join(_element(tag, vr, kept[tag, vr]) for tag, vr in sorted(kept))
    return b"\0" * 128 + b"DICM" + _element(0x00020000, "UL", len(meta)) + meta + data_set


def _element(tag: int, vr: str, value: Value) -> bytes:
    """Encode one element (PS3.5 7.1.2); values are padded to an even length, UIDs and bytes with NUL."""
    encoded = _encoded(vr, value)
    if len(encoded) % 2:
        encoded += b"\0" if vr in ("UI", "OB", "OW", "UN") else b" "
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in _WIDE_LENGTH:
        return head + struct.pack("<HI", 0, len(encoded)) + encoded
    if len(encoded) > 0xFFFF:
        raise ValueError(f"the value of {tag:08x} is too long")
    return head + struct.pack("<H", len(encoded)) + encoded


def _encoded(vr: str, value: Value) -> bytes:
    if isinstance(value, bytes):  # as they are: also what a test wants broken
        return value
    members = value if isinstance(value, tuple) else (value,)
    if vr in _BINARY:
        try:
            return b"".join(struct.pack("<" + _BINARY[vr], member) for member in members)
        except struct.error as error:
            raise ValueError(f"{value!r} is no value for {vr}") from error
    return "\\".join(_decimal(member) if isinstance(member, float) else str(member) for member in members).encode()


def _decimal(number: float) -> str:
    """Return a DS of at most 16 characters (PS3.5 6.2)."""
    return next(text for digits in range(15, 0, -1) if len(text := f"{number:.{digits}g}") <= 16)
