"""Who the files of a study say the patient is, and what tells two such identities apart."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """Patient ID, its issuer and the name as the headers give them, in DICOM's form."""

    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells identities apart: number and issuer; the name, where there is no number."""
        number, issuer = self.patient_id.strip(), self.issuer_of_patient_id.strip()
        return (number, issuer, "" if number else plain_name(self.patient_name))


def plain_name(name: str) -> str:
    """Return the alphabetic group without case and empty components: what differs by spelling alone is one name."""
    components = (part.strip() for part in re.split(r"[\^ ]", name.split("=")[0]))
    return " ".join(part.casefold() for part in components if part)
