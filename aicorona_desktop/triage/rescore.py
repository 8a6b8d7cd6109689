"""The same score again, compared (design D8): a stored result is proven, or the difference is named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.score import Score
from aicorona_desktop.core.study import Series, SeriesChoice, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.history.store import History, StoredResult
from aicorona_desktop.intake.opening import read_again
from aicorona_desktop.model.cache import SliceCache
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.triage.reading import Batch
from aicorona_desktop.triage.score_study import StudyScoring


class RescoreError(AicoronaError):
    """The stored score could not be computed again."""


class Agreement(StrEnum):
    """How a new score compares with the stored one."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A stored score beside the same score computed now.

    `largest_difference` is over the logits of every slice; `explanation` names what changed.
    """

    agreement: Agreement
    stored: Score
    now: Score
    largest_difference: float
    explanation: str


@dataclass(frozen=True, slots=True)
class Repetition:
    """A stored score, and the walk that computes it anew from the very slices that were scored."""

    stored: StoredResult
    walk: StudyScoring

    def comparison(self) -> Comparison:
        """Compare slice by slice, once the walk is done."""
        score, pack = self.stored.score, self.walk.pack
        return _compare(score, self.walk.score(), pack.tolerance(score.provider).logit_difference)


def verify(study_instance_uid: str, history: History, reader: Reader, scorer: Scorer) -> Comparison:
    """Compute the stored score of a study again, from its files, and compare every slice.

    Raises:
        RescoreError: there is no stored score, the pack is another one, or a file is gone or has changed.
    """
    repetition = repeat(study_instance_uid, history, reader, scorer)
    repetition.walk.advance()
    return repetition.comparison()


def repeat(
    study_instance_uid: str, history: History, reader: Reader, scorer: Scorer, cache: SliceCache | None = None
) -> Repetition:
    """Prepare to compute the stored score of a study again; the headers of its files are read here.

    A proof leaves `cache` out: every slice is then computed anew. Raises as `verify`.
    """
    stored = history.result(study_instance_uid)
    if stored is None:
        raise RescoreError("There is no stored score for this study.")
    if stored.score.pack_sha256 != scorer.pack.sha256:
        raise RescoreError(f"The score was made by another model pack ({stored.score.pack}); name it with --pack.")
    series = _series_of(stored.score, stored.series_instance_uid, history.files(study_instance_uid), reader)
    study, choice = Study(study_instance_uid, (series,)), SeriesChoice(series, "as stored")
    walk = StudyScoring(study, reader, scorer, choice=choice, slice_rule="all", cache=cache, anyway=True)
    return Repetition(stored, walk)


def _series_of(score: Score, series_instance_uid: str, files: tuple[FileRef, ...], reader: Reader) -> Series:
    """Read the headers of the stored files again; return the slices that were scored, all of them unchanged."""
    batch = Batch()
    for file in files:
        data = read_again(file)
        if isinstance(data, Finding):
            continue  # a file that was not scored may be gone; one that was is noticed below
        batch.take(file, reader.examine(data, file.sha256))
    # Other versions of the images, or other files of them, may have come before or since.
    scored_files = set(zip(score.slice_identities, score.slice_sha256, strict=True))
    studies = studies_of(one for one in batch.instances if (one.identity, one.file.sha256) in scored_files)
    series = next(
        (one for study in studies for one in study.series if one.series_instance_uid == series_instance_uid), None
    )
    if series is None:
        raise RescoreError("The files of the scored series are gone; the score can't be repeated.")
    there = {(one.identity, one.file.sha256) for one in series.instances}
    missing = sum(pair not in there for pair in zip(score.slice_identities, score.slice_sha256, strict=True))
    if missing:
        raise RescoreError(f"{missing} of the scored files are gone or have changed; the score can't be repeated.")
    scored = set(score.slice_identities)
    return replace(series, instances=tuple(one for one in series.instances if one.identity in scored))


def _compare(stored: Score, now: Score, allowed: float) -> Comparison:
    """Compare slice by slice; the study's logits follow from them. `allowed` is the pack's tolerance of a logit."""
    if stored.slice_identities != now.slice_identities:
        return Comparison(Agreement.DIFFERENT, stored, now, float("inf"), "Other slices are used now than then.")
    then, again = (np.asarray(score.slice_contributions, np.float64) for score in (stored, now))
    difference = float(np.abs(then - again).max())
    if difference == 0.0 and stored.logits == now.logits and stored.probabilities == now.probabilities:
        return Comparison(Agreement.IDENTICAL, stored, now, 0.0, "Every slice has the same answer, bit by bit.")
    where = "" if stored.provider == now.provider else f" It was scored on {stored.provider}, now on {now.provider}."
    if difference <= allowed:
        sentence = f"The largest difference of a slice's logit is {difference:.2g}, allowed {allowed:g}.{where}"
        return Comparison(Agreement.WITHIN_TOLERANCE, stored, now, difference, sentence)
    sentence = f"A slice's logit differs by {difference:.2g}, allowed {allowed:g}.{where}"
    return Comparison(Agreement.DIFFERENT, stored, now, difference, sentence)
