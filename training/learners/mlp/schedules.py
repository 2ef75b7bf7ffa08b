"""Learning rate schedules: constant, cosine decay, or division by ten on a plateau.

They give the same rates as `torch.optim.lr_scheduler`: CosineAnnealingLR over all epochs, ReduceLROnPlateau with its
defaults. The attribute `rate` is that of the present epoch, and `step` ends the epoch. They must not know networks.
"""

from __future__ import annotations

import math

from training.config.learner_settings import TrainingSettings

PLATEAU_EPOCHS = 10
PLATEAU_FACTOR = 0.1
PLATEAU_GAIN = 1e-4


class Constant:
    """The same rate in every epoch."""

    def __init__(self, lr: float) -> None:
        self.rate = lr

    def step(self, loss: float) -> None:
        """End an epoch, which changes nothing."""


class Cosine:
    """From `lr` along half a cosine to 0, which would be the rate of the epoch after the last."""

    def __init__(self, lr: float, epochs: int) -> None:
        self.rate = self._lr = lr
        self._epochs, self._ended = epochs, 0

    def step(self, loss: float) -> None:
        """End an epoch; the loss does not matter."""
        self._ended += 1
        self.rate = self._lr * (1 + math.cos(math.pi * self._ended / self._epochs)) / 2


class Plateau:
    """A tenth of the rate after each `PLATEAU_EPOCHS` epochs without a better loss."""

    def __init__(self, lr: float) -> None:
        self.rate = lr
        self._best, self._worse_epochs = math.inf, 0

    def step(self, loss: float) -> None:
        """End an epoch with this loss."""
        if loss < self._best * (1 - PLATEAU_GAIN):
            self._best, self._worse_epochs = loss, 0
        else:
            self._worse_epochs += 1
        if self._worse_epochs > PLATEAU_EPOCHS:
            self.rate, self._worse_epochs = self.rate * PLATEAU_FACTOR, 0


Schedule = Constant | Cosine | Plateau


def schedule_for(settings: TrainingSettings) -> Schedule:
    """Return the schedule of the settings, in its first epoch."""
    match settings.schedule:
        case "constant":
            return Constant(settings.lr)
        case "cosine":
            return Cosine(settings.lr, settings.epochs)
        case "plateau":
            return Plateau(settings.lr)
