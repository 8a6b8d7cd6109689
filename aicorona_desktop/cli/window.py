"""`window`: show the window; the same as no command at all."""

from __future__ import annotations

import argparse
from typing import Any

from aicorona_desktop.cli.options import WrongUseError, add_history, add_model, wishes_of

NAME = "window"


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(NAME, help="show the window (the default)", description=__doc__)
    add_model(parser)
    add_history(parser, "the history to work with (default: the program's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the window until it is closed."""
    if arguments.open_window is None:
        raise WrongUseError("This build of the program has no window.")
    return int(arguments.open_window(wishes_of(arguments, kept=True)))
