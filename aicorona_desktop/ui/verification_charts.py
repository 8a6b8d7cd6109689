"""The curve of the known studies with its band and the chosen point; scores of a month beside those before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from aicorona_desktop.evaluation.curves import RocBand
from aicorona_desktop.evaluation.metrics import Counts, Roc
from aicorona_desktop.ui.charts import load_pyqtgraph
from aicorona_desktop.ui.reader_study_charts import Chart

translate = QCoreApplication.translate

BAND_ALPHA = 60


class SiteRocChart(Chart):
    """The curve, its band point by point, and one point on it; `clicked` gives the nearest share of false alarms."""

    clicked = Signal(float, float)  # 1 - specificity, sensitivity

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(translate("Verification", "Curve of the known studies"), parent)
        self.setObjectName("site_roc")
        self._curve: Roc | None = None
        self._band: RocBand | None = None
        self._at: tuple[float, float] | None = None

    def show_curve(self, curve: Roc | None, band: RocBand | None) -> None:
        """Draw a curve; None takes it away."""
        self._curve, self._band = curve, band
        self._redraw()

    def show_point(self, counts: Counts) -> None:
        """Mark the point that has these counts."""
        self._at = (counts.false_positives / counts.negatives, counts.true_positives / counts.positives)
        self._redraw()

    def _make(self) -> None:
        fresh = self.plot is None
        super()._make()
        if fresh:
            self.plot.scene().sigMouseClicked.connect(self._was_clicked)

    def _was_clicked(self, event: Any) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            spot = self.plot.getPlotItem().vb.mapSceneToView(event.scenePos())
            self.clicked.emit(float(spot.x()), float(spot.y()))

    def _redraw(self) -> None:
        if self.plot is not None:
            self._draw()

    def _draw(self) -> None:
        super()._draw()
        graph, curve = load_pyqtgraph(), self._curve
        self.plot.setLabel("bottom", translate("Verification", "Others sent to the top (1 - specificity)"))
        self.plot.setLabel("left", translate("Verification", "Caught (sensitivity)"))
        self.plot.setXRange(0, 1, padding=0.02)
        self.plot.setYRange(0, 1, padding=0.02)
        self.plot.addItem(graph.PlotDataItem([0, 1], [0, 1], pen=graph.mkPen(self._ink, style=Qt.PenStyle.DotLine)))
        if curve is None:
            return
        if self._band is not None:
            self._fill(self._band)
        x, y = curve.false_positives / curve.negatives, curve.true_positives / curve.positives
        self.plot.addItem(graph.PlotDataItem(x, y, pen=graph.mkPen(self._accent, width=2)))
        if self._at is not None:
            self._mark(*self._at, "o", filled=True, colour=self._ink)

    def _fill(self, band: RocBand) -> None:
        graph, shade = load_pyqtgraph(), QColor(self._accent)
        shade.setAlpha(BAND_ALPHA)
        ends = [graph.PlotCurveItem(band.false_positive_rates, one) for one in (band.low, band.high)]
        self.plot.addItem(graph.FillBetweenItem(*ends, brush=graph.mkBrush(shade)))


class ScoresChart(Chart):
    """How many of the scores lie at or below each value: of a month, and of those before."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(translate("Verification", "Scores of the month beside those before"), parent)
        self.setObjectName("month_scores")
        self._scores: tuple[NDArray[np.float64], NDArray[np.float64]] = (np.zeros(0), np.zeros(0))
        self._point: float | None = None

    def show_scores(self, month: NDArray[np.float64], before: NDArray[np.float64], point: float | None) -> None:
        """Draw scores, 0 to 1, and the operating point if there is one."""
        self._scores, self._point = (month, before), point
        if self.plot is not None:
            self._draw()

    def _draw(self) -> None:
        super()._draw()
        graph = load_pyqtgraph()
        self.plot.setLabel("bottom", translate("Verification", "Model score"))
        self.plot.setLabel("left", translate("Verification", "Share at or below"))
        self.plot.setXRange(0, 100, padding=0.02)
        self.plot.setYRange(0, 1, padding=0.02)
        pens = (graph.mkPen(self._accent, width=2), graph.mkPen(self._ink, width=1.4, style=Qt.PenStyle.DashLine))
        for scores, pen in zip(self._scores, pens, strict=True):
            if scores.size:
                x = np.concatenate([[0], 100 * np.sort(scores), [100]])
                y = np.concatenate([[0], np.arange(1, scores.size + 1) / scores.size, [1]])
                self.plot.addItem(graph.PlotDataItem(np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1], pen=pen))
        if self._point is not None:
            pen = graph.mkPen(self._ink, style=Qt.PenStyle.DotLine)
            self.plot.addItem(graph.InfiniteLine(100 * self._point, angle=90, pen=pen))
