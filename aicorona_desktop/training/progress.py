"""A progress bar for a run on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from aicorona_desktop.training.loop import Told


@contextlib.contextmanager
def progress_bar() -> Iterator[Told]:
    """Yield what `train` is to tell: it shows stage, steps and loss on standard error, on a terminal only."""
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Training", loss=0.0)

        def told(stage: str, done: int, steps: int, losses: dict[str, float]) -> None:
            progress.update(task, description=stage, completed=done, total=steps, loss=losses["loss"])

        yield told
