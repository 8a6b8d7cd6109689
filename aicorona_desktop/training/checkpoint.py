"""One file that a run goes on from: weights, their running mean, the optimiser, where it stands, what was best."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.errors import AicoronaError

LAST: Final = "last.ckpt"
BEST: Final = "best.safetensors"

UNREADABLE: Final = (OSError, RuntimeError, ValueError, EOFError, torch.serialization.pickle.UnpicklingError)
"""What `torch.load` raises for a file that is cut off, damaged or something else."""

State = dict[str, Any]


class TrainingError(AicoronaError):
    """A run can't go on; the text says why and what is kept."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run stands after `step` steps of stage `stage`; random numbers follow from seed, stage and step."""

    config_sha256: str
    manifest_sha256: str
    stage: int
    step: int
    network: State
    average: State
    optimiser: State
    adversary: State
    best: float
    best_at: str
    history: list[dict[str, float | str]]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the last checkpoint by this one, or leave it as it was.

    Raises:
        TrainingError: it could not be written.
    """
    # Not dataclasses.asdict: it would copy every tensor once more.
    values = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    buffer = io.BytesIO()
    torch.save(values, buffer)
    _write(folder / LAST, buffer.getvalue())


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return the last checkpoint of a run.

    Raises:
        TrainingError: there is none, or it can't be read.
    """
    try:
        values = torch.load(folder / LAST, map_location="cpu", weights_only=True)
        return Checkpoint(**values)
    except FileNotFoundError as error:
        raise TrainingError("There is no checkpoint to go on from.") from error
    except (*UNREADABLE, TypeError) as error:
        raise TrainingError("The checkpoint can't be read; start the run anew.") from error


def write_weights(path: Path, state: State) -> None:
    """Write weights with timm's names as safetensors, in 32 bits.

    Raises:
        TrainingError: they could not be written.
    """
    _write(path, save({name: values.detach().float().cpu().contiguous() for name, values in state.items()}))


def _write(path: Path, content: bytes) -> None:
    try:
        write_file(path, content)
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise TrainingError(f"The checkpoint can't be written ({reason}); the last one is kept.") from error


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a checkpoint says of itself without its tensors."""
    plain = ("config_sha256", "manifest_sha256", "stage", "step", "best", "best_at")
    return {name: getattr(checkpoint, name) for name in plain}
