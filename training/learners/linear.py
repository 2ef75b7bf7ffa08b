"""Logistic or ridge regression, with the penalty chosen on held-out rows.

It must not know the training loop of the networks.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from scipy.linalg import solve
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mean_squared_error
from torch import nn

from modelstore import Notice
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.data.holdout import HoldOut, Shuffled
from training.evaluation.metrics import Floats, Ints
from training.learners.folds import folds_in
from training.learners.mlp.network import MLP, Classifier, Regressor
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor
from training.preprocessing.encoder import fit_encoder
from training.preprocessing.scaler import fit_scaler

PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001)  # of the squared coefficients of standardised inputs, strong to weak
ITERATIONS = 200

T = TypeVar("T")


class LinearLearner:
    """Fits one linear layer; see `FoldLearner`.

    The penalty is chosen on validation rows, or without them by folds, in time by the latest rows.
    """

    def __init__(self, settings: TrainingSettings, way: HoldOut | None = None) -> None:
        """Create the learner; `way` is how rows are held out to choose the penalty by, by default drawn."""
        self._seed, self._way = settings.seed, way or Shuffled()

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit encoder and layer; see `Learner.fit`."""
        if validation is None:
            return self.fit_folds(train, folds_in(self._way, train, self._seed), report)
        inputs = _Inputs(train)
        x, y = inputs.of(validation), inputs.target_of(validation)
        fit = _make_fit(inputs.x, inputs.y, inputs.classes)

        def try_penalty(penalty: float) -> tuple[float, Any]:
            """Return the loss on the validation rows, and the model."""
            model = fit(penalty)
            return _loss(_answers(model, x, inputs.classes), y, inputs.classes), model

        penalty, model = _choose(try_penalty)
        report(Notice(message=f"linear: penalty {penalty:g} of {len(PENALTIES)}, by the validation rows"))
        return Fitted(inputs.module(model))

    def fit_folds(self, train: Dataset, folds: Sequence[Ints], report: Report) -> Fitted:
        """Choose the penalty by these folds and fit one layer with it to all rows; see `FoldLearner.fit_folds`.

        Rows that are in no fold are in the rest of each, and are not answered.
        """
        inputs, places = _Inputs(train), np.sort(np.concatenate(folds))
        rests = [np.setdiff1d(np.arange(len(train)), held_out) for held_out in folds]
        fits = [_make_fit(inputs.x[rest], inputs.y[rest], inputs.classes) for rest in rests]

        def try_penalty(penalty: float) -> tuple[float, Floats]:
            """Return the loss on the rows of the folds, and the answers for them by the models of the other folds."""
            answers = np.zeros((len(train), max(1, inputs.classes)))
            for held_out, fit in zip(folds, fits, strict=True):
                answers[held_out] = _answers(fit(penalty), inputs.x[held_out], inputs.classes)
            return _loss(answers[places], inputs.y[places], inputs.classes), answers[places]

        penalty, answers = _choose(try_penalty)
        judged_by = f"{len(folds)} folds" if len(folds) > 1 else f"the {len(places)} latest rows"
        report(Notice(message=f"linear: penalty {penalty:g} of {len(PENALTIES)}, by {judged_by}"))
        module = inputs.module(_make_fit(inputs.x, inputs.y, inputs.classes)(penalty))
        return Fitted(module, held_out=HeldOut.at(inputs.in_units(answers), train, places))


class _Inputs:
    """The encoded rows, (N, E), their classes or standardised values, (N,), and what makes a module of a model."""

    def __init__(self, train: Dataset) -> None:
        self.classes = len(train.classes)
        self._encoder = fit_encoder(train)
        self._target = None if train.classes else fit_scaler(train.y[:, None])
        self.x, self.y = self.of(train), self.target_of(train)

    def of(self, rows: Dataset) -> Floats:
        """Return other rows, encoded likewise."""
        return predictor(self._encoder)(rows.x).astype(np.float64)

    def target_of(self, rows: Dataset) -> Any:
        """Return their classes or standardised values."""
        return rows.y if self._target is None else (rows.y - float(self._target.mean)) / float(self._target.scale)

    def in_units(self, answers: Floats) -> Floats:
        """Return probabilities unchanged, and standardised values in the unit of the target."""
        return answers if self._target is None else answers * float(self._target.scale) + float(self._target.mean)

    def module(self, model: Any) -> nn.Module:
        """Return the module that is published for a fitted scikit-learn model."""
        weight, bias = _coefficients(model, self.y, self.classes)
        net = MLP(self.x.shape[1], self.classes).requires_grad_(requires_grad=False)
        net.layers[0].load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
        module = Classifier(self._encoder, net) if self._target is None else Regressor(self._encoder, net, self._target)
        return module.eval()


class _OneClass(NamedTuple):
    """A model of rows of one class, with scikit-learn's names: class (1,), coefficients (1, E) and intercept (1,)."""

    classes_: Ints
    coef_: Floats
    intercept_: Floats

    def predict_proba(self, x: Floats) -> Floats:
        """Return that every row is of this class, (N, 1)."""
        return np.ones((len(x), 1))


class _Layer(NamedTuple):
    """A fitted ridge regression, with scikit-learn's names: coefficients (E,) and what is added."""

    coef_: Floats
    intercept_: float


def _choose(try_penalty: Callable[[float], tuple[float, T]]) -> tuple[float, T]:
    """Return the penalty with the smallest loss, and what `try_penalty` found with it.

    Penalties are tried from strong to weak, up to the first that is no better than the one before.
    """
    best_loss, penalty, best = math.inf, PENALTIES[0], None
    for weaker in PENALTIES:
        loss, found = try_penalty(weaker)
        if best is not None and loss >= best_loss:
            break
        best_loss, penalty, best = loss, weaker, found
    assert best is not None
    return penalty, best


def _make_fit(x: Floats, y: Any, classes: int) -> Callable[[float], Any]:
    """Return a function that fits a model with a given penalty.

    The penalty weights half the sum of the squared coefficients against the sum of the losses.
    """
    if not classes:
        return _make_ridge_fit(x, y)
    present = np.unique(y)
    if len(present) == 1:
        return lambda penalty: _OneClass(present, np.zeros((1, x.shape[1])), np.zeros(1))

    def fit(penalty: float) -> Any:
        """Fit a logistic regression."""
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            return LogisticRegression(C=1 / penalty, max_iter=ITERATIONS).fit(x, y)

    return fit


def _make_ridge_fit(x: Floats, y: Floats) -> Callable[[float], _Layer]:
    """Return the function from a penalty to a ridge regression; the products of the columns are summed once for all.

    Source: Hoerl & Kennard, "Ridge Regression", Technometrics 12(1), 1970, equation 2.1, of centred columns.
    """
    mean, level = x.mean(axis=0), float(y.mean())
    centred = x - mean
    products, moments = centred.T @ centred, centred.T @ (y - level)  # (E, E), (E,)

    def fit(penalty: float) -> _Layer:
        """Fit a ridge regression."""
        coefficients = solve(products + penalty * np.eye(len(products)), moments, assume_a="pos")
        return _Layer(coefficients, level - float(mean @ coefficients))

    return fit


def _answers(model: Any, x: Floats, classes: int) -> Floats:
    """Return probabilities (N, K), 0 for a class without training rows, or standardised values (N, 1)."""
    answers = np.zeros((len(x), max(1, classes)))
    if classes:
        answers[:, model.classes_] = model.predict_proba(x)
    else:
        answers[:, 0] = x @ model.coef_ + model.intercept_
    return answers


def _loss(answers: Floats, y: Any, classes: int) -> float:
    if classes:
        return float(log_loss(y, answers, labels=range(classes)))
    return float(mean_squared_error(y, answers[:, 0]))


def _coefficients(model: Any, y: Ints, classes: int) -> tuple[Floats, Floats]:
    """Return weights, (O, E), and biases, (O,), of a layer for all classes; of two, the second has the one output.

    A class without rows is as rare beside the first of the others as half a row would make it.
    """
    weight, bias = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    if not classes or len(present := model.classes_) == classes:
        return weight, bias
    if len(present) == 2:
        weight, bias = np.concatenate([np.zeros_like(weight), weight]), np.append(0.0, bias)
    every, level = np.repeat(weight[:1], classes, axis=0), np.repeat(bias[:1], classes)
    level += math.log(0.5 / np.count_nonzero(y == present[0]))
    every[present], level[present] = weight, bias
    return (every, level) if classes > 2 else (every[1:] - every[:1], level[1:] - level[:1])
