"""The studies of this run: what is held of their files, and how those are read again that only the history knows."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.logs import internal_id
from aicorona_desktop.core.rows import FINAL_STATES, Row
from aicorona_desktop.core.study import Study
from aicorona_desktop.history.store import History
from aicorona_desktop.triage.account import known_files
from aicorona_desktop.triage.catalogue import Catalogue
from aicorona_desktop.triage.identities import as_chosen
from aicorona_desktop.triage.reading import FileReading
from aicorona_desktop.triage.same_images import Contents

log = logging.getLogger(__name__)


class NoFilesError(AicoronaError):
    """There are no files of a study."""


class FilesGoneError(NoFilesError):
    """Files of a study are not where the history says, or have changed; `finding` says how many."""

    def __init__(self, files: int) -> None:
        self.finding = Finding(Outcome.UNSUITABLE, Reason.FILES_GONE, found=files)
        super().__init__(str(self.finding))


class Known:
    """The catalogue over the history: a study is asked for by its UID, wherever its files are remembered."""

    def __init__(self, history: History, reading: FileReading) -> None:
        self._history = history
        self._reading = reading
        self._contents = Contents(lambda: reading.reader)
        self.catalogue = Catalogue()
        self.seen: set[str] = set()
        """The UIDs of all studies that this run has had to do with."""
        self._remembered: set[str] = set()  # studies of which the catalogue holds all files

    def studies(self, uids: Iterable[str]) -> tuple[Study, ...]:
        """Return studies as far as they are read, each as people have chosen whose it is and what of it stands."""
        return tuple(as_chosen(study, self._history, self._contents) for study in self.catalogue.studies(uids))

    def whole_study(self, uid: str) -> Study:
        """Return a study with all files that the history knows of it.

        Raises:
            FilesGoneError: one of them is gone, or has changed.
        """
        if not self.catalogue.is_there(uid):
            self.forget(uid)
        if uid not in self._remembered:
            gone = self._recall(uid)
            if gone:
                raise FilesGoneError(len(gone))
            self._remembered.add(uid)
        study = next(iter(self.studies([uid])), None)
        if study is None:
            raise NoFilesError("There are no files of this study to score.")
        return study

    def recall_earlier(self, uids: Iterable[str]) -> None:
        """Read the earlier files of studies again that come in, so that all of each is at hand.

        A study of which one is gone gets no score of what is left, and says so until it has come again. One that
        stands, and of which nothing new has come, is left as it stands.
        """
        for uid in frozenset(uids) - self._remembered:
            news = self.catalogue.contents(uid) - known_files(uid, self._history)
            gone = self._recall(uid)
            if not gone:
                self._remembered.add(uid)
            elif not news and stands(self._history.row(uid)):
                self.catalogue.note_gone(uid, ())
            else:
                log.warning("%d files of study %s are gone", len(gone), internal_id(uid))

    def forget(self, uid: str) -> None:
        """Let go of a study's files: the history knows where they lie."""
        self.catalogue.forget(uid)
        self._remembered.discard(uid)

    def _recall(self, uid: str) -> tuple[FileRef, ...]:
        """Read the files of a study again that the catalogue has forgotten; note and return which of them are gone.

        One that gave no image, as it was damaged or holds what another file holds as well, is not missed.
        """
        there, left_out = self.catalogue.contents(uid), self._history.left_out(uid)
        earlier = {one.sha256: one for one in (*self._history.files(uid), *(one.file for one in left_out))}
        batch, gone = self._reading.read_known(one for sha256, one in earlier.items() if sha256 not in there)
        self.catalogue.add(batch)
        gave_none = {one.file.sha256 for one in left_out if _gave_no_image(one.finding)}
        self.catalogue.note_gone(uid, (one for one in gone if one.sha256 not in gave_none))
        return self.catalogue.gone(uid)


def _gave_no_image(finding: Finding) -> bool:
    return finding.outcome is Outcome.REFUSED or finding.reason is Reason.SAME_IMAGE


def stands(row: Row | None) -> bool:
    """Whether a study has its outcome, and one that doesn't wait for files of it that were gone."""
    return row is not None and row.state in FINAL_STATES and not waits_for_files(row)


def waits_for_files(row: Row) -> bool:
    """Whether a study got no score because files of it were gone."""
    return any(one.reason is Reason.FILES_GONE for one in row.findings)
