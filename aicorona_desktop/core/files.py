"""A file as intake saw it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileRef:
    """One file of a source: where its bytes lie and what proves them.

    `path` is where to read (a copy of ours for members of archives); `shown` is what a person calls it:
    the path below the source, with `archive.zip/member` for archive members, control characters replaced.
    `sha256` is lower-case hex of the whole content.
    """

    path: Path
    shown: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    source: str
