"""Hold rows out from members: by folds of a small table, by a part of a large one.

It must not know which learners there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import nn

from training.data.dataset import Dataset
from training.data.holdout import HoldOut, hold_out_validation_rows
from training.data.repeats import Marks
from training.evaluation.metrics import Floats, Ints
from training.learners.folds import folds_in, validation_share
from training.learners.protocol import FoldLearner, Report, predictor

SOME_ROWS = 10_000  # up to so many rows there are folds; more have a validation part
SOME_CELLS = 1_000_000  # as have more cells: boosting looks at each of them for each split


class Unseen(Protocol):
    """Fits members and has their answers for rows that they have not seen."""

    @property
    def y(self) -> Any:
        """Return the truths of these rows, (n,), class indices or values."""

    @property
    def groups(self) -> Marks | None:
        """Return the marks of their groups, (n,); None if no groups are held out."""

    def fit(self, learner: FoldLearner, report: Report) -> tuple[nn.Module, Floats]:
        """Return the fitted module, and its answers for the rows, (n, K) or (n, 1)."""


@dataclass(frozen=True)
class Folds:
    """Every row is answered by a model that was fitted without its fold."""

    train: Dataset
    folds: list[Ints]

    @property
    def y(self) -> Any:
        """Return the truths of all rows."""
        return self.train.y

    @property
    def groups(self) -> Marks | None:
        """Return the marks of the groups of all rows."""
        return self.train.groups

    def fit(self, learner: FoldLearner, report: Report) -> tuple[nn.Module, Floats]:
        """See `Unseen.fit`."""
        fitted = learner.fit_folds(self.train, self.folds, report)
        assert fitted.held_out is not None  # by the contract of `FoldLearner.fit_folds`
        return fitted.module, fitted.held_out.answers


@dataclass(frozen=True)
class HeldOutPart:
    """Validation rows stop the training, and are answered by the model."""

    train: Dataset
    validation: Dataset

    @property
    def y(self) -> Any:
        """Return the truths of the validation rows."""
        return self.validation.y

    @property
    def groups(self) -> Marks | None:
        """Return the marks of the groups of the validation rows."""
        return self.validation.groups

    def fit(self, learner: FoldLearner, report: Report) -> tuple[nn.Module, Floats]:
        """See `Unseen.fit`."""
        module = learner.fit(self.train, self.validation, report).module
        return module, predictor(module)(self.validation.x)


def hold_out(train: Dataset, way: HoldOut, seed: int) -> Folds | HeldOutPart:
    """Return folds of these rows if they, and their cells, are few, else a validation part.

    Groups stay together. In time, the latest rows are the part however few rows there are, since a model must not be
    fitted to later rows than it answers.

    Args:
        train: the rows, N.
        way: how rows are held out.
        seed: seed of what is drawn.
    """
    if len(train) > SOME_ROWS or train.x.size > SOME_CELLS:
        fit, validation = hold_out_validation_rows(train, validation_share(len(train)), seed, way)
        return HeldOutPart(train.rows(fit), train.rows(validation))
    folds = folds_in(way, train, seed)
    if len(folds) == 1:
        return HeldOutPart(train.rows(np.setdiff1d(np.arange(len(train)), folds[0])), train.rows(folds[0]))
    return Folds(train, folds)
