"""Losses: cross-entropy where one class is right, the sum of two where either may be, agreement of two views."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")

from aicorona_desktop.training.losses import (  # noqa: E402 - only where the extra is there
    consistency_loss,
    label_loss,
    ranking_loss,
    soft_label_loss,
    source_losses,
    stage_loss,
    targets_of,
)

EVEN = (1.0, 1.0, 1.0)
LOGITS = torch.tensor([[1.0, -0.5, 0.3], [0.2, 0.1, -1.0], [0.0, 2.0, 0.5]])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_known_classes_give_cross_entropy(smoothing: float) -> None:
    weights = (1.0, 2.0, 0.5)

    loss = label_loss(LOGITS, targets_of(["normal", "cp", "covid"], weights), smoothing)

    expected = torch.nn.functional.cross_entropy(LOGITS, torch.arange(3), label_smoothing=smoothing, reduction="none")
    if smoothing:  # PyTorch weighs the smoothed part by class; ours weighs the row
        assert float(label_loss(LOGITS, targets_of(["normal", "cp", "covid"], EVEN), smoothing)) == pytest.approx(
            float(expected.mean())
        )
    else:
        own = torch.tensor(weights)
        assert float(loss) == pytest.approx(float((expected * own).sum() / own.sum()))


def test_known_only_as_not_covid_means_either_of_the_others() -> None:
    loss = label_loss(LOGITS[:1], targets_of(["not_covid"], EVEN), 0.0)

    p = torch.softmax(LOGITS[0], 0)
    assert float(loss) == pytest.approx(-math.log(float(p[0] + p[1])))


def test_a_certain_and_right_answer_has_a_finite_gradient() -> None:
    logits = torch.tensor([[200.0, -200.0, -200.0]], requires_grad=True)

    label_loss(logits, targets_of(["covid"], EVEN), 0.0).backward()

    assert torch.isfinite(logits.grad).all()


def test_two_views_that_agree_cost_nothing_and_order_does_not_matter() -> None:
    other = LOGITS.flip(0)

    assert float(consistency_loss(LOGITS, LOGITS + 3)) == pytest.approx(0, abs=1e-6)
    assert float(consistency_loss(LOGITS, other)) == pytest.approx(float(consistency_loss(other, LOGITS)))
    p, q = torch.softmax(LOGITS, 1), torch.softmax(other, 1)
    by_hand = ((p * (p / q).log()).sum(1) + (q * (q / p).log()).sum(1)).mean() / 2
    assert float(consistency_loss(LOGITS, other)) == pytest.approx(float(by_hand), rel=1e-5)


def test_soft_labels_of_one_class_are_that_class() -> None:
    soft = soft_label_loss(LOGITS, torch.eye(3), torch.ones(3))

    assert float(soft) == pytest.approx(float(label_loss(LOGITS, targets_of(["normal", "cp", "covid"], EVEN), 0.0)))


def test_silent_channels_of_the_teacher_do_not_outweigh_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    theirs = torch.randn(4, 10, 5, 5, generator=generator)
    theirs[:, 5:] = 0
    own = torch.cat([theirs + 0.1, torch.zeros(4, 3, 5, 5)], 1)  # channels that the teacher lacks cost nothing

    assert 0 < float(stage_loss([own], [theirs], (1.0,))) < 0.2
    assert float(stage_loss([theirs], [theirs], (1.0,))) == 0


def test_an_undecided_guess_of_the_source_costs_nothing_and_a_certain_one_pulls_no_more() -> None:
    wanted, counted = torch.tensor([0, 1, 2]), torch.tensor([True, True, False])
    even, leaning, certain = torch.zeros(3, 4), torch.eye(4)[:3] * 2, torch.eye(4)[:3] * 200

    pulls = []
    for logits in (even, leaning, certain):
        undecided = logits.clone().requires_grad_()
        guess, confusion = source_losses(logits, undecided, wanted, counted)
        confusion.backward()
        pulls.append((guess.item(), confusion.item(), float(undecided.grad.norm())))
        assert undecided.grad[2].norm() == 0  # of a class that not all sources have

    assert pulls[0] == pytest.approx((math.log(4), 0, 0), abs=1e-6)
    assert pulls[1][2] > 0.1
    assert pulls[2] == pytest.approx((0, math.log(4), 0), abs=1e-5)


def test_only_units_of_one_source_that_can_not_be_of_one_class_are_ordered() -> None:
    targets = targets_of(["normal", "covid", "cp", "not_covid", "covid"], EVEN)
    logits = torch.tensor([[1.0, 0.3, -0.5], [0.4, 0.0, 0.1], [0.0, 2.0, 0.5], [0.2, -1.0, 0.3], [0.1, 0.2, 0.9]])
    sources = torch.tensor([0, 0, 0, 1, 1])

    def more(unit: int, own: list[int], other: list[int]) -> float:
        return float(torch.logsumexp(logits[unit, own], 0) - torch.logsumexp(logits[unit, other], 0))

    def pair(first: int, second: int, own: list[int], other: list[int]) -> float:
        return math.log1p(math.exp(-(more(first, own, other) - more(second, own, other))))

    first = (pair(0, 1, [0], [2]) + pair(0, 2, [0], [1]) + pair(1, 2, [2], [1])) / 3
    second = pair(3, 4, [0, 1], [2])

    assert ranking_loss(logits, targets.allowed, sources).item() == pytest.approx(
        (first * 6 / 3 + second * 2 / 2) / (6 / 3 + 2 / 2), rel=1e-5
    )


def test_knowing_the_source_earns_nothing_and_nothing_to_order_costs_nothing() -> None:
    targets = targets_of(["normal", "covid", "covid", "normal"], EVEN)
    logits, sources = torch.randn(4, 3, generator=torch.Generator().manual_seed(3)), torch.tensor([0, 0, 1, 1])
    shifted = logits + torch.tensor([[0.0, 0.0, 5.0]]) * sources[:, None]
    alone = logits.clone().requires_grad_()

    same = ranking_loss(shifted, targets.allowed, sources)
    nothing = ranking_loss(alone, targets.allowed, torch.arange(4))
    nothing.backward()

    assert same.item() == pytest.approx(ranking_loss(logits, targets.allowed, sources).item(), rel=1e-5)
    assert nothing.item() == 0
    assert torch.equal(alone.grad, torch.zeros(4, 3))
