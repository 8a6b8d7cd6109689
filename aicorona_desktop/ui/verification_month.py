"""One month of the clinic: counts, drift, agreement, how long studies have waited; months page (ux.md 8.4)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from pathlib import Path

import numpy as np
from PySide6.QtCore import QCoreApplication, QStandardPaths
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QWidget

from aicorona_desktop.app.monthly import FEWEST, MonthPage, Waits, month_beside, month_of, month_page, page_table
from aicorona_desktop.core.durable import write_file
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.history.store import History, MonthRow
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.fold import Line, Lines
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.site_words import number
from aicorona_desktop.ui.study_words import decimal
from aicorona_desktop.ui.verification_charts import ScoresChart
from aicorona_desktop.ui.verification_parts import FlatTable, Page, allow, button
from aicorona_desktop.ui.verification_words import percent

translate = QCoreApplication.translate

LANE = "month"
LEAST_P = 0.001
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Counted:
    """A month with the scores it was made of."""

    page: MonthPage
    rows: tuple[MonthRow, ...]
    before: tuple[MonthRow, ...]
    point: float | None
    is_first: bool


class MonthPageView(Page):
    """The month in front; arrows go to the one before and after."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("verification_month", parent)
        self.context = context
        self.counted: Counted | None = None
        self.month = month_of(context.now())
        self.title = plain(QLabel(self))
        self.title.setObjectName("month_title")
        self.earlier = button("month_earlier", translate("Verification", "Month before"), lambda: self.turn(-1), self)
        self.later = button("month_later", translate("Verification", "Month after"), lambda: self.turn(1), self)
        self.export = button("month_export", translate("Verification", "Save as CSV…"), self._ask_place, self)
        head = QWidget(self)
        row = QHBoxLayout(head)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.earlier, self.title, self.later):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.export)
        self.column.addWidget(head)
        self.alarms, self.counts = Lines("month_alarms"), Lines("month_counts")
        self.drift, self.agreement = Lines("month_drift"), Lines("month_agreement")
        self.chart = ScoresChart(self)
        headers = (
            translate("Verification", "From arrival to first opening"),
            translate("Verification", "Studies"),
            translate("Verification", "Median"),
            translate("Verification", "Longest"),
        )
        self.waits = FlatTable("month_waits", translate("Verification", "How long studies have waited"), headers)
        for key, title, widgets in (
            ("month_alarms", translate("Verification", "To look into"), [self.alarms]),
            ("month_counts", translate("Verification", "Counts"), [self.counts]),
            (
                "month_drift",
                translate("Verification", "Scores and headers beside those before"),
                [self.drift, self.chart],
            ),
            ("month_agreement", translate("Verification", "Model, readers and outcomes"), [self.agreement]),
            ("month_waits", translate("Verification", "How long studies have waited"), [self.waits]),
        ):
            self.add_group(key, title, widgets, context.user)
        self.close_column()

    def enter(self) -> None:
        """Count the month in front anew."""
        reading, month, point = self.context.reading, self.month, self.context.running.points.threshold

        def work() -> Counted:
            return count_month(reading, month.begin, month.end, point)

        self.title.setText(month.name)
        self.context.jobs.run(work, self._show, self.say.emit, lane=LANE, key="month", owner=self)

    def turn(self, step: int) -> None:
        """Go to the month before or after."""
        self.month = month_beside(self.month, step)
        self.enter()

    def _show(self, counted: Counted) -> None:
        self.counted = counted
        page = counted.page
        self.title.setText(page.month.name)
        now = self.context.now()
        allow(self.earlier, translate("Verification", "The history begins here.") if counted.is_first else "")
        allow(self.later, "" if page.month.end <= now else translate("Verification", "This is the present month."))
        self.alarms.show_lines(alarm_lines(page))
        self.counts.show_lines(count_lines(page))
        self.drift.show_lines(drift_lines(page))
        self.agreement.show_lines(agreement_lines(page))
        self.waits.show_rows(wait_rows(page))
        month, before = (
            np.array([row.p_covid for row in rows if row.p_covid is not None])
            for rows in (counted.rows, counted.before)
        )
        self.chart.show_scores(month, before, counted.point)
        self.chart.setVisible(bool(month.size or before.size))

    def _ask_place(self) -> None:
        folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        title = translate("Verification", "Save the month")
        name = str(Path(folder) / f"month-{self.month.name}.csv")
        chosen, _ = QFileDialog.getSaveFileName(self, title, name, "CSV (*.csv)")
        if chosen:
            self.save_csv(Path(chosen))

    def save_csv(self, path: Path) -> None:
        """Write the figures of the month; no patient stands in it."""
        if self.counted is None:
            return
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("figure", "value"))
        writer.writerows(page_table(self.counted.page))
        try:
            write_file(path, stream.getvalue().encode())
        except OSError:
            self.say.emit(translate("Verification", "The month could not be written; is the folder closed?"))
            return
        self.say.emit(translate("Verification", "The month was saved as {name}.").format(name=path.name))


def count_month(history: History, begin: datetime, end: datetime, point: float | None) -> Counted:
    """Return a month beside all that came before it.

    Raises:
        HistoryError: the history can't be read.
    """
    with history.at_one_moment():
        rows, before = history.month_rows(begin, end), history.month_rows(LONG_AGO, begin)
    page = month_page(month_of(begin), rows, before, point)
    return Counted(page, rows, before, point, is_first=not before)


# --- words ---------------------------------------------------------------------------------------------------------


def alarm_lines(page: MonthPage) -> list[Line]:
    """Return a plain sentence for every limit that is passed, or that none is."""
    lines = []
    drift = page.drift
    if drift.is_told:
        text = translate(
            "Verification",
            "The scores of this month lie elsewhere than before: the largest difference of the two curves is "
            "{distance} of 100. Look whether scanner, protocol or patients have changed, and verify again.",
        )
        lines.append(Line(text.format(distance=decimal(100 * drift.distance, 0)), strong=True))
    kinds = {
        "manufacturer": translate("Verification", "a manufacturer"),
        "kernel": translate("Verification", "a kernel"),
        "thickness": translate("Verification", "a slice thickness"),
    }
    for one in page.new_values:
        text = translate("Verification", "{share} % of the studies have {kind} that was never seen before: {value}.")
        share = decimal(100 * one.share.value, 0)
        lines.append(
            Line(text.format(share=share, kind=kinds[one.kind], value=f"\u2068{one.value}\u2069"), strong=True)
        )
    return lines or [Line(translate("Verification", "No limit is passed."))]


def count_lines(page: MonthPage) -> list[Line]:
    """Return the counts of the month, each of how many."""
    every = translate("Verification", "{count} of {all}")
    flagged = (
        translate("Verification", "none are set: there is no operating point")
        if page.flagged is None
        else every.format(count=number(page.flagged), all=number(page.scored))
    )
    return [
        Line(number(page.studies), translate("Verification", "Studies that arrived")),
        Line(every.format(count=number(page.scored), all=number(page.studies)), translate("Verification", "Scored")),
        Line(flagged, translate("Verification", "Flags")),
        Line(every.format(count=number(page.doubtful), all=number(page.scored)), translate("Verification", "Doubtful")),
        Line(
            every.format(count=number(page.unsuitable), all=number(page.studies)),
            translate("Verification", "Cannot be scored"),
        ),
    ]


def drift_lines(page: MonthPage) -> list[Line]:
    """Return the scores of the month beside those before."""
    drift = page.drift
    both = translate("Verification", "{month} this month (n {n}), {before} before (n {m})")

    def beside(month: str, before: str) -> str:
        return both.format(month=month, n=number(drift.scores), before=before, m=number(drift.before))

    medians = beside(_score(drift.median), _score(drift.median_before))
    lines = [Line(medians, translate("Verification", "Median score"))]
    if not isnan(drift.flagged.value) or not isnan(drift.flagged_before.value):
        shares = beside(percent(drift.flagged), percent(drift.flagged_before))
        lines.append(Line(shares, translate("Verification", "At or above the operating point")))
    if min(drift.scores, drift.before) < FEWEST:
        few = translate("Verification", "Too few scores to tell a drift: {fewest} are needed on each side.")
        return [*lines, Line(few.format(fewest=number(FEWEST)))]
    text = translate("Verification", "{distance} of 100 (chance of so much without a drift: p {p})")
    chance = decimal(drift.p, 3) if drift.p >= LEAST_P else f"< {decimal(LEAST_P, 3)}"
    shown = text.format(distance=decimal(100 * drift.distance, 0), p=chance)
    lines.append(Line(shown, translate("Verification", "Largest difference of the two curves (Kolmogorov-Smirnov)")))
    dashed = translate("Verification", "The line is this month, the dashed one all before.")
    return [*lines, Line(dashed)]


def agreement_lines(page: MonthPage) -> list[Line]:
    """Return how model, readers and later outcomes agree."""
    text = translate("Verification", "{share} of {n} studies with a score and an own impression")
    lines = [
        Line(
            text.format(share=percent(page.agreement), n=number(page.judged)),
            translate("Verification", "Model and reader agree"),
        ),
        Line(number(page.differ), translate("Verification", "Model and reader differ")),
        Line(number(page.with_outcome), translate("Verification", "With a score and a later outcome")),
    ]
    if page.missed is not None and page.false_alarms is not None:
        of = translate("Verification", "{count} of {all} with a later outcome")
        lines += [
            Line(
                of.format(count=number(page.missed), all=number(page.with_outcome)),
                translate("Verification", "Missed"),
            ),
            Line(
                of.format(count=number(page.false_alarms), all=number(page.with_outcome)),
                translate("Verification", "False alarms"),
            ),
        ]
    lines.append(
        Line(translate("Verification", "No measure of how good the model is: readers may have seen the score before."))
    )
    return lines


def wait_rows(page: MonthPage) -> list[Sequence[str]]:
    """Return the waits as they were, and as they would have been in order of arrival."""
    flagged, others = translate("Verification", "flagged"), translate("Verification", "others")
    was = translate("Verification", "As it was, {which}")
    would = translate("Verification", "In order of arrival, {which}")
    return [
        _wait(was.format(which=flagged), page.waits_flagged),
        _wait(would.format(which=flagged), page.arrival_flagged),
        _wait(was.format(which=others), page.waits_others),
        _wait(would.format(which=others), page.arrival_others),
        (translate("Verification", "Not opened"), number(page.never_opened), "–", "–"),
    ]


def _wait(name: str, waits: Waits) -> Sequence[str]:
    return name, number(waits.studies), _minutes(waits.median), _minutes(waits.longest)


def _minutes(value: float) -> str:
    if isnan(value):
        return "–"
    return translate("Verification", "{minutes} min").format(minutes=decimal(value, 0))


def _score(interval: Interval) -> str:
    if isnan(interval.value):
        return "–"
    value = decimal(100 * interval.value, 1)
    if not interval.estimable:
        return value
    text = translate("Verification", "{value} ({low} to {high})")
    return text.format(value=value, low=decimal(100 * interval.low, 1), high=decimal(100 * interval.high, 1))
