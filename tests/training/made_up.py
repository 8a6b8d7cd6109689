"""Stores of generated slices for the tests of training: numbers, never people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.training.store import SliceRecord, Store, write_store

GREY = {"normal": 0.15, "cp": 0.5, "covid": 0.85, "not_covid": 0.3}


def record(number: int, label: str, **changes: object) -> SliceRecord:
    values: dict[str, object] = {
        "kind": "picture",
        "at": 0,
        "height": 0,
        "width": 0,
        "subject": f"subject-{number}",
        "source": "made-up",
        "label": label,
        "quality": "strong",
        "split": "train",
        "scan": f"scan-{number}",
        "position": 0,
        "row": number + 2,
    }
    return SliceRecord(**(values | changes))  # type: ignore[arg-type]


def striped(label: str, seed: int, side: int = 48) -> NDArray[np.uint8]:
    """A picture whose stripes tell its label: what a network can learn in a few steps."""
    generator = np.random.default_rng(seed)
    width = {"normal": 2, "cp": 6, "covid": 16, "not_covid": 3}[label]
    rows = (np.arange(side) // width % 2) * 150.0
    noise = generator.normal(0, 12, (side, side))
    return np.clip(rows[:, None] + 40 + noise, 0, 255).astype(np.uint8)


def slices_of_scans(
    labels: tuple[str, ...], slices: int = 2, split: str = "train", side: int = 48
) -> Iterator[tuple[SliceRecord, NDArray[np.uint8]]]:
    for number, label in enumerate(labels):
        for position in range(slices):
            name = {"subject": f"{split}-{number}", "scan": f"{split}-{number}"}
            source = f"source-{number % 2}"
            made = record(number, label, split=split, source=source, position=position, **name)
            yield made, striped(label, 100 * number + position + (0 if split == "train" else 5000), side)


def store_of(folder: Path, *parts: Iterator[tuple[SliceRecord, NDArray[np.uint8]]]) -> Store:
    write_store(folder, (one for part in parts for one in part), "0" * 64)
    return Store(folder)


def hounsfield(index: int = 6) -> NDArray[np.int16]:
    return Thorax(slices=12, matrix=96, ground_glass=0.4, noise_hu=10.0).slice(index)
