"""Figures 1 to 10 in their order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aicorona_desktop.evaluation.report.drawing import Marks
from aicorona_desktop.evaluation.report.figures_cases import figure_6, figure_7
from aicorona_desktop.evaluation.report.figures_counts import figure_2, figure_3, figure_5, figure_9
from aicorona_desktop.evaluation.report.figures_roc import figure_4, figure_10
from aicorona_desktop.evaluation.report.figures_schema import figure_1, figure_8
from aicorona_desktop.evaluation.report.maps import Maps
from aicorona_desktop.evaluation.report.pictures import Missing, Picture
from aicorona_desktop.evaluation.report.study import Study


def figures_of(
    study: Study, maps: Maps, *, paper_marks: bool = False, told: Callable[[], None] = lambda: None
) -> tuple[Picture | Missing, ...]:
    """Draw all figures.

    Args:
        study: what is drawn.
        maps: the slices of Figures 6 and 7.
        paper_marks: Figure 10 with the paper's own marks (triangles unaided, circles aided).
        told: called after each figure.
    """
    readers = tuple(dict.fromkeys(one.reader_id for one in study.answers.passes))
    marks = Marks(readers)
    draw: tuple[Callable[[], Picture | Missing], ...] = (
        figure_1,
        partial(figure_2, study),
        partial(figure_3, study),
        partial(figure_4, study, marks),
        partial(figure_5, study, marks),
        partial(figure_6, study, maps),
        partial(figure_7, study, maps),
        partial(figure_8, study),
        partial(figure_9, study),
        partial(figure_10, study, Marks(readers, as_paper=paper_marks)),
    )
    found = []
    for one in draw:
        found.append(one())
        told()
    return tuple(found)
