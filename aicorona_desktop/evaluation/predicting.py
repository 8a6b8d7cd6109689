"""Score every scan of a manifest, once, however its pixels lie on the disk, and keep what is needed to say it again.

DICOM goes through the walk of the program itself (`triage.score_study`): the same reader process, choice of series,
gate and scorer, so that a scan has the score that `triage` gives it. What the gate refuses is a failed scan, as it
would be in the clinic. Pictures and NIfTI volumes go through the reader process too.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from aicorona_desktop import __version__
from aicorona_desktop.core.score import SliceScore
from aicorona_desktop.core.study import SeriesChoice, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import choose_series
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.layouts import Kind, Pixels, ScanError, ScanReader, content_sha256, layout_of
from aicorona_desktop.evaluation.manifest import Layout, Manifest, ManifestRow, Split
from aicorona_desktop.evaluation.predictions import write_predictions, write_table
from aicorona_desktop.evaluation.records import Record, failed, milliseconds, record_of_study, utc_text
from aicorona_desktop.evaluation.run_folder import Journal, RunFolder
from aicorona_desktop.evaluation.slice_rules import ALL_SLICES, compare_rules, rules_with, write_comparison
from aicorona_desktop.model.client import Scorer, ScorerError
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.providers import worker_count
from aicorona_desktop.model.selection import selected
from aicorona_desktop.triage.choosing import ChoiceError, chosen
from aicorona_desktop.triage.score_study import score_study

JOURNAL: Final = "scans.jsonl"
PREDICTIONS: Final = "predictions.csv"
PREDICTIONS_BY_RULE: Final = "predictions_by_rule.csv"
FAILURES: Final = "failures.csv"
SLICE_RULES: Final = "slice_rules.csv"
SUMMARY: Final = "summary.json"
PAPER_SECONDS: Final = 2.016807
"""What the paper's model took for a scan, on hardware that it doesn't name (paper-spec 6): a line to look at."""


class PredictingError(EvaluationError):
    """A manifest can't be scored as asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictingRun:
    """What one run scores, and how.

    `slice_rule` None is the pack's. `all_rules` scores every slice once and compares the rules of paper-spec 2.4.
    `anyway` scores DICOM series that the gate finds unsuitable too.
    """

    manifest: Manifest
    root: Path  # the folder that the manifest's paths are relative to
    pack: Pack
    provider: str = "auto"
    slice_rule: str | None = None
    all_rules: bool = False
    anyway: bool = False
    splits: tuple[Split, ...] = (Split.TRAIN, Split.TUNE, Split.TEST, Split.EXTERNAL)

    def __post_init__(self) -> None:
        selected(1, self.rule)  # ValueError: a rule that nobody knows
        if not self.rows:
            raise PredictingError("The manifest has no scan of the splits asked for.")

    @property
    def rule(self) -> str:
        """The slice rule of predictions.csv."""
        return self.slice_rule or self.pack.slice_rule

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """The scans to be scored, in the order of the manifest."""
        return self.manifest.of_split(*self.splits)

    def facts(self) -> dict[str, Any]:
        """Return what run.json says: two runs with the same facts may fill one folder."""
        return {
            "command": "predict",
            "application_version": __version__,
            **pack_facts(self.pack),
            "slice_rule": self.rule,
            "all_rules": self.all_rules,
            "anyway": self.anyway,
            "provider": self.provider,
            "manifest_sha256": self.manifest.sha256,
            "splits": [split.value for split in self.splits],
            "workers": worker_count(self.provider),
            "started_at": utc_text(),
        }


def pack_facts(pack: Pack) -> dict[str, Any]:
    """Return what every result names of the pack that made it."""
    return {
        "pack": pack.title,
        "pack_sha256": pack.sha256,
        "pack_status": pack.status,
        "pack_status_text": pack.status_text,
        "preparation": pack.preparation,
        "temperature": pack.temperature,
        "notice": "Research use. Not a diagnosis.",
    }


def predict(
    run: PredictingRun,
    out: Path,
    told: Callable[[int, int], None] = lambda _done, _all: None,
    processes: tuple[Reader, Scorer] | None = None,
) -> Summary:
    """Score what an earlier run into the same folder has not scored yet, then write the tables.

    However it ends, the tables hold what is in the journal by then; a killed run is gone on with by the same call.

    Args:
        run: what, and how.
        out: the folder of the results; made if missing.
        told: hears how many scans are done, and of how many; what it raises stops the run.
        processes: a reader and a scorer of the run's pack that are used and stay; None: own ones.

    Raises:
        RunFolderError: the folder belongs to another run, or can't be written.
        AicoronaError: a process can't be started; what was scored is kept.
    """
    with RunFolder(out, run.facts()) as folder:
        journal = Journal(out / JOURNAL)
        try:
            _score_rest(run, journal, told, processes)
        finally:
            summary = _write_tables(run, folder, journal)
    return summary


def _score_rest(
    run: PredictingRun,
    journal: Journal,
    told: Callable[[int, int], None],
    processes: tuple[Reader, Scorer] | None,
) -> None:
    rows = run.rows
    left = [row for row in rows if row.scan_id not in journal.names]
    told(len(rows) - len(left), len(rows))
    if not left:
        return
    with ScanScoring(run, processes) as scoring:
        for done, row in enumerate(left, len(rows) - len(left) + 1):
            journal.append(scoring.record(row))
            told(done, len(rows))


# --- one scan ----------------------------------------------------------------------------------------------------


class ScanScoring:
    """Scores scans of a manifest one after the other; owns a reader and a scorer process unless given them."""

    def __init__(self, run: PredictingRun, processes: tuple[Reader, Scorer] | None = None) -> None:
        if processes is not None and processes[1].pack.sha256 != run.pack.sha256:
            raise ValueError("the scorer has another pack than the run")
        self._run = run
        self._rule = ALL_SLICES if run.all_rules else run.rule
        with ExitStack() as stack:
            self._reader = processes[0] if processes else stack.enter_context(Reader())
            self._scans = stack.enter_context(ScanReader(run.root, self._reader))
            self._scorer = processes[1] if processes else stack.enter_context(Scorer(run.pack, run.provider))
            self._closing = stack.pop_all()

    def __enter__(self) -> ScanScoring:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def record(self, row: ManifestRow) -> Record:
        """Score one scan; one that can't be read or scored gives a failed record that says why.

        Raises:
            ScorerError, ReaderError: a process can't be kept alive at all.
        """
        started = time.monotonic()
        try:
            self._check_content(row)
            layout = row.layout or layout_of(self._scans.path_of(row))
            return self._dicom(row, started) if layout is Layout.DICOM else self._slices(row, started)
        except ScanError as error:
            return failed(row.scan_id, str(error), time.monotonic() - started, device=self._scorer.provider)
        except ScorerError as error:
            self._scorer.wait_until_ready()  # raises where the trouble is not this scan's
            return failed(row.scan_id, str(error), time.monotonic() - started, device=self._scorer.provider)

    def _check_content(self, row: ManifestRow) -> None:
        if not row.sha256:
            return
        path = self._scans.path_of(row)
        try:
            found = content_sha256(path, row.layout or layout_of(path))
        except EvaluationError as error:
            raise ScanError(row, "one of its files can't be opened.") from error
        if found != row.sha256:
            raise ScanError(row, "its files are not those that the manifest's sha256 names.")

    def _dicom(self, row: ManifestRow, started: float) -> Record:
        study = self._scans.study(row)
        headers_read = time.monotonic()
        result = score_study(
            study,
            self._reader,
            self._scorer,
            choice=self._choice(row, study),
            slice_rule=self._rule,
            anyway=self._run.anyway,
        )
        return record_of_study(
            row.scan_id,
            result,
            seconds_headers=headers_read - started,
            seconds_total=time.monotonic() - started,
            device=self._scorer.provider,
        )

    def _choice(self, row: ManifestRow, study: Study) -> SeriesChoice:
        """The rules' choice of the series; with `anyway` the best that can be read, suitable or not."""
        try:
            return chosen(study, None, anyway=True) if self._run.anyway else choose_series(study)
        except ChoiceError as error:
            raise ScanError(row, "no series of it has slices that could be read.") from error

    def _slices(self, row: ManifestRow, started: float) -> Record:
        """Score the slices of a scan that is no DICOM, reading ahead of the scorer."""
        scan = self._scans.open(row)
        indices = selected(scan.n_slices, self._rule)
        submit = self._scorer.submit if scan.kind is Kind.HOUNSFIELD else self._scorer.submit_picture
        scored: dict[int, SliceScore] = {}
        seconds_load = time.monotonic() - started
        try:
            for index, pixels, seconds in timed(scan.slices(indices)):
                seconds_load += seconds
                self._collect(scored, until_room=True)
                submit(index, np.ascontiguousarray(pixels))
            self._collect(scored, until_room=False)
        except ScanError:
            self._scorer.cancel()
            raise
        return Record(
            name=row.scan_id,
            status="ok",
            n_slices=scan.n_slices,
            indices=indices,
            contributions=tuple(scored[index].contribution for index in indices),
            ms_load=milliseconds(seconds_load),
            ms_pre=milliseconds(sum(one.seconds_prepare for one in scored.values())),
            ms_net=milliseconds(sum(one.seconds_network for one in scored.values())),
            ms_total=milliseconds(time.monotonic() - started),
            device=self._scorer.provider,
            run_at=utc_text(),
        )

    def _collect(self, scored: dict[int, SliceScore], *, until_room: bool) -> None:
        """Take the answers that are there, and wait until there is room, or for all."""
        while (answer := self._scorer.next(0 if until_room and self._scorer.room else None)) is not None:
            scored[answer[0]] = answer[1]


def timed(slices: Iterator[tuple[int, Pixels]]) -> Iterator[tuple[int, Pixels, float]]:
    """Yield slices with the seconds that each took to come."""
    while True:
        started = time.monotonic()
        following = next(slices, None)
        if following is None:
            return
        yield *following, time.monotonic() - started


# --- the tables --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many scans there are, were scored, failed; seconds of those scored: (median, mean, 5th, 95th percentile)."""

    scans: int
    ok: int
    failed: int
    seconds: tuple[float, float, float, float] | None
    seconds_total: float
    devices: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether no scan is left."""
        return self.ok + self.failed == self.scans


def summary_of(records: Iterable[Record], scans: int) -> Summary:
    """Summarise records; of a list of any length only the times are held."""
    seconds = array("d")
    devices: dict[str, None] = {}
    lost = 0
    for record in records:
        devices[record.device] = None
        if record.status == "ok":
            seconds.append(record.ms_total / 1000)
        lost += record.status == "failed"
    return Summary(
        scans=scans,
        ok=len(seconds),
        failed=lost,
        seconds=_spread(seconds) if seconds else None,
        seconds_total=sum(seconds),
        devices=tuple(devices),
    )


def summary_object(summary: Summary) -> dict[str, Any]:
    """Return a summary as JSON takes it."""
    names = ("median", "mean", "percentile_5", "percentile_95")
    return {
        "scans": summary.scans,
        "ok": summary.ok,
        "failed": summary.failed,
        "left": summary.scans - summary.ok - summary.failed,
        "seconds_a_scan": dict(zip(names, summary.seconds, strict=True)) if summary.seconds else None,
        "seconds_total": summary.seconds_total,
        "devices": list(summary.devices),
        "paper_seconds_a_scan": PAPER_SECONDS,
    }


def _spread(seconds: Sequence[float]) -> tuple[float, float, float, float]:
    low, median, high = np.quantile(seconds, [0.05, 0.5, 0.95]).tolist()
    return median, float(np.mean(seconds)), low, high


def _write_tables(run: PredictingRun, folder: RunFolder, journal: Journal) -> Summary:
    """Write every table anew from the journal, in the order of the manifest."""
    records = {record.name: record for record in journal}
    rows = [row for row in run.rows if row.scan_id in records]
    in_order = [records[row.scan_id] for row in rows]
    out = folder.path
    write_predictions(out / PREDICTIONS, (record.prediction(run.pack, run.rule) for record in in_order))
    lost = [record for record in in_order if record.status == "failed"]
    write_failures(out / FAILURES, lost)
    if run.all_rules:
        rules = rules_with(run.rule)
        every = (record.prediction(run.pack, rule) for record in in_order for rule in rules)
        write_predictions(out / PREDICTIONS_BY_RULE, every)
        write_comparison(out / SLICE_RULES, compare_rules(rows, in_order, run.pack, run.rule))
    summary = summary_of(in_order, len(run.rows))
    folder.write_json(SUMMARY, summary_object(summary))
    return summary


def write_failures(path: Path, records: Iterable[Record]) -> None:
    """Write the scans that have no score, each with its reason."""
    cells = ((record.name, record.reason, record.sentence, record.run_at) for record in records)
    write_table(path, ("scan_id", "reason", "sentence", "run_at"), cells)
