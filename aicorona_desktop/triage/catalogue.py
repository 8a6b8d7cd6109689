"""What is known of each study while it grows: its instances, and every other file that names it or lies beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import Instance, LeftOut, Study
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.triage.reading import Batch, NoInstance, refused_beside


@dataclass(slots=True)
class Catalogue:
    """Everything read so far; `add` a batch, ask for the studies it touched."""

    _instances: dict[tuple[str, int], Instance] = field(default_factory=dict)
    _others: dict[str, NoInstance] = field(default_factory=dict)
    _findings: list[tuple[PurePath, Finding]] = field(default_factory=list)
    _beside: Counter[PurePath] = field(default_factory=Counter)

    def add(self, batch: Batch) -> frozenset[str]:
        """Take a batch in; return the UIDs of the studies that it touched."""
        for instance in batch.instances:
            self._instances[instance.file.location, instance.header.frame] = instance
        self._others |= {other.location: other for other in batch.others}
        self._findings += batch.directory_findings
        self._beside += refused_beside(batch)
        touched = {instance.header.study_instance_uid for instance in batch.instances}
        return frozenset(touched | {other.study_instance_uid for other in batch.others if other.study_instance_uid})

    def studies(self, wanted: Iterable[str]) -> tuple[Study, ...]:
        """Return the studies with these UIDs, each with what is known of its surroundings."""
        uids = frozenset(wanted)
        # A series UID that stands in two studies is noticed only when both are looked at: so all are grouped.
        studies = studies_of(
            self._instances.values(),
            (
                LeftOut(
                    other.file, other.finding, other.series_instance_uid, other.study_instance_uid, other.patient_id
                )
                for other in self._others.values()
                if other.study_instance_uid and other.file is not None
            ),
        )
        return tuple(self._with_surroundings(study) for study in studies if study.study_instance_uid in uids)

    def knows(self, study_instance_uid: str) -> bool:
        """Whether any file of this study is remembered."""
        return any(one.header.study_instance_uid == study_instance_uid for one in self._instances.values())

    def forget(self, study_instance_uid: str) -> None:
        """Let go of a study's files; the history still has them."""
        self._instances = {
            key: one for key, one in self._instances.items() if one.header.study_instance_uid != study_instance_uid
        }
        self._others = {key: one for key, one in self._others.items() if one.study_instance_uid != study_instance_uid}

    def without_study(self) -> tuple[NoInstance, ...]:
        """Return the files that name no study, with the reason for each."""
        return tuple(other for other in self._others.values() if not other.study_instance_uid or other.file is None)

    def _with_surroundings(self, study: Study) -> Study:
        places = {
            PurePath(instance.file.location)
            for instance in self._instances.values()
            if instance.header.study_instance_uid == study.study_instance_uid
        }
        return replace(study, findings=(*study.findings, *self._around(places)))

    def _around(self, places: set[PurePath]) -> Iterator[Finding]:
        """What a disc directory above these files said, and how many refused files lie beside them."""
        folders = {place.parent for place in places}
        above = folders.union(*(folder.parents for folder in folders))
        yield from dict.fromkeys(finding for folder, finding in self._findings if folder in above)
        refused = sum(self._beside[folder] for folder in folders)
        if refused:
            yield Finding(Outcome.WARNED, Reason.FILES_REFUSED_BESIDE, found=refused)
