"""The network by autograd, beside the hand-written gradient and torch's own functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.learners.mlp.autograd import AutogradNetwork
from training.learners.mlp.gradient import FlatMLP
from training.learners.mlp.losses import CrossEntropy, Loss, SquaredError
from training.learners.mlp.network import MLP


def with_ones(x: Tensor) -> Tensor:
    return torch.cat((x, torch.ones(len(x), 1)), dim=1)


def step(model: FlatMLP | AutogradNetwork, x: Tensor, y: Tensor) -> Tensor:
    """Run forward and backward as the training loop does, and return the loss."""
    with torch.inference_mode():
        share = torch.full((len(x),), 1 / len(x))
        loss = model.loss(model.forward(with_ones(x).clone(), training=True), y[None], share)
        model.backward(y[None], share)
    return loss


def autograd(net: MLP, loss: type[Loss] = CrossEntropy, seed: int = 0, **more: Any) -> AutogradNetwork:
    return AutogradNetwork(net, torch.Generator().manual_seed(seed), loss, **more)


@pytest.mark.parametrize("classes", [0, 2, 4])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_loss_and_gradient_of_a_plain_mlp_are_those_written_by_hand(classes: int, dropout: float) -> None:
    torch.manual_seed(1)
    net, x = MLP(3, classes, (7, 5), dropout), torch.randn(20, 3)
    y = torch.randint(classes, (20,)) if classes else torch.randn(20)
    loss = CrossEntropy if classes else SquaredError
    by_hand = FlatMLP(net, dropout, torch.Generator().manual_seed(0), loss)
    model = autograd(net, loss)

    losses = [step(each, x, y) for each in (model, by_hand)]
    model.write_back()

    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-7)
    assert by_hand.gradient.norm() == pytest.approx(float(model.gradient.norm()), rel=1e-4)
    first = model.gradient[: 7 * 3].view(7, 3)  # autograd keeps weights and biases apart
    torch.testing.assert_close(first, by_hand.gradient[: 7 * 4].view(7, 4)[:, :3], rtol=1e-4, atol=1e-6)


def test_gradients_of_chunks_add_up_and_the_penalty_counts_once() -> None:
    net, x, y = MLP(3, 3, (8,), activation="tanh"), torch.randn(20, 3), torch.randint(3, (20,))
    whole, parts = autograd(net, l1=0.3), autograd(net, l1=0.3)
    step(whole, x, y)

    with torch.inference_mode():
        for part in (slice(0, 5), slice(5, 20)):
            share = torch.full((len(x[part]),), 1 / 20)
            parts.forward(with_ones(x[part]), training=True)
            parts.backward(y[None, part], share)

    torch.testing.assert_close(parts.gradient, whole.gradient, rtol=1e-4, atol=1e-6)


def test_the_penalty_adds_the_sign_of_each_weight_and_leaves_biases_alone() -> None:
    net, x, y = MLP(2, 2, (3,)), torch.randn(9, 2), torch.randint(2, (9,))
    plain, penalised = autograd(net), autograd(net, l1=0.25)

    step(plain, x, y)
    step(penalised, x, y)

    added = torch.split(penalised.gradient - plain.gradient, [6, 3, 3, 1])
    signs = [0.25 * parameter.detach().sign().flatten() * (parameter.dim() > 1) for parameter in net.parameters()]
    for found, sign in zip(added, signs, strict=True):
        torch.testing.assert_close(found, sign, rtol=0, atol=1e-6)


def test_statistics_of_batch_norm_are_learnt_and_written_back() -> None:
    net, x, y = MLP(2, 2, (4,), batch_norm=True), 5 + torch.randn(50, 2), torch.randint(2, (50,))
    model, statistics = autograd(net), dict(net.named_buffers())["layers.1.running_mean"]
    expected = net.layers[:1](x).mean(dim=0).detach()

    for _ in range(200):
        step(model, x, y)
    assert not statistics.any()
    model.write_back()

    torch.testing.assert_close(statistics, expected, rtol=1e-3, atol=1e-3)


def test_a_single_row_is_normalised_by_the_statistics_so_far() -> None:
    net = MLP(2, 2, (4,), batch_norm=True)
    model = autograd(net)

    step(model, torch.randn(1, 2), torch.zeros(1, dtype=torch.int64))
    model.write_back()

    assert model.gradient.isfinite().all()
    assert model.gradient.any()
    assert not dict(net.named_buffers())["layers.1.running_mean"].any()


def test_random_draws_are_those_of_its_own_generator() -> None:
    net, x, y = MLP(2, 2, (50,), 0.5, activation="elu"), torch.randn(9, 2), torch.randint(2, (9,))
    before = torch.random.get_rng_state()

    gradients = []
    for seed in (1, 1, 2):
        model = autograd(net, seed=seed)
        step(model, x, y)
        step(model, x, y)
        gradients.append(model.gradient.numpy())

    assert np.array_equal(gradients[0], gradients[1])
    assert not np.array_equal(gradients[0], gradients[2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_rows_are_augmented_in_training_only() -> None:
    model = autograd(MLP(2, 2), augment=lambda rows: rows + 1)
    x = torch.zeros(4, 2)

    plain, augmented = model.forward(with_ones(x)).clone(), model.forward(with_ones(x), training=True).clone()

    torch.testing.assert_close(augmented, model.forward(with_ones(x + 1)))
    assert not torch.equal(plain, augmented)
