"""Every number of the gate in one table, versioned and stored with each result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gate:
    """The limits between scored, warned and unsuitable; the row of reliability rules 2 stands beside each.

    "at_least" and "at_most" belong to the milder side: a value that equals the limit passes.
    """

    version: str = "gate-1"

    # Slices, coverage
    slices_at_least: int = 16
    coverage_full_at_least_mm: float = 180.0
    coverage_at_least_mm: float = 120.0
    coverage_usual_at_most_mm: float = 600.0
    # Slice distance
    spacing_usual_at_most_mm: float = 10.0
    spacing_at_most_mm: float = 12.5
    # Uneven distance
    uneven_usual_at_most_percent: float = 3.0
    uneven_at_most_percent: float = 20.0
    uneven_always_allowed_mm: float = 0.1  # positions are often written with one decimal
    # Missing: a gap of k x D, within this share of it
    gap_tolerance_percent: float = 10.0
    gap_at_most_mm: float = 10.0
    missing_always_allowed: int = 1
    missing_at_most_percent: float = 2.0  # of all slices that should be there; refused files likewise
    # Thickness / D
    thickness_ratio_at_least: float = 0.8
    thickness_ratio_at_most: float = 2.2
    # Gantry tilt
    tilt_usual_at_most_deg: float = 1.0
    tilt_at_most_deg: float = 8.0
    # Orientation
    off_axis_usual_at_most_deg: float = 5.0
    off_axis_at_most_deg: float = 20.0
    in_plane_usual_at_most_deg: float = 5.0
    in_plane_at_most_deg: float = 20.0
    orientation_spread_at_most_deg: float = 0.5
    # Duplicates
    same_position_at_most_mm: float = 0.05
    # Acquisitions in one series
    pixel_spacing_spread_at_most_percent: float = 0.1
    # Pixel spacing
    pixel_spacing_at_least_mm: float = 0.3
    pixel_spacing_at_most_mm: float = 3.0
    pixel_anisotropy_at_most_percent: float = 2.0
    field_of_view_usual_at_least_mm: float = 200.0
    # Matrix
    matrix_at_least_px: int = 128
    matrix_at_most_px: int = 2048
    # Rescale
    slope_at_most: float = 10.0  # and over zero
    intercept_at_most: float = 8192.0  # either sign
    # HU air
    air_percentile: float = 5.0
    air_at_least_hu: float = -1100.0
    air_usual_at_most_hu: float = -900.0
    air_at_most_hu: float = -850.0
    # HU body
    body_from_hu: int = -200
    body_to_hu: int = 300
    body_at_least_percent: float = 10.0
    body_field_mm: float = 400.0  # of a field as wide as this; a wider one holds more air, not less body
    value_from_hu: int = -1100
    value_to_hu: int = 3100
    out_of_range_at_most_percent: float = 1.0
    # Lungs
    lung_from_hu: int = -950
    lung_to_hu: int = -600
    tissue_over_hu: int = -400  # what closes the body against the air around it; between lung and fat
    lung_usual_at_least_ml: float = 500.0
    lung_at_least_ml: float = 200.0
    lung_usual_at_least_percent_of_body: float = 3.0
    # Neighbour correlation
    neighbours_alike_at_least: float = 0.5
    neighbours_usual_at_least_percent: float = 90.0
    neighbours_at_least_percent: float = 80.0
    # Lossy
    lossy_ratio_at_most: float = 10.0
    # Age
    age_at_least_years: float = 18.0
    age_at_most_years: float = 110.0
    age_contradiction_over_years: float = 1.5


GATE = Gate()
