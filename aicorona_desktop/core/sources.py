"""Where files come from: a folder that is watched, a disc, an archive, the receiver, a person; frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from aicorona_desktop.core.errors import AicoronaError

QUIET_TIME_S = 30.0
LOOK_EVERY_S = 10.0
LOOK_EVERY_ON_NETWORK_S = 30.0


class SourceError(AicoronaError):
    """A value of a source is out of its range."""


class SourceKind(StrEnum):
    """What kind of place files come from.

    What a person gives (`PERSON`), a disc or an archive is whole when it has been read; what a `FOLDER` or the
    `RECEIVER` gives comes in parts, so that a study waits until it has gone quiet.
    """

    PERSON = "person"
    FOLDER = "folder"
    DISC = "disc"
    ARCHIVE = "archive"
    RECEIVER = "receiver"


@dataclass(frozen=True, slots=True)
class WatchedSource:
    """A folder that is watched, and how.

    `label` is what people call it, the folder's name where it is empty. `copied`: files are kept as copies of ours, so
    that they may go where they lie; else they are referenced in place. `quiet_time_s`: a study is complete when no new
    file of it has come for so long; None is the site's. `look_every_s`: between two looks; None is the site's on a
    local drive, 30 s at least on a network drive. `kind` RECEIVER: the folder is an inbox of ours, files are removed
    from it once they are recorded.
    """

    folder: Path
    label: str = ""
    copied: bool = True
    quiet_time_s: float | None = None
    look_every_s: float | None = None
    kind: SourceKind = SourceKind.FOLDER

    def __post_init__(self) -> None:
        if self.quiet_time_s is not None and not 0 <= self.quiet_time_s <= 300:
            raise SourceError("The quiet time of a study must be 0 to 300 seconds.")
        if self.look_every_s is not None and not 0 < self.look_every_s <= 300:
            raise SourceError("The time between two looks into a folder must be up to 300 seconds.")
        if self.kind is SourceKind.RECEIVER and not self.copied:
            raise SourceError("What the receiver takes in is always kept as a copy.")

    @property
    def name(self) -> str:
        """What people call it."""
        return self.label or self.folder.name or str(self.folder)


def stored(source: WatchedSource) -> dict[str, object]:
    """Return a watched folder as it is kept in the settings' file."""
    return {
        "folder": str(source.folder),
        "label": source.label,
        "copied": source.copied,
        "quiet_time_s": source.quiet_time_s,
        "look_every_s": source.look_every_s,
    }


def restored(value: str | Mapping[str, Any]) -> WatchedSource:
    """Return a watched folder from the settings' file; a version before kept the folder alone, and referenced it.

    Raises:
        TypeError, KeyError, SourceError: this is none.
    """
    if isinstance(value, str):
        return WatchedSource(Path(value), copied=False)
    if not isinstance(value, Mapping):
        raise TypeError("expected values by name")
    quiet, look = value.get("quiet_time_s"), value.get("look_every_s")
    return WatchedSource(
        folder=Path(value["folder"]),
        label=str(value.get("label", "")),
        copied=bool(value.get("copied", True)),
        quiet_time_s=None if quiet is None else float(quiet),
        look_every_s=None if look is None else float(look),
    )
