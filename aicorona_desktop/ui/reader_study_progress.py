"""What a reader study is and how far its readers have come, in words."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale

from aicorona_desktop.app.reader_study import Session, Standing, Step, StudyState
from aicorona_desktop.ui.fold import Line

translate = QCoreApplication.translate


def study_lines(state: StudyState) -> list[Line]:
    """Return what a study is, in a few sentences."""
    design, locale = state.design, QLocale()
    text = translate("ReaderStudy", "{cases} cases, {readers} readers, {days} days between the sessions. {parts}")
    parts = translate("ReaderStudy", "Parts of {cases} cases or {minutes} minutes, then a pause of {pause} minutes.")
    said = parts.format(
        cases=locale.toString(design.chunk_cases),
        minutes=locale.toString(design.chunk_minutes),
        pause=locale.toString(design.pause_minutes),
    )
    lines = [
        Line(
            text.format(
                cases=locale.toString(len(design.cases)),
                readers=locale.toString(len(design.readers)),
                days=locale.toString(design.washout_days),
                parts=said,
            )
        )
    ]
    if state.unblinded is not None:
        told = translate("ReaderStudy", "The results were shown early by {by}: {why}")
        lines.append(
            Line(told.format(by=state.unblinded.details["by"], why=state.unblinded.details["why"]), strong=True)
        )
    return lines


def session_words(session: Session) -> str:
    """Return how far a session is, and whether the model is shown in it."""
    answered = sum(one.answer is not None for one in session.readings)
    help_given = (
        translate("ReaderStudy", "with the model") if session.aided else translate("ReaderStudy", "without the model")
    )
    text = translate("ReaderStudy", "{answered} of {total}, {help}")
    locale = QLocale()
    return text.format(answered=locale.toString(answered), total=locale.toString(len(session.order)), help=help_given)


def step_words(standing: Standing) -> str:
    """Return what a reader can do next."""
    if standing.step is Step.WAITS and standing.until is not None:
        text = translate("ReaderStudy", "second session from {day} on")
        return text.format(day=standing.until.astimezone().date().isoformat())
    return {
        Step.WAITS: translate("ReaderStudy", "waits"),
        Step.MAY_BEGIN: translate("ReaderStudy", "can begin a part"),
        Step.PAUSES: translate("ReaderStudy", "pauses"),
        Step.READS: translate("ReaderStudy", "is in a part"),
        Step.MAY_CLOSE: translate("ReaderStudy", "has a part to close"),
        Step.FINISHED: translate("ReaderStudy", "finished"),
    }[standing.step]


def nothing_yet() -> str:
    """Return what a reader study is, where there is none yet."""
    return translate(
        "ReaderStudy",
        "No reader study yet. Readers read the same cases twice, without and with the model, under codes; the end "
        "compares what they said.",
    )
