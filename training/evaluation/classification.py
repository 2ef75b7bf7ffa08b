"""Measure, compare and show classifiers; see `TaskEvaluation`.

It must not know any network. N is rows and K classes everywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from modelstore import AnyEvaluation, Baseline, Decision, Evaluation, Prediction, Target, write_predictions
from modelstore.predictions import MAX_ROWS
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.evaluation import metrics, plots, trust_plots
from training.evaluation.decisions import choose_labels
from training.evaluation.metrics import NEIGHBOURS, Answers, Floats, Ints, Pieces, Split
from training.learners.protocol import Predict, ProbedFigure

MAX_DRAWN_ROWS = 100_000


class Classification:
    """Answers are probabilities, (N, K); truths are class indices, (N,)."""

    naive = "majority"
    probed: ProbedFigure = "test_accuracy"
    loss_unit = "nats"

    def evaluate(
        self, pieces: Pieces, classes: tuple[str, ...], split: Split, decision: Decision | None = None
    ) -> Evaluation:
        """Measure probabilities."""
        return metrics.evaluate_chunks(pieces, classes, split, decision)

    def row_losses(self, answers: Answers, y: Ints) -> Floats:
        """Return the negative log likelihood of each row in nats."""
        return metrics.row_losses(answers, y)

    def training_loss(self, evaluation: AnyEvaluation) -> float:
        """Return the log loss in nats."""
        assert isinstance(evaluation, Evaluation)
        return evaluation.log_loss

    def probe(self, answers: Answers, y: Ints) -> float:
        """Return the accuracy."""
        return float((answers.argmax(axis=1) == y).mean())

    def baselines(self) -> dict[str, Any]:
        """Return KNN, logistic regression, boosted trees, and the class frequencies of the training rows."""
        return {
            "knn": KNeighborsClassifier(NEIGHBOURS),
            "logistic_regression": LogisticRegression(max_iter=1000),
            "gradient_boosting": HistGradientBoostingClassifier(random_state=0),
            self.naive: DummyClassifier(strategy="prior"),
        }

    def network(self, seed: int) -> tuple[str, Any]:
        """Return scikit-learn's MLPClassifier."""
        return "mlp_classifier", MLPClassifier(random_state=seed)

    def answer(self, model: Any, inputs: Floats, classes: tuple[str, ...]) -> Floats:
        """Return probabilities; a class without training rows has 0."""
        probabilities = np.zeros((len(inputs), len(classes)))
        probabilities[:, model.classes_] = model.predict_proba(inputs)  # (N, K)
        return probabilities

    def score(self, evaluation: AnyEvaluation) -> Baseline:
        """Return accuracy and log loss."""
        assert isinstance(evaluation, Evaluation)
        return Baseline(accuracy=evaluation.accuracy, log_loss=evaluation.log_loss)

    def predictions(self, predict: Predict, test: Dataset, decision: Decision | None = None) -> bytes:
        """Return truth, chosen class and its probability of the first test rows."""
        return write_predictions(_predictions(predict, test, decision))

    def plots(
        self,
        predict: Predict,
        measured: AnyEvaluation,
        test: Dataset,
        target: Target,
        recipe: Recipe,
        *,
        decision: Decision | None = None,
    ) -> dict[str, Callable[[], bytes]]:
        """Return confusion matrix, reliability (as data, too), thresholds of two classes, boundary of two numbers."""
        assert isinstance(measured, Evaluation)
        shown = f"{measured.rows} test rows"
        some = test.thin(MAX_DRAWN_ROWS)
        answers = functools.cache(lambda: predict(some.x))
        made: dict[str, Callable[[], bytes]] = {
            "confusion.png": partial(plots.confusion_matrix, measured, f"{recipe.network}: {shown}"),
            "reliability.png": lambda: trust_plots.reliability(answers(), some.y, f"{recipe.network}: {shown}"),
            "reliability.json": lambda: trust_plots.reliability_json(answers(), some.y),
            "abstaining.png": lambda: trust_plots.abstaining(answers(), some.y, f"{recipe.network}: {shown}"),
        }
        if len(test.classes) == 2 and len(np.unique(some.y)) == 2:
            title = f"{recipe.network}: choosing a class, {shown}"
            made["thresholds.png"] = lambda: trust_plots.thresholds(
                answers()[:, 1], some.y, test.classes[1], title, decision
            )
        if [column.type for column in test.columns] == ["numeric", "numeric"]:
            units = [recipe.data.units.get(name, "") for name in test.features]
            name = f"{recipe.network}: decision boundary and {shown}"
            made["boundary.png"] = partial(plots.decision_boundary, predict, test, units, name, decision)
        return made


def _predictions(predict: Predict, test: Dataset, decision: Decision | None) -> Iterator[tuple[int, Prediction]]:
    """Yield the line and the prediction of each test row, at most the first `MAX_ROWS`."""
    first = slice(MAX_ROWS)
    probabilities = predict(test.x[first])  # (N, K)
    chosen = choose_labels(probabilities, decision)
    likely = probabilities[np.arange(len(chosen)), chosen]
    for line, truth, predicted, probability in zip(test.lines[first], test.y[first], chosen, likely, strict=True):
        yield int(line), Prediction(test.classes[truth], test.classes[predicted], float(probability))
