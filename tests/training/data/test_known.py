"""A test file has the classes of the training rows; what it loses is said with its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training.config.recipe import DataSource
from training.data.splits import Splits, load_splits
from training.errors import DatasetError


def load(folder: Path, train: str, test: str, **changes: Any) -> Splits:
    """Load a training file and a test file with these targets, one letter or number a row."""
    for file, targets in (("train.csv", train), ("test.csv", test)):
        rows = [f"{row % 7}.5,{row * row % 11},{target}\n" for row, target in enumerate(targets.split(","))]
        (folder / file).write_text("left,right,y\n" + "".join(rows))
    return load_splits(DataSource(file="train.csv", test_file="test.csv", target="y", **changes), folder)


def times(**classes: int) -> str:
    return ",".join(name for name, count in classes.items() for _ in range(count))


def warnings_of(splits: Splits) -> list[str]:
    """Return the warnings, but for those about repeated rows."""
    return [warning for warning in splits.warnings if "repeat another one" not in warning]


def test_a_test_file_keeps_its_rows_of_a_class_that_has_few_there(tmp_path: Path) -> None:
    splits = load(tmp_path, times(a=9, b=9, c=9), times(c=1, b=3, a=3), rare_classes="refuse")

    assert splits.test.classes == ("a", "b", "c")
    assert splits.test.y.tolist() == [2, 1, 1, 1, 0, 0, 0]
    assert splits.test.lines.tolist() == list(range(2, 9))
    assert warnings_of(splits) == []


def test_a_test_file_may_have_rows_of_one_class(tmp_path: Path) -> None:
    splits = load(tmp_path, times(a=9, b=9), times(b=3))

    assert splits.test.y.tolist() == [1, 1, 1]
    assert warnings_of(splits) == ["test.csv, column 'y': class 'a' has no test row, so it is not measured"]


def test_rows_of_a_test_file_without_a_class_that_is_learnt_are_counted_under_its_name(tmp_path: Path) -> None:
    splits = load(tmp_path, times(a=9, b=9, c=2), times(a=3, b=3, c=1, d=6) + ",,")

    assert (len(splits.test), splits.test.lines.tolist()) == (6, list(range(2, 8)))
    assert warnings_of(splits)[1:] == [
        "test.csv, column 'y': 2 of 15 rows have no target and are left out",
        "test.csv, column 'y': 7 of 15 rows have a class that is not learnt and are left out: 'c' (1), 'd' (6)",
    ]


def test_classes_that_are_merged_in_training_are_so_in_the_test_file(tmp_path: Path) -> None:
    splits = load(tmp_path, times(a=9, b=9, c=3, d=4), times(a=2, c=1, e=1), rare_classes="merge")

    assert [splits.test.classes[y] for y in splits.test.y] == ["a", "a", "other", "other"]
    merged = "2 of 4 rows have a class that is not learnt and are merged into 'other': 'c' (1), 'e' (1)"
    assert f"test.csv, column 'y': {merged}" in warnings_of(splits)


@pytest.mark.parametrize(
    ("test", "changes", "problem"),
    [
        (times(a=3, d=1), {"rare_classes": "refuse"}, "expected classes of the training rows, got 'd' (1)"),
        (times(d=9), {}, "expected rows of the classes that are learnt, got none"),
        (times(a=3, d=1), {"classes": {"a": "A", "b": "B"}}, "line 5, column 'y': expected one of 'a', 'b', got 'd'"),
        ("1,2,many", {"task": "regression"}, "line 4, column 'y': a regression expects numbers, got 'many'"),
        (",,", {"task": "regression"}, "column 'y': expected rows with a target, got none"),
    ],
)
def test_a_fault_of_the_test_file_is_said_to_be_there(
    test: str, changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    train = "1,2,3,4,5,6" if "task" in changes else times(a=9, b=9)

    with pytest.raises(DatasetError) as refused:
        load(tmp_path, train, test, **changes)

    assert str(refused.value).startswith("test.csv, ")
    assert problem in str(refused.value)


def test_rows_without_a_quantity_are_counted_under_the_name_of_the_test_file(tmp_path: Path) -> None:
    splits = load(tmp_path, "1,2,3,4,5,6", "1,,3", task="regression")

    assert splits.test.y.tolist() == [1, 3]
    assert warnings_of(splits) == ["test.csv, column 'y': 1 of 3 rows have no target and are left out"]
