"""What a person chooses between when it is not clear whose study it is: read from its files when somebody asks.

Each has a reader process of its own for as long as it takes: it is asked for once in a long while.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aicorona_desktop.app.study_files import files_of, instances_of
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding, Reason
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import CHARACTER_SETS
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.opening import read_again
from aicorona_desktop.triage.identities import Claim, claims_of

NO_FILES = "No file of this study can be read now; is the disc or the network drive there?"


class IdentityError(AicoronaError):
    """The files that say whose study it is can't be read."""


@dataclass(frozen=True, slots=True)
class NameOffer:
    """A patient's name as it reads in one or more character sets, each by its name."""

    name: str
    character_sets: tuple[str, ...]


def read_claims(
    history: History, study_instance_uid: str, make_reader: Callable[[], Reader] = Reader
) -> tuple[Claim, ...]:
    """Return the identities that the files of a study carry, the one with most images first.

    Raises:
        IdentityError: none of them can be read.
        HistoryError: the history can't be read.
    """
    left_out = [one for one in history.left_out(study_instance_uid) if one.finding.reason is not Reason.SAME_IMAGE]
    with make_reader() as reader:
        same = {one.file.sha256 for one in history.left_out(study_instance_uid)} - {one.file.sha256 for one in left_out}
        found = [one for one in instances_of(history, study_instance_uid, reader) if one.file.sha256 not in same]
    known = {one.file.sha256 for one in found}
    unread = [one for one in left_out if one.file.sha256 not in known]
    study = next((one for one in studies_of(found, unread) if one.study_instance_uid == study_instance_uid), None)
    if study is None:
        raise IdentityError(NO_FILES)
    return claims_of(study)


def read_names(
    history: History, study_instance_uid: str, make_reader: Callable[[], Reader] = Reader
) -> tuple[NameOffer, ...]:
    """Return the different ways to read the patient's name, in the order of the character sets.

    Raises:
        IdentityError: no file of the study can be read.
        HistoryError: the history can't be read.
    """
    with make_reader() as reader:
        for file in files_of(history, study_instance_uid):
            data = read_again(file)
            names = data if isinstance(data, Finding) else reader.names(data, file.sha256)
            if isinstance(names, tuple) and any(names):
                return _offers(names)
    raise IdentityError(NO_FILES)


def _offers(names: tuple[str, ...]) -> tuple[NameOffer, ...]:
    sets: dict[str, list[str]] = {}
    for name, character_set in zip(names, CHARACTER_SETS, strict=True):
        if name:
            sets.setdefault(name, []).append(character_set)
    return tuple(NameOffer(name, tuple(found)) for name, found in sets.items())
