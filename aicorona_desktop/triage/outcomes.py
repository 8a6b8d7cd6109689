"""What became of every file of a study: one of the five outcome words and a reason, nothing left unsaid."""

from __future__ import annotations

from dataclasses import dataclass

from aicorona_desktop.core.findings import Finding, Outcome, Reason, worst
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.study import Series
from aicorona_desktop.triage.score_study import StudyResult


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """The outcome of one file; `reason` is "" for a file that was scored without a note."""

    outcome: Outcome
    reason: str


def file_outcomes(result: StudyResult) -> dict[str, FileOutcome]:
    """Return the outcome of each file that names this study, by its location.

    A file with several frames has the gravest outcome of them.
    """
    outcomes: dict[str, FileOutcome] = {}
    chosen = result.choice.series
    checked = {series.series_instance_uid: series for series in result.choice.checked}
    for series in result.study.series:
        uid = series.series_instance_uid
        if chosen is not None and uid == chosen.series_instance_uid:
            _add_series(outcomes, chosen, _of_findings(result.findings))
        else:
            _add_series(outcomes, series, _of_other_series(result, checked.get(uid, series)))
    for left_out in result.study.left_out:
        _add(outcomes, left_out.file.location, _of_finding(left_out.finding))
    return outcomes


def _add_series(outcomes: dict[str, FileOutcome], series: Series, outcome: FileOutcome) -> None:
    for instance in series.instances:
        _add(outcomes, instance.file.location, outcome)
    for file in series.duplicates:
        same = FileOutcome(outcome.outcome, f"Same image as in another file. {outcome.reason}".strip())
        _add(outcomes, file.location, same)
    for left_out in series.left_out:
        own = _of_finding(left_out.finding)
        # What is merely left out of a scored series (a localizer) stands for the series where nothing else does.
        _add(outcomes, left_out.file.location, own if series.instances else _graver(own, outcome))


def _of_other_series(result: StudyResult, series: Series) -> FileOutcome:
    """The outcome of a series that was not scored: its own reasons, else that another one was."""
    if worst(series.findings) not in (Outcome.SCORED, Outcome.WARNED):
        return _of_findings(series.findings)
    if result.state is State.DONE:
        return _of_finding(Finding(Outcome.IGNORED, Reason.OTHER_SERIES_SCORED))
    return _of_findings((*series.findings, *result.findings))


def _of_findings(findings: tuple[Finding, ...]) -> FileOutcome:
    """The gravest outcome with its reasons; a slice that could be read is unsuitable at worst, not refused."""
    gravest = worst(findings)
    reason = " ".join(str(finding) for finding in findings if finding.outcome is gravest)
    return FileOutcome(Outcome.UNSUITABLE if gravest is Outcome.REFUSED else gravest, reason)


def _graver(one: FileOutcome, other: FileOutcome) -> FileOutcome:
    return other if other.outcome.gravity > one.outcome.gravity else one


def _of_finding(finding: Finding) -> FileOutcome:
    return FileOutcome(finding.outcome, str(finding))


def _add(outcomes: dict[str, FileOutcome], shown: str, outcome: FileOutcome) -> None:
    there = outcomes.get(shown)
    outcomes[shown] = _graver(there, outcome) if there else outcome
