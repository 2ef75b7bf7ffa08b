"""Cross-validate a recipe and the baselines, on the training split only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from modelstore import Notice
from modelstore.overrides import LearnerName
from training.config.learner_settings import TrainingSettings
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.data.holdout import Grouped, HoldOut, Latest, Sides
from training.data.splits import Splits, hold_out_validation
from training.errors import DatasetError
from training.evaluation import baselines
from training.evaluation.metrics import Floats
from training.evaluation.scores import FoldScore
from training.evaluation.task import evaluation_of
from training.learners.auto.progress import MemberReport
from training.learners.calibrated import fit_calibrated
from training.learners.folds import folds_of
from training.learners.protocol import FAILURES, Event, Report, predictor
from training.outcome import sentence

FOLDS = 10
FEW_FOLDS = 5  # of a learner whose one training takes the seconds of its budget
LONG: tuple[LearnerName, ...] = ("auto", "realmlp")


def folds_for(recipe: Recipe, splits: Splits, seed: int, folds: int | None = None) -> list[Sides]:
    """Return positions of the training rows of each fold to fit to, and of those to measure on.

    Rows of one group, or equal ones, are in one fold. In time, a fold is fitted to all earlier rows. There are fewer
    folds if there are not so many groups or times.

    Args:
        recipe: whose learner decides how many folds there are, unless that is given.
        splits: its data.
        seed: seed of the shuffling into folds.
        folds: number of folds, at least 2.

    Raises:
        DatasetError: if there are not even two folds.
    """
    folds = folds or (FEW_FOLDS if recipe.training.learner in LONG else FOLDS)
    train, way = splits.train, splits.way
    if isinstance(way, Latest):
        found = way.windows(train, folds)
    else:
        held = folds_of(train, seed, folds) if len(np.unique(train.together)) > 1 else []
        found = [(np.setdiff1d(np.arange(len(train)), rows), rows) for rows in held]
    if len(found) < 2:
        what = "times" if isinstance(way, Latest) else "groups" if isinstance(way, Grouped) else "rows"
        raise DatasetError(recipe.data.file, f"expected training rows of more {what} for at least two folds")
    return found


def cross_validate(recipe: Recipe, splits: Splits, folds: list[Sides], report: Report) -> Iterator[FoldScore]:
    """Measure the recipe's learner and each baseline on the same folds; yield one score per method and fold.

    A baseline that cannot be fitted to the rows of a fold has no score there, which is reported.

    Args:
        recipe: learner and settings; the seed of each training is that of the recipe.
        splits: its data; the test split is not used.
        folds: of `folds_for`.
        report: receives how far a training is.

    Raises:
        Diverged: if a training diverges.
    """
    settings, train = recipe.training, splits.train
    for fold, (fit_rows, held_out) in enumerate(folds, start=1):
        part, unseen = train.rows(fit_rows), train.rows(held_out)
        place = f"fold {fold} of {len(folds)}: {settings.learner}"
        report(Notice(message=place))
        answers = predict_unseen(settings, part, unseen, splits.way, MemberReport(report, place))
        yield _score(settings.learner, fold, answers, unseen)
        for name, model in methods(train, settings.seed).items():
            try:
                found = baselines.fit(model, part)(unseen.x)
            except FAILURES as error:
                place = f"fold {fold} of {len(folds)}: {name}"
                report(Notice(level="warning", message=f"{place} is left out: {sentence(error)}"))
            else:
                yield _score(name, fold, found, unseen)


def methods(train: Dataset, seed: int) -> dict[str, Any]:
    """Return the unfitted models that a recipe is compared with: the baselines and scikit-learn's network."""
    task = evaluation_of(train)
    return {**task.baselines(), **dict([task.network(seed)])}


def _ignore(event: Event) -> None:
    """Ignore an event."""


def predict_unseen(
    settings: TrainingSettings, train: Dataset, unseen: Dataset, way: HoldOut | None = None, report: Report = _ignore
) -> Floats:
    """Fit a model and return its answers for unseen rows: probabilities (N, K), or values (N, 1).

    Validation rows are held out from `train`, drawn by default.
    """
    fit_rows, validation = hold_out_validation(train, settings.validation_fraction, settings.seed, way)
    fitted = fit_calibrated(settings, fit_rows, validation, report, way=way)
    return predictor(fitted.module)(unseen.x)


def _score(method: str, fold: int, answers: Floats, unseen: Dataset) -> FoldScore:
    measured = evaluation_of(unseen).evaluate([(answers, unseen.y)], unseen.classes, "validation")
    return FoldScore(method, fold, {metric.name: metric.value for metric in measured.headline})
