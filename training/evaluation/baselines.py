"""Simple scikit-learn models on the encoded rows, as baselines.

They must not know the network of this project.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from training.data.dataset import Dataset
from training.evaluation.leaders import MAX_ROWS, Rival
from training.evaluation.metrics import Floats
from training.evaluation.task import evaluation_of
from training.learners.protocol import predictor
from training.preprocessing.encoder import fit_encoder

Answer = Callable[[Floats], Floats]
"""Function from cells (N, W) to probabilities, float64 (N, K), or values, float64 (N, 1)."""


def fit(model: Any, train: Dataset) -> Answer:
    """Fit one unfitted baseline, with an encoder of its own, and return its answers as a function of cells.

    At most `MAX_ROWS` training rows, evenly spread, are used: with more, KNN takes longer than the network.
    """
    task, sample = evaluation_of(train), train.rows(_spread(len(train)))
    encode = predictor(fit_encoder(sample))
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model.fit(encode(sample.x), sample.y)
    return lambda x: task.answer(model, encode(x), train.classes)


def fit_all(train: Dataset) -> dict[str, Rival]:
    """Fit each quick baseline on the training rows."""
    return {name: _timed(name, model, train) for name, model in evaluation_of(train).baselines().items()}


def _timed(name: str, model: Any, train: Dataset) -> Rival:
    started_s = time.monotonic()
    answer = fit(model, train)
    return Rival(name, "baseline", answer, time.monotonic() - started_s)


def describe_sample(train: Dataset, test: Dataset) -> str | None:
    """Return a sentence if the baselines use fewer rows than the network, else None."""
    if max(len(train), len(test)) <= MAX_ROWS:
        return None
    return (
        f"the simple models beside it learn from {min(len(train), MAX_ROWS):,} training rows "
        f"and are measured on {min(len(test), MAX_ROWS):,} test rows"
    )


def _spread(rows: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, rows - 1, min(rows, MAX_ROWS)).astype(np.int64)
