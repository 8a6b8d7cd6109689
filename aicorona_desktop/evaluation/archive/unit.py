"""What one worker of an archive is: a reader and a scorer of its own, with one thread for one core or one GPU."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Self

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.core.study import Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.archive.index import StudyFiles
from aicorona_desktop.evaluation.layouts import read_studies
from aicorona_desktop.evaluation.records import Record, failed, record_of_study
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import load_pack
from aicorona_desktop.triage.score_study import score_study


class UnitError(AicoronaError):
    """A worker can't do its work here."""


@dataclass(frozen=True, slots=True)
class UnitSetup:
    """What a worker must know; small and plain, so that it can be sent anywhere."""

    pack_folder: str
    pack_sha256: str
    provider: str

    def encoded(self) -> bytes:
        """Return it as JSON."""
        return json.dumps([self.pack_folder, self.pack_sha256, self.provider]).encode("ascii")

    @classmethod
    def decoded(cls, data: bytes) -> UnitSetup:
        """Return what `encoded` gave."""
        folder, sha256, provider = json.loads(data)
        return cls(str(folder), str(sha256), str(provider))


class StudyUnit:
    """Scores studies one after the other, as `triage` does.

    Raises:
        UnitError: the pack here is another one than that of the run.
        PackError: the pack is damaged.
    """

    def __init__(self, setup: UnitSetup) -> None:
        pack = load_pack(Path(setup.pack_folder))
        if pack.sha256 != setup.pack_sha256:
            raise UnitError("The model pack of this worker is another one than that of the run.")
        with ExitStack() as stack:
            self._reader = stack.enter_context(Reader())
            self._scorer = stack.enter_context(Scorer(pack, setup.provider, workers=1))
            self._scorer.wait_until_ready()
            self._closing = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End both processes."""
        self._closing.close()

    @property
    def device(self) -> str:
        """What runs the model."""
        return self._scorer.provider

    def record(self, study: StudyFiles) -> Record:
        """Score one study; one that can't be scored gives a failed record that says why.

        Raises:
            ScorerError, ReaderError: a process can't be kept alive; another worker may have better luck.
        """
        uid, started = study.study_instance_uid, time.monotonic()
        with scratch_folder() as scratch:
            found = read_studies(study.paths, self._reader, Spool(Path(scratch)))
            ours = next((one for one in found if one.study_instance_uid == uid), None)
            headers_read = time.monotonic()
            if ours is None:
                sentence = "Its files are gone, or have changed since the archive was listed."
                return failed(uid, sentence, headers_read - started, device=self.device)
            result = score_study(_with_refused_beside(ours, study), self._reader, self._scorer)
        return record_of_study(
            uid,
            result,
            seconds_headers=headers_read - started,
            seconds_total=time.monotonic() - started,
            device=self.device,
        )


def _with_refused_beside(study: Study, files: StudyFiles) -> Study:
    """Say what lies refused beside the files of a study and may belong to it, as `triage` does."""
    places = {PurePath(one.file.location).parent for series in study.series for one in series.instances}
    refused = sum(count for folder, count in files.beside if PurePath(folder) in places)
    if not refused:
        return study
    finding = Finding(Outcome.WARNED, Reason.FILES_REFUSED_BESIDE, found=refused)
    return replace(study, findings=(*study.findings, finding))
