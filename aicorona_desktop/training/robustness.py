"""How much answers depend on what is not the patient: the window, the way a scan came, the grey values of a picture.

Pictures of public sets are windowed, a scanner's slices are not; weights can be right on the one and wrong on the
other. These figures stand in the card (training.md 10).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from aicorona_desktop.model import preprocess
from aicorona_desktop.training.config import Data
from aicorona_desktop.training.measuring import answers_of, normalised
from aicorona_desktop.training.store import Store, Unit

WINDOWS_HU: Final = (None, (-1350, 150), (-1150, 350), (-1000, 400), (-1000, 0))
BATCH: Final = 16

Grey = NDArray[np.float32]
GREYS: Final[tuple[Callable[[Grey], Grey], ...]] = (
    lambda x: np.minimum(x / 1.35, 1),
    lambda x: np.clip((x - 0.12) / 0.88, 0, 1),
    lambda x: np.minimum(x / 0.85, 1),
    lambda x: np.power(x, np.float32(0.75)),
)
"""Changes of a stretched picture in 0...1, not stretched again."""


@dataclass(frozen=True, slots=True)
class Robustness:
    """Mean changes of probabilities; NaN where the store has nothing to measure them on."""

    windows: float  # |p - mean| over five windows in Hounsfield units, a slice
    greys: float  # |p - plain p| over four changes of grey, a picture
    parity: float  # |p through DICOM - p through pictures| of the same subject's scan, mean over scans
    parity_worst: float


def robustness(network: Any, store: Store, data: Data, size: int, *, pictures: Sequence[Unit] = ()) -> Robustness:
    """Measure a network on the scans of the train split, and on single pictures for the change of grey."""
    scans = [unit for unit in store.units("train", data.slice_rule) if unit.scan]
    differences = scan_differences(network, store, data, size, scans)
    return Robustness(
        window_spread(network, store, data, size, scans),
        grey_spread(network, store, data, size, pictures),
        float(np.mean(differences)) if differences else float("nan"),
        max(differences, default=float("nan")),
    )


def window_spread(network: Any, store: Store, data: Data, size: int, scans: Sequence[Unit]) -> float:
    """Return the mean |p - mean p| over `WINDOWS_HU`, slices in Hounsfield units and classes."""
    places = [at for unit in scans for at in unit.slices if store.records[at].kind == "hounsfield"]
    if not places:
        return float("nan")
    answers = np.stack(
        [probabilities(network, [windowed(store, at, window, size) for at in places], data) for window in WINDOWS_HU]
    )
    return float(np.abs(answers - answers.mean(0)).mean())


def windowed(store: Store, place: int, window: tuple[int, int] | None, size: int) -> Grey:
    """Return a slice in a window of Hounsfield units, prepared as the product prepares pictures."""
    if window is None:
        return store.prepared(place, "paper-1", size)
    grey = np.clip(store.pixels(place), *window).astype(np.float32)
    return preprocess.prepare_picture(grey, "window-1", size)


def grey_spread(network: Any, store: Store, data: Data, size: int, units: Sequence[Unit]) -> float:
    """Return the mean |p - plain p| over `GREYS`, slices and classes."""
    plain = [store.prepared(at, data.preparation, size) for unit in units for at in unit.slices]
    if not plain:
        return float("nan")
    expected = probabilities(network, plain, data)
    unit = [one / np.float32(255) for one in plain]
    changed = [probabilities(network, [change(one) * np.float32(255) for one in unit], data) for change in GREYS]
    return float(np.mean([np.abs(answers - expected).mean() for answers in changed]))


def scan_differences(network: Any, store: Store, data: Data, size: int, scans: Sequence[Unit]) -> list[float]:
    """Return the mean |p| difference between each subject's scan through DICOM and through its pictures."""
    if not scans:
        return []
    answers = answers_of(network, store, scans, data, size)
    by_way: dict[str, dict[str, NDArray[np.float64]]] = {}
    for unit, answer in zip(scans, answers.probabilities, strict=True):
        by_way.setdefault(unit.subject, {})[store.records[unit.slices[0]].kind] = answer
    return [
        float(np.abs(ways["hounsfield"] - ways["picture"]).mean())
        for ways in by_way.values()
        if {"hounsfield", "picture"} <= ways.keys()
    ]


def probabilities(network: Any, slices: Sequence[Grey], data: Data) -> NDArray[np.float64]:
    """Return a network's probabilities [n, 3] of prepared slices [1, s, s] in 0...255, in 32-bit arithmetic."""
    device = next(network.parameters()).device
    answers = []
    with torch.inference_mode():
        for start in range(0, len(slices), BATCH):
            pictures = torch.from_numpy(np.stack(slices[start : start + BATCH])).to(device)
            logits = network(normalised(pictures, data.normalisation))
            answers.append(torch.softmax(logits.double(), 1).cpu().numpy())
    return np.concatenate(answers)
