"""Whether a network looks at the patient or at the picture's frame: a sheet of maps, good and bad, and where they lie.

Two sheets are drawn from one choice. The one with the slices themselves is for whoever trains; it is not handed on,
for the slices' licences seldom allow it. The one of a pack has a coarse silhouette in their place, two greys on a
grid, from which nobody and no picture can be told.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.metrics import log_probabilities
from aicorona_desktop.imaging import overlay, resize
from aicorona_desktop.imaging.png import png_bytes
from aicorona_desktop.training.store import Unit

SHEET_FILE: Final = "maps.png"
MAPS: Final = 40
COLUMNS: Final = 8
CELL_PX: Final = 128
GAP_PX: Final = 6
SILHOUETTE_CELLS: Final = 24
BLACK: Final = 16  # of 255 after the preparation: at most that, outside the picture
DARK, BRIGHT = 70, 150
LARGEST_SHEET_BYTES: Final = 1_000_000

_DIGITS: Final = (
    *("111101101101111", "010110010010111", "111001111100111", "111001111001111", "101101111001001"),
    *("111100111001111", "111100111101111", "111001001001001", "111101111101111", "111101111001111"),
)
"""Three by five pixels each, row by row."""

Maps = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ShownMap:
    """One single slice with its answer; `cam` is the map of the class called, [h, w]."""

    source: str
    label: str
    called: str
    probability: float  # of the class called
    loss: float  # of the label
    border: float
    cam: Maps
    picture: NDArray[np.float32]  # as the network saw it, [s, s] in 0...255

    @property
    def is_right(self) -> bool:
        """Whether the class called is the label."""
        return self.called == self.label


def border_share(cam: Maps) -> float:
    """Return which part of what speaks for a class lies in the outermost ring of its map [h, w].

    A map that is the same everywhere has 4 (h - 1) / h^2 there.
    """
    positive = np.maximum(cam, 0)
    total = float(positive.sum())
    return 0.0 if total <= 0 else 1 - float(positive[1:-1, 1:-1].sum()) / total


def shown_map(unit: Unit, cams: Maps, logits: NDArray[np.floating], picture: NDArray[np.float32]) -> ShownMap:
    """Return a slice with its maps [3, h, w], logits [3] and picture [1, s, s]; its unit has one class."""
    logs = log_probabilities(logits[None])[0]
    called = int(logs.argmax())
    return ShownMap(
        source=unit.source,
        label=unit.label,
        called=CLASSES[called],
        probability=float(np.exp(logs[called])),
        loss=-float(logs[CLASSES.index(unit.label)]),
        border=border_share(cams[called]),
        cam=cams[called],
        picture=picture[0],
    )


def chosen_maps(maps: Sequence[ShownMap], count: int = MAPS, seed: int = 0) -> list[ShownMap]:
    """Return half of `count` as the worst errors and half as right answers drawn by seed, source by source in turn.

    Where there are fewer errors, right answers take their places, and the other way round.
    """
    errors = sorted((one for one in maps if not one.is_right), key=lambda one: -one.loss)
    right = [one for one in maps if one.is_right]
    random.Random(seed).shuffle(right)  # noqa: S311 - a choice of examples, not a secret
    worst, drawn = _in_turn(errors), _in_turn(right)
    half = min(len(worst), max(count // 2, count - len(drawn)))
    return [*worst[:half], *drawn[: count - half]]


def sheet(maps: Iterable[ShownMap], *, silhouettes: bool) -> bytes:
    """Return a PNG of numbered cells, eight a row, each a slice (or its silhouette) under the map of the class called.

    Each map has its own scale, for it is a scan of one slice.
    """
    cells = [_cell(number, one, silhouettes=silhouettes) for number, one in enumerate(maps, 1)]
    rows = max(1, -(-len(cells) // COLUMNS))
    step = CELL_PX + GAP_PX
    canvas = np.full((rows * step + GAP_PX, COLUMNS * step + GAP_PX, 3), 255, np.uint8)
    for place, cell in enumerate(cells):
        top, left = GAP_PX + place // COLUMNS * step, GAP_PX + place % COLUMNS * step
        canvas[top : top + CELL_PX, left : left + CELL_PX] = cell
    return png_bytes(canvas, {"Comment": "Class-activation maps of single slices; research use, not a diagnosis"})


def legend(maps: Sequence[ShownMap]) -> str:
    """Return what the numbers on a sheet stand for, one line a map, in Markdown."""
    lines = ["| | source | label | called | model score | map in the outermost ring |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {number} | {one.source} | {one.label} | {one.called}{'' if one.is_right else ' (wrong)'} "
        f"| {one.probability:.2f} | {one.border:.0%} |"
        for number, one in enumerate(maps, 1)
    ]
    return "\n".join(lines)


def border_by_source(maps: Sequence[ShownMap]) -> dict[str, float]:
    """Return the mean share of the maps in the outermost ring, by source."""
    by_source: dict[str, list[float]] = {}
    for one in maps:
        by_source.setdefault(one.source, []).append(one.border)
    return {source: float(np.mean(shares)) for source, shares in sorted(by_source.items())}


def mappable(units: Sequence[Unit]) -> list[tuple[Unit, int]]:
    """Return the slices that a sheet may show, each with its unit: of units with one class, a scan's middle one."""
    return [(unit, unit.slices[len(unit.slices) // 2]) for unit in units if unit.label in CLASSES]


def _in_turn(maps: Sequence[ShownMap]) -> list[ShownMap]:
    by_source: dict[str, list[ShownMap]] = {}
    for one in maps:
        by_source.setdefault(one.source, []).append(one)
    turns = zip_longest(*(by_source[source] for source in sorted(by_source)))
    return [one for turn in turns for one in turn if one is not None]


def _cell(number: int, one: ShownMap, *, silhouettes: bool) -> NDArray[np.uint8]:
    grey = _silhouette(one.picture) if silhouettes else _picture(one.picture)
    cell = overlay.overlay(grey, one.cam, overlay.scan_range([one.cam]))
    cell[:2], cell[-2:], cell[:, :2], cell[:, -2:] = (_frame_colour(one),) * 4
    _write_number(cell, number)
    return cell


def _frame_colour(one: ShownMap) -> tuple[int, int, int]:
    return (0, 114, 178) if one.is_right else (213, 94, 0)  # told apart by most colour-blind people


def _picture(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.clip(_resized(picture, CELL_PX), 0, 255)).astype(np.uint8)


def _silhouette(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the slice as two greys on a grid: brighter or darker than the mean of what is not black."""
    coarse = _resized(picture, SILHOUETTE_CELLS)
    inside = coarse[coarse > BLACK]
    level = float(inside.mean()) if inside.size else 0.0
    coarse = np.where(coarse > level, BRIGHT, DARK).astype(np.float32)
    return overlay.blocks(coarse, CELL_PX, CELL_PX).astype(np.uint8)


def _resized(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    shrinks = picture.shape[0] > side
    return resize.area(picture, side, side) if shrinks else resize.bilinear(picture, side, side)


def _write_number(cell: NDArray[np.uint8], number: int, scale: int = 2) -> None:
    left = 5
    cell[3 : 7 + 5 * scale, 3 : left + len(str(number)) * 4 * scale] = 0
    for digit in str(number):
        bits = np.array([bit == "1" for bit in _DIGITS[int(digit)]]).reshape(5, 3)
        block = np.kron(bits, np.ones((scale, scale), bool))
        area = cell[5 : 5 + 5 * scale, left : left + 3 * scale]
        area[block] = 255
        left += 4 * scale
