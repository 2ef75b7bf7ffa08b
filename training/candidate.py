"""One training measured: from checked splits to a classifier with its figures; it must not know the store."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelstore import Baseline, EpochMetrics, Evaluation, Notice, to_line
from training import baselines, plots
from training.datasets import Dataset, Splits, hold_out_validation
from training.diagnose import findings, require_learnt
from training.errors import DatasetError
from training.evaluate import Split, evaluate, row_losses
from training.fit import Probe, fit_classifier
from training.gate import Skill
from training.nets import Classifier, Predict, predictor
from training.recipe import Recipe


@dataclass(frozen=True)
class Candidate:
    """A trained classifier and what is known about it.

    Attributes:
        classifier: in evaluation mode.
        history: its epochs, first to last.
        metrics: its evaluation on each split, by the split's name.
        baselines: what simple classifiers reach on the test rows.
        skill: how surely it beats the class frequencies on the test rows.
    """

    classifier: Classifier
    history: tuple[EpochMetrics, ...]
    metrics: Mapping[str, Evaluation]
    baselines: Mapping[str, Baseline]
    skill: Skill


def train_candidate(recipe: Recipe, splits: Splits) -> Generator[EpochMetrics | Notice, None, Candidate]:
    """Train on the training split, yield what happens, and return the measured candidate.

    Raises:
        DatasetError: if the training split is too small for its validation split, or a row overflows the network.
        Diverged: if the loss is not finite, or ends far above that of guessing.
    """
    settings = recipe.training
    train, validation = hold_out_validation(splits.train, settings.validation_fraction, settings.seed)
    history: list[EpochMetrics] = []
    training = fit_classifier(train, validation, settings, _probe(recipe, splits.test))
    classifier = yield from _recorded(training, history)
    predict = predictor(classifier)
    metrics = _measure(predict, {"train": train, "validation": validation, "test": splits.test})
    require_learnt(metrics["train"].log_loss, len(train.classes), settings.lr)
    for sentence in findings(history, len(train.classes)):
        yield Notice(level="warning", message=sentence)
    scores = baselines.score(baselines.quick(), splits.train, splits.test)
    return Candidate(classifier, tuple(history), metrics, scores, _skill(predict, splits))


def attachments(candidate: Candidate, recipe: Recipe, splits: Splits) -> dict[str, bytes]:
    """Return the files that lie beside a version: its history and its pictures, by file name."""
    test = candidate.metrics["test"]
    files = {
        "history.jsonl": "".join(f"{to_line(metrics)}\n" for metrics in candidate.history).encode(),
        "loss.png": plots.loss_curves(candidate.history, f"{recipe.network}: loss while training"),
        "confusion.png": plots.confusion_matrix(test, f"{recipe.network}: {test.rows} test rows"),
    }
    if len(splits.train.features) == 2:
        units = [recipe.data.units.get(name, "") for name in splits.train.features]
        title = f"{recipe.network}: decision boundary and {test.rows} test rows"
        files["boundary.png"] = plots.decision_boundary(predictor(candidate.classifier), splits.test, units, title)
    return files


def _recorded(
    training: Generator[EpochMetrics, None, Classifier], history: list[EpochMetrics]
) -> Generator[EpochMetrics, None, Classifier]:
    """Pass a training through and keep its epochs."""
    while True:
        try:
            metrics = next(training)
        except StopIteration as end:
            classifier: Classifier = end.value
            return classifier
        history.append(metrics)
        yield metrics


def _probe(recipe: Recipe, test: Dataset) -> Probe | None:
    """Return what measures the test accuracy every `report_every` epochs; it decides nothing."""
    every = recipe.report_every
    if not every:
        return None

    def probe(predict: Predict, epoch: int) -> float | None:
        if epoch % every:
            return None
        return float((predict(test.x).argmax(axis=1) == test.y).mean())

    return probe


def _skill(predict: Predict, splits: Splits) -> Skill:
    frequencies = baselines.probabilities(baselines.quick()[baselines.MAJORITY], splits.train, splits.test.x)
    gains = row_losses(frequencies, splits.test.y) - row_losses(predict(splits.test.x), splits.test.y)  # (N,)
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return Skill(float(gains.mean()), float(error))


def _measure(predict: Predict, splits: Mapping[Split, Dataset | None]) -> dict[str, Evaluation]:
    metrics: dict[str, Evaluation] = {}
    for name, rows in splits.items():
        if rows is not None:
            metrics[name] = evaluate(_finite(predict(rows.x), name), rows.y, rows.classes, name)
    return metrics


def _finite(probabilities: npt.NDArray[np.float32], split: Split) -> npt.NDArray[np.float32]:
    """Return the probabilities if they are numbers.

    Raises:
        DatasetError: names the first row of the split for which they are not.
    """
    lost = np.isnan(probabilities).any(axis=1)  # (N,)
    if lost.any():
        problem = "values so far outside the training range that the network overflows"
        raise DatasetError(f"{split} split", problem, row=int(lost.argmax()) + 1)
    return probabilities
