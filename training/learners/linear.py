"""Logistic or ridge regression on the encoded rows, with the penalty chosen by cross-validation.

It must not know the training loop of the networks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error

from modelstore import Notice
from training.config.recipe import TrainingSettings
from training.data.dataset import Dataset
from training.evaluation.metrics import Floats, Ints
from training.learners.folds import folds_of
from training.learners.mlp.network import MLP, Classifier, Regressor
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor
from training.preprocessing.encoder import fit_encoder
from training.preprocessing.scaler import StandardScaler, fit_scaler

PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001)  # of the squared coefficients of standardised inputs, strong to weak
ITERATIONS = 200


class LinearLearner:
    """Fits one linear layer; see `Learner`. Validation rows are not used."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._seed = settings.seed

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit encoder and layer; see `Learner.fit`."""
        encoder = fit_encoder(train)
        x = predictor(encoder)(train.x).astype(np.float64)  # (N, E)
        target = None if train.classes else fit_scaler(train.y[:, None])
        y = train.y if target is None else (train.y - float(target.mean)) / float(target.scale)
        folds = folds_of(train, self._seed)
        answers = [_cross_fit(x, y, len(train.classes), folds, penalty) for penalty in PENALTIES]
        losses = [_loss(found, y, len(train.classes)) for found in answers]
        best = int(np.argmin(losses))
        report(Notice(message=f"linear: penalty {PENALTIES[best]:g} of {len(PENALTIES)}, by {len(folds)} folds"))
        net = _layer(_fit(x, y, len(train.classes), PENALTIES[best]), x.shape[1], len(train.classes))
        held_out = HeldOut(_in_units(answers[best], target), train.y)
        module = Classifier(encoder, net) if target is None else Regressor(encoder, net, target)
        return Fitted(module.eval(), held_out=held_out)


def _fit(x: Floats, y: Any, classes: int, penalty: float) -> Any:
    """Return a fitted scikit-learn model; both penalise half the sum of squares against the sum of losses."""
    if not classes:
        return Ridge(alpha=penalty).fit(x, y)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return LogisticRegression(C=1 / penalty, max_iter=ITERATIONS).fit(x, y)


def _cross_fit(x: Floats, y: Any, classes: int, folds: Sequence[Ints], penalty: float) -> Floats:
    """Return answers for each row by a model that was fitted to the other folds: (N, K), or standardised (N, 1)."""
    answers = np.zeros((len(x), max(1, classes)))
    for held_out in folds:
        rest = np.setdiff1d(np.arange(len(x)), held_out)
        model = _fit(x[rest], y[rest], classes, penalty)
        if classes:
            answers[held_out[:, None], model.classes_] = model.predict_proba(x[held_out])
        else:
            answers[held_out, 0] = model.predict(x[held_out])
    return answers


def _loss(answers: Floats, y: Any, classes: int) -> float:
    if classes:
        return float(log_loss(y, answers, labels=range(classes)))
    return float(mean_squared_error(y, answers[:, 0]))


def _layer(model: Any, inputs: int, classes: int) -> MLP:
    """Return the coefficients as a network without hidden layers."""
    net = MLP(inputs, classes)
    weight, bias = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    net.layers[0].load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return net.requires_grad_(requires_grad=False)


def _in_units(answers: Floats, target: StandardScaler | None) -> Floats:
    return answers if target is None else answers * float(target.scale) + float(target.mean)
