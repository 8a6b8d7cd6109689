"""What the history holds of one study, read at once for the panel beside the picture; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.rows import Row
from aicorona_desktop.core.score import Score
from aicorona_desktop.core.study import LeftOut, Study
from aicorona_desktop.dicom.series import choose_series
from aicorona_desktop.history.store import History, HistoryError, SiteVerification, StoredResult
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.selection import selected
from aicorona_desktop.triage.operating_point import decide, lapse_of


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """One study at one moment.

    `result` is the score that stands; `trouble` says in one sentence why a stored score can't be shown although
    there is one. `results` are all scores ever given, newest first. `left_out` are the files of the study that are
    none of its slices. `verification` is the site's own, where it holds for the score's pack.
    """

    row: Row
    result: StoredResult | None
    results: tuple[StoredResult, ...]
    left_out: tuple[LeftOut, ...]
    verification: SiteVerification | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The operating point that holds for a score: its value, 0 to 1, and whether the site has verified it."""

    value: float
    origin: str
    verification: SiteVerification | None


@dataclass(frozen=True, slots=True)
class SeriesOffer:
    """One series of a study as "use another series" offers it; `uid` and what the gate says of it."""

    uid: str
    number: int | None
    description: str
    slices: int
    findings: tuple[Finding, ...]


def read_facts(history: History, study_instance_uid: str) -> StudyFacts | None:
    """Return all that the panel shows; None where the history doesn't know the study.

    Raises:
        HistoryError: the history can't be read.
    """
    row = history.row(study_instance_uid)
    if row is None:
        return None
    left_out = history.left_out(study_instance_uid)
    try:
        result, results = history.result(study_instance_uid), history.results(study_instance_uid)
    except HistoryError as error:  # one of its scores was changed outside the program
        return StudyFacts(row, None, (), left_out, None, str(error))
    verification = history.site_verification(result.score.pack_sha256) if result is not None else None
    return StudyFacts(row, result, results, left_out, verification)


def threshold_of(score: Score, pack: Pack, verification: SiteVerification | None, now: datetime) -> Threshold | None:
    """Return the operating point that a score is held against; None where neither site nor pack has one.

    The site's own goes first, for as long as it holds: same pack, preparation and device, not older than twelve
    months.
    A pack's holds for its own scores only.

    Source: design D14; ux.md 8.
    """
    used = (score.pack_sha256, score.preparation, score.provider)
    if verification is not None and lapse_of(verification, used, now) is None:
        return Threshold(verification.operating_point, "", verification)
    if score.pack_sha256 != pack.sha256:
        return None
    point = decide(pack, None, score.provider, now)
    return None if point.threshold is None else Threshold(point.threshold, point.origin, None)


def slices_to_score(score: Score, pack: Pack) -> int | None:
    """Return how many slices the pack's rule uses of the series; None for another pack's score."""
    return len(selected(score.slices_total, pack.slice_rule)) if score.pack_sha256 == pack.sha256 else None


def offers(study: Study) -> tuple[SeriesOffer, ...]:
    """Return the series that could be scored, best first, with what the gate says of their headers."""
    return tuple(
        SeriesOffer(
            one.series_instance_uid, one.series_number, one.description.strip(), len(one.instances), one.findings
        )
        for one in choose_series(study).checked
    )
