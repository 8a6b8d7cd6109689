"""A study's folder in, a folder of tables, figures and one page out.

Source: paper-spec 13.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.points_file import write_points
from aicorona_desktop.evaluation.report.answers import Wishes
from aicorona_desktop.evaluation.report.beyond import Beyond, beyond_of, beyond_sheets
from aicorona_desktop.evaluation.report.callers import F1
from aicorona_desktop.evaluation.report.compare import compare_sheet, comparisons
from aicorona_desktop.evaluation.report.inputs import read_inputs
from aicorona_desktop.evaluation.report.maps import Maps, mapped_cases
from aicorona_desktop.evaluation.report.page import Content, page
from aicorona_desktop.evaluation.report.pictures import BEYOND_TITLES, TITLES, Missing, Picture
from aicorona_desktop.evaluation.report.sheets import Sheet, write_sheet
from aicorona_desktop.evaluation.report.statements import statements
from aicorona_desktop.evaluation.report.study import Study, study_of
from aicorona_desktop.evaluation.report.tables import sheets_of
from aicorona_desktop.evaluation.synthetic_study import MODEL_SHA256
from aicorona_desktop.model.pack import Pack

REPORT: Final = "report.html"
CHOSEN_POINTS: Final = "points.csv"
NEEDS_MATPLOTLIB: Final = "matplotlib: install the extra `evaluate`"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWishes:
    """How a report is made. `pack` None draws no maps (Figures 6 and 7)."""

    figures: Wishes = field(default_factory=Wishes)
    f1: F1 = F1.STANDARD
    model_id: str = ""
    slice_rule: str = ""
    paper_marks: bool = False
    pack: Pack | None = None
    provider: str = "auto"
    root: Path | None = None  # of the images; None: the study's folder


@dataclass(frozen=True, slots=True)
class Made:
    """What was written: how many of the paper's tables and figures, and a sentence on each item not available."""

    tables: int
    figures: int
    missing: tuple[str, ...]
    page: Path


def make_report(
    folder: Path,
    out: Path,
    wishes: ReportWishes,
    today: date,
    told: Callable[[str], None] = lambda _: None,
) -> Made:
    """Read a study, write its tables, figures and page.

    Args:
        folder: of the study.
        out: made if missing; files of the same names in it are replaced.
        wishes: how.
        today: what the page is dated with.
        told: hears in a few words what is done next.

    Raises:
        InputError: the files are not what they must be; nothing was written.
        EvaluationError: something can't be computed or written.
    """
    told("Reading the files")
    inputs = read_inputs(folder, model_id=wishes.model_id, slice_rule=wishes.slice_rule)
    told("Computing the tables")
    study = study_of(inputs, wishes.figures, wishes.f1, today)
    sheets, compared = sheets_of(study), compare_sheet(comparisons(study))
    beyond = beyond_of(study)
    more_sheets = beyond_sheets(beyond)
    figures, more_figures = _figures(study, wishes, told), _more_figures(beyond)
    missing = tuple(_missing((*sheets, *more_sheets), (*figures, *more_figures), study))
    content = Content(
        study=study,
        sheets=sheets,
        compared=compared,
        figures=figures,
        beyond_sheets=more_sheets,
        beyond_figures=more_figures,
        statements=statements(study),
        missing=missing,
        made_up=inputs.model is not None and inputs.model.model_hash == MODEL_SHA256,
    )
    told("Writing")
    try:
        _write(out, content)
    except OSError as error:
        raise EvaluationError("The report could not be written; is the disk full or the folder closed?") from error
    drawn = sum(isinstance(one, Picture) for one in figures)
    return Made(sum(sheet.available for sheet in sheets), drawn, missing, out / REPORT)


def _figures(study: Study, wishes: ReportWishes, told: Callable[[str], None]) -> tuple[Picture | Missing, ...]:
    try:
        # Here and not above: it is in the extra, and takes a second to load.
        from aicorona_desktop.evaluation.report.figures import figures_of
    except ImportError:
        return tuple(Missing(name=name, title=title, needs=NEEDS_MATPLOTLIB) for name, title in TITLES.items())
    maps = Maps()
    cases = study.inputs.cases
    if cases and study.inputs.manifest is not None and wishes.pack is not None:
        told("Mapping slices")
        root = wishes.root or study.inputs.folder
        maps = mapped_cases(cases, study.inputs.rows, root, wishes.pack, wishes.provider)
    told("Drawing")
    return figures_of(study, maps, paper_marks=wishes.paper_marks)


def _more_figures(beyond: Beyond) -> tuple[Picture | Missing, ...]:
    try:
        from aicorona_desktop.evaluation.report.figures_beyond import figures_beyond
    except ImportError:
        return tuple(Missing(name=name, title=title, needs=NEEDS_MATPLOTLIB) for name, title in BEYOND_TITLES.items())
    return figures_beyond(beyond)


def _missing(sheets: tuple[Sheet, ...], figures: tuple[Picture | Missing, ...], study: Study) -> Iterator[str]:
    """Yield a sentence on each item that is not there, and on each part of one."""
    for sheet in sheets:
        if not sheet.available:
            yield f"{sheet.title}: not available, needs {', '.join(sheet.needs)}."
    for task in study.tasks:
        model = study.answers.model.get(task.id)
        if model is None:
            yield f"Table {task.table}, ai-corona: not available, needs {study.answers.model_needs[task.id]}."
        elif model.counts is None:
            yield f"Table {task.table}, ai-corona but for its AUC: not available. {model.notes[0]}"
    for figure in figures:
        if isinstance(figure, Missing):
            yield f"{figure.title}: not available, needs {figure.needs.rstrip('.')}."


def _write(out: Path, content: Content) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for sheet in (*content.sheets, *content.beyond_sheets, content.compared):
        write_sheet(out, sheet)
    for figure in (*content.figures, *content.beyond_figures):
        for suffix in ("svg", "png"):
            path = out / f"{figure.name}.{suffix}"
            if isinstance(figure, Picture):
                write_file(path, figure.svg if suffix == "svg" else figure.png)
            else:
                path.unlink(missing_ok=True)  # of an earlier report into the same folder
    if content.study.answers.chosen:
        write_points(out / CHOSEN_POINTS, content.study.answers.chosen)
    write_file(out / REPORT, page(content).encode())
