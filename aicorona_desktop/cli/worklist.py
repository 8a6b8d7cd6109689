"""`worklist`: print the ranked worklist of a history."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from aicorona_desktop.app.services import HISTORY_NAME, chosen_pack
from aicorona_desktop.cli.options import WrongUseError, add_history, add_json
from aicorona_desktop.cli.report import print_worklist, study_object, write_json
from aicorona_desktop.core.places import data_dir
from aicorona_desktop.core.settings import Order, Settings
from aicorona_desktop.history.store import History
from aicorona_desktop.triage.ranking import policy_of, rank


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("worklist", help="print the ranked worklist of the history", description=__doc__)
    parser.add_argument(
        "--order",
        choices=[order.value for order in Order],
        default=Order.COVID.value,
        help="by what the unread studies are ranked",
    )
    parser.add_argument(
        "--days", type=float, default=7, metavar="N", help="show what was read in the last N days (default: 7)"
    )
    add_json(parser)
    add_history(parser, "the history to read (default: the program's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the worklist."""
    settings = Settings(order=Order(arguments.order))
    place = arguments.history or data_dir() / HISTORY_NAME
    if not place.exists():
        raise WrongUseError("There is no history yet: triage with --history, or watch a folder, first.")
    with History.open(place, read_only=True) as history:
        rows = history.rows(read_since=datetime.now(UTC) - timedelta(days=arguments.days))
    point = chosen_pack(None).operating_point
    if settings.order is Order.TWO_BANDS and point is None:
        raise WrongUseError("Two bands need an operating point, and the model pack has none.")
    ranked = rank(rows, datetime.now(UTC), policy_of(settings, point.threshold if point else None))
    print_worklist(Console(), ranked)
    if arguments.json is not None:
        write_json(arguments.json, [study_object(row, None) for row in ranked])
    return 0
