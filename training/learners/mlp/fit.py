"""The MLP, and the training loop of all networks: forward, loss, backward, step.

The same seed on the same machine gives the same weights; every random draw comes from `settings.seed`. This module must
not know files, data sources or the console.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from modelstore import EpochMetrics, Notice
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.learners.budget import REQUESTED, ShouldEnd, never
from training.learners.mlp.autograd import AutogradNetwork
from training.learners.mlp.batches import Batches
from training.learners.mlp.diagnostics import loss_of_guessing, require_converging
from training.learners.mlp.early_stopping import EarlyStopping
from training.learners.mlp.gradient import FlatMLP
from training.learners.mlp.network import MLP, Network, initialise
from training.learners.mlp.objectives import Objective, objective_for
from training.learners.mlp.optimizers import Adam, Sgd, optimizer_for
from training.learners.mlp.schedules import schedule_for
from training.learners.progress import EpochProgress
from training.learners.protocol import Fitted, Probe, Report, predictor
from training.preprocessing.categories import add_other
from training.preprocessing.encoder import Encoder, fit_encoder

FlatNetwork = FlatMLP | AutogradNetwork
"""A network whose parameters are one vector, and their gradient another."""

STOPPED = "stopped after epoch {epoch} of {epochs}, " + REQUESTED + "; the same seed, not stopped, gives another model"


class NetworkLearner(ABC):
    """Fits a network by gradient descent; see `Learner`.

    With `settings.patience` and validation rows, training stops after that many epochs without a better validation
    loss, and the weights of the best epoch are restored.
    """

    def __init__(self, settings: TrainingSettings, should_end: ShouldEnd = never) -> None:
        self._settings, self._should_end = settings, should_end

    @abstractmethod
    def build(self, train: Dataset, objective: Objective) -> Untrained:
        """Return a network for the training rows; it draws from torch's default generator, which the seed has set."""

    @torch.inference_mode()  # gradients are written by hand: nothing is to be recorded, but in `AutogradNetwork`
    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit encoder and network; see `Learner.fit`."""
        settings, objective = self._settings, objective_for(train, self._settings)
        report = torch.inference_mode(mode=False)(report)  # a report may use autograd
        encoder, module, network = self._initialise(train, objective)
        rows = replace(objective.prepare(train), x=add_other(train.columns, train.x, settings.seed))
        batches = Batches(rows, encoder, objective.weights, settings.batch_size, settings.seed)
        held_out = Batches(objective.prepare(validation), encoder, objective.weights) if validation else None
        optimizer, schedule = optimizer_for(network.parameters, settings), schedule_for(settings)
        stopping = EarlyStopping(network.state, settings.patience if validation else 0)
        progress = EpochProgress(settings.epochs, len(train), report)
        history: list[EpochMetrics] = []
        stopped = False

        for epoch in range(1, settings.epochs + 1):
            progress.start(epoch)
            train_loss = _train_epoch(network, batches, optimizer, schedule.rate, progress)
            progress.stop()
            validation_loss = _mean_loss(network, held_out) if held_out else None
            metrics = progress.metrics(
                train_loss=train_loss,
                validation_loss=validation_loss,
                learning_rate=schedule.rate,
                gradient_norm=float(torch.linalg.vector_norm(network.gradient)),
                **_measure_probe(probe, epoch, network, module),
            )
            require_converging(metrics, loss_of_guessing(len(train.classes)), settings.lr)
            history.append(metrics)
            report(metrics)

            watched_loss = train_loss if validation_loss is None else validation_loss
            schedule.step(watched_loss)
            stopping.record(watched_loss)
            if stopping.is_exhausted:
                break
            if stopped := epoch < settings.epochs and self._should_end():
                report(Notice(level="warning", message=STOPPED.format(epoch=epoch, epochs=settings.epochs)))
                break
        stopping.restore_best()
        network.write_back()
        return Fitted(module.eval(), tuple(history), stopped=stopped)

    @torch.inference_mode(mode=False)  # the module outlives the training
    def _initialise(self, train: Dataset, objective: Objective) -> tuple[Encoder, nn.Module, FlatNetwork]:
        """Return the fitted encoder, the module with initial weights, and its network as the loop trains it."""
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed also looks for GPUs, which takes as long as ten epochs
            torch.default_generator.manual_seed(self._settings.seed)
            encoder, net, flat = self.build(train, objective)
        return encoder, objective.module(encoder, net), flat


def _train_epoch(
    network: FlatNetwork, batches: Batches, optimizer: Sgd | Adam, rate: float, progress: EpochProgress
) -> float:
    """Take one step for each batch, and return the mean loss of all rows as they were seen."""
    total, rows = torch.zeros((), dtype=torch.float64), 0
    for batch in batches:
        network.gradient.zero_()
        for x, y, share in batch.chunks:  # their gradients add up to that of the batch
            answers = network.forward(x, training=True)
            loss = network.loss(answers, y, share)
            network.backward(y, share)
            total.add_(loss, alpha=batch.rows)
            progress.advance(x.shape[0])
        optimizer.step(network.gradient, rate)
        rows += batch.rows
    return float(total) / rows


def _mean_loss(network: FlatNetwork, rows: Batches) -> float:
    """Return the mean loss of rows that are one batch, without training on them."""
    total = torch.zeros((), dtype=torch.float64)
    for x, y, share in (chunk for batch in rows for chunk in batch.chunks):
        total += network.loss(network.forward(x), y, share)
    return float(total)


def _measure_probe(probe: Probe | None, epoch: int, network: FlatNetwork, module: nn.Module) -> dict[str, float]:
    """Return the probe's figure by its field of `EpochMetrics`, in the epochs in which it is due."""
    if not probe or epoch % probe.epochs:
        return {}
    network.write_back()
    return {probe.figure: probe.measure(predictor(module))}


class Untrained(NamedTuple):
    """A network before its training.

    Attributes:
        encoder: fitted to the training rows.
        net: the network that is published, with its initial weights.
        flat: the same network, with its parameters as one vector, for the training loop.
    """

    encoder: Encoder
    net: Network
    flat: FlatNetwork


class MLPLearner(NetworkLearner):
    """Fits an MLP; the gradient of the plain one is written by hand, which is faster."""

    def __init__(
        self, settings: TrainingSettings, encoder: Encoder | None = None, should_end: ShouldEnd = never
    ) -> None:
        """Create the learner; without an encoder, it fits one to the training rows."""
        super().__init__(settings, should_end)
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
        if settings.has_own_gradient:
            return Untrained(encoder, net, FlatMLP(net, settings.dropout, generator, objective.loss))
        return Untrained(encoder, net, AutogradNetwork(net, generator, objective.loss, l1=settings.l1))
