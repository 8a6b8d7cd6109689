"""The mean of the weights of several runs from one start: one network that is steadier than each (training.md 10)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from aicorona_desktop.training.checkpoint import TrainingError, write_weights
from aicorona_desktop.training.starts import State, read_weights


def averaged(files: Sequence[Path], shares: Sequence[float] = ()) -> State:
    """Return the weighted mean of the weights of files, evenly unless `shares` are given.

    Runs must have begun from the same weights: the mean of unrelated networks is no network.

    Raises:
        TrainingError: no files, other shares than files, or files of different networks.
    """
    parts = tuple(shares) or (1.0,) * len(files)
    if not files or len(parts) != len(files) or min(parts) < 0 or sum(parts) <= 0:
        raise TrainingError("A mean of weights needs one share for each file.")
    total: State = {}
    for file, share in zip(files, parts, strict=True):
        state = read_weights(file)
        if total and {name: values.shape for name, values in total.items()} != {
            name: values.shape for name, values in state.items()
        }:
            raise TrainingError("The files hold different networks; there is no mean of them.")
        for name, values in state.items():
            total[name] = total.get(name, torch.zeros((), dtype=torch.float64)) + values.double() * (share / sum(parts))
    return {name: values.float() for name, values in total.items()}


def write_averaged(out: Path, files: Sequence[Path], shares: Sequence[float] = (), *, half: bool = False) -> Path:
    """Write the mean of the weights of files as `out`.

    Args:
        out: the new file.
        files: as in `averaged`.
        shares: as in `averaged`.
        half: round to what 16 bits hold, as packs store kernels: then an export loses nothing more.

    Raises:
        TrainingError: as `averaged`, or it can't be written.
    """
    state = averaged(files, shares)
    write_weights(out, {name: values.half().float() for name, values in state.items()} if half else state)
    return out
