"""`triage PATH...`: read everything below the paths, score it, print the ranked worklist."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from aicorona_desktop.app.services import Wishes, running_engine
from aicorona_desktop.cli.options import add_history, add_json, add_model, existing, some_path, tell, wishes_of
from aicorona_desktop.cli.report import print_worklist, study_objects, write_json
from aicorona_desktop.core import events
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.rows import Row
from aicorona_desktop.intake.walking import shown_text
from aicorona_desktop.triage.engine import Engine
from aicorona_desktop.triage.ranking import policy_of, rank
from aicorona_desktop.triage.reading import NoInstance


class EngineError(AicoronaError):
    """The engine stopped by a fault of ours."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "triage", help="score studies below PATH and print the ranked worklist", description=__doc__
    )
    parser.add_argument(
        "paths", nargs="+", type=some_path, metavar="PATH", help="a file, folder, ZIP archive, ISO image or disc"
    )
    add_json(parser)
    add_model(parser)
    add_history(parser, "keep the results in this history (default: nothing is kept)")
    parser.add_argument("--copy", action="store_true", help="with --history: keep a copy of each file beside it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Triage the paths of the command line."""
    paths = existing(arguments.paths)
    triage(paths, wishes_of(arguments, kept=False), arguments.json, copy=arguments.copy)
    return 0


def triage(paths: Iterable[Path], wishes: Wishes, json_file: Path | None, *, copy: bool = False) -> None:
    """Score what lies below the paths, with a progress bar; print the table; write JSON when asked.

    Files stay where they are, and the history refers to them; `copy` keeps copies where a history is kept.
    """
    console = Console()
    with ProgressBar() as bar, running_engine(wishes, bar, tell) as engine:
        engine.submit(paths, copied=wishes.kept and copy)
        while not engine.wait_until_idle(0.2):
            pass
        raise_failure(engine)
        rows = worklist_of(engine, wishes)
        nameless = engine.catalogue.without_study()
        pack = engine.pack
    print_worklist(console, rows, pack)
    _print_import_summary(console, engine, nameless)
    if json_file is not None:
        write_json(json_file, study_objects(rows, engine.results, nameless, pack))


def raise_failure(engine: Engine) -> None:
    """Raise what stopped the engine, if anything did; a sentence of ours is handed on as it is."""
    if isinstance(engine.failure, AicoronaError):
        raise engine.failure
    if engine.failure is not None:
        raise EngineError("The program failed while scoring; the log has the details.") from engine.failure


def worklist_of(engine: Engine, wishes: Wishes) -> tuple[Row, ...]:
    """Return the ranked rows of the studies that this run has seen."""
    ranked = rank(engine.rows(), datetime.now(UTC), policy_of(wishes.settings, engine.operating_point))
    return tuple(row for row in ranked if row.study_instance_uid in engine.seen)


def _print_import_summary(console: Console, engine: Engine, nameless: tuple[NoInstance, ...]) -> None:
    """One line that counts every file (ux.md 3.3); the nameless ones are listed, at most ten."""
    console.print(
        f"Files read: {engine.files_done}; studies: {len(engine.seen)}; files without a study: {len(nameless)}.",
        style="bold",
    )
    for other in nameless[:10]:
        console.print(
            f"  {other.finding.outcome.value}: {shown_text(other.location)}: {other.finding}",
            markup=False,
            highlight=False,
        )
    if len(nameless) > 10:
        console.print(f"  ... and {len(nameless) - 10} more: --json FILE lists them all.")


class ProgressBar:
    """A listener of the engine that draws one bar on standard error."""

    def __init__(self) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        console = Console(file=sys.stderr)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._reading = self._progress.add_task("Reading files", total=None)
        self._scoring: dict[str, Any] = {}

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.Progress(files_read, files_total):
                self._progress.update(self._reading, completed=files_read, total=files_total)
            case events.SliceScored(uid, scored, to_score):
                if uid not in self._scoring:
                    self._scoring[uid] = self._progress.add_task(
                        f"Scoring study {len(self._scoring) + 1}", total=to_score
                    )
                self._progress.update(self._scoring[uid], completed=scored)
            case events.FinalScore(uid) | events.Unscored(uid):
                if uid in self._scoring:
                    self._progress.update(self._scoring[uid], visible=False)
            case events.Notice(finding):
                self._progress.console.print(str(finding), markup=False)
            case _:
                pass
