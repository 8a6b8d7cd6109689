"""Tables 1 to 9 and what stands beside them, as sheets.

Source: paper-spec 13.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan, nan

from aicorona_desktop.evaluation import table_1
from aicorona_desktop.evaluation.bootstrap import Interval
from aicorona_desktop.evaluation.intervals import shown, shown_number
from aicorona_desktop.evaluation.metrics import Counts
from aicorona_desktop.evaluation.predicting import PAPER_SECONDS
from aicorona_desktop.evaluation.report.callers import F1, Caller, Kind
from aicorona_desktop.evaluation.report.errata import of_table
from aicorona_desktop.evaluation.report.inputs import MANIFEST, PREDICTIONS, READERS
from aicorona_desktop.evaluation.report.paired import Compared
from aicorona_desktop.evaluation.report.printed import MODEL, of_row
from aicorona_desktop.evaluation.report.sheets import Cells, Part, Sheet, once
from aicorona_desktop.evaluation.report.study import PAPER_SCANS, Study, model_seconds, reader_seconds
from aicorona_desktop.evaluation.summary import summary
from aicorona_desktop.evaluation.tasks import Task


def sheets_of(study: Study) -> tuple[Sheet, ...]:
    """Return all tables: 1 to 9, then paired tests and the sensitivity check."""
    return (
        _table_1(study),
        _table_2(study),
        _table_3(study),
        *(_task_table(study, name) for name in "45678"),
        _table_9(study),
        _tests(
            *("aided_unaided", "Aided against unaided readers, paired by scan"),
            study.aided_unaided,
            needs=f"{READERS} with an unaided and an aided pass, and {MANIFEST}",
        ),
        _tests(
            *("readers_model", "Readers against the model at its operating point, paired by scan"),
            study.readers_model,
            needs=f"{READERS}, {PREDICTIONS}, points.csv and {MANIFEST}",
        ),
        _failed_as_wrong(study),
    )


# --- Table 1 -----------------------------------------------------------------------------------------------------


def _table_1(study: Study) -> Sheet:
    title = "Table 1. Subjects (scans) by cohort, class and split"
    if not study.inputs.rows:
        return Sheet(name="table_1", title=title, needs=(MANIFEST,))
    lines: dict[tuple[str, str], list[table_1.Cell]] = {}
    for cell in table_1.compare(study.inputs.rows):
        lines.setdefault((cell.cohort, cell.label), []).append(cell)
    columns = ("cohort", "label", *(f"{name}_{kind}" for name in table_1.COLUMNS for kind in ("subjects", "scans")))
    rows = tuple(
        (*name, *(number for cell in cells for number in (cell.subjects, cell.scans))) for name, cells in lines.items()
    )
    off = [cell for cells in lines.values() for cell in cells if not cell.agrees]
    notes = [cell.footnote for cells in lines.values() for cell in cells if cell.footnote]
    said = "Every cell is that of the paper, corrected." if not off else _off(off)
    part = Part(
        title=title,
        columns=("Cohort", "Class", "Training", "Tuning", "Test", "Total"),
        rows=tuple((*name, *(f"{cell.subjects} ({cell.scans})" for cell in cells)) for name, cells in lines.items()),
        notes=once((said, *notes, *of_table("1"))),
    )
    return Sheet(name="table_1", title=title, columns=columns, rows=rows, parts=(part,))


def _off(cells: Sequence[table_1.Cell]) -> str:
    first = cells[0]
    return (
        f"{len(cells)} cells differ from the paper's (corrected) data set, as the data are others; the first: "
        f"{first.cohort} {first.label} {first.column}, {first.subjects} ({first.scans}) here, "
        f"{first.expected_subjects} ({first.expected_scans}) there."
    )


# --- Table 2 -----------------------------------------------------------------------------------------------------

_COLUMNS_2 = (
    *("row", "scans", "minutes", "seconds_per_scan", "median_seconds", "seconds_5th", "seconds_95th"),
    *("ratio_to_model", "device", "printed_minutes", "printed_seconds_per_scan"),
)


def _table_2(study: Study) -> Sheet:
    title = "Table 2. Time for the MDH test scans"
    model, readers = model_seconds(study), reader_seconds(study)
    if model is None and not readers:
        needs = f"times of MDH test scans in {READERS} (seconds) or {PREDICTIONS} (ms_total), and {MANIFEST}"
        return Sheet(name="table_2", title=title, needs=(needs,))
    timed = {**({MODEL: model} if model else {}), **readers}
    each_model = model.total / model.scans if model else nan
    rows: list[Cells] = []
    for name, one in timed.items():
        minutes, each = one.total / 60, one.total / one.scans
        cell = of_row("2", name).get("minutes_for_357_scans")
        printed = cell.interval.value if cell else nan
        rows.append(
            (
                *(name, one.scans, minutes, each, one.median, one.low, one.high),
                *(each / each_model, ", ".join(one.devices), printed, printed * 60 / PAPER_SCANS),
            )
        )
    part = Part(
        title=title,
        columns=(
            *("", "Scans", "Minutes", "Seconds a scan", "Median (5th to 95th percentile)"),
            *("Times the model's", "Device", "Printed minutes", "Printed seconds a scan"),
        ),
        rows=tuple(_shown_2(row) for row in rows),
        notes=once((*_notes_2(study, bool(model)), *of_table("2"))),
    )
    return Sheet(name="table_2", title=title, columns=_COLUMNS_2, rows=tuple(rows), parts=(part,))


def _shown_2(row: Cells) -> tuple[str, ...]:
    name, scans, *numbers, device, printed, printed_each = row
    minutes, each, median, low, high, ratio = (number if isinstance(number, float) else nan for number in numbers)
    spread = shown_number(median, 2) if isnan(low) else f"{median:.2f} ({low:.2f} to {high:.2f})"
    printed_shown = [
        shown_number(number, 2) if isinstance(number, float) else "-" for number in (printed, printed_each)
    ]
    return (
        *(str(name), str(scans), shown_number(minutes, 1), shown_number(each, 2), spread),
        *(shown_number(ratio, 1), str(device) or "-", *printed_shown),
    )


def _notes_2(study: Study, has_model: bool) -> Iterator[str]:
    if has_model:
        yield (
            f"The model's seconds are those of the device named. The paper's {PAPER_SECONDS:.2f} s a scan are a line "
            "to look at: its hardware, and whether loading is in them, are not stated."
        )
    if any(one.aided for one in study.answers.passes):
        yield "Minutes of aided passes are recorded here; the paper prints none."


# --- Tables 3 to 9 -----------------------------------------------------------------------------------------------

_FIGURES_OF_TABLE = ("sensitivity", "specificity", "f1", "kappa", "auc")
_COLUMNS_OF_TABLE = (
    *("table", "row", "from", "aided", "TP", "FN", "FP", "TN"),
    *(f"{figure}{end}" for figure in (*_FIGURES_OF_TABLE, "hm_se_sp") for end in ("", "_low", "_high")),
    *("f1_kind", "auc_subject_low", "auc_subject_high"),
    *("design_effect_sensitivity", "design_effect_specificity", "design_effect_auc", "method"),
)


def _table_3(study: Study) -> Sheet:
    tasks = [study.task(name) for name in ("3a", "3b", "3c")]
    found = [_rows_of_task(study, task) for task in tasks]
    title = "Table 3. COVID-19 against the rest"
    if not any(found):
        return Sheet(name="table_3", title=title, needs=_needs(study, tasks))
    parts = tuple(_part_of_task(study, task) for task in tasks)
    rows = tuple(row for of_task in found for row in of_task)
    return Sheet(name="table_3", title=title, columns=_COLUMNS_OF_TABLE, rows=rows, parts=parts)


def _task_table(study: Study, name: str) -> Sheet:
    task = study.task(name)
    title, rows = f"Table {name}. {task.title}", _rows_of_task(study, task)
    if not rows:
        return Sheet(name=f"table_{name}", title=title, needs=_needs(study, [task]))
    parts = (_part_of_task(study, task),)
    return Sheet(name=f"table_{name}", title=title, columns=_COLUMNS_OF_TABLE, rows=rows, parts=parts)


def _needs(study: Study, tasks: Iterable[Task]) -> tuple[str, ...]:
    return once([*(study.answers.model_needs.get(task.id, "") for task in tasks), f"or {READERS} with {MANIFEST}"])


def _own(callers: Sequence[Caller]) -> bool:
    """Whether there is anything but quoted numbers."""
    return any(one.kind in (Kind.MODEL, Kind.READER, Kind.OTHER_DATA) for one in callers)


def _rows_of_task(study: Study, task: Task) -> tuple[Cells, ...]:
    callers = study.callers[task.id]
    return tuple(_row(study, task, one) for one in callers) if _own(callers) else ()


def _row(study: Study, task: Task, caller: Caller) -> Cells:
    counts = caller.counts
    table: tuple[int | None, ...] = (None,) * 4
    if counts is not None:
        table = counts.true_positives, counts.false_negatives, counts.false_positives, counts.true_negatives
    figures = [caller.figure(name) for name in _FIGURES_OF_TABLE]
    figures[2] = caller.f1(study.f1)
    ends = [number for one in (*figures, caller.figure("hm_se_sp")) for number in (one.value, one.low, one.high)]
    as_printed = study.f1 is F1.AS_PRINTED and caller.kind is Kind.MODEL
    subject = caller.by_subject.get("auc")
    return (
        *(task.table, caller.name, caller.kind.value, caller.aided, *table, *ends),
        "harmonic mean of sensitivity and specificity" if as_printed else "standard",
        *((subject.low, subject.high) if subject else (None, None)),
        *(caller.effects.get(name) for name in ("sensitivity", "specificity", "auc")),
        caller.figure("sensitivity").method,
    )


def _part_of_task(study: Study, task: Task) -> Part:
    callers = study.callers[task.id]
    title = f"Table {task.table}. {task.title}"
    if not _own(callers):
        needs = ", ".join(_needs(study, [task]))
        return Part(title=title, columns=(), rows=(), notes=(f"Not available: needs {needs}.",))
    with_auc = task.table in ("3a", "3b", "3c")
    model_f1 = " (model: HM, as printed)" if study.f1 is F1.AS_PRINTED else ""
    columns = ("", "Sensitivity", "Specificity", f"F1{model_f1}", "Kappa", *(("AUC",) if with_auc else ()))
    rows = tuple(row for one in callers for row in _shown_rows(study, one, with_auc=with_auc))
    notes = [note for one in callers for note in one.notes]
    needs = study.answers.model_needs.get(task.id, "")
    if needs:
        notes.insert(0, f"ai-corona: not available, needs {needs}.")
    return Part(title=title, columns=columns, rows=rows, notes=once((_sizes(callers), *notes, *of_table(task.table))))


def _sizes(callers: Sequence[Caller]) -> str:
    counts = [one.counts for one in callers if one.counts is not None and one.kind in (Kind.MODEL, Kind.READER)]
    if not counts:
        return ""
    largest = max(counts, key=lambda one: one.total)
    return f"{largest.positives} scans of the class asked for, {largest.negatives} others."


def _shown_rows(study: Study, caller: Caller, *, with_auc: bool) -> Iterator[tuple[str, ...]]:
    """Yield the row of a caller, and below it the intervals by subject where subjects have several scans."""
    quoted = {Kind.PUBLICATION: " (from publication)", Kind.OTHER_DATA: " (other data set)"}.get(caller.kind, "")
    figures = [caller.figure("sensitivity"), caller.figure("specificity"), caller.f1(study.f1), caller.figure("kappa")]
    if with_auc:
        figures.append(caller.figure("auc"))
    yield f"{caller.name}{quoted}", *map(shown, figures)
    if caller.by_subject:
        f1 = "hm_se_sp" if study.f1 is F1.AS_PRINTED else "f1"
        names = ("sensitivity", "specificity", f1, "kappa", *(("auc",) if with_auc else ()))
        found = [caller.by_subject.get(name) for name in names]
        yield f"{caller.name}, by subject", *("-" if one is None else shown(one) for one in found)


def _table_9(study: Study) -> Sheet:
    title = "Table 9. Area under the ROC curve of five questions, MDH"
    tasks = [task for task in study.tasks if task.auc_table == "9"]
    order = ("mdh_nca_vs_rest", "mdh_normal_vs_rest", "mdh_covid_vs_normal", "mdh_covid_vs_nca", "mdh_nca_vs_normal")
    tasks.sort(key=lambda task: order.index(task.id) if task.id in order else len(order))
    models = {task.id: study.answers.model[task.id] for task in tasks if task.id in study.answers.model}
    if not models:
        return Sheet(name="table_9", title=title, needs=_needs(study, tasks)[:-1])
    columns = (
        *("task", "title", "positives", "negatives", "auc", "auc_low", "auc_high", "method"),
        *("auc_subject_low", "auc_subject_high", "design_effect_auc"),
    )
    rows: list[Cells] = []
    shown_rows: list[tuple[str, ...]] = []
    for task in tasks:
        if task.id not in models:
            continue
        model = models[task.id]
        auc, subject = model.assessment.auc, model.assessment.by_subject.get("auc")
        positives = int(model.truth.sum())
        ends = (subject.interval.low, subject.interval.high) if subject else (None, None)
        numbers = (positives, len(model.truth) - positives)
        effect = model.assessment.design_effects.get("auc")
        rows.append((task.id, task.title, *numbers, auc.value, auc.low, auc.high, auc.method, *ends, effect))
        by_subject = f"{subject.interval.low:.3f} to {subject.interval.high:.3f}" if subject else "-"
        shown_rows.append((task.title, *map(str, numbers), shown(auc), by_subject))
    part = Part(
        title=title,
        columns=("Question", "Positives", "Negatives", "AUC", "Interval by subject"),
        rows=tuple(shown_rows),
        notes=once((*(note for one in models.values() for note in _of_failures(one.notes)), *of_table("9"))),
    )
    return Sheet(name="table_9", title=title, columns=columns, rows=tuple(rows), parts=(part,))


def _of_failures(notes: Iterable[str]) -> list[str]:
    """Of the notes of a model's answers those that matter without an operating point."""
    return [note for note in notes if "scans" in note]


# --- beside the paper's ------------------------------------------------------------------------------------------


def _tests(name: str, title: str, compared: Sequence[Compared], *, needs: str) -> Sheet:
    if not compared:
        return Sheet(name=name, title=title, needs=(needs,))
    columns = (
        *("table", "task", "first", "second", "figure", "only_first_right", "only_second_right", "scans"),
        *("difference", "low", "high", "p_exact", "p_mid", "p_holm", "below_three_sigma", "words"),
    )
    rows = tuple(
        (
            *(one.task.table, one.task.id, one.first, one.second, one.figure),
            *(one.discordant.first_only, one.discordant.second_only, one.discordant.total),
            *(one.difference.value, one.difference.low, one.difference.high),
            *(one.discordant.mcnemar_exact, one.discordant.mcnemar_mid_p, one.judged.holm_p),
            *(one.judged.passes_three_sigma, one.judged.words()),
        )
        for one in compared
    )
    by_task: dict[Task, list[Compared]] = {}
    for one in compared:
        by_task.setdefault(one.task, []).append(one)
    parts = tuple(
        Part(
            title=f"Table {task.table}. {task.title}",
            columns=("", "Figure", "Right only first / only second", "Difference", "p", "p (Holm)", ""),
            rows=tuple(_shown_test(one) for one in members),
        )
        for task, members in by_task.items()
    )
    return Sheet(name=name, title=title, columns=columns, rows=rows, parts=parts, shown_parts=2)


def _shown_test(one: Compared) -> tuple[str, ...]:
    discordant = one.discordant
    return (
        f"{one.first} − {one.second}",
        one.figure,
        f"{discordant.first_only} / {discordant.second_only} of {discordant.total}",
        f"{one.difference.value:+.3f} ({one.difference.low:+.3f} to {one.difference.high:+.3f})",
        shown_p(discordant.mcnemar_exact),
        shown_p(one.judged.holm_p),
        one.judged.words(),
    )


def shown_p(p: float) -> str:
    """Return a p-value as tables show it."""
    if isnan(p):
        return "-"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _failed_as_wrong(study: Study) -> Sheet:
    title = "Failed scans counted as called wrong"
    models = [one for one in study.answers.model.values() if one.counts is not None]
    if not models:
        return Sheet(name="failed_as_wrong", title=title, needs=(PREDICTIONS, "points.csv", MANIFEST))
    columns = (
        *("table", "task", "scored", "failed_positives", "failed_negatives"),
        *("sensitivity", "sensitivity_failed_wrong", "specificity", "specificity_failed_wrong"),
    )
    rows, shown_rows = [], []
    for model in models:
        counts, wrong = model.counts, model.failed_as_wrong
        if counts is None or wrong is None:
            continue
        failed = int(model.failed.sum()), int((~model.failed).sum())
        as_they_are, at_worst = (_rates(study, table) for table in (counts, wrong))
        task = model.task
        values = (
            *(as_they_are["sensitivity"].value, at_worst["sensitivity"].value),
            *(as_they_are["specificity"].value, at_worst["specificity"].value),
        )
        rows.append((task.table, task.id, counts.total, *failed, *values))
        shown_rows.append(
            (
                *(f"Table {task.table}", str(counts.total), str(sum(failed))),
                *(shown(one[name]) for name in ("sensitivity", "specificity") for one in (as_they_are, at_worst)),
            )
        )
    part = Part(
        title=title,
        columns=(
            *("", "Scored", "Failed", "Sensitivity", "Sensitivity, failed as wrong"),
            *("Specificity", "Specificity, failed as wrong"),
        ),
        rows=tuple(shown_rows),
        notes=("The tables above leave failed scans out; a failed scan is never taken as negative.",),
    )
    return Sheet(name="failed_as_wrong", title=title, columns=columns, rows=tuple(rows), parts=(part,))


def _rates(study: Study, counts: Counts) -> Mapping[str, Interval]:
    wishes = study.wishes
    return summary(counts, level=wishes.level, method=wishes.method, only=("sensitivity", "specificity")).figures
