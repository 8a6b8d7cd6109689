"""Which slices moved the score, strongest first, and what it is without them: places, not findings (ux.md 5.8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import QCoreApplication, QLocale, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.core.score import Score
from aicorona_desktop.ui.charts import BarChart, Bars
from aicorona_desktop.ui.contributions import Contribution, Without, contributions
from aicorona_desktop.ui.fold import Line, Lines, wrap
from aicorona_desktop.ui.study_words import class_name, decimal, one_slice_text, points, signed

translate = QCoreApplication.translate

ROWS_SEEN = 6
FOR, AGAINST = QColor("#E69F00"), QColor("#7f7f7f")  # as in the strip of slices
HALF_BAR = 0.4
_PLACE = Qt.ItemDataRole.UserRole


class ContributionList(QWidget):
    """The slices of a score by what they say of one class; `chosen` asks for one, by its place in the score."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[int, int] = {}
        self.intro = QLabel(self)
        wrap(self.intro)
        self._numbers: dict[int, int] = {}
        self.chart = BarChart(FOR, AGAINST, self)
        self.chart.setObjectName("contribution_chart")
        self.table = QTableWidget(0, 3, self)
        self.table.setObjectName("contributions")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.go = QPushButton(self)
        self.go.setObjectName("go_to_slice")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.intro, self.chart, self.table, self.go):
            layout.addWidget(widget)
        self.table.cellActivated.connect(self._ask)
        self.go.clicked.connect(self._ask)
        self.table.itemSelectionChanged.connect(self._enable)
        self.chart.clicked.connect(self._ask_for_nearest)
        self._enable()

    def show_score(self, score: Score, of_class: str, number_of: Callable[[int], int | None]) -> None:
        """List the slices of a score; `number_of` gives a slice's number on the screen, from 1, or None."""
        ordered = contributions(score, of_class)
        name = class_name(of_class)
        self.intro.setText(
            translate("StudyPanel", "Where the score for {name} comes from. A list of places, not of findings.").format(
                name=name
            )
        )
        self.table.setAccessibleName(translate("StudyPanel", "Slices by contribution to {name}").format(name=name))
        headings = (
            translate("StudyPanel", "Slice"),
            translate("StudyPanel", "Share"),
            translate("StudyPanel", "Logit"),
        )
        self.table.setHorizontalHeaderLabels(headings)
        self._show_chart(ordered, number_of, name)
        self.go.setText(translate("StudyPanel", "Go to slice"))
        self._rows = {one.place: row for row, one in enumerate(ordered)}
        self.table.setRowCount(len(ordered))
        for row, one in enumerate(ordered):
            self._fill(row, one, number_of(one.place))
        line = self.table.verticalHeader().defaultSectionSize()
        heading = self.table.horizontalHeader().sizeHint().height()
        self.table.setMinimumHeight(heading + min(len(ordered), ROWS_SEEN) * line + 2 * self.table.frameWidth())
        self._enable()

    def mark(self, place: int | None) -> None:
        """Select the slice that is on the screen, if it is one of them; nobody is asked to go there."""
        blocked = self.table.blockSignals(True)
        self.table.clearSelection()
        row = None if place is None else self._rows.get(place)
        if row is not None:
            self.table.selectRow(row)
        self.table.blockSignals(blocked)
        self.chart.mark(None if place is None else self._numbers.get(place))
        self._enable()

    def _fill(self, row: int, one: Contribution, number: int | None) -> None:
        shown = QLocale().toString(number) if number is not None else translate("StudyPanel", "not here")
        percent = (
            translate("StudyPanel", "{share} %").format(share=decimal(100 * one.share, 1))
            if one.part > 0
            else translate("StudyPanel", "against")
        )
        for column, text in enumerate((shown, percent, signed(one.part, 4))):
            item = QTableWidgetItem(text)
            item.setData(_PLACE, one.place)
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(row, column, item)

    def _show_chart(self, ordered: Sequence[Contribution], number_of: Callable[[int], int | None], name: str) -> None:
        """Draw what each slice adds to the logit over its number on the screen, feet first."""
        numbered = sorted(
            ((number, one) for one in ordered if (number := number_of(one.place)) is not None), key=lambda pair: pair[0]
        )
        self._numbers = {one.place: number for number, one in numbered}
        at = np.array([number for number, _ in numbered], np.float64)
        parts = np.array([one.part for _, one in numbered], np.float64)
        self.chart.setAccessibleName(translate("StudyPanel", "Contribution of each slice to {name}").format(name=name))
        bars = Bars(at - HALF_BAR, at + HALF_BAR, parts)
        self.chart.show_bars(bars, translate("StudyPanel", "Slice"), translate("StudyPanel", "Logit"))

    def _ask_for_nearest(self, number: float) -> None:
        if self._numbers:
            self.chosen.emit(min(self._numbers, key=lambda place: abs(self._numbers[place] - number)))

    def _ask(self) -> None:
        selected = self.table.selectedItems()
        if selected:
            self.chosen.emit(int(selected[0].data(_PLACE)))

    def _enable(self) -> None:
        ready = bool(self.table.selectedItems())
        self.go.setEnabled(ready)
        self.go.setToolTip("" if ready else translate("StudyPanel", "Choose a slice in the list first."))


class FragilityView(Lines):
    """The score without its strongest slices: how much of it hangs on a few."""

    def __init__(self) -> None:
        super().__init__("fragility")

    def show_score(self, score: Score, without: Sequence[Without]) -> None:
        """Show what is left of a score; nothing is said where it was computed by another pack."""
        self.show_lines(fragility_lines(score, without))


def fragility_lines(score: Score, without: Sequence[Without]) -> list[Line]:
    """Return the score and the score without its strongest slices, one line each, and what follows from it."""
    if score.pack_sha256 and not without and len(score.slice_indices) > 1:
        return [Line(translate("StudyPanel", "Another pack gave this score; score it again to see how fragile it is."))]
    lines = [Line(points(score.p_covid), translate("StudyPanel", "With all slices"))]
    for one in without:
        change = signed(100 * (one.p_covid - score.p_covid), 0)
        text = translate("StudyPanel", "{score} ({change})").format(score=points(one.p_covid), change=change)
        label = (
            translate("StudyPanel", "Without the strongest slice")
            if one.left_out == 1
            else translate("StudyPanel", "Without the {count} strongest").format(count=one.left_out)
        )
        lines.append(Line(text, label))
    if len(score.slice_indices) == 1:
        lines.append(Line(translate("StudyPanel", "There is only one slice.")))
    if score.fragility is not None and score.fragility.rests_on_one_slice:
        lines.append(Line(one_slice_text(), strong=True))
    return lines
