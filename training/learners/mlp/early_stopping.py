"""Early stopping: keep the weights of the best epoch, and end when none better follows.

It must not know networks or losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor


class EarlyStopping:
    """Watches the loss of each epoch; with patience 0, it keeps nothing and never ends a training.

    Args:
        state: what the network learns; copied at each best epoch, and changed by `restore_best`.
        patience: epochs without a better loss before the training ends.
    """

    def __init__(self, state: Sequence[Tensor], patience: int) -> None:
        self._state, self._patience = state, patience
        self._loss, self._worse_epochs = math.inf, 0
        self._best: list[Tensor] = []

    def record(self, loss: float) -> None:
        """Record the loss of an epoch that has ended, and keep its weights if there was none better."""
        if not self._patience:
            return
        if loss < self._loss:
            self._loss, self._worse_epochs, self._best = loss, 0, [part.clone() for part in self._state]
        else:
            self._worse_epochs += 1

    @property
    def is_exhausted(self) -> bool:
        """Return whether the patience is exhausted, so that the training should end."""
        return 0 < self._patience <= self._worse_epochs

    def restore_best(self) -> None:
        """Restore the weights of the best epoch, if they were kept."""
        for part, best in zip(self._state, self._best, strict=bool(self._best)):
            part.copy_(best)
