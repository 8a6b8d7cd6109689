"""Options that several commands share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aicorona_desktop.app.services import Wishes
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.model.client import Scorer

PROVIDERS = ("auto", "cpu", "cuda", "dml", "openvino", "openvino-bf16")


class WrongUseError(AicoronaError):
    """The command line asks for something that is not there."""


def new_file(text: str) -> Path:
    """Return a file to be written; its folder must be there, or it would be found out only at the end."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    return path


def folder(text: str) -> Path:
    """Return a folder that is there."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text!r}")
    return path


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --pack and --provider."""
    parser.add_argument(
        "--pack", type=folder, metavar="DIR", help="the model pack to score with (default: the one that ships)"
    )
    parser.add_argument("--provider", choices=PROVIDERS, default="auto", help="the device to score on (default: auto)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the result as JSON to FILE")


def add_history(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Add --history."""
    parser.add_argument("--history", type=new_file, metavar="FILE", help=purpose)


def wishes_of(arguments: argparse.Namespace, *, kept: bool, settings: Settings | None = None) -> Wishes:
    """Return the wishes that these arguments stand for."""
    return Wishes(
        arguments.pack,
        arguments.provider,
        arguments.history,
        kept or arguments.history is not None,
        settings or Settings(),
    )


def existing(paths: list[Path]) -> list[Path]:
    """Return the paths as they are; raise WrongUseError for the first that isn't there."""
    for path in paths:
        if not path.exists() and not path.is_symlink():
            raise WrongUseError(f"There is nothing at {str(path)!r}.")
    return paths


def tell_notes(scorer: Scorer) -> None:
    """Say on standard error what happened to the device, such as one that was asked for and is not there."""
    for note in (*scorer.machine_notes, *scorer.notes):
        print(note, file=sys.stderr)
