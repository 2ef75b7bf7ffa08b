"""What a split needs: a column to go by, rows and classes on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelstore import Split
from tests.training.samples import clouds, typed
from training.config.recipe import DataSource
from training.data.dataset import Dataset
from training.data.holdout import Grouped, Hashed, HoldOut, Latest
from training.data.sides import describe_sides, require_classes, require_column
from training.data.splits import load_splits
from training.errors import DatasetError


def source(split: Split | None = None) -> DataSource:
    return DataSource(file="clouds.csv", target="cloud", test_fraction=0.25, split=split)


@pytest.mark.parametrize("name", ["plan", "paperless"])
def test_what_has_no_order_is_refused_as_a_time_by_name_but_not_as_a_group(name: str) -> None:
    expected = f"column '{name}': split by time expects numbers or dates, got .* values such as '(basic|No)'; write"
    with pytest.raises(DatasetError, match=expected) as caught:
        require_column(typed(), source(Split(time=name)))

    assert caught.value.column == name
    require_column(typed(), source(Split(group=name)))


@pytest.mark.parametrize("split", [Split(time="amount"), Split(time="since"), None])
def test_numbers_and_dates_are_times(split: Split | None) -> None:
    require_column(typed(), source(split))


def test_months_as_texts_do_not_test_the_months_that_were_found_last(tmp_path: Path) -> None:
    months = np.random.default_rng(0).permutation(120) % 12 + 1
    lines = [f"2023-{month:02},{row},{'ab'[row * row % 3 % 2]}" for row, month in enumerate(months.tolist())]
    (tmp_path / "clouds.csv").write_text("\n".join(["month,x,cloud", *lines, ""]))

    with pytest.raises(DatasetError, match="column 'month': split by time expects numbers or dates"):
        load_splits(source(Split(time="month")), tmp_path)


def test_a_class_without_training_rows_is_left_out_with_its_test_rows() -> None:
    train, test = clouds(90, classes=3), clouds(30, classes=3)

    some = train.rows(np.flatnonzero(train.y != 1))
    learnt, held, warnings = require_classes(some, test, source())

    assert learnt.classes == held.classes == ("cloud 0", "cloud 2")
    assert [np.bincount(rows.y).tolist() for rows in (learnt, held)] == [[30, 30], [10, 10]]
    assert warnings == ("clouds.csv, column 'cloud': class 'cloud 1' has no training row; its test rows are left out",)
    with pytest.raises(DatasetError, match="at least two classes with training rows, got only 'cloud 2'"):
        require_classes(train.rows(np.flatnonzero(train.y == 2)), test, source())


def found(rows: Dataset, way: HoldOut, test_rows: int, wanted: float | None = 0.2) -> list[str]:
    train = len(rows) - test_rows
    return list(describe_sides(rows.rows(slice(train)), rows.rows(slice(train, None)), way, wanted))


def test_sides_that_one_time_or_group_makes_too_large_are_named() -> None:
    rows = clouds(100)
    rows.x[:, 0] = np.arange(100) // 10
    grouped = Grouped("x0").mark(rows)

    for data, way, what in ((rows, Latest("x0"), "time"), (grouped, Grouped("x0"), "group")):
        assert found(data, way, 60) == [
            ", column 'x0': 60 rows are for testing, not 20%, and 40 to learn from, as rows of one "
            f"{what} stay on one side"
        ]
        assert not found(data, way, 60, wanted=0.7)  # so it was wanted
        assert not found(data, way, 60, wanted=None)
        assert not found(data, way, 40)
    assert not found(rows, Hashed(), 60)


def test_training_rows_of_one_time_or_group_are_named() -> None:
    rows = clouds(100)
    rows.x[:, 0] = np.arange(100) // 80

    (of_one_group,) = found(Grouped("x0").mark(rows), Grouped("x0"), 20)
    (of_one_time,) = found(rows, Latest("x0"), 20)

    assert of_one_group.startswith(", column 'x0': all training rows are of one group, so the rows that stop or judge")
    assert of_one_time.startswith(", column 'x0': most training rows have the latest time, or none, so the rows")
