"""Make a fold learner of any learner: one model for each fold, stopped by its held-out rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data.dataset import Dataset
from training.evaluation.metrics import Ints
from training.learners.auto.blend import Blend
from training.learners.protocol import Fitted, HeldOut, Learner, Probe, Report, predictor


class Bagged:
    """Fits a learner once for each fold and averages the answers; see `FoldLearner`."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit the learner once; see `Learner.fit`."""
        return self._learner.fit(train, validation, report, probe)

    def fit_folds(self, train: Dataset, folds: Sequence[Ints], report: Report) -> Fitted:
        """Fit one model for each fold; see `FoldLearner.fit_folds`."""
        modules, answers = [], np.zeros((len(train), max(1, len(train.classes))), dtype=np.float32)
        for held_out in folds:
            rest = np.setdiff1d(np.arange(len(train)), held_out)
            module = self._learner.fit(train.rows(rest), train.rows(held_out), report).module
            answers[held_out] = predictor(module)(train.x[held_out])
            modules.append(module)
        return Fitted(Blend(modules, [1 / len(folds)] * len(folds)).eval(), held_out=HeldOut(answers, train.y))
