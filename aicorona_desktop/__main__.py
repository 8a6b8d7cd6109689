"""Start of the program: the window, the command line, or one of its helper processes in the frozen program."""

from __future__ import annotations

import runpy
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aicorona_desktop.app.services import Wishes

CHILDREN = (
    *("aicorona_desktop.dicom.child", "aicorona_desktop.model.scorer", "aicorona_desktop.receive"),
    "aicorona_desktop.evaluation.archive.worker",
)


def main() -> int:
    """Run the program with the arguments of the process; return its exit code."""
    if len(sys.argv) > 2 and sys.argv[1] == "--child" and sys.argv[2] in CHILDREN:
        module = sys.argv[2]
        del sys.argv[1:3]
        runpy.run_module(module, run_name="__main__")
        return 0
    # Imported late: the helper processes of the frozen program start without the command line.
    from aicorona_desktop.cli.main import run

    return run(sys.argv[1:], _open_window)


def _open_window(wishes: Wishes) -> int:
    """Show the window; Qt is imported by nobody who doesn't ask for it."""
    from aicorona_desktop.ui.main import run

    return run(wishes)


if __name__ == "__main__":
    sys.exit(main())
