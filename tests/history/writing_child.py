"""A program that writes into a ledger until somebody ends it, and tells each thing that is safe on the disk.

Arguments: the ledger, the number of the first study, and how large a file may become in bytes (0: any size).
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from aicorona_desktop.core.rows import State
from aicorona_desktop.history.store import History, HistoryError
from tests.history.made_up import score, study


def limit_files_to(size_bytes: int) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def write(history: History, number: int) -> None:
    uid = f"1.{number}"
    one = study(uid, 6)
    history.record_received(one)
    tell(f"received {uid}")
    history.move(uid, State.CHECKING, "")
    history.move(uid, State.QUEUED, "")
    history.record_result(uid, score(one), (), "1.0", "gate-1")
    tell(f"scored {uid}")
    history.save_verdict(uid, action="routine", initials="AB")
    tell(f"read {uid}")


def main() -> None:
    path, first, largest_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with History.open(path) as history:
        if largest_bytes:
            limit_files_to(largest_bytes)
        tell("open")
        try:
            for number in range(first, first + 100_000):
                write(history, number)
        except HistoryError as error:
            tell(f"said {error}")
            tell(f"readable {len(history.rows())}")


if __name__ == "__main__":
    main()
