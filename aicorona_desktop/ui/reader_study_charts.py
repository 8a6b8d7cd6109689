"""Figures 4 and 5 of a reader study on the screen: the model's curve with the readers' marks, figures with intervals.

A hollow mark is a reader without the model, a filled one with it; each reader has a shape of their own (paper-spec 12).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any, Final

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, QSize, Qt
from PySide6.QtGui import QColor, QPalette, QShowEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from aicorona_desktop.app.reader_study_results import FIGURES, Results, TableRow
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.ui.charts import load_pyqtgraph
from aicorona_desktop.ui.reader_study_words import caller_words, figure_words

translate = QCoreApplication.translate

SHAPES: Final = ("o", "s", "t1", "d", "t", "star", "p", "h", "t2", "t3")
"""One a reader, in pyqtgraph's letters."""

MARK_PX: Final = 11
ROOM: Final = 0.06
"""Round the plots, so that no mark is cut at an edge."""

LINES_HIGH: Final = 20
ZOOM: Final = (0.3, 0.7)
"""The zoomed window of Figure 4: x up to, y from; larger where a mark lies outside (paper-spec 13.2)."""


class Chart(QWidget):
    """A plot that is made when it is first seen, in the colours and text size of the window."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        self.setAccessibleName(name)
        self.plot: Any = None  # pg.PlotWidget
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    def sizeHint(self) -> QSize:
        """Some lines high, whatever the text size is."""
        high = self.fontMetrics().height() * LINES_HIGH
        return QSize(high, high)

    def showEvent(self, event: QShowEvent) -> None:
        """Make the plot."""
        super().showEvent(event)
        self._make()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme and the text size."""
        super().changeEvent(event)
        if self.plot is not None and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange):
            self._draw()

    def _make(self) -> None:
        if self.plot is not None:
            return
        self.plot = load_pyqtgraph().PlotWidget(self)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        self.plot.setAccessibleName(self.accessibleName())
        layout = self.layout()
        if layout is not None:
            layout.addWidget(self.plot)
        self._draw()

    def _draw(self) -> None:
        """Draw everything anew."""
        self.plot.clear()
        self.plot.setBackground(self.palette().color(QPalette.ColorRole.Window))
        for side in ("bottom", "left"):
            axis = self.plot.getAxis(side)
            axis.setPen(self._ink)
            axis.setTextPen(self._ink)
            axis.setStyle(tickFont=self.font())
            axis.enableAutoSIPrefix(False)
            axis.label.setFont(self.font())

    @property
    def _ink(self) -> QColor:
        return self.palette().color(QPalette.ColorRole.WindowText)

    @property
    def _accent(self) -> QColor:
        return self.palette().color(QPalette.ColorRole.Accent)

    def _mark(self, x: float, y: float, shape: str, *, filled: bool, colour: QColor, size: int = MARK_PX) -> None:
        graph = load_pyqtgraph()
        back = self.palette().color(QPalette.ColorRole.Window)
        pen = graph.mkPen(colour, width=1.6)
        brush = graph.mkBrush(colour if filled else back)
        self.plot.addItem(graph.ScatterPlotItem([x], [y], symbol=shape, size=size, pen=pen, brush=brush))


class RocChart(Chart):
    """Figure 4: the model's curve and point, each reader's two marks; `zoomed` shows the upper left corner."""

    def __init__(self, results: Results, *, zoomed: bool, parent: QWidget | None = None) -> None:
        name = (
            translate("ReaderStudy", "Upper left corner of the curve")
            if zoomed
            else translate("ReaderStudy", "Curve of the model with the readers' marks")
        )
        super().__init__(name, parent)
        self._results = results
        self._zoomed = zoomed

    def _draw(self) -> None:
        super()._draw()
        graph, model = load_pyqtgraph(), self._results.model
        if model is not None:
            x = model.curve.false_positives / model.curve.negatives
            y = model.curve.true_positives / model.curve.positives
            self.plot.addItem(graph.PlotDataItem(x, y, pen=graph.mkPen(self._accent, width=2)))
            self._mark(*_place(model.row), "x", filled=True, colour=self._accent)
        rows = marked(self._results.rows)
        for place, (row, shape) in enumerate(rows):
            size = MARK_PX + (len(rows) - 1 - place)  # of two in one spot the one below shows at its edge
            self._mark(*_place(row), shape, filled=row.caller.aided, colour=self._ink, size=size)
        self.plot.setLabel("bottom", translate("ReaderStudy", "1 - specificity"))
        self.plot.setLabel("left", translate("ReaderStudy", "Sensitivity"))
        low_x, high_x, low_y, high_y = self._limits()
        self.plot.setXRange(low_x, high_x, padding=ROOM)
        self.plot.setYRange(low_y, high_y, padding=ROOM)

    def _limits(self) -> tuple[float, float, float, float]:
        if not self._zoomed:
            return 0.0, 1.0, 0.0, 1.0
        rows = [*self._results.rows, *((self._results.model.row,) if self._results.model is not None else ())]
        places = [place for place in map(_place, rows) if not any(map(isnan, place))]
        return 0.0, max([ZOOM[0], *(x for x, _ in places)]), min([ZOOM[1], *(y for _, y in places)]), 1.0


class FigureChart(Chart):
    """One panel of Figure 5: one figure of the model and of every reader, each with its interval."""

    def __init__(self, results: Results, figure: str, parent: QWidget | None = None) -> None:
        super().__init__(figure_words(figure), parent)
        self._results = results
        self._figure = figure

    def sizeHint(self) -> QSize:
        """Half as high as Figure 4: four of them stand below each other in two rows."""
        return super().sizeHint() * 0.6

    def _draw(self) -> None:
        super()._draw()
        graph = load_pyqtgraph()
        model = self._results.model
        rows = [*((model.row,) if model is not None else ()), *self._results.rows]
        shapes = dict(_keys(self._results.rows))
        lows = []
        for place, row in enumerate(rows):
            interval = row.figures[self._figure]
            if isnan(interval.value):
                continue
            of_model = row.caller.reader is None
            colour = self._accent if of_model else self._ink
            self._interval(graph, place, interval, colour)
            shape = "x" if row.caller.reader is None else shapes[row.caller.reader.code]
            self._mark(place, interval.value, shape, filled=of_model or row.caller.aided, colour=colour)
            lows.append(interval.low)
        self.plot.setTitle(figure_words(self._figure), color=self._ink, size=f"{self.font().pointSizeF():.0f}pt")
        self.plot.getAxis("bottom").setTicks(
            [[(place, caller_words(row.caller, short=True)) for place, row in enumerate(rows)]]
        )
        self.plot.setXRange(-0.7, max(len(rows) - 0.3, 0.7), padding=0.02)  # the last name needs its room
        low = min([value for value in lows if not isnan(value)], default=0.0)
        self.plot.setYRange(min(low, 0.9), 1.0, padding=ROOM)

    def _interval(self, graph: Any, place: int, interval: Interval, colour: QColor) -> None:
        if isnan(interval.low):
            return
        pen = graph.mkPen(colour, width=1.6)
        self.plot.addItem(
            graph.PlotDataItem(np.array([place, place]), np.array([interval.low, interval.high]), pen=pen)
        )


class Figures(QWidget):
    """Figures 4 and 5, and what the marks mean."""

    def __init__(self, results: Results, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        above = QHBoxLayout()
        self.curves = (RocChart(results, zoomed=False), RocChart(results, zoomed=True))
        for chart in self.curves:
            above.addWidget(chart)
        column.addLayout(above, 3)
        column.addWidget(self._made_key(results))
        grid = QGridLayout()
        self.panels = tuple(FigureChart(results, figure) for figure in FIGURES)
        for place, panel in enumerate(self.panels):
            grid.addWidget(panel, place // 2, place % 2)
        column.addLayout(grid, 4)

    def _made_key(self, results: Results) -> QLabel:
        shapes = {
            "o": "○●",
            "s": "□■",
            "t1": "△▲",
            "d": "◇◆",
            "t": "▽▼",
            "star": "☆★",
        }
        parts = [f"{shapes.get(shape, shape)} {code}" for code, shape in _keys(results.rows)]
        if results.model is not None:
            parts.insert(0, translate("ReaderStudy", "× model"))
        text = translate("ReaderStudy", "{marks}. Hollow: without the model; filled: with it. Lines: 95 % intervals.")
        label = QLabel(text.format(marks="   ".join(parts)), self, textFormat=Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        return label


def marked(rows: Sequence[TableRow]) -> list[tuple[TableRow, str]]:
    """Return the readers' rows with the shape of each reader."""
    shapes = dict(_keys(rows))
    return [(row, shapes[row.caller.reader.code]) for row in rows if row.caller.reader is not None]


def _keys(rows: Sequence[TableRow]) -> list[tuple[str, str]]:
    codes = list(dict.fromkeys(row.caller.reader.code for row in rows if row.caller.reader is not None))
    return [(code, SHAPES[place % len(SHAPES)]) for place, code in enumerate(codes)]


def _place(row: TableRow) -> tuple[float, float]:
    return 1 - row.figures["specificity"].value, row.figures["sensitivity"].value
