"""Two identities in one study: which there are, and what a study is once a person has chosen which one stands.

Nothing is guessed: until somebody has chosen, such a study gets no score (ux.md 3.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import chain

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.identities import PatientIdentity
from aicorona_desktop.core.study import LeftOut, Series, Study
from aicorona_desktop.history.store import History
from aicorona_desktop.history.values import IdentityChoice
from aicorona_desktop.triage.same_images import Contents, without_same_images
from aicorona_desktop.triage.versions import has_two_versions, resolved

CHOSEN = Finding(Outcome.WARNED, Reason.IDENTITY_CHOSEN)
OTHER = Finding(Outcome.IGNORED, Reason.OTHER_IDENTITY)

Key = tuple[str, str, str]

BY_CHOICE = frozenset(
    {
        *(Reason.TWO_PATIENTS, Reason.IDENTITY_CHOSEN),
        *(Reason.UID_CONFLICT, Reason.VERSION_CHOSEN, Reason.VERSIONS_NOT_SCORED),
    }
)
"""What is noticed of a study where a person must choose, or has chosen."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One of the identities that the files of a study name, and how many images and series carry it.

    No image: only files that could not be read name it.
    """

    identity: PatientIdentity
    birth_date: str
    sex: str
    images: int
    series: int


def identity_of(header: Header) -> PatientIdentity:
    """Return who a header says the patient is."""
    return PatientIdentity(header.patient_id, header.issuer_of_patient_id, header.patient_name)


def claims_of(study: Study) -> tuple[Claim, ...]:
    """Return the identities that stand in a study, the one with most images first."""
    by_key: dict[Key, list[Header]] = {}
    for header in _headers(study):
        by_key.setdefault(identity_of(header).key, []).append(header)
    found = [
        Claim(
            identity_of(headers[0]),
            headers[0].patient_birth_date,
            headers[0].patient_sex,
            len(headers),
            len({one.series_instance_uid for one in headers}),
        )
        for headers in by_key.values()
    ]
    numbers = {claim.identity.patient_id.strip() for claim in found} | {""}
    unread = dict.fromkeys(one.patient_id.strip() for one in _left_out(study) if one.header is None)
    found += [Claim(PatientIdentity(number), "", "", 0, 0) for number in unread if number not in numbers]
    return tuple(sorted(found, key=lambda claim: (-claim.images, claim.identity.key)))


def as_chosen(study: Study, history: History, contents: Contents) -> Study:
    """Return a study as people have chosen: whose it is, then which version of its images stands.

    Files that hold the same image are no versions of it; `contents` tells. Every study that is put together from files
    passes here before it is checked, scored or looked at.
    """
    uid = study.study_instance_uid
    study = without_same_images(study, history, contents)
    if has_two_identities(study):
        study = settled(study, history.identity_choice(uid))
    return resolved(study, history.version_choice(uid)) if has_two_versions(study) else study


def asks_for_more(reasons: AbstractSet[Reason], history: History, study_instance_uid: str) -> bool:
    """Whether a choice stands, or was taken back, that what was recorded of a study doesn't show."""
    identity = history.identity_choice(study_instance_uid) is not None
    version = history.version_choice(study_instance_uid)
    chosen = Reason.VERSIONS_NOT_SCORED if version is not None and version.place is None else Reason.VERSION_CHOSEN
    undone = Reason.TWO_PATIENTS if identity else Reason.IDENTITY_CHOSEN
    not_so = BY_CHOICE - {chosen, Reason.TWO_PATIENTS, Reason.IDENTITY_CHOSEN}
    if version is None:
        not_so = frozenset({Reason.VERSION_CHOSEN, Reason.VERSIONS_NOT_SCORED})
    return undone in reasons or bool(not_so & reasons)


def has_two_identities(study: Study) -> bool:
    """Whether a person must choose, or has chosen, whose study it is."""
    return any(one.reason is Reason.TWO_PATIENTS for one in study.findings)


def settled(study: Study, choice: IdentityChoice | None) -> Study:
    """Return a study as a person has chosen whose it is; as it was where nobody has, or of fewer identities.

    Files of another identity are left out of it, or counted as the same patient's, as was chosen. An identity that
    came later, which the person hasn't seen, takes the choice away.
    """
    if choice is None or not has_two_identities(study):
        return study
    claims = claims_of(study)
    if not {claim.identity.key for claim in claims} <= {one.key for one in choice.seen}:
        return study
    told = next((one for one in _headers(study) if identity_of(one).key == choice.identity.key), None)
    if told is None:
        return study
    series = tuple(_of_one(one, told) if choice.whole else _without_others(one, told) for one in study.series)
    findings = tuple(CHOSEN if one.reason is Reason.TWO_PATIENTS else one for one in study.findings)
    return replace(study, series=series, findings=findings)


def _headers(study: Study) -> Iterator[Header]:
    for series in study.series:
        yield from (one.header for one in series.instances)
    yield from (one.header for one in _left_out(study) if one.header is not None)


def _left_out(study: Study) -> Iterator[LeftOut]:
    return chain(study.left_out, *(series.left_out for series in study.series))


def _of_one(series: Series, told: Header) -> Series:
    """Give all slices the identity of one header."""
    instances = tuple(replace(one, header=_named(one.header, told)) for one in series.instances)
    left_out = tuple(
        one if one.header is None else replace(one, header=_named(one.header, told)) for one in series.left_out
    )
    return replace(series, instances=instances, left_out=left_out)


def _named(header: Header, told: Header) -> Header:
    return replace(
        header,
        patient_id=told.patient_id,
        issuer_of_patient_id=told.issuer_of_patient_id,
        patient_name=told.patient_name,
        patient_birth_date=told.patient_birth_date,
        patient_sex=told.patient_sex,
        patient_age_years=told.patient_age_years,
    )


def _without_others(series: Series, told: Header) -> Series:
    key = identity_of(told).key
    own = tuple(one for one in series.instances if identity_of(one.header).key == key)
    others = tuple(one.left_out(OTHER) for one in series.instances if identity_of(one.header).key != key)
    left_out = tuple(_version_of_another(one, key) for one in series.left_out)
    return replace(series, instances=own, left_out=(*left_out, *others))


def _version_of_another(one: LeftOut, key: Key) -> LeftOut:
    """Another identity's version of an image is no version any more of this one's."""
    is_version = one.header is not None and one.finding.reason is Reason.UID_CONFLICT
    return replace(one, finding=OTHER) if is_version and _key_of(one) != key else one


def _key_of(one: LeftOut) -> Key | None:
    return None if one.header is None else identity_of(one.header).key
