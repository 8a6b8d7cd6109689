"""compare.csv: every number that the paper prints beside ours.

Source: paper-spec 13.4; statuses are ours: what became of each printed cell here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import isnan, nan
from typing import Final

from aicorona_desktop.evaluation import table_1
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.report.callers import F1, UNDEFINED, Caller, Kind
from aicorona_desktop.evaluation.report.printed import MODEL, Printed, printed
from aicorona_desktop.evaluation.report.sheets import Part, Sheet
from aicorona_desktop.evaluation.report.study import Study, model_seconds, reader_seconds

ROUNDING: Final = 0.000501
"""Printed numbers have three digits, rounded half to even (paper-spec 7.7)."""

MINUTES: Final = 0.5


class Status(StrEnum):
    """What became of a printed cell."""

    SAME = "same"  # ours rounds to what is printed
    CORRECTED = "corrected"  # ours is what should have been printed
    DIFFERENT = "different"
    NOT_AVAILABLE = "not available"
    QUOTED = "quoted"  # from another publication: nothing to compare
    NOT_PRINTED = "not printed"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One printed cell and ours."""

    cell: Printed
    ours: Interval
    status: Status
    note: str

    @property
    def difference(self) -> float:
        """Ours less the printed."""
        return self.ours.value - self.cell.interval.value


def comparisons(study: Study) -> tuple[Comparison, ...]:
    """Return every printed cell beside ours, in the order of the tables."""
    ours = dict(_ours(study))
    return tuple(_compared(study, cell, ours.get((cell.table, cell.row, cell.metric), UNDEFINED)) for cell in printed())


def compare_sheet(found: tuple[Comparison, ...]) -> Sheet:
    """Return compare.csv."""
    columns = (
        *("table", "row", "metric", "ours", "ours_low", "ours_high", "printed", "printed_low", "printed_high"),
        *("difference", "status", "note"),
    )
    rows = tuple(
        (
            *(one.cell.table, one.cell.row, one.cell.metric, one.ours.value, one.ours.low, one.ours.high),
            *(one.cell.interval.value, one.cell.interval.low, one.cell.interval.high),
            *(one.difference, one.status.value, one.note),
        )
        for one in found
    )
    tables = dict.fromkeys(one.cell.table for one in found)
    shown = tuple(
        (table, *(str(sum(one.cell.table == table and one.status is status for one in found)) for status in Status))
        for table in tables
    )
    title = "Ours against what the paper prints"
    part = Part(
        title=title,
        columns=("Table", *(status.value.capitalize() for status in Status)),
        rows=shown,
        notes=(
            "Counts of printed cells; compare.csv has each. Printed intervals are given beside ours and not compared: "
            "no standard method gives them (erratum 10).",
        ),
    )
    return Sheet(name="compare", title=title, columns=columns, rows=rows, parts=(part,))


def _compared(study: Study, cell: Printed, ours: Interval) -> Comparison:
    if cell.status == "external_source" or (cell.table == "3c" and cell.row != MODEL):
        return Comparison(cell, ours, Status.QUOTED, cell.note)
    if isnan(cell.interval.value):
        return Comparison(cell, ours, Status.NOT_PRINTED, cell.note)
    if isnan(ours.value):
        return Comparison(cell, ours, Status.NOT_AVAILABLE, cell.note)
    tolerance = MINUTES if cell.table == "2" else ROUNDING
    if abs(ours.value - cell.interval.value) <= tolerance:
        return Comparison(cell, ours, Status.SAME, cell.note)
    if cell.status == "misprint" and ours.value == cell.recomputed:
        return Comparison(cell, ours, Status.CORRECTED, cell.note)
    note = cell.note
    if cell.row == MODEL and cell.metric == "f1" and study.f1 is F1.STANDARD:
        note = "the printed number is the harmonic mean of sensitivity and specificity, ours is F1 (erratum 8)"
    return Comparison(cell, ours, Status.DIFFERENT, note)


_Key = tuple[str, str, str]

_ROWS_OF_TABLE_9: Final = {
    "mdh_nca_vs_rest": "abnormal vs normal + COVID",
    "mdh_normal_vs_rest": "normal vs abnormal + COVID",
    "mdh_covid_vs_normal": "COVID vs normal",
    "mdh_covid_vs_nca": "COVID vs abnormal",
    "mdh_nca_vs_normal": "normal vs abnormal",
}


def _ours(study: Study) -> Iterator[tuple[_Key, Interval]]:
    """Yield our number of each cell that we have."""
    if study.inputs.rows:
        for cell in table_1.compare(study.inputs.rows):
            yield ("1", f"{cell.cohort}/{cell.label}", f"{cell.column}_subjects"), _plain(cell.subjects)
            yield ("1", f"{cell.cohort}/{cell.label}", f"{cell.column}_scans"), _plain(cell.scans)
    model = model_seconds(study)
    timed = {**({MODEL: model} if model else {}), **reader_seconds(study)}
    for name, one in timed.items():
        yield ("2", name, "minutes_for_357_scans"), _plain(one.total / 60)
    for task in study.tasks:
        for caller in study.callers[task.id]:
            yield from _of_caller(study, task.table, caller)
        model_answers = study.answers.model.get(task.id)
        if task.auc_table == "9" and model_answers is not None:
            yield ("9", _ROWS_OF_TABLE_9.get(task.id, task.id), "auc"), model_answers.assessment.auc


def _of_caller(study: Study, table: str, caller: Caller) -> Iterator[tuple[_Key, Interval]]:
    if caller.kind is Kind.PUBLICATION:
        return
    for metric in ("sensitivity", "specificity", "kappa", "auc"):
        yield (table, caller.name, metric), caller.figure(metric)
    yield (table, caller.name, "f1"), caller.f1(study.f1)


def _plain(number: float) -> Interval:
    return Interval(float(number), nan, nan)
