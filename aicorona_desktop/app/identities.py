"""What a person chooses between when it is not clear whose study it is: read from its files when somebody asks.

Each has a reader process of its own for as long as it takes: it is asked for once in a long while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import Instance
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
        found = list(_instances(history, study_instance_uid, reader))
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
        for file in _files(history, study_instance_uid):
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


def _files(history: History, uid: str) -> Iterator[FileRef]:
    """Yield the files of a study, its slices first; no refused one, which would not be read."""
    readable = (one for one in history.left_out(uid) if one.finding.outcome is not Outcome.REFUSED)
    left_out = (one.file for one in readable if one.finding.reason is not Reason.SAME_IMAGE)
    yield from {file.sha256: file for file in (*history.files(uid), *left_out)}.values()


def _instances(history: History, uid: str, reader: Reader) -> Iterator[Instance]:
    def opened() -> Iterator[tuple[FileRef, bytes, str]]:
        for file in _files(history, uid):
            data = read_again(file)
            if not isinstance(data, Finding):
                yield file, data, file.sha256

    for file, examined in reader.examine_all(opened()):
        yield from (Instance(file, header) for header in examined.headers if header.study_instance_uid == uid)
