"""One line of the worklist, with the reason for its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.score import Triple


class Lane(StrEnum):
    """Where a row stands, top to bottom (design D13)."""

    NEEDS_PERSON = "needs_person"
    OVERDUE = "overdue"
    RANKED = "ranked"
    READ = "read"
    NOT_FOR_TOOL = "not_for_tool"


class State(StrEnum):
    """Where a study or an instance is on its way (design D16)."""

    RECEIVED = "received"
    SETTLING = "settling"
    CHECKING = "checking"
    QUEUED = "queued"
    PRELIMINARY = "preliminary"
    RUNNING = "running"
    DONE = "done"
    UNSUITABLE = "unsuitable"
    REFUSED = "refused"
    IGNORED = "ignored"
    FAILED = "failed"
    SUPERSEDED = "superseded"


FINAL_STATES = frozenset({State.DONE, State.UNSUITABLE, State.REFUSED, State.IGNORED})
UNFINISHED_STATES = frozenset(
    {State.RECEIVED, State.SETTLING, State.CHECKING, State.QUEUED, State.PRELIMINARY, State.RUNNING}
)


@dataclass(frozen=True, slots=True)
class Row:
    """What the worklist knows of a study; `triage.ranking.rank` fills lane, rank and reason.

    Times are aware UTC. `probabilities` is None until a score stands. `rank` counts from 1 over all rows
    in order. `findings` are all reasons and warnings of the study. `impression`, `action`, `read_by` (initials)
    and `note` are the newest that stand; `outcome` is the class that later truth names, `rt_pcr` the latest
    result of that test (`history.values`). `slices_scored` of `slices_total` are those of the score shown.
    `removed_at` is when a person took the row off the list. `result` is the number of the score shown,
    `revision` how often late files had reopened the study. `name_read_as` is the name as a person has had it
    decoded, for display only.
    """

    study_instance_uid: str
    received_at: datetime
    state: State
    series_instance_uid: str = ""
    patient_id: str = ""
    patient_name: str = ""
    patient_sex: str = ""
    patient_age_years: float | None = None
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    probabilities: Triple | None = None
    preliminary: bool = False
    half_spread: float | None = None
    rests_on_one_slice: bool = False
    doubtful: bool = False
    unlike_training_data: bool = False
    identity_conflict: bool = False
    pinned: bool = False
    read_at: datetime | None = None
    findings: tuple[Finding, ...] = ()
    series_reason: str = ""
    pack: str = ""
    pack_status: str = ""
    provider: str = ""
    lane: Lane | None = None
    rank: int | None = None
    reason: str = ""
    patient_birth_date: str = ""
    accession_number: str = ""
    institution_name: str = ""
    series_description: str = ""
    series_number: int | None = None
    files_received: int = 0
    files_refused: int = 0
    slices_scored: int = 0
    slices_total: int = 0
    impression: str = ""
    action: str = ""
    read_by: str = ""
    note: str = ""
    outcome: str = ""
    rt_pcr: str = ""
    rt_pcr_negative: bool = False
    first_opened_at: datetime | None = None
    removed_at: datetime | None = None
    result: int | None = None
    revision: int = 0
    name_read_as: str = ""
