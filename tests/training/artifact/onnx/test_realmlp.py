"""RealMLP networks answer as their modules, with every kind of input and both activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.artifact.onnx.running import both
from tests.training.samples import clouds, typed
from training.data.columns import Column
from training.data.dataset import Dataset
from training.learners.realmlp.inputs import fit_inputs
from training.learners.realmlp.network import Layer, Networks, RealMLPClassifier, RealMLPRegressor
from training.preprocessing.scaler import StandardScaler


def drawn(rows: Dataset, models: int, classes: int) -> Networks:
    """Return networks as training might leave them, with all weights drawn."""
    torch.manual_seed(0)
    networks = Networks(fit_inputs(rows), models, classes, (32, 16, 16)).requires_grad_(requires_grad=False)
    for name, weights in networks.named_parameters():
        if name.rpartition(".")[2] in ("blend", "scale"):
            weights.uniform_(0.2, 1.3)
        elif name.rpartition(".")[2] == "weight":
            weights.div_(weights.shape[1] ** 0.5)
    return networks


def long_texts(rows: int, seed: int = 0) -> Dataset:
    """Return rows of a text of twelve categories, which has learnt vectors, beside others."""
    table = typed(rows, seed=seed)
    columns = (*table.columns, Column("street", "categorical", tuple(f"s{n}" for n in range(12)), counts=(1,) * 12))
    streets = np.random.default_rng(seed).integers(0, 13, rows).astype(np.float32)
    return replace(table, x=np.column_stack([table.x, np.where(streets == 3, np.nan, streets)]), columns=columns)


@pytest.mark.parametrize("models", [1, 4])
@pytest.mark.parametrize("classes", [2, 3])
def test_classes_agree_on_rows_with_gaps_and_unseen_texts(models: int, classes: int) -> None:
    train = long_texts(400)
    module = RealMLPClassifier(fit_inputs(train), drawn(train, models, classes)).eval()

    answers, expected = both(module, long_texts(10_000, seed=1).x)

    np.testing.assert_allclose(answers, expected, atol=2e-6)


@pytest.mark.parametrize("models", [1, 4])
def test_values_agree_within_the_range_of_the_targets(models: int) -> None:
    train, target = typed(400), StandardScaler(torch.tensor([1000.0]), torch.tensor([20.0]))
    module = RealMLPRegressor(fit_inputs(train), drawn(train, models, 0), target, (-0.5, 0.5)).eval()

    answers, expected = both(module, typed(10_000, seed=1, gaps=0.2).x)

    assert np.ptp(expected) > 5
    np.testing.assert_allclose(answers, expected, atol=20 * 1e-5)


def test_a_unit_that_ignores_its_activation_agrees() -> None:
    rows = clouds(60, features=3)
    networks = drawn(rows, 1, 2)
    for layer in networks.hidden:
        assert isinstance(layer, Layer)
        layer.blend[:, :, ::2] = 0

    answers, expected = both(RealMLPClassifier(fit_inputs(rows), networks).eval(), rows.x)

    np.testing.assert_allclose(answers, expected, atol=2e-6)


def test_numbers_far_out_and_texts_alone_agree() -> None:
    texts = long_texts(300)
    only = replace(texts, x=texts.x[:, [1, 5]], columns=(texts.columns[1], texts.columns[4]))
    far = clouds(60, features=3)

    for train, x in ((only, only.x), (far, far.x * np.float32(1e30))):
        answers, expected = both(RealMLPClassifier(fit_inputs(train), drawn(train, 2, 2)).eval(), x)
        np.testing.assert_allclose(answers, expected, atol=2e-6)
