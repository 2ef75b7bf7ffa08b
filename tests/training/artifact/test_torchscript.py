from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from tests.training.samples import clouds, learnt
from training.artifact.torchscript import TOLERANCE, load, to_torchscript
from training.data.dataset import Dataset
from training.errors import ExportError
from training.learners.mlp.network import Classifier
from training.learners.protocol import predictor
from training.preprocessing.encoder import Encoder


def trained(dataset: Dataset) -> Classifier:
    module = learnt(dataset, dropout=0.5).module
    assert isinstance(module, Classifier)
    return module


@pytest.mark.parametrize("classes", [2, 3])
def test_the_bytes_give_what_the_network_gives(classes: int) -> None:
    dataset = clouds(classes=classes)
    classifier = trained(dataset)

    scripted = load(to_torchscript(classifier, dataset.x))(dataset.x)

    np.testing.assert_allclose(scripted, predictor(classifier)(dataset.x), atol=TOLERANCE)
    assert scripted.shape == (len(dataset), classes)


def test_the_scaler_is_a_submodule_with_mean_and_scale() -> None:
    dataset = clouds()
    classifier = trained(dataset)

    module = torch.jit.load(io.BytesIO(to_torchscript(classifier, dataset.x)))  # type: ignore[no-untyped-call]

    assert torch.equal(module.scaler.mean, classifier.scaler.mean)
    assert torch.equal(module.scaler.scale, classifier.scaler.scale)
    assert not module.training


def test_one_row_and_many_give_the_same() -> None:
    dataset = clouds()
    predict = load(to_torchscript(trained(dataset), dataset.x))

    np.testing.assert_allclose(
        np.concatenate([predict(row[None]) for row in dataset.x]), predict(dataset.x), atol=TOLERANCE
    )


class _Unfaithful(Classifier):
    """Gives other probabilities once it is scripted."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        probabilities: torch.Tensor = self.link(self.net(self.scaler(self.expand(features))))
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return probabilities.flip(1)
        return probabilities


def test_an_unfaithful_copy_is_not_published() -> None:
    dataset = clouds()
    classifier = trained(dataset)

    with pytest.raises(ExportError, match="scripted and eager answers differ by"):
        to_torchscript(_Unfaithful(Encoder(classifier.expand, classifier.scaler), classifier.net), dataset.x)


class _Rounded(torch.nn.Module):
    """Answers a quantity, a little larger once it is scripted."""

    def __init__(self, scale: float, error: float) -> None:
        super().__init__()
        self.scale = scale
        self.error = error

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        values = features[:, :1] * self.scale
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return values * (1.0 + self.error)
        return values


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e7])
def test_quantities_are_compared_on_their_own_scale(scale: float) -> None:
    x = np.linspace(0.5, 1, 10, dtype=np.float32).reshape(-1, 1)

    to_torchscript(_Rounded(scale, 3e-7), x)
    with pytest.raises(ExportError):
        to_torchscript(_Rounded(scale, 1e-5), x)


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(RuntimeError):
        load(b"no model")
