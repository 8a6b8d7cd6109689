"""The folder of a long run: what the run is, and a journal of what it has done, so that a kill costs one scan.

A line of the journal is written whole and flushed to the disk before the next scan begins; a line that a power cut
has torn is dropped when the folder is opened again, and its scan is done anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aicorona_desktop.core.durable import sync_folder, write_file
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.records import Record, record_from, record_object
from aicorona_desktop.history.connection import HistoryError, WriterLock

RUN_FILE = "run.json"
NOT_COMPARED = frozenset({"started_at", "workers"})
"""What may differ between the runs that fill one folder."""


class RunFolderError(EvaluationError):
    """A folder of results can't be written, or holds the results of another run."""


class RunFolder:
    """A folder that one run at a time fills; another run may go on with it only if it is the same in all respects.

    Raises:
        RunFolderError: another run holds it, it belongs to a run of another kind, or it can't be written.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Open or make the folder.

        Args:
            path: where; its parent must be there.
            facts: what the run is; all but `NOT_COMPARED` must be those of the earlier runs.
        """
        self.path = path
        try:
            path.mkdir(exist_ok=True)
            self._lock = WriterLock(path / "run")
        except HistoryError as error:
            raise RunFolderError("Another run is writing into this folder; wait for its end.") from error
        except OSError as error:
            raise RunFolderError(f"The folder can't be written: {error.strerror or 'unknown reason'}.") from error
        try:
            self.resumed = self._same_run(facts)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a small file of facts, whole or not at all."""
        write_file(self.path / name, json.dumps(value, indent=1).encode() + b"\n")

    def _same_run(self, facts: Mapping[str, Any]) -> bool:
        """Whether the folder holds an earlier part of this very run; RunFolderError where it holds another one's."""
        place = self.path / RUN_FILE
        if not place.exists():
            if any(self.path.glob("*.csv")) or any(self.path.glob("*.jsonl")):
                raise RunFolderError("The folder holds other results; name a new one.")
            self.write_json(RUN_FILE, facts)
            return False
        try:
            before = json.loads(place.read_bytes())
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{RUN_FILE} in the folder can't be read; name a new folder.") from error
        changed = _changed(before, facts)
        if changed:
            raise RunFolderError(
                f"The folder holds results of another run: {', '.join(changed)} differ. Name a new folder."
            )
        return True


def _changed(before: object, facts: Mapping[str, Any]) -> list[str]:
    if not isinstance(before, dict):
        return [RUN_FILE]
    names = dict.fromkeys((*facts, *before))
    return [name for name in names if name not in NOT_COMPARED and before.get(name) != facts.get(name)]


class Journal:
    """Records of scans, one JSON line each, every name once.

    Raises:
        RunFolderError: a line before the last one is damaged, or the file can't be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._end = _whole_lines(path)
            self.names = {record.name for record in self}
        except OSError as error:
            raise RunFolderError("The journal of the run can't be read.") from error

    def __iter__(self) -> Iterator[Record]:
        """Yield the records in the order in which they were made."""
        yield from read_journal(self.path)

    def append(self, record: Record) -> None:
        """Put a record on the disk; when this returns it survives a power cut.

        Raises:
            ValueError: this name has a record already.
            RunFolderError: the disk is full or gone; the record will be made anew.
        """
        if record.name in self.names:
            raise ValueError("a scan can be recorded only once")
        line = json.dumps(record_object(record), separators=(",", ":")).encode() + b"\n"
        made = not self.path.exists()
        try:
            with self.path.open("ab") as stream:
                stream.truncate(self._end)  # what an earlier write left half
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
            if made:
                sync_folder(self.path.parent)
        except OSError as error:
            raise RunFolderError(f"The journal can't be written: {error.strerror or 'unknown reason'}.") from error
        self._end += len(line)
        self.names.add(record.name)


def read_journal(path: Path) -> Iterator[Record]:
    """Yield the records of a journal one by one; none where there is no file.

    Raises:
        RunFolderError: a line is none of ours.
    """
    if not path.exists():
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return  # torn: it is being written, or never was whole
            try:
                yield record_from(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                raise RunFolderError(f"Line {number} of {path.name} is damaged; name a new folder.") from error


def _whole_lines(path: Path) -> int:
    """Return where the last whole line of a journal ends."""
    if not path.exists():
        return 0
    with path.open("rb") as stream:
        at = stream.seek(0, os.SEEK_END)
        while at > 0:
            start = max(0, at - 65536)
            stream.seek(start)
            place = stream.read(at - start).rfind(b"\n")
            if place >= 0:
                return start + place + 1
            at = start
    return 0
