"""The training loop: one generator, read top to bottom; it must not know files, recipes' data or the console.

Same seed, same machine, same number of threads: the same weights. Every random draw comes from `settings.seed`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from modelstore import EpochMetrics
from training.datasets import Dataset
from training.diagnose import require_converging
from training.nets import MLP, Classifier, Predict, predictor
from training.recipe import TrainingSettings
from training.scaling import StandardScaler, fit_scaler

Loss = Callable[[Tensor, Tensor], Tensor]
Probe = Callable[[Predict, int], float | None]
"""Asked after each epoch, with the classifier so far and the epoch's number, for a test accuracy to report."""

PLATEAU_EPOCHS = 10
PLATEAU_FACTOR = 0.1


@dataclass(frozen=True)
class Rows:
    """What the network sees: standardised features, float32 (N, F), and class indices, int64 (N,)."""

    x: Tensor
    y: Tensor


def fit_classifier(
    train: Dataset, validation: Dataset | None, settings: TrainingSettings, probe: Probe | None = None
) -> Generator[EpochMetrics, None, Classifier]:
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
        torch.manual_seed(settings.seed)
        net = MLP(train.x.shape[1], len(train.classes), settings.hidden, settings.dropout)
        classifier = Classifier(scaler, net)
        held_out = None if validation is None else _rows(scaler, validation)
        for metrics in fit(net, _rows(scaler, train), settings, validation=held_out):
            accuracy = probe(predictor(classifier), metrics.epoch) if probe else None
            yield metrics.model_copy(update={"test_accuracy": accuracy})
    return classifier.eval()


def fit(net: MLP, train: Rows, settings: TrainingSettings, *, validation: Rows | None = None) -> Iterator[EpochMetrics]:
    """Train the network in place, one yield an epoch.

    With `settings.patience` and validation rows, training stops after that many epochs without a better validation
    loss, and the weights of the best epoch are put back.

    Raises:
        Diverged: if a loss is not finite or beyond all bounds; the weights are of no use then.
    """
    loss = _loss(train.y, net.widths[-1], settings)
    optimizer = _optimizer(net, settings)
    schedule = _schedule(optimizer, settings)
    shuffle = torch.Generator().manual_seed(settings.seed)
    best = _BestEpoch(settings.patience if validation else 0)
    started = time.perf_counter()
    for epoch in range(1, settings.epochs + 1):
        learning_rate = optimizer.param_groups[0]["lr"]
        train_loss = _train_epoch(net, _batches(train, settings.batch_size, shuffle), loss, optimizer)
        validation_loss = _loss_of(net, validation, loss) if validation else None
        elapsed_s = time.perf_counter() - started
        metrics = EpochMetrics(
            epoch=epoch,
            epochs=settings.epochs,
            train_loss=train_loss,
            validation_loss=validation_loss,
            learning_rate=learning_rate,
            gradient_norm=_gradient_norm(net),
            elapsed_s=elapsed_s,
            remaining_s=elapsed_s / epoch * (settings.epochs - epoch),
        )
        require_converging(metrics, max(2, net.widths[-1]), settings.lr)
        yield metrics
        watched = train_loss if validation_loss is None else validation_loss
        if best.exhausted(net, watched):
            break
        _advance(schedule, watched)
    best.restore(net)


def _train_epoch(
    net: MLP, batches: Iterable[tuple[Tensor, Tensor]], loss: Loss, optimizer: torch.optim.Optimizer
) -> float:
    """Take one step for each mini-batch and return the mean loss over the rows, as seen before each step."""
    net.train()
    total, rows = torch.zeros(()), 0
    for x, y in batches:
        optimizer.zero_grad()
        batch_loss = loss(net(x), y)
        torch.autograd.backward(batch_loss)
        optimizer.step()
        total += batch_loss.detach() * len(y)
        rows += len(y)
    return float(total) / rows


def _batches(rows: Rows, batch_size: int, shuffle: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield shuffled mini-batches, each row once; the full batch needs no shuffling."""
    if not 0 < batch_size < len(rows.y):
        yield rows.x, rows.y
        return
    for index in torch.split(torch.randperm(len(rows.y), generator=shuffle), batch_size):
        yield rows.x[index], rows.y[index]  # (batch, F), (batch,)


def _loss_of(net: MLP, rows: Rows, loss: Loss) -> float:
    net.eval()
    with torch.no_grad():
        return float(loss(net(rows.x), rows.y))


def _loss(y: Tensor, logits: int, settings: TrainingSettings) -> Loss:
    """Return the mean negative log likelihood, each row weighed by its class."""
    weights = _class_weights(y, max(2, logits)) if settings.class_weights == "balanced" else None

    def binary(z: Tensor, y: Tensor) -> Tensor:
        weight = None if weights is None else weights[y] / weights[y].mean()  # (N,)
        return functional.binary_cross_entropy_with_logits(z[:, 0], y.float(), weight)

    return binary if logits == 1 else nn.CrossEntropyLoss(weights)


def _class_weights(y: Tensor, classes: int) -> Tensor:
    """Return the inverse frequency of each class, shape (K,), 1 for a class of average size."""
    return len(y) / (classes * torch.bincount(y, minlength=classes).clamp(min=1))


def _optimizer(net: MLP, settings: TrainingSettings) -> torch.optim.Optimizer:
    parameters, lr, weight_decay = net.parameters(), settings.lr, settings.weight_decay
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, lr=lr, weight_decay=weight_decay, fused=True)
        case "adam":
            return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=True)


def _schedule(optimizer: torch.optim.Optimizer, settings: TrainingSettings) -> LRScheduler | None:
    match settings.schedule:
        case "constant":
            return None
        case "cosine":
            return CosineAnnealingLR(optimizer, T_max=settings.epochs)
        case "plateau":
            return ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=PLATEAU_EPOCHS)


def _advance(schedule: LRScheduler | None, watched_loss: float) -> None:
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(watched_loss)
    elif schedule is not None:
        schedule.step()


def _gradient_norm(net: MLP) -> float:
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    return float(nn.utils.get_total_norm(gradients))


def _rows(scaler: StandardScaler, dataset: Dataset) -> Rows:
    """Standardise in float32, exactly as the published model will."""
    return Rows(scaler(torch.from_numpy(dataset.x).float()), torch.from_numpy(dataset.y))


class _BestEpoch:
    """Remembers the weights of the epoch with the lowest loss; with patience 0 it remembers nothing."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.loss = math.inf
        self.worse_epochs = 0
        self.weights: dict[str, Tensor] = {}

    def exhausted(self, net: MLP, loss: float) -> bool:
        """Note one epoch and tell whether patience has run out."""
        if not self.patience:
            return False
        if loss < self.loss:
            self.loss, self.worse_epochs = loss, 0
            self.weights = {name: value.clone() for name, value in net.state_dict().items()}
        else:
            self.worse_epochs += 1
        return self.worse_epochs >= self.patience

    def restore(self, net: MLP) -> None:
        if self.weights:
            net.load_state_dict(self.weights)
