"""What the place of verification says: figures with their n, points with their cost, why something holds or not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import isnan

from PySide6.QtCore import QCoreApplication

from aicorona_desktop.app.verification_labels import Key, Matching, Unmatched
from aicorona_desktop.app.verification_run import Progress
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.metrics import Counts
from aicorona_desktop.evaluation.operating_points import Rule
from aicorona_desktop.triage.operating_point import PointInUse
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.fold import Line
from aicorona_desktop.ui.site_words import day, lapse_text, number, verified_text
from aicorona_desktop.ui.study_words import class_name, decimal, device_name, not_verified

translate = QCoreApplication.translate

NAMED = 8
"""So many studies or rows that don't fit are named; the rest is counted."""


def percent(interval: Interval) -> str:
    """Return a share of 100 with its interval, "–" where there is none."""
    if isnan(interval.value):
        return "–"
    value = decimal(100 * interval.value, 1)
    if not interval.estimable:
        return translate("Verification", "{value} %").format(value=value)
    text = translate("Verification", "{value} % ({low} to {high})")
    return text.format(value=value, low=decimal(100 * interval.low, 1), high=decimal(100 * interval.high, 1))


def area(interval: Interval) -> str:
    """Return an area under the curve with its interval."""
    if isnan(interval.value):
        return "–"
    if not interval.estimable:
        return decimal(interval.value, 3)
    text = translate("Verification", "{value} ({low} to {high})")
    return text.format(value=decimal(interval.value, 3), low=decimal(interval.low, 3), high=decimal(interval.high, 3))


def method_name(interval: Interval) -> str:
    """Return how an interval was made."""
    return {
        "bootstrap by subject": translate("Verification", "bootstrap by patient"),
        "delong, logit": translate("Verification", "DeLong"),
        "jeffreys": translate("Verification", "Jeffreys"),
    }.get(interval.method, interval.method)


def cost_text(counts: Counts) -> str:
    """Return what a point costs, in whole studies of a hundred (ux.md 8.2)."""
    if not counts.positives or not counts.negatives:
        return translate("Verification", "There is nothing to choose by.")
    text = translate(
        "Verification",
        "Catches {caught} of 100 with COVID-19, sends {sent} of 100 others to the top. "
        "Here: {true} of {positives}, and {false} of {negatives}.",
    )
    return text.format(
        caught=number(round(100 * counts.true_positives / counts.positives)),
        sent=number(round(100 * counts.false_positives / counts.negatives)),
        true=number(counts.true_positives),
        positives=number(counts.positives),
        false=number(counts.false_positives),
        negatives=number(counts.negatives),
    )


def rule_text(rule: Rule) -> str:
    """Return what a rule looks for."""
    return {
        Rule.A: translate("Verification", "A: catches the most where 95 of 100 others are left alone"),
        Rule.B: translate("Verification", "B: leaves the most others alone where 95 of 100 are caught"),
        Rule.C: translate("Verification", "C: the most of both together"),
        Rule.D: translate("Verification", "D: nearest to the perfect corner"),
        Rule.E: translate("Verification", "E: the least cost, a missed one counting as 20 false alarms"),
    }[rule]


def labels_text(of_class: dict[str, int]) -> str:
    """Return how many studies of each class there are."""
    parts = [f"{class_name(name)} {number(of_class.get(name, 0))}" for name in ("covid", "cp", "normal")]
    return ", ".join(parts)


# --- the kit ------------------------------------------------------------------------------------------------------


def matching_lines(matching: Matching) -> list[Line]:
    """Return what of folder and table fits together, and what does not, both ways."""
    found = len(matching.studies) + len(matching.unlabelled)
    text = translate("Verification", "{labelled} of {found} in the folder have a label: {classes}.")
    head = text.format(
        labelled=number(len(matching.labelled)),
        found=words.studies_counted(found),
        classes=labels_text(dict(matching.of_class)),
    )
    lines = [Line(head, strong=True)]
    if matching.unmatched:
        lines.append(Line(_unmatched_text(matching.unmatched), translate("Verification", "Rows that fit no study")))
    if matching.unlabelled:
        names = _shortened([one.shown for one in matching.unlabelled])
        lines.append(Line(names, translate("Verification", "Studies without a label, not scored")))
    return lines


def _unmatched_text(unmatched: Sequence[Unmatched]) -> str:
    none = translate("Verification", "line {line}: no study has {key} {value}")
    several = translate("Verification", "line {line}: {count} studies have {key} {value}; name it by another column")
    parts = []
    for one in unmatched:
        text = several if one.studies else none
        value = f"\u2068{one.row.value}\u2069"
        parts.append(text.format(line=one.row.line, key=_key(one.row.key), value=value, count=one.studies))
    return _shortened(parts, "; ")


def _key(key: Key) -> str:
    return str(key.value)


def _shortened(parts: Sequence[str], between: str = ", ") -> str:
    shown = between.join(parts[:NAMED])
    if len(parts) <= NAMED:
        return shown
    return translate("Verification", "{some} and {more} more").format(some=shown, more=number(len(parts) - NAMED))


def progress_text(progress: Progress) -> str:
    """Return how far a run is, and how long it will take."""
    counted = translate("Verification", "{done} of {studies} scored").format(
        done=number(progress.done), studies=words.studies_counted(progress.studies)
    )
    if progress.waits:
        waits = translate("Verification", "{counted}. Studies of the list go first; this goes on by itself.")
        return waits.format(counted=counted)
    if progress.seconds_left is None or progress.done == progress.studies:
        return counted
    if progress.seconds_left < 60:
        return translate("Verification", "{counted}, less than a minute left").format(counted=counted)
    left = translate("Verification", "{counted}, about {minutes} min left")
    return left.format(counted=counted, minutes=number(round(progress.seconds_left / 60)))


# --- how the site's verification stands -----------------------------------------------------------------------------


def status_lines(point: PointInUse, now: datetime) -> list[Line]:
    """Return whether the pack is verified at this site, with how many studies, until when, and what follows."""
    own = point.verification or point.lapsed
    if own is None:
        return [
            Line(not_verified(), strong=True),
            Line(
                translate(
                    "Verification",
                    "Nobody has compared this model pack with labelled studies of this site. How often its flags are "
                    "right here is not known. The score orders the list and decides nothing.",
                )
            ),
        ]
    told = translate(
        "Verification",
        "Verified on {day} by {who} with {studies}: sensitivity {sensitivity} %, specificity {specificity} % "
        "at the operating point {point}, on {device}.",
    ).format(
        day=day(own.at),
        who=own.name or own.initials,
        studies=words.studies_counted(own.studies),
        sensitivity=decimal(100 * own.sensitivity, 1),
        specificity=decimal(100 * own.specificity, 1),
        point=decimal(100 * own.operating_point, 1),
        device=device_name(own.device),
    )
    if point.verification is None:
        lapsed = translate("Verification", "It does not hold any more: {why}.").format(why=lapse_text(point))
        return [Line(not_verified(), strong=True), Line(told), Line(lapsed, strong=True)]
    lines = [Line(verified_text(own), strong=True), Line(told)]
    if own.why:
        lines.append(Line(own.why, translate("Verification", "Why this point")))
    if point.ends is not None:
        lines.append(Line(day(point.ends), translate("Verification", "Holds until")))
    left = point.days_left(now)
    if left is not None:
        text = translate("Verification", "It lapses in %n day(s): score known studies again before that.", "", left)
        lines.append(Line(text, strong=True))
    return lines
