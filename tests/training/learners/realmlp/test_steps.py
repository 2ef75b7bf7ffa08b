"""Steps of the training of several networks."""

from __future__ import annotations

import pytest
import torch

from modelstore.overrides import RealMLPSettings
from tests.training.samples import typed
from training.learners.realmlp.inputs import fit_inputs
from training.learners.realmlp.network import Layer, Networks
from training.learners.realmlp.rows import Rows, prepare
from training.learners.realmlp.steps import Steps, initialise

ROWS = typed(200)
INPUTS = fit_inputs(ROWS)
PREPARED = prepare(INPUTS, ROWS, None)


def batch(models: int) -> Rows:
    return PREPARED.take(torch.arange(200).expand(models, -1))


def initialised(models: int = 2) -> Networks:
    torch.manual_seed(5)
    networks, rows = Networks(INPUTS, models, 2, (32, 32)), batch(models)
    initialise(networks, rows.dense, rows.codes)
    return networks


def test_first_weights_give_every_unit_a_deviation_of_1_and_a_zero_among_the_rows() -> None:
    networks, rows = initialised(), batch(2)

    x = networks.embedding(rows.dense, rows.codes)
    for layer in networks.hidden:
        assert isinstance(layer, Layer)
        outputs = torch.baddbmm(layer.bias, x, layer.weight)
        torch.testing.assert_close(outputs.std(dim=1, correction=0), torch.ones(2, 32), atol=1e-4, rtol=1e-4)
        assert (outputs.amin(dim=1) <= 0).all()
        assert (outputs.amax(dim=1) >= 0).all()
        x = layer(x)


def test_steps_lower_the_loss_of_each_network() -> None:
    torch.manual_seed(0)
    rows, steps = batch(2), Steps(initialised(), 2, total=60, settings=RealMLPSettings())

    losses = [steps.step(rows.dense, rows.codes, rows.y) for _ in range(60)]

    assert (losses[-1] < 0.5 * losses[0]).all()
    assert steps.gradient_norm() > 0
    assert steps.rate == pytest.approx(0, abs=0.001)  # the last of four cycles has ended


def test_one_hot_vectors_and_the_vector_of_missing_values_are_not_learnt() -> None:
    networks, rows = initialised(), batch(2)
    before = networks.embedding.table.detach().clone()
    steps = Steps(networks, 2, total=5, settings=RealMLPSettings())

    for _ in range(5):
        steps.step(rows.dense, rows.codes, rows.y)

    assert networks.embedding.fixed == networks.embedding.table.shape[1]
    assert torch.equal(networks.embedding.table, before)


def test_networks_that_are_trained_together_learn_nothing_from_each_other() -> None:
    both, steps = initialised(), []
    for networks in (both, initialised()):
        torch.manual_seed(0)
        with torch.no_grad():
            networks.output.bias[1] += 3.0 * (networks is both)  # only the second network differs
        steps.append(Steps(networks, 2, total=3, settings=RealMLPSettings()))
    rows = batch(2)

    torch.manual_seed(1)
    first = [steps[0].step(rows.dense, rows.codes, rows.y)[0] for _ in range(3)]
    torch.manual_seed(1)
    second = [steps[1].step(rows.dense, rows.codes, rows.y)[0] for _ in range(3)]

    assert first == second
