"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from aicorona_desktop.app.services import HISTORY_NAME, Wishes
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.places import data_dir
from aicorona_desktop.core.settings import Settings, SettingsError, load_settings
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.protocol import PROVIDERS
from aicorona_desktop.model.selection import selected

PRINTED = Path("-")  # --json without a file
DEVICES = ("auto", *PROVIDERS)


class WrongUseError(AicoronaError):
    """The command line asks for something that is not there."""


def new_file(text: str) -> Path:
    """Return a file to be written; its folder must be there, or it would be found out only at the end."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    if (path.exists() and not path.is_file()) or not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} can't be written: it is no file, or its folder is closed")
    return path.resolve()  # behind a link: the link stays, its target is written


def new_folder(text: str) -> Path:
    """Return a folder of results, made later or there already; the folder around it must be there."""
    path = Path(text).resolve()
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return path


def slice_rule(text: str) -> str:
    """Return the name of a slice rule."""
    try:
        selected(1, text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of all, middle(F), top_half, bottom_half") from None
    return text


def pack_folder(text: str) -> Path:
    """Return the folder of a model pack."""
    path = Path(text)
    if not (path / "model.json").is_file():
        raise argparse.ArgumentTypeError(f"there is no model pack in {text!r}")
    return path


def positive(text: str) -> int:
    """Return a whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def site_settings() -> Settings:
    """Return the settings of the site: `settings.json` in the data folder, defaults where there is none."""
    try:
        return load_settings(data_dir())
    except SettingsError as error:
        raise SettingsError(f"The site's settings.json in the data folder: {error}") from error
    except OSError:
        return Settings()


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --pack and --provider."""
    parser.add_argument(
        "--pack", type=pack_folder, metavar="DIR", help="the model pack to score with (default: the one that ships)"
    )
    parser.add_argument("--provider", choices=DEVICES, default="auto", help="the device to score on (default: auto)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the result as JSON to FILE")


def add_json_or_print(parser: argparse.ArgumentParser) -> None:
    """Add --json with a file, or without: then the JSON is printed in place of the table."""
    parser.add_argument(
        "--json",
        type=new_file,
        nargs="?",
        const=PRINTED,
        metavar="FILE",
        help="write the result as JSON to FILE; without FILE print it instead of the table",
    )


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
        settings or site_settings(),
    )


def existing_history(arguments: argparse.Namespace) -> Path:
    """Return the history that the user named, else the program's own; WrongUseError where there is none yet."""
    place: Path = arguments.history or data_dir() / HISTORY_NAME
    if not place.exists():
        raise WrongUseError("There is no history yet: triage with --history, or watch a folder, first.")
    return place


def existing(paths: list[Path]) -> list[Path]:
    """Return the paths as they are; raise WrongUseError for the first that isn't there."""
    for path in paths:
        if not path.exists() and not path.is_symlink():
            raise WrongUseError(f"There is nothing at {str(path)!r}.")
    return paths


def some_path(text: str) -> Path:
    """Return a path; nothing at all is not the present folder."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path")
    return Path(text)


def at_least_zero(text: str) -> float:
    """Return a number from 0 to a million."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to a million")
    return number


def tell(sentence: object) -> None:
    """Say something on standard error that belongs to no result."""
    print(sentence, file=sys.stderr)


def tell_notes(scorer: Scorer) -> None:
    """Say on standard error what happened to the device, such as one that was asked for and is not there."""
    for note in (*scorer.machine_notes, *scorer.notes):
        tell(note)


def share(text: str) -> float:
    """Return a number between 0 and 1, both left out; for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return number
