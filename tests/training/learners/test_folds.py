"""Folds of training rows."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from tests.training.samples import clouds, slope
from training.data.holdout import Latest, Shuffled
from training.learners.folds import folds_in, folds_of


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
    groups = np.arange(40, dtype=np.uint64) // np.uint64(5)

    folds = folds_of(replace(slope(40), groups=groups), seed=0)

    assert sum(len(np.unique(groups[fold])) for fold in folds) == 8


def test_a_class_of_fewer_rows_than_folds_is_no_reason_to_warn() -> None:
    rows = clouds(40)
    rows.y[:] = np.arange(40) < 3

    with warnings.catch_warnings(action="error"):
        folds = folds_of(rows, seed=0)

    assert sorted(int(rows.y[fold].sum()) for fold in folds) == [0, 0, 1, 1, 1]


def test_rows_of_one_group_are_in_several_folds_where_there_is_no_other() -> None:
    rows = slope(40)
    alone = replace(rows, groups=np.zeros(40, dtype=np.uint64), marks=rows.marks // 2)

    folds = folds_of(alone, seed=0)

    assert len(folds) == 5
    assert sum(len(np.unique(alone.marks[fold])) for fold in folds) == 20


def test_in_time_there_is_one_fold_of_the_latest_rows_unless_there_are_no_later_ones() -> None:
    rows = slope(100)
    rows.x[:, 0] = np.random.default_rng(0).permutation(100)

    (latest,) = folds_in(Latest("x0"), rows, seed=0)

    assert sorted(rows.x[latest, 0].tolist()) == list(range(85, 100))
    rows.x[:, 0] = 7
    assert [len(fold) for fold in folds_in(Latest("x0"), rows, seed=0)] == [20] * 5


def test_rows_that_are_not_in_time_are_in_the_usual_folds() -> None:
    rows = clouds(50)

    usual = folds_of(rows, seed=3, folds=4)

    for fold, same in zip(folds_in(Shuffled(), rows, 3, folds=4), usual, strict=True):
        assert np.array_equal(fold, same)
