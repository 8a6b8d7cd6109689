"""From instances to studies, and which series of a study is scored.

Grouping knows UIDs and bytes, never file names or folders; its answer doesn't depend on the order in which
the files came. Nothing is dropped in silence: what isn't among the slices is in `left_out` or `duplicates`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason, worst
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.identities import plain_name
from aicorona_desktop.core.study import Instance, LeftOut, Series, SeriesChoice, Study
from aicorona_desktop.dicom.gate import check_series, may_be_scored, merged, series_names_chest, uses_contrast
from aicorona_desktop.dicom.geometry import Geometry, feet_first, geometry_of, has_place, natural

NO_NUMBER = 2**31  # a series without a number comes last

# CT, Enhanced CT, Legacy Converted Enhanced CT; anything else that calls itself CT is a picture of something
_CT_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.2{kind}" for kind in ("", ".1", ".2"))
_MODALITIES = frozenset(
    ("CR", "DX", "ECG", "KO", "MG", "MR", "NM", "OT", "PR", "PT", "RF", "SC", "SEG", "SR", "US", "XA")
)
_SCOUTS = ("LOCALIZER", "SCOUT", "TOPOGRAM")
_SCREENS = ("SCREEN SAVE", "SCREENSAVE", "SCREEN_SAVE", "SCREENSHOT", "DOSE_INFO", "PROT")
_COMPUTED = (
    *("MPR", "MIP", "MINIP", "MAX_IP", "MIN_IP", "MAXIMUM", "MINIMUM", "PROJECTION", "REFORMATTED"),
    *("VRT", "SSD", "3D", "CPR", "PERFUSION"),
)
_CONFLICT = Finding(Outcome.UNSUITABLE, Reason.UID_CONFLICT, found=1)


# --- grouping ----------------------------------------------------------------------------------------------------


def studies_of(
    instances: Iterable[Instance],
    left_out: Iterable[LeftOut] = (),
    known_series: Mapping[str, str] | None = None,
) -> tuple[Study, ...]:
    """Group what the reader answered into studies and series, in a fixed order whatever the order given.

    One UID with the same bytes is kept once, the other files are `duplicates`; one UID with other bytes is a
    conflict. Localizers, reformats, secondary captures and slices without a place are left out of their
    series, each with its reason. Files that name no study are in no answer: their place is the import summary.

    Args:
        instances: readable CT slices, frames of enhanced objects among them.
        left_out: what the reader refused or ignored, with the UIDs that it saw.
        known_series: Study Instance UID by Series Instance UID of what is in the history already, so that a
            series that turns up in a second study later is seen.
    """
    by_study: dict[str, list[Instance]] = defaultdict(list)
    others: dict[str, list[LeftOut]] = defaultdict(list)
    for instance in sorted(instances, key=_file_order):
        by_study[instance.header.study_instance_uid].append(instance)
    for item in sorted(left_out, key=_left_out_order):
        if item.study_instance_uid:
            others[item.study_instance_uid].append(item)
    uids = sorted({*by_study, *others})
    twice = _series_in_two_studies(by_study, known_series or {})
    return tuple(_study(uid, by_study[uid], others[uid], uid in twice) for uid in uids)


def _file_order(instance: Instance) -> tuple[object, ...]:
    return (instance.identity, instance.file.sha256, natural(instance.file.shown), str(instance.file.path))


def _left_out_order(item: LeftOut) -> tuple[object, ...]:
    return (natural(item.file.shown), item.file.sha256, str(item.file.path), item.finding.reason.name)


def _series_in_two_studies(by_study: Mapping[str, list[Instance]], known_series: Mapping[str, str]) -> set[str]:
    """The studies that share a series UID with another one."""
    studies: dict[str, set[str]] = defaultdict(set)
    for study, instances in by_study.items():
        for instance in instances:
            studies[instance.header.series_instance_uid].add(study)
    for series in studies.keys() & known_series.keys():
        studies[series].add(known_series[series])
    return {study for sharing in studies.values() if len(sharing) > 1 for study in sharing}


def _study(uid: str, instances: list[Instance], others: list[LeftOut], shares_series: bool) -> Study:
    by_series: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_series[instance.header.series_instance_uid].append(instance)
    conflicts = _conflicting(instances)
    named: dict[str, list[LeftOut]] = defaultdict(list)
    for item in others:
        named[item.series_instance_uid if item.series_instance_uid in by_series else ""].append(item)
    series = [_series(one, members, named[one], conflicts) for one, members in by_series.items()]
    findings = list(_identity_findings(instances, others))
    findings += _in_conflict(len(conflicts))
    if shares_series:
        findings.append(Finding(Outcome.UNSUITABLE, Reason.SERIES_IN_TWO_STUDIES))
    return Study(uid, tuple(sorted(series, key=_series_order)), tuple(named[""]), merged(findings))


def _series_order(series: Series) -> tuple[int, str]:
    return (NO_NUMBER if series.series_number is None else series.series_number, series.series_instance_uid)


def _conflicting(instances: Iterable[Instance]) -> set[str]:
    """The identities of slices that stand on files with different bytes, over all series of a study."""
    contents: dict[str, set[str]] = defaultdict(set)
    slices = set()
    for instance in instances:
        contents[instance.identity].add(instance.file.sha256)
        if _why_no_slice(instance.header) is None:
            slices.add(instance.identity)
    return {identity for identity in slices if len(contents[identity]) > 1}


def _identity_findings(instances: list[Instance], others: list[LeftOut]) -> Iterable[Finding]:
    headers = [instance.header for instance in instances]
    patients = {header.patient_id.strip() for header in headers} | {item.patient_id.strip() for item in others}
    issuers = {header.issuer_of_patient_id.strip() for header in headers}
    names = {plain_name(header.patient_name) for header in headers}
    one_id, one_name = len(patients - {""}) == 1, len(names - {""}) <= 1
    if len(patients - {""}) > 1 or len(issuers - {""}) > 1 or not (one_id or one_name):
        yield Finding(Outcome.UNSUITABLE, Reason.TWO_PATIENTS)
    elif not one_name:
        yield Finding(Outcome.WARNED, Reason.SAME_ID_OTHER_NAME)


def _series(uid: str, members: list[Instance], refused: list[LeftOut], conflicts: set[str]) -> Series:
    kept: dict[str, Instance] = {}
    duplicates: dict[FileRef, None] = {}
    left_out: list[LeftOut] = []
    for instance in members:
        first = kept.setdefault(instance.identity, instance)
        if first.file.sha256 != instance.file.sha256:
            left_out.append(instance.left_out(_why_no_slice(instance.header) or _CONFLICT))
        elif first.file != instance.file:
            duplicates[instance.file] = None
    not_slices = {one: why for one, instance in kept.items() if (why := _why_no_slice(instance.header)) is not None}
    shown = min((instance.header for instance in members), key=_naming_order)
    return Series(
        series_instance_uid=uid,
        instances=feet_first(instance for one, instance in kept.items() if one not in not_slices),
        left_out=(*left_out, *(kept[one].left_out(why) for one, why in not_slices.items()), *refused),
        findings=_in_conflict(len(conflicts & kept.keys())),
        duplicates=tuple(duplicates),
        series_number=shown.series_number,
        description=shown.series_description,
    )


def _in_conflict(images: int) -> tuple[Finding, ...]:
    return (Finding(Outcome.UNSUITABLE, Reason.UID_CONFLICT, found=images),) if images else ()


def _naming_order(header: Header) -> tuple[int, int, str]:
    """Slices before localizers, then what comes first: a series has one number and one description to show."""
    number = NO_NUMBER if header.series_number is None else header.series_number
    return (int(_why_no_slice(header) is not None), number, header.series_description)


def _why_no_slice(header: Header) -> Finding | None:
    """Why an image is no slice to score, or None."""
    modality = header.modality.strip().upper()
    if modality != "CT":
        return Finding(Outcome.IGNORED, Reason.NOT_CT, name=modality if modality in _MODALITIES else "another one")
    if header.sop_class_uid not in _CT_CLASSES:
        return Finding(Outcome.IGNORED, Reason.SECONDARY_CAPTURE)
    by_image_type = _why_no_slice_by_image_type(header.image_type, has_place(header))
    if by_image_type is None and not has_place(header):
        return Finding(Outcome.UNSUITABLE, Reason.VALUE_MISSING, name="ImagePositionPatient")
    return by_image_type


@lru_cache(maxsize=256)  # a study of 400 slices has a handful of image types
def _why_no_slice_by_image_type(image_type: tuple[str, ...], has_place: bool) -> Finding | None:
    """Names in the finding are words of ours, not the tag's (PS3.3 C.7.6.1.1.2, C.8.2.1.1.1)."""
    values = tuple(value.strip().upper() for value in image_type)
    secondary = values[1:2] == ("SECONDARY",)
    if _word_in(values, _SCOUTS):
        return Finding(Outcome.IGNORED, Reason.LOCALIZER)
    if _word_in(values, _SCREENS) or (secondary and not has_place):
        return Finding(Outcome.IGNORED, Reason.SECONDARY_CAPTURE)
    if kind := _word_in(values[2:], _COMPUTED):
        return Finding(Outcome.UNSUITABLE, Reason.DERIVED_SECONDARY, name=kind)
    if secondary and values[0] != "ORIGINAL":
        name = "DERIVED\\SECONDARY" if values[0] == "DERIVED" else "SECONDARY"
        return Finding(Outcome.UNSUITABLE, Reason.DERIVED_SECONDARY, name=name)
    return None


def _word_in(values: tuple[str, ...], words: tuple[str, ...]) -> str:
    """The first of the words that stands in a value by itself, such as MPR in CT_SOM5 MPR, or ""."""
    together = "\n".join(values)
    return next((word for word in words if re.search(rf"(?<![A-Z0-9]){word}(?![A-Z0-9])", together)), "")


# --- kernels -----------------------------------------------------------------------------------------------------


class Kernel(IntEnum):
    """How sharp a reconstruction kernel is, in the order in which a series is preferred."""

    SOFT = 0
    MEDIUM = 1
    UNKNOWN = 2
    SHARP = 3

    @property
    def text(self) -> str:
        return "unknown kernel" if self is Kernel.UNKNOWN else f"{self.name.lower()} kernel"


_KERNEL_WORDS = (
    (re.compile(r"LUNG|BONE|EDGE|SHARP|ULTRA|DETAIL ?\+"), Kernel.SHARP),
    (re.compile(r"DETAIL|CHST|CHEST|MEDIUM"), Kernel.MEDIUM),
    (re.compile(r"SOFT|SMOOTH|STANDARD|STND|STD"), Kernel.SOFT),
)
_PHILIPS = {
    "A": Kernel.SOFT,
    "B": Kernel.SOFT,
    "C": Kernel.MEDIUM,
    "D": Kernel.SHARP,
    "E": Kernel.SHARP,
    "L": Kernel.SHARP,
}
_PHILIPS |= {"YA": Kernel.SHARP, "YB": Kernel.SHARP, "YC": Kernel.SHARP, "YD": Kernel.SHARP, "YE": Kernel.SHARP}
_PHILIPS |= {"UA": Kernel.SOFT, "UB": Kernel.SOFT, "UC": Kernel.MEDIUM}


def kernel_of(header: Header) -> Kernel:
    """Return how sharp the kernel is, by the vendors' own numbers and letters.

    Siemens (B30f, I50f, Br40d, D40s): the number is the sharpness, under 40 soft, from 50 on sharp. Toshiba
    and Canon (FC08): 01-19 body, 30s, 50s and 80s bone and lung. Philips: letters. GE and others: words.
    """
    kernel = header.convolution_kernel.strip().upper()
    maker = header.manufacturer.upper()
    if match := re.fullmatch(r"FC ?(\d{2,3}).*", kernel):
        return _toshiba(int(match[1][:2]))
    if "PHILIPS" in maker and kernel in _PHILIPS:
        return _PHILIPS[kernel]
    if match := re.match(r"[A-Z][A-Z]?(\d{2})[A-Z]?", kernel):
        return _siemens(int(match[1]))
    return next((answer for words, answer in _KERNEL_WORDS if words.search(kernel)), Kernel.UNKNOWN)


def _toshiba(number: int) -> Kernel:
    if number < 20:
        return Kernel.SOFT
    return Kernel.SHARP if number // 10 in (3, 5, 8) else Kernel.MEDIUM


def _siemens(number: int) -> Kernel:
    if number < 40:
        return Kernel.SOFT
    return Kernel.MEDIUM if number < 50 else Kernel.SHARP


# --- choice ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Merits:
    """What the rules of `choose_series` compare, each the smaller the better; the last two always decide."""

    region: int  # 0 its own tags name the chest, 1 they name nothing, 2 a part beside it, 3 another part
    derived: bool
    coverage: int  # 0 like a chest, 1 whole lungs perhaps with more, 2 less or much more
    off_spacing_mm: float  # outside 5 to 10 mm
    kernel: Kernel
    contrast: bool
    minus_slices: int
    number: int
    uid: str

    @property
    def key(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)


_WHY_NOT = {
    "region": "its tags do not name the chest",
    "derived": "derived images",
    "coverage": "its length fits a chest less well ({geometry.coverage_mm:.0f} mm)",
    "off_spacing_mm": "its slice spacing is farther from the 5 to 10 mm preferred ({geometry.spacing_mm:g} mm)",
    "kernel": "{kernel}",
    "contrast": "contrast agent",
    "minus_slices": "fewer slices ({slices})",
    "number": "the same kind, a later number",
    "uid": "the same kind, a later identifier",
}


def choose_series(study: Study) -> SeriesChoice:
    """Return the series to score and why, or why none; the answer depends on nothing but the study.

    The rules, each deciding where those before it don't:
     1. Only series that pass the header gate compete (scored or warned); none when the study itself is in
        doubt (two patients, a series in two studies).
     2. One whose body part, series description or protocol names the chest, then one that names no part,
        then one that names a part beside the chest, then another part.
     3. Images as acquired before derived ones.
     4. Coverage: 220 to 450 mm (a chest), then 180 to 600 mm, then the rest.
     5. Slice spacing nearest to 5 to 10 mm: the method was made on 8 to 10 mm, and as the middle half of all
        slices is scored, thin ones cost time without gain.
     6. Soft kernel, then medium, unknown, sharp.
     7. Without contrast agent before with it.
     8. More slices, then the lower series number, then the smaller UID.

    When no series passes, the best of them stands for the study: one with slices before one without, then
    the one with the fewest reasons against it, then rules 2 to 8; its findings are the study's, together with
    those of refused files that name no readable series.
    """
    checked = sorted((check_series(series) for series in study.series), key=_preference)
    best = checked[0] if checked else None
    if best is not None and may_be_scored(best.findings):
        chosen = best if may_be_scored(study.findings) else None
        unplaced = sum(1 for item in study.left_out if _may_be_a_slice(item))
        warning = (Finding(Outcome.WARNED, Reason.FILES_REFUSED, unplaced),) if unplaced else ()
        findings = merged((*study.findings, *best.findings, *warning))
        return SeriesChoice(chosen, _sentence(chosen, checked, study), findings, tuple(checked))
    against = [] if best is None else best.findings
    findings = merged((*study.findings, *against, *_of_files(study.left_out, only_grave=best is not None)))
    return SeriesChoice(None, _sentence(None, checked, study), findings, tuple(checked))


def _may_be_a_slice(item: LeftOut) -> bool:
    """A refused file whose series the reader could not see: it may belong to the one that is scored."""
    return item.finding.outcome is Outcome.REFUSED and not item.series_instance_uid


def _of_files(left_out: Iterable[LeftOut], only_grave: bool) -> Iterable[Finding]:
    return (item.finding for item in left_out if not only_grave or item.finding.outcome is not Outcome.IGNORED)


def _preference(series: Series) -> tuple[object, ...]:
    if not series.instances:
        only_localizers = Reason.ONLY_LOCALIZERS in {finding.reason for finding in series.findings}
        return (2, -list(Outcome).index(worst(series.findings)), only_localizers, _series_order(series))
    against = sum(1 for finding in series.findings if finding.outcome in (Outcome.UNSUITABLE, Outcome.REFUSED))
    return (int(against > 0), against, _merits(series).key)


def _merits(series: Series) -> _Merits:
    headers = [instance.header for instance in series.instances]
    geometry = geometry_of(series.instances)
    return _Merits(
        region=_region(series),
        derived=any("DERIVED" in header.image_type[:1] or "SECONDARY" in header.image_type[1:2] for header in headers),
        coverage=_coverage_class(geometry.coverage_mm),
        off_spacing_mm=round(max(5 - geometry.spacing_mm, geometry.spacing_mm - 10, 0.0), 1),
        kernel=max(kernel_of(header) for header in headers),
        contrast=any(uses_contrast(header) for header in headers),
        minus_slices=-len(headers),
        number=_series_order(series)[0],
        uid=series.series_instance_uid,
    )


def _region(series: Series) -> int:
    reasons = {finding.reason for finding in series.findings}
    if Reason.BODY_PART_OTHER in reasons:
        return 3
    if Reason.BODY_PART_BESIDE in reasons:
        return 2
    return int(not any(series_names_chest(instance.header) for instance in series.instances))


def _coverage_class(coverage_mm: float) -> int:
    if 220 <= coverage_mm <= 450:
        return 0
    return 1 if 180 <= coverage_mm <= 600 else 2


def _sentence(chosen: Series | None, checked: list[Series], study: Study) -> str:
    parts = [] if chosen is None else [f"{_title(chosen)}: {_looks(chosen)}"]
    parts += [f"{_title(series)} left out: {_why_not(series, chosen)}" for series in checked if series is not chosen]
    for reason, count in sorted(Counter(item.finding for item in study.left_out).items(), key=lambda one: str(one[0])):
        parts.append(f"{count} file{'s' if count > 1 else ''} left out: {_clause(reason)}")
    return "; ".join(parts)


def _title(series: Series) -> str:
    return "series without a number" if series.series_number is None else f"series {series.series_number}"


def _looks(series: Series) -> str:
    geometry, merits = geometry_of(series.instances), _merits(series)
    parts = ["axial", f"{geometry.spacing_mm:g} mm", merits.kernel.text, f"{len(series.instances)} slices"]
    return ", ".join([*parts, *(["contrast agent"] if merits.contrast else [])])


def _why_not(series: Series, chosen: Series | None) -> str:
    if not may_be_scored(series.findings):
        return _clause(series.findings[0])
    if chosen is None:
        return "the study is in doubt"
    return _lost_by(_merits(series), _merits(chosen), geometry_of(series.instances))


def _lost_by(loser: _Merits, winner: _Merits, geometry: Geometry) -> str:
    rule = next(name for name in _WHY_NOT if getattr(loser, name) != getattr(winner, name))
    return _WHY_NOT[rule].format(geometry=geometry, kernel=loser.kernel.text, slices=-loser.minus_slices)


def _clause(finding: Finding) -> str:
    """A finding's sentence as part of a longer one."""
    text = str(finding).rstrip(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
