"""A run over an archive: list its studies, hand them to the workers, keep what they say, each study exactly once.

This process alone writes: a record is on the disk before its study counts as done, and what a lost worker had under
way is handed out again. A killed run is gone on with by the same call.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from aicorona_desktop import __version__
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.archive.cluster import RayWorkers
from aicorona_desktop.evaluation.archive.index import ArchiveCounts, ArchiveIndex, StudyFiles, counts_object
from aicorona_desktop.evaluation.archive.results import PartJournals, write_results
from aicorona_desktop.evaluation.archive.unit import UnitSetup
from aicorona_desktop.evaluation.archive.workers import LocalWorkers, Workers
from aicorona_desktop.evaluation.predicting import Summary, pack_facts, summary_object, summary_of
from aicorona_desktop.evaluation.records import failed, utc_text
from aicorona_desktop.evaluation.run_folder import RunFolder
from aicorona_desktop.model.pack import Pack

TRIES: Final = 3
LOST: Final = "Three workers were lost with this study; it is set aside."

Told = Callable[[str, int, int | None], None]
"""Hears "list" or "score", how many are done, and of how many (None: unknown)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRun:
    """What one run scores, and by whom; the pack's own slice rule is used."""

    root: Path
    pack: Pack
    provider: str = "auto"
    engine: Literal["local", "ray"] = "local"
    workers: int = 1
    address: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return what run.json says: two runs with the same facts may fill one folder, however many workers."""
        return {
            "command": "score-archive",
            "application_version": __version__,
            **pack_facts(self.pack),
            "slice_rule": self.pack.slice_rule,
            "provider": self.provider,
            "archive": str(self.root.resolve()),
            "workers": self.workers,
            "started_at": utc_text(),
        }

    def start_workers(self) -> Workers:
        """Start the workers; see their classes for errors."""
        setup = UnitSetup(str(self.pack.folder.resolve()), self.pack.sha256, self.provider)
        if self.engine == "ray":
            return RayWorkers(setup, self.workers, self.address)
        return LocalWorkers(setup, self.workers)


@dataclass(frozen=True, slots=True)
class ArchiveSummary:
    """How a run ended: what the archive holds, how many studies were scored, what a person must know."""

    counts: ArchiveCounts
    scans: Summary
    notes: tuple[str, ...]


def score_archive(run: ArchiveRun, out: Path, told: Told = lambda _step, _done, _all: None) -> ArchiveSummary:
    """Score what an earlier run into the same folder has not scored yet, then write the results.

    Args:
        run: what, and by whom.
        out: the folder of the results, outside the archive; made if missing.
        told: hears how it goes.

    Raises:
        RunFolderError: the folder belongs to another run, or can't be written.
        AicoronaError: workers can't be started; what was scored is kept.
    """
    with RunFolder(out, run.facts()) as folder:
        index = ArchiveIndex(out / "index")
        counts = index.counts or _listed(run, index, told)
        journals = PartJournals(out / "parts")
        try:
            done = sum(1 for _ in journals.records())
            told("score", done, counts.studies)
            _score_rest(run, index, journals, lambda more: told("score", done + more, counts.studies))
        finally:
            notes = write_results(out, journals, run.pack)
            scans = summary_of(journals.records(), counts.studies)
            folder.write_json("summary.json", {"archive": counts_object(counts), **summary_object(scans)})
    return ArchiveSummary(counts, scans, notes)


def _listed(run: ArchiveRun, index: ArchiveIndex, told: Told) -> ArchiveCounts:
    with Reader() as reader:
        return index.build(run.root, reader, lambda files: told("list", files, None))


def _score_rest(run: ArchiveRun, index: ArchiveIndex, journals: PartJournals, told: Callable[[int], None]) -> None:
    left = _left(index, journals)
    first = next(left, None)
    if first is None:
        return
    with closing(run.start_workers()) as workers:
        _hand_out(_Studies(first, left), workers, journals, told)


def _left(index: ArchiveIndex, journals: PartJournals) -> Iterator[StudyFiles]:
    """Yield the studies that have no record yet, one list of the archive after the other."""
    return (study for study in index.studies() if not journals.has(study.study_instance_uid))


class _Studies:
    """What is to be handed out: studies that came back first, then the others."""

    def __init__(self, first: StudyFiles, others: Iterator[StudyFiles]) -> None:
        self._back: deque[StudyFiles] = deque([first])
        self._others = others

    def next(self) -> StudyFiles | None:
        return self._back.popleft() if self._back else next(self._others, None)

    def put_back(self, study: StudyFiles) -> None:
        self._back.append(study)


def _hand_out(studies: _Studies, workers: Workers, journals: PartJournals, told: Callable[[int], None]) -> None:
    lost: Counter[str] = Counter()
    done = 0
    while True:
        while workers.room and (study := studies.next()) is not None:
            workers.submit(study)
        if not workers.busy:
            return
        answer = workers.next()
        uid = answer.study.study_instance_uid
        record = answer.record
        if record is None:
            lost[uid] += 1
            if lost[uid] < TRIES:
                studies.put_back(answer.study)
                continue
            record = failed(uid, LOST, 0.0, reason="worker_lost")
        elif record.name != uid:
            raise ValueError("a worker answered for another study than it was given")
        journals.append(record)
        done += 1
        told(done)
