from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.training.samples import clouds, finish, settings, shuffled_labels
from training.datasets import Dataset
from training.learning.descent import Descent, Rows
from training.nets import MLP
from training.recipe import TrainingSettings
from training.scaling import StandardScaler, fit_scaler


def plain(dataset: Dataset) -> Rows:
    features = dataset.x.shape[1]
    unscaled = StandardScaler(torch.zeros(features), torch.ones(features))
    return Rows.standardised(unscaled, torch.from_numpy(dataset.x), torch.from_numpy(dataset.y))


def torchs_own_loop(net: MLP, dataset: Dataset, chosen: TrainingSettings) -> list[float]:
    """Train as a tutorial does, with autograd and torch.optim, and return the loss of each epoch."""
    x, y = torch.from_numpy(dataset.x), torch.from_numpy(dataset.y)
    weights = len(y) / (len(dataset.classes) * torch.bincount(y)) if chosen.class_weights == "balanced" else None
    optimizer = torch.optim.AdamW(net.parameters(), lr=chosen.lr, weight_decay=chosen.weight_decay)
    shuffle = torch.Generator().manual_seed(chosen.seed)
    losses = []
    for _ in range(chosen.epochs):
        total = 0.0
        order = torch.randperm(len(y), generator=shuffle) if chosen.batch_size else torch.arange(len(y))
        for index in torch.split(order, chosen.batch_size or len(y)):
            optimizer.zero_grad()
            loss = torchs_loss(net(x[index]), y[index], weights)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(index)
        losses.append(total / len(y))
    return losses


def torchs_loss(logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    if logits.shape[1] > 1:
        return functional.cross_entropy(logits, y, weights)
    row_weights = None if weights is None else weights[y] / weights[y].mean()
    return functional.binary_cross_entropy_with_logits(logits[:, 0], y.float(), row_weights)


def weights_of(net: MLP) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "changes",
    [{}, {"batch_size": 16}, {"class_weights": "balanced", "batch_size": 16}, {"dropout": 0.3, "batch_size": 16}],
    ids=["full batch", "mini-batches", "balanced", "dropout"],
)
def test_losses_and_weights_are_those_of_torchs_own_loop(classes: int, changes: dict[str, Any]) -> None:
    dataset = shuffled_labels(clouds(100, classes=classes, features=3)).rows(torch.arange(0, 77).numpy())
    chosen = settings(optimizer="adamw", weight_decay=0.01, epochs=10, lr=0.01, hidden=(8, 5), **changes)
    torch.manual_seed(1)
    net = MLP(3, classes, chosen.hidden, chosen.dropout)
    descent = Descent(net, plain(dataset), chosen)

    torch.manual_seed(2)
    losses = [finish(descent.epoch(chosen.lr))[1] for _ in range(chosen.epochs)]
    torch.manual_seed(2)
    expected = torchs_own_loop(net.train(), dataset, chosen)

    assert losses == pytest.approx(expected, rel=1e-4)
    reference = weights_of(net)
    descent.parameters.write_back()
    torch.testing.assert_close(weights_of(net), reference, rtol=1e-3, atol=1e-4)  # ten epochs of rounding


def test_the_full_batch_takes_one_step_an_epoch_and_reports_the_loss_before_it() -> None:
    dataset = clouds()
    net = MLP(2, 2, (4,))
    before = torchs_loss(net(torch.from_numpy(dataset.x)), torch.from_numpy(dataset.y), None).item()
    descent = Descent(net, plain(dataset), settings())

    first, second = (finish(descent.epoch(0.03))[1] for _ in range(2))

    assert first == pytest.approx(before, rel=1e-6)
    assert second < first


@pytest.mark.parametrize("batch_size", [0, 7, 60, 1000])
def test_every_row_counts_once_an_epoch_whatever_the_batch(batch_size: int) -> None:
    net = MLP(2, 2)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)

    loss = finish(Descent(net, plain(clouds(60)), settings(batch_size=batch_size)).epoch(1e-12))[1]

    assert loss == pytest.approx(math.log(2), rel=1e-5)


@pytest.mark.parametrize("changes", [{}, {"batch_size": 50}, {"class_weights": "balanced"}], ids=str)
def test_chunks_change_nothing(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = shuffled_labels(clouds(101, classes=3)).rows(torch.arange(0, 90).numpy())
    torch.manual_seed(0)
    net = MLP(2, 3, (6,))
    found = []
    for chunk_rows in (2048, 7):
        monkeypatch.setattr("training.learning.descent.CHUNK_ROWS", chunk_rows)
        descent = Descent(net, plain(dataset), settings(**changes))
        losses = [finish(descent.epoch(0.01))[1] for _ in range(3)]
        found.append([*losses, descent.loss(plain(dataset)), descent.gradient_norm()])

    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_the_loss_of_other_rows_knows_no_dropout() -> None:
    descent = Descent(MLP(2, 2, (50,), 0.9), plain(clouds()), settings(dropout=0.9))

    assert descent.loss(plain(clouds())) == descent.loss(plain(clouds()))


def test_rows_are_standardised_exactly_as_the_model_does() -> None:
    x = torch.from_numpy(clouds(100, features=3).x)
    scaler = fit_scaler(x.numpy())

    rows = Rows.standardised(scaler, x, torch.zeros(100, dtype=torch.int64))

    assert torch.equal(rows.x[:, :-1], scaler(x))
    assert (rows.x[:, -1] == 1).all()
