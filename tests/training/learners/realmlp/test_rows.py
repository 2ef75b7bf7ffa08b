"""Rows as tensors, and answers for rows that networks have not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from tests.training.samples import clouds, shuffled_labels, slope
from training.learners.realmlp.inputs import fit_inputs
from training.learners.realmlp.network import Networks
from training.learners.realmlp.rows import SHARPEST, SOFTEST, HeldOutRows, Rows, find_minimum, prepare
from training.preprocessing.scaler import fit_scaler

FOLDS = [np.array([0, 3]), np.array([1, 2, 4])]


def answers(networks: Networks, rows: Rows) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = networks(rows.dense[None], rows.codes[None])
    return found


def test_values_are_standardised() -> None:
    rows = slope(50)

    prepared = prepare(fit_inputs(rows), rows, fit_scaler(rows.y[:, None]))

    np.testing.assert_allclose(prepared.y.numpy(), (rows.y - rows.y.mean()) / rows.y.std(), atol=1e-4)


def test_each_row_is_answered_by_the_network_that_has_not_seen_it() -> None:
    rows = clouds(5, classes=3)
    inputs = fit_inputs(rows)
    networks, prepared = Networks(inputs, 2, 3, (4,)), prepare(inputs, rows, None)
    held_out = HeldOutRows(networks, prepared, FOLDS, None)

    loss = held_out.measure()

    wanted = (answers(networks, prepared) * held_out.sharpness).softmax(dim=2).numpy()
    network = np.array([0, 1, 1, 0, 1])
    np.testing.assert_allclose(held_out.best, wanted[network, np.arange(5)], atol=1e-6)
    assert loss == pytest.approx(-np.log(wanted[network, np.arange(5), rows.y]).mean(), rel=1e-5)


def test_logits_that_are_too_large_are_softened_as_scipy_would() -> None:
    rows = shuffled_labels(clouds(200, classes=3))
    inputs = fit_inputs(rows)
    networks, prepared = Networks(inputs, 1, 3, (4,)), prepare(inputs, rows, None)
    logits = answers(networks, prepared)[0].double().numpy()

    def loss(sharpness: float) -> float:
        found: float = (logsumexp(sharpness * logits, axis=1) - sharpness * logits[np.arange(200), rows.y]).mean()
        return found

    found = HeldOutRows(networks, prepared, [np.arange(200)], None).measure()

    wanted = minimize_scalar(lambda s: loss(s) + np.log(s) ** 2 / 200, bounds=(SOFTEST, SHARPEST), method="bounded")
    assert found == pytest.approx(loss(wanted.x), abs=1e-4)
    assert found < loss(1)


def test_a_few_rows_that_are_all_right_do_not_ask_for_certainty() -> None:
    torch.manual_seed(0)
    rows = clouds(20)
    inputs = fit_inputs(rows)
    networks, prepared = Networks(inputs, 1, 2, (4,)), prepare(inputs, rows, None)
    logits = answers(networks, prepared)[0]
    prepared = prepared._replace(y=logits.argmax(dim=1))  # the network is right about all of them

    held_out = HeldOutRows(networks, prepared, [np.arange(20)], None)
    held_out.measure()

    assert (held_out.best.argmax(axis=1) == prepared.y.numpy()).all()
    assert held_out.sharpness < 0.9 * SHARPEST


@pytest.mark.parametrize("place", [0.06, 0.7, 2.9])
def test_the_lowest_place_of_a_function_is_found(place: float) -> None:
    assert find_minimum(lambda x: (np.log(x) - np.log(place)) ** 2, SOFTEST, SHARPEST) == pytest.approx(
        place, rel=0.005
    )


def test_a_row_that_several_have_not_seen_is_answered_by_their_mean_and_others_do_not_count() -> None:
    rows = slope(5)
    inputs, target = fit_inputs(rows), fit_scaler(rows.y[:, None])
    networks, prepared = Networks(inputs, 2, 0, (4,)), prepare(inputs, rows, target)
    held_out = HeldOutRows(networks, prepared, [np.array([1, 2])] * 2, (-0.5, 0.5))

    loss = held_out.measure()

    wanted = answers(networks, prepared).clamp(-0.5, 0.5).mean(dim=0)[1:3, 0].numpy()
    np.testing.assert_allclose(held_out.best[1:3, 0], wanted, atol=1e-6)
    assert loss == pytest.approx(float(np.square(wanted - prepared.y[1:3].numpy()).mean()), rel=1e-4)


def test_the_answers_of_the_lowest_loss_are_kept() -> None:
    rows = clouds(5)
    inputs = fit_inputs(rows)
    networks = Networks(inputs, 2, 2, (4,))
    held_out = HeldOutRows(networks, prepare(inputs, rows, None), FOLDS, None)
    right = held_out.measure()
    kept = held_out.best.copy()

    with torch.no_grad():
        networks.output.bias.add_(torch.tensor([50.0, -50.0]))  # now all rows are of the first class
    wrong = held_out.measure()

    assert wrong > right
    assert held_out.best_loss == right
    assert np.array_equal(held_out.best, kept)
