"""A disc made of a folder, whose files can't be read at some bytes, or that is pulled out in the middle."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aicorona_desktop.intake.disc import OpenFile, open_on_medium
from aicorona_desktop.intake.disc_order import Planned
from aicorona_desktop.intake.media import Medium, MediumKind


@dataclass
class FaultyDisc:
    """Opens files as `open_on_medium` does; what can't be read is told by name and offset.

    `bad` are ranges of bytes by name that give EIO, `heals_after` how many reads of each fail before it is read after
    all. `pulled_at` is the number of the read at which the disc goes: its folder is moved away then.
    """

    root: Path
    bad: dict[str, range] = field(default_factory=dict)
    heals_after: int | None = None
    pulled_at: int | None = None
    reads: int = 0
    failed: int = 0
    order: list[str] = field(default_factory=list)

    @property
    def medium(self) -> Medium:
        return Medium(self.root, MediumKind.DISC, "CHEST_CD")

    @property
    def away(self) -> Path:
        return self.root.with_name(f"{self.root.name} in the hand")

    def pull(self) -> None:
        self.root.rename(self.away)

    def put_back(self) -> None:
        self.away.rename(self.root)

    @contextlib.contextmanager
    def opened(self, root: Path, one: Planned) -> Iterator[OpenFile]:
        self.order.append(one.below.name)
        with open_on_medium(root, one) as stream:
            yield _Faulty(self, one.below.name, stream)


@dataclass
class _Faulty:
    disc: FaultyDisc
    name: str
    stream: OpenFile

    @property
    def size_bytes(self) -> int:
        return self.stream.size_bytes

    def read(self, offset: int, size: int) -> bytes:
        disc = self.disc
        disc.reads += 1
        if disc.pulled_at is not None and disc.reads == disc.pulled_at:
            disc.pull()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        bad = disc.bad.get(self.name, range(0))
        if (
            offset < bad.stop
            and bad.start < offset + size
            and (disc.heals_after is None or disc.failed < disc.heals_after)
        ):
            disc.failed += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self.stream.read(offset, size)
