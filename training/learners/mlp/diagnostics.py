"""Diagnose a training from its history: divergence, flat loss, overfitting, gradients.

It must not know networks or data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from modelstore import EpochMetrics
from training.errors import Diverged

MIN_EPOCHS = 10
FLAT_SHARE = 0.01
VANISHED_NORM = 1e-6
EXPLODED_NORM = 1e3
OVERFIT_SHARE = 0.1
WORSE_THAN_GUESSING = 10.0
LOST = 1000.0


def loss_of_guessing(classes: int) -> float:
    """Return the loss of an answer without any knowledge, in the unit of the training's losses.

    It is the log loss of giving every class the same probability, in nats; without classes, the squared error of the
    target's mean, in variances of the target.
    """
    return math.log(classes) if classes else 1.0


def find_problems(history: Sequence[EpochMetrics], guessing: float, patience: int = 0) -> tuple[str, ...]:
    """Return findings about a finished training, one sentence each; empty if there are none.

    Args:
        history: metrics of the epochs, first to last.
        guessing: loss of guessing, in the unit of the losses.
        patience: patience of early stopping; 0 if it is off.
    """
    if len(history) < MIN_EPOCHS:
        return ()
    found = (_gradients(history), _flat(history, guessing), _overfitting(history, patience))
    return tuple(sentence for sentence in found if sentence)


def require_converging(metrics: EpochMetrics, guessing: float, learning_rate: float | None) -> None:
    """Stop a training that diverges.

    Args:
        metrics: metrics of the last epoch, perhaps not finite.
        guessing: loss of guessing, in the unit of the losses.
        learning_rate: the initial learning rate, for the advice in the message; None if it is not a setting.

    Raises:
        Diverged: if a metric is not finite, or the training loss is over a thousand times that of guessing.
    """
    named = {
        "training loss": metrics.train_loss,
        "validation loss": metrics.validation_loss or 0.0,
        "gradient norm": metrics.gradient_norm,
    }
    for name, value in named.items():
        if not math.isfinite(value):
            raise Diverged(f"the {name} is {value} after epoch {metrics.epoch}", learning_rate)
    loss = metrics.train_loss
    if loss > LOST * guessing:
        lost = f"the training loss is {loss:.3g} after epoch {metrics.epoch}, guessing gives {guessing:.3g}"
        raise Diverged(lost, learning_rate)


def require_learnt(loss: float, guessing: float, learning_rate: float | None) -> None:
    """Reject a finished model that is useless; arguments as in `require_converging`.

    Raises:
        Diverged: if the loss on the training rows is not finite, or over ten times that of guessing.
    """
    if not loss <= WORSE_THAN_GUESSING * guessing:
        raise Diverged(f"the training loss ended at {loss:.3g}, guessing gives {guessing:.3g}", learning_rate)


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


def _flat(history: Sequence[EpochMetrics], guessing: float) -> str | None:
    first, last = history[0].train_loss, history[-1].train_loss
    if abs(first - last) >= FLAT_SHARE * first or last < 0.5 * guessing:
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
