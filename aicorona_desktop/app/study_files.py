"""The files of a study that the history knows, read once more for a sheet of the window."""

from __future__ import annotations

from collections.abc import Iterator

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome
from aicorona_desktop.core.study import Instance
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.opening import read_again


def files_of(history: History, study_instance_uid: str) -> tuple[FileRef, ...]:
    """Return the files of a study, its slices first; no refused one, which would not be read. Raises HistoryError."""
    readable = (one.file for one in history.left_out(study_instance_uid) if one.finding.outcome is not Outcome.REFUSED)
    return tuple({file.sha256: file for file in (*history.files(study_instance_uid), *readable)}.values())


def instances_of(history: History, study_instance_uid: str, reader: Reader) -> Iterator[Instance]:
    """Yield what the files of a study hold of it, one for each frame; files that can't be read give nothing.

    Raises:
        HistoryError: the history can't be read.
        ReaderError: no reader process can be started.
    """

    def opened() -> Iterator[tuple[FileRef, bytes, str]]:
        for file in files_of(history, study_instance_uid):
            data = read_again(file)
            if not isinstance(data, Finding):
                yield file, data, file.sha256

    for file, examined in reader.examine_all(opened()):
        own = (one for one in examined.headers if one.study_instance_uid == study_instance_uid)
        yield from (Instance(file, header) for header in own)
