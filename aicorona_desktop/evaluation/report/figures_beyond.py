"""Figures beyond the paper's: subgroups, reliability, decision curves."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.calibration import ReliabilityBin
from aicorona_desktop.evaluation.decision_curve import NetBenefit
from aicorona_desktop.evaluation.intervals import shown
from aicorona_desktop.evaluation.report.beyond import NEEDS, NEEDS_POINTS, Beyond, Calibration
from aicorona_desktop.evaluation.report.drawing import (
    BLACK,
    GREY,
    MODEL_COLOUR,
    VERMILION,
    WIDE_IN,
    drawn,
    legend_below,
    new_figure,
)
from aicorona_desktop.evaluation.report.pictures import BEYOND_TITLES, Missing, Picture
from aicorona_desktop.evaluation.subgroups import Subgroup

_LINE_IN: Final = 0.19
_PANELS: Final = (("sensitivity", "Sensitivity"), ("specificity", "Specificity"), ("auc", "AUC"))


def figures_beyond(beyond: Beyond) -> tuple[Picture | Missing, ...]:
    """Draw all three."""
    return _subgroup_figure(beyond), _reliability_figure(beyond), _decision_figure(beyond)


# --- subgroups ---------------------------------------------------------------------------------------------------


def _subgroup_figure(beyond: Beyond) -> Picture | Missing:
    name = "fig_subgroups"
    lines = [(f"{cohort}, {one.split_by}", one) for cohort, groups in beyond.groups.items() for one in groups]
    if not lines:
        return Missing(name=name, title=BEYOND_TITLES[name], needs=", ".join(NEEDS_POINTS))

    def draw() -> Figure:
        headings = list(dict.fromkeys(heading for heading, _ in lines))
        figure = new_figure(WIDE_IN, 0.8 + _LINE_IN * (len(lines) + len(headings)))
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (figure_name, title) in zip(panels, _PANELS, strict=True):
            _forest(axes, lines, figure_name, title)
        return figure

    alt = " ".join(
        f"{heading} {one.group} ({one.rows} scans): sensitivity {shown(one.sensitivity)}, "
        f"specificity {shown(one.specificity)}, AUC {shown(one.auc)}."
        for heading, one in lines
    )
    notes = ("Bars are intervals; the number is that of scans. Overlap proves nothing: see the tests in the table.",)
    return drawn(name, BEYOND_TITLES[name], alt, draw, notes)


def _forest(axes: Axes, lines: Sequence[tuple[str, Subgroup]], figure_name: str, title: str) -> None:
    """Draw one figure of all groups, from above, each split below its heading."""
    place, places, labels, before = 0, [], [], ""
    for heading, one in lines:
        if heading != before:
            places.append(place)
            labels.append(heading)
            place, before = place + 1, heading
        interval: Interval = getattr(one, figure_name)
        if not isnan(interval.value):
            axes.plot([interval.low, interval.high], [place, place], color=MODEL_COLOUR, linewidth=1.4)
            axes.plot([interval.value], [place], marker="o", markersize=4, color=MODEL_COLOUR)
        places.append(place)
        labels.append(f"{one.group} ({one.rows})")
        place += 1
    axes.set_title(title, loc="left")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(place - 0.4, -0.6)
    axes.set_yticks(places, labels)
    axes.grid(visible=False, axis="y")
    for label in axes.get_yticklabels():
        label.set_fontweight("normal" if label.get_text().endswith(")") else "bold")


# --- reliability -------------------------------------------------------------------------------------------------


def _reliability_figure(beyond: Beyond) -> Picture | Missing:
    name = "fig_reliability"
    if not beyond.calibrations:
        return Missing(name=name, title=BEYOND_TITLES[name], needs=", ".join(NEEDS))

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 3.5)
        grid = figure.subplots(1, len(beyond.calibrations), squeeze=False)[0]
        for axes, one in zip(grid, beyond.calibrations, strict=True):
            _reliability(axes, one, beyond.level)
        grid[0].set_ylabel("Share of COVID-19")
        tempered = any(one.bins_after for one in beyond.calibrations)
        legend_below(figure, [[_line(True), _line(False)] if tempered else [_line(True)], [_perfect()]])
        return figure

    alt = " ".join(_said(one) for one in beyond.calibrations)
    notes = ("On the diagonal a probability means what it says. Bars are intervals; bins without scans are left out.",)
    return drawn(name, BEYOND_TITLES[name], alt, draw, notes)


def _reliability(axes: Axes, one: Calibration, level: float) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    _bins(axes, one.bins_after, level, as_it_is=False)
    _bins(axes, one.bins, level, as_it_is=True)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xlabel="Mean probability")
    axes.set_title(f"{one.task.cohort}\nBrier {one.brier:.3f}, ECE {one.error:.3f}", loc="left")


def _bins(axes: Axes, bins: Sequence[ReliabilityBin], level: float, *, as_it_is: bool) -> None:
    style = _line(as_it_is)
    at = [each.mean_score for each in bins]
    for each in bins:
        share = each.share(level)
        axes.plot([each.mean_score] * 2, [share.low, share.high], color=style.get_color(), linewidth=1)
    axes.plot(
        at,
        [each.share_positive for each in bins],
        color=style.get_color(),
        marker=style.get_marker(),
        markersize=4.5,
        markerfacecolor=style.get_markerfacecolor(),
        linestyle=style.get_linestyle(),
        linewidth=1.2,
    )


def _line(as_it_is: bool) -> Line2D:
    if as_it_is:
        return Line2D([], [], color=MODEL_COLOUR, marker="o", markersize=4.5, label="Probability of the model")
    return Line2D(
        *([], []),
        color=VERMILION,
        marker="s",
        markersize=4.5,
        markerfacecolor="white",
        linestyle="--",
        label="After the temperature of the tuning scans",
    )


def _perfect() -> Line2D:
    return Line2D([], [], color=GREY, linewidth=1, linestyle=":", label="Means what it says")


def _said(one: Calibration) -> str:
    bins = ", ".join(f"{each.share_positive:.2f} at {each.mean_score:.2f} ({each.rows})" for each in one.bins)
    return f"{one.task.cohort}: Brier {one.brier:.3f}, ECE {one.error:.3f}; share of COVID-19 by probability: {bins}."


# --- decision curve ----------------------------------------------------------------------------------------------


def _decision_figure(beyond: Beyond) -> Picture | Missing:
    name = "fig_decision_curve"
    if not beyond.curves:
        return Missing(name=name, title=BEYOND_TITLES[name], needs=", ".join(NEEDS))

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 3.1)
        grid = figure.subplots(1, len(beyond.curves), squeeze=False)[0]
        for axes, (cohort, curve) in zip(grid, beyond.curves.items(), strict=True):
            _decision(axes, cohort, curve)
        grid[0].set_ylabel("Net benefit a scan")
        handles = [
            [Line2D([], [], color=MODEL_COLOUR, linewidth=2, label="By the model's probability")],
            [Line2D([], [], color=GREY, linestyle="--", label="Acting on everybody")],
            [Line2D([], [], color=BLACK, linewidth=1, label="Acting on nobody")],
        ]
        legend_below(figure, handles)
        return figure

    alt = " ".join(
        f"{cohort}: net benefit at 0.10 {_at(curve, 0.1).by_score:.3f} against {_at(curve, 0.1).of_everybody:.3f} of "
        f"acting on everybody, at 0.50 {_at(curve, 0.5).by_score:.3f} against {_at(curve, 0.5).of_everybody:.3f}."
        for cohort, curve in beyond.curves.items()
    )
    return drawn(name, BEYOND_TITLES[name], alt, draw, ("The share of COVID-19 is that of the test scans.",))


def _decision(axes: Axes, cohort: str, curve: Sequence[NetBenefit]) -> None:
    at = [one.threshold for one in curve]
    axes.axhline(0, color=BLACK, linewidth=1)
    axes.plot(at, [one.of_everybody for one in curve], color=GREY, linestyle="--")
    axes.plot(at, [one.by_score for one in curve], color=MODEL_COLOUR, linewidth=2)
    top = max(max(one.by_score, one.of_everybody) for one in curve)
    axes.set(xlim=(0, 1), ylim=(-0.25 * top, 1.1 * top), xlabel="Acting from the probability")
    axes.set_title(cohort, loc="left")


def _at(curve: Sequence[NetBenefit], threshold: float) -> NetBenefit:
    return min(curve, key=lambda one: abs(one.threshold - threshold))
