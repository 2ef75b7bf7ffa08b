"""Rows that members have not seen: folds, or a part, in the way of the split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.training.learners.auto.fakes import OffLearner
from tests.training.samples import clouds, ignore, slope
from training.data.holdout import Grouped, Latest, Shuffled
from training.learners.auto.unseen import SOME_CELLS, SOME_ROWS, Folds, HeldOutPart, hold_out


def test_small_tables_have_folds() -> None:
    unseen = hold_out(slope(100), Shuffled(), seed=0)

    assert isinstance(unseen, Folds)
    assert len(unseen.folds) == 5
    assert sorted(np.concatenate(unseen.folds).tolist()) == list(range(100))


def test_larger_tables_have_a_validation_part() -> None:
    unseen = hold_out(slope(SOME_ROWS + 1), Shuffled(), seed=0)

    assert isinstance(unseen, HeldOutPart)
    assert len(unseen.validation) == 1500
    assert len(unseen.train) == SOME_ROWS + 1 - 1500
    assert not set(unseen.train.lines) & set(unseen.validation.lines)


def test_wide_tables_have_a_validation_part() -> None:
    assert isinstance(hold_out(clouds(100, features=SOME_CELLS // 100), Shuffled(), seed=0), Folds)
    assert isinstance(hold_out(clouds(100, features=SOME_CELLS // 100 + 1), Shuffled(), seed=0), HeldOutPart)


def test_groups_stay_together() -> None:
    rows = slope(100)
    rows.x[:, 0] = np.arange(100) // 10

    unseen = hold_out(Grouped("x0").mark(rows), Grouped("x0"), seed=0)

    assert isinstance(unseen, Folds)
    groups = [set(rows.x[fold, 0]) for fold in unseen.folds]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10


def test_in_time_the_latest_rows_are_the_part_however_few_rows_there_are() -> None:
    rows = slope(100)
    rows.x[:, 0] = np.random.default_rng(0).permutation(100)

    unseen = hold_out(rows, Latest("x0"), seed=0)

    assert isinstance(unseen, HeldOutPart)
    assert unseen.train.x[:, 0].max() < unseen.validation.x[:, 0].min()


def test_rows_without_a_time_have_folds() -> None:
    rows = slope(100)
    rows.x[:, 0] = np.nan

    assert isinstance(hold_out(rows, Latest("x0"), seed=0), Folds)


def test_larger_tables_of_one_group_or_time_have_a_part_that_is_drawn() -> None:
    rows = slope(SOME_ROWS + 1)
    rows.x[:, 0] = 7

    for way in (Grouped("x0"), Latest("x0")):
        unseen = hold_out(Grouped("x0").mark(rows), way, seed=0)
        assert isinstance(unseen, HeldOutPart)
        assert (len(unseen.train), len(unseen.validation)) == (8_501, 1_500)


def test_a_part_is_answered_by_the_model_and_folds_by_its_held_out_answers() -> None:
    rows = slope(100, noise=0)
    whole, part = Folds(rows, []), HeldOutPart(rows, replace(rows.rows(slice(10))))

    for unseen in (whole, part):
        _, answers = unseen.fit(OffLearner(3.0), ignore)
        np.testing.assert_allclose(answers[:, 0], unseen.y + 3, rtol=1e-6)
