"""Cross-validate a recipe and the baselines, on the training split only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import StratifiedKFold

from training.config.recipe import Recipe, TrainingSettings
from training.data.dataset import Dataset
from training.data.splits import hold_out_validation
from training.errors import DatasetError
from training.evaluation import baselines
from training.evaluation.metrics import Floats, evaluate
from training.evaluation.scores import FoldScore
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import predictor

FOLDS = 10


def cross_validate(recipe: Recipe, train: Dataset, fold_seed: int, folds: int = FOLDS) -> Iterator[FoldScore]:
    """Measure the recipe and each baseline on the same stratified folds; yield one score per method and fold.

    Args:
        recipe: network and settings; the seed of the network is that of the recipe.
        train: the training split; the test split is not used.
        fold_seed: seed of the shuffling into folds.
        folds: number of folds, at least 2.

    Raises:
        DatasetError: if a class has fewer rows than there are folds.
        Diverged: if a training diverges.
    """
    if np.bincount(train.y).min() < folds:
        raise DatasetError(recipe.data.file, f"expected at least {folds} training rows of each class for {folds} folds")
    splitter = StratifiedKFold(folds, shuffle=True, random_state=fold_seed)
    for fold, (fit_rows, held_out) in enumerate(splitter.split(train.x, train.y), start=1):
        part, unseen = train.rows(fit_rows), train.rows(held_out)
        yield _score(recipe.network, fold, predict_unseen(recipe.training, part, unseen), unseen)
        for name, model in baselines.thorough(recipe.training.seed).items():
            yield _score(name, fold, baselines.fit(model, part)(unseen.x), unseen)


def predict_unseen(settings: TrainingSettings, train: Dataset, unseen: Dataset) -> Floats:
    """Train a network and return its probabilities for unseen rows, shape (N, K)."""
    fit_rows, validation = hold_out_validation(train, settings.validation_fraction, settings.seed)
    fitted = MLPLearner(settings).fit(fit_rows, validation, report=lambda event: None)
    return predictor(fitted.module)(unseen.x)


def _score(method: str, fold: int, probabilities: Floats, unseen: Dataset) -> FoldScore:
    measured = evaluate(probabilities, unseen.y, unseen.classes, "validation")
    return FoldScore(method, fold, {metric.name: metric.value for metric in measured.headline})
