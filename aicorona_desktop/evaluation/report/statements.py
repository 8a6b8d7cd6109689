"""What the paper says of its readers together, counted anew.

Source: paper-spec 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from aicorona_desktop.evaluation.intervals import proportion, shown
from aicorona_desktop.evaluation.report.answers import Answers, ReaderAnswers
from aicorona_desktop.evaluation.report.study import Study

_TASK = "mdh_covid_vs_rest"

CONFOUND = (
    "The aided pass comes after the unaided one, so what readers learnt in between and what the model's output adds "
    "can't be told apart."
)
FEW_READERS = "Means over readers take the reader as the unit; so few readers allow no claim about others."


def statements(study: Study) -> tuple[str, ...]:
    """Return the sentences that the inputs allow."""
    return tuple(_statements(study))


def _statements(study: Study) -> Iterator[str]:
    unaided = [one for one in study.answers.readers.get(_TASK, ()) if not one.read.aided]
    if unaided:
        yield from _together(study, unaided)
    yield from _mean_changes(study)
    if study.aided_unaided:
        if all(one.number == (2 if one.aided else 1) for one in study.answers.passes):
            yield CONFOUND
        yield FEW_READERS


def _together(study: Study, unaided: list[ReaderAnswers]) -> Iterator[str]:
    """Scans of MDH with COVID-19 that at least one unaided reader called so; what became of the others."""
    covid = _positives(unaided)
    called = {scan for one in unaided for scan, call in zip(one.scan_ids, one.calls.tolist(), strict=True) if call}
    found = covid & called
    missed = covid - called
    yield (
        f"Of {len(covid)} COVID-19 scans of the MDH test set {len(found)} were called so by at least one of "
        f"{len(unaided)} unaided readers: {shown(proportion(len(found), len(covid), study.wishes.level))}. "
        "The paper: 111 of 119."
    )
    if not missed:
        return
    by_model = _called_by_model(study.answers, missed)
    pcr = {row.scan_id: row.rtpcr_any_positive for row in study.inputs.rows if row.scan_id in missed}
    known = sum(value is not None for value in pcr.values())
    positive = sum(value is True for value in pcr.values())
    others = f"Of the other {len(missed)} "
    others += "the model has no operating point" if by_model is None else f"the model called {by_model}"
    others += f" and {positive} had a positive RT-PCR" if known else " and RT-PCR is not known"
    yield f"{others}. The paper: of 8 the model 1, RT-PCR 3."
    if known == len(missed):
        left = len(covid) - (len(missed) - positive)
        yield (
            f"With RT-PCR as the only reference the missed scans without a positive RT-PCR leave: {len(found)} of "
            f"{left}, {shown(proportion(len(found), left, study.wishes.level))}. The paper: 97 %; which scans it left "
            "out is our reading."
        )


def _positives(answers: list[ReaderAnswers]) -> set[str]:
    """The COVID-19 scans that all of these readers have read."""
    sets = [{scan for scan, truth in zip(one.scan_ids, one.truth.tolist(), strict=True) if truth} for one in answers]
    return set.intersection(*sets)


def _called_by_model(answers: Answers, scans: set[str]) -> int | None:
    model = answers.model.get(_TASK)
    if model is None or model.calls is None:
        return None
    return sum(bool(call) for scan, call in zip(model.scan_ids, model.calls.tolist(), strict=True) if scan in scans)


def _mean_changes(study: Study) -> Iterator[str]:
    for table in ("3a", "3b"):
        for figure in ("sensitivity", "specificity"):
            values = [
                one.difference.value for one in study.aided_unaided if one.task.table == table and one.figure == figure
            ]
            if values:
                each = ", ".join(f"{value:+.3f}" for value in values)
                yield f"Aided less unaided {figure}, Table {table}: mean over readers {fmean(values):+.3f} ({each})."
