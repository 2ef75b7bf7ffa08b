"""Extra-randomised trees: scikit-learn's, deep and cheap, and different from boosted ones.

Source: Geurts, Ernst & Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from torch import nn

from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.evaluation.metrics import Ints
from training.evaluation.task import evaluation_of
from training.learners.budget import default_budget_s
from training.learners.folds import FOLDS, folds_of
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor
from training.learners.trees.choice import Part, fit_best, parts_of, trials_of
from training.learners.trees.inputs import inputs_of
from training.learners.trees.model import TreeModel
from training.learners.trees.scikit import read_forest
from training.learners.trees.walker import Walker

TREES = 100
MOST_DEPTH = 14
LEAST_TREES = 20
TESTED_S, ROW_S, ANSWER_S = 1e-7, 2e-7, 1e-6  # of a row in a tree, for each column that is tested, and for its answer
FOLD_ROWS = 20_000  # with at most so many training rows, folds choose the setting
PRIOR_SHARE = 0.001  # of the classes' frequencies in the answer


class ExtraTreesSetting(NamedTuple):
    """What is varied of `ExtraTrees...`; None is its default: all columns for a value, else their square root."""

    min_samples_leaf: int
    max_features: float | None

    def tree_s(self, rows: int, columns: int, *, is_classes: bool) -> float:
        """Return the seconds of one tree and its answers on one core of the machine where the costs were measured."""
        tested = columns * self.max_features if self.max_features else math.sqrt(columns) if is_classes else columns
        return rows * (tested * TESTED_S + ROW_S) + rows / FOLDS * ANSWER_S


SETTINGS = (ExtraTreesSetting(2, 0.5), ExtraTreesSetting(1, None), ExtraTreesSetting(5, None))


class _Forest(NamedTuple):
    """A forest, its answers for the held rows, and the sum of their losses."""

    module: TreeModel
    answers: npt.NDArray[np.float32]
    loss: float


class ExtraTreesLearner:
    """Fits extra-randomised trees to all training rows; see `Learner` and `FoldLearner`. Validation rows are not used.

    Without them, and with few rows, forests on folds choose the setting and answer the rows that they have not seen.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self._seed, self._budget_s = settings.seed, settings.budget_s

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit the trees; see `Learner.fit`."""
        if validation is not None or len(train) > FOLD_ROWS:
            _, trees = self._plan(train, [])
            return Fitted(self._grow(train, SETTINGS[0], trees))
        return self.fit_folds(train, folds_of(train, self._seed), report)

    def fit_folds(self, train: Dataset, folds: Sequence[Ints], report: Report) -> Fitted:
        """Fit all rows, and forests without each fold's rows, which answer them; see `FoldLearner.fit_folds`."""
        parts, losses = parts_of(len(train), folds), evaluation_of(train).row_losses
        settings, trees = self._plan(train, parts)

        def fit(setting: ExtraTreesSetting, part: Part) -> _Forest:
            """Fit a forest without the held rows of a part."""
            module = self._grow(train.rows(part.rest), setting, trees)
            answers = predictor(module)(train.x[part.held])
            return _Forest(module, answers, float(losses(answers, train.y[part.held]).sum()))

        setting, forests = fit_best("extra trees", settings, parts, fit, report)
        places = np.concatenate([part.held for part in parts])
        order = np.argsort(places)
        answers = np.concatenate([forest.answers for forest in forests])[order]
        return Fitted(self._grow(train, setting, trees), held_out=HeldOut.at(answers, train, places[order]))

    def _plan(self, train: Dataset, parts: Sequence[Part]) -> tuple[Sequence[ExtraTreesSetting], int]:
        """Return what the budget allows: all settings or one, and the number of trees of a forest."""
        budget_s = self._budget_s or default_budget_s(len(train))
        rows, columns = len(train), inputs_of(train.columns).width
        trials = len(trials_of(parts)) if parts else 0
        for settings in (SETTINGS, SETTINGS[:1]):
            trees_s = [setting.tree_s(rows, columns, is_classes=bool(train.classes)) for setting in settings]
            total_s = trials * sum(trees_s) + (len(parts) - trials + 1) * max(trees_s)  # and one for all rows
            if TREES * total_s <= budget_s:
                return settings, TREES
        return settings, max(LEAST_TREES, int(budget_s / total_s))

    def _grow(self, train: Dataset, setting: ExtraTreesSetting, trees: int) -> TreeModel:
        inputs, classes = inputs_of(train.columns), len(train.classes)
        x = predictor(inputs)(train.x)
        kind = ExtraTreesClassifier if classes else ExtraTreesRegressor
        options = {name: value for name, value in setting._asdict().items() if value is not None}
        forest = kind(trees, max_depth=MOST_DEPTH, random_state=self._seed, **options).fit(x, train.y)
        grown, base = read_forest(forest, max(1, classes)), np.zeros(1)
        if classes:  # the trees may agree that a class is impossible
            base = PRIOR_SHARE * (np.bincount(train.y, minlength=classes) + 1) / (len(train) + classes)
            grown = [tree._replace(values=tree.values * (1 - PRIOR_SHARE)) for tree in grown]
        return TreeModel(inputs, Walker(grown, base, x.shape[1]), nn.Identity()).eval()
