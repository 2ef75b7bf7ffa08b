"""Cross-validate a recipe and the baselines, on the training split only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.config.learner_settings import TrainingSettings
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.data.splits import hold_out_validation
from training.evaluation import baselines
from training.evaluation.metrics import Floats
from training.evaluation.scores import FoldScore
from training.evaluation.task import evaluation_of
from training.learners.calibrated import fit_calibrated
from training.learners.protocol import predictor

FOLDS = 10


def cross_validate(recipe: Recipe, train: Dataset, fold_seed: int, folds: int = FOLDS) -> Iterator[FoldScore]:
    """Measure the recipe and each baseline on the same folds, stratified by class; yield one score per method and fold.

    Args:
        recipe: network and settings; the seed of the network is that of the recipe.
        train: the training split; the test split is not used.
        fold_seed: seed of the shuffling into folds.
        folds: number of folds, at least 2.

    Raises:
        DatasetError: if there are fewer rows, or rows of a class, than folds.
        Diverged: if a training diverges.
    """
    task = evaluation_of(train)
    for fold, (fit_rows, held_out) in enumerate(task.folds(train, folds, fold_seed, recipe.data.file), start=1):
        part, unseen = train.rows(fit_rows), train.rows(held_out)
        yield _score(recipe.network, fold, predict_unseen(recipe.training, part, unseen), unseen)
        for name, model in methods(train, recipe.training.seed).items():
            yield _score(name, fold, baselines.fit(model, part)(unseen.x), unseen)


def methods(train: Dataset, seed: int) -> dict[str, Any]:
    """Return the unfitted models that a recipe is compared with: the baselines and scikit-learn's network."""
    task = evaluation_of(train)
    return {**task.baselines(), **dict([task.network(seed)])}


def predict_unseen(settings: TrainingSettings, train: Dataset, unseen: Dataset) -> Floats:
    """Fit a model and return its answers for unseen rows: probabilities (N, K), or values (N, 1)."""
    fit_rows, validation = hold_out_validation(train, settings.validation_fraction, settings.seed)
    fitted = fit_calibrated(settings, fit_rows, validation, report=lambda event: None)
    return predictor(fitted.module)(unseen.x)


def _score(method: str, fold: int, answers: Floats, unseen: Dataset) -> FoldScore:
    measured = evaluation_of(unseen).evaluate([(answers, unseen.y)], unseen.classes, "validation")
    return FoldScore(method, fold, {metric.name: metric.value for metric in measured.headline})
