"""The header of one CT slice, already typed; no pydicom object leaves the reader process."""

from __future__ import annotations

from dataclasses import dataclass

from aicorona_desktop.core.findings import Finding

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Header:
    """The named tags of one instance, or of one frame of an enhanced multi-frame instance.

    Texts are decoded, cleaned of control and direction characters and cut to their VR's length; missing
    text is "". Missing numbers are None. Dates are ISO (YYYY-MM-DD) or "", times HH:MM:SS or "".
    An enhanced multi-frame object gives one header a frame with `frame` counting from 0.
    `findings` holds what the reader tolerated, each once.

    Source: DICOM PS3.3 C.7.6.2 (image plane), C.8.2.1 (CT image), C.7.6.16 (functional groups).
    """

    # identity
    sop_class_uid: str
    sop_instance_uid: str  # "" when absent: identity is then the SHA-256 of the bytes
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    transfer_syntax_uid: str
    frame: int
    number_of_frames: int
    # patient
    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    patient_age_years: float | None  # from Patient's Age, else from the dates
    # study and series
    study_date: str
    study_time: str
    study_description: str
    study_id: str
    accession_number: str
    institution_name: str
    series_number: int | None
    series_description: str
    protocol_name: str
    series_time: str
    modality: str
    image_type: tuple[str, ...]
    body_part_examined: str
    patient_position: str
    burned_in_annotation: str
    derivation_description: str
    # acquisition
    manufacturer: str
    model_name: str
    convolution_kernel: str
    kvp: float | None
    slice_thickness_mm: float | None
    spacing_between_slices_mm: float | None
    contrast_agent: str
    gantry_tilt_deg: float | None
    acquisition_number: int | None
    acquisition_time: str
    instance_number: int | None
    temporal_position: int | None
    # geometry, in patient coordinates (LPS, mm)
    image_position_mm: Vector | None
    row_cosines: Vector | None
    column_cosines: Vector | None
    pixel_spacing_mm: tuple[float, float] | None  # between rows, between columns
    # pixels
    rows: int
    columns: int
    bits_stored: int
    pixel_representation: int
    photometric: str
    rescale_slope: float | None
    rescale_intercept: float | None
    rescale_type: str
    pixel_padding_value: int | None
    pixel_padding_range_limit: int | None
    lossy: bool
    lossy_ratio: float | None
    window_centre_hu: float | None
    window_width_hu: float | None
    findings: tuple[Finding, ...] = ()
