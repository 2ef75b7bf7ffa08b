"""Plan what a training costs from settings and table, so that all machines allow the same.

It must not know clocks. The other learners plan by themselves.
"""

from __future__ import annotations

import itertools
import math

from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.learners.mlp.network import logits_of

STEP_S, ROW_S, WEIGHT_S = 6e-5, 2e-7, 2.5e-10  # of a step of a network, each of its rows, and each weight there
AUTOGRAD = 3.0  # times as slow


def network_s(settings: TrainingSettings, train: Dataset) -> float:
    """Return about how many seconds the training of an MLP takes on one core, if it is not stopped early.

    Args:
        settings: of the MLP.
        train: the training rows.
    """
    rows, widths = len(train), (train.x.shape[1], *settings.hidden, logits_of(len(train.classes)))
    weights = sum(before * after for before, after in itertools.pairwise(widths))
    steps = math.ceil(rows / (settings.batch_size or rows))
    slower = 1.0 if settings.has_own_gradient else AUTOGRAD
    epoch_s: float = (steps * STEP_S + rows * (ROW_S + weights * WEIGHT_S)) * slower
    return settings.epochs * epoch_s
