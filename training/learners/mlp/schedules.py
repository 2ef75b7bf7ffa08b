"""Learning rate schedules: constant, cosine decay, or division by ten on a plateau.

They give the same rates as `torch.optim.lr_scheduler`: CosineAnnealingLR over all epochs, ReduceLROnPlateau with its
defaults. They must not know networks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator

from training.config.learner_settings import TrainingSettings

Rates = Generator[float, float, None]
"""Yields the rate of the first epoch; each sent loss yields the rate of the next epoch."""

PLATEAU_EPOCHS = 10
PLATEAU_FACTOR = 0.1
PLATEAU_GAIN = 1e-4


def rates(settings: TrainingSettings) -> Rates:
    """Return the learning rates of the epochs of a training."""
    match settings.schedule:
        case "constant":
            return _constant(settings.lr)
        case "cosine":
            return _cosine(settings.lr, settings.epochs)
        case "plateau":
            return _plateau(settings.lr)


def _constant(lr: float) -> Rates:
    while True:
        yield lr


def _cosine(lr: float, epochs: int) -> Rates:
    for epoch in itertools.count():
        yield lr * (1 + math.cos(math.pi * epoch / epochs)) / 2


def _plateau(lr: float) -> Rates:
    best, worse_epochs = math.inf, 0
    while True:
        loss = yield lr
        if loss < best * (1 - PLATEAU_GAIN):
            best, worse_epochs = loss, 0
        else:
            worse_epochs += 1
        if worse_epochs > PLATEAU_EPOCHS:
            lr, worse_epochs = lr * PLATEAU_FACTOR, 0
