"""A program that stays, killed where a test wants it: reconciling_child.py HISTORY MOMENT.

MOMENT is `opened` (the ledger is open, nothing else), the name of an event, or seconds from the start.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from aicorona_desktop.app.services import Wishes, running
from aicorona_desktop.core.settings import Settings


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(place: Path, moment: str) -> None:
    def hear(event: object) -> None:
        if type(event).__name__ == moment:
            end()

    def told(_: str) -> None:
        if moment == "opened":
            end()

    if moment[0].isdigit():
        timer = threading.Timer(float(moment), end)
        timer.daemon = True
        timer.start()
    with running(Wishes(history=place, provider="cpu", settings=Settings(provider="cpu")), hear, told) as services:
        assert services.engine is not None
        services.engine.wait_until_idle(60)
        end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
