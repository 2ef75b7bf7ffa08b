"""Background rows: few, weighted, near what all training rows say, and no row of a person."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from modelstore import Background, ColumnType
from tests.training.samples import clouds, typed
from training.artifact.background import BACKGROUND_ROWS, FEWEST_ROWS, make_background
from training.data.columns import Column
from training.data.dataset import Dataset


def made(train: Dataset) -> tuple[Background, np.ndarray]:
    """Return the background rows, and the number of training rows that each stands for."""
    found = make_background(train)
    assert found is not None
    return found, np.array(found.weights) * len(train)


def test_centres_have_the_mean_of_all_rows_and_at_least_five_rows_each() -> None:
    train = clouds(400, features=4)

    found, counts = made(train)

    assert BACKGROUND_ROWS - 4 <= len(found.rows) <= BACKGROUND_ROWS
    assert counts == pytest.approx(counts.round(), abs=1e-9)
    assert counts.min() >= FEWEST_ROWS
    assert np.array(found.weights) @ np.array(found.rows, dtype=float) == pytest.approx(train.x.mean(axis=0), abs=1e-5)


def test_the_same_rows_give_the_same_centres() -> None:
    assert make_background(typed(300)) == make_background(typed(300))


def test_categories_and_truth_values_are_real_ones_and_dates_whole_days() -> None:
    train = typed(300)

    rows = np.array(made(train)[0].rows, dtype=np.float64)

    for cell, column in enumerate(each for each in train.columns for _ in range(each.width)):
        present = rows[~np.isnan(rows[:, cell]), cell]
        if column.type != "numeric":
            assert np.array_equal(present, present.round())
        if column.type in ("categorical", "boolean"):
            assert set(present) <= set(train.x[:, cell].tolist())
    assert np.isnan(rows).any()  # what is often missing is missing in some centres


def coded(rows: int, *widths: int, types: ColumnType = "categorical") -> Dataset:
    """Return columns of so many values each, of which the first are frequent."""
    shares = [np.arange(width, 0, -1) / np.arange(width, 0, -1).sum() for width in widths]
    draws = np.random.default_rng(0)
    x = np.column_stack([draws.choice(len(share), rows, p=share) for share in shares]).astype(np.float32)
    columns = tuple(
        Column(f"c{place}", types, texts=tuple(map(str, range(width)))) for place, width in enumerate(widths)
    )
    return replace(clouds(rows), x=x, columns=columns)


@pytest.mark.parametrize(
    "train",
    [
        typed(300),
        coded(320, 4, 4, 4, 4, 4),
        coded(300, 30, 30),
        coded(12, 2, 2, types="boolean"),
        replace(coded(300, 3, 3, 40), columns=(*coded(1, 3, 3).columns, Column("x"))),
        replace(clouds(60), x=np.arange(60, dtype=np.float32)[:, None], columns=(Column("x"),)),
    ],
    ids=["typed", "five columns", "many values", "few rows", "whole numbers", "one number"],
)
def test_none_is_a_row_that_few_training_rows_have(train: Dataset) -> None:
    found, counts = made(train)

    times = Counter(map(bytes, train.x))
    assert [rows for row in np.array(found.rows, dtype=np.float32) if 0 < (rows := times[row.tobytes()]) < 5] == []
    assert counts.min() >= FEWEST_ROWS
    assert counts.sum() == pytest.approx(len(train))


def test_rows_that_many_have_stay_as_they_are() -> None:
    train = coded(300, 2, 2)

    times = Counter(map(bytes, train.x))

    assert [times[row.tobytes()] >= 5 for row in np.array(made(train)[0].rows, dtype=np.float32)] == [True] * 4


def test_a_few_extreme_rows_have_no_centre_of_their_own() -> None:
    train = clouds(100, features=2)
    train.x[:3] = 1e6

    found, counts = made(train)

    assert counts.min() >= FEWEST_ROWS
    assert max(row[0] or 0 for row in found.rows) < 1e6


@pytest.mark.slow
def test_few_equal_or_very_wide_rows_have_fewer_centres() -> None:
    assert make_background(clouds(4)) is None
    assert len(made(clouds(11))[0].rows) <= 2
    equal = clouds(100)
    equal.x[:] = equal.x[:1]
    assert made(equal)[0].weights == (1.0,)
    assert len(made(clouds(200, features=8_000))[0].rows) <= 4
