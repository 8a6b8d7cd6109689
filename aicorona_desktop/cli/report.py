"""What the command line prints of studies: the ranked table, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.findings import Outcome
from aicorona_desktop.core.rows import Lane, Row, State
from aicorona_desktop.model.pack import STATUSES
from aicorona_desktop.triage.outcomes import FileOutcome, file_outcomes
from aicorona_desktop.triage.reading import NoInstance
from aicorona_desktop.triage.score_study import StudyResult

NOTICE = "Research use. Not a diagnosis. Every study must be read."

LANE_TITLES = {
    Lane.NEEDS_PERSON: "Needs a person",
    Lane.OVERDUE: "Overdue",
    Lane.RANKED: "Ranked",
    Lane.READ: "Read",
    Lane.NOT_FOR_TOOL: "Not for this tool",
}

JsonObject = dict[str, Any]
_EPOCH = datetime.fromtimestamp(0, UTC)


def study_objects(
    rows: Iterable[Row], results: Mapping[str, StudyResult], without_study: Iterable[NoInstance]
) -> list[JsonObject]:
    """Return one object a study, in ranked order, and last one an outcome for the files that name no study."""
    objects = [study_object(row, results.get(row.study_instance_uid)) for row in rows]
    nameless = list(without_study)
    for outcome, state in ((Outcome.REFUSED, State.REFUSED), (Outcome.IGNORED, State.IGNORED)):
        files = [other for other in nameless if (other.finding.outcome is Outcome.REFUSED) == (state is State.REFUSED)]
        if files:
            objects.append(_nameless_object(files, outcome, state))
    return objects


def study_object(row: Row, result: StudyResult | None) -> JsonObject:
    """Return the documented object of one study; what is unknown is null."""
    score = result.score if result else None
    files = file_outcomes(result) if result else {}
    p_normal, p_cp, p_covid = score.probabilities if score else row.probabilities or (None, None, None)
    return {
        "study_uid": row.study_instance_uid,
        "series_uid": row.series_instance_uid or None,
        "patient_id": row.patient_id,
        "state": row.state.value,
        "lane": row.lane.value if row.lane else None,
        "rank": row.rank,
        "reason": row.reason,
        "series": row.series_reason,
        "p_normal": p_normal,
        "p_cp": p_cp,
        "p_covid": p_covid,
        "logits": list(score.logits) if score else None,
        "spread": row.half_spread,
        "slices_total": score.slices_total if score else _slices_total(result),
        "slices_used": len(score.slice_indices) if score else 0,
        "slice_indices": list(score.slice_indices) if score else [],
        "warnings": [str(finding) for finding in row.findings],
        "codes": [finding.reason.code for finding in row.findings],
        "files": {shown: _file_object(outcome) for shown, outcome in sorted(files.items())},
        "seconds_read": round(result.seconds_read, 4) if result else None,
        "seconds_infer": round(result.seconds_infer, 4) if result else None,
        "provider": score.provider if score else row.provider or None,
        "pack": score.pack if score else row.pack or None,
        "pack_sha256": score.pack_sha256 if score else None,
        "pack_status": score.pack_status if score else row.pack_status or None,
        "notice": NOTICE,
    }


def _slices_total(result: StudyResult | None) -> int:
    """The slices of the series that is scored, or that came nearest to it."""
    if result is None:
        return 0
    best = result.choice.series or next(iter(result.choice.checked), None)
    return len(best.instances) if best else 0


def _file_object(outcome: FileOutcome) -> JsonObject:
    return {"outcome": outcome.outcome.value, "reason": outcome.reason}


def _nameless_object(files: list[NoInstance], outcome: Outcome, state: State) -> JsonObject:
    """Files that name no study have no place in the worklist; here they are counted and explained."""
    empty = study_object(Row("", _EPOCH, state), None)
    counted = f"{len(files)} {'file' if len(files) == 1 else 'files'} {outcome.value}: not part of a study."
    listed = {other.location: _file_object(FileOutcome(other.finding.outcome, str(other.finding))) for other in files}
    return empty | {
        "study_uid": None,
        "patient_id": None,
        "lane": Lane.NOT_FOR_TOOL.value,
        "reason": counted,
        "warnings": list(dict.fromkeys(str(other.finding) for other in files)),
        "codes": list(dict.fromkeys(other.finding.reason.code for other in files)),
        "files": dict(sorted(listed.items())),
    }


def about_packs(rows: Iterable[Row]) -> str:
    """Say in plain words which model packs made the scores, and what they are worth."""
    packs = dict.fromkeys((row.pack, row.pack_status) for row in rows if row.pack)
    return " ".join(f"Scores by {pack}: {STATUSES.get(status, status)}." for pack, status in packs)


def print_worklist(console: Console, rows: Sequence[Row], *, title: str = "Worklist") -> None:
    """Print the ranked table; texts from files are shown as they are, never as markup."""
    caption = f"{NOTICE} {about_packs(rows)}".strip()
    table = Table(title=title, caption=caption, expand=False, pad_edge=False, show_lines=True)
    for heading, options in (
        ("Rank", {"justify": "right"}),
        ("Lane", {"no_wrap": True}),
        ("Patient", {"overflow": "fold", "max_width": 24}),
        ("Model score\n(COVID-19)", {"justify": "right", "no_wrap": True}),
        ("State", {"no_wrap": True}),
        ("Why it is here; notes", {"overflow": "fold"}),
    ):
        table.add_column(heading, **options)
    for row in rows:
        lane = LANE_TITLES[row.lane] if row.lane else ""
        table.add_row(str(row.rank or ""), lane, *map(escape, (_patient(row), _score(row), row.state.value, _why(row))))
    console.print(table)


def _patient(row: Row) -> str:
    return row.patient_name.replace("^", " ").strip() or row.patient_id or "(no name)"


def _score(row: Row) -> str:
    """The COVID-19 score, 0 to 100, with its spread (ux.md 3.2)."""
    if row.probabilities is None:
        return "-"
    whole = f"{100 * row.probabilities[2]:.0f}"
    if row.preliminary:
        return f"{whole} prelim."
    return whole if row.half_spread is None else f"{whole} ±{100 * row.half_spread:.0f}"


def _why(row: Row) -> str:
    """The reason for the place, and below it every note that it does not already give."""
    notes = " ".join(note for note in dict.fromkeys(map(str, row.findings)) if note != row.reason)
    return f"{row.reason}\n{notes}".strip()


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, never a part."""
    write_file(path, (json.dumps(value, indent=1) + "\n").encode("ascii"))
