"""The learner of images: SimpleCNN with augmentation, in the MLP's training loop.

It must not know files.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from modelstore.overrides import Image
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.errors import RecipeError
from training.learners.cnn.augmentation import Augmentation
from training.learners.cnn.network import SimpleCNN
from training.learners.mlp.autograd import AutogradNetwork
from training.learners.mlp.fit import NetworkLearner, Untrained
from training.learners.mlp.network import initialise
from training.learners.mlp.objectives import Objective
from training.preprocessing.encoder import Encoder
from training.preprocessing.scaler import StandardScaler, compute_moments, make_scaler


class CNNLearner(NetworkLearner):
    """Fits a SimpleCNN to rows whose columns are the pixels of an image; see `NetworkLearner`.

    The columns are the channels one after the other, each line by line from the top left, as in the files of MNIST and
    CIFAR-10.

    Raises:
        RecipeError: by `fit`, if the columns are not those of such images.
    """

    def build(self, train: Dataset, objective: Objective) -> Untrained:
        """Return the network of the settings."""
        settings, image = self._settings, _image_of(train, self._settings)
        net = SimpleCNN(
            image,
            len(train.classes),
            settings.filters,
            settings.hidden,
            dropout=settings.dropout,
            activation=settings.activation,
            batch_norm=settings.batch_norm,
        )
        initialise(net, settings.init)
        generator = torch.Generator().set_state(torch.default_generator.get_state())
        augment = Augmentation(
            image,
            shift=settings.shift,
            flip=settings.flip,
            rotate=settings.rotate,
            zoom=settings.zoom,
            noise=settings.noise,
        )
        flat = AutogradNetwork(net, generator, objective.loss, l1=settings.l1, augment=augment)
        return Untrained(Encoder(nn.Identity(), _scaler(train, image)), net, flat)


def _image_of(train: Dataset, settings: TrainingSettings) -> Image:
    """Return what a row is, if the columns are as many numbers."""
    image = settings.image
    assert image is not None  # the settings have been checked
    pixels, numbers = image.pixels, sum(column.type == "numeric" for column in train.columns)
    if (len(train.columns), numbers) != (pixels, pixels):
        size = f"{image.height} x {image.width} x {image.channels} = {pixels} columns, all of them numbers"
        raise RecipeError("training", "image", size, f"{len(train.columns)} columns, {numbers} of them numbers")
    return image


def _scaler(train: Dataset, image: Image) -> StandardScaler:
    """Return the scaler by mean and deviation of all pixels of a channel; those of one pixel say where it lies."""
    means, variances = (each.reshape(image.channels, -1) for each in compute_moments(train.x))
    mean = means.mean(axis=1)  # (C,); each pixel has as many values, but for gaps
    variance = (variances + (means - mean[:, None]) ** 2).mean(axis=1)
    area = image.height * image.width
    return make_scaler(np.repeat(mean, area), np.repeat(variance, area), rows=len(train) * area)
