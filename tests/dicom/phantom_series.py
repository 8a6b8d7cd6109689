"""A series of headers made of numbers, never of people: a frozen builder for the tests of grouping and gate."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.study import Instance, LeftOut, Series, Study
from aicorona_desktop.dicom.gate import check_series
from aicorona_desktop.dicom.series import studies_of

CT = "1.2.840.10008.5.1.4.1.1.2"

HEADER = Header(
    sop_class_uid=CT,
    sop_instance_uid="1.9",
    study_instance_uid="1.1",
    series_instance_uid="1.2",
    frame_of_reference_uid="1.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    frame=0,
    number_of_frames=1,
    patient_id="PHANTOM-1",
    issuer_of_patient_id="",
    patient_name="Phantom^One",
    patient_birth_date="1970-01-01",
    patient_sex="O",
    patient_age_years=55.0,
    study_date="2026-01-05",
    study_time="10:15:00",
    study_description="CT CHEST",
    study_id="",
    accession_number="",
    institution_name="",
    series_number=2,
    series_description="AXIAL 5.0",
    protocol_name="",
    series_time="",
    modality="CT",
    image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
    body_part_examined="CHEST",
    patient_position="HFS",
    burned_in_annotation="",
    derivation_description="",
    manufacturer="PHANTOM",
    model_name="",
    convolution_kernel="B30f",
    kvp=120.0,
    slice_thickness_mm=5.0,
    spacing_between_slices_mm=None,
    contrast_agent="",
    gantry_tilt_deg=0.0,
    acquisition_number=1,
    acquisition_time="",
    instance_number=1,
    temporal_position=None,
    image_position_mm=(-175.0, -175.0, 0.0),
    row_cosines=(1.0, 0.0, 0.0),
    column_cosines=(0.0, 1.0, 0.0),
    pixel_spacing_mm=(0.7, 0.7),
    rows=512,
    columns=512,
    bits_stored=16,
    pixel_representation=1,
    photometric="MONOCHROME2",
    rescale_slope=1.0,
    rescale_intercept=-1024.0,
    rescale_type="HU",
    pixel_padding_value=None,
    pixel_padding_range_limit=None,
    lossy=False,
    lossy_ratio=None,
    window_centre_hu=None,
    window_width_hu=None,
)


def file(name: str, sha256: str = "", folder: str = "in") -> FileRef:
    return FileRef(Path(folder) / name, name, 1000, 0, sha256 or f"sha-{name}", "test")


@dataclass(frozen=True, slots=True)
class PhantomSeries:
    """Instances feet first unless shuffled; each method gives another one."""

    instances: tuple[Instance, ...]
    left_out: tuple[LeftOut, ...] = ()

    def tagged(self, *indices: int, **tags: Any) -> PhantomSeries:
        """With these tags in the slices named, or in all."""
        chosen = set(indices) or set(range(len(self.instances)))
        return self._each(lambda index, header: replace(header, **tags) if index in chosen else header)

    def at(self, positions_mm: Callable[[int], float]) -> PhantomSeries:
        """With slices at other heights."""
        return self._each(
            lambda index, header: replace(header, image_position_mm=(-175.0, -175.0, positions_mm(index)))
        )

    def without(self, *indices: int) -> PhantomSeries:
        return replace(self, instances=tuple(one for index, one in enumerate(self.instances) if index not in indices))

    def plus(self, *others: PhantomSeries) -> PhantomSeries:
        return PhantomSeries(
            self.instances + tuple(one for other in others for one in other.instances),
            self.left_out + tuple(one for other in others for one in other.left_out),
        )

    def copied(self, folder: str = "again") -> PhantomSeries:
        """The same bytes in other files."""
        return replace(self, instances=tuple(Instance(_moved(one.file, folder), one.header) for one in self.instances))

    def rewritten(self, folder: str = "other") -> PhantomSeries:
        """The same headers in files of other bytes."""
        return replace(
            self,
            instances=tuple(
                Instance(replace(_moved(one.file, folder), sha256=f"{one.file.sha256}-{folder}"), one.header)
                for one in self.instances
            ),
        )

    def renamed(self, prefix: str, **tags: Any) -> PhantomSeries:
        """Another series: other files, other SOP Instance UIDs, these tags."""
        return replace(
            self,
            instances=tuple(
                Instance(
                    file(f"{prefix}-{one.file.shown}"),
                    replace(
                        one.header, sop_instance_uid=f"{one.header.sop_instance_uid}.{len(prefix)}.{prefix}", **tags
                    ),
                )
                for one in self.instances
            ),
        )

    def with_refused(self, count: int, series_instance_uid: str = "1.2") -> PhantomSeries:
        finding = Finding(Outcome.REFUSED, Reason.TRUNCATED, name="PixelData")
        refused = tuple(
            LeftOut(file(f"refused-{index}"), finding, series_instance_uid, "1.1") for index in range(count)
        )
        return replace(self, left_out=self.left_out + refused)

    def shuffled(self, seed: int) -> PhantomSeries:
        order = random.Random(seed)  # the same order for the same seed
        instances, left_out = list(self.instances), list(self.left_out)
        order.shuffle(instances)
        order.shuffle(left_out)
        return PhantomSeries(tuple(instances), tuple(left_out))

    def studies(self) -> tuple[Study, ...]:
        return studies_of(self.instances, self.left_out)

    def study(self) -> Study:
        (study,) = self.studies()
        return study

    def series(self) -> Series:
        (series,) = self.study().series
        return series

    def outcomes(self) -> dict[Reason, Outcome]:
        """What the header gate finds."""
        return {finding.reason: finding.outcome for finding in check_series(self.series()).findings}

    def _each(self, change: Callable[[int, Header], Header]) -> PhantomSeries:
        return replace(
            self,
            instances=tuple(Instance(one.file, change(index, one.header)) for index, one in enumerate(self.instances)),
        )


def chest(slices: int = 40, spacing_mm: float = 5.0, **tags: Any) -> PhantomSeries:
    """A chest that passes every header rule: 40 slices of 5 mm, 0.7 mm pixels, feet first."""
    return PhantomSeries(tuple(_instance(index, index * spacing_mm, tags) for index in range(slices)))


def _instance(index: int, z_mm: float, tags: dict[str, Any]) -> Instance:
    header = replace(
        HEADER,
        sop_instance_uid=f"1.9.{index + 1}",
        instance_number=index + 1,
        image_position_mm=(-175.0, -175.0, z_mm),
    )
    return Instance(file(f"IM{index + 1}"), replace(header, **tags))


def _moved(one: FileRef, folder: str) -> FileRef:
    return replace(one, path=Path(folder) / one.shown)


def reasons(findings: Iterable[Finding]) -> list[Reason]:
    return [finding.reason for finding in findings]
