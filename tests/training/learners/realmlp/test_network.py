"""Several networks that are computed together."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.training.samples import slope, typed
from training.learners.realmlp.inputs import fit_inputs
from training.learners.realmlp.network import Layer, Networks, RealMLPClassifier, RealMLPRegressor
from training.preprocessing.scaler import fit_scaler

ROWS = typed(40)


def networks(models: int = 3) -> Networks:
    torch.manual_seed(1)
    return Networks(fit_inputs(ROWS), models, 2, (16, 8))


def one_of(several: Networks, place: int) -> Networks:
    """Return a network of several, alone."""
    alone = networks(models=1)
    weights = {name: value[place : place + 1] for name, value in several.state_dict().items() if "offset" not in name}
    alone.load_state_dict({**alone.state_dict(), **weights})
    return alone


def test_several_networks_answer_as_each_of_them_alone() -> None:
    inputs, several = fit_inputs(ROWS), networks()
    dense, codes = (part.unsqueeze(0) for part in inputs(torch.from_numpy(ROWS.x)))

    together = several(dense, codes)

    for place in range(3):
        torch.testing.assert_close(one_of(several, place)(dense, codes)[0], together[place], atol=1e-5, rtol=1e-5)


def test_numbers_are_embedded_by_the_papers_formula() -> None:
    rows = slope(5)
    inputs = fit_inputs(rows)
    embedding = Networks(inputs, 1, 0, (4,)).embedding
    dense, codes = inputs(torch.from_numpy(rows.x))

    found = embedding(dense[None], codes[None])[0]

    x, w, b = dense[:, 1].double(), embedding.frequency[0, 1, 0].double(), embedding.phase[0, 1, 0].double()
    mixed = torch.cos(2 * math.pi * x[:, None] * w + b) @ embedding.mix[0, 1].double() + embedding.shift[0, 1].double()
    torch.testing.assert_close(found[:, :2], dense)
    torch.testing.assert_close(found[:, 5:8].double(), mixed, atol=1e-5, rtol=1e-5)


def test_short_columns_are_one_hot_and_a_missing_value_has_no_bit() -> None:
    inputs = fit_inputs(ROWS)
    embedding = Networks(inputs, 1, 2, (4,)).embedding
    _, codes = inputs(torch.from_numpy(ROWS.x))
    dense = torch.zeros(1, len(codes), inputs.width)

    vectors = embedding(dense, codes[None])[0, :, -16:].view(-1, 2, 8)

    plan = ROWS.x[:, 1]
    assert np.array_equal(vectors[:, 0].sum(dim=1).detach().numpy() == 1, ~np.isnan(plan))
    assert np.array_equal(vectors[:, 0].argmax(dim=1).numpy()[~np.isnan(plan)], plan[~np.isnan(plan)])


def test_an_activation_is_blended_with_the_identity() -> None:
    layer = Layer(1, 2, 2, mish=False)
    with torch.no_grad():
        layer.blend.copy_(torch.tensor([[[0.0, 1.0]]]))
    x = torch.randn(1, 5, 2)

    plain = torch.matmul(x, layer.weight)
    found = layer(x)

    torch.testing.assert_close(found[0, :, 0], plain[0, :, 0])
    torch.testing.assert_close(found[0, :, 1], torch.nn.functional.selu(plain[0, :, 1]))


def test_probabilities_are_the_mean_of_those_of_the_networks() -> None:
    inputs, several = fit_inputs(ROWS), networks()
    x = torch.from_numpy(ROWS.x)

    mean = RealMLPClassifier(inputs, several)(x)

    alone = [RealMLPClassifier(inputs, one_of(several, place))(x) for place in range(3)]
    torch.testing.assert_close(mean, torch.stack(alone).mean(dim=0), atol=1e-6, rtol=1e-5)


def test_values_stay_in_the_range_of_the_training_targets() -> None:
    rows = slope(50)
    inputs = fit_inputs(rows)
    module = RealMLPRegressor(inputs, Networks(inputs, 2, 0, (16,)), fit_scaler(rows.y[:, None]), (-1.5, 1.5))

    found = module(1e6 * torch.randn(500, 2))

    middle, width = rows.y.mean(), 1.5 * rows.y.std()
    assert found.min() >= middle - width - 1e-3
    assert found.max() <= middle + width + 1e-3
    assert found.max() - found.min() > width  # the range is used
