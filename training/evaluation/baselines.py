"""Scikit-learn's models with their defaults, as baselines.

They must not know the network of this project.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from modelstore import Notice
from training.data.dataset import Dataset
from training.evaluation.leaders import MAX_ROWS, Rival
from training.evaluation.metrics import Floats
from training.evaluation.task import evaluation_of
from training.learners.mlp.network import logits_of
from training.learners.protocol import FAILURES, Report, predictor
from training.learners.trees.inputs import codes_of, inputs_of
from training.outcome import sentence
from training.preprocessing.encoder import fit_encoder

OF_CLASS = 2  # rows, as boosting holds some out
BOOSTED_TREES = 1000  # of all classes together: boosting of more than ten classes would take minutes

Answer = Callable[[Floats], Floats]
"""Function from cells (N, W) to probabilities, float64 (N, K), or values, float64 (N, 1)."""


def fit(model: Any, train: Dataset) -> Answer:
    """Fit one unfitted baseline, with an encoder of its own, and return its answers as a function of cells.

    Boosting takes gaps and categories as they are. At most `MAX_ROWS` training rows, evenly spread, are used, with some
    of each class: with more, KNN takes longer than the network. Of fewer rows than KNN has neighbours, all are such.

    Raises:
        ValueError: if the rows do not suffice; regression and boosting want two classes, boosting two rows of each.
    """
    task, sample = evaluation_of(train), train.thin(MAX_ROWS, OF_CLASS)
    boosts = "categorical_features" in model.get_params()
    encode = predictor(inputs_of(sample.columns) if boosts else fit_encoder(sample))
    if boosts:
        places, outputs = list(range(len(codes_of(sample.columns)))), logits_of(len(sample.classes))
        model.set_params(categorical_features=places or None, max_iter=min(model.max_iter, BOOSTED_TREES // outputs))
    if "n_neighbors" in model.get_params():
        model.set_params(n_neighbors=min(model.n_neighbors, len(sample)))
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning), threadpool_limits(1, "openmp"):
        model.fit(encode(sample.x), sample.y)
    return lambda x: task.answer(model, encode(x), train.classes)


def fit_all(train: Dataset, report: Report) -> dict[str, Rival]:
    """Fit each quick baseline on the training rows.

    One that cannot be fitted is left out with a warning, but for the naive one, which needs nothing.
    """
    task, fitted = evaluation_of(train), dict[str, Rival]()
    for name, model in task.baselines().items():
        started_s = time.monotonic()
        try:
            answer = fit(model, train)
        except FAILURES as error:
            if name == task.naive:
                raise
            report(Notice(level="warning", message=f"{name} is not on the leader board: {sentence(error)}"))
        else:
            fitted[name] = Rival(name, "baseline", answer, time.monotonic() - started_s)
    return fitted


def describe_sample(train: Dataset, test: Dataset) -> str | None:
    """Return a sentence if the baselines use fewer rows than the network, else None."""
    if max(len(train), len(test)) <= MAX_ROWS:
        return None
    return (
        f"the simple models beside it learn from {min(len(train), MAX_ROWS):,} training rows "
        f"and are measured on {min(len(test), MAX_ROWS):,} test rows"
    )
