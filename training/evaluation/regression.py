"""Measure, compare and show regressors; see `TaskEvaluation`.

It must not know any network. N is rows everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from modelstore import (
    AnyEvaluation,
    Decision,
    RegressionBaseline,
    RegressionEvaluation,
    Target,
    ValuePrediction,
    write_values,
)
from modelstore.predictions import MAX_ROWS
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.evaluation import plots
from training.evaluation.metrics import NEIGHBOURS, Answers, Floats, Pieces, Split
from training.learners.protocol import Predict, ProbedFigure


class Regression:
    """Answers are values, (N, 1), and truths values, (N,), both in the unit of the target."""

    naive = "mean"
    probed: ProbedFigure = "test_rmse"
    loss_unit = "squared error in variances of the target"

    def evaluate(
        self, pieces: Pieces, classes: tuple[str, ...], split: Split, decision: Decision | None = None
    ) -> RegressionEvaluation:
        """Measure values; `classes` is empty, and there is no decision."""
        errors, truths = zip(*((_errors(answers, y), y) for answers, y in pieces), strict=True)
        return evaluate_errors(np.concatenate(errors), np.concatenate(truths), split)

    def row_losses(self, answers: Answers, y: Floats) -> Floats:
        """Return the squared error of each row."""
        return _errors(answers, y) ** 2

    def training_loss(self, evaluation: AnyEvaluation) -> float:
        """Return the squared error in variances of these rows' truths."""
        assert isinstance(evaluation, RegressionEvaluation)
        return 1 - evaluation.r2

    def probe(self, answers: Answers, y: Floats) -> float:
        """Return the root of the mean squared error."""
        return float(np.sqrt(self.row_losses(answers, y).mean()))

    def baselines(self) -> dict[str, Any]:
        """Return KNN, ridge regression, boosted trees, and the mean of the training rows."""
        return {
            "knn": KNeighborsRegressor(NEIGHBOURS),
            "ridge": Ridge(),
            "gradient_boosting": HistGradientBoostingRegressor(random_state=0),
            self.naive: DummyRegressor(),
        }

    def network(self, seed: int) -> tuple[str, Any]:
        """Return scikit-learn's MLPRegressor on a standardised target."""
        network = MLPRegressor(random_state=seed)
        return "mlp_regressor", TransformedTargetRegressor(network, transformer=StandardScaler())

    def answer(self, model: Any, inputs: Floats, classes: tuple[str, ...]) -> Floats:
        """Return values (N, 1)."""
        values: Floats = np.asarray(model.predict(inputs), dtype=np.float64)[:, None]
        return values

    def score(self, evaluation: AnyEvaluation) -> RegressionBaseline:
        """Return RMSE and R2."""
        assert isinstance(evaluation, RegressionEvaluation)
        return RegressionBaseline(rmse=evaluation.rmse, r2=evaluation.r2)

    def predictions(self, predict: Predict, test: Dataset, decision: Decision | None = None) -> bytes:
        """Return truth and prediction of the first test rows."""
        first = slice(MAX_ROWS)
        rows = zip(
            test.lines[first].tolist(), test.y[first].tolist(), predict(test.x[first])[:, 0].tolist(), strict=True
        )
        return write_values((line, ValuePrediction(truth, predicted)) for line, truth, predicted in rows)

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
        """Return predicted against true values, and the residuals over the predicted ones, these as data, too."""
        name = f"{target.name} [{target.unit}]" if target.unit else target.name
        title = f"{recipe.network}: {measured.rows} test rows"
        return {
            "predicted.png": partial(plots.predicted_values, predict, test, name, title),
            "residuals.png": partial(plots.residuals, predict, test, name, title),
            "residuals.json": partial(plots.residuals_json, predict, test),
        }


def evaluate_errors(errors: Floats, y: Floats, split: Split) -> RegressionEvaluation:
    """Measure errors (answer minus truth) of true values, both float64 (N,), N >= 1.

    R2 of truths that do not vary is 1 without any error and 0 otherwise, as in `sklearn.metrics.r2_score`.
    """
    squares, distances = errors**2, np.abs(errors)
    total = float(((y - y.mean()) ** 2).sum())
    missed = float(squares.sum())
    return RegressionEvaluation(
        split=split,
        rows=len(y),
        rmse=float(np.sqrt(squares.mean())),
        mae=float(distances.mean()),
        r2=1 - missed / total if total else float(missed == 0),
        median_absolute_error=float(np.median(distances)),
    )


def _errors(answers: Answers, y: Floats) -> Floats:
    errors: Floats = answers[:, 0].astype(np.float64) - y
    return errors
