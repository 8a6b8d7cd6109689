from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.imaging.roi import BINS, statistics
from aicorona_desktop.ui.charts import preload
from aicorona_desktop.ui.contributions import contributions
from aicorona_desktop.ui.contributions_view import ContributionList
from aicorona_desktop.ui.jobs import Jobs
from aicorona_desktop.ui.measures import Histogram
from tests.history import made_up
from tests.ui.panel_parts import a_pack, cams_of, hashed, placed, score_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_bars_of_a_region_are_the_histogram_that_numpy_counts(qtbot: QtBot, qapp: QApplication) -> None:
    pixels = np.random.default_rng(3).normal(-600, 200, (60, 70)).astype(np.int16)
    pixels[10:12] = PADDING_HU
    histogram = Histogram()
    qtbot.addWidget(histogram)
    assert histogram.isHidden()

    histogram.show_values(statistics(pixels, "rectangle", (5.0, 5.0), (50.0, 40.0), None))

    inside = pixels[5:41, 5:51]
    counts, edges = np.histogram(inside[inside != PADDING_HU], BINS)
    drawn = histogram.drawn_opts()
    assert np.array_equal(drawn["height"], counts)
    assert np.allclose(drawn["x0"], edges[:-1])
    assert np.allclose(drawn["x1"], edges[1:])
    assert histogram.accessibleName() == f"Histogram from {int(edges[0])} to {int(edges[-1])} HU"
    assert histogram._plot.accessibleName() == histogram.accessibleName()

    histogram.show_values(None)
    assert histogram.isHidden()


def test_a_region_of_one_value_has_one_bar(qtbot: QtBot, qapp: QApplication) -> None:
    histogram = Histogram()
    qtbot.addWidget(histogram)

    histogram.show_values(statistics(np.full((20, 20), 40, np.int16), "rectangle", (2.0, 2.0), (5.0, 5.0), None))

    assert histogram.drawn_opts()["height"].tolist() == [16.0, *[0.0] * (BINS - 1)]


def test_a_chart_takes_the_colours_of_the_window(qtbot: QtBot, qapp: QApplication) -> None:
    histogram = Histogram()
    qtbot.addWidget(histogram)
    histogram.show_values(statistics(np.arange(400, dtype=np.int16).reshape(20, 20), "ellipse", (2, 2), (9, 9), None))
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.Window, QColor(1, 2, 3))
    palette.setColor(QPalette.ColorRole.WindowText, QColor(250, 240, 230))

    histogram.setPalette(palette)

    assert histogram._plot.backgroundBrush().color() == QColor(1, 2, 3)
    assert histogram._plot.getAxis("bottom").textPen().color() == QColor(250, 240, 230)


def test_contributions_stand_over_the_numbers_of_their_slices(qtbot: QtBot, qapp: QApplication) -> None:
    study = hashed(placed(made_up.study(slices=12)))
    score = score_of(study, a_pack(), cams_of(6))
    view = ContributionList()
    qtbot.addWidget(view)
    chosen: list[int] = []
    view.chosen.connect(chosen.append)
    view.show()

    view.show_score(score, "covid", lambda place: None if place == 5 else place + 4)
    view.mark(2)

    parts = {one.place: one.part for one in contributions(score, "covid")}
    drawn = view.chart.drawn_opts()
    assert np.allclose((drawn["x0"] + drawn["x1"]) / 2, [4, 5, 6, 7, 8])  # one slice isn't here
    assert np.allclose(drawn["height"], [parts[place] for place in range(5)])
    assert view.chart._line.value() == 6
    assert "COVID-19" in view.chart.accessibleName()
    view.chart.clicked.emit(6.7)
    assert chosen == [3]


def test_the_window_does_not_load_the_charts_before_one_is_shown(qtbot: QtBot) -> None:
    code = "import sys, aicorona_desktop.ui.main, aicorona_desktop.ui.viewer_place; print('pyqtgraph' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"

    jobs = Jobs()
    preload(jobs, jobs)
    qtbot.waitUntil(lambda: "pyqtgraph" in sys.modules)
    assert jobs.close(10)
