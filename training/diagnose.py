"""What the history of a training says about it, one sentence a finding; it must not know networks or data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelstore import EpochMetrics
from training.errors import Diverged

MIN_EPOCHS = 10
FLAT_SHARE = 0.01
VANISHED_NORM = 1e-6
EXPLODED_NORM = 1e3
OVERFIT_SHARE = 0.1
WORSE_THAN_GUESSING = 10.0
LOST = 1000.0


def findings(history: Sequence[EpochMetrics], classes: int, patience: int = 0) -> tuple[str, ...]:
    """Return what a person should know about a training that ended; nothing when all is well.

    Args:
        history: the epochs, first to last.
        classes: K; with it the loss of guessing is known, ln K nats.
        patience: of early stopping; 0 if it is off.
    """
    if len(history) < MIN_EPOCHS:
        return ()
    found = (_gradients(history), _flat(history, classes), _overfitting(history, patience))
    return tuple(sentence for sentence in found if sentence)


@dataclass(frozen=True)
class EpochFigures:
    """What an epoch gave, perhaps not finite; as in `EpochMetrics`."""

    epoch: int
    train_loss: float
    validation_loss: float | None
    gradient_norm: float


def require_converging(figures: EpochFigures, classes: int, learning_rate: float) -> None:
    """Refuse to go on with a training that has left all bounds.

    Args:
        figures: of the epoch that just ended.
        classes: K.
        learning_rate: that the training started with, for the advice.

    Raises:
        Diverged: if a figure is not finite, or the training loss a thousand times that of guessing.
    """
    named = {
        "training loss": figures.train_loss,
        "validation loss": figures.validation_loss or 0.0,
        "gradient norm": figures.gradient_norm,
    }
    for name, value in named.items():
        if not math.isfinite(value):
            raise Diverged(f"the {name} is {value} after epoch {figures.epoch}", learning_rate)
    guessing = math.log(classes)
    if figures.train_loss > LOST * guessing:
        loss = (
            f"the training loss is {figures.train_loss:.3g} after epoch {figures.epoch}, guessing gives {guessing:.3g}"
        )
        raise Diverged(loss, learning_rate)


def require_learnt(log_loss: float, classes: int, learning_rate: float) -> None:
    """Refuse a network that stayed finite but is of no use.

    Args:
        log_loss: on the training rows, in nats, after the last epoch.
        classes: K.
        learning_rate: that the training started with, for the advice.

    Raises:
        Diverged: if the loss is not finite, or ten times that of guessing.
    """
    guessing = math.log(classes)
    if not log_loss <= WORSE_THAN_GUESSING * guessing:
        raise Diverged(f"the training loss ended at {log_loss:.3g}, guessing gives {guessing:.3g}", learning_rate)


def _gradients(history: Sequence[EpochMetrics]) -> str | None:
    norms = [metrics.gradient_norm for metrics in history]
    if norms[-1] > EXPLODED_NORM:
        return f"the gradients exploded (norm {norms[-1]:.3g} in the last epoch); try a smaller learning rate"
    if max(norms[: len(norms) // 2 + 1]) < VANISHED_NORM:
        return (
            f"the gradients vanished (norm {norms[-1]:.3g}); "
            "try fewer or wider hidden layers, a larger learning rate, or another seed"
        )
    return None


def _flat(history: Sequence[EpochMetrics], classes: int) -> str | None:
    first, last = history[0].train_loss, history[-1].train_loss
    if abs(first - last) >= FLAT_SHARE * first or last < 0.5 * math.log(classes):
        return None
    return (
        f"the training loss stayed flat ({first:.4g} to {last:.4g} in {len(history)} epochs); "
        "try a larger learning rate, more epochs or wider hidden layers, and check that the features say something"
    )


def _overfitting(history: Sequence[EpochMetrics], patience: int) -> str | None:
    losses = [m.validation_loss for m in history if m.validation_loss is not None]
    if not losses:
        return None
    lowest = min(losses)
    best_epoch = losses.index(lowest) + 1
    rise = losses[-1] - lowest
    falls = history[-1].train_loss < history[best_epoch - 1].train_loss
    if not falls or rise <= OVERFIT_SHARE * lowest or len(losses) - best_epoch < MIN_EPOCHS // 2:
        return None
    advice = f"the weights of epoch {best_epoch} are kept; try" if patience else "try early stopping (patience),"
    return (
        f"overfitting: the validation loss rose from {lowest:.4g} (epoch {best_epoch}) to {losses[-1]:.4g} while the "
        f"training loss fell; {advice} more weight_decay or dropout, or a smaller network"
    )
