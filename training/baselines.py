"""Simple classifiers to see what a network is worth: scikit-learn's, on standardised inputs; it must not know ours."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelstore import Baseline
from training.datasets import Dataset
from training.evaluate import evaluate

MAJORITY = "majority"
NEIGHBOURS = 5
MAX_ROWS = 20_000


def quick() -> dict[str, Any]:
    """Return the unfitted baselines that every training is compared with, by name; about 10 ms each."""
    return {
        "knn": make_pipeline(StandardScaler(), KNeighborsClassifier(NEIGHBOURS)),
        "logistic_regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        MAJORITY: DummyClassifier(strategy="prior"),
    }


def thorough(seed: int) -> dict[str, Any]:
    """Return the quick baselines and scikit-learn's own network with its default settings."""
    return {**quick(), "mlp_classifier": make_pipeline(StandardScaler(), MLPClassifier(random_state=seed))}


def probabilities(model: Any, train: Dataset, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Fit one unfitted baseline and return its probabilities, shape (N, K), for raw features (N, F).

    At most `MAX_ROWS` training rows, evenly spread, are used: beyond that KNN takes longer than the network.
    """
    index = np.linspace(0, len(train) - 1, min(len(train), MAX_ROWS)).astype(np.int64)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model.fit(train.x[index], train.y[index])
    answer = np.zeros((len(x), len(train.classes)))
    answer[:, model.classes_] = model.predict_proba(x)  # (N, K)
    return answer


def score(models: Mapping[str, Any], train: Dataset, test: Dataset) -> dict[str, Baseline]:
    """Fit each baseline on the training rows and measure it on the test rows."""
    scores = {}
    for name, model in models.items():
        measured = evaluate(probabilities(model, train, test.x), test.y, test.classes, "test")
        scores[name] = Baseline(accuracy=measured.accuracy, log_loss=measured.log_loss)
    return scores
