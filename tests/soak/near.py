"""Reader and scorer without processes, for runs that are begun thousands of times: the same parsers, a toy's answers.

What is proved with them is what the main process does with its files; their own processes are proved elsewhere.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.score import SliceScore
from aicorona_desktop.dicom.child.__main__ import examine, read, read_frames
from aicorona_desktop.dicom.protocol import Examined, SliceRead
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.score import contribution_of

Key = TypeVar("Key")


class _Near:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        pass


class NearReader(_Near):
    """Reads files in this process."""

    struggling = False
    restarts = 0

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def examine(self, data: bytes, sha256: str) -> Examined:
        return examine(data)

    def examine_all(self, items: Iterable[tuple[Key, bytes, str]]) -> Iterator[tuple[Key, Examined]]:
        for key, data, _ in items:
            yield key, examine(data)

    def read_slices(
        self, items: Iterable[tuple[Key, bytes, str, tuple[int, ...]]]
    ) -> Iterator[tuple[Key, int, SliceRead | Finding]]:
        for key, data, _, frames in items:
            for frame, value in zip(frames, read(data, frames, read_frames), strict=True):
                assert isinstance(value, SliceRead | Finding)
                yield key, frame, value


class NearScorer(_Near):
    """Answers with maps that depend on nothing but the slice."""

    provider = "CPUExecutionProvider"
    notes: tuple[Finding, ...] = ()
    machine_notes: tuple[Finding, ...] = ()
    room = True
    pid: int | None = None

    def __init__(self, pack: Pack, *_: object, **__: object) -> None:
        self.pack = pack
        self._answers: deque[tuple[int, SliceScore]] = deque()

    def submit(self, ticket: int, hounsfield: NDArray[np.int16]) -> None:
        seed = int.from_bytes(hashlib.sha256(hounsfield.tobytes()).digest()[:8], "big")
        chance = np.random.default_rng(seed)
        cam = chance.normal(0, 1, (3, self.pack.map_size, self.pack.map_size)).astype(np.float32)
        features = chance.normal(0, 1, 1536).astype(np.float32)
        self._answers.append((ticket, SliceScore(cam, features, contribution_of(cam))))

    def next(self, timeout_s: float | None = None) -> tuple[int, SliceScore] | None:
        return self._answers.popleft() if self._answers else None

    def still_agrees(self) -> bool:
        return True

    def wait_until_ready(self, timeout_s: float | None = None) -> bool:
        return True

    def cancel(self) -> None:
        pass


def put_in_place(services: Any, pack: Pack) -> None:
    """Have the composition root build these instead of processes."""
    services.Reader, services.Scorer = NearReader, NearScorer
    services.chosen_pack = lambda _folder: pack


def toy(folder: Path) -> Pack:
    """The pack of the toy network."""
    from tests.model.tiny_pack import tiny_pack  # it loads ONNX Runtime

    return tiny_pack(folder)
