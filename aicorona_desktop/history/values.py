"""What the ledger keeps, as values and as the texts that stand for them: shared by those who write and who read it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.identities import PatientIdentity
from aicorona_desktop.core.imports import ImportCounts
from aicorona_desktop.core.rows import Lane, Row, State
from aicorona_desktop.core.score import CLASSES, Score

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


class OutcomeKind(StrEnum):
    """Where later truth comes from (ux.md 7)."""

    RT_PCR = "rtpcr"
    REPORT = "report"
    FOLLOW_UP = "follow_up"


OUTCOME_VALUES: Mapping[OutcomeKind, tuple[str, ...]] = {
    OutcomeKind.RT_PCR: ("pos", "neg", "inc"),
    OutcomeKind.REPORT: (*CLASSES, "unclear"),
    OutcomeKind.FOLLOW_UP: (*CLASSES, "unclear"),
}
"""What an outcome may say: the results of rtpcr.csv (paper-spec 13.3), else a class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person has said of a study: by whom, when, and whether it was taken back; `number` is for doing so."""

    number: int
    initials: str
    at: datetime
    taken_back: bool
    taken_back_at: datetime | None = None
    taken_back_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Said):
    """A person's answer; impression and action are stored keys (ux.md 6), "" where not given.

    `result` is the number of the score it was given beside, `revision` the files. `slices_seen` is the share of
    slices that had been on the screen, `map_seen` whether a map had been switched on before; None: not told.
    """

    impression: str
    co_rads: int | None
    action: str
    note: str
    result: int | None = None
    revision: int = 0
    slices_seen: float | None = None
    map_seen: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOutcome(Said):
    """Later truth of a study; `value` is one of `OUTCOME_VALUES`, `dated` the day of the test or report.

    `result` is the number of the score that stood when it was entered.
    """

    kind: OutcomeKind
    value: str
    source: str
    dated: date | None
    note: str
    result: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation(Said):
    """Who was told of a study, by whom."""

    told: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyNote(Said):
    """A free note on a study."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChoice(Said):
    """Which of several identities in one study stands; `seen` are all that stood side by side then.

    `whole`: the files of the others are the same patient's, too; otherwise they are left out of the study.
    """

    identity: PatientIdentity
    whole: bool
    seen: tuple[PatientIdentity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChoice(Said):
    """Which of several versions of the same images stands, and why in the person's words.

    `place` counts by arrival from 0; None: the study is not scored. `kept` are the SHA-256 that stand, by the identity
    of the image; `seen` are all that stood side by side then, in the order of their arrival.
    """

    place: int | None
    kept: Mapping[str, str]
    seen: Mapping[str, tuple[str, ...]]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NameReading(Said):
    """How a patient's name is to be shown, where the file states its character set wrongly or not at all."""

    character_set: str
    patient_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMeasure(Said):
    """A measure drawn on a series; `geometry` holds numbers, texts and lists of them, as the viewer gave them."""

    series_instance_uid: str
    kind: str
    geometry: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Viewing:
    """One time that a study was open; `closed_at` is missing while it is, and after a crash.

    `slices_seen` is the share of its slices that were on the screen. `map_on_at` is when a map was first switched
    on, `map_before_impression` whether no impression stood at that moment (None: no map).
    """

    number: int
    opened_at: datetime
    closed_at: datetime | None
    by: str
    slices_seen: float | None
    map_on_at: datetime | None
    map_before_impression: bool | None


@dataclass(frozen=True, slots=True)
class ImportBatch:
    """One import; `ended_at` is missing while it runs, and after a crash. `stopped`: a person ended it early."""

    number: int
    label: str
    started_at: datetime
    ended_at: datetime | None
    stopped: bool
    counts: ImportCounts


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row of the audit chain about a study."""

    number: int
    at: datetime
    who: str
    event: str
    details: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which studies are wanted: all conditions that are set hold together; the default wants every study.

    `text`: every word of it in names and numbers. `differ`: model and reader differ (`core.lanes`, with the
    operating point of the policy). `covid_outcome_pcr_negative`: the outcome is COVID-19 (`outcome_facts`) and an
    RT-PCR was negative. `unsuitable`: cannot be scored (unsuitable, refused, failed). `one_slice`: the score rests
    on one slice. `reader`: initials of the newest verdict that stands, in any case. The dates, both included, are
    of the study, or of its arrival where the header has none. `unread`: nobody has saved an impression or action.
    `flagged_from`: p(COVID-19) is at least this. `judged`: a score and an impression that names a class both stand.
    `has_outcome`: any later truth stands.
    """

    text: str = ""
    states: frozenset[State] = frozenset()
    lanes: frozenset[Lane] = frozenset()
    differ: bool = False
    covid_outcome_pcr_negative: bool = False
    doubtful: bool = False
    unsuitable: bool = False
    one_slice: bool = False
    reader: str = ""
    date_from: date | None = None
    date_to: date | None = None
    unread: bool = False
    flagged_from: float | None = None
    judged: bool = False
    has_outcome: bool = False


@dataclass(frozen=True, slots=True)
class LaneCounts:
    """How many studies stand in each lane, as far as they are wanted.

    `unread` counts the rows of the lanes above `read` that nobody has read. The last three are of all studies,
    wanted or not: `read_today` since midnight here, `removed` taken off the list, `total` on the list.
    """

    lanes: Mapping[Lane, int]
    unread: int
    read_today: int
    removed: int
    total: int

    @property
    def wanted(self) -> int:
        """How many studies of the list are wanted."""
        return sum(self.lanes.values())


@dataclass(frozen=True, slots=True)
class LaneKey:
    """Where a page of a lane ended: the sort values of its last row, and that row's place in the lane from 1."""

    values: tuple[float | int | str, ...]
    place: int


@dataclass(frozen=True, slots=True)
class LanePage:
    """Some wanted rows of a lane in its order; `places` are theirs in the whole lane, from 1."""

    rows: tuple[Row, ...]
    places: tuple[int, ...]
    next_key: LaneKey | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a row is: its lane, its index there among the wanted rows (from 0), its place in the lane (from 1)."""

    lane: Lane
    index: int
    place: int


class Column(StrEnum):
    """What a person may sort the whole list by."""

    NAME = "name"
    AGE = "age"
    STUDY_TIME = "study_time"
    WAITING = "waiting"
    SCORE = "score"
    STATE = "state"
    SERIES = "series"
    READER = "reader"


@dataclass(frozen=True, slots=True)
class SortedPage:
    """Some wanted rows sorted by a column, each with its lane and its place there from 1."""

    rows: tuple[Row, ...]
    lanes: tuple[Lane, ...]
    places: tuple[int, ...]
    next_key: LaneKey | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of all studies, newest first; `next_key` asks for those after them, None at the end."""

    rows: tuple[Row, ...]
    next_key: int | None


@dataclass(frozen=True, slots=True)
class SiteVerification:
    """What a site has found with its own labelled studies for one pack, preparation and kind of device.

    `name` is who set the operating point, `why` their reason, `run` the run of the kit that it rests on (None: none
    is known), `certificate` what the certificate page says. `withdrawn`: the point was taken back by this person.
    """

    pack_sha256: str
    preparation: str
    device: str
    operating_point: float
    sensitivity: float
    specificity: float
    studies: int
    initials: str
    at: datetime
    run: int | None = None
    name: str = ""
    why: str = ""
    certificate: Mapping[str, Any] = field(default_factory=dict)
    withdrawn: bool = False


def time_text(moment: datetime) -> str:
    """Return an aware time as ISO text in UTC with microseconds.

    Raises:
        ValueError: the time has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a time in the history needs its zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment_or_none(text: str | None) -> datetime | None:
    """Return the time that `time_text` stored, None for none."""
    return datetime.fromisoformat(text) if text else None


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
