"""The rows of Tables 3 to 9: the model, publications, RT-PCR, and each pass of each reader, with all figures.

Source: paper-spec 13.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import nan
from types import MappingProxyType
from typing import Final

from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.metrics import Counts
from aicorona_desktop.evaluation.report.answers import FIGURES, Answers, ModelAnswers, ReaderAnswers, Wishes
from aicorona_desktop.evaluation.report.printed import EXTERNAL, MODEL, RTPCR, of_row
from aicorona_desktop.evaluation.rtpcr import Best
from aicorona_desktop.evaluation.summary import summary
from aicorona_desktop.evaluation.tasks import Task

UNDEFINED: Final = Interval(nan, nan, nan)


class Kind(StrEnum):
    """Where the numbers of a row come from."""

    MODEL = "model"
    PUBLICATION = "from publication"
    OTHER_DATA = "other data set"
    READER = "reader"


class F1(StrEnum):
    """What the column F1 of the model's row holds."""

    STANDARD = "standard"
    AS_PRINTED = "as_printed"  # the harmonic mean of sensitivity and specificity, as the paper has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One row of a table. `figures` are by the names of `FIGURES` and "auc"; what is not known is left out."""

    name: str
    kind: Kind
    aided: bool = False
    reader_id: str = ""
    counts: Counts | None = None
    figures: Mapping[str, Interval] = field(default_factory=dict)
    by_subject: Mapping[str, Interval] = field(default_factory=dict)
    effects: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def figure(self, name: str) -> Interval:
        """Return a figure, undefined where it isn't known."""
        return self.figures.get(name, UNDEFINED)

    def f1(self, kind: F1) -> Interval:
        """Return what the column F1 holds."""
        return self.figure("hm_se_sp" if kind is F1.AS_PRINTED and self.kind is Kind.MODEL else "f1")


def callers_of(answers: Answers, task: Task, wishes: Wishes, best_pcr: Best | None) -> tuple[Caller, ...]:
    """Return the rows of a task's table, in the paper's order; only the model and readers that there are."""
    found: list[Caller] = []
    model = answers.model.get(task.id)
    if model is not None:
        found.append(_of_model(model))
    found += [one for name in EXTERNAL if (one := _of_publication(task, name)) is not None]
    if task.id == "mdh_covid_vs_rest" and best_pcr is not None:
        found.append(_of_pcr(best_pcr))
    found += [_of_reader(one, wishes) for one in answers.readers.get(task.id, ())]
    return tuple(found)


def readers_among(callers: Sequence[Caller]) -> tuple[Caller, ...]:
    """Return the rows of readers."""
    return tuple(one for one in callers if one.kind is Kind.READER)


def _of_model(model: ModelAnswers) -> Caller:
    assessment = model.assessment
    figures = {"auc": assessment.auc}
    if model.counts is not None:
        figures |= {name: assessment.summary[name] for name in FIGURES}
    kept = {name: one.interval for name, one in assessment.by_subject.items() if name in figures}
    return Caller(
        name=MODEL,
        kind=Kind.MODEL,
        counts=model.counts,
        figures=MappingProxyType(figures),
        by_subject=MappingProxyType(kept),
        effects=assessment.design_effects,
        notes=(*model.notes, *([assessment.note] if assessment.note else [])),
    )


def _of_publication(task: Task, name: str) -> Caller | None:
    """Return a row that is quoted; a cell that is probably a slip is left out (erratum 12)."""
    cells = of_row(task.table, name)
    if not cells:
        return None
    figures = {
        metric: Interval(cell.interval.value, cell.interval.low, cell.interval.high, "from publication")
        for metric, cell in cells.items()
        if cell.status != "not_reported" and "copying slip" not in cell.note
    }
    slips = [f"{name}: {metric} is left out, {cell.note}." for metric, cell in cells.items() if "slip" in cell.note]
    counts = next((cell.counts for cell in cells.values() if cell.counts is not None), None)
    notes = (f"{name}: quoted from its publication, not measured on these scans; no test is possible.", *slips)
    return Caller(name=name, kind=Kind.PUBLICATION, counts=counts, figures=MappingProxyType(figures), notes=notes)


def _of_pcr(best: Best) -> Caller:
    day = best.day
    note = (
        f"{RTPCR}: the best {(best.last_day - best.first_day).days + 1} days of its own series, {best.first_day} to "
        f"{best.last_day}, {day.found} of {day.total} subjects; not measured on these scans. Over all days it is "
        f"{best.overall.value:.3f}; without the luck of having been picked the best would be {best.corrected:.3f}."
    )
    figures = MappingProxyType({"sensitivity": day.sensitivity})
    return Caller(name=RTPCR, kind=Kind.OTHER_DATA, figures=figures, notes=(note,))


def _of_reader(one: ReaderAnswers, wishes: Wishes) -> Caller:
    made = summary(one.counts, level=wishes.level, method=wishes.method, only=FIGURES)
    note = f"{one.read.name}: {one.unread} scans of this question have no reading." if one.unread else ""
    return Caller(
        name=one.read.name,
        kind=Kind.READER,
        aided=one.read.aided,
        reader_id=one.read.reader_id,
        counts=one.counts,
        figures=made.figures,
        notes=(note,) if note else (),
    )
