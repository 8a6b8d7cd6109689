"""The command line: one file a command, errors as one clear line on standard error.

Exit codes: 0 every file has an outcome, even if none was scored; 2 wrong use; 3 our failure;
130 stopped by the user.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from aicorona_desktop import __version__
from aicorona_desktop.app.services import Wishes
from aicorona_desktop.cli import (
    backup,
    bench,
    demo,
    evaluate,
    heatmap,
    metrics,
    predict,
    receive,
    rescore,
    score_archive,
    score_images,
    self_check,
    storage,
    triage,
    watch,
    window,
    worklist,
)
from aicorona_desktop.cli.options import WrongUseError, tell
from aicorona_desktop.cli.report import NOTICE
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.logs import set_up_logs
from aicorona_desktop.core.scratch import sweep_scratch

log = logging.getLogger(__name__)

COMMANDS = (
    *(window, demo, triage, watch, receive, heatmap, score_images),
    *(predict, evaluate, score_archive, worklist, rescore, self_check, metrics, bench, backup, storage),
)
WRONG_USE, OUR_FAILURE, STOPPED = 2, 3, 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="aicorona-desktop", description="Chest-CT triage on one workstation.", epilog=NOTICE
    )
    top.add_argument("--version", action="version", version=f"aicorona-desktop {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return top


def run(arguments: Sequence[str], open_window: Callable[[Wishes], int] | None = None) -> int:
    """Run one command; return its exit code.

    Args:
        arguments: those of the process; none at all opens the window.
        open_window: shows the window until it is closed; None where there is none.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal can't show stops nothing
    if not arguments and open_window is None:
        parser().print_help()
        return 0
    wishes = parser().parse_args(arguments or [window.NAME])
    wishes.open_window = open_window
    try:
        _prepare()
        return int(wishes.run(wishes))
    except BrokenPipeError:
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the end of the process: one line, never a traceback
        return _say(*_sentence_and_code(error))


def _prepare() -> None:
    """Open the log, sweep what killed runs left behind, and let a termination end as Ctrl+C does."""
    try:
        set_up_logs()
    except OSError:
        tell("aicorona-desktop: the log can't be written in the data folder; going on without.")
    sweep_scratch()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _sentence_and_code(error: BaseException) -> tuple[str, int]:
    match error:
        case WrongUseError():
            return str(error), WRONG_USE
        case AicoronaError():
            return str(error), OUR_FAILURE
        case OSError():
            return f"The system refused: {error.strerror or 'unknown error'}.", OUR_FAILURE
        case KeyboardInterrupt():
            return "Stopped. What was scored so far is kept where a history was named.", STOPPED
        case _:
            log.error("a command failed", exc_info=error)
            return "The program failed; the log has the details.", OUR_FAILURE


def _say(sentence: str, code: int) -> int:
    print(f"aicorona-desktop: {sentence}", file=sys.stderr)
    return code
