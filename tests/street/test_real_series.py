"""Real DICOM series, one folder at a time, end as the manifest beside them says, for the right reason."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.street.conftest import Street

SCORED = [
    ("chest_covid_siemens_2mm", {"ODD_UID", "NAME_MISSING", "SPACING_WIDE"}),
    ("chest_cap_siemens_2mm_half", {"THICKNESS_DIFFERS"}),
    ("chest_normal_siemens_2mm_half", {"THICKNESS_DIFFERS"}),
    ("chest_thick_5mm_siemens_petct", {"COVERAGE_LIMITED"}),
]

UNSUITABLE = [
    ("chest_partial_5mm_ge_petct", "TOO_FEW_SLICES", "needs_person"),
    ("abdomen_ct_ge", "TOO_FEW_SLICES", None),
    ("head_ct_ge_tilted", "BODY_PART_OTHER", "not_for_tool"),
    ("chest_sagittal_reformat", "DERIVED_SECONDARY", "needs_person"),
    ("chest_coronal_reformat_ge", "DERIVED_SECONDARY", "needs_person"),
    ("chest_single_slice_toshiba", "TOO_FEW_SLICES", "needs_person"),
    ("localizer_philips", "ONLY_LOCALIZERS", "not_for_tool"),
    ("localizer_siemens", "ONLY_LOCALIZERS", "not_for_tool"),
    ("enhanced_multiframe_ct", "DERIVED_SECONDARY", "needs_person"),
]

IGNORED = [
    ("dose_screen_ge", "SECONDARY_CAPTURE"),
    ("structured_report", "NOT_CT"),
    ("mr_small", "NOT_CT"),
    ("mr_liver_series", "NOT_CT"),
    ("chest_radiograph_cr", "NOT_CT"),
    ("secondary_capture", "NOT_CT"),
]


@pytest.mark.parametrize(("folder", "warnings"), SCORED)
def test_a_real_chest_series_is_scored_with_its_doubts_named(
    folder: str, warnings: set[str], shared: Path, run: Callable[..., Street]
) -> None:
    study = run(shared / "data" / "dicom" / folder).study

    assert study["state"] == "done"
    assert study["lane"] in ("ranked", "needs_person")
    assert study["p_normal"] + study["p_cp"] + study["p_covid"] == pytest.approx(1, abs=1e-9)
    assert warnings <= set(study["codes"])
    assert study["slices_used"] == study["slices_total"] - 2 * (study["slices_total"] // 4)
    assert {outcome["outcome"] for outcome in study["files"].values()} == {"warned"}


@pytest.mark.parametrize(("folder", "code", "lane"), UNSUITABLE)
def test_a_real_series_that_must_not_be_scored_says_why(
    folder: str, code: str, lane: str | None, shared: Path, run: Callable[..., Street]
) -> None:
    street = run(shared / "data" / "dicom" / folder)

    studies = [one for one in street.objects if one["study_uid"] is not None]
    assert {one["state"] for one in studies} == {"unsuitable"}
    assert all(one["p_covid"] is None and one["logits"] is None for one in studies)
    assert code in {found for one in studies for found in one["codes"]}
    assert lane is None or {one["lane"] for one in studies} == {lane}


@pytest.mark.parametrize(("folder", "code"), IGNORED)
def test_a_real_object_of_another_kind_is_ignored_with_its_kind_named(
    folder: str, code: str, shared: Path, run: Callable[..., Street]
) -> None:
    street = run(shared / "data" / "dicom" / folder)

    studies = [one for one in street.objects if one["study_uid"] is not None]
    assert {one["state"] for one in studies} == {"ignored"}
    assert {one["lane"] for one in studies} == {"not_for_tool"}
    assert code in {found for one in studies for found in one["codes"]}


def test_every_real_file_has_an_outcome_and_a_reason_unless_it_was_scored_silently(
    shared: Path, run: Callable[..., Street]
) -> None:
    folders = [shared / "data" / "dicom", shared / "data" / "dicom_bad"]

    street = run(*folders)

    on_disk = {str(path) for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert set(street.files) == on_disk
    assert not [
        path for path, outcome in street.files.items() if outcome["outcome"] != "scored" and not outcome["reason"]
    ]


# What the manifest of the broken files says in words, in ours; its "unsuitable" is our unsuitable and ignored.
ALLOWED = {
    "refused": {"refused"},
    "unsuitable": {"unsuitable", "ignored"},
    "read with warning": {"warned", "scored", "unsuitable", "ignored"},
}

# file -> (what we say instead, why)
ARGUED = {
    "fo_GH1146.dcm": ("ignored", "an MR: never decoded, so its pixel data are not looked at"),
    "ot_Issue22-NoPixelData.dcm": ("ignored", "an MR: the same"),
    "ot_2026-05-26-oob-monochrome-46341.dcm": ("ignored", "no CT: the same, nothing is allocated"),
    "ot_2026-05-26-oob-monochrome-65535.dcm": ("ignored", "no CT: the same, nothing is allocated"),
    "pd_UN_sequence.dcm": ("refused", "CT by its meta header without a SOP class: can't be told from a cut file"),
    "pd_nested_priv_SQ.dcm": ("refused", "an odd length"),
    "ot_PrivateMDNTags.dcm": ("refused", "no DICM mark: nothing is ever read by force"),
}


def test_each_broken_real_file_alone_ends_as_its_manifest_says_or_as_argued(
    shared: Path, run: Callable[..., Street]
) -> None:
    folder, wrong = shared / "data" / "dicom_bad", []
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        ((_, outcome),) = run(folder / row["file"]).files.items()

        allowed = set().union(*(words for said, words in ALLOWED.items() if said in row["expected"]))
        if row["file"] in ARGUED:
            allowed = {ARGUED[row["file"]][0]}
        if outcome["outcome"] not in allowed or not outcome["reason"]:
            wrong.append((row["file"], row["expected"], outcome))
    assert not wrong, "\n".join(map(str, wrong))


def test_a_broken_real_file_is_never_scored(shared: Path, run: Callable[..., Street]) -> None:
    street = run(shared / "data" / "dicom_bad")

    assert not [one["study_uid"] for one in street.objects if one["state"] == "done"]


def test_the_chest_series_of_a_disc_with_two_patients_is_two_studies(shared: Path, run: Callable[..., Street]) -> None:
    street = run(shared / "data" / "dicom" / "disc_chest_ct")

    studies = [one for one in street.objects if one["study_uid"] is not None]
    assert len(studies) == 2
    assert len({one["patient_id"] for one in studies}) == 2
