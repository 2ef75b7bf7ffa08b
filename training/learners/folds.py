"""Folds of training rows: each is answered by a model that has not seen it.

It must not know learners.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from training.data.dataset import Dataset
from training.data.holdout import HoldOut, Latest
from training.evaluation.metrics import Ints

FOLDS = 5
FRACTION, MOST_VALIDATION_ROWS = 0.15, 20_000  # of a validation part in place of folds


def folds_of(train: Dataset, seed: int, folds: int = FOLDS) -> list[Ints]:
    """Return the held-out positions of each fold; every row is in one, rows of one group, or equal ones, in the same.

    Classes have about the same share in each fold. With fewer groups than folds, there are as many folds as groups; of
    one group, only equal rows are in the same fold.

    Args:
        train: the rows, N.
        seed: seed of the shuffling.
        folds: number of folds, at least 2.
    """
    marks = train.marks if train.is_one_group else train.together
    _, first, group = np.unique(marks, return_index=True, return_inverse=True)
    folds = min(folds, len(first))
    y = train.y[first]
    if train.classes:
        enough = np.bincount(y, minlength=len(train.classes)).max() >= folds
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed) if enough else None
    else:
        splitter = None
    splitter = splitter or KFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of a class with fewer rows than folds
        return [np.flatnonzero(np.isin(group, held)) for _, held in splitter.split(first[:, None], y)]


def folds_in(way: HoldOut, train: Dataset, seed: int, folds: int = FOLDS) -> list[Ints]:
    """Return folds as `folds_of`; in time one fold, of the latest rows, if there are any that can be held out.

    A model must not be fitted to later rows than it answers.
    """
    if isinstance(way, Latest):
        rest, latest = way.hold_out(train, validation_share(len(train)), "validation")
        if len(rest) and len(latest):
            return [latest]
    return folds_of(train, seed, folds)


def validation_share(rows: int) -> float:
    """Return the share of so many rows that a validation part has."""
    return min(FRACTION, MOST_VALIDATION_ROWS / rows)
