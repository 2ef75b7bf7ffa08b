from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from training.config.recipe import BUILT_IN, load_recipe
from training.learners.mlp.network import MLP, BinaryLink, Classifier, Regressor, ValueLink
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
