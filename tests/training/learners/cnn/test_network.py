from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from app.runtime.verify.torchscript_scan import inspect
from modelstore.overrides import Image
from training.artifact.torchscript import to_torchscript
from training.learners.cnn.network import SimpleCNN
from training.learners.mlp.network import MLP, Classifier
from training.preprocessing.encoder import Encoder
from training.preprocessing.scaler import StandardScaler

MNIST, CIFAR = Image(height=28, width=28), Image(height=32, width=32, channels=3)


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("image", "expected"),  # by hand: 9 weights a pair of channels, and biases
    [
        (MNIST, (9 + 1) * 32 + (9 * 32 + 1) * 64 + (7 * 7 * 64 + 1) * 128 + (128 + 1) * 10),
        (CIFAR, (27 + 1) * 32 + (9 * 32 + 1) * 64 + (8 * 8 * 64 + 1) * 128 + (128 + 1) * 10),
    ],
    ids=["28 x 28", "3 x 32 x 32"],
)
def test_the_tutorials_network_has_its_shapes(image: Image, expected: int) -> None:
    net = SimpleCNN(image, 10, (32, 64), (128,), dropout=0.25)

    assert net(torch.zeros(5, image.pixels)).shape == (5, 10)
    assert parameters(net) == expected


def test_the_tutorials_mlp_for_images_is_an_mlp() -> None:
    net = MLP(784, 10, (256, 128))

    assert net(torch.zeros(5, 784)).shape == (5, 10)
    assert parameters(net) == 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10


@pytest.mark.parametrize("image", [MNIST, CIFAR, Image(height=5, width=9, channels=2)], ids=str)
def test_columns_are_the_channels_one_after_the_other_line_by_line(image: Image) -> None:
    net = SimpleCNN(image, 3, (4,), ()).eval()
    pictures = torch.randn(2, image.channels, image.height, image.width)
    convolution, _, pool = net.blocks

    expected = net.head(pool(torch.relu(convolution(pictures))).flatten(1))

    torch.testing.assert_close(net(pictures.reshape(2, -1)), expected)


@pytest.mark.parametrize("classes", [0, 2, 10])
def test_outputs_are_those_of_the_task_and_services_admit_the_program(classes: int) -> None:
    image = Image(height=4, width=6)
    net = SimpleCNN(image, classes, (3, 5), (8,), dropout=0.5, activation="elu", batch_norm=True)
    encoder = Encoder(nn.Identity(), StandardScaler(torch.zeros(24), torch.ones(24)))

    assert net.outputs == (10 if classes == 10 else 1)
    if classes:
        inspect(to_torchscript(Classifier(encoder, net), np.zeros((2, 24))))
