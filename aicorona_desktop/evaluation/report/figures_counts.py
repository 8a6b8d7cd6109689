"""Figures 2, 3, 5 and 9: RT-PCR over time, confusion matrices, figures of all callers, who was scanned.

Source: paper-spec 13.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isnan, nan
from typing import Any, Final

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from aicorona_desktop.evaluation.manifest import CLASS_OF_LABEL, CLASSES, Cohort, Split
from aicorona_desktop.evaluation.metrics import Counts, confusion
from aicorona_desktop.evaluation.report.answers import ModelAnswers
from aicorona_desktop.evaluation.report.callers import F1, Caller, Kind
from aicorona_desktop.evaluation.report.drawing import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    WIDE_IN,
    Marks,
    drawn,
    legend_below,
    model_mark,
    new_figure,
    publication_mark,
)
from aicorona_desktop.evaluation.report.errata import of_figure
from aicorona_desktop.evaluation.report.inputs import MANIFEST, PREDICTIONS, READERS, RTPCR
from aicorona_desktop.evaluation.report.pictures import Missing, Picture, named
from aicorona_desktop.evaluation.report.printed import of_row
from aicorona_desktop.evaluation.report.study import Study
from aicorona_desktop.evaluation.rtpcr import DayValue

# --- Figure 2 ----------------------------------------------------------------------------------------------------


def figure_2(study: Study) -> Picture | Missing:
    """Draw the sensitivity of RT-PCR by day."""
    name, title = named(2)
    pcr = study.pcr
    if pcr is None or pcr.best is None:
        return Missing(name=name, title=title, needs=f"{RTPCR} with 15-day windows of at least 30 subjects")
    best, worst, values = pcr.best, pcr.series.worst, pcr.series.values
    days = [mdates.date2num(one.day) for one in values]
    lines = [(one.sensitivity.value, one.sensitivity.low, one.sensitivity.high) for one in values]
    middle, low, high = np.array(lines, dtype=np.float64).T
    repeats = [one.tests_per_subject for one in values]

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 4.4)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.fill_between(
            days,
            low,
            high,
            color=BLUE,
            alpha=0.2,
            linewidth=0,
            label=f"{100 * study.wishes.level:g} % interval, day by day",
        )
        upper.plot(days, middle, color=BLUE, label="15 days around each day")
        upper.axhline(best.overall.value, color=GREY, linestyle=":", label="all days together")
        _name_day(upper, best.day, "RT-PCR Best", above=True)
        if worst is not None:
            _name_day(upper, worst, "lowest", above=False)
        upper.set_ylim(0, 1)
        upper.set_ylabel("sensitivity")
        upper.legend(loc="lower right", ncols=3)
        lower.plot(days, repeats, color=BLACK, linewidth=1.2)
        lower.set_ylim(0, max(3.0, 1.2 * np.nanmax(repeats)))
        lower.set_ylabel("tests a\nsubject")
        lower.set_xlabel("middle of the window")
        lower.xaxis.set_major_locator(mdates.MonthLocator())
        lower.xaxis.set_major_formatter(mdates.DateFormatter("%b %Y"))
        figure.align_ylabels()
        return figure

    day = best.day
    alt = (
        f"Line of the RT-PCR sensitivity over {len(values)} days with its interval: best {day.sensitivity.value:.3f} "
        f"around {day.day}, {day.found} of {day.total} subjects"
    )
    alt += "." if worst is None else f"; lowest {worst.sensitivity.value:.3f} around {worst.day}."
    notes = (
        f"All days together {best.overall.value:.3f}; the best of many overlapping windows flatters: without the luck "
        f"of having been picked it would be {best.corrected:.3f} ({best.rounds} rounds, seed {best.seed}).",
        "The best and the lowest are of the days with 30 subjects or more. Neighbouring windows share 14 days: the "
        "band holds for one day at a time.",
    )
    return drawn(name, title, alt, draw, (*notes, *of_figure("2")))


def _name_day(axes: Axes, value: DayValue, text: str, *, above: bool) -> None:
    height = value.sensitivity.value
    day: Any = mdates.date2num(value.day)
    axes.plot(day, height, marker="o", color=ORANGE, markeredgecolor=BLACK, markersize=7, linestyle="none")
    axes.annotate(
        f"{text}\n{height:.3f}, {value.day:%d %b %Y}",
        (day, height),
        xytext=(0, 16 if above else -16),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        arrowprops={"arrowstyle": "-", "color": BLACK, "linewidth": 0.8},
    )


# --- Figure 3 ----------------------------------------------------------------------------------------------------

_Matrix = tuple[str, tuple[str, ...], NDArray[np.int64]]
"""A title, the names of the classes, and how often each true class (rows) got each call (columns)."""


def figure_3(study: Study) -> Picture | Missing:
    """Draw the confusion matrices of the model, and that of Jin's publication where its counts are known."""
    name, title = named(3)
    matrices = _matrices(study)
    if not matrices:
        return Missing(name=name, title=title, needs=f"{PREDICTIONS} and {MANIFEST}")

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 2.7 * ((len(matrices) + 1) // 2))
        grid = np.atleast_1d(figure.subplots((len(matrices) + 1) // 2, 2)).ravel()
        for axes, (heading, names, table) in zip(grid, matrices, strict=False):
            _draw_matrix(axes, heading, names, table)
        for axes in grid[len(matrices) :]:
            axes.axis("off")
        return figure

    alt = " ".join(
        f"{heading}: rows are the truth {', '.join(names)}: {table.tolist()}." for heading, names, table in matrices
    )
    notes = (
        "Three classes: COVID-19 from its operating point on, else the likelier of the other two.",
        "Panels b and c of the paper (Zhang, Jin on CC-CCII) can't be rebuilt: their counts are not known.",
    )
    return drawn(name, title, alt, draw, (*notes, *of_figure("3")))


def _matrices(study: Study) -> list[_Matrix]:
    found: list[_Matrix] = []
    for table, letter, other in (("3a", "a", "CP"), ("3b", "d", "NCA")):
        model = study.answers.model.get(study.task(table).id)
        if model is not None:
            names = ("normal", other, "COVID-19")
            found.append((f"{letter}  ai-corona, {model.task.cohort}", names, _three_classes(study, model)))
    pair = ("no pneumonia", "COVID-19")
    model = study.answers.model.get(study.task("3c").id)
    if model is not None and model.counts is not None:
        found.append(("e  ai-corona, MosMedData", pair, _two_classes(model.counts)))
    jin = next((one.counts for one in of_row("3c", "Jin et al. [26]").values() if one.counts is not None), None)
    if found and jin is not None:
        found.append(("f  Jin et al. [26], from publication", pair, _two_classes(jin)))
    return found


def _three_classes(study: Study, model: ModelAnswers) -> NDArray[np.int64]:
    """Calls at the operating point of COVID-19 where there is one, the likeliest class elsewhere."""
    probabilities = {one.scan_id: one.probabilities for one in study.inputs.predictions or ()}
    truths = [CLASSES.index(CLASS_OF_LABEL[study.answers.truths[scan]]) for scan in model.scan_ids]
    known = np.array([probabilities[scan] for scan in model.scan_ids], dtype=np.float64)
    calls = known.argmax(axis=1)
    if model.calls is not None:
        calls = np.where(model.calls, 2, known[:, :2].argmax(axis=1))
    return confusion(truths, calls.tolist())


def _two_classes(counts: Counts) -> NDArray[np.int64]:
    return np.array([[counts.true_negatives, counts.false_positives], [counts.false_negatives, counts.true_positives]])


def _draw_matrix(axes: Axes, heading: str, names: Sequence[str], table: NDArray[np.int64]) -> None:
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title(heading, loc="left", fontsize=9)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("called")
    axes.set_ylabel("truth")
    for row, column in np.ndindex(table.shape):
        colour = "white" if shares[row, column] > 0.55 else "black"
        text = f"{table[row, column]}\n{100 * shares[row, column]:.1f} %"
        axes.text(column, row, text, ha="center", va="center", color=colour)


# --- Figure 5 ----------------------------------------------------------------------------------------------------

_FIGURES_5: Final = (("sensitivity", "sensitivity"), ("specificity", "specificity"), ("f1", "F1"), ("kappa", "kappa"))


def figure_5(study: Study, marks: Marks) -> Picture | Missing:
    """Draw sensitivity, specificity, F1 and kappa of the model and the readers, CC-CCII above and MDH below."""
    name, title = named(5)
    tasks = [study.task("3a"), study.task("3b")]
    rows = [[one for one in study.callers[task.id] if one.counts is not None or one.figures] for task in tasks]
    rows = [[one for one in of_task if one.kind is not Kind.MODEL or one.counts is not None] for of_task in rows]
    if not any(one.kind in (Kind.MODEL, Kind.READER) for of_task in rows for one in of_task):
        return Missing(name=name, title=title, needs=f"{READERS}, or {PREDICTIONS} and points.csv; and {MANIFEST}")
    heights = [max(1, len(_studies(of_task))) for of_task in rows]

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 1.9 + 0.3 * sum(heights))
        grid = figure.subplots(2, 4, sharey="row", height_ratios=heights)
        for panels, of_task, task, letter in zip(grid, rows, tasks, "ab", strict=True):
            for axes, (metric, heading) in zip(panels, _FIGURES_5, strict=True):
                _dots(axes, of_task, metric, marks, study.f1)
                axes.set_title(
                    f"{letter}  {task.cohort}, {heading}" if metric == "sensitivity" else heading, loc="left"
                )
        legend_below(figure, [[one] for one in _legend_5()])
        return figure

    parts = [
        f"{task.cohort}: "
        + "; ".join(
            f"{one.name} {', '.join(f'{heading} {_number(one, metric, study.f1)}' for metric, heading in _FIGURES_5)}"
            for one in of_task
        )
        for task, of_task in zip(tasks, rows, strict=True)
    ]
    f1 = (
        "F1 of the model is the harmonic mean of sensitivity and specificity, as printed."
        if study.f1 is F1.AS_PRINTED
        else ""
    )
    return drawn(name, title, ". ".join(parts) + ".", draw, (*([f1] if f1 else []), *of_figure("5")))


def _number(caller: Caller, metric: str, f1: F1) -> str:
    value = _interval(caller, metric, f1)[0]
    return "-" if isnan(value) else f"{value:.3f}"


def _interval(caller: Caller, metric: str, f1: F1) -> tuple[float, float, float]:
    interval = caller.f1(f1) if metric == "f1" else caller.figure(metric)
    return interval.value, interval.low, interval.high


def _studies(callers: Sequence[Caller]) -> list[str]:
    """The lines of the panel, a reader's two passes on one."""
    return list(dict.fromkeys(one.reader_id or one.name for one in callers))


def _dots(axes: Axes, callers: Sequence[Caller], metric: str, marks: Marks, f1: F1) -> None:
    lines = _studies(callers)
    names = {one.reader_id or one.name: one.name for one in reversed(callers)}
    low_end = 1.0
    for one in callers:
        place = lines.index(one.reader_id or one.name)
        value, low, high = _interval(one, metric, f1)
        if isnan(value):
            continue
        shift = 0.0 if one.kind is not Kind.READER else (0.17 if one.aided else -0.17)
        mark = marks.of(one) if one.kind is Kind.READER else _other_mark(one)
        if not isnan(low):
            axes.plot(
                (low, high), (place + shift, place + shift), color=mark.get("markeredgecolor", GREY), linewidth=1.2
            )
        axes.plot(value, place + shift, **mark, clip_on=False)
        low_end = min(low_end, value if isnan(low) else low)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_yticks(range(len(lines)), [names[line].split(" [")[0] for line in lines])
    axes.set_xlim(min(0.6, np.floor(low_end * 20) / 20 - 0.02), 1.005)
    axes.tick_params(axis="y", length=0)


def _other_mark(caller: Caller) -> dict[str, Any]:
    if caller.kind is Kind.MODEL:
        return {**model_mark(), "markeredgecolor": BLACK}
    if caller.kind is Kind.PUBLICATION:
        return {**publication_mark(caller.name), "markeredgecolor": GREY}
    return {
        "marker": "_",
        "color": BLACK,
        "markeredgecolor": BLACK,
        "markersize": 9,
        "markeredgewidth": 2,
        "linestyle": "none",
    }


def _legend_5() -> list[Line2D]:
    hollow: dict[str, Any] = {
        "marker": "o",
        "markeredgecolor": BLACK,
        "linestyle": "none",
        "markersize": 6.5,
        "markeredgewidth": 1.4,
    }
    return [
        Line2D([], [], **model_mark(), label="ai-corona at its operating point"),
        Line2D([], [], **hollow, markerfacecolor="white", label="reader, unaided (hollow)"),
        Line2D([], [], **hollow, markerfacecolor=BLACK, label="reader, aided (filled)"),
        Line2D([], [], **publication_mark("Zhang et al. [24]"), label="from publication"),
    ]


# --- Figure 9 ----------------------------------------------------------------------------------------------------

_SEXES: Final = {"F": "female", "M": "male", "O": "other", "": "not known"}


def figure_9(study: Study) -> Picture | Missing:
    """Draw slices, ages and sexes of the MDH scans."""
    name, title = named(9)
    rows = [row for row in study.inputs.rows if row.cohort is Cohort.MDH and row.split is not Split.EXCLUDED]
    if not rows:
        return Missing(name=name, title=title, needs=f"scans of MDH in {MANIFEST}")
    slices = np.array([row.n_slices for row in rows])
    ages = np.array([nan if row.age is None else row.age for row in rows])
    ages = ages[~np.isnan(ages)]
    sexes = Counter(_SEXES[row.sex] for row in rows)

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 2.8)
        first, second, third = figure.subplots(1, 3)
        step = max(1, int(np.ptp(slices)) // 30)
        bins = np.arange(slices.min(), slices.max() + step + 1, step) - 0.5
        first.hist(slices, bins=bins, color=BLUE, edgecolor="white")
        first.set_title("a  slices a scan", loc="left")
        first.set_xlabel("slices")
        first.set_ylabel("scans")
        if ages.size:
            second.hist(ages, bins=np.arange(5 * (ages.min() // 5), ages.max() + 5, 5), color=BLUE, edgecolor="white")
        else:
            second.text(0.5, 0.5, "not known", ha="center", transform=second.transAxes)
        second.set_title("b  age, 5-year steps", loc="left")
        second.set_xlabel("years")
        names = [text for text in _SEXES.values() if sexes[text]]
        bars = third.bar(names, [sexes[text] for text in names], color=BLUE, width=0.6)
        third.bar_label(bars, fontsize=8)
        third.set_title("c  sex", loc="left")
        third.margins(y=0.12)
        third.grid(visible=False, axis="x")
        return figure

    spread = f"{slices.min()} to {slices.max()} slices, median {np.median(slices):g}"
    years = f"ages {ages.min():g} to {ages.max():g}, median {np.median(ages):g}" if ages.size else "no ages"
    alt = f"{len(rows)} scans: {spread}; {years}; {', '.join(f'{text} {count}' for text, count in sexes.items())}."
    notes = (
        "One entry a scan; excluded scans are left out. The paper states 21 to 46 slices and nothing of age and sex.",
    )
    return drawn(name, title, alt, draw, notes)
