"""Extra-randomised trees: scikit-learn's, deep and cheap, and different from boosted ones.

Source: Geurts, Ernst & Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006.
"""

from __future__ import annotations

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
from training.learners.folds import folds_of
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor
from training.learners.trees.choice import Part, fit_best, parts_of
from training.learners.trees.inputs import inputs_of
from training.learners.trees.model import TreeModel
from training.learners.trees.scikit import read_forest
from training.learners.trees.walker import Walker

TREES = 100
MOST_DEPTH = 14
FOLD_ROWS = 20_000  # with at most so many training rows, folds choose the setting
PRIOR_SHARE = 0.001  # of the classes' frequencies in the answer


class Setting(NamedTuple):
    """What is varied of `ExtraTrees...`; None is its default: all columns for a value, else their square root."""

    min_samples_leaf: int
    max_features: float | None


SETTINGS = (Setting(2, 0.5), Setting(1, None), Setting(5, None))


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
        self._seed = settings.seed

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit the trees; see `Learner.fit`."""
        if validation is not None or len(train) > FOLD_ROWS:
            return Fitted(self._grow(train, SETTINGS[0]))
        return self.fit_folds(train, folds_of(train, self._seed), report)

    def fit_folds(self, train: Dataset, folds: Sequence[Ints], report: Report) -> Fitted:
        """Fit all rows, and forests without each fold's rows, which answer them; see `FoldLearner.fit_folds`."""
        parts, losses = parts_of(len(train), folds), evaluation_of(train).row_losses

        def fit(setting: Setting, part: Part) -> _Forest:
            """Fit a forest without the held rows of a part."""
            module = self._grow(train.rows(part.rest), setting)
            answers = predictor(module)(train.x[part.held])
            return _Forest(module, answers, float(losses(answers, train.y[part.held]).sum()))

        setting, forests = fit_best("extra trees", SETTINGS, parts, fit, report)
        places = np.concatenate([part.held for part in parts])
        order = np.argsort(places)
        answers = np.concatenate([forest.answers for forest in forests])[order]
        return Fitted(self._grow(train, setting), held_out=HeldOut(answers, train.y[places[order]]))

    def _grow(self, train: Dataset, setting: Setting) -> TreeModel:
        inputs, classes = inputs_of(train.columns), len(train.classes)
        x = predictor(inputs)(train.x)
        kind = ExtraTreesClassifier if classes else ExtraTreesRegressor
        options = {name: value for name, value in setting._asdict().items() if value is not None}
        forest = kind(TREES, max_depth=MOST_DEPTH, random_state=self._seed, **options).fit(x, train.y)
        trees, base = read_forest(forest, max(1, classes)), np.zeros(1)
        if classes:  # the trees may agree that a class is impossible
            base = PRIOR_SHARE * (np.bincount(train.y, minlength=classes) + 1) / (len(train) + classes)
            trees = [tree._replace(values=tree.values * (1 - PRIOR_SHARE)) for tree in trees]
        return TreeModel(inputs, Walker(trees, base, x.shape[1]), nn.Identity()).eval()
