"""Folds of training rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.training.samples import clouds, slope
from training.learners.folds import folds_of


def test_every_row_is_in_one_fold_and_classes_have_their_share() -> None:
    rows = clouds(100, classes=2)

    folds = folds_of(rows, seed=0)

    assert sorted(np.concatenate(folds).tolist()) == list(range(100))
    assert [np.bincount(rows.y[fold]).tolist() for fold in folds] == [[10, 10]] * 5


def test_equal_rows_are_in_one_fold() -> None:
    rows = slope(40)
    rows = replace(rows, marks=rows.marks // 4)

    folds = folds_of(rows, seed=0)

    assert sum(len(np.unique(rows.marks[fold])) for fold in folds) == len(np.unique(rows.marks))


def test_there_are_no_more_folds_than_different_rows() -> None:
    rows = slope(9)

    assert len(folds_of(replace(rows, marks=rows.marks // 3), seed=0)) == len(np.unique(rows.marks // 3))


def test_rows_of_one_group_are_in_one_fold() -> None:
    rows, groups = slope(40), np.arange(40, dtype=np.uint64) // np.uint64(5)

    folds = folds_of(rows, seed=0, groups=groups)

    assert sum(len(np.unique(groups[fold])) for fold in folds) == 8
