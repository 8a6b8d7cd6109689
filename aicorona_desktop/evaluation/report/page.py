"""report.html: everything in one file that opens anywhere, prints on A4 and needs no script and no network.

Source: paper-spec 13.2; W3C HTML 5; the words of ux.md 13.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from aicorona_desktop import __version__
from aicorona_desktop.evaluation.report.callers import F1
from aicorona_desktop.evaluation.report.errata import errata
from aicorona_desktop.evaluation.report.inputs import NAMES
from aicorona_desktop.evaluation.report.pictures import Missing, Picture
from aicorona_desktop.evaluation.report.sheets import Part, Sheet
from aicorona_desktop.evaluation.report.study import Study

NOTICE: Final = "Research use. Not a diagnosis. Every study must be read."

LONG_TEXT: Final = 48
"""Cells longer than this are sentences and may break."""

_CSS: Final = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #595959; --paper: #ffffff; --line: #d0d0d0;
  --band: #f3f6f9; --link: #005a9c; --warn: #fff4d6; --warn-line: #b07b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --soft: #b4b4b4; --paper: #17191c; --line: #444a50;
  --band: #21252a; --link: #7cc0f5; --warn: #3a3115; --warn-line: #d9a520; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; padding-top: .5rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
a { color: var(--link); }
.notice { background: var(--warn); border-left: .35rem solid var(--warn-line); padding: .7rem 1rem; font-weight: 600; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 1rem 0; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
nav ul { columns: 2; padding-left: 1.2rem; } nav li { break-inside: avoid; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .84rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .4rem 0; }
th, td { text-align: left; padding: .28rem .55rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody th { min-width: 7.5rem; } td { white-space: nowrap; } .text td { white-space: normal; }
thead th { border-bottom: 2px solid var(--soft); }
tbody tr:nth-child(even) { background: var(--band); }
.notes { font-size: .82rem; color: var(--soft); padding-left: 1.2rem; }
.notes li { margin: .15rem 0; }
figure { margin: 1.5rem 0; }
figure img { display: block; width: 100%; height: auto; background: #fff; padding: .6rem;
  border: 1px solid var(--line); }
figcaption { font-weight: 600; margin-top: .5rem; }
details summary { cursor: pointer; font-size: .84rem; color: var(--soft); }
.missing { border: 1px dashed var(--soft); padding: .5rem .9rem; color: var(--soft); }
@media (max-width: 40rem) { nav ul { columns: 1; } .facts { grid-template-columns: 1fr; } }
@page { size: A4; margin: 16mm 14mm; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --band: #f6f6f6; --link: #000;
    --warn: #fff; --warn-line: #000; }
  html { font-size: 11px; }
  body { font-size: 9.5pt; max-width: none; padding: 0; } nav { display: none; } a { text-decoration: none; }
  h2, h3, caption { break-after: avoid; } figure, tr { break-inside: avoid; } .wide { overflow: visible; }
  table { font-size: 7.2pt; } th, td { padding: .1rem .25rem; } .notes { font-size: 7.6pt; } details { display: none; }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the page shows. `missing` are the items that are not available, each with what it needs."""

    study: Study
    sheets: tuple[Sheet, ...]
    compared: Sheet
    figures: tuple[Picture | Missing, ...]
    statements: tuple[str, ...]
    missing: tuple[str, ...]
    beyond_sheets: tuple[Sheet, ...] = ()
    beyond_figures: tuple[Picture | Missing, ...] = ()
    made_up: bool = False


def page(content: Content) -> str:
    """Return the whole page."""
    title = "ai-corona: evaluation"
    tables = [sheet for sheet in content.sheets if sheet.name.startswith("table_")]
    others = [sheet for sheet in content.sheets if not sheet.name.startswith("table_")]
    body = "\n".join(
        (
            f"<header><h1>{title}</h1>",
            f'<p class="notice" role="note">{escape(NOTICE)}</p>',
            _made_up(content),
            _facts(content.study),
            "</header>",
            _navigation(content),
            "<main>",
            _section("missing", "Not available", _missing(content.missing)),
            _section("statements", "In words", _list(content.statements) or "<p>Nothing: there are no readings.</p>"),
            _section("tables", "Tables", "\n".join(map(_sheet, tables))),
            _section("figures", "Figures", "\n".join(map(_figure, content.figures))),
            _section("beside", "Paired tests and failed scans", "\n".join(map(_sheet, others))),
            _section(
                "beyond",
                "Beyond the paper",
                "\n".join((*map(_sheet, content.beyond_sheets), *map(_figure, content.beyond_figures))),
            ),
            _section("against", "Ours against the paper", _sheet(content.compared)),
            _section("methods", "Methods", _list(_methods(content.study))),
            _section("errata", "Errata of the paper", _errata()),
            "</main>",
            f"<footer><p>{escape(NOTICE)} aicorona-desktop {__version__}.</p></footer>",
        )
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


# --- parts -------------------------------------------------------------------------------------------------------


def _made_up(content: Content) -> str:
    if not content.made_up:
        return ""
    text = (
        "This study is made up: it has the paper's size and the paper's reader counts, and says nothing of any model."
    )
    return f'<p class="notice" role="note">{text}</p>'


def _facts(study: Study) -> str:
    model, inputs = study.inputs.model, study.inputs
    there = [name for name in NAMES if name not in inputs.missing]
    rows = len(inputs.rows)
    facts = {
        "Made on": f"{study.made_on}, by aicorona-desktop {__version__}",
        "Files": ", ".join(there),
        "Scans": f"{rows} of {len({row.subject_id for row in inputs.rows})} subjects" if rows else "no manifest",
        "Readings": f"{len(inputs.readers)} of {len({row.reader_id for row in inputs.readers})} readers"
        if inputs.readers
        else "none",
        "RT-PCR tests": str(len(inputs.pcr_tests)) if inputs.pcr_tests else "none",
    }
    if inputs.predictions is not None and model is not None:
        failed = sum(one.status == "failed" for one in inputs.predictions)
        facts |= {
            "Model": f"{model.model_id}, slice rule {model.selection}",
            "Model SHA-256": model.model_hash,
            "Predictions": f"{len(inputs.predictions)}, of them {failed} failed",
            "Device": ", ".join(dict.fromkeys(one.device for one in inputs.predictions if one.device)) or "not stated",
        }
    if inputs.manifest is not None:
        facts["Manifest SHA-256"] = inputs.manifest.sha256
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f'<dl class="facts">{lines}</dl>'


def _navigation(content: Content) -> str:
    links = [("missing", "Not available"), ("statements", "In words")]
    links += [(sheet.name, sheet.title) for sheet in content.sheets if sheet.name.startswith("table_")]
    links += [(figure.name, figure.title) for figure in content.figures]
    links += [(sheet.name, sheet.title) for sheet in content.sheets if not sheet.name.startswith("table_")]
    links += [(one.name, one.title) for one in (*content.beyond_sheets, *content.beyond_figures)]
    links += [("compare", "Ours against the paper"), ("methods", "Methods"), ("errata", "Errata of the paper")]
    items = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in links)
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>'


def _section(name: str, title: str, inner: str) -> str:
    return f'<section id="{name}" aria-label="{escape(title)}"><h2>{escape(title)}</h2>\n{inner}\n</section>'


def _missing(items: Sequence[str]) -> str:
    return _list(items) if items else "<p>Everything is there.</p>"


def _sheet(sheet: Sheet) -> str:
    if not sheet.available:
        needs = escape(", ".join(sheet.needs))
        missing = f'<p class="missing">Not available: needs {needs}.</p>'
        return f'<div id="{sheet.name}"><h3>{escape(sheet.title)}</h3>{missing}</div>'
    parts = "\n".join(map(_part, sheet.parts[: sheet.shown_parts]))
    folded = "\n".join(map(_part, sheet.parts[sheet.shown_parts :]))
    if folded:
        count = len(sheet.parts) - sheet.shown_parts
        parts += f"<details><summary>{count} more tables (all are in {sheet.name}.csv)</summary>{folded}</details>"
    heading = "" if len(sheet.parts) == 1 and sheet.parts[0].title == sheet.title else f"<h3>{escape(sheet.title)}</h3>"
    return f'<div id="{sheet.name}">{heading}{parts}</div>'


def _part(part: Part) -> str:
    if not part.rows:
        return f"<h3>{escape(part.title)}</h3>" + "".join(
            f'<p class="missing">{escape(note)}</p>' for note in part.notes
        )
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in part.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in part.rows
    )
    kind = ' class="text"' if any(len(cell) > LONG_TEXT for row in part.rows for cell in row[1:]) else ""
    table = f"<caption>{escape(part.title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="wide"><table{kind}>{table}</table></div>{_notes(part.notes)}'


def _figure(figure: Picture | Missing) -> str:
    if isinstance(figure, Missing):
        needs = f'<p class="missing">Not available: needs {escape(figure.needs)}.</p>'
        return f'<div id="{figure.name}"><h3>{escape(figure.title)}</h3>{needs}</div>'
    source = f"data:image/svg+xml;base64,{base64.b64encode(figure.svg).decode()}"
    return (
        f'<figure id="{figure.name}"><img src="{source}" alt="{escape(figure.alt)}">'
        f"<figcaption>{escape(figure.title)}</figcaption>{_notes(figure.notes)}"
        f"<details><summary>In words</summary><p>{escape(figure.alt)}</p></details></figure>"
    )


def _notes(notes: Iterable[str]) -> str:
    inner = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="notes">{inner}</ul>' if inner else ""


def _list(sentences: Sequence[str]) -> str:
    inner = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{inner}</ul>" if inner else ""


def _methods(study: Study) -> list[str]:
    wishes = study.wishes
    f1 = "F1 is 2TP / (2TP + FP + FN) in every row."
    if study.f1 is F1.AS_PRINTED:
        f1 = "The model's F1 is the harmonic mean of sensitivity and specificity, as the paper prints it."
    chosen = [stored.task for stored in study.answers.chosen]
    points = (
        f"Operating points of rule {wishes.rule} were chosen on the tuning scans of {', '.join(chosen)}; there was no "
        "points.csv. They are written beside this page."
        if chosen
        else f"Operating points are those of rule {wishes.rule} in points.csv, refused for any other model."
    )
    rounds = (
        f"Where subjects have several scans, intervals by subject come from {wishes.rounds} bootstrap rounds "
        f"(seed {wishes.seed}), drawn within the true class, and stand beside the plain ones."
        if wishes.rounds
        else "Intervals take scans as independent; those by subject were not asked for."
    )
    return [
        f"Intervals are two-sided at {100 * wishes.level:g} %: {wishes.method} for proportions; for F1, kappa and the "
        "harmonic mean the marginal posterior with the class sizes held; DeLong on logits for the AUC.",
        f1,
        points,
        rounds,
        "Pairs of classes are told apart by p(a) / (p(a) + p(b)), single classes by p. Readers' calls count as in the "
        "paper's tables: against normal everything but normal is a positive call.",
        "Paired tests: McNemar exact, mid-p beside it in the CSV; differences after Bonett and Price; p adjusted after "
        "Holm over all readers of one table and figure. Only p (Holm) below 0.0027 (three sigma) is significant.",
        "Failed scans are left out of the tables and counted; the sensitivity check counts them as called wrong.",
        "The statistics are those of the program's own library, each held against published vectors.",
    ]


def _errata() -> str:
    rows = tuple((str(one.number), one.place, one.finding, one.evidence, one.resolution) for one in errata())
    part = Part(
        title="What is wrong or unclear in the paper, why, and what is done here",
        columns=("No.", "Place", "Finding", "Evidence", "Here"),
        rows=rows,
    )
    return _part(part)
