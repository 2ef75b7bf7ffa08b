"""Scores of cross-validation, and their summary."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class FoldScore:
    """Score of one method on the held-out rows of one fold; log loss in nats."""

    method: str
    fold: int
    accuracy: float
    log_loss: float


@dataclass(frozen=True)
class MethodScore:
    """Mean and sample standard deviation of one method over the folds."""

    method: str
    accuracy: float
    accuracy_std: float
    log_loss: float
    log_loss_std: float


def summarise(scores: Iterable[FoldScore]) -> tuple[MethodScore, ...]:
    """Return one summary per method, in order of first appearance; each needs at least two folds."""
    by_method: dict[str, list[FoldScore]] = {}
    for score in scores:
        by_method.setdefault(score.method, []).append(score)
    return tuple(_summary(method, folds) for method, folds in by_method.items())


def _summary(method: str, folds: list[FoldScore]) -> MethodScore:
    accuracies = [fold.accuracy for fold in folds]
    losses = [fold.log_loss for fold in folds]
    return MethodScore(
        method=method,
        accuracy=statistics.fmean(accuracies),
        accuracy_std=statistics.stdev(accuracies),
        log_loss=statistics.fmean(losses),
        log_loss_std=statistics.stdev(losses),
    )
