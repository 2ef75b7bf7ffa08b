"""Scores of cross-validation, and their summary."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class FoldScore:
    """Figures of one method on the held-out rows of one fold, by the name of the metric."""

    method: str
    fold: int
    figures: Mapping[str, float]


class Spread(NamedTuple):
    """Mean and sample standard deviation of one figure over the folds."""

    mean: float
    std: float


@dataclass(frozen=True)
class MethodScore:
    """Figures of one method over the folds, by the name of the metric."""

    method: str
    figures: Mapping[str, Spread]


def summarise(scores: Iterable[FoldScore]) -> tuple[MethodScore, ...]:
    """Return one summary per method, in order of first appearance, of at least two folds.

    A method that lacks a fold is left out, because its means would be over other rows.
    """
    by_method: dict[str, list[FoldScore]] = {}
    for score in scores:
        by_method.setdefault(score.method, []).append(score)
    most = max(map(len, by_method.values()), default=0)
    return tuple(_summarise_one(method, folds) for method, folds in by_method.items() if len(folds) == most)


def _summarise_one(method: str, folds: list[FoldScore]) -> MethodScore:
    by_metric = {name: [fold.figures[name] for fold in folds] for name in folds[0].figures}
    return MethodScore(
        method, {name: Spread(statistics.fmean(values), statistics.stdev(values)) for name, values in by_metric.items()}
    )
