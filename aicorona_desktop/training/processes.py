"""The process that trains: its device, the signal to stop, and the others that `torchrun` started beside it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import torch


def default_device() -> str:
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"


@contextlib.contextmanager
def stop_signal() -> Iterator[list[bool]]:
    """Fill the list when the process is asked to end; only the main thread can hear it."""
    asked: list[bool] = []
    try:
        before = signal.signal(signal.SIGTERM, lambda _number, _frame: asked.append(True))
    except ValueError:  # not the main thread
        yield asked
        return
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def distributed(device: torch.device) -> Iterator[None]:
    """Join the other processes that `torchrun` started, if any."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()
