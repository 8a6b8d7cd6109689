"""One import, batch by batch: files are read, their studies recorded as they appear, every file accounted for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import BatchStarted, FileDone, FilesDone, ImportDone, Progress, StudySeen
from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.sources import SourceKind
from aicorona_desktop.core.study import Study
from aicorona_desktop.history.sources import Taken
from aicorona_desktop.intake.folders import Look
from aicorona_desktop.intake.keeping import SpoolError, SpoolFullError
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.intake.walking import Found, walk
from aicorona_desktop.triage.account import Account, Source, keep_account
from aicorona_desktop.triage.known import Known
from aicorona_desktop.triage.reading import Batch, FileRead, FileReading, NoInstance, Seen
from aicorona_desktop.triage.room import Room
from aicorona_desktop.triage.scoring import TELL_EVERY_S, Scoring
from aicorona_desktop.triage.session import Session, is_of_all

log = logging.getLogger(__name__)

COUNTED_FILES = 100_000  # a batch of more is read without a total: counting them would take the memory
WAIT_FOR_ROOM_S = 0.2
ARRIVE_EVERY_S = 1.0  # studies of a batch are in the list, and queued ones scored on, while the rest is read


@dataclass(slots=True)
class OpenImport:
    """One import from its beginning to its end; `begun` is its number in the history, where accounts are kept."""

    account: Account
    begun: int | None
    total: int | None = None
    stopped: bool = False
    trouble: str = ""
    marked: frozenset[str] = frozenset()  # studies of which more may come


class Arriving:
    """Reads imports, one at a time; between files it lets studies appear and what is queued go on."""

    def __init__(self, session: Session, known: Known, scoring: Scoring, originals: Originals, room: Room) -> None:
        self._session = session
        self._known = known
        self._scoring = scoring
        self._originals = originals
        self._room = room
        self._reading = FileReading(session.reader, originals, self._file_read, self._must_not_read_on)
        self._cancelled: set[int] = set()
        self.files_done = 0
        self._account: Account | None = None  # of the batch that is being read
        self._files_total: int | None = None
        self._files_untold: list[FileDone] = []
        self._unrecorded: list[FileRead] = []  # read since a portion was recorded last
        self._look: Look | None = None  # of the watched folder that is being read
        self._left: set[str] = set()  # where the files of that look lie that are not taken in yet
        self._told_at = 0.0
        self._arrived_at = 0.0

    def cancel(self, number: int) -> None:
        """Stop reading a batch; may be called from any thread."""
        self._cancelled.add(number)

    def read_paths(self, source: Source, paths: Iterable[Path]) -> None:
        """Read what lies under the paths, and queue its studies."""
        account = self._import(source, lambda: self._listed(paths))
        self._scoring.check(account.touched, account.grown)

    def read_settled(self, source: Source, look: Look) -> frozenset[str]:
        """Read what a watched folder has handed out; its studies settle before they are queued.

        What has been read of it is in the manifest in the same transaction as its studies; from an inbox of ours it is
        then removed. Return where the files lie that could not be read for now, or were not come to.
        """
        self._look, self._left = look, set(look.sights)
        try:
            self._import(source, partial(self._with_total, look.settled))
        finally:
            self._look = None
        return frozenset(self._left)

    def _listed(self, paths: Iterable[Path]) -> Iterable[Found]:
        """List what lies below the paths, so that a total can be told, unless there is too much of it."""
        found = walk(paths)
        first: list[Found] = []
        for one in islice(found, COUNTED_FILES):
            if self._must_not_read_on():
                break
            first.append(one)
        return chain(first, found) if len(first) == COUNTED_FILES else self._with_total(first)

    def _with_total(self, found: Sequence[Found]) -> Iterable[Found]:
        self._files_total = len(found)
        return found

    def _import(self, source: Source, found: Callable[[], Iterable[Found]]) -> Account:
        """Read one batch, record what it brought, and account for every file."""
        opened = self.begin(source)
        self._read(opened, lambda: self._reading.read_found(found()))
        self.end(opened)
        return opened.account

    def begin(self, source: Source, *, disc: bool = False) -> OpenImport:
        """Begin an import that may come in several portions; `end` closes it."""
        session = self._session
        # Begun in the history: an end that is missing there tells the next start that not all was read.
        begun = None
        if session.resident and not source.watched:
            begun = session.history.begin_import(source.label, session.now())
        session.tell(BatchStarted(source.number, source.label, source.watched, disc))
        return OpenImport(Account(source, session.now()), begun)

    def read_portion(
        self, opened: OpenImport, kept: Sequence[FileRef | NoInstance], seen: Seen, total: int | None
    ) -> None:
        """Read files of which a copy is kept; more of this import is to come, and of its studies, until `end`."""
        account, catalogue = opened.account, self._known.catalogue
        opened.total = total
        self._read(opened, lambda: self._reading.read_kept(kept, seen))
        grown = account.grown
        catalogue.note_copying(grown, account.source.number, copying=True)
        self._record_again(grown - opened.marked)
        opened.marked |= grown

    def end_portions(self, opened: OpenImport) -> None:
        """Close an import that came in portions: its studies are whole now, or are marked as cut off, and queued."""
        account = opened.account
        self._known.catalogue.note_copying(opened.marked, account.source.number, copying=False)
        self._record_again(opened.marked)
        self.end(opened)
        self._scoring.check(account.touched, account.grown)

    def _read(self, opened: OpenImport, read: Callable[[], object]) -> None:
        """Read a batch, or a portion of one, and record what it brought."""
        account = self._account = opened.account
        self._files_total, self._arrived_at = opened.total, time.monotonic()
        self._reading.keep = self._kept if account.source.copied else None
        self._unrecorded = []
        for step in (read, lambda: self._arrive(self._reading.batch.portion(), account)):
            try:
                step()
            except (AicoronaError, OSError) as error:
                if is_of_all(error):
                    raise
                log.warning("an import broke off: %s", type(error).__name__)
                ours = isinstance(error, AicoronaError)
                opened.trouble = str(error) if ours else "A file could not be read from the disk."
        self._tell_files(account)
        self._account = None

    def end(self, opened: OpenImport) -> None:
        """Close an import: say what became of each file."""
        session, account = self._session, opened.account
        opened.stopped |= account.source.number in self._cancelled
        self._note_stop(account, stopped=opened.stopped or bool(opened.trouble))
        session.tell(Progress(account.files_read, account.files_read, account.source.number))
        if not session.stopping.is_set():
            self._close_account(opened)
        self._let_go_of_known(account)

    def _let_go_of_known(self, account: Account) -> None:
        """Forget the files of studies that came again unchanged and have their outcome, in a program that stays."""
        if self._session.resident or account.source.watched:
            for uid in set(account.touched) - account.grown:
                if not self._scoring.is_queued(uid) and self._scoring.is_under_way(uid):
                    self._known.forget(uid)

    def _close_account(self, opened: OpenImport) -> None:
        session, catalogue, account = self._session, self._known.catalogue, opened.account
        self._cancelled.discard(account.source.number)
        summary = account.summary(session.now(), self._known.studies, cancelled=opened.stopped, trouble=opened.trouble)
        if session.resident:
            summary = keep_account(summary, session.history, opened.begun)
            catalogue.forget_nameless()
        session.tell(ImportDone(summary))

    def _note_stop(self, account: Account, *, stopped: bool) -> None:
        """Warn of studies whose import was stopped: the rest of them may lie where it was not read any more."""
        self._record_again(self._known.catalogue.note_stop(account.grown, stopped=stopped))

    def _record_again(self, uids: Iterable[str]) -> None:
        """Record studies of whose surroundings something else is known by now."""
        for study in self._known.studies(uids):
            record = partial(self._session.history.record_received, study, self._session.now())
            self._scoring.guarded(study.study_instance_uid, record)

    def _must_not_read_on(self) -> bool:
        number = None if self._account is None else self._account.source.number
        return self._session.stopping.is_set() or number in self._cancelled

    def _file_read(self, read: FileRead) -> None:
        """Count a file; now and then tell the client, let studies appear, and score on what is queued."""
        account = self._account
        if account is None:
            return
        self.files_done += 1
        account.add(read)
        self._unrecorded.append(read)
        finding = read.finding
        self._files_untold.append(FileDone(read.shown, finding.outcome if finding else Outcome.SCORED, finding))
        now = time.monotonic()
        if now - self._told_at > TELL_EVERY_S:
            self._told_at = now
            self._tell_files(account)
            total = None if self._files_total is None else self._files_total + self._reading.members
            self._session.tell(Progress(account.files_read, total, account.source.number))
        if now - self._arrived_at > ARRIVE_EVERY_S and not self._session.stopping.is_set():
            self._arrive(self._reading.batch.portion(), account)
            self._scoring.score_for(ARRIVE_EVERY_S)
            self._arrived_at = time.monotonic()

    def _tell_files(self, account: Account) -> None:
        told, self._files_untold = self._files_untold, []
        if told:
            self._session.tell(FilesDone(account.source.number, tuple(told)))

    # --- copies of ours ------------------------------------------------------------------------------------------

    def _kept(self, file: FileRef, data: bytes) -> FileRef | Finding:
        """Have a file copied; in a program that stays, a full disk is waited for."""
        path = self._originals.path_of(file.sha256)
        if file.path == path:  # a member of an archive, or of a disc: ours already
            return file
        try:
            while not self._is_staged(file.sha256, data):
                if not self._waited_for_room(len(data)):
                    return Finding(Outcome.REFUSED, Reason.NOT_KEPT)
        except SpoolError:
            return Finding(Outcome.REFUSED, Reason.NOT_KEPT)
        return replace(file, path=path, origin=file.path)

    def _is_staged(self, sha256: str, data: bytes) -> bool:
        if self._session.resident and not self._room.has_room(len(data)):
            return False
        try:
            self._originals.stage(data, sha256, proved=True)
        except SpoolFullError:
            self._room.is_full()
            return False
        return True

    def _are_settled(self) -> bool:
        """Make the copies of a portion stand; False where the disk is full and that can't be waited for."""
        while True:
            try:
                self._originals.settle()
            except SpoolFullError:
                self._room.is_full()
                if not self._waited_for_room(0):
                    return False
            else:
                return True

    def _waited_for_room(self, size_bytes: int) -> bool:
        """Wait until there is room, and score meanwhile; False where nobody waits, or all is stopped."""
        while self._session.resident and not self._must_not_read_on():
            if self._room.has_room(size_bytes):
                return True
            if self._room.may_write:
                self._scoring.score_for(ARRIVE_EVERY_S)
            self._session.stopping.wait(WAIT_FOR_ROOM_S)
        return False

    # --- studies -------------------------------------------------------------------------------------------------

    def _arrive(self, portion: Batch, account: Account) -> None:
        """Take a part of a batch in and record it in one transaction: from then on its studies are in the list."""
        if not self._are_settled():
            self._originals.drop_staged()
            raise SpoolFullError("The disk is full; what was not kept is read again next time.")
        touched = self._known.catalogue.add(portion)
        if self._session.resident or account.source.watched:
            self._known.recall_earlier(touched)
        studies = self._known.studies(touched)
        if self._session.stopping.is_set() and self._look is not None:
            return  # handed out again at the next start
        with self._session.history.together():
            for study in studies:
                if self._session.stopping.is_set():
                    return  # what is not recorded was never acknowledged; the next start says that it was cut off
                self._scoring.guarded(study.study_instance_uid, partial(self._record, study, account))
            recorded = self._session.history.record_files(_files(portion))
            done = self._note_taken(account.source, recorded)
        self._originals.let_go(file.sha256 for file in _files(portion))
        for study in studies:
            self._session.tell(StudySeen(study.study_instance_uid))
        for path in done:
            _remove(path)

    def _note_taken(self, source: Source, recorded: frozenset[str]) -> tuple[Path, ...]:
        """Record which files of a watched folder have been read; return those of an inbox, which are done with.

        What names a study is done with when the history has it (`recorded`); what names none stays in an inbox.
        """
        read, self._unrecorded = self._unrecorded, []
        look, folder = self._look, source.folder
        if look is None or folder is None:
            return ()
        ended = [one for one in read if one.location in look.sights and not _is_passing(one)]
        self._left.difference_update(one.location for one in ended)
        joined = [one for one in ended if one.study_instance_uid and one.sha256 in recorded]
        nameless = [one for one in ended if not one.study_instance_uid]
        is_inbox = source.kind is SourceKind.RECEIVER
        taken = [_taken(look, one) for one in (nameless if is_inbox else (*joined, *nameless))]
        if taken:
            self._session.history.note_taken(folder, taken)
        return tuple(Path(one.location) for one in joined) if is_inbox else ()

    def _record(self, study: Study, account: Account) -> None:
        """Record a study as far as it is read; one of a watched folder settles where it is new or has grown."""
        uid, history, source = study.study_instance_uid, self._session.history, account.source
        self._known.seen.add(uid)
        account.before_recording(uid, history)
        grown = history.record_received(study, self._session.now())
        if grown:
            account.note_grown(uid)
            self._scoring.drop(uid)  # what was queued of it is no longer the study
        if source.watched and (grown or not self._scoring.is_under_way(uid)):
            self._scoring.settling.arrived(uid, time.monotonic(), source.quiet_time_s)
            if grown:
                history.move(uid, State.SETTLING, "still arriving")


_PASSING = frozenset(
    {Reason.LOCKED, Reason.CHANGED_WHILE_READING, Reason.UNREADABLE, Reason.NO_PERMISSION, Reason.NOT_FOUND}
    | {Reason.NOT_KEPT}
)


def _is_passing(read: FileRead) -> bool:
    """Whether a file could not be read now, and may be another time: it stays out of the manifest."""
    return read.finding is not None and read.finding.reason in _PASSING


def _files(portion: Batch) -> Iterator[FileRef]:
    return chain((one.file for one in portion.instances), (one.file for one in portion.others if one.file))


def _taken(look: Look, read: FileRead) -> Taken:
    sight = look.sights[read.location]
    code = read.finding.reason.code if read.finding else ""
    path = str(Path(read.location).relative_to(look.root))
    return Taken(path, sight.size_bytes, sight.mtime_ns, str(sight.file_id[1]), read.sha256, code)


def _remove(path: Path) -> None:
    """Remove a file from an inbox of ours; what can't be removed now is read again, known, and removed then."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        log.warning("a file of the inbox could not be removed")
