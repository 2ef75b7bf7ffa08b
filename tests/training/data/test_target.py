"""The target: which task it is, which classes there are, and which rows are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from training.config.recipe import DataSource
from training.data.cells import parse
from training.data.columns import TargetColumn
from training.data.target import Learnt, choose_task, describe_target, learn_target
from training.errors import DatasetError


def column(cells: Sequence[str]) -> TargetColumn:
    values = tuple(dict.fromkeys(cell for cell in cells if cell))
    places = {value: place for place, value in enumerate(values)}
    codes = np.array([places.get(cell, -1) for cell in cells], dtype=np.int32)
    known = np.append(parse(list(values)), np.nan)
    return TargetColumn(codes, values, None if np.isnan(known[:-1]).any() else known[codes])


def source(**changes: Any) -> DataSource:
    return DataSource(file="mine.csv", target="y", test_fraction=0.2, **changes)


def learn(cells: Sequence[str], **changes: Any) -> Learnt:
    return learn_target(column(cells), np.arange(len(cells)) + 2, source(**changes))


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (["yes", "no"] * 20, "classification"),
        ([str(n % 10) for n in range(60)], "classification"),
        ([str(n % 11) for n in range(60)], "regression"),
        ([f"{n % 10}.5" for n in range(60)], "classification"),
        ([f"{n / 7:.3f}" for n in range(60)], "regression"),
        ([f"kind {n % 30}" for n in range(60)], "classification"),
    ],
)
def test_a_column_of_more_than_ten_different_numbers_is_a_quantity(cells: list[str], task: str) -> None:
    assert choose_task(column(cells), source()) == task


def test_a_person_decides_otherwise() -> None:
    many = [str(n % 26) for n in range(260)]

    assert learn(many, task="classification").classes == tuple(map(str, range(26)))
    assert learn(many, types={"y": "categorical"}).classes == tuple(map(str, range(26)))
    assert learn(["1", "2", "", "1"] * 5, task="regression").y.tolist() == [1, 2, 1] * 5


def test_a_regression_of_words_names_the_first_line() -> None:
    with pytest.raises(DatasetError, match=r"line 3, column 'y': a regression expects numbers, got 'many'"):
        learn(["1", "many", "3"], task="regression")


def test_a_regression_without_any_target_is_refused() -> None:
    with pytest.raises(DatasetError, match="column 'y': expected rows with a target, got none"):
        learn(["", "", ""], task="regression")


def test_gaps_are_left_out_and_counted() -> None:
    found = learn(["a", "b", "", "a", "b"] * 5)

    assert (found.missing, len(found.y), found.classes) == (5, 20, ("a", "b"))
    assert found.kept.tolist() == [row for row in range(25) if row % 5 != 2]
    assert found.warnings == ("mine.csv, column 'y': 5 of 25 rows have no target and are left out",)


RARE = ["a"] * 9 + ["b"] * 9 + ["c"] * 4 + ["d"] * 3


def test_rare_classes_are_left_out_with_their_counts() -> None:
    found = learn(RARE)

    assert (found.classes, len(found.y)) == (("a", "b"), 18)
    assert found.warnings == (
        "mine.csv, column 'y': 7 rows of classes with fewer than 5 rows are left out: 'c' (4), 'd' (3); "
        "see rare_classes",
    )


def test_rare_classes_are_merged_where_they_are_enough_together() -> None:
    found = learn(RARE, rare_classes="merge")

    assert found.classes == ("a", "b", "other")
    assert np.bincount(found.y).tolist() == [9, 9, 7]
    assert learn(RARE[:21], rare_classes="merge").classes == ("a", "b")


def test_rare_classes_are_refused_by_name() -> None:
    with pytest.raises(DatasetError, match="expected at least 5 rows of each class, got 4 of 'c'"):
        learn(RARE, rare_classes="refuse")


def test_the_target_of_a_regression_is_described_by_its_training_values() -> None:
    found = learn([str(n) for n in range(101)] + [""])

    target = describe_target(found, found.y[:11], source(units={"y": "kg"}))

    assert (target.name, target.type, target.unit, target.missing) == ("y", "numeric", "kg", 1)
    assert target.distribution is not None
    assert (target.distribution.mean, target.distribution.min, target.distribution.max) == (5, 0, 10)
    assert target.distribution.quantiles == pytest.approx(range(1, 10))


def test_a_quantity_that_does_not_vary_or_is_beyond_float32_is_refused() -> None:
    with pytest.raises(DatasetError, match="expected values that vary, got only 3"):
        learn(["3", "3.0", "3", "3", "3"], task="regression")
    with pytest.raises(DatasetError, match="line 4, column 'y': expected a number within float32, got") as caught:
        learn(["1", "2", "1e39", "4", "5"], task="regression")
    assert caught.value.faults[0].line == 4
