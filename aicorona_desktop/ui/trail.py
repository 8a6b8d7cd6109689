"""What became of one study, in the order in which it happened: read from the history, told in words; no widget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from PySide6.QtCore import QCoreApplication

from aicorona_desktop.core.retention import Step
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.history.removals import Removal
from aicorona_desktop.history.store import (
    Escalation,
    History,
    HistoryError,
    IdentityChoice,
    NameReading,
    StateChange,
    StoredResult,
    StudyNote,
    StudyOutcome,
    Verdict,
    VersionChoice,
    Viewing,
)
from aicorona_desktop.ui import study_words
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.finding_words import finding_text
from aicorona_desktop.ui.outcome_dialog import kind_word, value_word
from aicorona_desktop.ui.verdict_panel import escalation_text, seen_text, verdict_text

translate = QCoreApplication.translate


Said = Verdict | StudyOutcome | Escalation | StudyNote | IdentityChoice | NameReading | VersionChoice


class Kind(StrEnum):
    """What an entry of the trail is."""

    STATE = "state"
    RESULT = "result"
    VERDICT = "verdict"
    OUTCOME = "outcome"
    ESCALATION = "escalation"
    NOTE = "note"
    IDENTITY = "identity"
    VERSION = "version"
    COPIES = "copies"
    VIEWING = "viewing"


@dataclass(frozen=True, slots=True)
class Trail:
    """All that the history holds of one study; `trouble` says why its scores can't be shown, if so."""

    row: Row
    states: tuple[StateChange, ...]
    results: tuple[StoredResult, ...]  # newest first
    verdicts: tuple[Verdict, ...]
    outcomes: tuple[StudyOutcome, ...]
    escalations: tuple[Escalation, ...]
    notes: tuple[StudyNote, ...]
    viewings: tuple[Viewing, ...]
    identities: tuple[IdentityChoice, ...] = ()
    names: tuple[NameReading, ...] = ()
    trouble: str = ""
    versions: tuple[VersionChoice, ...] = ()
    copies: tuple[Removal, ...] = ()


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """One thing that happened; `source` is the value that it tells of, for taking it back."""

    at: datetime
    kind: Kind
    title: str
    text: str
    source: Said | StoredResult | StateChange | Viewing | Removal
    taken_back: bool = False

    @property
    def shown(self) -> str:
        """The entry as one text: time, what it is, what it says."""
        line = translate("Trail", "{time}  {title}").format(time=words.moment_text(self.at), title=self.title)
        return f"{line}\n{self.text}" if self.text else line

    @property
    def can_be_taken_back(self) -> bool:
        """Whether a person has said it and it still stands."""
        said = self.kind in (Kind.VERDICT, Kind.OUTCOME, Kind.ESCALATION, Kind.NOTE, Kind.IDENTITY, Kind.VERSION)
        return said and not self.taken_back


def read_trail(history: History, study_instance_uid: str) -> Trail | None:
    """Return what became of a study; None where the history doesn't know it.

    Raises:
        HistoryError: the history can't be read.
    """
    uid = study_instance_uid
    with history.at_one_moment():
        row = history.row(uid)
        if row is None:
            return None
        results, trouble = _results(history, uid)
        return Trail(
            row,
            history.states(uid),
            results,
            history.verdicts(uid),
            history.outcomes(uid),
            history.escalations(uid),
            history.notes(uid),
            history.viewings(uid),
            history.identity_choices(uid),
            history.name_readings(uid),
            trouble,
            history.version_choices(uid),
            history.removals(uid),
        )


def _results(history: History, uid: str) -> tuple[tuple[StoredResult, ...], str]:
    try:
        return history.results(uid), ""
    except HistoryError as error:  # one of them was changed outside the program
        return (), str(error)


# --- entries -------------------------------------------------------------------------------------------------------


def entries_of(trail: Trail, *, covered: bool = False) -> tuple[TrailEntry, ...]:
    """Return everything in the order in which it happened; `covered` leaves numbers of the model away."""
    found = [*_states(trail), *_scores(trail, covered=covered), *_said(trail), *_viewed(trail), *_copies(trail)]
    return tuple(sorted(found, key=lambda one: one.at))


def _states(trail: Trail) -> Iterator[TrailEntry]:
    for one in trail.states:
        parts = (one.cause, *map(finding_text, one.findings))
        text = "\n".join(part for part in parts if part)
        yield TrailEntry(one.at, Kind.STATE, _first_up(state_name(one.state)), text, one)


def _scores(trail: Trail, *, covered: bool) -> Iterator[TrailEntry]:
    """A final score is compared with the final one before it; a preliminary one is of fewer slices anyway."""
    before: StoredResult | None = None
    for one in reversed(trail.results):
        is_final = not one.score.preliminary
        title = translate("Trail", "Model score") if is_final else translate("Trail", "Preliminary model score")
        lines = [result_text(one)]
        if before is not None and is_final:
            lines.append(compared_text(before, one))
        yield TrailEntry(one.recorded_at, Kind.RESULT, title, _covered() if covered else "\n".join(lines), one)
        before = one if is_final else before


def _said(trail: Trail) -> Iterator[TrailEntry]:
    for verdict in trail.verdicts:
        yield _entry(Kind.VERDICT, translate("Trail", "Own impression"), verdict_text(verdict), verdict)
    for outcome in trail.outcomes:
        yield _entry(Kind.OUTCOME, translate("Trail", "Outcome"), outcome_entry_text(outcome), outcome)
    for told in trail.escalations:
        yield _entry(Kind.ESCALATION, translate("Trail", "Told"), escalation_text(told), told)
    for note in trail.notes:
        yield _entry(Kind.NOTE, translate("Trail", "Note"), ", ".join(filter(None, (note.text, note.initials))), note)

    for choice in trail.identities:
        yield _entry(Kind.IDENTITY, translate("Trail", "Identity chosen"), identity_entry_text(choice), choice)
    for version in trail.versions:
        yield _entry(Kind.VERSION, translate("Trail", "Version chosen"), version_entry_text(version), version)
    for reading in trail.names:
        text = translate("Trail", "read as {character_set}").format(character_set=reading.character_set)
        said = ", ".join(filter(None, (text, reading.initials)))
        yield _entry(Kind.IDENTITY, translate("Trail", "Name shown otherwise"), said, reading)


def _copies(trail: Trail) -> Iterator[TrailEntry]:
    """What became of our copies; that a removal began says nothing once it ended."""
    for one in trail.copies:
        if one.step is not Step.REMOVING:
            yield TrailEntry(one.at, Kind.COPIES, removal_title(one), removal_text(one), one)


def _entry(kind: Kind, title: str, text: str, said: Said) -> TrailEntry:
    if not said.taken_back:
        return TrailEntry(said.at, kind, title, text, said)
    when = words.moment_text(said.taken_back_at) if said.taken_back_at else ""
    back = translate("Trail", "Taken back: {when}").format(when=" ".join(filter(None, (when, said.taken_back_by))))
    return TrailEntry(said.at, kind, title, f"{text}\n{back}", said, taken_back=True)


def _viewed(trail: Trail) -> Iterator[TrailEntry]:
    for one in trail.viewings:
        parts = [one.by, "" if one.slices_seen is None else seen_text(one.slices_seen)]
        if one.closed_at is not None:
            parts.append(words.duration_text(one.closed_at - one.opened_at))
        if one.map_on_at is not None:
            parts.append(
                translate("Trail", "map switched on before an own impression")
                if one.map_before_impression
                else translate("Trail", "map switched on after an own impression")
            )
        yield TrailEntry(one.opened_at, Kind.VIEWING, translate("Trail", "Opened"), ", ".join(filter(None, parts)), one)


# --- words ---------------------------------------------------------------------------------------------------------


def identity_entry_text(choice: IdentityChoice) -> str:
    """Return what was chosen about the files of the other identities, and by whom; the row says who stands."""
    others = (
        translate("Trail", "all files are of the same patient")
        if choice.whole
        else translate("Trail", "the files of %n other identity(ies) are left out", "", len(choice.seen) - 1)
    )
    return ", ".join(filter(None, (others, choice.initials)))


def version_entry_text(choice: VersionChoice) -> str:
    """Return which version was chosen, of how many images, why and by whom."""
    count = len(choice.seen)
    images = translate("Trail", "1 image") if count == 1 else translate("Trail", "%n images", "", count)
    if choice.place is None:
        text = translate("Trail", "two versions of {images}: not scored").format(images=images)
    else:
        text = translate("Trail", "version {number} of {images} is used").format(number=choice.place + 1, images=images)
    return ", ".join(filter(None, (text, choice.why, choice.initials)))


def removal_title(one: Removal) -> str:
    """Return what became of our copies of a study's images."""
    return {
        Step.MARKED: translate("Trail", "Images named for removal"),
        Step.KEPT: translate("Trail", "Images are kept"),
        Step.REMOVING: translate("Trail", "Images are being removed"),
        Step.REMOVED: translate("Trail", "Images removed"),
    }[one.step]


def removal_text(one: Removal) -> str:
    """Return by which rule, who had switched it on, and how much went."""
    rule = translate("Trail", "by the rule: {rule}").format(rule=one.rule) if one.rule else ""
    files = ""
    if one.step is Step.REMOVED:
        files = translate("Trail", "%n file(s) of this program; the score and what was said stay", "", one.files)
    return ", ".join(filter(None, (rule, files, one.who)))


def state_name(state: State) -> str:
    """Return what a state of the program is called; each has its own word, so that a trail can be followed."""
    return {
        State.RECEIVED: translate("Trail", "received"),
        State.SETTLING: translate("Trail", "waiting for more files"),
        State.CHECKING: translate("Trail", "being checked"),
        State.QUEUED: translate("Trail", "queued"),
        State.PRELIMINARY: translate("Trail", "preliminary"),
        State.RUNNING: translate("Trail", "being scored"),
        State.DONE: translate("Trail", "scored"),
        State.UNSUITABLE: translate("Trail", "cannot be scored"),
        State.REFUSED: translate("Trail", "refused"),
        State.IGNORED: translate("Trail", "left out"),
        State.FAILED: translate("Trail", "scoring failed"),
        State.SUPERSEDED: translate("Trail", "replaced"),
    }[state]


def result_text(one: StoredResult) -> str:
    """Return a stored score with the pack, the device and the versions that it was made with."""
    score = one.score
    classes = ", ".join(
        translate("Trail", "{name} {value}").format(name=study_words.class_name(name), value=study_words.points(value))
        for name, value in reversed(tuple(zip(CLASSES, score.probabilities, strict=True)))
    )
    made = translate("Trail", "{classes}. {slices}, {pack} ({status}), {device}, program {version}.")
    text = made.format(
        classes=classes,
        slices=slices_counted(len(score.slice_indices)),
        pack=score.pack,
        status=score.pack_status,
        device=study_words.device_name(score.provider),
        version=one.application_version,
    )
    if one.superseded:
        text = translate("Trail", "{text} Replaced later.").format(text=text)
    return text


def slices_counted(count: int) -> str:
    """Return a number of slices in words."""
    return translate("Trail", "1 slice") if count == 1 else translate("Trail", "%n slices", "", count)


def compared_text(before: StoredResult, after: StoredResult) -> str:
    """Return how a score compares with the one before it: the same, or what has changed (ux.md 7)."""
    changed = what_changed(before, after)
    same = before.score.probabilities == after.score.probabilities
    if same:
        text = translate("Trail", "Compared with the score before: the same, bit by bit.")
    else:
        points = 100 * (after.score.p_covid - before.score.p_covid)
        text = translate("Trail", "Compared with the score before: {points} points.").format(
            points=study_words.signed(points, 2)
        )
    if changed:
        return translate("Trail", "{text} Changed: {what}.").format(text=text, what=", ".join(changed))
    if same:
        return text
    return translate("Trail", "{text} Files, pack, preparation, device and program are the same.").format(text=text)


def what_changed(before: StoredResult, after: StoredResult) -> tuple[str, ...]:
    """Return in words what two scores of a study were made with that differs."""
    old, new = before.score, after.score
    differences = (
        (before.series_instance_uid != after.series_instance_uid, translate("Trail", "the series")),
        (_files(before) != _files(after), translate("Trail", "the files")),
        (old.pack_sha256 != new.pack_sha256, _from_to(translate("Trail", "the model pack"), old.pack, new.pack)),
        (
            old.preparation != new.preparation,
            _from_to(translate("Trail", "the preparation"), old.preparation, new.preparation),
        ),
        (old.provider != new.provider, _from_to(translate("Trail", "the device"), old.provider, new.provider)),
        (
            before.application_version != after.application_version,
            _from_to(translate("Trail", "the program"), before.application_version, after.application_version),
        ),
        (before.gate_version != after.gate_version, translate("Trail", "the rules of the checks")),
    )
    return tuple(words for differ, words in differences if differ)


def outcome_entry_text(one: StudyOutcome) -> str:
    """Return an outcome in words: kind, what it says, its day and source, by whom it was entered."""
    parts = (
        kind_word(one.kind),
        value_word(one.kind, one.value),
        one.dated.isoformat() if one.dated else "",
        one.source,
        one.note,
        one.initials,
    )
    return ", ".join(part for part in parts if part)


def _files(one: StoredResult) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(zip(one.score.slice_identities, one.score.slice_sha256, strict=True)))


def _from_to(what: str, old: str, new: str) -> str:
    return translate("Trail", "{what} ({old}, now {new})").format(what=what, old=old, new=new)


def _covered() -> str:
    return translate("Trail", "Covered until your own impression is saved.")


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]
