"""Figures 6 and 7: class-activation maps over slices, and cases that readers first misread.

Source: paper-spec 13.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aicorona_desktop.evaluation.report.drawing import WIDE_IN, drawn, new_figure
from aicorona_desktop.evaluation.report.errata import of_figure
from aicorona_desktop.evaluation.report.inputs import CASES, MANIFEST
from aicorona_desktop.evaluation.report.maps import MappedCase, Maps
from aicorona_desktop.evaluation.report.pictures import Missing, Picture, named
from aicorona_desktop.evaluation.report.study import Study

_PICTURE_DPI = 150
_WORDS = {"covid": "COVID-19", "cp": "other", "nca": "NCA", "non_pneumonia": "no pneumonia"}

MEANING = "A map shows what moved the score, not where disease is."


def figure_6(study: Study, maps: Maps) -> Picture | Missing:
    """Draw slices of each case of Figure 6, and below them the same with the map over it."""
    name, title = named(6)
    cases = maps.of_figure("6")
    if not cases:
        return Missing(name=name, title=title, needs=_need(study, maps, "6"))
    columns = max(len(one.slices) for one in cases)

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, (3.3 * len(cases)) * 5 / max(5, columns))
        grid = np.atleast_2d(figure.subplots(2 * len(cases), columns, squeeze=False))
        for axes in grid.ravel():
            axes.axis("off")
        for number, one in enumerate(cases):
            for column, shown in enumerate(one.slices):
                _show(grid[2 * number, column], shown.grey, f"slice {shown.index + 1} of {one.n_slices}")
                _show(grid[2 * number + 1, column], shown.mapped, "")
        return figure

    alt = " ".join(
        f"{one.case.panel}: slices {', '.join(str(shown.index + 1) for shown in one.slices)} of {one.n_slices} of the "
        f"scan {one.case.scan_id}, above plain, below with the map. {one.case.note}"
        for one in cases
    )
    return drawn(name, title, alt.strip(), draw, (*_notes(maps, cases), *of_figure("6")), dpi=_PICTURE_DPI)


def figure_7(study: Study, maps: Maps) -> Picture | Missing:
    """Draw each case of Figure 7: its slice and map, and what readers and model called it."""
    name, title = named(7)
    cases = maps.of_figure("7")
    if not cases:
        return Missing(name=name, title=title, needs=_need(study, maps, "7"))
    said = [_said(study, one) for one in cases]

    def draw() -> Figure:
        rows = (len(cases) + 1) // 2
        figure = new_figure(WIDE_IN, 2.55 * rows)
        grid = figure.subplots(2 * rows, 4, squeeze=False, height_ratios=(1, 0.32) * rows)
        for axes in grid.ravel():
            axes.axis("off")
        for number, (one, words) in enumerate(zip(cases, said, strict=True)):
            row, column = 2 * (number // 2), 2 * (number % 2)
            shown = one.slices[0]
            _show(grid[row, column], shown.grey, "")
            _show(grid[row, column + 1], shown.mapped, "")
            heading = f"{one.case.panel}  slice {shown.index + 1} of {one.n_slices}"
            grid[row, column].set_title(heading, loc="left", fontsize=9)
            below = grid[row + 1, column]
            text = below.text(0, 1, fill(words, 52), va="top", fontsize=8, transform=below.transAxes)
            text.set_in_layout(False)  # it reaches over both columns
        return figure

    alt = " ".join(f"{one.case.panel}: {words}" for one, words in zip(cases, said, strict=True))
    return drawn(name, title, alt, draw, (*_notes(maps, cases), *of_figure("7")), dpi=_PICTURE_DPI)


def _show(axes: Axes, picture: NDArray[np.uint8], heading: str) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
    if heading:
        axes.set_title(heading, fontsize=8)


def _said(study: Study, one: MappedCase) -> str:
    """What readers and the model called a case, from the files."""
    scan = one.case.scan_id
    truth = study.answers.truths.get(scan, "")
    parts = [f"Truth: {_WORDS.get(truth, truth or 'not known')}."]
    for aided, word in ((False, "Unaided"), (True, "Aided")):
        passes = [each for each in study.answers.passes if each.aided is aided]
        calls = [row.call for each in passes for row in each.rows if row.scan_id == scan]
        if calls:
            counted = Counter(_WORDS.get(call, call or "no single class") for call in calls)
            parts.append(f"{word}: {', '.join(f'{count} {call}' for call, count in counted.most_common())}.")
    scores = next((row.probabilities for row in study.inputs.predictions or () if row.scan_id == scan), None)
    if scores is not None:
        parts.append(f"Model score: {scores[2]:.3f}.")
    return " ".join(parts)


def _notes(maps: Maps, cases: Sequence[MappedCase]) -> tuple[str, ...]:
    notes = [f"{one.case.panel}: {one.case.note}" for one in cases if one.case.note]
    return (*notes, f"Maps of {maps.model}. {MEANING}", *maps.lost)


def _need(study: Study, maps: Maps, figure: str) -> str:
    if study.inputs.cases is None or study.inputs.manifest is None:
        return f"{CASES} with images, and {MANIFEST}"
    lost = [sentence for sentence in maps.lost if sentence.startswith(f"Figure {figure} ")]
    return f"images that can be read. {lost[0]}" if lost else f"cases of Figure {figure} in {CASES}"
