from __future__ import annotations

import numpy as np
import pytest

from training import quality
from training.quality import count_duplicates, telling_columns


def labelled(rows: list[list[float]], labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(rows, dtype=np.float32), np.array(labels)


def test_duplicates_are_counted_within_and_across_the_splits() -> None:
    train = labelled([[1, 2], [1, 2], [3, 4], [1, 2], [5, 6]], [0, 0, 0, 1, 0])
    test = labelled([[3, 4], [3, 4], [7, 8], [7, 8], [5, 6]], [0, 0, 0, 0, 1])

    assert count_duplicates(train, test) == (4, 2)  # one in train, one in test alone, two test rows known from train


def test_zero_and_minus_zero_are_the_same_and_swapped_columns_are_not() -> None:
    assert count_duplicates(labelled([[0.0, 1]], [0]), labelled([[-0.0, 1], [1, 0.0]], [0, 0])) == (1, 1)


def test_a_million_different_rows_are_not_taken_for_repeated_ones() -> None:
    x = np.random.default_rng(0).integers(0, 1000, (1_000_000, 2)).astype(np.float32)
    truth = len(x) - len(np.unique(x @ np.array([1000.0, 1.0])))

    assert count_duplicates((x[:-1], np.zeros(len(x) - 1, np.int64)), (x[-1:], np.zeros(1, np.int64)))[0] == truth


@pytest.mark.parametrize(
    ("x", "telling"),
    [
        ([0, 0, 1, 1, 2, 2], True),
        ([2, 2, 0, 1, 5, 4], True),
        ([0, 1, 1, 2, 3, 3], False),
        ([0, 9, 1, 2, 10, 11], False),
    ],
    ids=["equal to the class", "apart", "touching", "within another"],
)
def test_a_column_tells_if_no_class_reaches_into_another(
    x: list[float], telling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "CHUNK_ROWS", 4)
    noise = [5.0, 1, 4, 2, 3, 5]
    rows = np.array([noise, x], dtype=np.float32).T.copy()

    assert telling_columns(rows, np.array([0, 0, 1, 1, 2, 2]), 3) == ((1,) if telling else ())
