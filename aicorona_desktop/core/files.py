"""A file as intake saw it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath


@dataclass(frozen=True, slots=True)
class FileRef:
    """One file of a source: where its bytes lie and what proves them.

    `path` is where to read (a copy of ours for members of archives); `shown` is what a person calls it:
    the path below the source, normalised, control characters replaced. `source` is the folder that was given,
    or the archive. `origin` is where the file was found, when `path` is a copy of ours; None where they are the same.
    `sha256` is lower-case hex of the whole content.
    """

    path: Path
    shown: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    source: str
    origin: Path | None = None

    @property
    def location(self) -> str:
        """What names this file among all others; see `located`."""
        return located(self.source, self.shown, self.origin or self.path)


def located(source: str, shown: str, path: Path | None) -> str:
    """Return a file's own path where it lies below the source, else (in an archive) the source and what is shown.

    Two names may look the same and be two files: only the path itself tells them apart.
    """
    return str(path) if path is not None and path.is_relative_to(source) else str(PurePath(source) / shown)
