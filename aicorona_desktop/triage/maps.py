"""The class-activation maps of a result, kept beside the history and proved against it whenever they are shown.

The files are ours and evictable: what is missing is computed again from the study's files. A map is only worth
looking at when bias + mean of the maps is the stored score (paper-spec 4.2), so every load compares the two and
says so in a `MapCheck`; what doesn't agree is for the client to refuse, never to show in silence.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.durable import ONLY_OURS, write_file
from aicorona_desktop.core.score import CLASSES, Score, Triple
from aicorona_desktop.history.store import StoredResult
from aicorona_desktop.imaging.overlay import scan_range

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000_000
"""About 10 kB a slice at the paper's size: some two thousand studies of fifty used slices."""

TOLERANCE = 0.01
"""Largest difference of a logit: what one device may differ from another by (design D7)."""

SUFFIX = ".maps"
_FORM = 1
_LARGEST_FILE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MapCheck:
    """Whether maps are those of a stored score; all values are logits, classes in the order of `CLASSES`.

    `sums` are bias + mean over slices of the mean of the maps, `stored` the logits of the result, `differences`
    sum minus stored. `largest_slice_difference` is over the share of every slice and class. `within`: none of
    them exceeds `tolerance`, and the maps are of the very slices that were scored.
    """

    sums: Triple
    stored: Triple
    differences: Triple
    largest_slice_difference: float
    tolerance: float
    within: bool


@dataclass(frozen=True, slots=True, eq=False)
class StudyMaps:
    """All class-activation maps of one result.

    `cams` is float32 [n, 3, h, w], read-only, without bias; `indices` are the places of the n slices in the ordered
    series (0 = nearest the feet), ascending. `limits` are, for each class, the smallest and largest value of the
    whole study with zero between them: the one colour scale of its slices.
    """

    cams: NDArray[np.float32]
    indices: tuple[int, ...]
    bias: Triple
    limits: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    check: MapCheck

    def of_slice(self, index: int) -> NDArray[np.float32] | None:
        """Return the three maps [3, h, w] of a slice by its place in the series; None where it wasn't scored."""
        return self.cams[self.indices.index(index)] if index in self.indices else None


class MapStore:
    """One file a result in a folder; the ones used longest ago go when there are too many bytes.

    May be used from any thread. Without a folder nothing is kept.
    """

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self._most_bytes = most_bytes

    def has(self, result: int) -> bool:
        """Whether there is a file for a result's number."""
        return self.folder is not None and self._path(self.folder, result).is_file()

    def save(self, result: int, cams: NDArray[np.float32], indices: tuple[int, ...], bias: Triple) -> bool:
        """Keep the maps [n, 3, h, w] of a result's slices, on the disk when this returns; False where that failed.

        A failure costs nothing but time: the maps are computed again when somebody asks.
        """
        if self.folder is None:
            return False
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._path(self.folder, result), _content(cams, indices, bias), ONLY_OURS)
        except OSError as error:
            log.warning("maps could not be kept: %s", type(error).__name__)
            return False
        self._evict(result)
        return True

    def load(self, result: StoredResult) -> StudyMaps | None:
        """Return the maps of a result with their check; None where there are none, or no whole ones."""
        if self.folder is None:
            return None
        path = self._path(self.folder, result.number)
        try:
            if path.stat().st_size > _LARGEST_FILE_BYTES:
                return None
            data = path.read_bytes()
            os.utime(path)  # used now: it goes last
        except OSError:
            return None
        parts = _parts(data)
        return None if parts is None else maps_of(*parts, result.score)

    def forget(self, result: int) -> None:
        """Remove the maps of a result, if there are any."""
        if self.folder is not None:
            _remove(self._path(self.folder, result))

    def _path(self, folder: Path, result: int) -> Path:
        return folder / f"{result}{SUFFIX}"

    def _evict(self, newest: int) -> None:
        found = sorted(_files(self.folder), key=lambda one: one[0])
        left = sum(size for _, size, _ in found)
        for _, size, path in found:
            if left <= self._most_bytes:
                return
            if path.name != f"{newest}{SUFFIX}":
                _remove(path)
                left -= size


def maps_of(cams: NDArray[np.float32], indices: tuple[int, ...], bias: Triple, score: Score) -> StudyMaps:
    """Return maps with their colour scale and their check against a stored score.

    Args:
        cams: float32 [n, 3, h, w].
        indices: places of the n slices in the series, ascending.
        bias: of the pack that made them.
        score: what is stored.
    """
    cams.flags.writeable = False
    normal, pneumonia, covid = (scan_range(cams[:, place]) for place in range(len(CLASSES)))
    return StudyMaps(cams, indices, bias, (normal, pneumonia, covid), check_of(cams, indices, bias, score))


def check_of(cams: NDArray[np.float32], indices: tuple[int, ...], bias: Triple, score: Score) -> MapCheck:
    """Compare maps [n, 3, h, w] with a stored score: every slice's share, and the sum that is the logit."""
    shares = cams.mean(axis=(2, 3), dtype=np.float64)  # [n, 3]
    sums = np.asarray(bias, np.float64) + shares.mean(axis=0)
    differences = sums - np.asarray(score.logits)
    same_slices = indices == score.slice_indices
    by_slice = float(np.abs(shares - np.asarray(score.slice_contributions)).max()) if same_slices else float("inf")
    # Written so that a value that is no number is not within.
    within = same_slices and by_slice <= TOLERANCE and bool((np.abs(differences) <= TOLERANCE).all())
    return MapCheck(_triple(sums), score.logits, _triple(differences), by_slice, TOLERANCE, within)


def _content(cams: NDArray[np.float32], indices: tuple[int, ...], bias: Triple) -> bytes:
    """Return a file: one line of JSON with form, shape, indices and bias, then the maps as little-endian float32.

    No checksum: what was changed differs from the score, and that is to be said, not mended in silence.
    """
    head = {"form": _FORM, "shape": cams.shape, "indices": indices, "bias": bias}
    return json.dumps(head).encode() + b"\n" + np.ascontiguousarray(cams, "<f4").tobytes()


def _parts(data: bytes) -> tuple[NDArray[np.float32], tuple[int, ...], Triple] | None:
    """Return what a file holds, None where it isn't whole or of another form."""
    line, _, values = data.partition(b"\n")
    try:
        head = json.loads(line)
        n, classes, height, width = (int(one) for one in head["shape"])
        indices = tuple(int(one) for one in head["indices"])
        normal, pneumonia, covid = (float(one) for one in head["bias"])
        form = head["form"]
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    whole = min(n, height, width) > 0 and n * classes * height * width * 4 == len(values)
    if form != _FORM or classes != len(CLASSES) or len(indices) != n or not whole:
        return None
    return np.frombuffer(values, "<f4").reshape(n, classes, height, width), indices, (normal, pneumonia, covid)


def _triple(values: NDArray[Any]) -> Triple:
    normal, pneumonia, covid = values.tolist()
    return normal, pneumonia, covid


def _files(folder: Path | None) -> Iterator[tuple[float, int, Path]]:
    """Yield time of last use, size and path of every file of ours."""
    for path in folder.glob(f"*{SUFFIX}") if folder is not None else ():
        try:
            status = path.stat()
        except OSError:
            continue  # gone meanwhile
        yield status.st_mtime, status.st_size, path


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("maps could not be removed: %s", type(error).__name__)
