"""What measuring a model takes, by task: one object a task, behind one protocol.

It must not know learners or the model store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from modelstore import AnyBaseline, AnyEvaluation, Decision, Target, Task
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.errors import DatasetError
from training.evaluation.classification import Classification
from training.evaluation.metrics import Answers, Floats, Ints, Pieces, Split, chunks
from training.evaluation.regression import Regression
from training.learners.protocol import Predict, ProbedFigure


class TaskEvaluation(Protocol):
    """How models of one task are measured, compared and shown.

    Attributes:
        naive: name of the baseline that ignores the features.
        probed: the figure that is reported while a network trains, a field of `EpochMetrics`.
        loss_unit: unit of the training's losses, for people.
    """

    naive: str
    probed: ProbedFigure
    loss_unit: str

    def evaluate(
        self, pieces: Pieces, classes: tuple[str, ...], split: Split, decision: Decision | None = None
    ) -> AnyEvaluation:
        """Measure answers, given in pieces with their truths; `decision` says how classes are chosen."""

    def row_losses(self, answers: Answers, y: Any) -> Floats:
        """Return the loss of each row that the gate compares, float64 (N,)."""

    def training_loss(self, evaluation: AnyEvaluation) -> float:
        """Return the loss of an evaluation in the unit of the training's losses."""

    def probe(self, answers: Answers, y: Any) -> float:
        """Return the probed figure."""

    def baselines(self) -> dict[str, Any]:
        """Return unfitted scikit-learn models by name, quick to fit, the naive one among them."""

    def network(self, seed: int) -> tuple[str, Any]:
        """Return the name and scikit-learn's unfitted network with default settings."""

    def answer(self, model: Any, inputs: Floats, classes: tuple[str, ...]) -> Floats:
        """Return the answers of a fitted scikit-learn model, float64, of the shape of a network's."""

    def score(self, evaluation: AnyEvaluation) -> AnyBaseline:
        """Return the headline figures of a baseline."""

    def predictions(self, predict: Predict, test: Dataset, decision: Decision | None = None) -> bytes:
        """Return the content of `test_predictions.csv`."""

    def plots(
        self,
        predict: Predict,
        measured: AnyEvaluation,
        test: Dataset,
        target: Target,
        recipe: Recipe,
        *,
        decision: Decision | None = None,
    ) -> Mapping[str, Callable[[], bytes]]:
        """Return functions that draw the pictures of a version, by file name."""


_EVALUATIONS: Mapping[Task, TaskEvaluation] = {"classification": Classification(), "regression": Regression()}


def evaluation_of(rows: Dataset) -> TaskEvaluation:
    """Return how models of these rows' task are measured."""
    return _EVALUATIONS[rows.task]


def measure(
    predict: Callable[[Any], Floats], rows: Dataset, split: Split, decision: Decision | None = None
) -> AnyEvaluation:
    """Measure a model on rows, chunk by chunk.

    Raises:
        DatasetError: if an answer is not finite; names the line of the first such row.
    """
    return evaluation_of(rows).evaluate(_finite_pieces(predict, rows, split), rows.classes, split, decision)


def pieces_of(predict: Callable[[Any], Floats], rows: Dataset) -> Iterator[tuple[Floats, Any]]:
    """Yield answers and truths, chunk by chunk."""
    for part in chunks(len(rows)):
        yield predict(rows.x[part]), rows.y[part]


def require_finite(answers: Floats, lines: Ints, split: str) -> None:
    """Check the answers to rows of these lines.

    Raises:
        DatasetError: if an answer is not finite; names the line of the first such row.
    """
    lost = ~np.isfinite(answers).all(axis=1)  # (n,)
    if lost.any():
        problem = "values so far outside the training range that the network overflows"
        raise DatasetError(f"{split} split", problem, line=int(lines[lost.argmax()]))


def _finite_pieces(predict: Callable[[Any], Floats], rows: Dataset, split: Split) -> Iterator[tuple[Floats, Any]]:
    seen = 0
    for answers, y in pieces_of(predict, rows):
        require_finite(answers, rows.lines[seen:], split)
        seen += len(y)
        yield answers, y


def mean_gain(ours: Callable[[Any], Floats], theirs: Callable[[Any], Floats], rows: Dataset) -> tuple[float, float]:
    """Return by how much our loss per row is smaller on average, and the standard error of that mean."""
    losses = evaluation_of(rows).row_losses
    pieces = zip(pieces_of(ours, rows), pieces_of(theirs, rows), strict=True)
    return mean_with_error(np.concatenate([losses(their, y) - losses(our, y) for (our, y), (their, _) in pieces]))


def mean_with_error(gains: Floats) -> tuple[float, float]:
    """Return the mean of gains, (N,), and its standard error, which is infinite for a single row."""
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return float(gains.mean()), float(error)
