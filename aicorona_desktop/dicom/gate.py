"""The gate: which series may be scored, which only with a visible sentence, which not at all.

Header rules work on tags (`check_series`), pixel rules on a coarse copy of the slices as they stream by
(`PixelCheck`). Every limit stands in `thresholds.GATE`; every answer is a `Finding`. The rules and their
grounds are the table of reliability rules, section 2: a function here is a row there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain, groupby

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.findings import Finding, Outcome, Reason, worst
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.study import LeftOut, Series
from aicorona_desktop.dicom.geometry import Geometry, geometry_of
from aicorona_desktop.dicom.lungs import largest_lung_piece, load_labelling, neighbours_alike
from aicorona_desktop.dicom.thresholds import GATE

PADDING = -32768  # what the reader puts where the scanner saw nothing
PADDING_HU = -1000  # what it counts as here
LUNG_STEP_MM = 5.0  # thinner slices are skipped where lungs are sought: they are long
COARSE_PX = 112  # a side at most: 400 slices then take under 10 MB

_SCORABLE = (Outcome.SCORED, Outcome.WARNED)


def check_series(series: Series) -> Series:
    """Return the series with the findings of all header rules, gravest first, one a reason.

    Findings that the series already has (such as two files with one UID) stay; what the reader noticed in
    its headers is lifted. Checking twice changes nothing.
    """
    lifted = chain.from_iterable(instance.header.findings for instance in series.instances)
    return replace(series, findings=merged(chain(series.findings, lifted, _header_findings(series))))


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one finding a reason, gravest and most telling first, whatever order they come in.

    Of several with one reason the gravest stays, of these the one with the largest evidence.
    """
    kept: dict[Reason, Finding] = {}
    for finding in sorted(findings, key=_gravity):
        kept.setdefault(finding.reason, finding)
    return tuple(kept.values())


def may_be_scored(findings: tuple[Finding, ...]) -> bool:
    """Whether nothing among the findings stands against a score."""
    return worst(findings) in _SCORABLE


def has_chest_hint(series: Series) -> bool:
    """Whether any tag of the series speaks of a chest: body part, descriptions, protocol."""
    left_out = (item.header for item in series.left_out if item.header is not None)
    return any(_chest_named(header) for header in chain((one.header for one in series.instances), left_out))


def lane_is_not_for_tool(findings: tuple[Finding, ...], chest_hint: bool) -> bool:
    """Whether a study with these findings is none of this tool's business, rather than a person's.

    So are: nothing but ignored objects; another body part; nothing but localizers; no lungs where no tag
    speaks of a chest. Every doubt (damaged values, two identities, a refused file) goes to a person.

    Args:
        findings: of the study and the series that stands for it, pixel rules included.
        chest_hint: `has_chest_hint` of any of its series.
    """
    outcome = worst(findings)
    if outcome is not Outcome.UNSUITABLE:
        return outcome is Outcome.IGNORED
    against = {finding.reason for finding in findings if finding.outcome is Outcome.UNSUITABLE}
    if against & _DOUBTS:
        return False
    return bool(against & _OTHER_KIND) or (Reason.NO_LUNGS in against and not chest_hint)


_IDENTITY = (Reason.TWO_PATIENTS, Reason.SERIES_IN_TWO_STUDIES, Reason.UID_CONFLICT)
_VALUES = (Reason.NOT_HU, Reason.CONSTANT_SLICES, Reason.NO_BODY, Reason.OUT_OF_RANGE_HU, Reason.NEIGHBOURS_DIFFER)
_OTHER_KIND = frozenset((Reason.BODY_PART_OTHER, Reason.ONLY_LOCALIZERS))
_DOUBTS = frozenset(_IDENTITY + _VALUES)
_TELLING_FIRST = (
    *_IDENTITY,
    Reason.NOT_CT,
    Reason.SECONDARY_CAPTURE,
    Reason.ONLY_LOCALIZERS,
    Reason.DERIVED_SECONDARY,
    Reason.BODY_PART_OTHER,
    Reason.NOT_AXIAL,
    Reason.NO_LUNGS,
    *_VALUES,
)
_RANK = {reason: rank for rank, reason in enumerate(dict.fromkeys((*_TELLING_FIRST, *Reason)))}
_GRAVEST_FIRST = tuple(reversed(Outcome))


def _gravity(finding: Finding) -> tuple[int, int, float, str]:
    evidence = -float("inf") if finding.found is None else finding.found
    return (_GRAVEST_FIRST.index(finding.outcome), _RANK[finding.reason], -evidence, finding.name)


def _warned(reason: Reason, found: float | None = None, needed: float | None = None, name: str = "") -> Finding:
    return Finding(Outcome.WARNED, reason, found, needed, name)


def _unsuitable(reason: Reason, found: float | None = None, needed: float | None = None, name: str = "") -> Finding:
    return Finding(Outcome.UNSUITABLE, reason, found, needed, name)


# --- header rules ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Facts:
    series: Series
    headers: tuple[Header, ...]
    geometry: Geometry

    def values_of(self, pick: Callable[[Header], Hashable]) -> set[Hashable]:
        return {pick(header) for header in self.headers}


def _header_findings(series: Series) -> Iterator[Finding]:
    if not series.instances:
        yield from _nothing_left(series.left_out)
        return
    facts = _Facts(series, tuple(one.header for one in series.instances), geometry_of(series.instances))
    for rule in _RULES:
        yield from rule(facts)


def _nothing_left(left_out: tuple[LeftOut, ...]) -> Iterator[Finding]:
    reasons = {item.finding.reason for item in left_out}
    if reasons and reasons <= {Reason.LOCALIZER, Reason.SECONDARY_CAPTURE} and Reason.LOCALIZER in reasons:
        yield _unsuitable(Reason.ONLY_LOCALIZERS)
        return
    for item in left_out:
        if item.finding.reason is not Reason.LOCALIZER:
            yield item.finding
    if not left_out:
        yield _unsuitable(Reason.TOO_FEW_SLICES, 0, GATE.slices_at_least)


def _image_type(facts: _Facts) -> Iterator[Finding]:
    """A file that calls itself original and secondary at once contradicts itself, which is no reason to refuse it."""
    if any("SECONDARY" in header.image_type[1:2] for header in facts.headers):
        yield _warned(Reason.DERIVED_SECONDARY, name="ORIGINAL\\SECONDARY")
    if any("DERIVED" in header.image_type[:1] for header in facts.headers):
        yield _warned(Reason.DERIVED_PRIMARY)


def _slices(facts: _Facts) -> Iterator[Finding]:
    count = len(facts.headers)
    if count < GATE.slices_at_least:
        yield _unsuitable(Reason.TOO_FEW_SLICES, count, GATE.slices_at_least)


def _place(facts: _Facts) -> Iterator[Finding]:
    """Rules on the way from feet to head; they mean nothing where slices don't stand across it."""
    if facts.geometry.off_axis_deg > GATE.off_axis_at_most_deg or len(facts.headers) < 2:
        return
    if facts.geometry.spacing_mm <= 0:
        yield _unsuitable(Reason.SAME_POSITION_ALL)
        return
    for rule in (_coverage, _distance, _unevenness, _missing, _duplicates, _thickness, _tilt):
        yield from rule(facts)


def _coverage(facts: _Facts) -> Iterator[Finding]:
    coverage = round(facts.geometry.coverage_mm, 3)
    if coverage < GATE.coverage_at_least_mm:
        yield _unsuitable(Reason.COVERAGE_SHORT, coverage, GATE.coverage_at_least_mm)
    elif coverage < GATE.coverage_full_at_least_mm:
        yield _warned(Reason.COVERAGE_LIMITED, coverage, GATE.coverage_full_at_least_mm)
    elif coverage > GATE.coverage_usual_at_most_mm:
        yield _warned(Reason.COVERAGE_LONG, coverage, GATE.coverage_usual_at_most_mm)


def _distance(facts: _Facts) -> Iterator[Finding]:
    spacing = facts.geometry.spacing_mm
    if spacing > GATE.spacing_at_most_mm:
        yield _unsuitable(Reason.SPACING_TOO_WIDE, spacing, GATE.spacing_at_most_mm)
    elif spacing > GATE.spacing_usual_at_most_mm:
        yield _warned(Reason.SPACING_WIDE, spacing, GATE.spacing_usual_at_most_mm)


def _unevenness(facts: _Facts) -> Iterator[Finding]:
    percent = facts.geometry.unevenness_percent
    if percent > GATE.uneven_at_most_percent:
        yield _unsuitable(Reason.SPACING_TOO_UNEVEN, percent, GATE.uneven_at_most_percent)
    elif percent > GATE.uneven_usual_at_most_percent:
        yield _warned(Reason.SPACING_UNEVEN, percent, GATE.uneven_usual_at_most_percent)


def _missing(facts: _Facts) -> Iterator[Finding]:
    gaps = facts.geometry.gaps
    if not gaps:
        return
    missing = sum(gap.missing for gap in gaps)
    widest = max(gap.width_mm for gap in gaps)
    if widest <= GATE.gap_at_most_mm and missing <= _missing_allowed(len(facts.headers) + missing):
        yield _warned(Reason.SLICE_MISSING, widest, facts.geometry.spacing_mm)
    else:
        yield _unsuitable(Reason.SLICES_MISSING, widest, facts.geometry.spacing_mm)


def _refused_files(facts: _Facts) -> Iterator[Finding]:
    """Where a refused file belongs is unknown: the gap rule judges the inside, this one the number."""
    refused = sum(1 for item in facts.series.left_out if _is_lost_slice(item))
    if refused:
        few = refused <= _missing_allowed(len(facts.headers) + refused)
        yield Finding(Outcome.WARNED if few else Outcome.UNSUITABLE, Reason.FILES_REFUSED, refused)


def _is_lost_slice(item: LeftOut) -> bool:
    return item.finding.outcome is Outcome.REFUSED or item.finding.reason is Reason.VALUE_MISSING


def _missing_allowed(expected: int) -> float:
    return max(GATE.missing_always_allowed, GATE.missing_at_most_percent / 100 * expected)


def _duplicates(facts: _Facts) -> Iterator[Finding]:
    if facts.geometry.shared_positions:
        yield _unsuitable(Reason.SAME_POSITION_OTHER_UID, facts.geometry.shared_positions)


def _thickness(facts: _Facts) -> Iterator[Finding]:
    thicknesses = [header.slice_thickness_mm for header in facts.headers if header.slice_thickness_mm]
    ratios = [round(thickness / facts.geometry.spacing_mm, 3) for thickness in thicknesses]
    allowed = (GATE.thickness_ratio_at_least, GATE.thickness_ratio_at_most)
    off = [ratio for ratio in ratios if not allowed[0] <= ratio <= allowed[1]]
    if off:
        yield _warned(Reason.THICKNESS_DIFFERS, max(off, key=lambda ratio: abs(math.log(ratio))))


def _tilt(facts: _Facts) -> Iterator[Finding]:
    tilt = round(facts.geometry.tilt_deg, 2)
    stated = max((abs(header.gantry_tilt_deg or 0.0) for header in facts.headers), default=0.0)
    if tilt > GATE.tilt_at_most_deg:
        yield _unsuitable(Reason.TILT_TOO_LARGE, tilt, GATE.tilt_at_most_deg)
    elif tilt > GATE.tilt_usual_at_most_deg:
        yield _warned(Reason.TILT, tilt, GATE.tilt_usual_at_most_deg)
    elif stated > GATE.tilt_usual_at_most_deg:
        yield _warned(Reason.TILT_TAG_ONLY, stated, GATE.tilt_usual_at_most_deg)


def _orientation(facts: _Facts) -> Iterator[Finding]:
    off_axis = round(facts.geometry.off_axis_deg, 2)
    if off_axis > GATE.off_axis_at_most_deg:
        yield _unsuitable(Reason.NOT_AXIAL, off_axis, GATE.off_axis_at_most_deg)
    elif off_axis > GATE.off_axis_usual_at_most_deg and facts.geometry.tilt_deg <= GATE.tilt_usual_at_most_deg:
        yield _warned(Reason.NOT_AXIAL, off_axis, GATE.off_axis_usual_at_most_deg)  # a tilt says it by itself


def _rotation(facts: _Facts) -> Iterator[Finding]:
    in_plane = round(facts.geometry.in_plane_deg, 2)
    if facts.geometry.off_axis_deg > GATE.off_axis_at_most_deg or in_plane <= GATE.in_plane_usual_at_most_deg:
        return
    outcome = Outcome.WARNED if in_plane <= GATE.in_plane_at_most_deg else Outcome.UNSUITABLE
    yield Finding(outcome, Reason.ROTATED, in_plane, GATE.in_plane_usual_at_most_deg)


def _mixed_orientation(facts: _Facts) -> Iterator[Finding]:
    spread = round(facts.geometry.orientation_spread_deg, 2)
    if spread > GATE.orientation_spread_at_most_deg:
        yield _unsuitable(Reason.MIXED_ORIENTATION, spread, GATE.orientation_spread_at_most_deg)


def _acquisitions(facts: _Facts) -> Iterator[Finding]:
    if _takes_turns(header.temporal_position for header in facts.headers):
        yield _unsuitable(Reason.MIXED_ACQUISITION, name="TemporalPositionIndex")
    elif _takes_turns(header.acquisition_number for header in facts.headers):
        yield _unsuitable(Reason.MIXED_ACQUISITION, name="AcquisitionNumber")
    elif len(facts.values_of(lambda header: header.convolution_kernel)) > 1:
        yield _warned(Reason.MIXED_ACQUISITION, name="ConvolutionKernel")
    elif len(facts.values_of(lambda header: header.kvp)) > 1:
        yield _warned(Reason.MIXED_ACQUISITION, name="KVP")


def _takes_turns(labels: Iterable[int | None]) -> bool:
    """Whether one label comes back after another: on the way from feet to head, acquisitions overlap."""
    runs = [label for label, _ in groupby(labels)]
    return len(runs) > len(set(runs))


def _frame_of_reference(facts: _Facts) -> Iterator[Finding]:
    frames = facts.values_of(lambda header: header.frame_of_reference_uid)
    if len(frames - {""}) > 1:
        yield _unsuitable(Reason.TWO_FRAMES_OF_REFERENCE)
    elif "" in frames:
        yield _warned(Reason.FRAME_OF_REFERENCE_MISSING)


def _pixel_spacing(facts: _Facts) -> Iterator[Finding]:
    spacings = [header.pixel_spacing_mm for header in facts.headers if header.pixel_spacing_mm is not None]
    if len(spacings) < len(facts.headers):
        yield _unsuitable(Reason.PIXEL_SPACING_MISSING)
        return
    smallest, largest = np.min(spacings, axis=0), np.max(spacings, axis=0)
    if _differ(smallest, largest, GATE.pixel_spacing_spread_at_most_percent):
        yield _unsuitable(Reason.MIXED_SPACING)
    yield from _pixel_size(float(smallest[0]), float(smallest[1]))
    if (largest > GATE.pixel_spacing_at_most_mm).any():
        yield _unsuitable(Reason.PIXEL_SPACING_RANGE, float(largest.max()), GATE.pixel_spacing_at_most_mm)
    yield from _field_of_view(facts)


def _pixel_size(between_rows_mm: float, between_columns_mm: float) -> Iterator[Finding]:
    smaller = min(between_rows_mm, between_columns_mm)
    if smaller < GATE.pixel_spacing_at_least_mm:
        yield _unsuitable(Reason.PIXEL_SPACING_RANGE, smaller, GATE.pixel_spacing_at_least_mm)
    if _differ(np.array(between_rows_mm), np.array(between_columns_mm), GATE.pixel_anisotropy_at_most_percent):
        yield _unsuitable(Reason.PIXEL_SPACING_ANISOTROPIC, between_rows_mm, between_columns_mm)


def _differ(first: NDArray[np.float64], second: NDArray[np.float64], percent: float) -> bool:
    ratio = np.maximum(first, second) / np.minimum(first, second)
    return bool((np.round(100 * (ratio - 1), 4) > percent).any())


def _field_of_view(facts: _Facts) -> Iterator[Finding]:
    sides = [
        (header.rows * header.pixel_spacing_mm[0], header.columns * header.pixel_spacing_mm[1])
        for header in facts.headers
        if header.pixel_spacing_mm is not None
    ]
    smallest = round(min(min(side) for side in sides), 3)
    if smallest < GATE.field_of_view_usual_at_least_mm:
        yield _warned(Reason.FIELD_OF_VIEW_SMALL, smallest, GATE.field_of_view_usual_at_least_mm)


def _matrix(facts: _Facts) -> Iterator[Finding]:
    sizes = {(header.rows, header.columns) for header in facts.headers}
    if len(sizes) > 1:
        yield _unsuitable(Reason.MIXED_MATRIX)
    for side in (min(map(min, sizes)), max(map(max, sizes))):
        if not GATE.matrix_at_least_px <= side <= GATE.matrix_at_most_px:
            yield _unsuitable(Reason.MATRIX_RANGE, side)


def _rescale(facts: _Facts) -> Iterator[Finding]:
    for header in facts.headers:
        slope, intercept = header.rescale_slope, header.rescale_intercept
        if slope is None or intercept is None:
            yield _unsuitable(Reason.RESCALE_MISSING)
        elif not 0 < slope <= GATE.slope_at_most:
            yield _unsuitable(Reason.RESCALE_RANGE, slope)
        elif abs(intercept) > GATE.intercept_at_most:
            yield _unsuitable(Reason.RESCALE_RANGE, intercept)


# Also as two scanners' exports spell it; HU_MOD is another unit on purpose.
_HOUNSFIELD = frozenset(("", "HU", "HOUNSFIELD", "HOUNSFIELD UNIT", "HOUNSFIELD UNITS", "HOUNDSFIELD UNIT"))
_KNOWN_UNITS = frozenset(("US", "OD", "HU_MOD", "MGML", "Z_EFF", "ED", "EDW", "PCT"))  # PS3.3 C.11.1.1.2


def _rescale_type(facts: _Facts) -> Iterator[Finding]:
    units = {header.rescale_type.strip().upper() for header in facts.headers} - _HOUNSFIELD
    if units:
        unit = min(units)
        yield _unsuitable(Reason.RESCALE_TYPE, name=unit if unit in _KNOWN_UNITS else "another unit")


def _photometric(facts: _Facts) -> Iterator[Finding]:
    kinds = facts.values_of(lambda header: header.photometric)
    if not kinds <= {"MONOCHROME1", "MONOCHROME2"}:
        yield _unsuitable(Reason.PHOTOMETRIC_REFUSED, name="neither MONOCHROME1 nor MONOCHROME2")
    elif "MONOCHROME1" in kinds:
        yield _warned(Reason.MONOCHROME1)


def _lossy(facts: _Facts) -> Iterator[Finding]:
    lossy = [header for header in facts.headers if header.lossy]
    if not lossy:
        return
    ratio = max(header.lossy_ratio or 0.0 for header in lossy)
    if ratio > GATE.lossy_ratio_at_most:
        yield _unsuitable(Reason.LOSSY_RATIO, ratio, GATE.lossy_ratio_at_most)
    else:
        yield _warned(Reason.LOSSY)


def uses_contrast(header: Header) -> bool:
    """Whether a contrast agent is recorded; some scanners write that there was none."""
    return header.contrast_agent.strip().upper() not in {"", "NONE", "NO", "N", "-"}


def _contrast(facts: _Facts) -> Iterator[Finding]:
    if any(uses_contrast(header) for header in facts.headers):
        yield _warned(Reason.CONTRAST)


def _age(facts: _Facts) -> Iterator[Finding]:
    ages = [header.patient_age_years for header in facts.headers if header.patient_age_years is not None]
    if ages and 0 <= min(ages) < GATE.age_at_least_years:
        yield _unsuitable(Reason.CHILD, min(ages), GATE.age_at_least_years)
    elif len(ages) < len(facts.headers) or max(ages) > GATE.age_at_most_years or _ages_contradict(facts.headers, ages):
        yield _warned(Reason.AGE_UNKNOWN)


def _ages_contradict(headers: tuple[Header, ...], ages: list[float]) -> bool:
    by_dates = [age for header in headers if (age := _age_by_dates(header)) is not None]
    everything = ages + by_dates
    return min(everything) < 0 or max(everything) - min(everything) > GATE.age_contradiction_over_years


def _age_by_dates(header: Header) -> float | None:
    try:
        born, studied = date.fromisoformat(header.patient_birth_date), date.fromisoformat(header.study_date)
    except ValueError:
        return None
    return (studied - born).days / 365.25


def _burned_in(facts: _Facts) -> Iterator[Finding]:
    if any(header.burned_in_annotation.strip().upper() == "YES" for header in facts.headers):
        yield _warned(Reason.BURNED_IN)


# --- body part ---------------------------------------------------------------------------------------------------

# Stems as clinics write them: English, French, Spanish, Portuguese, Italian, German, Polish, Turkish, Russian,
# Chinese, Arabic, Persian; TAP and CAP are thorax or chest with abdomen and pelvis.
_CHEST = re.compile(
    r"chest|thora|thorr|(?<![a-z])thor(?![a-z])|tora[ckx]|tórax|thx|(?<![a-z])hrct|(?<![a-z])[tc]ap(?![a-z])|mediast"
    r"|brustkorb|klatk|göğüs|gogus|грудн|огк|胸|صدر|سینه"
)
# In a series description these name a kernel or a VOI window ("LUNG 5.0" of an abdomen), so they count elsewhere only.
_LUNG = re.compile(r"lung|pulm|poumon|polmon|płuc|akciğer|л[её]гк|肺|رئة|ریه")
_PART = re.compile(
    r"(?<![a-z])(?:(?P<beside>breast|neck|shoulder|heart|cardiac|coronar|aort|[ct][- ]?spine|spine|sternum|rib|clavic"
    r"|scapula|esophag|trachea|thyroid|larynx|whole ?body|trunk|torso)"
    r"|(?P<elsewhere>head|brain|skull|crani|kopf|cabeza|orbit|sinus|temporal|face|maxill|mandib|jaw|teeth|dent|abdom"
    r"|pelvi|liver|hepat|kidney|renal|pancrea|spleen|bladder|uter|prostat|colon|rect|bowel|l[- ]?spine|lumb|sacr|knee"
    r"|knie|hip|femur|thigh|tibia|ankle|foot|leg|extremit|humerus|elbow|forearm|wrist|hand|finger|arm))"
)


def series_names_chest(header: Header) -> bool:
    """Whether what is said of this series alone (body part, protocol, description) speaks of a chest."""
    spoken = f"{header.body_part_examined}\n{header.protocol_name}".casefold()
    return bool(_CHEST.search(spoken) or _LUNG.search(spoken) or _CHEST.search(header.series_description.casefold()))


def _chest_named(header: Header) -> bool:
    study = header.study_description.casefold()
    return bool(series_names_chest(header) or _CHEST.search(study) or _LUNG.search(study))


def _body_part(facts: _Facts) -> Iterator[Finding]:
    for header in facts.headers:
        part = header.body_part_examined.strip().casefold()
        if not part:
            yield from _described_part(header)
        elif not (_CHEST.search(part) or _LUNG.search(part)):
            yield _other_part(_PART.search(part), _chest_named(header))


def _other_part(part: re.Match[str] | None, chest_named: bool) -> Finding:
    """Names are stems of ours: what stands in the tag may be anything."""
    if part is None:
        return _warned(Reason.BODY_PART_BESIDE, name="unknown to this program")
    if part["beside"]:
        return _warned(Reason.BODY_PART_BESIDE, name=part["beside"].upper())
    outcome = Outcome.WARNED if chest_named else Outcome.UNSUITABLE
    return Finding(outcome, Reason.BODY_PART_OTHER, name=part["elsewhere"].upper())


def _described_part(header: Header) -> Iterator[Finding]:
    """Without the tag the lungs decide; a description of another part alone is shown all the same."""
    part = _PART.search(f"{header.study_description}\n{header.series_description}".casefold())
    if part is not None and part["elsewhere"] and not _chest_named(header):
        yield _warned(Reason.BODY_PART_OTHER, name=part["elsewhere"].upper())


_RULES: tuple[Callable[[_Facts], Iterator[Finding]], ...] = (
    _image_type,
    _body_part,
    _age,
    _orientation,
    _rotation,
    _mixed_orientation,
    _slices,
    _place,
    _refused_files,
    _acquisitions,
    _frame_of_reference,
    _pixel_spacing,
    _matrix,
    _rescale,
    _rescale_type,
    _photometric,
    _lossy,
    _contrast,
    _burned_in,
)


# --- pixel rules -------------------------------------------------------------------------------------------------


class PixelCheck:
    """The rules on values, for slices that stream by in any order: make one once the slices are asked for.

    Each slice leaves a coarse copy behind (every so-many-th pixel, at most 112 a side): under 25 kB.
    """

    def __init__(self, series: Series) -> None:
        """Prepare for the slices of a series that has instances, in its order.

        Raises:
            ValueError: the series has no instances, or one without position, orientation or pixel spacing.
        """
        load_labelling()  # here, where slices are being decoded elsewhere, rather than when all wait for the answer
        geometry = geometry_of(series.instances)
        header = series.instances[0].header
        if header.pixel_spacing_mm is None:
            raise ValueError("the pixel spacing is missing")
        self._stride = max(1, -(-max(header.rows, header.columns) // COARSE_PX))
        self._sides_px = {header.rows, header.columns}
        self._field_mm2 = float(np.prod(header.pixel_spacing_mm)) * header.rows * header.columns
        self._voxel_mm3 = float(np.prod(header.pixel_spacing_mm)) * self._stride**2 * geometry.spacing_mm
        self._lung_step = max(1, int(LUNG_STEP_MM / geometry.spacing_mm)) if geometry.spacing_mm > 0 else 1
        self._slices: list[NDArray[np.int16] | None] = [None] * len(series.instances)

    def add(self, index: int, hounsfield: NDArray[np.int16]) -> None:
        """Take note of a slice.

        Args:
            index: its place in the series, 0 = nearest the feet.
            hounsfield: int16 of shape (rows, columns) in the standard orientation; -32768 is padding.

        Raises:
            ValueError: no such place, or another size than the series has.
        """
        if not 0 <= index < len(self._slices):
            raise ValueError(f"slice {index} is none of {len(self._slices)}")
        if set(hounsfield.shape) != self._sides_px:
            raise ValueError(f"a slice of {hounsfield.shape} in a series of sides {sorted(self._sides_px)}")
        self._slices[index] = hounsfield[:: self._stride, :: self._stride].copy()

    def quick_findings(self) -> tuple[Finding, ...]:
        """Return what the slices seen so far say by value alone: air, body, constant slices, range."""
        seen = [one for one in self._slices if one is not None]
        if not seen:
            return ()
        return merged(_value_findings(np.stack(seen), self._field_mm2))

    def findings(self) -> tuple[Finding, ...]:
        """Return what all slices say: also lungs, and whether neighbours resemble each other.

        Where the values are no HU or show no body, lungs and neighbours aren't asked: they could only
        repeat it. Slices that never came leave a hole that no neighbour is compared across.
        """
        places = [index for index, one in enumerate(self._slices) if one is not None]
        if not places:
            return ()
        coarse = np.stack([one for one in self._slices if one is not None])
        by_value = merged(_value_findings(coarse, self._field_mm2))
        if not may_be_scored(by_value):
            return by_value
        coarse[coarse == PADDING] = PADDING_HU
        adjoining = np.diff(places) == 1
        every_nth, voxel_mm3 = coarse[:: self._lung_step], self._voxel_mm3 * self._lung_step
        return merged((*by_value, *_lung_findings(every_nth, voxel_mm3), *_neighbour_findings(coarse, adjoining)))


def _mark_undeclared_padding(coarse: NDArray[np.int16]) -> Iterator[Finding]:
    """Mark, in place, the constant value that some scanners put around a round field without declaring it.

    Only one value far below air, which the corners of all slices hold, is taken for it; anything else below
    the range of HU stays what it is: a reason not to score.
    """
    corners = coarse[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    value = int(corners[0, 0])
    if value == PADDING or value >= GATE.value_from_hu or not (corners == value).all():
        return
    coarse[coarse == value] = PADDING
    yield _warned(Reason.PADDING_UNDECLARED, value)


def _settle_noise_in_air(coarse: NDArray[np.int16]) -> None:
    """Raise, in place, what noise alone has brought below the range of HU: not all scanners clip their values.

    Such a voxel lies in a neighbourhood (3 x 3) that is within the range by its mean; damaged values don't.
    """
    from scipy import ndimage

    below = (coarse < GATE.value_from_hu) & (coarse != PADDING)
    if below.any():
        inside = np.where(coarse == PADDING, PADDING_HU, coarse).astype(np.float32)
        means = ndimage.uniform_filter(inside, size=(1, 3, 3), mode="nearest")
        coarse[below & (means >= GATE.value_from_hu)] = GATE.value_from_hu


def _value_findings(coarse: NDArray[np.int16], field_mm2: float) -> Iterator[Finding]:
    """Judge the values by themselves; marks undeclared padding and settles noise in `coarse`."""
    yield from _mark_undeclared_padding(coarse)
    _settle_noise_in_air(coarse)
    values = _Values(coarse)
    yield from _air(values)
    body = values.percent(GATE.body_from_hu, GATE.body_to_hu)
    needed = GATE.body_at_least_percent * min(1.0, GATE.body_field_mm**2 / field_mm2)
    if body < needed:
        yield _unsuitable(Reason.NO_BODY, body, needed)
    if (coarse.max(axis=(1, 2)) == coarse.min(axis=(1, 2))).any():
        yield _unsuitable(Reason.CONSTANT_SLICES)
    beyond = values.percent(PADDING + 1, GATE.value_from_hu - 1) + values.percent(GATE.value_to_hu + 1, -PADDING - 1)
    if beyond > GATE.out_of_range_at_most_percent:
        yield _unsuitable(Reason.OUT_OF_RANGE_HU, beyond, GATE.out_of_range_at_most_percent)


class _Values:
    """How often each value occurs: counted once, asked several times."""

    def __init__(self, coarse: NDArray[np.int16]) -> None:
        self._counts = np.bincount(coarse.ravel().astype(np.int32) - PADDING, minlength=-2 * PADDING)
        self._size = coarse.size

    def percent(self, from_hu: int, to_hu: int) -> float:
        """The share of values from one to another, both of them counted, among all voxels."""
        return 100 * int(self._counts[from_hu - PADDING : to_hu - PADDING + 1].sum()) / self._size

    def percentile(self, percent: float) -> int | None:
        """The smallest value that so many percent don't exceed, padding out; None when there is nothing else."""
        reached = np.cumsum(self._counts[1:])
        place = int(np.searchsorted(reached, percent / 100 * reached[-1]))
        return place + 1 + PADDING if reached[-1] else None


def _air(values: _Values) -> Iterator[Finding]:
    air = values.percentile(GATE.air_percentile)
    if air is None:
        return
    if not GATE.air_at_least_hu <= air <= GATE.air_at_most_hu:
        yield _unsuitable(Reason.NOT_HU, air, GATE.air_at_most_hu)
    elif air > GATE.air_usual_at_most_hu:
        yield _warned(Reason.AIR_ODD, air, GATE.air_usual_at_most_hu)


def _lung_findings(coarse: NDArray[np.int16], voxel_mm3: float) -> Iterator[Finding]:
    """A lung that disease has filled is small: below 200 ml alone nothing says that there is one."""
    lung = largest_lung_piece(coarse, voxel_mm3)
    usual_ml = max(GATE.lung_usual_at_least_ml, GATE.lung_usual_at_least_percent_of_body / 100 * lung.body_ml)
    if lung.volume_ml < GATE.lung_at_least_ml:
        yield _unsuitable(Reason.NO_LUNGS, lung.volume_ml, GATE.lung_at_least_ml)
    elif lung.volume_ml < usual_ml:
        yield _warned(Reason.LUNGS_SMALL, lung.volume_ml, usual_ml)


def _neighbour_findings(coarse: NDArray[np.int16], adjoining: NDArray[np.bool_]) -> Iterator[Finding]:
    if not adjoining.any():
        return
    alike = neighbours_alike(coarse)[adjoining] >= GATE.neighbours_alike_at_least
    percent = 100 * float(alike.mean())
    if percent < GATE.neighbours_at_least_percent:
        yield _unsuitable(Reason.NEIGHBOURS_DIFFER, percent, GATE.neighbours_usual_at_least_percent)
    elif percent < GATE.neighbours_usual_at_least_percent:
        yield _warned(Reason.NEIGHBOURS_ODD, percent, GATE.neighbours_usual_at_least_percent)
