"""A program that makes or puts back backups of a ledger until somebody ends it; tells each thing that is done.

Arguments: `make` or `restore`, the ledger, and for `restore` two backups to put back in turn.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from aicorona_desktop.history import backup
from aicorona_desktop.history.store import History, utc_now
from tests.history.made_up import study


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    path = Path(sys.argv[2])
    if sys.argv[1] == "make":
        with History.open(path) as history:
            for number in itertools.count(len(history.rows())):
                tell(f"recorded {number}" if history.record_received(study(f"1.{number}")) else "known")
                tell(f"made {history.backup().name}")
    for copy in itertools.cycle(sys.argv[3:]):
        tell("begun")
        backup.restore(path, Path(copy), utc_now())


if __name__ == "__main__":
    main()
