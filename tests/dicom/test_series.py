from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.core.findings import Finding, Outcome, Reason, worst
from aicorona_desktop.core.study import LeftOut, SeriesChoice, Study
from aicorona_desktop.dicom.gate import may_be_scored
from aicorona_desktop.dicom.series import Kernel, choose_series, kernel_of, studies_of
from tests.dicom.phantom_series import HEADER, PhantomSeries, chest, file, reasons

LOCALIZER = ("ORIGINAL", "PRIMARY", "LOCALIZER")
CORONAL = {"row_cosines": (1.0, 0.0, 0.0), "column_cosines": (0.0, 0.0, -1.0)}


def localizers(number: int = 1) -> PhantomSeries:
    tags: dict[str, Any] = {"image_type": LOCALIZER, "series_number": number, **CORONAL}
    return chest(slices=2).renamed("localizer", series_instance_uid=f"1.2.{number}", **tags)


def other_series(number: int, **tags: Any) -> PhantomSeries:
    return chest().renamed(f"s{number}", series_instance_uid=f"1.2.{number}", series_number=number, **tags)


def choice_of(*series: PhantomSeries) -> SeriesChoice:
    return choose_series(series[0].plus(*series[1:]).study())


def chosen_number(choice: SeriesChoice) -> int | None:
    return None if choice.series is None else choice.series.series_number


# --- grouping ----------------------------------------------------------------------------------------------------


def test_studies_and_series_are_told_apart_by_their_uids():
    everything = chest().plus(other_series(4), other_series(5, study_instance_uid="1.7"))

    studies = everything.studies()

    assert [study.study_instance_uid for study in studies] == ["1.1", "1.7"]
    assert [[series.series_number for series in study.series] for study in studies] == [[2, 4], [5]]
    assert [len(series.instances) for study in studies for series in study.series] == [40, 40, 40]


@given(st.integers(0, 10_000))
def test_the_order_in_which_files_come_changes_nothing(seed: int):
    everything = chest(slices=18).plus(
        localizers(),
        other_series(4).without(*range(20)),
        chest(slices=18).copied(),
        chest(slices=2).rewritten(),
        chest(slices=3, spacing_mm=0).renamed("phase"),
        PhantomSeries(()).with_refused(3),
    )
    straight = everything.studies()

    shuffled = everything.shuffled(seed).studies()

    assert shuffled == straight
    assert [choose_series(study) for study in shuffled] == [choose_series(study) for study in straight]


def test_the_same_bytes_twice_are_one_slice_and_every_file_is_still_there():
    series = chest().plus(chest().copied("again"), chest().copied("once more")).series()

    assert len(series.instances) == 40
    assert len(series.duplicates) == 80
    assert len({one.path for one in series.duplicates} | {one.file.path for one in series.instances}) == 120
    assert may_be_scored(series.findings)


def test_a_file_given_twice_is_no_duplicate_of_itself():
    assert chest().plus(chest()).series() == chest().series()


def test_one_uid_with_other_bytes_is_a_conflict_and_both_files_are_named():
    series = chest().plus(PhantomSeries(chest().rewritten().instances[9:10])).series()

    assert reasons(series.findings) == [Reason.UID_CONFLICT]
    assert worst(series.findings) is Outcome.UNSUITABLE
    assert reasons(item.finding for item in series.left_out) == [Reason.UID_CONFLICT]
    assert len(series.instances) == 40


def test_one_uid_in_two_series_is_a_conflict_in_both():
    stray = PhantomSeries(chest().rewritten().instances[9:10]).tagged(series_instance_uid="1.2.4")

    study = chest().plus(stray).study()

    assert [reasons(series.findings) for series in study.series] == [[Reason.UID_CONFLICT]] * 2


def test_a_conflict_between_localizers_does_not_stand_against_the_slices():
    scouts = localizers().tagged(series_instance_uid="1.2", sop_instance_uid="1.5")

    series = chest().plus(scouts).series()

    assert series.findings == ()
    assert len(series.left_out) == 2


def test_slices_without_a_uid_are_told_apart_by_their_bytes():
    nameless = chest().tagged(sop_instance_uid="")

    series = nameless.plus(nameless.copied()).series()

    assert (len(series.instances), len(series.duplicates)) == (40, 40)
    assert series.findings == ()


def test_frames_of_one_file_are_slices_of_their_own():
    one_file = file("enhanced")
    frames = tuple(
        replace(
            one, file=one_file, header=replace(one.header, sop_instance_uid="1.9", frame=index, number_of_frames=40)
        )
        for index, one in enumerate(chest().instances)
    )

    series = PhantomSeries(frames).series()

    assert len(series.instances) == 40
    assert series.duplicates == ()
    assert series.findings == ()


@pytest.mark.parametrize("slices", [(5,), range(20, 40)])
def test_two_patients_in_a_study_stand_against_the_whole_study(slices: range):
    study = chest().tagged(*slices, patient_id="OTHER").study()

    choice = choose_series(study)

    assert reasons(study.findings) == [Reason.TWO_PATIENTS]
    assert choice.series is None
    assert worst(choice.findings) is Outcome.UNSUITABLE
    assert "in doubt" in choice.reason


def test_one_number_from_two_issuers_is_two_patients():
    two = chest().tagged(1, issuer_of_patient_id="A").tagged(2, issuer_of_patient_id="B").study()
    one = chest().tagged(1, issuer_of_patient_id="A").study()

    assert (reasons(two.findings), one.findings) == ([Reason.TWO_PATIENTS], ())


def test_a_refused_file_of_another_patient_counts_as_well():
    stray = LeftOut(file("stray"), Finding(Outcome.REFUSED, Reason.TRUNCATED), "1.2", "1.1", "OTHER")

    (study,) = studies_of(chest().instances, [stray])

    assert reasons(study.findings) == [Reason.TWO_PATIENTS]


@pytest.mark.parametrize(
    ("name", "differs"),
    [("Phantom^Two", True), ("PHANTOM^one^^", False), ("Phantom One", False), ("Phantom^One=幻影", False), ("", False)],
)
def test_another_name_under_the_same_id_is_shown(name: str, differs: bool):
    study = chest().tagged(7, patient_name=name).study()

    assert study.findings == ((Finding(Outcome.WARNED, Reason.SAME_ID_OTHER_NAME),) if differs else ())


def test_without_any_id_two_names_are_two_patients():
    study = chest().tagged(patient_id="").tagged(7, patient_name="Phantom^Two").study()

    assert reasons(study.findings) == [Reason.TWO_PATIENTS]
    assert chest().tagged(patient_id="").study().findings == ()


def test_a_series_uid_in_two_studies_stands_against_both():
    studies = chest().tagged(*range(20, 40), study_instance_uid="1.7").studies()

    assert [reasons(study.findings) for study in studies] == [[Reason.SERIES_IN_TWO_STUDIES]] * 2
    assert [choose_series(study).series for study in studies] == [None, None]


def test_a_series_uid_known_from_an_earlier_study_is_seen():
    instances = chest().instances

    (clash,) = studies_of(instances, known_series={"1.2": "1.7"})
    (again,) = studies_of(instances, known_series={"1.2": "1.1", "1.4": "1.8"})

    assert reasons(clash.findings) == [Reason.SERIES_IN_TWO_STUDIES]
    assert again.findings == ()


@pytest.mark.parametrize(
    ("tags", "finding"),
    [
        ({"image_type": LOCALIZER}, Finding(Outcome.IGNORED, Reason.LOCALIZER)),
        (
            {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP")},
            Finding(Outcome.IGNORED, Reason.LOCALIZER),
        ),
        ({"image_type": ("DERIVED", "SECONDARY", "SCREEN SAVE")}, Finding(Outcome.IGNORED, Reason.SECONDARY_CAPTURE)),
        (
            {"image_type": ("DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT")},
            Finding(Outcome.IGNORED, Reason.SECONDARY_CAPTURE),
        ),
        (
            {"image_type": ("DERIVED", "SECONDARY", "OTHER"), "image_position_mm": None},
            Finding(Outcome.IGNORED, Reason.SECONDARY_CAPTURE),
        ),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, Finding(Outcome.IGNORED, Reason.SECONDARY_CAPTURE)),
        ({"modality": "MR"}, Finding(Outcome.IGNORED, Reason.NOT_CT, name="MR")),
        ({"modality": "Smith"}, Finding(Outcome.IGNORED, Reason.NOT_CT, name="another one")),
        (
            {"image_type": ("DERIVED", "SECONDARY", "MPR")},
            Finding(Outcome.UNSUITABLE, Reason.DERIVED_SECONDARY, name="MPR"),
        ),
        (
            {"image_type": ("DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP")},
            Finding(Outcome.UNSUITABLE, Reason.DERIVED_SECONDARY, name="MIP"),
        ),
        (
            {"image_type": ("DERIVED", "SECONDARY", "PROJECTION IMAGE")},
            Finding(Outcome.UNSUITABLE, Reason.DERIVED_SECONDARY, name="PROJECTION"),
        ),
        (
            {"image_type": ("DERIVED", "PRIMARY", "PERFUSION", "RCBF")},
            Finding(Outcome.UNSUITABLE, Reason.DERIVED_SECONDARY, name="PERFUSION"),
        ),
        (
            {"image_type": ("DERIVED", "SECONDARY", "AXIAL")},
            Finding(Outcome.UNSUITABLE, Reason.DERIVED_SECONDARY, name="DERIVED\\SECONDARY"),
        ),
        (
            {"image_position_mm": None},
            Finding(Outcome.UNSUITABLE, Reason.VALUE_MISSING, name="ImagePositionPatient"),
        ),
    ],
)
def test_what_is_no_slice_is_left_out_with_its_reason_and_its_header(tags: dict[str, Any], finding: Finding):
    series = chest().plus(PhantomSeries(chest(slices=1).renamed("odd", **tags).instances)).series()

    assert len(series.instances) == 40
    assert [(item.finding, item.header is not None) for item in series.left_out] == [(finding, True)]


@pytest.mark.parametrize(
    "image_type",
    [
        ("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"),
        ("ORIGINAL", "PRIMARY", "VOLUME", "NONE"),
        ("ORIGINAL", "PRIMARY", "AXIAL", "HELICAL_CT", "AMPR"),
        ("DERIVED", "PRIMARY", "AXIAL"),
        ("ORIGINAL", "PRIMARY"),
        (),
    ],
)
def test_slices_of_every_other_image_type_stay(image_type: tuple[str, ...]):
    assert len(chest().tagged(image_type=image_type).series().instances) == 40


def test_refused_files_stand_in_the_series_they_name_and_others_in_the_study():
    refused = Finding(Outcome.REFUSED, Reason.TRUNCATED, name="PixelData")
    report = Finding(Outcome.IGNORED, Reason.NOT_CT, name="SR")
    others = [
        LeftOut(file("a"), refused, "1.2", "1.1"),
        LeftOut(file("b"), refused, "1.66", "1.1"),
        LeftOut(file("c"), report, "", "1.1"),
        LeftOut(file("d"), refused, "", ""),
        LeftOut(file("e"), report, "1.77", "1.5"),
    ]

    first, second = studies_of(chest().instances, others)

    assert [item.file.shown for item in first.series[0].left_out] == ["a"]
    assert [item.file.shown for item in first.left_out] == ["b", "c"]
    assert (second.study_instance_uid, second.series, len(second.left_out)) == ("1.5", (), 1)


def test_the_series_carries_the_number_and_description_of_its_slices():
    scouts = localizers(number=99).tagged(series_instance_uid="1.2", series_number=0, series_description="SCOUT")

    series = chest().plus(scouts).series()

    assert (series.series_number, series.description) == (2, "AXIAL 5.0")


# --- kernels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maker", "kernel", "expected"),
    [
        ("SIEMENS", "B30f", Kernel.SOFT),
        ("SIEMENS", "D40s", Kernel.MEDIUM),
        ("SIEMENS", "B70f", Kernel.SHARP),
        ("Siemens Healthineers", "Br38d", Kernel.SOFT),
        ("Siemens Healthineers", "Bl57d", Kernel.SHARP),
        ("SIEMENS", "I50f", Kernel.SHARP),
        ("GE MEDICAL SYSTEMS", "STANDARD", Kernel.SOFT),
        ("GE MEDICAL SYSTEMS", "SOFT", Kernel.SOFT),
        ("GE MEDICAL SYSTEMS", "STD+", Kernel.SOFT),
        ("GE MEDICAL SYSTEMS", "CHST", Kernel.MEDIUM),
        ("GE MEDICAL SYSTEMS", "DETAIL", Kernel.MEDIUM),
        ("GE MEDICAL SYSTEMS", "LUNG", Kernel.SHARP),
        ("GE MEDICAL SYSTEMS", "BONEPLUS", Kernel.SHARP),
        ("Philips", "B", Kernel.SOFT),
        ("Philips", "L", Kernel.SHARP),
        ("Philips", "YA", Kernel.SHARP),
        ("TOSHIBA", "FC08", Kernel.SOFT),
        ("TOSHIBA", "FC17", Kernel.SOFT),
        ("CANON", "FC51", Kernel.SHARP),
        ("CANON", "FC86", Kernel.SHARP),
        ("CANON", "FC42", Kernel.MEDIUM),
        ("UIH", "B_SHARP_C", Kernel.SHARP),
        ("", "B", Kernel.UNKNOWN),
        ("HITACHI", "2", Kernel.UNKNOWN),
        ("", "", Kernel.UNKNOWN),
    ],
)
def test_kernels_are_known_by_the_vendors_names(maker: str, kernel: str, expected: Kernel):
    assert kernel_of(replace(HEADER, manufacturer=maker, convolution_kernel=kernel)) is expected


# --- choice ------------------------------------------------------------------------------------------------------


def test_the_sentence_names_every_series_and_every_file_beside_them():
    report = LeftOut(file("report"), Finding(Outcome.IGNORED, Reason.NOT_CT, name="SR"), "1.77", "1.1")
    everything = other_series(3).plus(localizers(4), other_series(5, image_type=("DERIVED", "SECONDARY", "MPR")))
    everything = replace(everything, left_out=(report,))

    choice = choose_series(everything.study())

    assert chosen_number(choice) == 3
    assert choice.findings == ()
    assert choice.reason == (
        "series 3: axial, 5 mm, soft kernel, 40 slices; "
        "series 5 left out: a derived image: reformat, projection or other secondary image (Image Type MPR); "
        "series 4 left out: only localizers: no axial chest slices to score; "
        "1 file left out: this is not CT (modality SR)"
    )


@pytest.mark.parametrize(
    ("better", "worse", "because"),
    [
        ({}, {"body_part_examined": "HEAD"}, "its tags do not name the chest"),
        ({}, {"body_part_examined": "", "study_description": "CT"}, "its tags do not name the chest"),
        ({"body_part_examined": ""}, {"body_part_examined": "NECK"}, "its tags do not name the chest"),
        ({}, {"image_type": ("DERIVED", "PRIMARY", "AXIAL")}, "derived images"),
        ({}, {"convolution_kernel": "B70f"}, "sharp kernel"),
        ({"convolution_kernel": "B41f"}, {"convolution_kernel": ""}, "unknown kernel"),
        ({}, {"contrast_agent": "IOHEXOL"}, "contrast agent"),
        ({}, {}, "the same kind, a later number"),
    ],
)
def test_each_rule_prefers_one_series_and_says_why_the_other_is_left_out(
    better: dict[str, Any], worse: dict[str, Any], because: str
):
    first_by_number_only_when_equal = (8, 9) if better == worse else (9, 8)
    good, bad = first_by_number_only_when_equal

    choice = choice_of(other_series(good, **better), other_series(bad, **worse))

    assert chosen_number(choice) == good
    assert choice.reason.endswith(f"series {bad} left out: {because}")


def spaced(number: int, slices: int, spacing_mm: float, **tags: Any) -> PhantomSeries:
    stack = chest(slices=slices, spacing_mm=spacing_mm, slice_thickness_mm=spacing_mm)
    return stack.renamed(f"s{number}", series_instance_uid=f"1.2.{number}", series_number=number, **tags)


@pytest.mark.parametrize(
    ("better", "worse", "because"),
    [
        ((60, 5.0), (300, 1.0), "its slice spacing is farther from the 5 to 10 mm preferred (1 mm)"),
        ((100, 3.0), (300, 1.0), "its slice spacing is farther from the 5 to 10 mm preferred (1 mm)"),
        ((30, 10.0), (25, 12.0), "its slice spacing is farther from the 5 to 10 mm preferred (12 mm)"),
        ((300, 1.0), (30, 5.0), "its length fits a chest less well (150 mm)"),
        ((300, 1.0), (130, 5.0), "its length fits a chest less well (650 mm)"),
        ((60, 5.0), (100, 5.0), "its length fits a chest less well (500 mm)"),
        ((61, 5.0), (60, 5.0), "fewer slices (60)"),
    ],
)
def test_coverage_comes_before_spacing_and_spacing_before_number_of_slices(
    better: tuple[int, float], worse: tuple[int, float], because: str
):
    choice = choice_of(spaced(8, *worse), spaced(9, *better))

    assert chosen_number(choice) == 9
    assert choice.reason.endswith(f"series 8 left out: {because}")


def test_series_alike_in_all_are_chosen_by_uid():
    twins = [other_series(3).tagged(series_instance_uid=uid) for uid in ("1.2.9", "1.2.8")]
    twins[1] = twins[1].renamed("twin")

    choice = choice_of(*twins)

    assert choice.series is not None
    assert choice.series.series_instance_uid == "1.2.8"


def test_a_series_that_the_gate_stops_does_not_compete():
    few = other_series(1).without(*range(12, 40))

    choice = choice_of(few, other_series(9, convolution_kernel="B70f"))

    assert chosen_number(choice) == 9
    assert "series 1 left out: there are too few slices: 12, at least 16 needed" in choice.reason
    assert choice.findings == ()


def test_the_warnings_of_the_chosen_series_are_the_studys_and_those_of_others_are_not():
    choice = choice_of(other_series(3, contrast_agent="IOHEXOL"), other_series(4, photometric="MONOCHROME1"))

    assert reasons(choice.findings) == [Reason.MONOCHROME1]  # contrast is the later rule


def test_when_no_series_passes_the_nearest_to_passing_stands_for_the_study():
    few_children = other_series(3, patient_age_years=6.0).without(*range(12, 40))
    few = other_series(4).without(*range(14, 40))

    choice = choice_of(localizers(1), few_children, few)

    assert choice.series is None
    assert reasons(choice.findings) == [Reason.TOO_FEW_SLICES, Reason.COVERAGE_SHORT]
    assert choice.findings[0].found == 14
    assert [series.series_number for series in choice.checked] == [4, 3, 1]
    assert choice.reason.startswith("series 4 left out: there are too few slices: 14")


def test_a_study_of_localizers_and_screens_has_only_localizers():
    screens = other_series(0, image_type=("DERIVED", "SECONDARY", "SCREEN SAVE"))

    choice = choice_of(screens, localizers(1))

    assert reasons(choice.findings) == [Reason.ONLY_LOCALIZERS]


def test_a_study_of_reformats_and_localizers_is_one_of_reformats():
    reformats = other_series(9, image_type=("DERIVED", "SECONDARY", "REFORMATTED"))

    choice = choice_of(localizers(1), reformats)

    assert reasons(choice.findings) == [Reason.DERIVED_SECONDARY]


def test_a_study_of_other_objects_is_ignored_with_their_reason():
    report = LeftOut(file("report"), Finding(Outcome.IGNORED, Reason.NOT_CT, name="SR"), "1.77", "1.1")

    choice = choose_series(Study("1.1", (), (report, report)))

    assert choice.findings == (report.finding,)
    assert choice.reason == "2 files left out: this is not CT (modality SR)"


def test_refused_files_of_an_unreadable_series_are_not_hidden_behind_a_localizer():
    everything = localizers(1).with_refused(30, series_instance_uid="1.66")

    choice = choose_series(everything.study())

    assert worst(choice.findings) is Outcome.REFUSED
    assert "30 files left out: the file is truncated" in choice.reason


def test_a_refused_file_whose_series_is_unknown_is_a_warning_for_the_series_that_is_scored():
    choice = choose_series(chest().with_refused(1, series_instance_uid="").study())

    assert chosen_number(choice) == 2
    assert reasons(choice.findings) == [Reason.FILES_REFUSED]


def test_the_choice_is_the_same_for_any_order():
    everything = other_series(3).plus(other_series(4, convolution_kernel="B70f"), localizers(1), spaced(7, 300, 1.0))
    answers = {
        choose_series(everything.shuffled(seed).study()).reason for seed in random.Random(1).sample(range(99), 5)
    }

    assert len(answers) == 1
