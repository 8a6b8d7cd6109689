"""`metrics`: every figure of a 2 x 2 table with its interval."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from aicorona_desktop.cli.options import PRINTED, add_json_or_print, share
from aicorona_desktop.cli.report import NOTICE, JsonObject, give_json

if TYPE_CHECKING:
    from aicorona_desktop.evaluation.summary import Summary

INTERVALS = ("jeffreys", "flat", "wilson", "clopper-pearson")
LARGEST_COUNT = 10**9


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "metrics", help="sensitivity, specificity, F1, kappa and others of a 2 x 2 table", description=__doc__
    )
    parser.add_argument(
        "--counts",
        type=_count,
        nargs=4,
        required=True,
        metavar=("TP", "FN", "FP", "TN"),
        help="true positives, false negatives, false positives, true negatives",
    )
    parser.add_argument(
        "--interval", choices=INTERVALS, default=INTERVALS[0], help="how intervals are made (default: jeffreys)"
    )
    parser.add_argument(
        "--level", type=share, default=0.95, metavar="L", help="of the intervals, two-sided (default: 0.95)"
    )
    parser.add_argument(
        "--prevalence", type=share, metavar="P", help="that the predictive values are for (default: as in the counts)"
    )
    add_json_or_print(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the figures."""
    # Here and not above: SciPy would make every command start later.
    from aicorona_desktop.evaluation.intervals import Method
    from aicorona_desktop.evaluation.metrics import Counts
    from aicorona_desktop.evaluation.summary import summary

    found = summary(
        Counts(*arguments.counts),
        level=arguments.level,
        method=Method(arguments.interval),
        prevalence=arguments.prevalence,
    )
    if arguments.json != PRINTED:
        _print(Console(), found)
    if arguments.json is not None:
        give_json(arguments.json, _object(found))
    return 0


def _object(found: Summary) -> JsonObject:
    """Return each figure under its name, and beside them what they were made of."""
    from aicorona_desktop.evaluation.summary import as_json

    counts = found.counts
    figures: JsonObject = {name: as_json(interval) for name, interval in found.figures.items()}
    return {
        **figures,
        "counts": {
            "tp": counts.true_positives,
            "fn": counts.false_negatives,
            "fp": counts.false_positives,
            "tn": counts.true_negatives,
        },
        "level": found.level,
        "prevalence": found.prevalence,
        "notice": NOTICE,
    }


def _print(console: Console, found: Summary) -> None:
    from aicorona_desktop.evaluation.intervals import shown_number
    from aicorona_desktop.evaluation.summary import TITLES

    counts = found.counts
    table = Table("", "Value", "From", "To", "Interval")
    for name, interval in found.figures.items():
        numbers = (shown_number(number, 6) for number in (interval.value, interval.low, interval.high))
        table.add_row(TITLES[name], *numbers, interval.method)
    console.print(table)
    classes = f"{counts.positives} positives, {counts.negatives} negatives"
    console.print(f"{classes}; intervals at {100 * found.level:g} %.", style="dim")
    at = "of these counts" if found.prevalence is None else f"of {100 * found.prevalence:g} %"
    console.print(f"Predictive values at the prevalence {at}. {NOTICE}", style="dim")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to a billion")
    return int(text)
