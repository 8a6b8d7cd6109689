"""What a reader study shows in the end: the readers' figures without and with the model, compared case by case.

Source: paper-spec 8.4 to 8.8, 12; Tables 2 and 3, Figures 4 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.app.reader_study import Session, StudyState
from aicorona_desktop.app.reader_study_design import SESSIONS, Design, Participant, ReaderStudyError
from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.comparisons import Discordant, Judged, judged, paired
from aicorona_desktop.evaluation.delong import auc_interval
from aicorona_desktop.evaluation.manifest import Split
from aicorona_desktop.evaluation.metrics import Counts, Roc, counts_of, ratio, roc
from aicorona_desktop.evaluation.summary import Summary, summary
from aicorona_desktop.evaluation.tasks import ReaderRule, ScoreKind, Task
from aicorona_desktop.evaluation.tasks import Reading as SaidOfClasses

FIGURES: Final = ("sensitivity", "specificity", "f1", "kappa")
"""The figures of Table 3, and the panels of Figure 5."""

COMPARED: Final = ("sensitivity", "specificity", "accuracy")
COVID: Final = "covid"

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose row of Table 3 it is: a reader without or with the model, or, with reader None, the model itself."""

    reader: Participant | None
    aided: bool = False
    session: int = 0


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of Table 3. `auc` is NaN for readers; `unread` cases of the study have no answer."""

    caller: Caller
    figures: Summary
    auc: Interval
    unread: int = 0

    @property
    def counts(self) -> Counts:
        """The 2 x 2 table."""
        return self.figures.counts


@dataclass(frozen=True, slots=True)
class Compared:
    """Two callers on the same cases, by one of `COMPARED`: where they differ, the difference, McNemar's p with Holm."""

    figure: str
    cases: Discordant
    difference: Interval
    judged: Judged


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures of one comparison. `kind` is "aided" (with less without the model) or "model" (reader less model)."""

    kind: str
    reader: Participant
    aided: bool
    figures: tuple[Compared, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """How the answers of one reader changed from without to with the model, by truth and by what the model called.

    `with_model` are the cases whose aided call is the model's and whose unaided call was not; `against_model` the
    reverse; None where the model has no calls.
    """

    reader: Participant
    cases: int
    wrong_to_right: int
    right_to_wrong: int
    with_model: int | None
    against_model: int | None


@dataclass(frozen=True, slots=True)
class Times:
    """Table 2: active minutes of each pass, seconds a scan, and aided over unaided; NaN where nothing was read."""

    reader: Participant
    unaided_minutes: float
    aided_minutes: float
    unaided_s_per_scan: float
    aided_s_per_scan: float
    idle_cut: int

    @property
    def ratio(self) -> float:
        """Seconds a scan with the model over those without."""
        return ratio(self.aided_s_per_scan, self.unaided_s_per_scan)


@dataclass(frozen=True, slots=True)
class Model:
    """The model on the cases that it scored: `curve` and AUC; its calls at `threshold`, or by its top class (None)."""

    row: TableRow
    curve: Roc
    threshold: float | None
    scored: int
    without_score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that is shown; `unblinded` says that it was asked for before all had finished.

    `mean_difference` is the mean over readers of aided less unaided, by figure: the readers are the unit.
    """

    design: Design
    cases: int
    with_covid: int
    model: Model | None
    rows: tuple[TableRow, ...]
    comparisons: tuple[Comparison, ...]
    changes: tuple[Changes, ...]
    times: tuple[Times, ...]
    mean_difference: Mapping[str, float]
    unblinded: bool
    several_yes: int


def results_of(
    state: StudyState, probabilities: Mapping[str, Triple], threshold: float | None, *, level: float = 0.95
) -> Results:
    """Return the results.

    Args:
        state: the study.
        probabilities: the model's answer by Study Instance UID, for those that it scored.
        threshold: the operating point that holds; None: the model calls by its top class.
        level: of the intervals.

    Raises:
        ReaderStudyError: not all readers have finished, and nobody has asked for the results before.
    """
    if not state.results_are_open:
        raise ReaderStudyError("The results are covered until all readers have finished both sessions.")
    design, task = state.design, _task(state.design)
    truth = dict(zip((one.code for one in design.cases), task.truth([one.truth for one in design.cases]), strict=True))
    said = {key: _calls(session, task) for key, session in state.sessions.items()}
    model_calls = _model_calls(design, probabilities, threshold)
    families = _comparisons(state, said, model_calls, truth, level)
    rows = tuple(
        _reader_row(state.session(reader.code, number), reader, said[reader.code, number], truth, level)
        for reader in design.readers
        for number in sorted(SESSIONS, key=lambda number, reader=reader: state.session(reader.code, number).aided)  # type: ignore[misc]
        if said[reader.code, number]
    )
    return Results(
        design=design,
        cases=len(design.cases),
        with_covid=sum(map(bool, truth.values())),
        model=_model(design, probabilities, threshold, truth, level),
        rows=rows,
        comparisons=families,
        changes=tuple(_changes(state, reader, said, model_calls, truth) for reader in design.readers),
        times=tuple(_times(state, reader) for reader in design.readers),
        mean_difference=_means(rows),
        unblinded=not state.finished,
        several_yes=sum(
            sum(one.answer.yes) != 1
            for session in state.sessions.values()
            for one in session.readings
            if one.answer is not None
        ),
    )


# --- calls -------------------------------------------------------------------------------------------------------


def _task(design: Design) -> Task:
    """COVID-19 against the rest, of whatever labels the study has (paper-spec 9)."""
    rest = tuple(sorted({one.truth for one in design.cases} - {COVID}))
    return Task(
        id="reader_study",
        title="COVID-19 against the rest",
        cohort=None,
        split=Split.TEST,
        positive=(COVID,),
        negative=rest,
        score=ScoreKind.P,
        reader_rule=ReaderRule.IS_POSITIVE,
    )


def _calls(session: Session, task: Task) -> dict[str, bool]:
    """Return what was called COVID-19, by case, of the cases that have an answer."""
    answered = [one for one in session.readings if one.answer is not None]
    calls = task.reader_calls([SaidOfClasses(one.answer.yes) for one in answered if one.answer is not None])
    return {one.case: bool(call) for one, call in zip(answered, calls, strict=True)}


def _model_calls(design: Design, probabilities: Mapping[str, Triple], threshold: float | None) -> dict[str, bool]:
    place = CLASSES.index(COVID)
    found = {}
    for case in design.cases:
        answer = probabilities.get(case.study_instance_uid)
        if answer is not None:
            found[case.code] = answer[place] >= threshold if threshold is not None else answer[place] == max(answer)
    return found


def _common(*callers: Mapping[str, bool]) -> list[str]:
    return [case for case in callers[0] if all(case in other for other in callers[1:])]


def _array(values: Mapping[str, bool], cases: Sequence[str]) -> Bools:
    return np.array([values[case] for case in cases], dtype=np.bool_)


# --- tables ------------------------------------------------------------------------------------------------------


def _reader_row(
    session: Session, reader: Participant, calls: Mapping[str, bool], truth: Mapping[str, bool], level: float
) -> TableRow:
    cases = list(calls)
    counts = counts_of(_array(truth, cases), _array(calls, cases))
    figures = summary(counts, level=level, only=FIGURES)
    caller = Caller(reader, session.aided, session.number)
    return TableRow(caller, figures, Interval(nan, nan, nan, "-"), len(truth) - len(cases))


def _model(
    design: Design,
    probabilities: Mapping[str, Triple],
    threshold: float | None,
    truth: Mapping[str, bool],
    level: float,
) -> Model | None:
    """Return the model's row; None where it has no cases of both kinds."""
    scored = [one for one in design.cases if one.study_instance_uid in probabilities]
    of_truth = np.array([truth[one.code] for one in scored], dtype=np.bool_)
    if not of_truth.any() or of_truth.all():
        return None
    place = CLASSES.index(COVID)
    scores = np.array([probabilities[one.study_instance_uid][place] for one in scored], dtype=np.float64)
    calls = _model_calls(design, probabilities, threshold)
    counts = counts_of(of_truth, _array(calls, [one.code for one in scored]))
    missing = len(design.cases) - len(scored)
    row = TableRow(
        Caller(None), summary(counts, level=level, only=FIGURES), auc_interval(scores, of_truth, level), missing
    )
    return Model(row, roc(scores, of_truth), threshold, len(scored), missing)


def _comparisons(
    state: StudyState,
    said: Mapping[tuple[str, int], Mapping[str, bool]],
    model_calls: Mapping[str, bool],
    truth: Mapping[str, bool],
    level: float,
) -> tuple[Comparison, ...]:
    """Compare each reader with the model's help and without, and with the model; Holm over all of one figure."""
    asked: list[tuple[str, Participant, bool, Mapping[str, bool], Mapping[str, bool]]] = []
    for reader in state.design.readers:
        unaided, aided = _by_help(state, reader, said)
        asked.append(("aided", reader, True, aided, unaided))
        asked += [
            ("model", reader, help_given, calls, model_calls) for help_given, calls in ((False, unaided), (True, aided))
        ]
    asked = [one for one in asked if _common(one[3], one[4])]
    found = []
    for _, _, _, first, second in asked:
        cases = _common(first, second)
        found.append(paired(_array(truth, cases), _array(first, cases), _array(second, cases)))
    by_figure: dict[tuple[str, str], dict[int, Judged]] = {}
    for kind in ("aided", "model"):  # each kind is a table of its own, and so a family (paper-spec 8.6)
        places = [place for place, one in enumerate(asked) if one[0] == kind]
        for figure in COMPARED:
            of_family = judged([_p(getattr(found[place], figure)) for place in places])
            by_figure[kind, figure] = dict(zip(places, of_family, strict=True))
    return tuple(
        Comparison(
            kind,
            reader,
            aided,
            tuple(
                Compared(
                    figure,
                    getattr(found[place], figure),
                    getattr(found[place], figure).difference(level),
                    by_figure[kind, figure][place],
                )
                for figure in COMPARED
            ),
        )
        for place, (kind, reader, aided, _, _) in enumerate(asked)
    )


def _p(cases: Discordant) -> float:
    return cases.mcnemar_exact if cases.total else nan


def _by_help(
    state: StudyState, reader: Participant, said: Mapping[tuple[str, int], Mapping[str, bool]]
) -> tuple[Mapping[str, bool], Mapping[str, bool]]:
    """Return a reader's calls without and with the model, whichever session came first."""
    sessions = sorted(SESSIONS, key=lambda number: state.session(reader.code, number).aided)
    return said[reader.code, sessions[0]], said[reader.code, sessions[1]]


def _changes(
    state: StudyState,
    reader: Participant,
    said: Mapping[tuple[str, int], Mapping[str, bool]],
    model_calls: Mapping[str, bool],
    truth: Mapping[str, bool],
) -> Changes:
    unaided, aided = _by_help(state, reader, said)
    cases = _common(unaided, aided)
    changed = [case for case in cases if unaided[case] != aided[case]]
    known = [case for case in changed if case in model_calls]
    return Changes(
        reader,
        len(cases),
        sum(aided[case] == truth[case] for case in changed),
        sum(aided[case] != truth[case] for case in changed),
        sum(aided[case] == model_calls[case] for case in known) if model_calls else None,
        sum(aided[case] != model_calls[case] for case in known) if model_calls else None,
    )


def _times(state: StudyState, reader: Participant) -> Times:
    sessions = [state.session(reader.code, number) for number in SESSIONS]
    unaided, aided = sorted(sessions, key=lambda session: session.aided)
    seconds = [sum(one.seconds for one in session.readings) for session in (unaided, aided)]
    scans = [sum(one.answer is not None for one in session.readings) for session in (unaided, aided)]
    return Times(
        reader,
        seconds[0] / 60 if scans[0] else nan,
        seconds[1] / 60 if scans[1] else nan,
        ratio(seconds[0], scans[0]),
        ratio(seconds[1], scans[1]),
        sum(one.idle_cut for session in sessions for one in session.readings),
    )


def _means(rows: Sequence[TableRow]) -> dict[str, float]:
    """Return the mean over readers of aided less unaided; NaN where nobody has both."""
    by_reader: dict[str, dict[bool, TableRow]] = {}
    for row in rows:
        if row.caller.reader is not None:
            by_reader.setdefault(row.caller.reader.code, {})[row.caller.aided] = row
    both = [pair for pair in by_reader.values() if len(pair) == 2]
    return {
        figure: float(np.mean([pair[True].figures[figure].value - pair[False].figures[figure].value for pair in both]))
        if both
        else nan
        for figure in FIGURES
    }
