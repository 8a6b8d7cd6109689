"""Figures 4 and 10: ROC curves with readers, the operating point, RT-PCR and publications.

Source: paper-spec 12 (last paragraph), 13.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from aicorona_desktop.evaluation.intervals import shown, shown_number
from aicorona_desktop.evaluation.report.callers import Caller, Kind
from aicorona_desktop.evaluation.report.drawing import (
    BLACK,
    MODEL_COLOUR,
    WIDE_IN,
    Marks,
    drawn,
    legend_below,
    model_mark,
    new_figure,
    publication_mark,
)
from aicorona_desktop.evaluation.report.errata import of_figure
from aicorona_desktop.evaluation.report.pictures import Missing, Picture, named
from aicorona_desktop.evaluation.report.study import Study
from aicorona_desktop.evaluation.tasks import Task

_ZOOM_RIGHT: Final = 0.3
_ZOOM_BOTTOM: Final = 0.7
_LINE_WIDTH: Final = 2.0

_ORDER_10: Final = (
    *("mdh_nca_vs_rest", "mdh_normal_vs_rest", "mdh_covid_vs_normal", "mdh_covid_vs_nca", "mdh_nca_vs_normal"),
)


def figure_4(study: Study, marks: Marks) -> Picture | Missing:
    """Draw the ROC of COVID-19 of the three cohorts, and below each its upper left corner."""
    name, title = named(4)
    tasks = [study.task(table) for table in ("3a", "3b", "3c")]
    if not any(_has_something(study, task) for task in tasks):
        return Missing(name=name, title=title, needs=_need(study, tasks))

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 6.0)
        grid = figure.subplots(2, 3)
        for column, (task, letter) in enumerate(zip(tasks, "abc", strict=True)):
            zoom = _zoom(study, task)
            _panel(grid[0, column], study, task, marks, f"{letter}  {task.cohort}")
            _outline(grid[0, column], zoom)
            _panel(grid[1, column], study, task, marks, "", limits=zoom)
            grid[1, column].set_title(f"{letter}  upper left corner", loc="left")
        legend_below(figure, _handles(study, tasks, marks))
        return figure

    alt = " ".join(_said(study, task) for task in tasks)
    return drawn(name, title, alt, draw, of_figure("4"))


def figure_10(study: Study, marks: Marks) -> Picture | Missing:
    """Draw the ROC of the five questions of Table 9, each with its upper left corner in an inset."""
    name, title = named(10)
    tasks = [task for wanted in _ORDER_10 for task in study.tasks if task.id == wanted]
    if not any(_has_something(study, task) for task in tasks):
        return Missing(name=name, title=title, needs=_need(study, tasks))

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 5.9)
        grid = figure.subplots(2, 3).ravel()
        for axes, task, letter in zip(grid, tasks, "abcde", strict=False):
            heading = task.title.removesuffix(", MDH").replace(" against", "\nagainst")
            _panel(axes, study, task, marks, f"{letter}  {heading}", readers=False, point=False)
            zoom = _zoom(study, task, (0.1, 0.9))
            _outline(axes, zoom)
            inset = axes.inset_axes((0.35, 0.3, 0.62, 0.58))
            _panel(inset, study, task, marks, "", limits=zoom)
            inset.set_xlabel("")
            inset.set_ylabel("")
            inset.spines[["top", "right"]].set_visible(True)
        grid[5].axis("off")
        handles = [one for group in _handles(study, tasks, marks) for one in group]
        grid[5].legend(handles=handles, loc="center left", title="Marks stand in the insets", alignment="left")
        return figure

    return drawn(name, title, " ".join(_said(study, task) for task in tasks), draw, of_figure("10"))


# --- one panel ---------------------------------------------------------------------------------------------------

_Limits = tuple[float, float]
"""The right end of the 1 - specificity axis and the lower end of the sensitivity axis."""


def _panel(
    axes: Axes,
    study: Study,
    task: Task,
    marks: Marks,
    title: str,
    *,
    limits: _Limits | None = None,
    readers: bool = True,
    point: bool = True,
) -> None:
    right, bottom = limits or (1.0, 0.0)
    margin = 0.02 * right, 0.02 * (1 - bottom)
    axes.set_xlim(-margin[0], right)
    axes.set_ylim(bottom, 1 + margin[1])
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    if title:
        axes.set_title(title, loc="left", wrap=True)
    if limits is None:
        axes.set_aspect("equal")
        axes.plot((0, 1), (0, 1), color="#BBBBBB", linewidth=0.8, zorder=1)
    _curve(axes, study, task, labelled=limits is None)
    for caller in study.callers[task.id]:
        _mark(axes, caller, marks, readers=readers, point=point)


def _curve(axes: Axes, study: Study, task: Task, *, labelled: bool) -> None:
    model = study.answers.model.get(task.id)
    if model is None:
        axes.text(0.5, 0.35, "no model scores", ha="center", transform=axes.transAxes)
        return
    curve = model.assessment.curve
    rates = curve.false_positives / curve.negatives
    axes.plot(rates, curve.true_positives / curve.positives, color=MODEL_COLOUR, linewidth=_LINE_WIDTH, zorder=2)
    if labelled:
        auc = model.assessment.auc
        ends = "" if not auc.estimable else f"\n({auc.low:.3f} to {auc.high:.3f})"
        axes.text(
            0.97, 0.04, f"AUC {auc.value:.3f}{ends}", ha="right", va="bottom", transform=axes.transAxes, fontsize=8
        )


def _mark(axes: Axes, caller: Caller, marks: Marks, *, readers: bool, point: bool) -> None:
    se, sp = caller.figure("sensitivity").value, caller.figure("specificity").value
    if caller.kind is Kind.OTHER_DATA:
        axes.axhline(se, color=BLACK, linestyle="--", linewidth=1.2, zorder=1.5)
        return
    if caller.kind is Kind.MODEL and point:
        axes.plot(1 - sp, se, **model_mark(), clip_on=False)
    if caller.kind is Kind.PUBLICATION and readers:
        axes.plot(1 - sp, se, **publication_mark(caller.name), clip_on=False)
    if caller.kind is Kind.READER and readers:
        axes.plot(1 - sp, se, **marks.of(caller), clip_on=False)


def _zoom(study: Study, task: Task, least: _Limits = (_ZOOM_RIGHT, _ZOOM_BOTTOM)) -> _Limits:
    """Return the corner that is enlarged: 0 to 0.3 and 0.7 to 1, more where a mark lies outside."""
    right, bottom = least
    for caller in study.callers[task.id]:
        se, sp = caller.figure("sensitivity").value, caller.figure("specificity").value
        if caller.kind in (Kind.READER, Kind.MODEL, Kind.PUBLICATION) and se == se and sp == sp:  # noqa: PLR0124 - NaN
            right, bottom = max(right, 1 - sp + 0.03), min(bottom, se - 0.03)
    return min(1.0, right), max(0.0, bottom)


def _outline(axes: Axes, limits: _Limits) -> None:
    right, bottom = limits
    axes.add_patch(
        Rectangle((0, bottom), right, 1 - bottom, fill=False, edgecolor="#555555", linewidth=0.8, linestyle=":")
    )


def _handles(study: Study, tasks: Sequence[Task], marks: Marks) -> tuple[list[Line2D], list[Line2D], list[Line2D]]:
    """Return an entry for everything that is drawn: all but readers, readers unaided, readers aided."""
    others = [Line2D([], [], color=MODEL_COLOUR, linewidth=_LINE_WIDTH, label="ai-corona")]
    callers = [one for task in tasks for one in study.callers[task.id]]
    if any(one.kind is Kind.MODEL and one.counts is not None for one in callers):
        others.append(Line2D([], [], **model_mark(), label="its operating point"))
    if any(one.kind is Kind.OTHER_DATA for one in callers):
        others.append(Line2D([], [], color=BLACK, linestyle="--", linewidth=1.2, label="RT-PCR Best, another data set"))
    quoted = dict.fromkeys(one.name for one in callers if one.kind is Kind.PUBLICATION)
    others += [Line2D([], [], **publication_mark(name), label=f"{name}, from publication") for name in quoted]
    readers = {one.name: one for one in callers if one.kind is Kind.READER}
    unaided, aided = (
        [Line2D([], [], **marks.of(one), label=name) for name, one in readers.items() if one.aided is wanted]
        for wanted in (False, True)
    )
    return others, unaided, aided


# --- in words ----------------------------------------------------------------------------------------------------


def _has_something(study: Study, task: Task) -> bool:
    return any(one.kind in (Kind.MODEL, Kind.READER) for one in study.callers[task.id])


def _need(study: Study, tasks: Sequence[Task]) -> str:
    return ", ".join(dict.fromkeys(study.answers.model_needs.get(task.id, "") for task in tasks))


def _said(study: Study, task: Task) -> str:
    model = study.answers.model.get(task.id)
    parts = [f"{task.title}:"]
    parts.append("no model scores" if model is None else f"model AUC {shown(model.assessment.auc)}")
    for one in study.callers[task.id]:
        se, sp = one.figure("sensitivity").value, one.figure("specificity").value
        if one.kind is Kind.OTHER_DATA:
            parts.append(f"RT-PCR line at {se:.3f}")
        elif one.kind is not Kind.MODEL or one.counts is not None:
            parts.append(f"{one.name} at sensitivity {shown_number(se)}, specificity {shown_number(sp)}")
    return f"{parts[0]} {'; '.join(parts[1:])}."
