"""`worklist`: print the ranked worklist of a history."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from aicorona_desktop.app.services import chosen_pack
from aicorona_desktop.cli.options import (
    PRINTED,
    WrongUseError,
    add_history,
    add_json_or_print,
    at_least_zero,
    existing_history,
    site_settings,
)
from aicorona_desktop.cli.report import Facts, give_json, print_removed, print_worklist, study_object
from aicorona_desktop.core.rows import Row
from aicorona_desktop.core.settings import Order
from aicorona_desktop.history.store import History
from aicorona_desktop.triage.operating_point import OperatingPoints
from aicorona_desktop.triage.ranking import policy_of, rank


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("worklist", help="print the ranked worklist of the history", description=__doc__)
    parser.add_argument(
        "--order",
        choices=[order.value for order in Order],
        default=None,
        help="by what the unread studies are ranked",
    )
    parser.add_argument(
        "--days", type=at_least_zero, default=7, metavar="N", help="show what was read in the last N days (default: 7)"
    )
    add_json_or_print(parser)
    add_history(parser, "the history to read (default: the program's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the worklist."""
    settings = site_settings()
    if arguments.order is not None:
        settings = replace(settings, order=Order(arguments.order))
    now = datetime.now(UTC)
    with History.open(existing_history(arguments), read_only=True) as history:
        point = OperatingPoints(history, chosen_pack(None), lambda: "", lambda: now).threshold
        if settings.order is Order.TWO_BANDS and point is None:
            raise WrongUseError("Two bands need an operating point: neither the site nor the model pack has one.")
        known = history.rows(read_since=now - timedelta(days=arguments.days))
        rows = [row for row in known if row.removed_at is None]
        ranked = rank(rows, now, policy_of(settings, point))
        objects = [study_object(row, _facts(history, row)) for row in ranked] if arguments.json is not None else []
    if arguments.json != PRINTED:
        print_worklist(Console(), ranked)
        print_removed(Console(), len(known) - len(rows))
    if arguments.json is not None:
        give_json(arguments.json, objects)
    return 0


def _facts(history: History, row: Row) -> Facts:
    """Return what the history knows: the score with its slices; what became of each file was said at the time."""
    stored = history.result(row.study_instance_uid) if row.probabilities is not None else None
    return Facts(score=stored.score if stored else None)
