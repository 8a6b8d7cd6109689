"""Random changes of training pictures: whatever betrays the source is drawn anew, the lungs stay.

Grey values, windows, kernels, fields of view, frames, compression (training.md 4.3 and 10). Pixels are stretched by
the product's own rule first; from there everything works on one batch of float pictures in 0...1. The random numbers
come from one NumPy generator, so that a step can be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.model.preprocess import prepare, stretched
from aicorona_desktop.training.config import Augmentation
from aicorona_desktop.training.store import Pixels, Store

FLAT_GREY: Final = 12 / 255  # a row that varies by less belongs to a frame
SMALLEST_CONTENT: Final = 0.4  # of the picture's side; what is smaller is no frame but a strange picture


@dataclass(frozen=True, slots=True)
class Look:
    """What a stored picture looks like once stretched: its content box as shares of its square, and its quartiles."""

    box: tuple[float, float, float, float]  # left, top, right, bottom
    quartiles: tuple[float, float]  # of grey in the middle ellipse, 0...1


class Looks:
    """The looks of a store's slices, each measured once, and the medians of the quartiles of each source."""

    def __init__(self, store: Store, preparation: str) -> None:
        """Take a store; nothing is measured yet."""
        self._store = store
        self._preparation = preparation
        self._looks: dict[int, Look] = {}
        self._medians: dict[str, tuple[float, float]] = {}

    def of(self, place: int) -> Look:
        """Return the look of one slice."""
        if place not in self._looks:
            pixels = self._store.pixels(place)
            side = max(pixels.shape)
            self._looks[place] = look_of(self._store.prepared(place, self._preparation, side)[0] / 255)
        return self._looks[place]

    def of_source(self, source: str, sample: int = 60) -> tuple[float, float]:
        """Return the medians of both quartiles over some slices of the source, evenly spread."""
        if source not in self._medians:
            places = [at for at, record in enumerate(self._store.records) if record.source == source]
            chosen = places[:: max(1, len(places) // sample)]
            low, high = np.median([self.of(at).quartiles for at in chosen], axis=0)
            self._medians[source] = (float(low), float(high))
        return self._medians[source]


def look_of(picture: NDArray[np.float32]) -> Look:
    """Measure one square picture in 0...1."""
    side = picture.shape[0]
    box = []
    for axis in (0, 1):
        varies = np.flatnonzero(np.ptp(picture, axis=axis) > FLAT_GREY)
        low, high = (int(varies[0]), int(varies[-1]) + 1) if varies.size else (0, side)
        box.append((low / side, high / side) if high - low >= SMALLEST_CONTENT * side else (0.0, 1.0))
    (left, right), (top, bottom) = box
    at = (np.arange(side) + 0.5) / side
    x = (at - (left + right) / 2) / ((right - left) * 0.4)
    y = (at - (top + bottom) / 2) / ((bottom - top) * 0.4)
    inside = picture[(x[None] ** 2 + y[:, None] ** 2) < 1]
    low_grey, high_grey = np.percentile(inside, (25, 75)) if inside.size else (0.25, 0.75)
    return Look((left, top, right, bottom), (float(low_grey), float(high_grey)))


# --- one slice ---------------------------------------------------------------------------------------------------


def window_of(pixels: Pixels, rule: Augmentation, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a slice as a grey picture [h, w] in 0...255: a random window on Hounsfield units, then the paper's rule.

    Pictures have no Hounsfield units and are only stretched.
    """
    if pixels.dtype == np.uint8:
        return stretched(pixels)
    low = generator.uniform(*rule.window_low_hu)
    high = generator.uniform(*rule.window_high_hu)
    if generator.random() < rule.window_none:
        side = max(pixels.shape)
        height, width = pixels.shape
        hounsfield = pixels.astype(np.int16, copy=False)
        return prepare(hounsfield, "paper-1", side)[0, :height, :width]  # the rule for padding comes with it
    return stretched(np.clip(np.where(pixels == PADDING_HU, round(low), pixels), round(low), round(high)))


# --- a batch -----------------------------------------------------------------------------------------------------


class Augmenter:
    """Turns slices of a store into batches of float pictures [n, 1, size, size] in 0...255."""

    def __init__(self, store: Store, looks: Looks, rule: Augmentation) -> None:
        """Take the store, its looks, and how much is changed."""
        self._store = store
        self._looks = looks
        self._rule = rule

    def views(
        self, places: Sequence[int], size: int, count: int, generator: np.random.Generator, same: Sequence[int]
    ) -> list[torch.Tensor]:
        """Return `count` views of the slices: one geometry, grey values of their own.

        Slices with the same number in `same` belong to one scan and share geometry and window.
        """
        rule = self._rule
        groups = np.asarray(same)
        geometry = _shared([self._geometry(at, generator) for at in places], groups)
        views = []
        for _ in range(count):
            seeds = generator.integers(0, 2**63, groups.max() + 1)
            pictures = [
                window_of(self._store.pixels(at), rule, np.random.default_rng(seeds[group]))
                for at, group in zip(places, groups, strict=True)
            ]
            batch = warped(pictures, np.asarray(geometry, np.float32), size)
            batch = self._grey(batch, places, generator, groups)
            views.append((_artefacts(batch, rule, generator) * 255).contiguous())
        return views

    def _geometry(self, place: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Return the 2 x 3 matrix from output to input, both in -1...1 over the picture's own square."""
        rule, record = self._rule, self._store.records[place]
        box = self._looks.of(place).box if generator.random() < rule.frame_cut else (0.0, 0.0, 1.0, 1.0)
        centre = np.array([box[0] + box[2] - 1, box[1] + box[3] - 1])
        half = max(box[2] - box[0], box[3] - box[1])
        low, high = rule.tight_zoom if record.source in rule.tight_sources else rule.zoom
        zoom = half * math.exp(generator.uniform(math.log(low), math.log(high)))
        angle = math.radians(generator.uniform(-rule.turn_degrees, rule.turn_degrees))
        stretch = math.exp(generator.uniform(-rule.aspect, rule.aspect) / 2)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = turn @ np.diag([zoom * stretch, zoom / stretch])
        if generator.random() < rule.flip:
            matrix[:, 0] *= -1
        shift = centre + half * generator.uniform(-rule.shift, rule.shift, 2) * 2
        return np.concatenate([matrix, shift[:, None]], 1)

    def _grey(
        self, batch: torch.Tensor, places: Sequence[int], generator: np.random.Generator, groups: NDArray[np.int64]
    ) -> torch.Tensor:
        """Map each picture's quartiles of grey to random ones; lift the brightest; gamma."""
        rows = _shared([self._grey_of(at, generator) for at in places], groups)
        slope, offset, lift, gamma = torch.from_numpy(np.asarray(rows, np.float32)).T[:, :, None, None, None]
        bright = (batch - 0.93).clamp_min(0) / 0.07
        mapped = (batch * slope + offset + bright * lift).clamp(0, 1)
        return mapped.pow(gamma)

    def _grey_of(self, place: int, generator: np.random.Generator) -> NDArray[np.float64]:
        rule, record = self._rule, self._store.records[place]
        gamma = math.exp(generator.uniform(-rule.gamma, rule.gamma))
        lift = generator.uniform(0, rule.lift) if generator.random() < 0.5 else 0.0
        if record.kind == "hounsfield" or generator.random() < rule.mild:  # windows of HU are random already
            slope, offset = generator.uniform(0.85, 1.12), generator.uniform(-0.06, 0.06)
            return np.array([slope, offset, lift * 0.3, gamma**0.5])
        by_source = record.source not in rule.own_grey_sources and generator.random() < rule.source_median
        low, high = self._looks.of_source(record.source) if by_source else self._looks.of(place).quartiles
        dark, bright = generator.uniform(*rule.dark_target), generator.uniform(*rule.bright_target)
        slope = float(np.clip((bright - dark) / max(high - low, 0.05), *rule.slope))
        offset = (dark + bright) / 2 - slope * (low + high) / 2
        return np.array([slope, offset, lift, gamma])


def warped(pictures: Sequence[NDArray[np.float32]], geometry: NDArray[np.float32], size: int) -> torch.Tensor:
    """Return pictures of any sizes [h, w] in 0...255 as one batch [n, 1, size, size] in 0...1.

    Each is filled up with black to a square at the right or the bottom, as the product does, and sampled bilinearly
    where `geometry` (2 x 3, from output to input in -1...1) says; black outside. Shrinking by more than a half is
    smoothed first. The identity gives what the product's bilinear resize gives wherever nothing shrinks.
    """
    out = []
    for picture, matrix in zip(pictures, torch.from_numpy(geometry), strict=True):
        height, width = picture.shape
        side = max(height, width)
        source = functional.pad(torch.from_numpy(picture)[None, None] / 255, (0, side - width, 0, side - height))
        step = float(matrix[:, :2].norm(dim=0).mean()) * side / size
        if step > 1.5:
            factor = min(int(step + 0.5), 4)
            source = functional.avg_pool2d(source, factor, ceil_mode=True, count_include_pad=False)
        grid = functional.affine_grid(matrix[None], [1, 1, size, size], align_corners=False)
        out.append(_sampled(source, grid))
    return torch.cat(out)


def _sampled(source: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Sample with the edge repeated for half a pixel, black beyond: no dark seam at the border."""
    sampled = functional.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside = (grid.abs() <= 1).all(-1)[:, None]
    return sampled * inside


def _shared(rows: list[NDArray[np.float64]], groups: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Give slices of one group the values of its first slice."""
    first: dict[int, NDArray[np.float64]] = {}
    return [first.setdefault(int(group), row) for group, row in zip(groups, rows, strict=True)]


# --- kernels, frames, compression --------------------------------------------------------------------------------


def _artefacts(batch: torch.Tensor, rule: Augmentation, generator: np.random.Generator) -> torch.Tensor:
    batch = _coarsened(batch, _chosen(len(batch), rule.coarse, generator), generator)
    batch = _kernel(batch, rule.kernel, generator)
    batch = _noisy(batch, rule.noise, generator)
    batch = _jpeg(batch, _chosen(len(batch), rule.jpeg, generator), generator)
    batch = _round_field(batch, _chosen(len(batch), rule.round_field, generator), generator)
    batch = _table_arc(batch, _chosen(len(batch), rule.table_arc, generator), generator)
    batch = _framed(batch, _chosen(len(batch), rule.frames, generator), generator)
    return _cut_out(batch, _chosen(len(batch), rule.cut_out, generator), generator)


def _chosen(count: int, share: float, generator: np.random.Generator) -> list[int]:
    return [int(at) for at in np.flatnonzero(generator.random(count) < share)]


def _coarsened(batch: torch.Tensor, chosen: list[int], generator: np.random.Generator) -> torch.Tensor:
    """Lower the resolution of some pictures, as small published ones have it."""
    size = batch.shape[-1]
    for at in chosen:
        smaller = max(8, int(size * generator.uniform(0.4, 0.85)))
        low = functional.interpolate(batch[at : at + 1], (smaller, smaller), mode="area")
        batch[at : at + 1] = functional.interpolate(low, (size, size), mode="bilinear", align_corners=False)
    return batch


def _kernel(batch: torch.Tensor, share: float, generator: np.random.Generator) -> torch.Tensor:
    """Make pictures softer or sharper, as reconstruction kernels do."""
    count = len(batch)
    amount = np.where(generator.random(count) < share, generator.uniform(-0.9, 1.4, count), 0.0)
    smooth = functional.avg_pool2d(functional.pad(batch, (1, 1, 1, 1), mode="replicate"), 3, 1)
    factor = torch.from_numpy(amount.astype(np.float32))[:, None, None, None]
    return (batch + factor * (batch - smooth)).clamp(0, 1)


def _noisy(batch: torch.Tensor, most: float, generator: np.random.Generator) -> torch.Tensor:
    """Add white or smooth noise, none to half of the pictures."""
    count, _, height, width = batch.shape
    strength = generator.uniform(0, most, count) * (generator.random(count) < 0.5)
    noise = torch.from_numpy(generator.standard_normal((count, 1, height, width), np.float32))
    smooth = functional.avg_pool2d(noise, 3, 1, 1) * 2
    is_smooth = torch.from_numpy(generator.random(count) < 0.5)[:, None, None, None]
    factor = torch.from_numpy(strength.astype(np.float32))[:, None, None, None]
    return (batch + factor * torch.where(is_smooth, smooth, noise)).clamp(0, 1)


def _discs(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    at = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
    return at[None, :], at[:, None]


def _round_field(batch: torch.Tensor, chosen: list[int], generator: np.random.Generator) -> torch.Tensor:
    """Black out what lies outside a circle, as a scanner's field of view does."""
    x, y = _discs(batch.shape[-1])
    for at in chosen:
        outside = (x**2 + y**2).sqrt() > generator.uniform(0.92, 1.1)
        batch[at, 0][outside] = float(generator.choice((0.0, 0.0, 0.15)))
    return batch


def _table_arc(batch: torch.Tensor, chosen: list[int], generator: np.random.Generator) -> torch.Tensor:
    """Draw a bright arc below the patient, as tables show."""
    x, y = _discs(batch.shape[-1])
    for at in chosen:
        radius, middle = generator.uniform(1.2, 3.0), generator.uniform(0.72, 0.95)
        distance = ((x**2 + (y - (middle - radius)) ** 2).sqrt() - radius).abs()
        grey = generator.uniform(0.35, 0.8)
        arc = ((0.02 - distance) / 0.02).clamp(0, 1) * grey
        batch[at, 0] = torch.maximum(batch[at, 0], arc)
    return batch


def _framed(batch: torch.Tensor, chosen: list[int], generator: np.random.Generator) -> torch.Tensor:
    """Put black, grey or white bars on some sides."""
    size = batch.shape[-1]
    for at in chosen:
        grey = float(generator.choice((0.0, 0.0, generator.random(), 1.0)))
        top, bottom, left, right = (int(size * generator.uniform(0, 0.1)) for _ in range(4))
        batch[at, 0, :top], batch[at, 0, size - bottom :] = grey, grey
        batch[at, 0, :, :left], batch[at, 0, :, size - right :] = grey, grey
    return batch


def _cut_out(batch: torch.Tensor, chosen: list[int], generator: np.random.Generator) -> torch.Tensor:
    """Cover a rectangle with one grey."""
    size = batch.shape[-1]
    for at in chosen:
        height, width = (int(size * generator.uniform(0.08, 0.28)) for _ in range(2))
        top, left = (int(generator.uniform(0, size - side)) for side in (height, width))
        batch[at, 0, top : top + height, left : left + width] = float(generator.random())
    return batch


# The luminance table of ITU-T T.81, Annex K.1: what nearly every encoder scales by its quality.
_LUMINANCE = np.array(
    (
        (16, 11, 10, 16, 24, 40, 51, 61),
        (12, 12, 14, 19, 26, 58, 60, 55),
        (14, 13, 16, 24, 40, 57, 69, 56),
        (14, 17, 22, 29, 51, 87, 80, 62),
        (18, 22, 37, 56, 68, 109, 103, 77),
        (24, 35, 55, 64, 81, 104, 113, 92),
        (49, 64, 78, 87, 103, 121, 120, 101),
        (72, 92, 95, 98, 112, 100, 103, 99),
    ),
    np.float32,
)


def _cosines() -> torch.Tensor:
    at = np.arange(8)
    basis = np.cos((2 * at[None] + 1) * at[:, None] * math.pi / 16) * 0.5
    basis[0] /= math.sqrt(2)
    return torch.from_numpy(basis.astype(np.float32))


def _jpeg(batch: torch.Tensor, chosen: list[int], generator: np.random.Generator) -> torch.Tensor:
    """Quantise 8 x 8 blocks as JPEG of quality 35 to 92 does; sides that are no multiple of 8 keep their rest."""
    if not chosen:
        return batch
    size = batch.shape[-1] // 8 * 8
    quality = generator.uniform(35, 92, len(chosen))
    scale = np.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    table = torch.from_numpy(np.maximum(1, scale[:, None, None] * _LUMINANCE).astype(np.float32))[:, None, None]
    basis = _cosines()
    blocks = batch[chosen, 0, :size, :size].unfold(1, 8, 8).unfold(2, 8, 8) * 255 - 128
    spectrum = torch.round(basis @ blocks @ basis.T / table) * table
    restored = (basis.T @ spectrum @ basis + 128) / 255
    batch[chosen, 0, :size, :size] = restored.permute(0, 1, 3, 2, 4).reshape(-1, size, size).clamp(0, 1)
    return batch
