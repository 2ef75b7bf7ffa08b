from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from app.runtime.verify.torchscript_scan import inspect
from modelstore.overrides import ActivationFunction, Init
from training.artifact.torchscript import to_torchscript
from training.config.recipe import BUILT_IN, load_recipe
from training.learners.mlp.network import ACTIVATIONS, MLP, BinaryLink, Classifier, Regressor, ValueLink, initialise
from training.learners.protocol import predictor
from training.preprocessing.encoder import Encoder
from training.preprocessing.scaler import StandardScaler


def plain_encoder(features: int) -> Encoder:
    return Encoder(nn.Identity(), StandardScaler(torch.zeros(features), torch.ones(features)))


@pytest.mark.parametrize(
    ("name", "features", "classes", "widths"),
    [("cancer", 9, 2, (9, 15, 15, 1)), ("iris", 4, 3, (4, 32, 16, 3)), ("blobs", 2, 2, (2, 10, 1))],
)
def test_the_recipes_name_the_tutorials_networks(
    name: str, features: int, classes: int, widths: tuple[int, ...]
) -> None:
    assert MLP(features, classes, load_recipe(name, BUILT_IN).training.hidden).widths == widths


def test_dropout_follows_the_last_hidden_layer_only() -> None:
    kinds = [type(layer) for layer in MLP(9, 2, (15, 15), 0.2).layers]

    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]


def test_no_hidden_layer_is_logistic_regression() -> None:
    net = MLP(3, 4, (), 0.5)

    assert [type(layer) for layer in net.layers] == [nn.Linear]


def test_batch_norm_comes_before_the_activation_of_each_hidden_layer() -> None:
    kinds = [type(layer) for layer in MLP(9, 2, (15, 15), activation="gelu", batch_norm=True).layers]

    assert kinds == [*[nn.Linear, nn.BatchNorm1d, nn.GELU] * 2, nn.Linear]


@pytest.mark.parametrize(
    ("name", "expected"),  # at -1 and 1, by the formulas of the literature
    [
        ("relu", (0, 1)),
        ("leaky_relu", (-0.01, 1)),
        ("elu", (math.exp(-1) - 1, 1)),
        ("gelu", (-0.158655, 0.841345)),
        ("tanh", (-math.tanh(1), math.tanh(1))),
        ("sigmoid", (1 / (1 + math.e), 1 / (1 + math.exp(-1)))),
    ],
)
def test_activations_are_those_of_their_names(name: ActivationFunction, expected: tuple[float, float]) -> None:
    assert ACTIVATIONS[name]()(torch.tensor([-1.0, 1.0])).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_services_admit_each_activation(activation: ActivationFunction) -> None:
    net = MLP(3, 3, (8,), 0.5, activation=activation, batch_norm=True)

    inspect(to_torchscript(Classifier(plain_encoder(3), net), np.zeros((1, 3))))


@pytest.mark.parametrize(("init", "variance"), [("he", 2 / 300), ("xavier", 2 / (300 + 200))])
def test_initial_weights_have_the_variance_of_their_rule(init: Init, variance: float) -> None:
    torch.manual_seed(0)
    net = MLP(300, 2, (200,))

    initialise(net, init)

    weight, bias, *_ = net.parameters()
    assert float(weight.detach().var()) == pytest.approx(variance, rel=0.03)
    assert not bias.any()


def test_torchs_own_initial_weights_stay() -> None:
    torch.manual_seed(0)
    net = MLP(3, 2, (8,))
    before = [parameter.detach().clone() for parameter in net.parameters()]

    initialise(net, "torch")

    assert all(map(torch.equal, before, net.parameters()))


def test_two_classes_get_two_columns_from_one_logit() -> None:
    probabilities = BinaryLink()(torch.tensor([[0.0], [math.log(3)]]))

    assert probabilities.numpy() == pytest.approx(np.array([[0.5, 0.5], [0.25, 0.75]]), abs=1e-7)


def test_a_certain_answer_keeps_the_small_probability() -> None:
    probabilities = BinaryLink()(torch.tensor([[50.0], [-50.0]]))

    assert probabilities[0, 0].item() == pytest.approx(math.exp(-50), rel=1e-5)
    assert probabilities[1, 1].item() == pytest.approx(math.exp(-50), rel=1e-5)


@pytest.mark.parametrize("classes", [2, 5])
def test_rows_sum_to_one_even_far_outside(classes: int) -> None:
    predict = predictor(Classifier(plain_encoder(3), MLP(3, classes, (8,))))
    x = np.random.default_rng(0).normal(0, 1e6, (100, 3))

    probabilities = predict(x)

    assert probabilities.shape == (100, classes)
    assert probabilities.dtype == np.dtype(np.float32)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(100), abs=1e-6)


def test_values_are_in_the_unit_of_the_target() -> None:
    target = StandardScaler(torch.tensor([100.0]), torch.tensor([20.0]))

    assert ValueLink(target)(torch.tensor([[0.0], [-1.5]])).tolist() == [[100.0], [70.0]]


def test_a_regression_answers_far_outside_with_finite_values() -> None:
    target = StandardScaler(torch.tensor([100.0]), torch.tensor([20.0]))
    predict = predictor(Regressor(plain_encoder(3), MLP(3, 0, (8,)), target))

    answers = predict(np.random.default_rng(0).normal(0, 1e30, (100, 3)))

    assert answers.shape == (100, 1)
    assert np.isfinite(answers).all()
