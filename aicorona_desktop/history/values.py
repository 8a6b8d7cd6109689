"""What the ledger keeps, as values and as the texts that stand for them: shared by those who write and who read it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.score import Score

RESULT_FIELDS = (
    "study",
    "revision",
    "series_instance_uid",
    "preliminary",
    "logit_normal",
    "logit_cp",
    "logit_covid",
    "probability_normal",
    "probability_cp",
    "probability_covid",
    "standard_error_normal",
    "standard_error_cp",
    "standard_error_covid",
    "slices_total",
    "half_spread",
    "rests_on_one_slice",
    "doubtful",
    "training_distance",
    "training_distance_limit",
    "pack",
    "pack_sha256",
    "pack_status",
    "preparation",
    "provider",
    "seconds_read",
    "seconds_infer",
    "application_version",
    "gate_version",
    "findings",
    "result_key",
    "slices_sha256",
    "recorded_at",
)
"""The columns of a result that its row_sha256 covers, in that order."""

AUDIT_FIELDS = ("at", "who", "event", "study", "details")


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A score as it was recorded; `superseded` once another score, or none, has taken its place."""

    number: int
    score: Score
    findings: tuple[Finding, ...]
    series_instance_uid: str
    application_version: str
    gate_version: str
    recorded_at: datetime
    superseded: bool


@dataclass(frozen=True, slots=True)
class StateChange:
    """One step of a study's way, with its cause."""

    state: State
    cause: str
    findings: tuple[Finding, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """A person's answer; impression and action are stored keys (ux.md 6), "" where not given."""

    number: int
    impression: str
    co_rads: int | None
    action: str
    note: str
    initials: str
    at: datetime
    taken_back: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of all studies, newest first; `next_key` asks for those after them, None at the end."""

    rows: tuple[Row, ...]
    next_key: int | None


@dataclass(frozen=True, slots=True)
class SiteVerification:
    """What a site has found with its own labelled studies for one pack, preparation and kind of device."""

    pack_sha256: str
    preparation: str
    device: str
    operating_point: float
    sensitivity: float
    specificity: float
    studies: int
    initials: str
    at: datetime


def time_text(moment: datetime) -> str:
    """Return an aware time as ISO text in UTC with microseconds.

    Raises:
        ValueError: the time has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a time in the history needs its zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def findings_text(findings: Sequence[Finding]) -> str:
    """Return findings as JSON; the sentences stay in the program, the code and the evidence are stored."""
    fields = [(one.outcome.value, one.reason.code, one.found, one.needed, one.name) for one in findings]
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))


@lru_cache(maxsize=4096)
def findings_of(text: str) -> tuple[Finding, ...]:
    """Return the findings that `findings_text` stored."""
    return tuple(finding_of(*fields) for fields in json.loads(text))


def finding_of(outcome: str, code: str, found: float | None, needed: float | None, name: str) -> Finding:
    """Return one finding; a code that this version doesn't know keeps its outcome and its name."""
    if code not in Reason.__members__:
        return Finding(Outcome(outcome), Reason.OTHER_VERSION, name=code[:64])
    return Finding(Outcome(outcome), Reason[code], found, needed, name)


def folded(text: str) -> str:
    """Return text as it is searched: without case, accents, or the separators of a person name (PS3.5 6.2.1)."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(bare.replace("^", " ").replace("=", " ").split())
