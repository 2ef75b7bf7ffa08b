"""Networks of every kind of layer answer as their modules."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from modelstore.overrides import ActivationFunction, Image
from tests.training.artifact.onnx.running import both
from training.learners.auto.networks import FoldedNetworks
from training.learners.cnn.network import SimpleCNN
from training.learners.mlp.network import MLP, Classifier, Network, Regressor
from training.preprocessing.encoder import Encoder
from training.preprocessing.scaler import StandardScaler

ROWS = np.random.default_rng(0).standard_normal((200, 48)).astype(np.float32)


@pytest.fixture(autouse=True)
def seed() -> None:
    """Draw the same weights every time."""
    torch.manual_seed(0)


def model(net: Network, classes: int) -> nn.Module:
    """Return a model of 48 numbers, one of them sometimes missing."""
    encoder = Encoder(nn.Identity(), StandardScaler(torch.randn(48), torch.rand(48) + 0.5))
    if classes:
        return Classifier(encoder, net)
    return Regressor(encoder, net, StandardScaler(torch.tensor([1000.0]), torch.tensor([20.0])))


def unsettle(net: nn.Module) -> nn.Module:
    """Give batch normalisations moments as training does."""
    net.train()
    with torch.no_grad():
        net(torch.from_numpy(ROWS) * 2 + 1)
    return net.eval()


@pytest.mark.parametrize("activation", get_args(ActivationFunction))
@pytest.mark.parametrize(("classes", "batch_norm"), [(2, False), (3, True), (0, True)])
def test_perceptrons_agree(activation: ActivationFunction, classes: int, *, batch_norm: bool) -> None:
    net = MLP(48, classes, (16, 8), dropout=0.5, activation=activation, batch_norm=batch_norm)
    unsettle(net)

    answers, expected = both(model(net, classes), np.where(ROWS > 2, np.nan, ROWS))

    np.testing.assert_allclose(answers, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_convolutions_agree_on_images_of_odd_sides(*, batch_norm: bool) -> None:
    image = Image(height=4, width=4, channels=3)
    net = SimpleCNN(image, 3, (4, 6), (8,), activation="gelu", batch_norm=batch_norm)
    unsettle(net)

    answers, expected = both(model(net, 3), ROWS)

    np.testing.assert_allclose(answers, expected, atol=1e-6)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_networks_of_several_folds_agree(classes: int) -> None:
    modules = [model(MLP(48, classes, (8, 8)), classes) for _ in range(3)]
    encoder = Encoder(nn.Identity(), StandardScaler(torch.zeros(48), torch.ones(48)))

    answers, expected = both(FoldedNetworks(encoder, modules, classes).eval(), ROWS)

    np.testing.assert_allclose(answers, expected, atol=1e-6, rtol=1e-6)


def test_a_network_of_two_classes_is_right_about_the_least_likely() -> None:
    net = MLP(48, 2).requires_grad_(requires_grad=False)
    net.load_state_dict({"layers.0.weight": torch.zeros(1, 48), "layers.0.bias": torch.tensor([-50.0])})

    answers, expected = both(model(net, 2), ROWS[:2])

    assert 0 < answers[0, 1] == pytest.approx(expected[0, 1], rel=1e-5)
