"""What the list says of a study, in the words of the interaction specification: cells, fold-out and speech."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite

from PySide6.QtCore import QCoreApplication, QLocale

from aicorona_desktop.core.findings import Finding, Outcome
from aicorona_desktop.core.rows import Lane, Row, State
from aicorona_desktop.core.settings import Order
from aicorona_desktop.ui.finding_words import finding_text
from aicorona_desktop.ui.identity import Identity, shown_date
from aicorona_desktop.ui.study_words import class_name

translate = QCoreApplication.translate

AS_ARRIVING = frozenset({State.RECEIVED, State.SETTLING, State.CHECKING})
IN_WORK = AS_ARRIVING | {State.QUEUED, State.PRELIMINARY, State.RUNNING}
NOT_SCORED = frozenset({State.UNSUITABLE, State.REFUSED, State.FAILED, State.IGNORED, State.SUPERSEDED})


class Column(StrEnum):
    """The columns of the list in their first order; the keys are stored."""

    MARK = "mark"
    IDENTITY = "identity"
    AGE_SEX = "age_sex"
    STUDY_TIME = "study_time"
    WAITING = "waiting"
    SCORE = "score"
    STATE = "state"
    SERIES = "series"
    NOTES = "notes"
    READER = "reader"


class StateWord(StrEnum):
    """Where a study is, as one word and one shape; the keys name the icons."""

    ARRIVING = "arriving"
    QUEUED = "queued"
    PRELIMINARY = "preliminary"
    SCORED = "scored"
    DOUBTFUL = "doubtful"
    CANNOT_BE_SCORED = "cannot_be_scored"
    READ = "read"
    REMOVED = "removed"


# --- headings -------------------------------------------------------------------------------------------------


def column_title(column: Column) -> str:
    """Return the heading of a column."""
    return {
        Column.MARK: "",
        Column.IDENTITY: translate("Worklist", "Name and ID"),
        Column.AGE_SEX: translate("Worklist", "Age, sex"),
        Column.STUDY_TIME: translate("Worklist", "Study time"),
        Column.WAITING: translate("Worklist", "Waiting"),
        Column.SCORE: translate("Worklist", "Model score (COVID-19)"),
        Column.STATE: translate("Worklist", "State"),
        Column.SERIES: translate("Worklist", "Series used"),
        Column.NOTES: translate("Worklist", "Notes"),
        Column.READER: translate("Worklist", "Reader, own impression"),
    }[column]


def column_name(column: Column) -> str:
    """Return what a column is called in a sentence or a menu, where its heading is empty."""
    return column_title(column) or translate("Worklist", "Lane mark")


def column_explained(column: Column) -> str:
    """Return the tooltip of a heading."""
    return {
        Column.MARK: translate("Worklist", "The lane of the study, as a shape. A dashed mark: still in work."),
        Column.IDENTITY: translate("Worklist", "Patient name and patient ID, as the files state them."),
        Column.AGE_SEX: translate("Worklist", "Age and sex of the patient, as the files state them."),
        Column.STUDY_TIME: translate("Worklist", "Date and time of the study, as the files state them."),
        Column.WAITING: translate(
            "Worklist", "Time since the study arrived here, while nobody has read it. The bar is full at the wait cap."
        ),
        Column.SCORE: translate(
            "Worklist",
            "The output of the model by which the list is ordered, times 100. It is not a probability of disease.",
        ),
        Column.STATE: translate("Worklist", "How far the program has come with the study."),
        Column.SERIES: translate("Worklist", "The series that was scored."),
        Column.NOTES: translate("Worklist", "How many notes and warnings there are; Right arrow unfolds them."),
        Column.READER: translate("Worklist", "Who has read the study, with their own impression and action."),
    }[column]


def lane_title(lane: Lane, order: Order = Order.COVID) -> str:
    """Return the name of a lane; that of the ranked one says by what it is ordered, where that isn't the score."""
    return {
        Lane.NEEDS_PERSON: translate("Worklist", "Needs a person"),
        Lane.OVERDUE: translate("Worklist", "Overdue"),
        Lane.RANKED: _ranked_title(order),
        Lane.READ: translate("Worklist", "Read"),
        Lane.NOT_FOR_TOOL: translate("Worklist", "Not for this tool"),
    }[lane]


def _ranked_title(order: Order) -> str:
    return {
        Order.COVID: translate("Worklist", "Ranked"),
        Order.ARRIVAL: translate("Worklist", "Ranked by arrival"),
        Order.TWO_BANDS: translate(
            "Worklist", "Ranked in two bands: from the operating point first, the rest by arrival"
        ),
        Order.ABNORMAL_FIRST: translate("Worklist", "Ranked abnormal first, by 100 minus the score for no abnormality"),
    }[order]


def lane_explained(lane: Lane) -> str:
    """Return what stands in a lane, and in which order."""
    return {
        Lane.NEEDS_PERSON: translate(
            "Worklist",
            "Could not be scored, doubtful, unlike the training data, two identities, or pinned. Oldest first.",
        ),
        Lane.OVERDUE: translate("Worklist", "Unread for longer than the wait cap. Oldest first."),
        Lane.RANKED: translate("Worklist", "Unread; the top of the lane is what to look at first."),
        Lane.READ: translate("Worklist", "A person has saved an impression or an action. Newest first."),
        Lane.NOT_FOR_TOOL: translate("Worklist", "Not a chest CT that this tool was made for; each says why."),
    }[lane]


# --- one study ------------------------------------------------------------------------------------------------


def state_word_of(row: Row) -> StateWord:
    """Return where a study is; being read outweighs all that the program has to say of it."""
    if row.removed_at is not None:
        return StateWord.REMOVED
    if row.read_at is not None:
        return StateWord.READ
    if row.state in NOT_SCORED:
        return StateWord.CANNOT_BE_SCORED
    if row.state in AS_ARRIVING:
        return StateWord.ARRIVING
    if row.state is State.DONE:
        return StateWord.DOUBTFUL if row.doubtful else StateWord.SCORED
    return StateWord.PRELIMINARY if score_of(row) is not None else StateWord.QUEUED


def state_word(state: StateWord) -> str:
    """Return the word of a state."""
    return {
        StateWord.ARRIVING: translate("Worklist", "arriving"),
        StateWord.QUEUED: translate("Worklist", "queued"),
        StateWord.PRELIMINARY: translate("Worklist", "preliminary"),
        StateWord.SCORED: translate("Worklist", "scored"),
        StateWord.DOUBTFUL: translate("Worklist", "doubtful"),
        StateWord.CANNOT_BE_SCORED: translate("Worklist", "cannot be scored"),
        StateWord.READ: translate("Worklist", "read"),
        StateWord.REMOVED: translate("Worklist", "removed"),
    }[state]


def state_text(row: Row) -> str:
    """Return the word of a study's state; one that is arriving says how many files it has."""
    state = state_word_of(row)
    if state is StateWord.ARRIVING and row.files_received:
        return translate("Worklist", "arriving, {files}").format(files=files_counted(row.files_received))
    return state_word(state)


def is_in_work(row: Row) -> bool:
    """Whether the score of a study may still change by itself: then it carries a dashed mark."""
    return row.read_at is None and row.state in IN_WORK


def score_of(row: Row) -> int | None:
    """Return the model score that is shown, 0 to 100; None where none stands or it is no valid score."""
    if row.probabilities is None or not all(map(_is_share, row.probabilities)):
        return None
    return round(100 * row.probabilities[2])


def _is_share(value: float) -> bool:
    return isfinite(value) and 0 <= value <= 1


def is_covered(row: Row, look_first: bool) -> bool:
    """Whether the score stays covered: the site asks for the own impression first, and there is none yet."""
    return look_first and not row.impression


def score_text(row: Row, *, covered: bool = False) -> str:
    """Return the score as it stands in its cell, with "prelim." or "±n"; "" where there is none."""
    score = score_of(row)
    if score is None:
        return ""
    if covered:
        return translate("Worklist", "look first")
    if row.preliminary:
        return translate("Worklist", "{score} prelim.").format(score=score)
    spread = spread_of(row)
    return f"{score} ±{spread}" if spread else str(score)


def spread_of(row: Row) -> int:
    """Return half the spread of the score without its strongest slices, in points; 0 where nothing is to be shown."""
    return round(100 * row.half_spread) if row.half_spread is not None and isfinite(row.half_spread) else 0


def waited(row: Row, now: datetime) -> timedelta:
    """Return how long a study has been waiting for a person."""
    return max(now - row.received_at, timedelta())


def waiting_text(row: Row, now: datetime) -> str:
    """Return how long nobody has read a study; "" once somebody has, or when nobody need."""
    if row.read_at is not None or row.lane is Lane.NOT_FOR_TOOL:
        return ""
    return duration_text(waited(row, now))


def duration_text(time: timedelta) -> str:
    """Return a time in minutes, hours or days, whichever reads well."""
    minutes = int(time.total_seconds() // 60)
    if minutes < 180:
        return translate("Worklist", "{minutes} min").format(minutes=minutes)
    if minutes < 48 * 60:
        return translate("Worklist", "{hours} h").format(hours=minutes // 60)
    return translate("Worklist", "%n days", "", minutes // (24 * 60))


def moment_text(moment: datetime) -> str:
    """Return a moment in this machine's time, date first as ISO has it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def identity_text(identity: Identity) -> str:
    """Return name and ID on one line; each keeps its own direction of writing."""
    return "  ".join(f"\u2068{part}\u2069" for part in (identity.name, identity.patient_id) if part)


def age_sex_text(row: Row) -> str:
    """Return age and sex, "" for what is unknown."""
    return ", ".join(part for part in (age_text(row.patient_age_years), sex_text(row.patient_sex)) if part)


def age_text(years: float | None) -> str:
    """Return an age; below two years in months."""
    if years is None or not isfinite(years):
        return ""
    if years < 2:
        return translate("Worklist", "{months} mo").format(months=int(12 * years))
    return translate("Worklist", "{years} y").format(years=int(years))


def sex_text(sex: str) -> str:
    """Return DICOM's letter for a sex as a short word; an unknown letter stands for itself."""
    known = {
        "F": translate("Worklist", "F", "sex: female"),
        "M": translate("Worklist", "M", "sex: male"),
        "O": translate("Worklist", "other", "sex: other"),
    }
    return known.get(sex, sex)


def study_time_text(row: Row) -> str:
    """Return date and time of a study as ISO, to the minute; what is no date or time stands as it is."""
    date = shown_date(row.study_date)
    digits = row.study_time.replace(":", "")[:4]
    time = f"{digits[:2]}:{digits[2:]}" if len(digits) == 4 and digits.isdecimal() else row.study_time
    return " ".join(part for part in (date, time) if part)


def notes_of(row: Row) -> tuple[Finding, ...]:
    """Return what there is to note of a study, the gravest first."""
    return tuple(sorted(row.findings, key=lambda one: -one.outcome.gravity))


def notes_text(row: Row, *, covered: bool = False) -> str:
    """Return the notes of a row in short; what a covered score rests on would tell of it."""
    parts = [translate("Worklist", "rests on one slice")] if row.rests_on_one_slice and not covered else []
    parts += [notes_counted(len(row.findings))] if row.findings else []
    parts += [translate("Worklist", "own note")] if row.note else []
    return ", ".join(parts)


def notes_number(row: Row) -> str:
    """Return how many notes a row has, the own one among them: what fits where their words don't."""
    return number_text(len(row.findings) + bool(row.note))


def series_text(row: Row) -> str:
    """Return which series was used: number and description, as far as the files state them."""
    if not row.series_instance_uid:
        return ""
    number = "" if row.series_number is None else str(row.series_number)
    both = "  ".join(part for part in (number, row.series_description) if part)
    return both or translate("Worklist", "without a name")


def impression_word(key: str) -> str:
    """Return the words of a stored impression; "" for none."""
    return {
        "normal": translate("Worklist", "no abnormality seen"),
        "cp": translate("Worklist", "other abnormality"),
        "covid": translate("Worklist", "COVID-19 pattern"),
        "cannot_judge": translate("Worklist", "cannot judge"),
    }.get(key, "")


def action_word(key: str) -> str:
    """Return the words of a stored action; "" for none."""
    return {
        "now": translate("Worklist", "show a doctor now"),
        "routine": translate("Worklist", "routine reading"),
        "repeat": translate("Worklist", "repeat or complete the scan"),
    }.get(key, "")


def reader_text(row: Row) -> str:
    """Return who has read a study, what they saw and what shall be done; "" while nobody has."""
    return ", ".join(part for part in (row.read_by, impression_word(row.impression), action_word(row.action)) if part)


# --- more than a cell -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Detail:
    """One line of a fold-out: what it is about, and the text."""

    label: str
    text: str


def details_of(row: Row, *, covered: bool = False) -> tuple[Detail, ...]:
    """Return the fold-out of a row: why it is here, the other classes, series, files, notes, outcome; never empty."""
    why = translate("Worklist", "Covered until your own impression is saved.") if covered else row.reason
    lines = [Detail(translate("Worklist", "Why is it here?"), why)]
    if score_of(row) is not None and not covered:
        lines.append(Detail(translate("Worklist", "Other classes"), other_classes_text(row)))
        if row.rests_on_one_slice:
            lines.append(Detail(translate("Worklist", "Fragile"), rests_on_one_slice_text()))
    if row.series_reason:
        used = translate("Worklist", "Series used") if row.series_instance_uid else translate("Worklist", "Series")
        lines.append(Detail(used, row.series_reason))
    if row.files_received or row.files_refused:
        lines.append(Detail(translate("Worklist", "Files"), files_text(row)))
    lines += [Detail(grade_word(one.outcome), finding_text(one)) for one in notes_of(row)]
    if row.note:
        lines.append(Detail(translate("Worklist", "Own note"), row.note))
    if row.outcome or row.rt_pcr:
        lines.append(Detail(translate("Worklist", "Outcome"), outcome_text(row)))
    return tuple(lines)


def other_classes_text(row: Row) -> str:
    """Return the scores of the classes that the list isn't ordered by."""
    if row.probabilities is None:
        return ""
    normal, other, _ = row.probabilities
    text = translate("Worklist", "{other_class} {other}, {normal_class} {normal}")
    return text.format(
        other_class=class_name("cp"),
        other=round(100 * other),
        normal_class=class_name("normal"),
        normal=round(100 * normal),
    )


def rests_on_one_slice_text() -> str:
    """Return what it means that a score rests on one slice."""
    return translate("Worklist", "The score rests on one slice: without it, it would be clearly lower.")


def files_text(row: Row) -> str:
    """Return how many files a study has, and how many were refused."""
    received, refused = files_counted(row.files_received), number_text(row.files_refused)
    if not row.files_refused:
        return translate("Worklist", "{files} received").format(files=received)
    return translate("Worklist", "{files} received, {refused} refused").format(files=received, refused=refused)


def files_counted(count: int) -> str:
    """Return a number of files in words."""
    return translate("Worklist", "1 file") if count == 1 else translate("Worklist", "%n files", "", count)


def studies_counted(count: int) -> str:
    """Return a number of studies in words."""
    return translate("Worklist", "1 study") if count == 1 else translate("Worklist", "%n studies", "", count)


def notes_counted(count: int) -> str:
    """Return a number of notes in words."""
    return translate("Worklist", "1 note") if count == 1 else translate("Worklist", "%n notes", "", count)


def outcome_text(row: Row) -> str:
    """Return what became known of a study later."""
    test = {
        "pos": translate("Worklist", "RT-PCR positive"),
        "neg": translate("Worklist", "RT-PCR negative"),
        "inc": translate("Worklist", "RT-PCR without a clear result"),
    }.get(row.rt_pcr, "")
    truth = {
        "normal": translate("Worklist", "later truth: no abnormality"),
        "cp": translate("Worklist", "later truth: other abnormality"),
        "covid": translate("Worklist", "later truth: COVID-19"),
        "unclear": translate("Worklist", "later truth: unclear"),
    }.get(row.outcome, "")
    return ", ".join(part for part in (truth, test) if part)


def grade_word(outcome: Outcome) -> str:
    """Return what a finding means for the study."""
    return {
        Outcome.SCORED: translate("Worklist", "Note"),
        Outcome.WARNED: translate("Worklist", "Note"),
        Outcome.IGNORED: translate("Worklist", "Left out"),
        Outcome.UNSUITABLE: translate("Worklist", "Cannot be scored"),
        Outcome.REFUSED: translate("Worklist", "Refused"),
    }[outcome]


def spoken(row: Row, identity: Identity, now: datetime, *, covered: bool = False) -> str:
    """Return a row as sentences for a screen reader: lane, who, when, waiting, score, state, notes, reader."""
    sentences = [
        lane_title(row.lane) if row.lane else "",
        ", ".join(part for part in (identity_text(identity), age_sex_text(row)) if part),
        study_time_text(row),
        _spoken_waiting(row, now),
        _spoken_score(row, covered),
        state_text(row),
        notes_text(row, covered=covered),
        reader_text(row) or translate("Worklist", "not read"),
    ]
    return ". ".join(sentence for sentence in sentences if sentence) + "."


def _spoken_waiting(row: Row, now: datetime) -> str:
    waiting = waiting_text(row, now)
    return translate("Worklist", "waits {time}").format(time=waiting) if waiting else ""


def _spoken_score(row: Row, covered: bool) -> str:
    score = score_of(row)
    if score is None:
        return translate("Worklist", "no model score")
    if covered:
        return translate("Worklist", "model score covered, look first")
    if row.preliminary:
        return translate("Worklist", "preliminary model score {score}").format(score=score)
    if spread := spread_of(row):
        return translate("Worklist", "model score {score}, plus or minus {spread}").format(score=score, spread=spread)
    return translate("Worklist", "model score {score}").format(score=score)


def copied(row: Row, now: datetime, *, covered: bool = False) -> str:
    """Return a row for the clipboard, tab between cells, without anything that names the patient.

    Descriptions and notes are free text, in which names are met: they stay behind too.
    """
    cells = (
        lane_title(row.lane) if row.lane else "",
        age_sex_text(row),
        study_time_text(row),
        waiting_text(row, now),
        score_text(row, covered=covered),
        state_text(row),
        "; ".join(map(finding_text, notes_of(row))),
        impression_word(row.impression),
        action_word(row.action),
        row.pack,
    )
    return "\t".join(cell.replace("\t", " ") for cell in cells)


def number_text(number: int) -> str:
    """Return a count as the user's language writes it."""
    return QLocale().toString(number)


def folders_counted(count: int) -> str:
    """Return a number of folders in words."""
    return translate("Worklist", "1 folder") if count == 1 else translate("Worklist", "%n folders", "", count)


def sorting_name(column: Column) -> str:
    """Return what the list is said to be sorted by."""
    if column is Column.IDENTITY:
        return translate("Worklist", "Name")
    return translate("Worklist", "Age") if column is Column.AGE_SEX else column_name(column)
