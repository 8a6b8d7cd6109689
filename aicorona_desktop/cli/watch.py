"""`watch FOLDER`: score what arrives in a folder, and print the worklist anew whenever it changes."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from aicorona_desktop.app.services import running_engine
from aicorona_desktop.cli.options import (
    WrongUseError,
    add_history,
    add_json,
    add_model,
    at_least_zero,
    site_settings,
    tell,
    wishes_of,
)
from aicorona_desktop.cli.report import print_worklist, study_objects, write_json
from aicorona_desktop.cli.triage import raise_failure, worklist_of
from aicorona_desktop.core import events
from aicorona_desktop.core.rows import Lane, State
from aicorona_desktop.core.settings import Settings, SettingsError
from aicorona_desktop.core.sources import WatchedSource

LOOK_AGAIN_S = 30.0


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("watch", help="score what arrives in FOLDER, live", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--quiet-time", type=float, metavar="S", help="seconds without a new slice until a study is complete"
    )
    parser.add_argument("--poll", type=float, metavar="S", help="seconds between two looks into the folder")
    parser.add_argument("--for", dest="seconds", type=at_least_zero, metavar="S", help="stop after S seconds")
    add_json(parser)
    add_model(parser)
    add_history(parser, "the history to keep results in (default: the program's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Watch until stopped."""
    if not arguments.folder.is_dir():
        raise WrongUseError(f"There is no folder at {str(arguments.folder)!r}.")
    wishes = wishes_of(arguments, kept=True, settings=_settings(arguments))
    console, news = Console(), News()
    with running_engine(wishes, news, tell) as engine:
        engine.resume()  # what an earlier run has read is not read again
        engine.watch(WatchedSource(arguments.folder, copied=wishes.settings.copy_files))
        console.print(f"Watching {arguments.folder} (Ctrl+C stops).", markup=False)
        shown: list[tuple[str, Lane | None, State]] = []
        look_again = 0.0  # time alone moves rows: to overdue, for one
        until = None if arguments.seconds is None else time.monotonic() + arguments.seconds
        while until is None or time.monotonic() < until:
            raise_failure(engine)
            for sentence in news.sentences():
                console.print(sentence, markup=False)
            if news.take_change() or time.monotonic() >= look_again:
                look_again = time.monotonic() + LOOK_AGAIN_S
                rows = worklist_of(engine, wishes)
                places = [(row.study_instance_uid, row.lane, row.state) for row in rows]
                if places != shown:
                    shown = places
                    print_worklist(console, rows, engine.pack)
                    if arguments.json is not None:
                        nameless = engine.catalogue.without_study()
                        write_json(arguments.json, study_objects(rows, engine.results, nameless, engine.pack))
            time.sleep(0.2)
    return 0


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = site_settings()
    try:
        if arguments.quiet_time is not None:
            settings = replace(settings, quiet_time_s=arguments.quiet_time)
        if arguments.poll is not None:
            settings = replace(settings, poll_s=arguments.poll)
    except SettingsError as error:
        raise WrongUseError(str(error)) from error
    return settings


class News:
    """A listener of the engine that remembers what the terminal should say next."""

    def __init__(self) -> None:
        self._changed = False
        self._sentences: list[str] = []

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.StudySeen() | events.FinalScore() | events.PreliminaryScore() | events.Unscored():
                self._changed = True
            case events.SourceLost(folder):
                self._sentences.append(f"{folder} cannot be reached; it is tried again. Nothing is lost.")
            case events.SourceBack(folder):
                self._sentences.append(f"{folder} answers again.")
            case events.Notice(finding):
                self._sentences.append(str(finding))
            case _:
                pass

    def take_change(self) -> bool:
        """Whether the worklist has changed since the last call."""
        changed, self._changed = self._changed, False
        return changed

    def sentences(self) -> list[str]:
        """Return what has to be said since the last call."""
        said, self._sentences = self._sentences, []
        return said
