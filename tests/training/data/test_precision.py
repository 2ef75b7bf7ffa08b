"""F13: values that become equal in float32 are reported by column, with an example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from training.config.recipe import DataSource
from training.data.inspection import inspect_file
from training.data.precision import Merging, Values, _surely_distinct, exact
from training.data.splits import load_splits

EPOCH_MS = [1_700_000_000_000 + 1000 * row for row in range(400)]
IDS = [12_345_678_901_234_567 + row for row in range(400)]


def problem(values: Values, rows: npt.NDArray[np.int64] | None = None) -> str | None:
    merging = Merging()
    merging.add(values, rows)
    return merging.problem()


@pytest.mark.parametrize(
    ("values", "count", "example"),
    [
        ([1, 16777216, 16777217, 5], "2 of 4 rows", "16777216 and 16777217"),
        ([16777217.0, 16777216.0], "2 of 2 rows", "16777216 and 16777217"),
        (EPOCH_MS, "400 of 400 rows", "1700000000000 and 1700000001000"),
        (IDS, "400 of 400 rows", "12345678901234567 and 12345678901234568"),
        ([1700000000.25, 1700000000.5, 1700000000.25], "3 of 3 rows", "1700000000.25 and 1700000000.5"),
        ([-16777216, -16777217], "2 of 2 rows", "-16777217 and -16777216"),
        ([2**63 - 1, 2**63 - 2, -(2**63)], "2 of 3 rows", "9223372036854775806 and 9223372036854775807"),
    ],
)
def test_f13_values_that_become_equal_are_counted_and_one_pair_is_shown(
    values: list[float], count: str, example: str
) -> None:
    said = problem(np.array(values))

    assert said is not None
    assert f"in {count} different values become equal in float32, such as {example};" in said


@pytest.mark.parametrize(
    "values",
    [
        [16777216, 16777216, 3],
        [0.1, 0.2, 0.3, 4.35, 99.99],
        [1e-30, 2e-30, 1e30],
        [0.1 + 0.2, 0.3],  # rounding of those who wrote the file
        [],
        [7],
        [0.0, -0.0],
    ],
)
def test_what_float32_tells_apart_is_no_problem(values: list[float]) -> None:
    assert problem(np.array(values)) is None


def test_a_few_neighbours_among_many_decimals_are_no_problem_but_two_identifiers_are() -> None:
    measured = np.random.default_rng(0).normal(size=30_000)
    ids = np.arange(30_000) + 16_777_218 - 30_000

    assert problem(measured) is None
    assert problem(ids) is not None


@examples(100)
@given(st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 3)) | st.integers(-(2**30), 2**30), max_size=30))
def test_what_is_told_apart_without_sorting_is_apart(values: list[float]) -> None:
    numbers = np.array(values, dtype=np.float64)
    different = np.unique(numbers + 0.0)

    if len(different) and _surely_distinct(numbers):
        assert len(np.unique(different.astype(np.float32))) == len(different)


def test_values_with_their_rows_count_as_often_as_they_stand_there() -> None:
    said = problem(np.array([16777217, 16777216, 4]), np.array([10, 5, 100]))

    assert said is not None
    assert "in 15 of 115 rows" in said


def test_texts_of_whole_numbers_are_exact_beyond_float64() -> None:
    texts = ["12345678901234567", "12345678901234568"]

    assert exact(texts, np.array([float(text) for text in texts])).tolist() == [int(text) for text in texts]


def write(path: Path, ids: list[int]) -> Path:
    lines = [f"{value},{row % 7},{'yn'[row % 2]}" for row, value in enumerate(ids)]
    path.write_text("\n".join(["code,x,y", *lines, ""]))
    return path


@pytest.mark.parametrize(
    "ids", [EPOCH_MS, IDS, [16777216 + row for row in range(400)]], ids=["ms", "17 digits", "2^24"]
)
def test_f13_inspection_and_training_name_the_column_and_no_row_is_called_repeated(
    tmp_path: Path, ids: list[int]
) -> None:
    path = write(tmp_path / "mine.csv", [ids[7 * row % 400] for row in range(400)])  # not in order, so no row numbers

    summary = inspect_file(path).summary
    splits = load_splits(DataSource(file="mine.csv", target="y", test_fraction=0.2, stratify=True), tmp_path)

    assert summary is not None
    for warnings in (summary.warnings, splits.warnings):
        (said,) = [warning for warning in warnings if "float32" in warning]
        assert "column 'code': in " in said
        assert not any("repeat" in warning for warning in warnings)


@pytest.mark.slow
def test_f13_two_values_far_apart_in_a_large_file_are_found_where_there_are_few(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [16777216] * 40_000 + [16777217] * 40_000)

    summary = inspect_file(path).summary

    assert summary is not None
    assert "column 'code': in 80000 of 80000 rows" in summary.warnings[0]


def test_rows_that_repeat_in_the_file_are_counted_in_training(tmp_path: Path) -> None:
    write(tmp_path / "mine.csv", [7 + row // 14 for row in range(140)] * 2)

    warnings = load_splits(DataSource(file="mine.csv", target="y", test_fraction=0.2), tmp_path).warnings

    assert any("140 of 280 rows repeat another one" in warning for warning in warnings)


CLASSES = {
    "case and blanks": (["yes", "yes ", "Yes", "no"], "'Yes' and 'yes'"),
    "numbers": (["0", "0.0", "1"], "'0' and '0.0'"),
    "forms": (["caf\u00e9", "cafe\u0301", "tea"], "'cafe\u0301' and 'caf\u00e9'"),
    "inner blanks": (["new  york", "new york", "x"], "'new  york' and 'new york'"),
}


@pytest.mark.parametrize(("classes", "named"), CLASSES.values(), ids=CLASSES.keys())
def test_classes_that_people_may_take_for_one_are_named(tmp_path: Path, classes: list[str], named: str) -> None:
    lines = [f"{row}.5,{classes[row % len(classes)]}" for row in range(60)]
    (tmp_path / "mine.csv").write_text("\n".join(["x,y", *lines, ""]))

    summary = inspect_file(tmp_path / "mine.csv").summary
    splits = load_splits(DataSource(file="mine.csv", target="y", test_fraction=0.2), tmp_path)

    assert summary is not None
    assert any(f"{named} " in said and "column 'y'" in said for said in splits.warnings), splits.warnings
    assert any("are they the same?" in said and "column 'y'" in said for said in summary.warnings), summary.warnings


def test_classes_that_differ_are_not_named(tmp_path: Path) -> None:
    lines = [f"{row}.5,{['yes', 'no', 'x 1', 'x 10', 'x1'][row % 5]}" for row in range(60)]
    (tmp_path / "mine.csv").write_text("\n".join(["x,y", *lines, ""]))

    summary = inspect_file(tmp_path / "mine.csv").summary

    assert summary is not None
    assert summary.warnings == ()
    assert load_splits(DataSource(file="mine.csv", target="y", test_fraction=0.2), tmp_path).warnings == ()
