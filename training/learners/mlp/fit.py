"""The MLP, and the training loop of all networks: forward, loss, backward, step.

The same seed on the same machine gives the same weights; every random draw comes from `settings.seed`. This module must
not know files, data sources or the console.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.learners.mlp.autograd import AutogradNetwork
from training.learners.mlp.batches import Batches
from training.learners.mlp.diagnostics import loss_of_guessing, require_converging
from training.learners.mlp.gradient import FlatMLP
from training.learners.mlp.network import MLP, Network, initialise
from training.learners.mlp.objectives import Objective, objective_for
from training.learners.mlp.optimizers import optimizer_for
from training.learners.mlp.schedules import rates
from training.learners.progress import EpochProgress
from training.learners.protocol import Fitted, Probe, Report, predictor
from training.preprocessing.categories import teach_other
from training.preprocessing.encoder import Encoder, fit_encoder


class Trainable(Protocol):
    """A network in training: `gradient.FlatMLP` or `autograd.AutogradNetwork`, which say what each part is."""

    parameters: Tensor
    gradient: Tensor
    state: list[Tensor]

    def forward(self, x: Tensor, *, training: bool = False) -> Tensor:
        """Return the answers of the loss for encoded rows."""
        ...

    def loss(self, answers: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return the loss of the answers."""
        ...

    def backward(self, y: Tensor, share: Tensor) -> None:
        """Add the gradient of the last forward pass to `gradient`."""
        ...

    def write_back(self) -> None:
        """Copy what was learnt into the network that is published."""
        ...


class Untrained(NamedTuple):
    """A network before its training.

    Attributes:
        encoder: fitted to the training rows.
        net: the network that is published, with its initial weights.
        model: the same network, for the training loop.
    """

    encoder: Encoder
    net: Network
    model: Trainable


class NetworkLearner(ABC):
    """Fits a network by gradient descent; see `Learner`.

    With `settings.patience` and validation rows, training stops after that many epochs without a better validation
    loss, and the weights of the best epoch are restored.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings

    @abstractmethod
    def build(self, train: Dataset, objective: Objective) -> Untrained:
        """Return a network for the training rows; it draws from torch's default generator, which the seed has set."""

    @torch.inference_mode()
    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit encoder and network; see `Learner.fit`."""
        settings, history = self._settings, []
        report = torch.inference_mode(mode=False)(report)  # a report may do what it wants with torch
        objective = objective_for(train, settings)
        encoder, module, model = self._initialise(train, objective)
        rows = replace(objective.prepare(train), x=teach_other(train.columns, train.x, settings.seed))
        batches = Batches(rows, encoder, objective.weights, settings.batch_size, settings.seed)
        held_out = Batches(objective.prepare(validation), encoder, objective.weights) if validation else None
        optimizer, schedule = optimizer_for(model.parameters, settings), rates(settings)
        best = _BestEpoch(model.state, settings.patience if validation else 0)
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
    def _initialise(self, train: Dataset, objective: Objective) -> tuple[Encoder, nn.Module, Trainable]:
        """Return the fitted encoder, the module with initial weights, and its network for the training loop."""
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed also looks for GPUs, which takes as long as ten epochs
            torch.default_generator.manual_seed(self._settings.seed)
            encoder, net, model = self.build(train, objective)
        return encoder, objective.module(encoder, net), model


class MLPLearner(NetworkLearner):
    """Fits an MLP; the gradient of the plain one is written by hand, which is faster."""

    def __init__(self, settings: TrainingSettings, encoder: Encoder | None = None) -> None:
        """Create the learner; without an encoder, it fits one to the training rows."""
        super().__init__(settings)
        self._encoder = encoder

    def build(self, train: Dataset, objective: Objective) -> Untrained:
        """Return the MLP of the settings."""
        settings, encoder, classes = self._settings, self._encoder or fit_encoder(train), len(train.classes)
        net = MLP(
            encoder.width,
            classes,
            settings.hidden,
            settings.dropout,
            activation=settings.activation,
            batch_norm=settings.batch_norm,
        )
        initialise(net, settings.init)
        generator = torch.Generator().set_state(torch.default_generator.get_state())
        if settings.activation == "relu" and not settings.batch_norm and not settings.l1:
            return Untrained(encoder, net, FlatMLP(net, settings.dropout, generator, objective.loss))
        model = AutogradNetwork(net, generator, objective.loss, l1=settings.l1)
        return Untrained(encoder, net, model)


def _mean_loss(model: Trainable, rows: Batches) -> float:
    total = torch.zeros((), dtype=torch.float64)
    for x, y, share in (chunk for batch in rows for chunk in batch.chunks):
        total += model.loss(model.forward(x), y, share)
    return float(total)


def _measure_probe(probe: Probe | None, epoch: int, model: Trainable, module: nn.Module) -> dict[str, float]:
    """Return the probe's figure by its field of `EpochMetrics`, in the epochs in which it is due."""
    if not probe or epoch % probe.epochs:
        return {}
    model.write_back()
    return {probe.figure: probe.measure(predictor(module))}


class _BestEpoch:
    """Keeps the weights of the epoch with the lowest loss; with patience 0, it keeps nothing."""

    def __init__(self, state: Sequence[Tensor], patience: int) -> None:
        self._state, self._patience = state, patience
        self._loss, self._worse_epochs = math.inf, 0
        self._best: list[Tensor] = []

    def is_exhausted(self, loss: float) -> bool:
        """Record the loss of one epoch and return whether the patience is exhausted."""
        if not self._patience:
            return False
        if loss < self._loss:
            self._loss, self._worse_epochs, self._best = loss, 0, [part.clone() for part in self._state]
        else:
            self._worse_epochs += 1
        return self._worse_epochs >= self._patience

    def restore(self) -> None:
        """Restore the weights of the best epoch."""
        for part, best in zip(self._state, self._best, strict=bool(self._best)):
            part.copy_(best)
