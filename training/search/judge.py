"""Judge settings by training rows that the models have not seen.

It must not know how settings are drawn.
"""

from __future__ import annotations

import math

import numpy as np

from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.data.holdout import HoldOut
from training.errors import Diverged
from training.evaluation.cross_validation import predict_unseen
from training.evaluation.metrics import Floats
from training.evaluation.task import evaluation_of
from training.learners.auto.unseen import HeldOutPart, hold_out
from training.learners.protocol import Report
from training.learners.realmlp.fit import RealMLPLearner
from training.learners.trees.boosting import TreesLearner


class Judge:
    """Judges settings of a learner, always by the same rows: those of each fold, or a part of a large table.

    The models of `trees` and `realmlp` are stopped by the rows that judge them, as in every training of these; those
    of `mlp` are not.
    """

    def __init__(self, train: Dataset, way: HoldOut, seed: int) -> None:
        self._train, self._way, self._unseen = train, way, hold_out(train, way, seed)

    @property
    def trainings(self) -> int:
        """Return how many models are fitted for each of the settings."""
        return 1 if isinstance(self._unseen, HeldOutPart) else len(self._unseen.folds)

    def describe(self) -> str:
        """Return the rows that judge, as a phrase."""
        rows = f"{len(self._unseen.y):,}"
        return (
            f"{rows} validation rows"
            if isinstance(self._unseen, HeldOutPart)
            else f"{self.trainings} folds of {rows} rows"
        )

    def judge(self, settings: TrainingSettings, report: Report) -> float:
        """Return the log loss in nats or, of a regression, the RMSE in the unit of the target.

        Raises:
            Diverged: if a training diverges, or the loss is not finite.
        """
        if settings.learner == "mlp":
            answers = self._answer_by_networks(settings)
        else:
            learner = RealMLPLearner(settings, self._way) if settings.learner == "realmlp" else TreesLearner(settings)
            _, answers = self._unseen.fit(learner, report)
        losses = evaluation_of(self._train).row_losses(answers, self._unseen.y)
        loss = float(losses.mean())
        if not math.isfinite(loss):
            raise Diverged("the loss of held-out rows is not finite", None)
        return loss if self._train.classes else math.sqrt(loss)

    def _answer_by_networks(self, settings: TrainingSettings) -> Floats:
        """Return the answers of networks that take their own validation rows from the others, (n, K) or (n, 1)."""
        unseen, train = self._unseen, self._train
        if isinstance(unseen, HeldOutPart):
            return predict_unseen(settings, unseen.train, unseen.validation, self._way)
        answers: Floats = np.empty((len(train), max(1, len(train.classes))))
        for held in unseen.folds:
            rest = train.rows(np.setdiff1d(np.arange(len(train)), held))
            answers[held] = predict_unseen(settings, rest, train.rows(held), self._way)
        return answers
