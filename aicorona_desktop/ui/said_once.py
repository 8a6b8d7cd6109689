"""What a person has said of a study, from its trail, as an entry that can be taken back and said again."""

from __future__ import annotations

from collections.abc import Callable

from aicorona_desktop.history.store import (
    Escalation,
    History,
    IdentityChoice,
    NameReading,
    StudyNote,
    StudyOutcome,
    Verdict,
    VersionChoice,
)
from aicorona_desktop.ui.recorder import Entry
from aicorona_desktop.ui.trail import TrailEntry


def entry_of(entry: TrailEntry, uid: str, history: History, person: str, settle: Callable[[str], None]) -> Entry | None:
    """Return what a person said once, so that it can be taken back, and said again with the same words.

    `settle` has a study looked at anew, where what was said decides what the study is.
    """
    match entry.source:
        case Verdict() as verdict:
            return Entry(
                uid,
                lambda: history.save_verdict(
                    uid,
                    impression=verdict.impression,
                    action=verdict.action,
                    co_rads=verdict.co_rads,
                    note=verdict.note,
                    initials=verdict.initials,
                    slices_seen=verdict.slices_seen,
                    map_seen=verdict.map_seen,
                    result=verdict.result,
                    revision=verdict.revision,
                ),
                lambda number: history.take_back_verdict(number, person),
                verdict.number,
            )
        case StudyOutcome() as outcome:
            return Entry(
                uid,
                lambda: history.record_outcome(
                    uid,
                    outcome.kind,
                    outcome.value,
                    source=outcome.source,
                    dated=outcome.dated,
                    note=outcome.note,
                    initials=outcome.initials,
                ),
                lambda number: history.take_back_outcome(number, person),
                outcome.number,
            )
        case Escalation() as told:
            return Entry(
                uid,
                lambda: history.record_escalation(uid, told.told, told.initials, told.note),
                lambda number: history.take_back_escalation(number, person),
                told.number,
            )
        case StudyNote() as note:
            return Entry(
                uid,
                lambda: history.add_note(uid, note.text, note.initials),
                lambda number: history.take_back_note(number, person),
                note.number,
            )
        case _:
            return _choice_of(entry, uid, history, person, settle)


def _choice_of(
    entry: TrailEntry, uid: str, history: History, person: str, settle: Callable[[str], None]
) -> Entry | None:
    """Return what a person has chosen of a study: whose it is, how its name reads, which of its images count."""

    def look_again(*, stands: bool) -> None:  # noqa: ARG001 - in both cases what stands now is looked at
        settle(uid)

    match entry.source:
        case NameReading() as reading:
            return Entry(
                uid,
                lambda: history.read_name_as(uid, reading.character_set, reading.patient_name, reading.initials),
                lambda number: history.take_back_name(number, person),
                reading.number,
            )
        case IdentityChoice() as identity:
            return Entry(
                uid,
                lambda: history.choose_identity(
                    uid, identity.identity, identity.seen, whole=identity.whole, initials=identity.initials
                ),
                lambda number: history.take_back_identity(number, person),
                identity.number,
                look_again,
            )
        case VersionChoice() as version:
            return Entry(
                uid,
                lambda: history.choose_version(
                    uid, version.place, version.seen, why=version.why, initials=version.initials
                ),
                lambda number: history.take_back_version(number, person),
                version.number,
                look_again,
            )
        case _:
            return None
