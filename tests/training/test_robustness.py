"""Figures of robustness: nothing where nothing changes, and what a network that looks at grey alone must show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")

from aicorona_desktop.training.config import Data  # noqa: E402 - only where the extra is there
from aicorona_desktop.training.robustness import robustness  # noqa: E402
from aicorona_desktop.training.store import Store  # noqa: E402
from tests.training.made_up import hounsfield, record, store_of  # noqa: E402

DATA = Data(preparation="window-1", normalisation="grey", slice_rule="all")


class Toy(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Answers by the mean grey alone, or always the same."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.classifier = torch.nn.Linear(1, 3)
        torch.nn.init.constant_(self.classifier.weight, 0)
        self.classifier.weight.data[2] = factor

    def features(self, pictures: Any) -> Any:
        return pictures.float().mean((1, 2, 3), keepdim=True)

    def forward(self, pictures: Any) -> Any:
        return self.classifier(self.features(pictures)[:, :, 0, 0])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    slices = [hounsfield(at) for at in (4, 6)]
    pictures = [np.clip((one.astype(float) + 1350) / 1500 * 255, 0, 255).round().astype(np.uint8) for one in slices]
    name = {"subject": "one"}
    rows = [
        (record(0, "covid", kind="hounsfield", scan="a", position=at, **name), one) for at, one in enumerate(slices)
    ]
    rows += [(record(1, "covid", scan="b", position=at, **name), one) for at, one in enumerate(pictures)]
    return store_of(tmp_path, iter(rows))


def test_a_network_that_looks_at_nothing_is_robust(store: Store) -> None:
    found = robustness(Toy(0), store, DATA, 48, pictures=store.units("train", "all")[1:])

    assert (found.windows, found.greys, found.parity, found.parity_worst) == pytest.approx((0, 0, 0, 0), abs=1e-6)


def test_a_network_that_looks_at_grey_is_not_but_for_the_way_of_the_same_window(store: Store) -> None:
    found = robustness(Toy(3), store, DATA, 48, pictures=store.units("train", "all")[1:])

    assert found.windows > 0.005
    assert found.greys > 0.02
    assert found.parity < 0.01  # the pictures were made with the window of the preparation


def test_without_scans_there_is_nothing_to_measure(tmp_path: Path) -> None:
    store = store_of(tmp_path, iter([(record(0, "covid", scan=""), np.zeros((48, 48), np.uint8))]))

    assert np.isnan(list(robustness(Toy(1), store, DATA, 48).__getstate__())).all()  # type: ignore[attr-defined]
