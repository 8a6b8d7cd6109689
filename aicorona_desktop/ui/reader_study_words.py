"""What readers, figures and comparisons of a reader study are called, and its tables as text."""

from __future__ import annotations

from math import isnan
from typing import Final

from PySide6.QtCore import QCoreApplication

from aicorona_desktop.app.reader_study_results import FIGURES, Caller, Changes, Comparison, Results, TableRow, Times
from aicorona_desktop.evaluation.intervals import shown, shown_number

translate = QCoreApplication.translate

Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""A header and rows, all of one length."""

LEAST_P: Final = 0.0001


def level_words(level: str) -> str:
    """Return what a level of readers is called."""
    return {
        "senior": translate("ReaderStudy", "senior"),
        "junior": translate("ReaderStudy", "junior"),
        "resident": translate("ReaderStudy", "resident"),
        "other": translate("ReaderStudy", "other"),
    }[level]


def figure_words(figure: str) -> str:
    """Return what a figure is called."""
    return {
        "sensitivity": translate("ReaderStudy", "Sensitivity"),
        "specificity": translate("ReaderStudy", "Specificity"),
        "f1": translate("ReaderStudy", "F1"),
        "kappa": translate("ReaderStudy", "Cohen's kappa"),
        "accuracy": translate("ReaderStudy", "Share right"),
    }[figure]


def caller_words(caller: Caller, *, short: bool = False) -> str:
    """Return whose row it is; `short` for below an axis."""
    if caller.reader is None:
        return translate("ReaderStudy", "Model")
    if short:
        return f"{caller.reader.code}+" if caller.aided else caller.reader.code
    text = (
        translate("ReaderStudy", "{reader} with the model")
        if caller.aided
        else translate("ReaderStudy", "{reader} without")
    )
    return text.format(reader=caller.reader.code)


def p_words(p: float) -> str:
    """Return a p-value with four places."""
    if isnan(p):
        return "-"
    return f"< {LEAST_P}" if p < LEAST_P else f"{p:.4f}"


def figures_table(results: Results) -> Table:
    """Return Table 3: every row with its figures and intervals."""
    head = (
        translate("ReaderStudy", "Who"),
        translate("ReaderStudy", "Cases"),
        *(figure_words(figure) for figure in FIGURES),
        translate("ReaderStudy", "AUC"),
        translate("ReaderStudy", "TP, FN, FP, TN"),
    )
    rows = [*((results.model.row,) if results.model is not None else ()), *results.rows]
    return head, tuple(map(_figures_row, rows))


def _figures_row(row: TableRow) -> tuple[str, ...]:
    counts = row.counts
    return (
        caller_words(row.caller),
        str(counts.total),
        *(shown(row.figures[figure]) for figure in FIGURES),
        shown(row.auc),
        f"{counts.true_positives}, {counts.false_negatives}, {counts.false_positives}, {counts.true_negatives}",
    )


def times_table(results: Results) -> Table:
    """Return Table 2: minutes a pass, seconds a scan, and their ratio."""
    head = (
        translate("ReaderStudy", "Reader"),
        translate("ReaderStudy", "Minutes without"),
        translate("ReaderStudy", "Minutes with the model"),
        translate("ReaderStudy", "Seconds a scan without"),
        translate("ReaderStudy", "Seconds a scan with"),
        translate("ReaderStudy", "With / without"),
        translate("ReaderStudy", "Readings with idle time cut"),
    )
    return head, tuple(map(_times_row, results.times))


def _times_row(times: Times) -> tuple[str, ...]:
    return (
        times.reader.code,
        shown_number(times.unaided_minutes, 1),
        shown_number(times.aided_minutes, 1),
        shown_number(times.unaided_s_per_scan, 1),
        shown_number(times.aided_s_per_scan, 1),
        shown_number(times.ratio, 2),
        str(times.idle_cut),
    )


def comparisons_table(results: Results) -> Table:
    """Return the paired tests: who against whom, by which figure, where they differ, the difference, p raw and Holm."""
    head = (
        translate("ReaderStudy", "Compared"),
        translate("ReaderStudy", "Figure"),
        translate("ReaderStudy", "Cases"),
        translate("ReaderStudy", "Only first right"),
        translate("ReaderStudy", "Only second right"),
        translate("ReaderStudy", "Difference"),
        translate("ReaderStudy", "McNemar p"),
        translate("ReaderStudy", "Holm p"),
        translate("ReaderStudy", "In words"),
    )
    return head, tuple(row for one in results.comparisons for row in _comparison_rows(one))


def _comparison_rows(one: Comparison) -> list[tuple[str, ...]]:
    with_model, without = Caller(one.reader, True), Caller(one.reader, False)
    first, second = (with_model, without) if one.kind == "aided" else (Caller(one.reader, one.aided), Caller(None))
    text = translate("ReaderStudy", "{first} - {second}").format(first=caller_words(first), second=caller_words(second))
    return [
        (
            text,
            figure_words(found.figure),
            str(found.cases.total),
            str(found.cases.first_only),
            str(found.cases.second_only),
            shown(found.difference),
            p_words(found.judged.p),
            p_words(found.judged.holm_p),
            judged_words(found.judged.holm_p, passes=found.judged.passes_three_sigma),
        )
        for found in one.figures
    ]


def judged_words(holm_p: float, *, passes: bool) -> str:
    """Return what may be said of a comparison; "significant" is kept for three sigma (paper-spec 8.7)."""
    if isnan(holm_p):
        return "-"
    if passes:
        return translate("ReaderStudy", "significant at three sigma")
    return "p < 0.05" if holm_p < 0.05 else translate("ReaderStudy", "no difference shown")


def changes_table(results: Results) -> Table:
    """Return how answers changed from without to with the model."""
    head = (
        translate("ReaderStudy", "Reader"),
        translate("ReaderStudy", "Cases in both"),
        translate("ReaderStudy", "Wrong to right"),
        translate("ReaderStudy", "Right to wrong"),
        translate("ReaderStudy", "Towards the model"),
        translate("ReaderStudy", "Away from the model"),
    )
    return head, tuple(map(_changes_row, results.changes))


def _changes_row(one: Changes) -> tuple[str, ...]:
    counts = (one.cases, one.wrong_to_right, one.right_to_wrong, one.with_model, one.against_model)
    return (one.reader.code, *("-" if count is None else str(count) for count in counts))


def sentences(results: Results) -> list[str]:
    """Return what has to be known of the numbers."""
    said = []
    if results.unblinded:
        said.append(
            translate("ReaderStudy", "Not all readers have finished: these are the answers so far, shown on request.")
        )
    text = translate(
        "ReaderStudy", "{cases} cases, {covid} of them COVID-19 by their label; COVID-19 against the rest."
    )
    said.append(text.format(cases=results.cases, covid=results.with_covid))
    said.append(_model_sentence(results))
    said.append(_confound(results))
    said.append(
        translate(
            "ReaderStudy",
            "The tests are exact McNemar tests on the same cases, the intervals of differences Bonett and Price's; "
            "p is adjusted after Holm over all comparisons of one kind and figure.",
        )
    )
    means = [
        translate("ReaderStudy", "{figure} {value}").format(figure=figure_words(figure), value=_signed(value))
        for figure, value in results.mean_difference.items()
        if not isnan(value)
    ]
    if means:
        text = translate(
            "ReaderStudy", "Mean over readers, with less without: {means}. So few readers speak for themselves alone."
        )
        said.append(text.format(means=", ".join(means)))
    if results.several_yes:
        text = translate("ReaderStudy", "{count} answers do not name exactly one class.")
        said.append(text.format(count=results.several_yes))
    return said


def _model_sentence(results: Results) -> str:
    model = results.model
    if model is None:
        return translate("ReaderStudy", "The model has no scores of cases of both kinds.")
    by_point = translate("ReaderStudy", "The model calls COVID-19 from {point} on.")
    by_class = translate("ReaderStudy", "There is no operating point: the model calls what has its highest score.")
    text = by_class if model.threshold is None else by_point.format(point=f"{100 * model.threshold:.1f}")
    if not model.without_score:
        return text
    without = translate("ReaderStudy", "{count} cases have no score and are left out of its row.")
    return f"{text} {without.format(count=model.without_score)}"


def _confound(results: Results) -> str:
    if results.design.crossover:
        return translate(
            "ReaderStudy",
            "Half the readers began with the model: learning from one session to the next and the model's help can be "
            "told apart between readers only.",
        )
    return translate(
        "ReaderStudy",
        "The session with the model always came second: what was learned from the first session and the model's help "
        "are mixed in every difference.",
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}"
