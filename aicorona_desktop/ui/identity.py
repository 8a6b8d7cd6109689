"""How a patient is named on the screen: openly, or in hidden mode by a short code that stays the same."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, Signal

from aicorona_desktop.core.durable import ONLY_OURS, write_file
from aicorona_desktop.core.findings import Finding, Reason
from aicorona_desktop.core.rows import Row

KEY_NAME = "codes.key"
KEY_BYTES = 32
LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that is taken for another when read aloud or copied by hand
CODE_LENGTH = 6


@dataclass(frozen=True, slots=True)
class Identity:
    """What may be shown of who a patient is.

    `name` is the code while names are hidden; the fields that a code replaces are then empty.
    `code` stands for the same patient at any time.
    """

    name: str
    patient_id: str
    birth_date: str
    institution: str
    accession_number: str
    code: str
    hidden: bool


class Identities(QObject):
    """The one rule for the whole window; `changed` when names come or go (hidden names, peeking)."""

    changed = Signal()

    def __init__(self, key: bytes, *, hidden: bool = False, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._key = key
        self._hidden = hidden
        self._peeking = False

    @property
    def hidden(self) -> bool:
        """Whether names are hidden as a rule, peeking or not."""
        return self._hidden

    @property
    def covered(self) -> bool:
        """Whether names are covered right now."""
        return self._hidden and not self._peeking

    def hide(self, hidden: bool) -> None:
        """Switch hidden names on or off."""
        self._set(hidden, peeking=False)

    def peek(self, peeking: bool) -> None:
        """Show names for a moment although they are hidden."""
        self._set(self._hidden, peeking=peeking)

    def of(self, row: Row) -> Identity:
        """Return what may be shown now of the patient of a row."""
        code = self.code(row.patient_id or row.study_instance_uid)
        if self.covered:
            return Identity(_with_doubt(code, row), "", "", "", "", code, hidden=True)
        return Identity(
            _with_doubt(name_of(row), row),
            row.patient_id,
            shown_date(row.patient_birth_date),
            row.institution_name,
            row.accession_number,
            code,
            hidden=False,
        )

    def code(self, identifier: str) -> str:
        """Return the code of a patient: the same at every start, not to be traced back without this site's key."""
        digest = hmac.new(self._key, identifier.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        number = int.from_bytes(digest[:8], "big")
        letters = []
        for _ in range(CODE_LENGTH):
            number, place = divmod(number, len(LETTERS))
            letters.append(LETTERS[place])
        return f"{''.join(letters[:3])}-{''.join(letters[3:])}"

    def _set(self, hidden: bool, *, peeking: bool) -> None:
        before = self.covered
        self._hidden, self._peeking = hidden, peeking
        if self.covered != before:
            self.changed.emit()


def site_key(folder: Path) -> bytes:
    """Return the key that codes are made with, made at the first call.

    Raises:
        OSError: it can neither be read nor written.
    """
    place = folder / KEY_NAME
    try:
        key = place.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != KEY_BYTES:
        key = secrets.token_bytes(KEY_BYTES)
        write_file(place, key, ONLY_OURS)
    return key


def name_of(row: Row) -> str:
    """Return the name as a person has had it read, else as the file gives it; with a "?" where that may be wrong."""
    if row.name_read_as:
        return shown_name(row.name_read_as)
    name = shown_name(row.patient_name)
    return f"{name} ?" if name and any(map(_spoils_names, row.findings)) else name


def _spoils_names(finding: Finding) -> bool:
    spoilt = finding.reason is Reason.CHARACTER_DECODE and finding.name in ("", "PatientName")
    return spoilt or finding.reason is Reason.CHARACTER_SET


def _with_doubt(name: str, row: Row) -> str:
    """Say beside the name that it is one of two, wherever it stands: the pictures may be another patient's."""
    if not any(finding.reason is Reason.TWO_PATIENTS for finding in row.findings):
        return name
    return QCoreApplication.translate("Identity", "{name} (two identities)").format(name=name)


def shown_name(name: str) -> str:
    """Return a DICOM person name (PS3.5 6.2.1) as people write it: family name first, other scripts behind it."""
    groups = [_components(group) for group in name.split("=")]
    told = [group for group in groups if group]
    return told[0] + "".join(f" ({group})" for group in told[1:]) if told else ""


def shown_date(date: str) -> str:
    """Return a DICOM date as 2026-11-23; what is no full date stands as it came."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdecimal() else date


def _components(group: str) -> str:
    family, *rest = (part.strip() for part in group.split("^"))
    given = " ".join(part for part in rest if part)
    return f"{family}, {given}" if family and given else family or given
