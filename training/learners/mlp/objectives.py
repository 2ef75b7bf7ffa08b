"""What a network learns: classes or values, with their losses.

It must not know the training loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.errors import RecipeError
from training.learners.mlp.batches import class_weights
from training.learners.mlp.losses import CrossEntropy, Loss, SquaredError
from training.learners.mlp.network import Classifier, Network, Regressor
from training.preprocessing.encoder import Encoder
from training.preprocessing.scaler import fit_scaler


class Objective(Protocol):
    """What a network learns.

    Attributes:
        loss: the loss of a chunk.
        weights: weight of each class, (K,); None weights all rows equally.
    """

    loss: type[Loss]
    weights: Tensor | None

    def prepare(self, rows: Dataset) -> Dataset:
        """Return the rows with targets in the form that the loss takes."""

    def module(self, encoder: Encoder, net: Network) -> nn.Module:
        """Return the module that is published, which shares the network's weights."""


class Classes:
    """Classes of a classification."""

    loss: type[Loss] = CrossEntropy

    def __init__(self, train: Dataset, settings: TrainingSettings) -> None:
        self.weights = class_weights(train) if settings.class_weights == "balanced" else None

    def prepare(self, rows: Dataset) -> Dataset:
        """Return the rows unchanged: class indices are the form that the loss takes."""
        return rows

    def module(self, encoder: Encoder, net: Network) -> nn.Module:
        """Return the classifier."""
        return Classifier(encoder, net)


class Values:
    """Values of a regression, standardised by the mean and the standard deviation of the training rows.

    Raises:
        RecipeError: if the settings weigh classes, of which there are none.
    """

    loss: type[Loss] = SquaredError
    weights: Tensor | None = None

    def __init__(self, train: Dataset, settings: TrainingSettings) -> None:
        if settings.class_weights != "none":
            raise RecipeError("training", "class_weights", "'none', as a regression has no classes", "balanced")
        self._target = fit_scaler(train.y[:, None])

    def prepare(self, rows: Dataset) -> Dataset:
        """Return the rows with standardised values, float32; computed in float64 from the published constants."""
        mean, scale = float(self._target.mean), float(self._target.scale)
        return replace(rows, y=((rows.y - mean) / scale).astype(np.float32))

    def module(self, encoder: Encoder, net: Network) -> nn.Module:
        """Return the regressor, whose answers are in the unit of the target."""
        return Regressor(encoder, net, self._target)


def objective_for(train: Dataset, settings: TrainingSettings) -> Objective:
    """Return what a network learns from these training rows.

    Raises:
        RecipeError: if the settings do not fit the task.
    """
    return Classes(train, settings) if train.task == "classification" else Values(train, settings)
