"""What is known of each study while it grows: its instances, and every other file that names it or lies beside it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePath

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import Instance, LeftOut, Study
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.triage.reading import Batch, NoInstance, refused_beside

_Key = tuple[str, int, str]  # location, frame, the content where a copy of it is ours


class Catalogue:
    """Everything read so far; `add` a batch, ask for the studies it touched.

    Kept by study, so that an answer costs what the study costs, however much else is known.
    """

    def __init__(self) -> None:
        self._instances: dict[str, dict[_Key, Instance]] = defaultdict(dict)
        self._study_at: dict[_Key, str] = {}
        self._studies_of_series: dict[str, set[str]] = defaultdict(set)
        self._others: dict[str, NoInstance] = {}
        self._named: dict[str, dict[str, NoInstance]] = defaultdict(dict)  # those that name a study, by study
        self._findings: list[tuple[PurePath, Finding]] = []
        self._beside: Counter[PurePath] = Counter()
        self._stopped: set[str] = set()
        self._still_copied: dict[str, set[int]] = {}  # by study, the discs of which more is to come
        self._gone: dict[str, tuple[FileRef, ...]] = {}  # by study, what the history knows and nobody finds

    def add(self, batch: Batch) -> frozenset[str]:
        """Take a batch in; return the UIDs of the studies that it touched."""
        for instance in batch.instances:
            self._add_instance(instance)
        for other in batch.others:
            self._drop_other(other.location)
            self._others[other.location] = other
            if other.study_instance_uid and other.file is not None:
                self._named[other.study_instance_uid][other.location] = other
        self._findings += batch.directory_findings
        self._beside += refused_beside(batch)
        touched = {instance.header.study_instance_uid for instance in batch.instances}
        return frozenset(touched | {other.study_instance_uid for other in batch.others if other.study_instance_uid})

    def note_stop(self, uids: Iterable[str], *, stopped: bool) -> frozenset[str]:
        """Note whether the import that brought these studies last was stopped before its end.

        Returns those of them of which something else was noted until now.
        """
        before = frozenset(self._stopped)
        if stopped:
            self._stopped |= set(uids)
        else:
            self._stopped -= set(uids)
        return before ^ self._stopped

    def note_copying(self, uids: Iterable[str], disc: int, *, copying: bool) -> None:
        """Note whether more of these studies may come from a disc that is being copied (the number of its import)."""
        for uid in uids:
            discs = self._still_copied.setdefault(uid, set())
            if copying:
                discs.add(disc)
            else:
                discs.discard(disc)
            if not discs:
                del self._still_copied[uid]

    def is_still_copied(self, study_instance_uid: str) -> bool:
        """Whether more of a study may come from a disc that is being copied: no score of it can be final."""
        return study_instance_uid in self._still_copied

    def note_gone(self, study_instance_uid: str, files: Iterable[FileRef]) -> None:
        """Note the files of a study that are not where the history says; those noted before are forgotten."""
        self._gone[study_instance_uid] = tuple(files)

    def gone(self, study_instance_uid: str) -> tuple[FileRef, ...]:
        """Return which of the files noted as gone have not come again since.

        A file that was read in place isn't missed either where another has taken its place: it was overwritten.
        """
        noted = self._gone.get(study_instance_uid, ())
        if not noted:
            return ()
        there, places = self.contents(study_instance_uid), self._places(study_instance_uid)
        return tuple(
            one for one in noted if one.sha256 not in there and (one.origin is not None or one.location not in places)
        )

    def contents(self, study_instance_uid: str) -> frozenset[str]:
        """Return the SHA-256 of every file of a study that is remembered."""
        return frozenset(file.sha256 for file in self._files(study_instance_uid))

    def is_there(self, study_instance_uid: str) -> bool:
        """Whether every image of a study that is remembered still stands where it was read."""
        return all(one.file.path.is_file() for one in self._instances.get(study_instance_uid, {}).values())

    def studies(self, wanted: Iterable[str]) -> tuple[Study, ...]:
        """Return the studies with these UIDs, each with what is known of its surroundings."""
        uids = frozenset(wanted)
        # A series UID that stands in two studies is noticed only when both are looked at.
        together = uids | {
            other
            for uid in uids
            for instance in self._instances.get(uid, {}).values()
            for other in self._studies_of_series[instance.header.series_instance_uid]
        }
        studies = studies_of(
            (instance for uid in together for instance in self._instances.get(uid, {}).values()),
            (_left_out(other) for uid in together for other in self._named.get(uid, {}).values()),
        )
        return tuple(self._with_surroundings(study) for study in studies if study.study_instance_uid in uids)

    def knows(self, study_instance_uid: str) -> bool:
        """Whether any file of this study is remembered."""
        return study_instance_uid in self._instances

    def forget(self, study_instance_uid: str) -> None:
        """Let go of a study's files; the history still has them."""
        for key, instance in self._instances.pop(study_instance_uid, {}).items():
            del self._study_at[key]
            self._studies_of_series[instance.header.series_instance_uid].discard(study_instance_uid)
        for location in self._named.pop(study_instance_uid, {}):
            self._others.pop(location, None)
        self._stopped.discard(study_instance_uid)
        self._gone.pop(study_instance_uid, None)

    def forget_nameless(self) -> None:
        """Let go of the files that name no study, once they have been accounted for."""
        for other in self.without_study():
            self._drop_other(other.location)

    def without_study(self) -> tuple[NoInstance, ...]:
        """Return the files that name no study, with the reason for each."""
        others = tuple(self._others.values())  # one step, as the caller may be another thread
        return tuple(other for other in others if not other.study_instance_uid or other.file is None)

    def _files(self, study_instance_uid: str) -> Iterator[FileRef]:
        yield from (one.file for one in self._instances.get(study_instance_uid, {}).values())
        yield from (one.file for one in self._named.get(study_instance_uid, {}).values() if one.file is not None)

    def _places(self, study_instance_uid: str) -> frozenset[str]:
        return frozenset(file.location for file in self._files(study_instance_uid))

    def _add_instance(self, instance: Instance) -> None:
        # A file that is referenced in place is what stands there now; of copies, every version is still at hand.
        version = "" if instance.file.origin is None else instance.file.sha256
        key, uid = (instance.file.location, instance.header.frame, version), instance.header.study_instance_uid
        before = self._study_at.get(key)
        if before is not None and before != uid:  # another file stands there by now
            self._instances[before].pop(key, None)
        self._drop_other(instance.file.location)
        self._study_at[key] = uid
        self._instances[uid][key] = instance
        self._studies_of_series[instance.header.series_instance_uid].add(uid)

    def _drop_other(self, location: str) -> None:
        before = self._others.pop(location, None)
        if before is not None and before.study_instance_uid:
            self._named[before.study_instance_uid].pop(location, None)

    def _with_surroundings(self, study: Study) -> Study:
        uid = study.study_instance_uid
        places = {PurePath(instance.file.location) for instance in self._instances.get(uid, {}).values()}
        return replace(study, findings=(*study.findings, *self._around(uid, places)))

    def _around(self, uid: str, places: set[PurePath]) -> Iterator[Finding]:
        """What a disc directory above these files said, what lies beside them refused, whether all was read."""
        folders = {place.parent for place in places}
        above = folders.union(*(folder.parents for folder in folders))
        yield from dict.fromkeys(finding for folder, finding in self._findings if folder in above)
        refused = sum(self._beside[folder] for folder in folders)
        if refused:
            yield Finding(Outcome.WARNED, Reason.FILES_REFUSED_BESIDE, found=refused)
        if uid in self._stopped:
            yield Finding(Outcome.WARNED, Reason.IMPORT_STOPPED)
        if self.is_still_copied(uid):
            yield Finding(Outcome.WARNED, Reason.DISC_STILL_COPIED)
        if gone := self.gone(uid):
            yield Finding(Outcome.UNSUITABLE, Reason.FILES_GONE, found=len(gone))


def _left_out(other: NoInstance) -> LeftOut:
    if other.file is None:
        raise ValueError("a file that names a study was read")
    return LeftOut(other.file, other.finding, other.series_instance_uid, other.study_instance_uid, other.patient_id)
