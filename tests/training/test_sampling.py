"""What is drawn: sources, classes and subjects in their shares, every unit once in a plain epoch, the same again."""

from __future__ import annotations

from collections import Counter

import pytest

from aicorona_desktop.training.config import Sampling
from aicorona_desktop.training.sampling import Sampler, balanced_weights, generator_of
from aicorona_desktop.training.store import Unit

BALANCED = Sampling(rule="balanced")


def unit(number: int, source: str, label: str, subject: str = "", *, scan: str = "", slices: int = 1) -> Unit:
    return Unit(subject or f"{source}-{number}", source, label, scan, tuple(range(number, number + slices)))


def test_a_source_weighs_the_root_of_its_subjects_and_its_classes_are_even() -> None:
    units = [unit(at, "large", "covid") for at in range(12)] + [unit(at, "large", "normal") for at in range(20, 24)]
    units += [unit(at, "small", "covid") for at in range(2)] + [unit(at, "small", "cp") for at in range(20, 22)]

    weights = balanced_weights(units, BALANCED)

    large = weights[:16].sum()
    assert large / weights[16:].sum() == pytest.approx((16 / 4) ** 0.5)
    assert weights[:12].sum() == pytest.approx(weights[12:16].sum())


def test_a_source_with_one_class_weighs_less() -> None:
    units = [unit(0, "two", "covid"), unit(1, "two", "normal"), unit(2, "one", "covid"), unit(3, "one", "covid")]

    weights = balanced_weights(units, BALANCED)

    assert weights[2:].sum() / weights[:2].sum() == pytest.approx(0.35)


def test_a_subject_weighs_the_root_of_its_slices() -> None:
    units = [unit(at, "a", "covid", "many") for at in range(9)] + [unit(9, "a", "covid", "few")]

    weights = balanced_weights(units, BALANCED)

    assert weights[:9].sum() / weights[9] == pytest.approx(3)


def test_a_plain_epoch_shows_every_unit_once() -> None:
    sampler = Sampler([unit(at, "a", "covid") for at in range(10)], Sampling())

    for epoch in range(2):
        shown = [one.slices[0] for step in range(3) for one in sampler.batch((1,), 3 * epoch + step, 4)]
        assert sorted(shown) == list(range(10))
    assert sampler.batches_an_epoch(4) == 3


def test_a_batch_follows_from_seed_and_step_alone() -> None:
    sampler = Sampler([unit(at, "a", "covid") for at in range(50)], BALANCED)

    assert sampler.batch((7, 1), 3, 8) == sampler.batch((7, 1), 3, 8)
    assert sampler.batch((7, 1), 3, 8) != sampler.batch((7, 1), 4, 8)
    assert sampler.batch((7, 1), 3, 8) != sampler.batch((8, 1), 3, 8)


def test_units_without_a_label_are_never_drawn() -> None:
    sampler = Sampler([unit(0, "a", ""), unit(1, "a", "not_covid")], BALANCED)

    assert Counter(one.label for one in sampler.batch((0,), 0, 20)) == {"not_covid": 20}


def test_a_bag_takes_slices_from_all_parts_of_a_scan_in_order() -> None:
    scan = unit(0, "a", "covid", scan="scan", slices=30)
    sampler = Sampler([scan], Sampling(bag_slices=3))

    bag = sampler.slices_of(scan, generator_of(5))

    assert [place // 10 for place in bag] == [0, 1, 2]
    assert Sampler([scan], Sampling()).slices_of(scan, generator_of(5)) == scan.slices
