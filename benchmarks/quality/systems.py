"""The systems that are compared, each on the columns and rows that our learners get."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks.quality import libraries
from modelstore.overrides import LearnerName
from training.artifact import torchscript
from training.config.learner_settings import TrainingSettings
from training.data.columns import cells_of
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.evaluation.task import evaluation_of, measure
from training.learners.calibrated import fit_calibrated
from training.learners.protocol import Event
from training.learners.trees.inputs import codes_of, inputs_of

OURS: tuple[LearnerName, ...] = ("auto", "linear", "mlp", "realmlp", "trees")
IMAGES: LearnerName = "cnn"  # learns images alone, so it is measured only where a published table has them
AUTOGLUON = "autogluon"
MOST_CODES = 255  # of a category of scikit-learn's boosting
TRIALS, TRIAL_FRACTION = 12, 0.2

Answer = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]
"""Function from cells (N, W) to probabilities (N, K), or values (N, 1)."""


@dataclass(frozen=True)
class Work:
    """What a system gets.

    Attributes:
        splits: the rows; it may not look at the test rows.
        settings: of our learner; only the seed for the others.
        threads: number of threads that it may use.
    """

    splits: Splits
    settings: TrainingSettings
    threads: int = 1


def fit_ours(work: Work) -> Answer:
    """Fit the learner that the settings name, as a training does, and return the program that would be published."""
    torch.set_num_threads(1)
    splits, settings = work.splits, work.settings
    train, validation = splits.hold_out(settings.validation_fraction, settings.seed)
    with threadpool_limits(1, user_api="blas"):
        fitted = fit_calibrated(settings, train, validation, _ignore, way=splits.way)
    return torchscript.load(torchscript.to_torchscript(fitted.module, splits.train.x))


def fit_linear(work: Work) -> Answer:
    """Fit logistic or ridge regression of scikit-learn on one-hot columns."""
    train = work.splits.train
    texts = _texts(train)
    numbers = [cell for cell in range(train.x.shape[1]) if cell not in texts]
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), texts),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
    )
    model = LogisticRegression(max_iter=2000) if train.classes else RidgeCV(np.logspace(-3, 3, 7))
    return _fit(make_pipeline(encoded, model), train)


def fit_boosting(work: Work) -> Answer:
    """Fit scikit-learn's histogram gradient boosting with its defaults."""
    return _fit(_boosting(work.splits.train), work.splits.train)


def fit_tuned_boosting(work: Work) -> Answer:
    """Fit the best of some drawn settings of boosting, chosen on a part of the training rows, on all of them."""
    train = work.splits.train
    fit, chosen_on = work.splits.way.hold_out(train, TRIAL_FRACTION, "validation", work.settings.seed)
    draw = np.random.default_rng(work.settings.seed)
    drawn = [{}, *(_draw_settings(draw) for _ in range(TRIALS - 1))]
    losses = [_loss(_fit(_boosting(train, **settings), train.rows(fit)), train.rows(chosen_on)) for settings in drawn]
    return _fit(_boosting(train, **drawn[int(np.argmin(losses))]), train)


def fit_library(work: Work, name: str) -> Answer:
    """Fit a boosting library with its defaults, categories and gaps as it takes them."""
    train = work.splits.train
    encode, codes = inputs_of(train.columns), codes_of(train.columns)
    make, to_frame = libraries.MODELS[name], libraries.FRAMES[name]
    model = make(train.task, work.settings.seed, work.threads, len(codes))

    def inputs(x: npt.NDArray[np.float32]) -> Any:
        with torch.inference_mode():
            return to_frame(encode(torch.from_numpy(np.ascontiguousarray(x))).numpy(), codes)

    model.fit(inputs(train.x), train.y)
    task = evaluation_of(train)
    return lambda x: task.answer(model, inputs(x), train.classes)


FITS: Mapping[str, Callable[[Work], Answer]] = {
    **dict.fromkeys((*OURS, IMAGES), fit_ours),
    "sklearn-linear": fit_linear,
    "boosting": fit_boosting,
    "tuned-boosting": fit_tuned_boosting,
    **{name: lambda work, name=name: fit_library(work, name) for name in libraries.MODELS},  # type: ignore[misc]
}
"""The systems that fit in this process, by name."""

NAMES = (*(name for name in FITS if name != IMAGES), AUTOGLUON)


def missing(name: str, autogluon: str | None) -> str:
    """Return why a system cannot be measured here; empty if it can."""
    if name == AUTOGLUON:
        return "" if autogluon else "name the Python of an environment that has it by --autogluon"
    if name in libraries.MODELS and importlib.util.find_spec(name) is None:
        return "not installed; it is in the extra bench"
    return ""


def _fit(model: Pipeline, train: Dataset) -> Answer:
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model.fit(train.x.astype(np.float64), train.y)
    task = evaluation_of(train)
    return lambda x: task.answer(model, x.astype(np.float64), train.classes)


def _boosting(train: Dataset, **settings: Any) -> Pipeline:
    """Return unfitted boosting; columns of more codes than it takes as categories are numbers to it."""
    few = [cell for cell in _texts(train) if np.nanmax(train.x[:, cell], initial=0) < MOST_CODES]
    kind = HistGradientBoostingClassifier if train.classes else HistGradientBoostingRegressor
    return make_pipeline(kind(categorical_features=few or None, random_state=0, **settings))


def _draw_settings(draw: np.random.Generator) -> dict[str, Any]:
    """Return settings of boosting; ranges as people search them."""
    return {
        "learning_rate": float(10 ** draw.uniform(-2, -0.5)),
        "max_iter": int(10 ** draw.uniform(1.5, 2.7)),
        "max_leaf_nodes": int(draw.integers(4, 64)),
        "min_samples_leaf": int(draw.integers(2, 60)),
        "l2_regularization": float(10 ** draw.uniform(-3, 1)),
        "max_features": float(draw.choice([0.5, 1.0])),
    }


def _loss(answer: Answer, rows: Dataset) -> float:
    return evaluation_of(rows).training_loss(measure(answer, rows, "validation"))


def _texts(train: Dataset) -> list[int]:
    cells = cells_of(train.columns)
    return [at.start for column, at in zip(train.columns, cells, strict=True) if column.type == "categorical"]


def _ignore(event: Event) -> None:
    """Take the place of a report: what a training says is not shown."""
