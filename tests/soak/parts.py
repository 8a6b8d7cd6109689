"""What every part of the soak is given, and how it says what it found."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SHARED = (Path(__file__).resolve().parents[3] / "shared").resolve()


@dataclass(slots=True)
class Soak:
    """One run: where it may write, how much of each part it does, and whether all of it held."""

    folder: Path
    share: float = 1.0  # of the full count of each part
    failures: list[str] = field(default_factory=list)

    def rounds(self, full: int) -> int:
        """How many of so many rounds this run does, at least one."""
        return max(1, round(full * self.share))

    def say(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def hold(self, condition: bool, what: str) -> None:
        """Remember what didn't hold; the rest goes on."""
        if not condition:
            self.failures.append(what)
            self.say(f"  FAILED: {what}")

    def place(self, name: str) -> Path:
        """A new folder of this run."""
        folder = self.folder / f"{name}-{time.monotonic_ns()}"
        folder.mkdir(parents=True)
        return folder


Part = Callable[[Soak], None]


def real(path: str) -> Path | None:
    """A folder of the real data; None where they are not beside this checkout."""
    folder = SHARED / path
    return folder if folder.is_dir() else None
