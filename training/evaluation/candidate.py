"""Train a candidate on checked splits and measure it.

It must not know the model store.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from modelstore import Baseline, EpochMetrics, Evaluation, Notice, Prediction, to_line, write_predictions
from modelstore.comparison import MAX_ROWS, PREDICTIONS_FILE
from training.config.recipe import Recipe
from training.data.splits import Dataset, Splits
from training.errors import DatasetError
from training.evaluation import baselines, plots
from training.evaluation.gate import Skill
from training.evaluation.metrics import Floats, Ints, Split, chunks, evaluate_chunks, row_losses
from training.learners.mlp.diagnostics import findings, loss_of_guessing, require_learnt
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import Predict, Probe, predictor
from training.outcome import sentence

logger = logging.getLogger(__name__)

MANY_ROWS = 200_000  # with more rows, long steps outside the epochs are announced


@dataclass(frozen=True)
class Candidate:
    """A trained classifier with its measurements.

    Attributes:
        classifier: the classifier, in evaluation mode.
        history: metrics of its epochs, first to last.
        metrics: evaluation on each split, by the name of the split.
        baselines: scores of simple classifiers on the test rows, by name.
        skill: how much it improves on the class frequencies on the test rows, with the standard error.
    """

    classifier: nn.Module
    history: tuple[EpochMetrics, ...]
    metrics: Mapping[str, Evaluation]
    baselines: Mapping[str, Baseline]
    skill: Skill


def train_candidate(recipe: Recipe, splits: Splits) -> Generator[EpochMetrics | Notice, None, Candidate]:
    """Train on the training split, yield the events, and return the measured candidate.

    Raises:
        DatasetError: if the training split is too small for its validation split, or a row overflows the network.
        Diverged: if the loss is not finite, or ends far above the loss of guessing.
    """
    settings = recipe.training
    train, validation = splits.hold_out(settings.validation_fraction, settings.seed)
    fitted = yield from MLPLearner(settings).fit(train, validation, accuracy_probe(recipe, splits.test))
    predict, guessing = predictor(fitted.module), loss_of_guessing(len(train.classes))
    if len(train) > MANY_ROWS:
        yield Notice(
            message=f"measuring the network on {len(splits.train):,} training and {len(splits.test):,} test rows"
        )
    metrics = _measure(predict, {"train": train, "validation": validation, "test": splits.test})
    require_learnt(metrics["train"].log_loss, guessing, settings.lr)
    for finding in findings(fitted.history, guessing, settings.patience):
        yield Notice(level="warning", message=finding)
    fewer_rows = baselines.shortened(splits.train, splits.test)
    if fewer_rows:
        yield Notice(message=fewer_rows)
    scores = baselines.score(baselines.quick(), splits.train, splits.test)
    return Candidate(fitted.module, fitted.history, metrics, scores, _skill(predict, splits))


def attachments(candidate: Candidate, recipe: Recipe, splits: Splits) -> Generator[Notice, None, Mapping[str, bytes]]:
    """Return the attachments of a version by file name: history, test predictions and plots.

    None of them is needed to serve the version, so a file that cannot be made is only a warning.
    """
    predict, test = predictor(candidate.classifier), candidate.metrics["test"]
    makers: dict[str, Callable[[], bytes]] = {
        PREDICTIONS_FILE: lambda: write_predictions(_predictions(predict, splits.test)),
        "history.jsonl": lambda: "".join(f"{to_line(metrics)}\n" for metrics in candidate.history).encode(),
        "loss.png": lambda: plots.loss_curves(candidate.history, f"{recipe.network}: loss while training"),
        "confusion.png": lambda: plots.confusion_matrix(test, f"{recipe.network}: {test.rows} test rows"),
    }
    if len(splits.train.features) == 2:
        units = [recipe.data.units.get(name, "") for name in splits.train.features]
        title = f"{recipe.network}: decision boundary and {test.rows} test rows"
        makers["boundary.png"] = lambda: plots.decision_boundary(predict, splits.test, units, title)
    files = {}
    for name, make in makers.items():
        try:
            files[name] = make()
        except Exception as error:
            logger.warning("%s could not be made", name, exc_info=True)
            yield Notice(level="warning", message=f"{name} could not be made and is left out: {sentence(error)}")
    return files


def accuracy_probe(recipe: Recipe, test: Dataset) -> Probe | None:
    """Return a probe that measures the test accuracy every `report_every` epochs, or None if that is 0."""
    if not recipe.report_every:
        return None
    return Probe(recipe.report_every, lambda predict: float((predict(test.x).argmax(axis=1) == test.y).mean()))


def _skill(predict: Predict, splits: Splits) -> Skill:
    frequencies = baselines.fitted(baselines.quick()[baselines.MAJORITY], splits.train)
    x, y = splits.test.x, splits.test.y
    gains = np.concatenate(
        [row_losses(frequencies(x[part]), y[part]) - row_losses(predict(x[part]), y[part]) for part in chunks(len(y))]
    )  # (N,)
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return Skill(float(gains.mean()), float(error))


def _predictions(predict: Predict, test: Dataset) -> Iterator[tuple[int, Prediction]]:
    """Yield the line and the prediction of each test row, at most the first `MAX_ROWS`."""
    some = slice(MAX_ROWS)
    probabilities = predict(test.x[some])  # (N, K)
    rows = zip(test.lines[some], test.y[some], probabilities.argmax(axis=1), probabilities.max(axis=1), strict=True)
    for line, truth, predicted, probability in rows:
        yield int(line), Prediction(test.classes[truth], test.classes[predicted], float(probability))


def _measure(predict: Predict, splits: Mapping[Split, Dataset | None]) -> dict[str, Evaluation]:
    return {
        name: evaluate_chunks(_answers(predict, rows, name), rows.classes, name)
        for name, rows in splits.items()
        if rows is not None
    }


def _answers(predict: Predict, rows: Dataset, split: Split) -> Iterator[tuple[Floats, Ints]]:
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
