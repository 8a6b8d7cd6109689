"""What the command line prints of studies: the ranked table, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aicorona_desktop.cli.options import PRINTED
from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.findings import Outcome
from aicorona_desktop.core.rows import Lane, Row, State
from aicorona_desktop.core.score import Score
from aicorona_desktop.model.pack import STATUSES, Pack
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
NARROW_COLUMNS = 110
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a study beside its row; None is unknown, never nothing."""

    score: Score | None = None
    files: Mapping[str, FileOutcome] | None = None
    slices_total: int | None = None
    seconds_read: float | None = None
    seconds_infer: float | None = None


def facts_of(result: StudyResult) -> Facts:
    """Return the facts of a study that was just triaged."""
    best = result.choice.series or next(iter(result.choice.checked), None)
    slices = len(best.instances) if best else 0
    return Facts(result.score, file_outcomes(result), slices, result.seconds_read, result.seconds_infer)


def study_objects(
    rows: Iterable[Row], results: Mapping[str, StudyResult], without_study: Iterable[NoInstance], pack: Pack
) -> list[JsonObject]:
    """Return one object a study, in ranked order, and last those of the files that name no study.

    `pack` is the one of the run: it stands in the objects without a score too.
    """
    found = {uid: facts_of(result) for uid, result in results.items()}
    objects = [study_object(row, found.get(row.study_instance_uid, Facts()), pack) for row in rows]
    nameless = list(without_study)
    for outcome, state in ((Outcome.REFUSED, State.REFUSED), (Outcome.IGNORED, State.IGNORED)):
        files = [other for other in nameless if (other.finding.outcome is Outcome.REFUSED) == (state is State.REFUSED)]
        if files:
            objects.append(_nameless_object(files, outcome, state, pack))
    return objects


def study_object(row: Row, facts: Facts, pack: Pack | None = None) -> JsonObject:
    """Return the documented object of one study; what is unknown is null."""
    score = facts.score
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
        "standard_error": list(score.standard_error) if score else None,
        "preliminary": row.preliminary,
        "spread": row.half_spread,
        "rests_on_one_slice": row.rests_on_one_slice,
        "doubtful": row.doubtful,
        "unlike_training_data": row.unlike_training_data,
        "slices_total": score.slices_total if score else facts.slices_total,
        "slices_used": len(score.slice_indices) if score else 0,
        "slice_indices": list(score.slice_indices) if score else [],
        "warnings": [str(finding) for finding in row.findings],
        "codes": [finding.reason.code for finding in row.findings],
        "files": None if facts.files is None else _file_objects(facts.files),
        "seconds_read": facts.seconds_read,
        "seconds_infer": facts.seconds_infer,
        "provider": score.provider if score else row.provider or None,
        **_pack_keys(row, score, pack),
        "notice": NOTICE,
    }


def _pack_keys(row: Row, score: Score | None, pack: Pack | None) -> JsonObject:
    """Name the pack: that of the score, else that of the run, with its status as a code and in plain words."""
    title, sha256, status = row.pack or None, None, row.pack_status
    if score is not None:
        title, sha256, status = score.pack, score.pack_sha256, score.pack_status
    elif pack is not None:
        title, sha256, status = pack.title, pack.sha256, pack.status
    words = STATUSES.get(status, status) or None
    return {"pack": title, "pack_sha256": sha256, "pack_status": status or None, "pack_status_text": words}


def _file_objects(files: Mapping[str, FileOutcome]) -> JsonObject:
    return {path: {"outcome": one.outcome.value, "reason": one.reason} for path, one in sorted(files.items())}


def _nameless_object(files: list[NoInstance], outcome: Outcome, state: State, pack: Pack) -> JsonObject:
    """Files that name no study have no place in the worklist; here they are counted and explained."""
    listed = {other.location: FileOutcome(other.finding.outcome, str(other.finding)) for other in files}
    counted = f"{len(files)} {'file' if len(files) == 1 else 'files'} {outcome.value}: not part of a study."
    return study_object(Row("", _EPOCH, state), Facts(files=listed), pack) | {
        "study_uid": None,
        "patient_id": None,
        "lane": Lane.NOT_FOR_TOOL.value,
        "reason": counted,
        "warnings": list(dict.fromkeys(str(other.finding) for other in files)),
        "codes": list(dict.fromkeys(other.finding.reason.code for other in files)),
    }


def about_packs(rows: Iterable[Row], pack: Pack | None = None) -> str:
    """Say in plain words which model packs made the scores, or would have, and what they are worth."""
    packs = dict.fromkeys((row.pack, row.pack_status) for row in rows if row.pack)
    if pack is not None and not packs:
        packs = {(pack.title, pack.status): None}
    return " ".join(f"Model pack {title}: {STATUSES.get(status, status)}." for title, status in packs)


def print_worklist(console: Console, rows: Sequence[Row], pack: Pack | None = None) -> None:
    """Print the ranked table; texts from files are shown as they are, never as markup.

    In a narrow terminal the notes are counted instead of written out: the JSON has them all.
    """
    caption = f"{NOTICE} {about_packs(rows, pack)}".strip()
    table = Table(title="Worklist", caption=caption, expand=False, pad_edge=False, show_lines=True)
    narrow = console.width < NARROW_COLUMNS
    for heading, options in (
        ("Rank", {"justify": "right"}),
        ("Lane", {"no_wrap": not narrow}),
        ("Patient", {"overflow": "fold", "max_width": 24}),
        ("Model score\n(COVID-19)", {"justify": "right", "no_wrap": True}),
        ("State", {"no_wrap": True}),
        ("Why it is here; notes", {"overflow": "fold"}),
    ):
        table.add_column(heading, **options)
    for row in rows:
        lane = LANE_TITLES[row.lane] if row.lane else ""
        texts = (_patient(row), _score(row), row.state.value, _why(row, narrow=narrow))
        table.add_row(str(row.rank or ""), lane, *map(escape, texts))
    console.print(table)


def print_removed(console: Console, count: int) -> None:
    """Say how many studies a person has taken off the list; nothing where there are none."""
    if count:
        studies = "1 study was" if count == 1 else f"{count} studies were"
        console.print(f"{studies} taken off the list by a person; the history still holds them.")


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


def _why(row: Row, *, narrow: bool) -> str:
    """The reason for the place, and below it every note that it does not already give."""
    notes = [note for note in dict.fromkeys(map(str, row.findings)) if note != row.reason]
    if row.rests_on_one_slice:
        notes.insert(0, "The score rests on one slice.")
    told = f"({len(notes)} {'note' if len(notes) == 1 else 'notes'})" if narrow and notes else " ".join(notes)
    return f"{row.reason}\n{told}".strip()


def give_json(place: Path, value: object) -> None:
    """Write JSON to a file, or print it where the user named none."""
    if place == PRINTED:
        print(json.dumps(value, indent=1))
    else:
        write_json(place, value)


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, never a part."""
    write_file(path, (json.dumps(value, indent=1) + "\n").encode("ascii"))
