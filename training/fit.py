"""The training loop: one generator, read top to bottom; it must not know files, recipes' data or the console.

Same seed, same machine: the same weights. Every random draw comes from `settings.seed`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from modelstore import EpochMetrics, Notice
from training.datasets import Dataset
from training.diagnose import EpochFigures, require_converging
from training.learners.protocol import Predict, predictor
from training.learning.descent import Descent, Rows
from training.learning.schedules import rates
from training.nets import MLP, Classifier
from training.recipe import TrainingSettings
from training.scaling import StandardScaler, fit_scaler

Probe = Callable[[Predict, int], float | None]
"""Asked after each epoch, with the classifier so far and the epoch's number, for a test accuracy to report."""


def fit_classifier(
    train: Dataset, validation: Dataset | None, settings: TrainingSettings, probe: Probe | None = None
) -> Generator[EpochMetrics | Notice, None, Classifier]:
    """Fit scaler and network on the training rows; the generator returns the classifier.

    Args:
        train: the rows to fit on; the scaler sees no others.
        validation: the rows to stop early by.
        settings: how to train; `settings.seed` draws initial weights, shuffling and dropout.
        probe: see `Probe`.

    Raises:
        Diverged: if a loss is not finite or beyond all bounds.
    """
    scaler = fit_scaler(train.x)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)  # torch.manual_seed also looks for GPUs: ten epochs long
        net = MLP(train.x.shape[1], len(train.classes), settings.hidden, settings.dropout)
        descent = Descent(net, _rows(scaler, train), settings)
        classifier = Classifier(scaler, net)
        predict = predictor(classifier)

        def predict_so_far(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
            descent.parameters.write_back()
            return predict(x)

        yield from fit(
            descent,
            settings,
            classes=len(train.classes),
            validation=None if validation is None else _rows(scaler, validation),
            probe=None if probe is None else lambda epoch: probe(predict_so_far, epoch),
        )
    descent.parameters.write_back()
    return classifier.eval()


def fit(
    descent: Descent,
    settings: TrainingSettings,
    *,
    classes: int,
    validation: Rows | None = None,
    probe: Callable[[int], float | None] | None = None,
) -> Iterator[EpochMetrics | Notice]:
    """Descend epoch by epoch, one `EpochMetrics` each; epochs that last say in between how far they are.

    With `settings.patience` and validation rows, training stops after that many epochs without a better validation
    loss, and the weights of the best epoch are put back.

    Raises:
        Diverged: if a loss is not finite or beyond all bounds; the weights are of no use then.
    """
    best = _BestEpoch(settings.patience if validation else 0)
    schedule = rates(settings)
    rate = next(schedule)
    started_s = time.perf_counter()
    for epoch in range(1, settings.epochs + 1):
        epoch_started_s = time.perf_counter()
        train_loss = yield from _reported(descent, rate, f"epoch {epoch}/{settings.epochs}")
        epoch_s = time.perf_counter() - epoch_started_s
        validation_loss = descent.loss(validation) if validation else None
        figures = EpochFigures(epoch, train_loss, validation_loss, descent.gradient_norm())
        require_converging(figures, classes, settings.lr)
        elapsed_s = time.perf_counter() - started_s
        yield EpochMetrics(
            epoch=epoch,
            epochs=settings.epochs,
            train_loss=train_loss,
            validation_loss=validation_loss,
            test_accuracy=probe(epoch) if probe else None,
            learning_rate=rate,
            gradient_norm=figures.gradient_norm,
            rows_per_s=descent.rows / epoch_s,
            elapsed_s=elapsed_s,
            remaining_s=elapsed_s / epoch * (settings.epochs - epoch),
        )
        watched = train_loss if validation_loss is None else validation_loss
        if best.exhausted(descent.parameters.values, watched):
            break
        rate = schedule.send(watched)
    best.restore(descent.parameters.values)


def _reported(descent: Descent, rate: float, title: str) -> Generator[Notice, None, float]:
    """Take one epoch and return its loss; say how far it is, whenever it comes up for air."""
    steps, started_s = descent.epoch(rate), time.perf_counter()
    while True:
        try:
            seen = next(steps)
        except StopIteration as end:
            loss: float = end.value
            return loss
        speed = seen / (time.perf_counter() - started_s)
        yield Notice(message=f"{title}: {seen:,} of {descent.rows:,} rows, {speed:,.0f} rows/s")


def _rows(scaler: StandardScaler, dataset: Dataset) -> Rows:
    return Rows.standardised(scaler, torch.from_numpy(dataset.x), torch.from_numpy(dataset.y))


class _BestEpoch:
    """Remembers the weights of the epoch with the lowest loss; with patience 0 it remembers nothing."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.loss = math.inf
        self.worse_epochs = 0
        self.weights: Tensor | None = None

    def exhausted(self, weights: Tensor, loss: float) -> bool:
        """Note one epoch and tell whether patience has run out."""
        if not self.patience:
            return False
        if loss < self.loss:
            self.loss, self.worse_epochs, self.weights = loss, 0, weights.clone()
        else:
            self.worse_epochs += 1
        return self.worse_epochs >= self.patience

    def restore(self, weights: Tensor) -> None:
        if self.weights is not None:
            weights.copy_(self.weights)
