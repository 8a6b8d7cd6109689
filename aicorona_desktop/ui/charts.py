"""Bars over an axis, drawn by pyqtgraph, which is loaded with the first chart: it costs a third of a second."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPalette, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from aicorona_desktop.ui.jobs import Jobs

LINES_HIGH = 9
"""How high a chart is, in lines of text: numbers and words of the axis take two of them."""


SHARE_OF_AXIS = 0.6
"""How much of the width of a narrow chart its axis has, the rest being numbers and words beside it."""


def step_of(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, 50 and so on that is not smaller than this."""
    power = 10.0 ** math.floor(math.log10(max(least, 1.0)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least)


@lru_cache(maxsize=1)
def _pyqtgraph() -> Any:
    import pyqtgraph

    return pyqtgraph


def load_pyqtgraph() -> Any:
    """Return pyqtgraph, which is loaded when it is first asked for."""
    return _pyqtgraph()


def preload(jobs: Jobs, owner: QObject) -> None:
    """Load pyqtgraph on a thread, so that the first chart doesn't keep the window waiting."""
    jobs.run(_pyqtgraph, _nothing, lane="charts", key="load", owner=owner)


def _empty() -> NDArray[np.float64]:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars from `left` to `right` on the axis, each `height` high or, below zero, deep; float64 [bars]."""

    left: NDArray[np.float64] = field(default_factory=_empty)
    right: NDArray[np.float64] = field(default_factory=_empty)
    height: NDArray[np.float64] = field(default_factory=_empty)


class BarChart(QWidget):
    """Draws bars; `clicked` says at which place of the axis somebody clicked."""

    clicked = Signal(float)

    def __init__(self, above: QColor, below: QColor, parent: QWidget | None = None) -> None:
        """`above` and `below` are the colours of bars over and under zero."""
        super().__init__(parent)
        self.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._colours = (above, below)
        self._bars = Bars()
        self._words = ("", "")
        self._marked: float | None = None
        self._plot: Any = None  # pg.PlotWidget, with its bars and its line
        self._drawn: Any = None
        self._line: Any = None
        self._layout = layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    @property
    def bars(self) -> Bars:
        """What is drawn."""
        return self._bars

    def show_bars(self, bars: Bars, across: str, up: str) -> None:
        """Draw these bars, with these words at the axes."""
        self._bars, self._words = bars, (across, up)
        self._draw()

    def mark(self, place: float | None) -> None:
        """Draw a line at a place of the axis; None takes it away."""
        self._marked = place
        self._draw_line()

    def drawn_opts(self) -> dict[str, Any]:
        """Return what pyqtgraph was given to draw; {} before the chart was shown."""
        return {} if self._drawn is None else dict(self._drawn.opts)

    def sizeHint(self) -> QSize:
        """Some lines high, whatever the text size is."""
        return QSize(160, self.fontMetrics().height() * LINES_HIGH)

    def setAccessibleName(self, name: str) -> None:
        """Name the chart, for those who hear it."""
        super().setAccessibleName(name)
        if self._plot is not None:
            self._plot.setAccessibleName(name)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Write fewer numbers at the axis where it is short: they must not run into each other."""
        super().resizeEvent(event)
        self._thin_out()

    def showEvent(self, event: QShowEvent) -> None:
        """Make the chart when it is first seen."""
        super().showEvent(event)
        if self._plot is None:
            self._make_plot()
            self._draw()

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours and the text size of the window."""
        super().changeEvent(event)
        if self._plot is not None and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange):
            self._dress()
            self._draw_line()

    def _make_plot(self) -> None:
        pyqtgraph = _pyqtgraph()
        self._plot = plot = pyqtgraph.PlotWidget(self)
        plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(False, False)
        plot.hideButtons()
        plot.setAccessibleName(self.accessibleName())
        self._drawn = pyqtgraph.BarGraphItem(x0=[], x1=[], y0=0, height=[])
        plot.addItem(self._drawn)
        plot.scene().sigMouseClicked.connect(self._clicked)
        self._layout.addWidget(plot)
        self._dress()

    def _thin_out(self) -> None:
        """Number the axis where there is room for the numbers: pyqtgraph by itself never writes less than three."""
        bars = self._bars
        if self._plot is None or not bars.height.size:
            return
        low, high = float(bars.left.min()), float(bars.right.max())
        letters = max(len(f"{round(end)}") for end in (low, high)) + 1
        numbers = max(1.0, SHARE_OF_AXIS * self.width() / (letters * self.fontMetrics().averageCharWidth()))
        self._plot.getAxis("bottom").setTickSpacing(levels=[(step_of((high - low) / numbers), 0)])

    def _dress(self) -> None:
        self._thin_out()
        palette = self.palette()
        self._plot.setBackground(palette.color(QPalette.ColorRole.Window))
        for side in ("bottom", "left"):
            axis = self._plot.getAxis(side)
            axis.setPen(palette.color(QPalette.ColorRole.WindowText))
            axis.setTextPen(palette.color(QPalette.ColorRole.WindowText))
            axis.setStyle(tickFont=self.font())
            axis.enableAutoSIPrefix(False)
            axis.label.setFont(self.font())

    def _draw(self) -> None:
        if self._plot is None:
            return
        bars = self._bars
        above, below = self._colours
        colours = [above if height >= 0 else below for height in bars.height]
        self._drawn.setOpts(x0=bars.left, x1=bars.right, y0=0, height=bars.height, brushes=colours, pen=None)
        for side, words in zip(("bottom", "left"), self._words, strict=True):
            self._plot.setLabel(side, words)
        self._thin_out()
        if bars.height.size:
            self._plot.setXRange(float(bars.left.min()), float(bars.right.max()), padding=0.02)
            low, high = min(float(bars.height.min()), 0.0), max(float(bars.height.max()), 0.0)
            self._plot.setYRange(low, high if high > low else low + 1.0, padding=0.02)
        self._draw_line()

    def _draw_line(self) -> None:
        if self._plot is None:
            return
        if self._line is None and self._marked is not None:
            self._line = _pyqtgraph().InfiniteLine(angle=90)
            self._plot.addItem(self._line, ignoreBounds=True)
        if self._line is not None:
            self._line.setVisible(self._marked is not None)
            self._line.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            self._line.setValue(self._marked or 0.0)

    def _clicked(self, event: Any) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.clicked.emit(float(self._plot.getPlotItem().vb.mapSceneToView(event.scenePos()).x()))


def _nothing(_: object) -> None:
    pass
