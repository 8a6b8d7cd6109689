"""The certificate of a site: what was verified, by whom, when, on what, with which figures and within which limits.

It is kept whole with the operating point that it belongs to, so that it reads the same in a year.

Source: ux.md 8.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from aicorona_desktop import __version__
from aicorona_desktop.app.verification_result import FEWEST, Judged, SiteResult
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.history.store import SiteVerification
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.triage.operating_point import VERIFIED_FOR


@dataclass(frozen=True, slots=True)
class Setting:
    """What a named person says when they set an operating point."""

    name: str
    initials: str
    why: str
    rule: str  # the letter of the rule that gave the point; "" where the person chose it on the curve
    prevalence: float


def verification_of(
    setting: Setting, judged: Judged, result: SiteResult, *, pack: Pack, run: int, at: datetime
) -> SiteVerification:
    """Return what is recorded when a person sets the operating point at which `judged` was made."""
    device = result.devices[0] if result.devices else ""
    figures = judged.assessment
    return SiteVerification(
        pack.sha256,
        pack.preparation,
        device,
        judged.threshold,
        figures.interval("sensitivity").value,
        figures.interval("specificity").value,
        len(result.scored),
        setting.initials,
        at,
        run=run,
        name=setting.name,
        why=setting.why,
        certificate=_content(setting, judged, result, pack, device),
    )


def interval_of(certificate: Mapping[str, Any], name: str) -> Interval | None:
    """Return a figure of a stored certificate; None where it is not in it, or has no value."""
    kept = certificate.get(name)
    if not isinstance(kept, Mapping) or not isinstance(kept.get("value"), int | float):
        return None
    low, high = (float("nan") if kept.get(end) is None else float(kept[end]) for end in ("low", "high"))
    return Interval(float(kept["value"]), low, high, str(kept.get("method", "")))


def ends_at(verification: SiteVerification) -> datetime:
    """Return when a verification lapses by its age."""
    return verification.at + VERIFIED_FOR


def _content(setting: Setting, judged: Judged, result: SiteResult, pack: Pack, device: str) -> dict[str, Any]:
    counts, figures = judged.counts, judged.assessment
    ppv, npv = judged.predictive
    return {
        "pack": pack.title,
        "pack_sha256": pack.sha256,
        "pack_status": pack.status_text,
        "preparation": pack.preparation,
        "slice_rule": pack.slice_rule,
        "device": device,
        "application_version": __version__,
        "operating_point": judged.threshold,
        "rule": setting.rule,
        "prevalence": setting.prevalence,
        "counts": [counts.true_positives, counts.false_negatives, counts.false_positives, counts.true_negatives],
        "of_class": {name: result.of_class.get(name, 0) for name in CLASSES},
        "patients": len(set(result.subjects)),
        "failed": len(result.failures),
        "auc": _stored(figures.interval("auc")),
        "sensitivity": _stored(figures.interval("sensitivity")),
        "specificity": _stored(figures.interval("specificity")),
        "ppv": _stored(ppv),
        "npv": _stored(npv),
        "scanners": sorted({case.scanner for case in result.scored if case.scanner}),
        "limits": _limits(result, judged),
    }


def _limits(result: SiteResult, judged: Judged) -> list[list[Any]]:
    """Return what the figures don't cover, as words of ours with their numbers: the page translates them."""
    limits: list[list[Any]] = [["chosen_here"]]
    positives, negatives = judged.counts.positives, judged.counts.negatives
    if positives < 30 or negatives < 30:
        limits.append(["few", positives, negatives])
    if result.failures:
        limits.append(["failed", len(result.failures), len(result.cases)])
    small = sorted({group.group for group in judged.groups if group.split_by == "scanner" and group.rows < FEWEST})
    if small:
        limits.append(["small_groups", ", ".join(small)])
    if len(result.devices) > 1:
        limits.append(["devices", ", ".join(result.devices)])
    if judged.assessment.note:
        limits.append(["repeated", len(set(result.subjects)), len(result.scored)])
    return limits


def _stored(interval: Interval) -> dict[str, Any]:
    numbers = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: number if isfinite(number) else None for name, number in numbers.items()} | {
        "method": interval.method
    }
