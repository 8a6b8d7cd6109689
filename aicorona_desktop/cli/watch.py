"""`watch FOLDER`: score what arrives in a folder, and print the worklist anew whenever it changes."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from aicorona_desktop.app.services import running_engine
from aicorona_desktop.cli.options import WrongUseError, add_history, add_json, add_model, wishes_of
from aicorona_desktop.cli.report import print_worklist, study_objects, write_json
from aicorona_desktop.cli.triage import EngineError, worklist_of
from aicorona_desktop.core import events
from aicorona_desktop.core.settings import Settings


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("watch", help="score what arrives in FOLDER, live", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--quiet-time", type=float, metavar="S", help="seconds without a new slice until a study is complete"
    )
    parser.add_argument("--poll", type=float, metavar="S", help="seconds between two looks into the folder")
    parser.add_argument("--for", dest="seconds", type=float, metavar="S", help="stop after S seconds (default: Ctrl+C)")
    add_json(parser)
    add_model(parser)
    add_history(parser, "the history to keep results in (default: the program's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Watch until stopped."""
    if not arguments.folder.is_dir():
        raise WrongUseError(f"There is no folder at {str(arguments.folder)!r}.")
    settings = Settings()
    if arguments.quiet_time is not None:
        settings = replace(settings, quiet_time_s=arguments.quiet_time)
    if arguments.poll is not None:
        settings = replace(settings, poll_s=arguments.poll)
    wishes = wishes_of(arguments, kept=True, settings=settings)
    console, news = Console(), News()
    with running_engine(wishes, news) as engine:
        engine.watch(arguments.folder)
        console.print(f"Watching {arguments.folder} (Ctrl+C stops).", markup=False)
        until = None if arguments.seconds is None else time.monotonic() + arguments.seconds
        while until is None or time.monotonic() < until:
            if engine.failure is not None:
                raise EngineError("The program failed while watching; the log has the details.") from engine.failure
            for sentence in news.sentences():
                console.print(sentence, markup=False)
            if news.take_change():
                rows = worklist_of(engine, wishes)
                print_worklist(console, rows)
                if arguments.json is not None:
                    write_json(arguments.json, study_objects(rows, engine.results, engine.catalogue.without_study()))
            time.sleep(0.2)
    return 0


class News:
    """A listener of the engine that remembers what the terminal should say next."""

    def __init__(self) -> None:
        self._changed = False
        self._sentences: list[str] = []

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.FinalScore() | events.PreliminaryScore() | events.Unscored():
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
