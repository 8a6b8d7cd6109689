"""What the panel beside the picture says, in the words of the interaction specification (ux.md 13)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite

from PySide6.QtCore import QCoreApplication, QLocale

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.lanes import Standing, standing_of
from aicorona_desktop.core.rows import Row
from aicorona_desktop.core.score import Score
from aicorona_desktop.ui.finding_words import finding_text

translate = QCoreApplication.translate

_RESENT = frozenset(
    {
        Reason.SLICES_MISSING,
        Reason.FILES_REFUSED,
        Reason.FILES_REFUSED_BESIDE,
        Reason.NEIGHBOURS_DIFFER,
        Reason.OUT_OF_RANGE_HU,
    }
)
"""Reasons after which a second sending may help, beside those of a refused file."""

_SCORED_AGAIN = frozenset({Reason.SCORING_FAILED, Reason.RESULT_DAMAGED, Reason.MODEL_FAILED_ITS_CHECK})
_TWO_IDENTITIES = frozenset({Reason.TWO_PATIENTS, Reason.SERIES_IN_TWO_STUDIES})
_TWO_VERSIONS = frozenset({Reason.UID_CONFLICT, Reason.VERSION_CHOSEN, Reason.VERSIONS_NOT_SCORED})


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a study has no score, in the three parts of every message: what, what it means here, what to do now."""

    happened: str
    means: str
    to_do: str

    @property
    def text(self) -> str:
        """All three, for the clipboard and for a screen reader."""
        return " ".join((self.happened, self.means, self.to_do))


# --- words --------------------------------------------------------------------------------------------------------


def class_name(key: str) -> str:
    """Return what a class of the model is called in the window (paper-spec 1.1)."""
    return {
        "covid": translate("StudyPanel", "COVID-19"),
        "cp": translate("StudyPanel", "Pneumonia or other abnormality"),
        "normal": translate("StudyPanel", "No abnormality"),
    }[key]


def grade(findings: tuple[Finding, ...]) -> str:
    """Return how well a study suits the tool: one of three grades (ux.md 3.4)."""
    outcomes = {one.outcome for one in findings}
    if outcomes & {Outcome.UNSUITABLE, Outcome.REFUSED, Outcome.IGNORED}:
        return translate("StudyPanel", "Cannot be scored")
    return translate("StudyPanel", "Fits with notes") if findings else translate("StudyPanel", "Fits")


def rule_name(rule: str) -> str:
    """Return a slice rule of a pack in words."""
    if rule == "all":
        return translate("StudyPanel", "all slices")
    if rule == "middle(0.5)":
        return translate("StudyPanel", "the middle half")
    share = re.fullmatch(r"middle\((.+)\)", rule)
    if share:
        return translate("StudyPanel", "the middle {share} %").format(share=_plain(100 * float(share[1])))
    return {
        "top_half": translate("StudyPanel", "the half from the feet up"),
        "bottom_half": translate("StudyPanel", "the half from the head down"),
    }.get(rule, rule)


def device_name(provider: str) -> str:
    """Return what a device is called; one that isn't known stands as it came."""
    return {
        "cpu": translate("StudyPanel", "Processor (CPU)"),
        "cuda": translate("StudyPanel", "Graphics card (CUDA)"),
        "dml": translate("StudyPanel", "Graphics card (DirectML)"),
    }.get(provider, provider)


def points(probability: float) -> str:
    """Return a model output as it is shown everywhere: times 100, whole."""
    return QLocale().toString(round(100 * probability))


def decimal(value: float, places: int) -> str:
    """Return a number in the marks of the user's language."""
    return QLocale().toString(value, "f", places)


def signed(value: float, places: int) -> str:
    """Return a number with its sign; a true minus keeps columns of figures apart from dashes."""
    return f"{'+' if value >= 0 else '−'}{decimal(abs(value), places)}"


def _plain(number: float) -> str:
    return QLocale().toString(number, "g", 4)


# --- the score ----------------------------------------------------------------------------------------------------


def is_valid(score: Score) -> bool:
    """Whether the score is one: finite numbers from 0 to 1 that add up to 1."""
    values = score.probabilities
    return all(isfinite(one) and 0 <= one <= 1 for one in values) and abs(sum(values) - 1) < 1e-6


def score_text(score: Score) -> str:
    """Return the number of a study, with what belongs to it: "81", "81 ±4", "81 prelim."."""
    value = points(score.p_covid)
    if score.preliminary:
        return translate("StudyPanel", "{score} prelim.").format(score=value)
    spread = round(100 * score.fragility.half_spread) if score.fragility else 0
    return f"{value} ±{QLocale().toString(spread)}" if spread else value


def standing_text(score: Score, slices_to_score: int | None) -> str:
    """Return what kind of score it is: preliminary and how far, or final, and whether it is doubtful."""
    scored = QLocale().toString(len(score.slice_indices))
    if score.preliminary and slices_to_score is not None:
        text = translate("StudyPanel", "Preliminary: {scored} of {all} slices so far.")
        return text.format(scored=scored, all=QLocale().toString(slices_to_score))
    if score.preliminary:
        return translate("StudyPanel", "Preliminary: {scored} slices so far.").format(scored=scored)
    if score.fragility is not None and score.fragility.doubtful:
        return translate("StudyPanel", "Doubtful: without its strongest slices the score crosses the operating point.")
    return translate("StudyPanel", "Final: all {scored} slices are scored.").format(scored=scored)


def uncertainty_text(score: Score, temperature: float) -> str:
    """Return how far a preliminary score may still move: one standard error of the slices' COVID-19 logits.

    In points of the score, to first order: a change of the logit by x changes p by p (1 - p) x / temperature.
    """
    error = score.standard_error[2] * score.p_covid * (1 - score.p_covid) / temperature
    return translate("StudyPanel", "From the slices so far it is known to about ±{error}.").format(error=points(error))


def spread_explained() -> str:
    """Return what ±n means."""
    return translate(
        "StudyPanel", "± is half of how far the score moves when the strongest slices are left out; it is no error bar."
    )


def one_slice_text() -> str:
    """Return what it means that a score rests on one slice."""
    return translate("StudyPanel", "The score rests on one slice: without it, it falls below the operating point.")


def not_verified() -> str:
    """Return the banner that stands until a site has verified the model itself (ux.md 8.2)."""
    return translate("StudyPanel", "Not verified at this site")


# --- where there is none --------------------------------------------------------------------------------------------


def trouble_of(row: Row) -> Trouble | None:
    """Return why a study has no score; None where it has one, or may still get one."""
    if row.state.value not in ("unsuitable", "refused", "failed", "ignored", "superseded"):
        return None
    gravest = max(row.findings, key=lambda one: one.outcome.gravity, default=None)
    happened = finding_text(gravest) if gravest else translate("StudyPanel", "This study was not scored.")
    return Trouble(happened, _means(row), _to_do(row, gravest))


def out_of_range() -> Trouble:
    """Return what is said of numbers that are no score."""
    return Trouble(
        translate("StudyPanel", "The result was not a valid score. Nothing is shown."),
        translate("StudyPanel", "The study waits under Needs a person."),
        translate("StudyPanel", "Score it again, and read it in any case."),
    )


def has_identity_to_choose(row: Row) -> bool:
    """Whether a person must choose whose study it is, or has chosen and may choose again."""
    return any(one.reason in (Reason.TWO_PATIENTS, Reason.IDENTITY_CHOSEN) for one in row.findings)


def has_version_to_choose(row: Row) -> bool:
    """Whether a person must choose between versions of the same images, or has chosen and may choose again."""
    return any(one.reason in _TWO_VERSIONS for one in row.findings)


def _means(row: Row) -> str:
    standing = standing_of(row)
    if standing is Standing.NOT_FOR_TOOL:
        return translate("StudyPanel", "The study is kept under Not for this tool.")
    if standing is Standing.READ:
        return translate("StudyPanel", "A person has read the study; it stays under Read.")
    return translate("StudyPanel", "The study waits under Needs a person.")


def _to_do(row: Row, gravest: Finding | None) -> str:
    reason = gravest.reason if gravest else None
    if reason is Reason.TRANSFER_SYNTAX:
        return translate("StudyPanel", "Ask the scanner to send it uncompressed, or read it there.")
    if reason in _TWO_IDENTITIES | _TWO_VERSIONS:
        return _to_compare(reason)
    if reason in _SCORED_AGAIN:
        return translate("StudyPanel", "Score it again; keep the log if that fails once more. Read it in any case.")
    if reason in _RESENT or (gravest and gravest.outcome is Outcome.REFUSED):
        return translate("StudyPanel", "Ask the scanner to send it again, or read the pictures that are there.")
    if standing_of(row) is Standing.NOT_FOR_TOOL:
        return translate("StudyPanel", "Nothing, if that is so. Else use another series, or score it anyway.")
    return translate("StudyPanel", "Read it without a score, or use another series if there is one.")


def _to_compare(reason: Reason | None) -> str:
    if reason in _TWO_VERSIONS:
        return translate("StudyPanel", "Compare the two versions, and choose which images count.")
    return translate("StudyPanel", "Compare the two identities, and choose which files belong together.")
