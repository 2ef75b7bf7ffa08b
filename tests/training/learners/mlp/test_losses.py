from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.learners.mlp.losses import CrossEntropy, SquaredError

SHARE = torch.tensor([0.5, 0.25, 0.25])


def by_autograd(outputs: Tensor, each: Tensor) -> tuple[Tensor, Tensor]:
    loss = torch.dot(each, SHARE)
    (gradient,) = torch.autograd.grad(loss, outputs)
    return loss.detach(), gradient.T


@pytest.mark.parametrize("seed", range(3))
def test_the_squared_error_is_pytorchs(seed: int) -> None:
    torch.manual_seed(seed)
    outputs, y = torch.randn(3, 1, requires_grad=True), torch.randn(3)
    loss = SquaredError(1, 3)
    loss.outputs.copy_(outputs.detach().T)

    found = loss.mean(loss.answers(), y[None], SHARE), loss.gradient(y[None], SHARE)

    torch.testing.assert_close(found, by_autograd(outputs, functional.mse_loss(outputs[:, 0], y, reduction="none")))


def test_answering_the_mean_of_standardised_values_costs_one() -> None:
    y, loss = torch.tensor([[-1.0, 1.0]]), SquaredError(1, 2)

    assert loss.mean(loss.answers(), y, torch.tensor([0.5, 0.5])).item() == 1.0


@pytest.mark.parametrize("classes", [3, 5])
def test_the_cross_entropy_is_pytorchs(classes: int) -> None:
    torch.manual_seed(0)
    outputs, y = torch.randn(3, classes, requires_grad=True), torch.randint(classes, (3,))
    loss = CrossEntropy(classes, 3)
    loss.outputs.copy_(outputs.detach().T)

    found = loss.mean(loss.answers(), y[None], SHARE), loss.gradient(y[None], SHARE)

    torch.testing.assert_close(found, by_autograd(outputs, functional.cross_entropy(outputs, y, reduction="none")))
