"""Two versions of the same images: which there are, and what a study is once a person has chosen which one stands.

The same SOP Instance UID with other bytes is never settled by the program: both files are kept, the study gets no
score until somebody has chosen (reliability.md 3). What is looked at are UIDs and bytes, never a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import Instance, LeftOut, Series, Study
from aicorona_desktop.dicom.geometry import feet_first
from aicorona_desktop.history.values import VersionChoice

OTHER = Finding(Outcome.IGNORED, Reason.OTHER_VERSION_CHOSEN)
NOT_A_VERSION = frozenset({Reason.OTHER_IDENTITY, Reason.OTHER_VERSION_CHOSEN})

Versions = dict[str, dict[str, Instance]]


def has_two_versions(study: Study) -> bool:
    """Whether a person must choose, or has chosen, between versions of the same images."""
    return any(one.reason is Reason.UID_CONFLICT for one in study.findings)


def versions_of(study: Study) -> Versions:
    """Return the images that stand in a study with different bytes: identity, then SHA-256, then one file of it."""
    found: Versions = {}
    slices: set[str] = set()
    for instance in _instances(study):
        found.setdefault(instance.identity, {}).setdefault(instance.file.sha256, instance)
        slices.add(instance.identity)
    for one in _readable(study):
        instance = _instance(one)
        found.setdefault(instance.identity, {}).setdefault(one.file.sha256, instance)
        if one.finding.reason is Reason.UID_CONFLICT:
            slices.add(instance.identity)
    return {identity: files for identity, files in found.items() if identity in slices and len(files) > 1}


def resolved(study: Study, choice: VersionChoice | None) -> Study:
    """Return a study as a person has chosen between the versions of its images; as it was where nobody has.

    A version that came later, which the person hasn't seen, takes the choice away. Where the choice between two
    identities has left one version of every image, there is nothing left to choose.
    """
    if not has_two_versions(study):
        return study
    found = versions_of(study)
    if not found:
        return _with_kept(study, {}, None)
    if choice is None or not _knows_all(choice, found):
        return study
    if choice.place is None:
        return _not_scored(study, len(found))
    kept = {identity: choice.kept[identity] for identity in found if choice.kept.get(identity) in found[identity]}
    if len(kept) < len(found):  # the file that was chosen is not there: nobody has chosen the other one
        return study
    return _with_kept(study, kept, Finding(Outcome.WARNED, Reason.VERSION_CHOSEN, found=len(found)))


def _knows_all(choice: VersionChoice, found: Versions) -> bool:
    return all(set(files) <= set(choice.seen.get(identity, ())) for identity, files in found.items())


def _not_scored(study: Study, images: int) -> Study:
    finding = Finding(Outcome.UNSUITABLE, Reason.VERSIONS_NOT_SCORED, found=images)
    series = tuple(replace(one, findings=_without_conflict(one.findings)) for one in study.series)
    return replace(study, series=series, findings=(*_without_conflict(study.findings), finding))


def _with_kept(study: Study, kept: Mapping[str, str], said: Finding | None) -> Study:
    """Return the study with one version of every image: the one in `kept`, by identity, or the only one."""
    series = tuple(_series(one, kept) for one in study.series)
    findings = _without_conflict(study.findings)
    return replace(study, series=series, findings=findings if said is None else (*findings, said))


def _series(series: Series, kept: Mapping[str, str]) -> Series:
    doubtful = [one for one in series.left_out if one.finding.reason is Reason.UID_CONFLICT and one.header is not None]
    candidates = (*series.instances, *map(_instance, doubtful))
    own: dict[str, Instance] = {}
    others: list[LeftOut] = []
    duplicates = list(series.duplicates)
    for instance in candidates:
        if kept.get(instance.identity, instance.file.sha256) != instance.file.sha256:
            others.append(instance.left_out(OTHER))
        elif own.setdefault(instance.identity, instance).file != instance.file:
            duplicates.append(instance.file)
    dropped = set(map(id, doubtful))
    return replace(
        series,
        instances=feet_first(own.values()),
        left_out=(*(one for one in series.left_out if id(one) not in dropped), *others),
        findings=_without_conflict(series.findings),
        duplicates=tuple(dict.fromkeys(duplicates)),
    )


def _without_conflict(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(one for one in findings if one.reason is not Reason.UID_CONFLICT)


def _instances(study: Study) -> Iterator[Instance]:
    return chain.from_iterable(series.instances for series in study.series)


def _readable(study: Study) -> Iterator[LeftOut]:
    left_out = chain(study.left_out, *(series.left_out for series in study.series))
    return (one for one in left_out if one.header is not None and one.finding.reason not in NOT_A_VERSION)


def _instance(one: LeftOut) -> Instance:
    if one.header is None:
        raise ValueError("a version of an image has a header")
    return Instance(one.file, one.header)
