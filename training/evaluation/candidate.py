"""Measure a candidate: its metrics on every split, and beside simple classifiers.

It must not know the model store.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from modelstore import Baseline, EpochMetrics, Evaluation, Notice
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.errors import DatasetError
from training.evaluation import baselines
from training.evaluation.gate import Skill
from training.evaluation.metrics import Floats, Ints, Split, chunks, evaluate_chunks, row_losses
from training.learners.mlp.diagnostics import find_problems, loss_of_guessing, require_learnt
from training.learners.protocol import Fitted, Predict, Probe, Report, predictor

MANY_ROWS = 200_000  # with more rows, long steps outside the epochs are announced


@dataclass(frozen=True)
class Candidate:
    """A trained model with its measurements.

    Attributes:
        module: the model, in evaluation mode.
        predict: the model as a NumPy function.
        history: metrics of its epochs, first to last.
        metrics: evaluation on each split, by the name of the split.
        baselines: scores of simple classifiers on the test rows, by name.
        skill: how much it improves on the class frequencies on the test rows, with the standard error.
    """

    module: nn.Module
    predict: Predict
    history: tuple[EpochMetrics, ...]
    metrics: Mapping[str, Evaluation]
    baselines: Mapping[str, Baseline]
    skill: Skill


def measure_candidate(
    fitted: Fitted, recipe: Recipe, splits: Splits, rows: Mapping[Split, Dataset], report: Report
) -> Candidate:
    """Measure a trained model on every split, and report findings about its training.

    Args:
        fitted: the result of the learner.
        recipe: the recipe that it was trained with.
        splits: the training and the test split.
        rows: the rows of each split; those of the training split without the validation rows.
        report: receives notices and warnings.

    Raises:
        DatasetError: if a row overflows the network.
        Diverged: if the loss is not finite, or ended far above the loss of guessing.
    """
    predict, guessing = predictor(fitted.module), loss_of_guessing(len(splits.train.classes))
    if len(rows["train"]) > MANY_ROWS:
        sizes = f"{len(splits.train):,} training and {len(splits.test):,} test rows"
        report(Notice(message=f"measuring the network on {sizes}"))
    metrics: dict[str, Evaluation] = {
        name: evaluate_chunks(_predict_chunks(predict, part, name), part.classes, name) for name, part in rows.items()
    }
    require_learnt(metrics["train"].log_loss, guessing, recipe.training.lr)
    for finding in find_problems(fitted.history, guessing, recipe.training.patience):
        report(Notice(level="warning", message=finding))
    fewer_rows = baselines.describe_sample(splits.train, splits.test)
    if fewer_rows:
        report(Notice(message=fewer_rows))
    scores = baselines.score(baselines.quick(), splits.train, splits.test)
    skill = _skill(predict, splits, scores[baselines.MAJORITY])
    return Candidate(fitted.module, predict, fitted.history, metrics, scores, skill)


def accuracy_probe(recipe: Recipe, test: Dataset) -> Probe | None:
    """Return a probe that measures the test accuracy every `report_every` epochs, or None if that is 0."""
    if not recipe.report_every:
        return None
    return Probe(recipe.report_every, lambda predict: float((predict(test.x).argmax(axis=1) == test.y).mean()))


def _skill(predict: Predict, splits: Splits, majority: Baseline) -> Skill:
    frequencies = baselines.fit(baselines.quick()[baselines.MAJORITY], splits.train)
    x, y = splits.test.x, splits.test.y
    gains = np.concatenate(
        [row_losses(frequencies(x[part]), y[part]) - row_losses(predict(x[part]), y[part]) for part in chunks(len(y))]
    )  # (N,)
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return Skill(float(gains.mean()), float(error), majority)


def _predict_chunks(predict: Predict, rows: Dataset, split: Split) -> Iterator[tuple[Floats, Ints]]:
    """Yield probabilities and true classes, chunk by chunk.

    Raises:
        DatasetError: if a probability is NaN; names the line of the first such row.
    """
    for part in chunks(len(rows)):
        probabilities = predict(rows.x[part])
        lost = np.isnan(probabilities).any(axis=1)  # (n,)
        if lost.any():
            problem = "values so far outside the training range that the network overflows"
            raise DatasetError(f"{split} split", problem, line=int(rows.lines[part][lost.argmax()]))
        yield probabilities, rows.y[part]
