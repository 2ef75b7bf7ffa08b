"""The training loop of the MLP: forward, loss, backward, step.

The same seed on the same machine gives the same weights; every random draw comes from `settings.seed`. This module must
not know files, data sources or the console.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from training.config.recipe import TrainingSettings
from training.data.dataset import Dataset
from training.learners.mlp.batches import Batches
from training.learners.mlp.diagnostics import loss_of_guessing, require_converging
from training.learners.mlp.gradient import FlatMLP
from training.learners.mlp.network import MLP
from training.learners.mlp.objectives import Objective, objective_for
from training.learners.mlp.optimizers import optimizer_for
from training.learners.mlp.schedules import rates
from training.learners.progress import EpochProgress
from training.learners.protocol import Fitted, Probe, Report, predictor
from training.preprocessing.categories import teach_other
from training.preprocessing.encoder import Encoder, fit_encoder


class MLPLearner:
    """Fits an MLP by gradient descent; see `Learner`.

    With `settings.patience` and validation rows, training stops after that many epochs without a better validation
    loss, and the weights of the best epoch are restored.
    """

    def __init__(self, settings: TrainingSettings, encoder: Encoder | None = None) -> None:
        """Create the learner; without an encoder, it fits one to the training rows."""
        self._settings, self._encoder = settings, encoder

    @torch.inference_mode()
    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit encoder and network; see `Learner.fit`."""
        settings, history = self._settings, []
        report = torch.inference_mode(mode=False)(report)  # a report may do what it wants with torch
        objective = objective_for(train, settings)
        encoder = self._encoder or torch.inference_mode(mode=False)(fit_encoder)(train)
        module, model = _initialise(encoder, len(train.classes), objective, settings)
        rows = replace(objective.prepare(train), x=teach_other(train.columns, train.x, settings.seed))
        batches = Batches(rows, encoder, objective.weights, settings.batch_size, settings.seed)
        held_out = Batches(objective.prepare(validation), encoder, objective.weights) if validation else None
        optimizer, schedule = optimizer_for(model.parameters, settings), rates(settings)
        best = _BestEpoch(model.parameters, settings.patience if validation else 0)
        progress, rate = EpochProgress(settings.epochs, len(train), report), next(schedule)

        for epoch in range(1, settings.epochs + 1):
            progress.start(epoch)
            total = torch.zeros((), dtype=torch.float64)
            for batch in batches:
                model.gradient.zero_()
                for x, y, share in batch.chunks:  # their gradients add up to that of the batch
                    loss = model.loss(model.forward(x, training=True), y, share)
                    model.backward(y, share)
                    total.add_(loss, alpha=batch.rows)
                    progress.advance(x.shape[0])
                optimizer.step(model.gradient, rate)
            progress.stop()

            metrics = progress.metrics(
                train_loss=float(total) / len(train),
                validation_loss=_mean_loss(model, held_out) if held_out else None,
                learning_rate=rate,
                gradient_norm=float(torch.linalg.vector_norm(model.gradient)),
                **_measure_probe(probe, epoch, model, module),
            )
            require_converging(metrics, loss_of_guessing(len(train.classes)), settings.lr)
            history.append(metrics)
            report(metrics)

            watched = metrics.train_loss if metrics.validation_loss is None else metrics.validation_loss
            if best.is_exhausted(watched):
                break
            rate = schedule.send(watched)
        best.restore()
        model.write_back()
        return Fitted(module.eval(), tuple(history))


@torch.inference_mode(mode=False)  # the module outlives the training
def _initialise(
    encoder: Encoder, classes: int, objective: Objective, settings: TrainingSettings
) -> tuple[nn.Module, FlatMLP]:
    """Return the module with initial weights, and its network in the flat form for training."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)  # torch.manual_seed also looks for GPUs: ten epochs long
        net = MLP(encoder.width, classes, settings.hidden, settings.dropout)
        for_dropout = torch.Generator().set_state(torch.default_generator.get_state())
    return objective.module(encoder, net), FlatMLP(net, settings.dropout, for_dropout, objective.loss)


def _mean_loss(model: FlatMLP, rows: Batches) -> float:
    total = torch.zeros((), dtype=torch.float64)
    for x, y, share in (chunk for batch in rows for chunk in batch.chunks):
        total += model.loss(model.forward(x), y, share)
    return float(total)


def _measure_probe(probe: Probe | None, epoch: int, model: FlatMLP, module: nn.Module) -> dict[str, float]:
    """Return the probe's figure by its field of `EpochMetrics`, in the epochs in which it is due."""
    if not probe or epoch % probe.epochs:
        return {}
    model.write_back()
    return {probe.figure: probe.measure(predictor(module))}


class _BestEpoch:
    """Keeps the weights of the epoch with the lowest loss; with patience 0, it keeps nothing."""

    def __init__(self, weights: Tensor, patience: int) -> None:
        self._weights, self._patience = weights, patience
        self._loss, self._worse_epochs = math.inf, 0
        self._best: Tensor | None = None

    def is_exhausted(self, loss: float) -> bool:
        """Record the loss of one epoch and return whether the patience is exhausted."""
        if not self._patience:
            return False
        if loss < self._loss:
            self._loss, self._worse_epochs, self._best = loss, 0, self._weights.clone()
        else:
            self._worse_epochs += 1
        return self._worse_epochs >= self._patience

    def restore(self) -> None:
        """Restore the weights of the best epoch."""
        if self._best is not None:
            self._weights.copy_(self._best)
