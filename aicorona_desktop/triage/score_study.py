"""One study from its files to an outcome; reads like the street.

Slices are read in any-time order: the used half spread evenly from the first on (design D6), the slices that
only the gate wants in between, so that reading hides behind inference. A preliminary score stands after
eight slices, the final one when all are scored and the gate has seen every slice.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.findings import Finding, Outcome, Reason, worst
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.score import Score, SliceScore
from aicorona_desktop.core.study import LeftOut, Series, SeriesChoice, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.gate import PixelCheck, check_series, may_be_scored, merged
from aicorona_desktop.dicom.protocol import SliceRead
from aicorona_desktop.dicom.series import choose_series
from aicorona_desktop.dicom.volume import to_standard_orientation
from aicorona_desktop.intake.opening import read_again
from aicorona_desktop.model.cache import CacheKey, SliceCache, pixels_sha256
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.preprocess import prepare
from aicorona_desktop.model.score import ScoredSlice, output_digest, score_of
from aicorona_desktop.model.selection import PRELIMINARY_SLICES, anytime, selected

LEAD = 4  # slices submitted before the first one that only the gate wants: enough for every worker to have a next


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What became of a study: its state, every finding, the chosen series, and the score if there is one.

    `seconds_read` and `seconds_infer` are waited for; `seconds_prepare` and `seconds_network` are summed over the
    threads of the scorer, which run beside each other and beside the reading.
    """

    study: Study
    choice: SeriesChoice
    state: State
    findings: tuple[Finding, ...]
    score: Score | None
    seconds_read: float
    seconds_infer: float
    seconds_prepare: float = 0.0
    seconds_network: float = 0.0


class StudyScoring:
    """The walk of one study; may pause between two slices and go on later.

    `preliminary()` scores the first slices; `advance()` goes on until all is read and scored, or until
    `should_yield` says that somebody else is more urgent; `result()` closes the walk.
    """

    def __init__(
        self,
        study: Study,
        reader: Reader,
        scorer: Scorer,
        *,
        choice: SeriesChoice | None = None,
        slice_rule: str | None = None,
        cache: SliceCache | None = None,
        anyway: bool = False,
        threshold: float | None = None,
    ) -> None:
        """Prepare the walk.

        Args:
            study: what is scored.
            reader: reads its slices.
            scorer: scores them.
            choice: the series to score; None: what the rules choose.
            slice_rule: which slices are used; None: the pack's.
            cache: slices scored before.
            anyway: score what can be read even where the rules say that it is not suitable; a finding says so.
            threshold: the operating point that holds; None: the pack's.
        """
        self._threshold = threshold
        self._anyway = anyway
        self._study = study
        self._reader = reader
        self._scorer = scorer
        self._choice = choice or choose_series(study)
        self._slice_rule = slice_rule or scorer.pack.slice_rule
        self._cache = cache
        self._scores: dict[str, SliceScore] = {}
        self._devices_left = 0
        self._gone = 0  # files that went after they were read
        self._first_input = ""  # SHA-256 of the first slice as the network gets it
        self._pixels: dict[str, str] = {}  # identity -> SHA-256 of the values given to the model
        self._notes_before = len(scorer.notes)  # what happened to earlier studies is not this one's
        self._seconds_read = 0.0
        self._seconds_infer = 0.0
        self._series = Series("", ())
        self._selected: tuple[int, ...] = ()
        self._waiting: deque[int] = deque()
        self._quick: tuple[Finding, ...] = ()
        self._begin(self._choice.series or self._series)

    @property
    def choice(self) -> SeriesChoice:
        """The series that is scored, as it stands after what was read so far."""
        return replace(self._choice, series=self._series) if self._choice.series else self._choice

    @property
    def pack(self) -> Pack:
        """The pack that scores."""
        return self._scorer.pack

    @property
    def can_be_scored(self) -> bool:
        """Whether a series has passed the header rules and nothing read since speaks against scoring it."""
        return self._choice.series is not None and self._goes_on(self._findings())

    @property
    def slices_scored(self) -> int:
        """How many slices of the used part have been scored."""
        return len(self._scores)

    @property
    def slices_to_score(self) -> int:
        """How many slices the slice rule of the pack uses."""
        return len(self._selected)

    def preliminary(self) -> Score | None:
        """Score the first slices of the any-time order; None where the study turns out unsuitable or damaged."""
        order = anytime(self._selected)[:PRELIMINARY_SLICES]
        self._run(deque(index for index in order if index in self._waiting), lambda: False)
        if self._damaged or not self._scores:
            return None
        self._quick = self._gate.quick_findings() if self._gate else ()
        return self.score(preliminary=len(self._scores) < len(self._selected)) if self.can_be_scored else None

    def advance(self, should_yield: Callable[[], bool] = lambda: False) -> bool:
        """Read and score what is left; return whether all is done (False: it yielded).

        Nothing more is read of a study whose first slices are no HU or show no body.
        """
        while self._goes_on(self._quick):
            self._run(self._waiting, should_yield)
            if self._waiting:
                return False
            if self._damaged:
                self._go_on_without_damaged()
            elif self._must_score_again():
                self._scores.clear()
                self._begin(self._series)
            else:
                return True
        return True

    def result(self) -> StudyResult:
        """Return what became of the study, after `advance` returned True."""
        if self._whole is not None and self._goes_on(self._quick):
            self._quick = self._whole  # the whole volume's answer replaces the quick look's
        findings, score = self._findings(), None
        if self._choice.series is not None and self._goes_on(findings) and self._scores:
            score, findings = self._final_score(findings)
        return StudyResult(
            self._study,
            replace(self._choice, series=replace(self._series, findings=findings))
            if self._choice.series
            else self._choice,
            _state(score, findings, self._study),
            findings,
            score,
            self._seconds_read,
            self._seconds_infer,
            sum(one.seconds_prepare for one in self._scores.values()),
            sum(one.seconds_network for one in self._scores.values()),
        )

    def _begin(self, series: Series) -> None:
        self._series = series
        count = len(series.instances)
        self._selected = selected(count, self._slice_rule) if count else ()
        self._gate = PixelCheck(series) if _has_what_the_gate_needs(series) else None
        self._quick = ()
        self._whole: tuple[Finding, ...] | None = None
        self._notes: dict[Finding, None] = {}
        self._damaged: dict[int, Finding] = {}
        used = set(self._selected)
        self._waiting = deque(interleaved(anytime(self._selected), [i for i in range(count) if i not in used], LEAD))

    def _run(self, indices: deque[int], should_yield: Callable[[], bool]) -> None:
        """Read the slices at `indices`, hand the used ones to the scorer, and wait until those are back."""
        used, started = set(self._selected), time.monotonic()
        for frames, frame, answer in self._reader.read_slices(self._items(indices, should_yield)):
            self._seconds_read += time.monotonic() - started
            self._take(frames[frame], answer, used)
            started = time.monotonic()
        if self._gate is not None and not self._waiting and not self._damaged:
            self._whole = self._gate.findings()  # here, while the last slices are being scored
        self._collect_until(lambda: False)

    def _items(
        self, indices: deque[int], should_yield: Callable[[], bool]
    ) -> Iterator[tuple[dict[int, int], bytes, str, tuple[int, ...]]]:
        """Yield (frame -> slice, bytes, SHA-256, frames); one item a file, however many frames."""
        while indices and not should_yield():
            file = self._series.instances[indices[0]].file
            frames = {
                self._series.instances[index].header.frame: index
                for index in (tuple(indices) if self._is_multi_frame(indices[0]) else (indices[0],))
                if self._series.instances[index].file == file
            }
            for index in frames.values():
                indices.remove(index)
                if indices is not self._waiting:
                    self._waiting.remove(index)
            data = read_again(file)
            if isinstance(data, Finding):
                self._damaged |= dict.fromkeys(frames.values(), data)
            else:
                yield frames, data, file.sha256, tuple(frames)

    def _is_multi_frame(self, index: int) -> bool:
        return self._series.instances[index].header.number_of_frames > 1

    def _take(self, index: int, answer: SliceRead | Finding, used: set[int]) -> None:
        header = self._series.instances[index].header
        if isinstance(answer, SliceRead) and answer.hounsfield.shape != (header.rows, header.columns):
            answer = Finding(Outcome.REFUSED, Reason.DECODE_FAILED, name="rows and columns")
        if isinstance(answer, Finding):
            self._damaged[index] = answer
            return
        hounsfield = to_standard_orientation(answer.hounsfield, header)
        if self._gate is not None:
            self._gate.add(index, hounsfield)
        self._notes |= dict.fromkeys(answer.findings)
        if index in used and self._identity(index) not in self._scores and self._goes_on(self._quick):
            self._submit(index, hounsfield)
        self._collect_until(lambda: True)

    def _submit(self, index: int, hounsfield: NDArray[np.int16]) -> None:
        """Hand a slice to the scorer, unless the same pixels were scored before."""
        identity = self._identity(index)
        self._pixels[identity] = pixels_sha256(hounsfield)
        if not self._first_input:
            pack = self._scorer.pack
            self._first_input = pixels_sha256(prepare(hounsfield, pack.preparation, pack.input_size))
        known = self._cache.get(self._cache_key(identity)) if self._cache else None
        if known is not None:
            self._scores[identity] = known
            return
        self._collect_until(lambda: self._scorer.room)
        self._scorer.submit(index, hounsfield)

    def _cache_key(self, identity: str) -> CacheKey:
        return self._scorer.pack.sha256, self._scorer.provider, self._pixels[identity]

    def _collect_until(self, enough: Callable[[], bool]) -> None:
        """Take answers of the scorer: those that are there, then wait for more until it is enough or none is left."""
        started = time.monotonic()
        while (answer := self._scorer.next(0 if enough() else None)) is not None:
            index, slice_score = answer
            identity = self._identity(index)
            self._scores[identity] = slice_score
            if self._cache is not None:
                self._cache.keep(self._cache_key(identity), slice_score)
        self._seconds_infer += time.monotonic() - started

    def _must_score_again(self) -> bool:
        """Whether a device was left while this study was scored: what it said is not trusted, the CPU says it anew."""
        self._scorer.still_agrees()
        notes = self._scorer.notes[self._notes_before :]
        left = sum(note.reason is Reason.PROVIDER_LEFT for note in notes)
        again, self._devices_left = left > self._devices_left, left
        return again

    def _go_on_without_damaged(self) -> None:
        """Take the slices that could not be read out of the series and judge it anew; what is scored stays."""
        kept = tuple(one for index, one in enumerate(self._series.instances) if index not in self._damaged)
        lost = tuple(
            LeftOut(self._series.instances[index].file, finding, self._series.series_instance_uid)
            for index, finding in sorted(self._damaged.items())
        )
        self._gone += sum(one.finding.reason is Reason.NOT_FOUND for one in lost)
        self._begin(
            check_series(replace(self._series, instances=kept, left_out=self._series.left_out + lost, findings=()))
        )

    def _identity(self, index: int) -> str:
        return self._series.instances[index].identity

    def _findings(self) -> tuple[Finding, ...]:
        series = self._series.findings if self._choice.series else self._choice.findings
        findings = merged((*self._study.findings, *series, *self._notes, *self._quick, *self._missed()))
        if self._anyway and not may_be_scored(findings):
            return merged((*findings, Finding(Outcome.WARNED, Reason.SCORED_ANYWAY)))
        return findings

    def _missed(self) -> Iterator[Finding]:
        """Say that files have gone since they were read: what is left of the study is not the study."""
        if self._gone:
            yield Finding(Outcome.UNSUITABLE, Reason.FILES_GONE, found=self._gone)

    def _goes_on(self, findings: tuple[Finding, ...]) -> bool:
        return self._anyway or may_be_scored(findings)

    def maps(self) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        """Return the class-activation maps [n, 3, h, w] of the slices scored so far, and their places, ascending."""
        scored = [index for index in sorted(self._selected) if self._identity(index) in self._scores]
        cams = [self._scores[self._identity(index)].cam for index in scored]
        return np.stack(cams) if cams else np.empty((0, 3, 0, 0), np.float32), tuple(scored)

    def score(self, *, preliminary: bool = False) -> Score:
        """Return the score of the slices that are scored, whatever the gate says; ValueError where there are none."""
        slices = {
            index: ScoredSlice(one.identity, one.file.sha256, self._scores[one.identity])
            for index, one in enumerate(self._series.instances)
            if index in set(self._selected) and one.identity in self._scores
        }
        return score_of(
            self._scorer.pack,
            slices,
            slices_total=len(self._series.instances),
            preliminary=preliminary,
            provider=self._scorer.provider,
            seconds_read=self._seconds_read,
            seconds_infer=self._seconds_infer,
            threshold=self._threshold,
        )

    def _final_score(self, findings: tuple[Finding, ...]) -> tuple[Score | None, tuple[Finding, ...]]:
        if self._answers_twice():
            return None, merged((*findings, Finding(Outcome.UNSUITABLE, Reason.MODEL_FAILED_ITS_CHECK)))
        score = self.score()
        distance, limit = score.training_distance, score.training_distance_limit
        if distance is not None and limit is not None and distance > limit:
            # A note on the answer, not on the input: the files were read without complaint.
            note = Finding(Outcome.SCORED, Reason.UNLIKE_TRAINING_DATA, found=distance, needed=limit)
            findings = (*findings, note)
        return score, merged((*findings, *self._scorer.notes[self._notes_before :]))

    def _answers_twice(self) -> bool:
        """Whether the model gave another study, of other pixels, the very same answer (reliability rules, 2)."""
        # One prepared slice tells two studies apart; values that the preparation removes (padding) do not count.
        output = output_digest(self._scores[self._identity(index)] for index in self._selected)
        return self._cache is not None and self._cache.answers_twice(output, self._first_input)


def interleaved(first: tuple[int, ...], second: list[int], lead: int) -> list[int]:
    """Return `first` in its order with the members of `second` spread between them after a lead.

    >>> interleaved((1, 2, 3, 4), [8, 9], 2)
    [1, 2, 3, 8, 4, 9]
    """
    rest, order = deque(second), []
    for place, index in enumerate(first):
        order.append(index)
        if place >= lead and rest:
            order.append(rest.popleft())
    return order + list(rest)


def score_study(
    study: Study,
    reader: Reader,
    scorer: Scorer,
    *,
    choice: SeriesChoice | None = None,
    slice_rule: str | None = None,
    anyway: bool = False,
) -> StudyResult:
    """Score one study in one go: the unit of the terminal, of verification and of a cluster (design 6)."""
    walk = StudyScoring(study, reader, scorer, choice=choice, slice_rule=slice_rule, anyway=anyway)
    if walk.can_be_scored:
        walk.advance()
    return walk.result()


def _has_what_the_gate_needs(series: Series) -> bool:
    """Whether the pixel rules can look at a series; one that the header rules have stopped is scored only anyway."""
    if not series.instances or not may_be_scored(series.findings):
        return False
    return all(one.header.pixel_spacing_mm is not None for one in series.instances)


def _state(score: Score | None, findings: tuple[Finding, ...], study: Study) -> State:
    """Return the state that a study ends in; `refused` only where no file of it was usable (design D16)."""
    if score is not None:
        return State.DONE
    outcome = worst(findings)
    if outcome is Outcome.REFUSED:
        return State.UNSUITABLE if _has_readable_file(study) else State.REFUSED
    return State.IGNORED if outcome is Outcome.IGNORED else State.UNSUITABLE


def _has_readable_file(study: Study) -> bool:
    left_out = chain(study.left_out, *(series.left_out for series in study.series))
    return any(series.instances for series in study.series) or any(
        one.finding.outcome is not Outcome.REFUSED for one in left_out
    )
