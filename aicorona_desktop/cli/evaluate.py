"""`evaluate FOLDER --out DIR`: the paper's Tables 1 to 9 and Figures 1 to 10 from the files of a study.

FOLDER holds manifest.csv, predictions.csv, readers.csv, rtpcr.csv, points.csv and cases.csv, or some of them: what
can't be made without the others is named. DIR gets the tables as CSV, the figures as SVG and PNG, compare.csv and
report.html, which holds them all.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from aicorona_desktop.app.services import chosen_pack
from aicorona_desktop.cli.options import DEVICES, WrongUseError, new_folder, pack_folder, share, slice_rule
from aicorona_desktop.cli.report import NOTICE

INTERVALS = ("jeffreys", "flat", "wilson", "clopper-pearson")
RULES = ("A", "B", "C", "D", "E")
MOST_ROUNDS = 100_000


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "evaluate", help="the paper's tables and figures from the files of a study, as one report", description=__doc__
    )
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="the study")
    parser.add_argument("--out", type=new_folder, metavar="DIR", help="the folder of the report")
    parser.add_argument(
        "--make-example", type=new_folder, metavar="DIR", help="write a made-up study of the paper's size into DIR"
    )
    parser.add_argument("--seed", type=_whole, default=0, metavar="N", help="of bootstrap and example (default: 0)")
    parser.add_argument(
        "--f1",
        choices=("standard", "as_printed"),
        default="standard",
        help="what the model's F1 is: F1, or the harmonic mean of sensitivity and specificity as the paper prints it",
    )
    parser.add_argument(
        "--interval", choices=INTERVALS, default=INTERVALS[0], help="how intervals are made (default: jeffreys)"
    )
    parser.add_argument(
        "--level", type=share, default=0.95, metavar="L", help="of the intervals, two-sided (default: 0.95)"
    )
    parser.add_argument(
        "--bootstrap",
        type=_whole,
        default=2000,
        metavar="N",
        help="rounds for the intervals by subject beside the others; 0: none (default: 2000)",
    )
    parser.add_argument(
        "--rule", choices=RULES, default="A", help="which operating points of points.csv are used (default: A)"
    )
    parser.add_argument("--model", default="", metavar="ID", help="the model_id, where predictions.csv has several")
    parser.add_argument("--slice-rule", type=slice_rule, metavar="RULE", help="the selection, where it has several")
    parser.add_argument(
        "--marks",
        choices=("uniform", "paper"),
        default="uniform",
        help="Figure 10: hollow and filled as in the others, or triangles and circles as in the paper",
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the manifest's paths begin (default: FOLDER)")
    parser.add_argument("--no-maps", action="store_true", help="leave out Figures 6 and 7: nothing is scored")
    parser.add_argument("--pack", type=pack_folder, metavar="DIR", help="the model pack of the maps")
    parser.add_argument("--provider", choices=DEVICES, default="auto", help="the device of the maps (default: auto)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the report, the example, or both."""
    if arguments.make_example is not None:
        _make_example(arguments)
        if arguments.folder is None and arguments.out is None:
            return 0
    folder = arguments.folder or arguments.make_example
    if folder is None or arguments.out is None:
        raise WrongUseError("Name the folder of the study, and with --out that of the report.")
    if not folder.is_dir():
        raise WrongUseError(f"There is no folder {str(folder)!r}.")
    if arguments.out == folder.resolve():
        raise WrongUseError("The report needs a folder of its own.")
    return _report(folder, arguments)


def _make_example(arguments: argparse.Namespace) -> None:
    from aicorona_desktop.evaluation.synthetic_study import write_study

    write_study(arguments.make_example, seed=arguments.seed, pictures=not arguments.no_maps)
    print(f"A made-up study of the paper's size: {arguments.make_example}")


def _report(folder: Path, arguments: argparse.Namespace) -> int:
    # Here and not above: SciPy would make every command start later.
    from aicorona_desktop.evaluation.intervals import Method
    from aicorona_desktop.evaluation.operating_points import Rule
    from aicorona_desktop.evaluation.report.answers import Wishes
    from aicorona_desktop.evaluation.report.callers import F1
    from aicorona_desktop.evaluation.report.inputs import CASES, InputError
    from aicorona_desktop.evaluation.report.writing import ReportWishes, make_report

    maps = not arguments.no_maps and (folder / CASES).exists()
    wishes = ReportWishes(
        figures=Wishes(
            level=arguments.level,
            method=Method(arguments.interval),
            rounds=arguments.bootstrap,
            seed=arguments.seed,
            rule=Rule(arguments.rule),
        ),
        f1=F1(arguments.f1),
        model_id=arguments.model,
        slice_rule=arguments.slice_rule or "",
        paper_marks=arguments.marks == "paper",
        pack=chosen_pack(arguments.pack) if maps else None,
        provider=arguments.provider,
        root=arguments.root,
    )
    console = Console(file=sys.stderr)
    try:
        with console.status("Evaluating") as status:
            made = make_report(folder, arguments.out, wishes, date.today(), status.update)  # noqa: DTZ011 - the user's day
    except InputError as error:
        raise WrongUseError(str(error)) from error
    print(f"Tables: {made.tables}; figures: {made.figures} of 10.")
    for sentence in made.missing:
        print(f"- {sentence}")
    print(f"Report: {made.page}")
    print(NOTICE)
    return 0


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > MOST_ROUNDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {MOST_ROUNDS}")
    return int(text)
