from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from tests.properties import examples
from training.learners.mlp.gradient import FlatMLP
from training.learners.mlp.losses import SquaredError
from training.learners.mlp.network import MLP


def with_ones(x: Tensor) -> Tensor:
    return torch.cat((x, torch.ones(len(x), 1)), dim=1)


def by_autograd(net: MLP, x: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and the gradient that PyTorch finds, as one vector in the order of `FlatMLP`."""
    logits = net(x)
    each = (
        functional.binary_cross_entropy_with_logits(logits[:, 0], y.float(), reduction="none")
        if logits.shape[1] == 1
        else functional.cross_entropy(logits, y, reduction="none")
    )
    loss = torch.dot(each, share)
    loss.backward()  # type: ignore[no-untyped-call]
    found = [(layer.weight.grad, layer.bias.grad) for layer in net.layers if isinstance(layer, nn.Linear)]
    parts = [torch.cat((w, b[:, None]), dim=1).flatten() for w, b in found if w is not None and b is not None]
    return loss.detach(), torch.cat(parts)


def by_hand(model: FlatMLP, x: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        loss = model.loss(model.forward(with_ones(x), training=True), y[None], share)
        model.backward(y[None], share)
    return loss, model.gradient


@pytest.mark.slow
@examples(100)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 50),
    features=st.integers(1, 9),
    classes=st.integers(2, 5),
    hidden=st.lists(st.integers(1, 20), max_size=3),
    dropout=st.sampled_from([0.0, 0.2, 0.9]),
)
def test_loss_and_gradient_are_autograds(
    seed: int, rows: int, features: int, classes: int, hidden: list[int], dropout: float
) -> None:
    torch.manual_seed(seed)
    net = MLP(features, classes, tuple(hidden), dropout)
    x, y, share = torch.randn(rows, features), torch.randint(classes, (rows,)), torch.rand(rows)

    torch.manual_seed(seed)
    loss, gradient = by_hand(FlatMLP(net, dropout), x, y, share)
    torch.manual_seed(seed)  # the same draws of dropout
    expected_loss, expected_gradient = by_autograd(net.train(), x, y, share)

    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=1e-7)
    scale = max(float(expected_gradient.abs().max()), 1e-3)  # sums of many terms may all but cancel
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("classes", [2, 3])
def test_logits_of_a_thousand_give_a_finite_loss_and_gradient(classes: int) -> None:
    net = MLP(1, classes)
    x, y = torch.tensor([[1e3], [-1e3]]), torch.tensor([0, 1])

    loss, gradient = by_hand(FlatMLP(net), x, y, torch.full((2,), 0.5))

    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_gradients_of_chunks_add_up_to_that_of_all_rows() -> None:
    net = MLP(3, 3, (8, 4))
    x, y, share = torch.randn(20, 3), torch.randint(3, (20,)), torch.full((20,), 0.05)
    model, whole = FlatMLP(net), FlatMLP(net)

    losses = [by_hand(model, x[part], y[part], share[part])[0] for part in (slice(0, 13), slice(13, 20))]
    loss, gradient = by_hand(whole, x, y, share)

    torch.testing.assert_close(sum(losses), loss)
    torch.testing.assert_close(model.gradient, gradient)


def test_parameters_go_back_to_where_they_came_from() -> None:
    net, other = MLP(3, 3, (5,)), MLP(3, 3, (5,))
    model = FlatMLP(other)
    model.parameters.copy_(FlatMLP(net).parameters)

    model.write_back()

    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_outside_training_nothing_is_dropped() -> None:
    net, x = MLP(3, 3, (50,), 0.9), torch.randn(7, 3)

    log_p = FlatMLP(net, 0.9).forward(with_ones(x))

    torch.testing.assert_close(log_p.T, functional.log_softmax(net.eval()(x), dim=1))


def test_the_gradient_of_a_regression_is_autograds() -> None:
    torch.manual_seed(0)
    net, x, y, share = MLP(4, 0, (7, 5)), torch.randn(30, 4), torch.randn(30), torch.rand(30)

    loss, gradient = by_hand(FlatMLP(net, loss=SquaredError), x, y, share)

    expected = torch.dot(functional.mse_loss(net(x)[:, 0], y, reduction="none"), share)
    parts = torch.autograd.grad(expected, list(net.parameters()))
    layers = zip(parts[::2], parts[1::2], strict=True)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient, torch.cat([torch.cat((w, b[:, None]), dim=1).flatten() for w, b in layers]))
