"""Baselines for comparison: simple scikit-learn classifiers on the encoded rows, as the network sees them.

They must not know the network of this project.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from modelstore import Baseline
from training.data.dataset import Dataset
from training.evaluation.metrics import chunks, evaluate_chunks
from training.learners.protocol import predictor
from training.preprocessing.encoder import fit_encoder

MAJORITY = "majority"
NEIGHBOURS = 5
MAX_ROWS = 20_000

Probabilities = Callable[[npt.NDArray[np.floating[Any]]], npt.NDArray[np.float64]]
"""Function from cells (N, W) to probabilities, float64 (N, K)."""


def quick() -> dict[str, Any]:
    """Return the unfitted baselines with which every training is compared, by name; fitting takes about 10 ms each."""
    return {
        "knn": KNeighborsClassifier(NEIGHBOURS),
        "logistic_regression": LogisticRegression(max_iter=1000),
        MAJORITY: DummyClassifier(strategy="prior"),
    }


def thorough(seed: int) -> dict[str, Any]:
    """Return the quick baselines and scikit-learn's MLPClassifier with default settings."""
    return {**quick(), "mlp_classifier": MLPClassifier(random_state=seed)}


def fit(model: Any, train: Dataset) -> Probabilities:
    """Fit one unfitted baseline, with an encoder of its own, and return its probabilities as a function of cells.

    At most `MAX_ROWS` training rows, evenly spread, are used: with more, KNN takes longer than the network.
    """
    sample = train.rows(_spread(len(train)))
    encode = predictor(fit_encoder(sample))
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model.fit(encode(sample.x), sample.y)

    def predict(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        probabilities = np.zeros((len(x), len(train.classes)))
        probabilities[:, model.classes_] = model.predict_proba(encode(x))  # (N, K)
        return probabilities

    return predict


def score(models: Mapping[str, Any], train: Dataset, test: Dataset) -> dict[str, Baseline]:
    """Fit each baseline on the training rows and measure it on the test rows.

    The majority baseline is measured on all of them, because the gate uses it; the others on at most `MAX_ROWS`.
    """
    sample = test.rows(_spread(len(test)))
    scores = {}
    for name, model in models.items():
        predict, rows = fit(model, train), test if name == MAJORITY else sample
        pieces = ((predict(rows.x[part]), rows.y[part]) for part in chunks(len(rows)))
        measured = evaluate_chunks(pieces, rows.classes, "test")
        scores[name] = Baseline(accuracy=measured.accuracy, log_loss=measured.log_loss)
    return scores


def describe_sample(train: Dataset, test: Dataset) -> str | None:
    """Return a sentence if the baselines use fewer rows than the network, else None."""
    if max(len(train), len(test)) <= MAX_ROWS:
        return None
    return (
        f"the simple classifiers beside it learn from {min(len(train), MAX_ROWS):,} training rows "
        f"and are measured on {min(len(test), MAX_ROWS):,} test rows"
    )


def _spread(rows: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, rows - 1, min(rows, MAX_ROWS)).astype(np.int64)
