from __future__ import annotations

import hashlib
import importlib.util
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason, worst
from aicorona_desktop.core.study import Instance, LeftOut, Series, SeriesChoice, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.gate import (
    PADDING,
    PixelCheck,
    check_series,
    has_chest_hint,
    lane_is_not_for_tool,
    may_be_scored,
    merged,
)
from aicorona_desktop.dicom.lungs import largest_lung_piece, neighbours_alike
from aicorona_desktop.dicom.series import choose_series, studies_of
from aicorona_desktop.dicom.thresholds import GATE
from aicorona_desktop.dicom.volume import to_standard_orientation
from aicorona_desktop.imaging.phantom import Thorax
from tests.dicom.phantom_series import PhantomSeries, chest, reasons

W, U = Outcome.WARNED, Outcome.UNSUITABLE


def tilted(degrees: float) -> dict[str, Any]:
    return {"column_cosines": (0.0, math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))}


def rotated(degrees: float) -> dict[str, Any]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return {"row_cosines": (cosine, sine, 0.0), "column_cosines": (-sine, cosine, 0.0)}


def spaced(slices: int, spacing_mm: float) -> PhantomSeries:
    return chest(slices=slices, spacing_mm=spacing_mm, slice_thickness_mm=spacing_mm)


def jittered(share: float) -> PhantomSeries:
    """Every tenth slice is shifted, so that D stays 5 mm and two distances are off by the share."""
    return chest().at(lambda index: 5 * (index + (share if index % 10 == 5 else 0)))


# --- header rules, one row of the table each, at and around their limits -----------------------------------------


def test_a_plain_chest_passes_without_a_word():
    assert chest().outcomes() == {}


ROWS: list[tuple[PhantomSeries, dict[Reason, Outcome]]] = [
    # image type
    (chest().tagged(image_type=("DERIVED", "PRIMARY", "AXIAL")), {Reason.DERIVED_PRIMARY: W}),
    # slices
    (spaced(16, 10), {Reason.COVERAGE_LIMITED: W}),
    (spaced(15, 12), {Reason.TOO_FEW_SLICES: U, Reason.SPACING_WIDE: W}),
    (chest(slices=1), {Reason.TOO_FEW_SLICES: U}),
    # coverage
    (spaced(36, 5), {}),
    (spaced(35, 5), {Reason.COVERAGE_LIMITED: W}),
    (spaced(24, 5), {Reason.COVERAGE_LIMITED: W}),
    (spaced(23, 5), {Reason.COVERAGE_SHORT: U}),
    (spaced(120, 5), {}),
    (spaced(121, 5), {Reason.COVERAGE_LONG: W}),
    # distance
    (spaced(30, 10), {}),
    (spaced(30, 10.01), {Reason.SPACING_WIDE: W}),
    (spaced(30, 12.5), {Reason.SPACING_WIDE: W}),
    (spaced(30, 12.51), {Reason.SPACING_TOO_WIDE: U}),
    (spaced(40, 0), {Reason.SAME_POSITION_ALL: U}),
    # unevenness
    (jittered(0.03), {}),
    (jittered(0.032), {Reason.SPACING_UNEVEN: W}),
    (jittered(0.20), {Reason.SPACING_UNEVEN: W}),
    (jittered(0.21), {Reason.SPACING_TOO_UNEVEN: U}),
    # missing
    (chest().without(17), {Reason.SLICE_MISSING: W}),
    (chest().without(17, 18), {Reason.SLICES_MISSING: U}),
    (chest().without(17, 25), {Reason.SLICES_MISSING: U}),
    (spaced(120, 4).without(17, 25), {Reason.SLICE_MISSING: W}),
    (spaced(120, 4).without(17, 25, 40), {Reason.SLICES_MISSING: U}),
    (spaced(40, 5.1).without(17), {Reason.SLICES_MISSING: U}),  # a gap of 10.2 mm
    (chest().without(0, 39), {}),  # the ends: only coverage can tell
    # refused files
    (chest().without(39).with_refused(1), {Reason.FILES_REFUSED: W}),
    (chest().without(17).with_refused(1), {Reason.FILES_REFUSED: W, Reason.SLICE_MISSING: W}),
    (chest().without(17, 18).with_refused(2), {Reason.FILES_REFUSED: U, Reason.SLICES_MISSING: U}),
    (chest().without(38, 39).with_refused(2), {Reason.FILES_REFUSED: U}),
    (spaced(100, 3).without(98, 99).with_refused(2), {Reason.FILES_REFUSED: W}),
    # thickness
    (chest().tagged(slice_thickness_mm=4.0), {}),
    (chest().tagged(slice_thickness_mm=3.9), {Reason.THICKNESS_DIFFERS: W}),
    (chest().tagged(slice_thickness_mm=11.0), {}),
    (chest().tagged(slice_thickness_mm=11.1), {Reason.THICKNESS_DIFFERS: W}),
    (chest().tagged(3, slice_thickness_mm=1.0), {Reason.THICKNESS_DIFFERS: W}),
    (chest().tagged(slice_thickness_mm=None), {}),
    # tilt
    (chest().tagged(**tilted(1.0)), {}),
    (chest().tagged(**tilted(1.05)), {Reason.TILT: W}),
    (chest().tagged(**tilted(8.0)), {Reason.TILT: W}),
    (chest().tagged(**tilted(8.05)), {Reason.TILT_TOO_LARGE: U}),
    (chest().tagged(gantry_tilt_deg=15.0), {Reason.TILT_TAG_ONLY: W}),
    (chest().tagged(gantry_tilt_deg=-15.0, **tilted(3)), {Reason.TILT: W}),
    # orientation
    (chest().tagged(**rotated(5.0)), {}),
    (chest().tagged(**rotated(5.1)), {Reason.ROTATED: W}),
    (chest().tagged(**rotated(20.0)), {Reason.ROTATED: W}),
    (chest().tagged(**rotated(20.1)), {Reason.ROTATED: U}),
    (chest().tagged(**rotated(90)), {}),
    (chest().tagged(row_cosines=(-1.0, 0.0, 0.0)), {}),
    (chest().tagged(7, **tilted(0.5)), {}),
    (chest().tagged(7, **tilted(0.52)), {Reason.MIXED_ORIENTATION: U}),
    (chest().tagged(column_cosines=(0.0, 0.0, -1.0)), {Reason.NOT_AXIAL: U}),
    (chest().tagged(row_cosines=(0.0, 1.0, 0.0), column_cosines=(0.0, 0.0, -1.0)), {Reason.NOT_AXIAL: U}),
    # duplicates
    (chest().plus(chest().renamed("phase")), {Reason.SAME_POSITION_OTHER_UID: U}),
    (chest().at(lambda index: index * 5.0 - (4.95 if index == 9 else 0)), {
        Reason.SAME_POSITION_OTHER_UID: U, Reason.SLICE_MISSING: W,
    }),
    (
        chest().at(lambda index: index * 5.0 - (4.94 if index == 9 else 0)),
        {Reason.SPACING_TOO_UNEVEN: U, Reason.SLICE_MISSING: W},
    ),
    # acquisitions
    (chest().tagged(*range(20, 40), convolution_kernel="B20f"), {Reason.MIXED_ACQUISITION: W}),
    (chest().tagged(*range(20, 40), kvp=100.0), {Reason.MIXED_ACQUISITION: W}),
    (chest().tagged(*range(20, 40), acquisition_number=2), {}),
    (chest().tagged(*range(0, 40, 2), acquisition_number=2), {Reason.MIXED_ACQUISITION: U}),
    (chest().tagged(*range(0, 40, 2), temporal_position=2), {Reason.MIXED_ACQUISITION: U}),
    (chest().tagged(3, rows=256), {Reason.MIXED_MATRIX: U, Reason.FIELD_OF_VIEW_SMALL: W}),
    (chest().tagged(3, pixel_spacing_mm=(0.7007, 0.7007)), {}),
    (chest().tagged(3, pixel_spacing_mm=(0.7008, 0.7008)), {Reason.MIXED_SPACING: U}),
    # frame of reference
    (chest().tagged(frame_of_reference_uid=""), {Reason.FRAME_OF_REFERENCE_MISSING: W}),
    (chest().tagged(3, frame_of_reference_uid="1.33"), {Reason.TWO_FRAMES_OF_REFERENCE: U}),
    # pixel spacing, field of view
    (chest().tagged(3, pixel_spacing_mm=None), {Reason.PIXEL_SPACING_MISSING: U}),
    (chest().tagged(pixel_spacing_mm=(0.3, 0.3), rows=700, columns=700), {}),
    (chest().tagged(pixel_spacing_mm=(0.29, 0.29), rows=700, columns=700), {Reason.PIXEL_SPACING_RANGE: U}),
    (chest().tagged(pixel_spacing_mm=(3.0, 3.0), rows=128, columns=128), {}),
    (chest().tagged(pixel_spacing_mm=(3.01, 3.01), rows=128, columns=128), {Reason.PIXEL_SPACING_RANGE: U}),
    (chest().tagged(pixel_spacing_mm=(0.7, 0.714)), {}),
    (chest().tagged(pixel_spacing_mm=(0.7, 0.715)), {Reason.PIXEL_SPACING_ANISOTROPIC: U}),
    (chest().tagged(pixel_spacing_mm=(0.5, 0.5), rows=400), {}),
    (chest().tagged(pixel_spacing_mm=(0.5, 0.5), rows=399), {Reason.FIELD_OF_VIEW_SMALL: W}),
    # matrix
    (chest().tagged(rows=128, columns=2048, pixel_spacing_mm=(2.0, 2.0)), {}),
    (chest().tagged(rows=127, pixel_spacing_mm=(2.0, 2.0)), {Reason.MATRIX_RANGE: U}),
    (chest().tagged(columns=2049), {Reason.MATRIX_RANGE: U}),
    # rescale
    (chest().tagged(*range(0, 40, 2), rescale_intercept=0.0), {}),
    (chest().tagged(rescale_slope=10.0, rescale_intercept=8192.0), {}),
    (chest().tagged(3, rescale_slope=10.1), {Reason.RESCALE_RANGE: U}),
    (chest().tagged(rescale_slope=0.0), {Reason.RESCALE_RANGE: U}),
    (chest().tagged(rescale_slope=-1.0), {Reason.RESCALE_RANGE: U}),
    (chest().tagged(rescale_intercept=-8193.0), {Reason.RESCALE_RANGE: U}),
    (chest().tagged(rescale_intercept=None), {Reason.RESCALE_MISSING: U}),
    (chest().tagged(3, rescale_slope=None), {Reason.RESCALE_MISSING: U}),
    (chest().tagged(rescale_type=""), {}),
    (chest().tagged(rescale_type="Houndsfield Unit"), {}),  # as a public collection spells it
    (chest().tagged(rescale_type="US"), {Reason.RESCALE_TYPE: U}),
    (chest().tagged(rescale_type="HU_MOD"), {Reason.RESCALE_TYPE: U}),
    # photometric
    (chest().tagged(3, photometric="MONOCHROME1"), {Reason.MONOCHROME1: W}),
    (chest().tagged(photometric="RGB"), {Reason.PHOTOMETRIC_REFUSED: U}),
    # lossy
    (chest().tagged(3, lossy=True), {Reason.LOSSY: W}),
    (chest().tagged(lossy=True, lossy_ratio=10.0), {Reason.LOSSY: W}),
    (chest().tagged(lossy=True, lossy_ratio=10.1), {Reason.LOSSY_RATIO: U}),
    # contrast
    (chest().tagged(3, contrast_agent="IOHEXOL"), {Reason.CONTRAST: W}),
    (chest().tagged(contrast_agent="NONE"), {}),
    # age
    (chest().tagged(patient_age_years=18.0, patient_birth_date=""), {}),
    (chest().tagged(patient_age_years=17.9, patient_birth_date=""), {Reason.CHILD: U}),
    (chest().tagged(patient_age_years=110.0, patient_birth_date=""), {}),
    (chest().tagged(patient_age_years=111.0, patient_birth_date=""), {Reason.AGE_UNKNOWN: W}),
    (chest().tagged(patient_age_years=None), {Reason.AGE_UNKNOWN: W}),
    (chest().tagged(patient_age_years=50.0), {Reason.AGE_UNKNOWN: W}),  # the dates say 56
    (chest().tagged(patient_birth_date="2030-01-01"), {Reason.AGE_UNKNOWN: W}),
    # burned in
    (chest().tagged(3, burned_in_annotation="YES"), {Reason.BURNED_IN: W}),
    (chest().tagged(burned_in_annotation="NO"), {}),
]  # fmt: skip


@pytest.mark.parametrize(("series", "expected"), ROWS)
def test_every_row_of_the_table_at_its_limits(series: PhantomSeries, expected: dict[Reason, Outcome]):
    assert series.outcomes() == expected
    assert series.shuffled(7).outcomes() == expected


def test_every_number_of_the_table_belongs_to_a_version():
    assert GATE.version == "gate-1"
    with pytest.raises(AttributeError):
        GATE.slices_at_least = 1  # type: ignore[misc]


def test_a_gap_is_named_with_its_width_and_the_width_expected():
    (finding,) = check_series(chest().without(17).series()).findings

    assert finding == Finding(Outcome.WARNED, Reason.SLICE_MISSING, found=10.0, needed=5.0)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(4.95, {}), (5.05, {Reason.NOT_AXIAL: W}), (19.95, {Reason.NOT_AXIAL: W}), (20.05, {Reason.NOT_AXIAL: U})],
)
def test_a_stack_that_travels_along_an_oblique_normal_is_off_axis(degrees: float, expected: dict[Reason, Outcome]):
    oblique = chest().tagged(**tilted(degrees))
    normal = np.array((0, -math.sin(math.radians(degrees)), math.cos(math.radians(degrees))))
    instances = tuple(
        replace(one, header=replace(one.header, image_position_mm=tuple((5.0 * index * normal).tolist())))
        for index, one in enumerate(oblique.instances)
    )

    assert PhantomSeries(instances).outcomes() == expected


@pytest.mark.parametrize(
    ("part", "study", "series", "expected"),
    [
        ("CHEST", "", "", {}),
        ("THORAX", "", "", {}),
        ("LUNG", "", "", {}),
        ("CHEST_TO_PELVIS", "", "", {}),
        ("", "", "", {}),
        ("", "CT HEAD", "CHEST 5.0", {}),
        ("", "CT ABDOMEN", "", {Reason.BODY_PART_OTHER: W}),  # the lungs decide
        ("", "PHARMACOLOGY COLLEGE", "", {}),
        ("BREAST", "PET-CT STUDY", "", {Reason.BODY_PART_BESIDE: W}),
        ("NECK", "", "", {Reason.BODY_PART_BESIDE: W}),
        ("HEART", "", "", {Reason.BODY_PART_BESIDE: W}),
        ("TSPINE", "", "", {Reason.BODY_PART_BESIDE: W}),
        ("QQQ", "", "", {Reason.BODY_PART_BESIDE: W}),
        ("HEAD", "CT HEAD", "LUNG 5.0", {Reason.BODY_PART_OTHER: U}),
        ("ABDOMEN", "CT ABDOMEN", "", {Reason.BODY_PART_OTHER: U}),
        ("KNEE", "", "", {Reason.BODY_PART_OTHER: U}),
        ("UTERUS", "CT ABDOMEN w + PELVIS w", "", {Reason.BODY_PART_OTHER: U}),
        ("ABDOMEN", "CT CHEST ABDOMEN", "", {Reason.BODY_PART_OTHER: W}),
        ("ABDOMEN", "TAP", "", {Reason.BODY_PART_OTHER: W}),
        ("ABDOMEN", "Private^DM_Thor_SIN__DM (Adult)", "", {Reason.BODY_PART_OTHER: W}),
        ("ABDOMEN", "КТ органов грудной клетки", "", {Reason.BODY_PART_OTHER: W}),
        ("ABDOMEN", "胸部CT", "", {Reason.BODY_PART_OTHER: W}),
        ("ABDOMEN", "TC de tórax", "", {Reason.BODY_PART_OTHER: W}),
        ("ABDOMEN", "scanner thoracique", "", {Reason.BODY_PART_OTHER: W}),
    ],
)
def test_the_body_part_decides_unless_a_text_speaks_of_a_chest(
    part: str, study: str, series: str, expected: dict[Reason, Outcome]
):
    phantom = chest().tagged(body_part_examined=part, study_description=study, series_description=series)

    assert phantom.outcomes() == expected


def test_the_text_of_a_body_part_is_never_repeated():
    (finding,) = check_series(chest().tagged(body_part_examined="SMITH JOHN").series()).findings

    assert finding.name == "unknown to this program"


def test_what_the_reader_noticed_is_lifted_once():
    noticed = (
        Finding(Outcome.WARNED, Reason.NAME_MISSING),
        Finding(Outcome.WARNED, Reason.TRAILING_BYTES, found=2),
    )
    phantom = chest().tagged(findings=noticed).tagged(7, findings=(replace(noticed[1], found=9),))

    findings = check_series(phantom.series()).findings

    assert set(findings) == {noticed[0], replace(noticed[1], found=9)}


def test_checking_twice_changes_nothing():
    once = check_series(chest().without(17).tagged(contrast_agent="IOHEXOL").series())

    assert check_series(once) == once


def test_all_reasons_are_there_and_the_gravest_and_most_telling_comes_first():
    head = chest(slices=5, spacing_mm=23).tagged(
        body_part_examined="HEAD",
        study_description="HEAD",
        series_description="",
        patient_age_years=None,
        **tilted(18.5),
    )

    findings = check_series(head.series()).findings

    assert reasons(findings) == [
        Reason.BODY_PART_OTHER,
        Reason.TOO_FEW_SLICES,
        Reason.COVERAGE_SHORT,
        Reason.SPACING_TOO_WIDE,
        Reason.TILT_TOO_LARGE,
        Reason.THICKNESS_DIFFERS,
        Reason.AGE_UNKNOWN,
    ]


def test_a_series_without_any_file_is_too_short():
    assert reasons(check_series(Series("1.2", ())).findings) == [Reason.TOO_FEW_SLICES]


def test_reformats_and_localizers_in_one_series_are_named_by_the_reformats():
    reformats = chest(slices=4, image_type=("DERIVED", "SECONDARY", "MPR"))
    mixed = reformats.tagged(0, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))

    assert mixed.outcomes() == {Reason.DERIVED_SECONDARY: U}


@given(st.permutations([
    Finding(U, Reason.NO_LUNGS, 1.0), Finding(W, Reason.NO_LUNGS, 2.0), Finding(W, Reason.LOSSY),
    Finding(W, Reason.TRAILING_BYTES, 2.0), Finding(W, Reason.TRAILING_BYTES, 9.0), Finding(U, Reason.TWO_PATIENTS),
]))  # fmt: skip
def test_merging_keeps_the_gravest_of_each_reason_in_a_fixed_order(findings: list[Finding]):
    assert [(one.reason, one.found) for one in merged(findings)] == [
        (Reason.TWO_PATIENTS, None),
        (Reason.NO_LUNGS, 1.0),
        (Reason.TRAILING_BYTES, 9.0),
        (Reason.LOSSY, None),
    ]


# --- lanes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("findings", "chest_hint", "expected"),
    [
        ((Finding(Outcome.IGNORED, Reason.NOT_CT),), True, True),
        ((Finding(U, Reason.BODY_PART_OTHER), Finding(U, Reason.TOO_FEW_SLICES)), True, True),
        ((Finding(U, Reason.ONLY_LOCALIZERS),), True, True),
        ((Finding(U, Reason.NO_LUNGS),), False, True),
        ((Finding(U, Reason.NO_LUNGS),), True, False),
        ((Finding(U, Reason.NO_LUNGS), Finding(U, Reason.NEIGHBOURS_DIFFER)), False, False),
        ((Finding(U, Reason.NOT_HU),), False, False),
        ((Finding(U, Reason.TOO_FEW_SLICES),), False, False),
        ((Finding(U, Reason.DERIVED_SECONDARY),), False, False),
        ((Finding(U, Reason.BODY_PART_OTHER), Finding(U, Reason.TWO_PATIENTS)), False, False),
        ((Finding(U, Reason.BODY_PART_OTHER), Finding(Outcome.REFUSED, Reason.TRUNCATED)), False, False),
        ((Finding(W, Reason.BODY_PART_OTHER),), False, False),
        ((), False, False),
    ],
)
def test_only_what_is_surely_none_of_the_tools_business_leaves_a_persons_lane(
    findings: tuple[Finding, ...], chest_hint: bool, expected: bool
):
    assert lane_is_not_for_tool(findings, chest_hint) is expected


def test_a_chest_hint_may_stand_in_any_tag_and_in_a_localizer():
    silent = {"body_part_examined": "", "study_description": "", "series_description": "", "protocol_name": ""}

    def hint(**tags: str) -> bool:
        return has_chest_hint(chest().tagged(**(silent | tags)).series())

    assert not hint()
    assert hint(body_part_examined="THORAX")
    assert hint(study_description="CT lung screening")
    assert hint(protocol_name="DM_Thor_SIN__DM")
    assert hint(series_description="CHEST CORONAL")
    assert not hint(series_description="LUNG 5.0")  # a kernel or a VOI window
    scout = chest().tagged(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), **(silent | {"protocol_name": "CHEST"}))
    assert has_chest_hint(scout.series())


# --- pixel rules -------------------------------------------------------------------------------------------------

Change = Callable[[NDArray[np.int16]], NDArray[np.integer[Any]]]
MATRIX, FIELD_MM = 128, 350.0


@lru_cache(maxsize=1)
def thorax() -> NDArray[np.int16]:
    return Thorax(slices=40, matrix=MATRIX, field_of_view_mm=FIELD_MM).volume()


def stack(slices: int = 40, spacing_mm: float = 7.5, matrix: int = MATRIX) -> Series:
    pixel_mm = FIELD_MM / matrix
    tags = {"rows": matrix, "columns": matrix, "pixel_spacing_mm": (pixel_mm, pixel_mm)}
    return chest(slices=slices, spacing_mm=spacing_mm, **tags).series()


def found(volume: NDArray[np.integer[Any]], series: Series | None = None) -> dict[Reason, Outcome]:
    check = PixelCheck(series or stack(slices=len(volume)))
    for index, one in enumerate(volume.astype(np.int16)):
        check.add(index, one)
    return {finding.reason: finding.outcome for finding in check.findings()}


def test_a_phantom_chest_passes_the_pixel_rules():
    assert found(thorax()) == {}


@pytest.mark.parametrize(
    ("shift_hu", "expected"),
    [
        (-60, {}),
        (0, {}),
        (110, {}),
        (140, {Reason.AIR_ODD: W}),
        (180, {Reason.NOT_HU: U}),
        (-110, {Reason.NOT_HU: U, Reason.OUT_OF_RANGE_HU: U}),
    ],
)
def test_air_must_lie_where_air_lies(shift_hu: int, expected: dict[Reason, Outcome]):
    assert found(thorax() + shift_hu) == expected


def test_values_without_their_intercept_are_no_hu():
    assert Reason.NOT_HU in found(thorax() + 1024)


def test_padding_counts_as_air_but_not_into_the_percentile():
    row, column = np.mgrid[0:MATRIX, 0:MATRIX] - (MATRIX - 1) / 2
    round_field = np.where(row**2 + column**2 > (MATRIX / 2) ** 2, PADDING, thorax())

    assert found(round_field) == {}
    assert found(np.where(round_field == PADDING, -2000, round_field)) == {Reason.PADDING_UNDECLARED: W}


def test_two_undeclared_values_below_air_are_no_hu():
    volume = thorax().copy()
    volume[:, :20], volume[:, 20:24] = -3024, -2000

    assert found(volume) == {Reason.NOT_HU: U, Reason.OUT_OF_RANGE_HU: U}


def test_an_undeclared_field_that_leaves_the_corners_free_is_no_padding():
    volume = thorax().copy()
    volume[:, 40:60, 40:80] = -3024

    assert Reason.OUT_OF_RANGE_HU in found(volume)


@pytest.mark.parametrize(("percent", "is_body"), [(9.5, False), (10.5, True)])
def test_a_tenth_of_the_picture_must_be_soft_tissue(percent: float, is_body: bool):
    noise = np.random.default_rng(1).normal(-1000, 10, (20, MATRIX, MATRIX))
    noise[:, : round(MATRIX * percent / 100)] = 40

    assert (Reason.NO_BODY not in found(noise)) is is_body


def test_one_constant_slice_stands_against_the_series():
    volume = thorax().copy()
    volume[12] = -1000

    assert found(volume) == {Reason.CONSTANT_SLICES: U}


def test_a_slice_of_padding_alone_is_constant_too():
    assert Reason.CONSTANT_SLICES in found(np.full((16, MATRIX, MATRIX), PADDING))


@pytest.mark.parametrize(("share", "too_much"), [(0.006, False), (0.014, True)])
def test_one_percent_of_impossible_values_is_allowed(share: float, too_much: bool):
    volume = thorax().copy()
    volume[np.random.default_rng(1).random(volume.shape) < share] = 5000

    assert (Reason.OUT_OF_RANGE_HU in found(volume)) is too_much


@pytest.mark.parametrize(("tissue_hu", "is_body"), [(-201, False), (-200, True), (300, True), (301, False)])
def test_soft_tissue_lies_between_fat_and_soft_bone(tissue_hu: int, is_body: bool):
    volume = np.where(thorax() > -300, tissue_hu, np.minimum(thorax(), -300))

    assert (Reason.NO_BODY not in found(volume)) is is_body


@pytest.mark.parametrize(
    ("odd_hu", "is_possible"), [(-1101, False), (-1100, True), (3100, True), (3101, False), (PADDING, True)]
)
def test_values_are_possible_up_to_the_ends_of_the_range(odd_hu: int, is_possible: bool):
    volume = thorax().copy()
    volume[:, 50:70, 50:70] = odd_hu  # a patch: what a single voxel holds may be noise

    assert (Reason.OUT_OF_RANGE_HU not in found(volume)) is is_possible


@pytest.mark.parametrize(("hollow_hu", "is_lung"), [(-951, False), (-950, True), (-600, True), (-599, False)])
def test_lung_is_what_has_the_density_of_lung(hollow_hu: int, is_lung: bool):
    volume = without_lungs(thorax()).copy()
    volume[10:30, 40:80, 40:80] = hollow_hu

    assert (Reason.NO_LUNGS not in found(volume)) is is_lung


def without_lungs(hounsfield: NDArray[np.int16]) -> NDArray[np.int16]:
    """Solid inside, air around it: what lies between the outermost tissue of every row."""
    tissue = hounsfield > -300
    inside = np.logical_or.accumulate(tissue, axis=2) & np.logical_or.accumulate(tissue[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.where(inside, np.maximum(hounsfield, 40), hounsfield)


def test_a_body_without_lungs_is_no_chest():
    assert found(without_lungs(thorax())) == {Reason.NO_LUNGS: U}


@pytest.mark.parametrize(
    ("radius_px", "expected"),
    [(18, {}), (14, {Reason.LUNGS_SMALL: W}), (10, {Reason.LUNGS_SMALL: W}), (8, {Reason.NO_LUNGS: U})],
)
def test_the_largest_piece_of_lung_is_measured_in_millilitres(radius_px: int, expected: dict[Reason, Outcome]):
    volume = without_lungs(thorax()).copy()
    row, column = np.mgrid[0:MATRIX, 0:MATRIX] - MATRIX / 2
    hollow = np.where(row**2 + column**2 < radius_px**2, -850, 0)
    volume[10:24] = np.where(hollow, hollow, volume[10:24])  # 14 slices of 7.5 mm: 798, 483, 246, 158 ml

    assert found(volume) == expected


@pytest.mark.parametrize(("slices", "expected"), [(10, {Reason.LUNGS_SMALL: W}), (14, {})])  # 505 and 706 ml
def test_a_lung_of_half_a_litre_is_small_in_a_body_of_17_litres(slices: int, expected: dict[Reason, Outcome]):
    volume = without_lungs(thorax()).copy()
    volume[10 : 10 + slices, 48:78, 48:78] = -850

    assert found(volume) == expected


def test_air_around_the_body_and_in_a_hollow_table_is_no_lung():
    volume = without_lungs(thorax()).copy()
    volume[:, 118:127, 10:118] = -100
    volume[:, 120:125, 12:116] = -900  # 2.4 l of foam inside a shell

    assert found(volume) == {Reason.NO_LUNGS: U}


def test_lungs_are_found_by_volume_whatever_the_matrix():
    fine = Thorax(slices=40, matrix=256, field_of_view_mm=FIELD_MM).volume()
    coarse_ml = largest_lung_piece(thorax()[:, ::2, ::2], (2 * FIELD_MM / MATRIX) ** 2 * 7.5).volume_ml
    fine_ml = largest_lung_piece(fine[:, ::3, ::3], (3 * FIELD_MM / 256) ** 2 * 7.5).volume_ml

    assert found(fine, stack(matrix=256)) == {}
    assert coarse_ml == pytest.approx(fine_ml, rel=0.15)
    assert 1000 < fine_ml < 6000


@pytest.mark.parametrize(
    ("damaged", "expected"),
    [(1, {}), (3, {Reason.NEIGHBOURS_ODD: W}), (8, {Reason.NEIGHBOURS_DIFFER: U})],
)
def test_slices_that_resemble_no_neighbour_are_damaged(damaged: int, expected: dict[Reason, Outcome]):
    volume = thorax().copy()
    for index in range(2, 2 + 2 * damaged, 2):  # each damages two pairs of 39
        volume[index] = np.random.default_rng(index).permuted(volume[index].ravel()).reshape(MATRIX, MATRIX)

    assert {reason: outcome for reason, outcome in found(volume).items() if "NEIGHBOURS" in reason.name} == expected


def test_correlation_is_that_of_statistics():
    volume = thorax()[10:13].clip(-1000, 400)

    alike = neighbours_alike(volume)

    assert alike == pytest.approx(
        [np.corrcoef(volume[i].ravel(), volume[i + 1].ravel())[0, 1] for i in (0, 1)], abs=1e-4
    )


def test_slices_may_come_in_any_order():
    noisy = thorax() + 165
    order = np.random.default_rng(3).permutation(40).tolist()
    check = PixelCheck(stack())
    for index in order:
        check.add(index, noisy[index])

    straight = PixelCheck(stack())
    for index in range(40):
        straight.add(index, noisy[index])

    assert check.findings() == straight.findings() != ()


def test_a_preliminary_look_asks_for_values_only():
    check = PixelCheck(stack())
    assert check.quick_findings() == check.findings() == ()

    for index in (20, 10, 30, 15):
        check.add(index, without_lungs(thorax()[index : index + 1])[0])

    assert check.quick_findings() == ()
    assert reasons(check.findings()) == [Reason.NO_LUNGS]


def test_neighbours_are_not_compared_across_slices_that_never_came():
    check = PixelCheck(stack())
    for index in range(0, 40, 2):
        check.add(index, thorax()[index if index < 20 else 39 - index])

    assert not {Reason.NEIGHBOURS_DIFFER, Reason.NEIGHBOURS_ODD} & set(reasons(check.findings()))


def test_where_values_are_no_hu_lungs_are_not_asked_for():
    assert Reason.NO_LUNGS not in found(np.full((16, MATRIX, MATRIX), 0))


def test_a_turned_slice_of_the_right_sides_is_taken_and_any_other_is_an_error():
    tags = {"rows": 200, "columns": 300}
    check = PixelCheck(chest(**tags).series())

    check.add(0, np.zeros((200, 300), np.int16))
    check.add(1, np.zeros((200, 300), np.int16))

    with pytest.raises(ValueError, match="series of sides"):
        check.add(2, np.zeros((200, 200), np.int16))
    with pytest.raises(ValueError, match="none of 40"):
        check.add(40, np.zeros((200, 300), np.int16))


def test_a_series_without_pixel_spacing_has_no_pixel_rules():
    with pytest.raises(ValueError, match="pixel spacing"):
        PixelCheck(chest().tagged(pixel_spacing_mm=None).series())


def test_four_hundred_slices_leave_less_than_ten_megabytes_behind():
    check = PixelCheck(chest(slices=400, spacing_mm=1.0).series())
    one = np.zeros((512, 512), np.int16)
    for index in range(400):
        check.add(index, one)

    kept = [coarse for coarse in check._slices if coarse is not None]

    assert sum(coarse.nbytes for coarse in kept) < 10_000_000
    assert all(coarse.base is None for coarse in kept)  # no view that holds the whole slice


# --- from files to findings, through the reader ------------------------------------------------------------------


def judged(reader: Reader, folder: Path) -> list[tuple[SeriesChoice, tuple[Finding, ...], bool]]:
    """For each study in a folder: the choice, all findings with those of the pixels, whether it is not for the tool."""
    instances: list[Instance] = []
    left_out: list[LeftOut] = []
    for one, answer in reader.examine_all(_files(folder)):
        instances += [Instance(one, header) for header in answer.headers]
        if answer.finding is not None:
            uids = (answer.series_instance_uid, answer.study_instance_uid, answer.patient_id)
            left_out.append(LeftOut(one, answer.finding, *uids))
    return [_judged_study(reader, study) for study in studies_of(instances, left_out)]


def _files(folder: Path) -> Iterator[tuple[FileRef, bytes, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            yield FileRef(path, str(path.relative_to(folder)), len(content), 0, sha256, "test"), content, sha256


def _judged_study(reader: Reader, study: Study) -> tuple[SeriesChoice, tuple[Finding, ...], bool]:
    choice = choose_series(study)
    findings = choice.findings
    if choice.series is not None:
        findings = merged((*findings, *_pixel_findings(reader, choice.series)))
    return choice, findings, lane_is_not_for_tool(findings, any(map(has_chest_hint, study.series)))


def _pixel_findings(reader: Reader, series: Series) -> list[Finding]:
    check = PixelCheck(series)
    noticed: list[Finding] = []
    wanted = (
        (index, one.file.path.read_bytes(), one.file.sha256, (one.header.frame,))
        for index, one in enumerate(series.instances)
    )
    for index, _, answer in reader.read_slices(wanted):
        if isinstance(answer, Finding):
            noticed.append(answer)
        else:
            noticed += answer.findings
            check.add(index, to_standard_orientation(answer.hounsfield, series.instances[index].header))
    return [*noticed, *check.findings()]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as one:
        yield one


REAL = {
    "chest_covid_siemens_2mm": (W, Reason.SPACING_WIDE, False),
    "chest_cap_siemens_2mm_half": (W, Reason.THICKNESS_DIFFERS, False),
    "chest_normal_siemens_2mm_half": (W, Reason.THICKNESS_DIFFERS, False),
    "chest_thick_5mm_siemens_petct": (W, Reason.COVERAGE_LIMITED, False),
    "chest_partial_5mm_ge_petct": (U, Reason.TOO_FEW_SLICES, False),
    "abdomen_ct_ge": (U, Reason.TOO_FEW_SLICES, False),
    "head_ct_ge_tilted": (U, Reason.BODY_PART_OTHER, True),
    "chest_sagittal_reformat": (U, Reason.DERIVED_SECONDARY, False),
    "chest_coronal_reformat_ge": (U, Reason.DERIVED_SECONDARY, False),
    "chest_single_slice_toshiba": (U, Reason.TOO_FEW_SLICES, False),
    "localizer_philips": (U, Reason.ONLY_LOCALIZERS, True),
    "localizer_siemens": (U, Reason.ONLY_LOCALIZERS, True),
    "dose_screen_ge": (Outcome.IGNORED, Reason.SECONDARY_CAPTURE, True),
    "mr_liver_series": (Outcome.IGNORED, Reason.NOT_CT, True),
}


@pytest.mark.parametrize("folder", REAL)
def test_real_series_are_judged_as_their_manifest_says(folder: str, shared: Path, reader: Reader):
    outcome, reason, not_for_tool = REAL[folder]

    ((choice, findings, lane),) = judged(reader, shared / "data" / "dicom" / folder)

    assert worst(findings) is outcome
    assert reason in reasons(findings)
    assert may_be_scored(findings) or findings[0].reason is reason  # what stands against it is said first
    assert (choice.series is not None) is may_be_scored(findings)
    assert lane is not_for_tool


def test_two_patients_on_one_disc_are_two_studies_each_with_its_own_reason(shared: Path, reader: Reader):
    chest_study, small_study = judged(reader, shared / "data" / "dicom" / "disc_chest_ct")

    # The disc's own note allows a score with a warning; 15 slices, 16 mm apart, are under both limits here.
    assert reasons(chest_study[1])[:2] == [Reason.TOO_FEW_SLICES, Reason.SPACING_TOO_WIDE]
    assert reasons(small_study[1])[0] is Reason.TOO_FEW_SLICES


VALUE_CASES = "flipped-rows|mixed-rescale|padding-value-outside-scan|no-body|says-chest-but-no-lungs|hu-shifted-1024"
VALUE_CASES += "|monochrome1|constant-pixels|checkerboard-corruption|localizer-in-series|delivered-twice"


def written_cases(shared: Path, folder: Path) -> list[tuple[str, str, str, str]]:
    """Case, path, expected outcome and reason of the studies that the generator of bad inputs has written."""
    path = shared / "tools" / "make_bad_inputs.py"
    spec = importlib.util.spec_from_file_location("make_bad_inputs", path)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    book = generator.Book(folder, f"^study/st-({VALUE_CASES})$")
    generator.studies(book)  # the whole program would prepare 400 other cases
    return [(case, path, outcome, reason) for case, path, _, outcome, reason, *_ in book.rows]


def test_studies_that_only_their_pixels_give_away_are_judged_as_their_manifest_says(
    shared: Path, reader: Reader, tmp_path: Path
):
    cases = written_cases(shared, tmp_path)

    answers = {case: judged(reader, tmp_path / path)[0][1] for case, path, *_ in cases}

    assert len(cases) == VALUE_CASES.count("|") + 1
    for case, _, outcome, reason in cases:
        assert worst(answers[case]).value == outcome, case
        assert re.search(reason, " ".join(map(str, answers[case])), re.IGNORECASE), case
