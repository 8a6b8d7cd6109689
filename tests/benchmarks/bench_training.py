"""How many slices a second training takes, beside a plain PyTorch loop: `python tests/benchmarks/bench_training.py`.

Forward, backward and step at 224 and 512 pixels: the product's loop (bf16, channels last, slow layers in 32 bits, with
its preparation of the slices) and the same network in a plain loop (32 bits, slices ready), rounds interleaved.
On a CPU, set MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ to 8 GB: docs/training.md says why.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aicorona_desktop.training.config import Config, Data, Stage  # the checkout's own, whatever is installed
from aicorona_desktop.training.loop import Trainer
from aicorona_desktop.training.measuring import normalised
from aicorona_desktop.training.network import EfficientNetB3
from aicorona_desktop.training.store import Store
from tests.training.made_up import slices_of_scans, store_of

LABELS = ("normal", "cp", "covid") * 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", default="224,512")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    wish = parser.parse_args()
    torch.set_num_threads(wish.threads)
    print(f"torch {torch.__version__}, {platform.machine()}, {wish.device}, {wish.threads} threads, batch {wish.batch}")
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(Path(folder) / "store", slices_of_scans(LABELS, slices=1, side=512))
        for size in map(int, wish.sizes.split(",")):
            _compare(store, Path(folder), size, wish)


def _compare(store: Store, folder: Path, size: int, wish: argparse.Namespace) -> None:
    ours, plain = _ours(store, folder, size, wish), _plain(store, size, wish)
    ours(), plain()  # not counted: the first step allocates
    pairs = [(_seconds(ours), _seconds(plain)) for _ in range(wish.rounds)]
    rates = wish.batch / np.median(pairs, axis=0)
    ratio = float(np.median([other / own for own, other in pairs]))
    print(
        f"{size} px, forward + backward + step: {rates[0]:.1f} slices/s, plain PyTorch {rates[1]:.1f}, "
        f"median ratio of {wish.rounds} rounds {ratio:.2f}"
    )


def _ours(store: Store, folder: Path, size: int, wish: argparse.Namespace) -> Callable[[], None]:
    stage = Stage(name="bench", steps=10**6, epochs=0, size=size, batch=wish.batch, batch_norm="frozen")
    config = Config(data=Data("window-1", "grey", "all"), stages=(stage,))
    trainer = Trainer(config, store, folder / f"run-{size}", wish.device, Path(), network=EfficientNetB3)
    trainer.begin(resume=False)

    def step() -> None:
        trainer._one_step(trainer._batch(0))

    return step


def _plain(store: Store, size: int, wish: argparse.Namespace) -> Callable[[], None]:
    network: Any = EfficientNetB3().to(wish.device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    slices = np.stack([store.prepared(at % len(LABELS), "window-1", size) for at in range(wish.batch)])
    pictures = normalised(torch.from_numpy(slices), "grey").contiguous().to(wish.device)
    labels = torch.arange(wish.batch, device=wish.device) % 3

    def step() -> None:
        loss = nn.functional.cross_entropy(network(pictures), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        float(loss.detach())

    return step


def _seconds(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
