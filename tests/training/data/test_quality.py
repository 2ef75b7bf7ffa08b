from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.samples import clouds
from training.data import quality
from training.data.columns import Column
from training.data.dataset import Dataset
from training.data.quality import constant_features, leaking_columns, suspect_leaks


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

    assert leaking_columns(rows, np.array([0, 0, 1, 1, 2, 2]), 3) == ((1,) if telling else ())


def typed(cells: object, kind: Column, y: object, classes: tuple[str, ...] = ("no", "yes")) -> Dataset:
    """Return a table of one column."""
    x = np.asarray(cells, dtype=np.float32).reshape(-1, kind.width)
    rows = clouds(len(x), features=1)
    return replace(rows, x=x, y=np.asarray(y), columns=(kind,), classes=classes)


def test_categories_that_tell_the_class_are_suspected_with_their_share() -> None:
    soil = Column("soil", "categorical", ("clay", "sand", "peat"))
    codes = np.arange(300) % 3
    y = (codes == 2).astype(np.int64)
    noisy = np.where(np.arange(300) < 30, 1 - y, y)

    assert list(suspect_leaks(typed(codes, soil, y))) == [
        ("soil", "it alone tells the class of 100.00% of the training rows")
    ]
    assert list(suspect_leaks(typed(codes, soil, noisy))) == []


def test_categories_as_many_as_rows_or_one_class_for_nearly_all_rows_are_no_suspicion() -> None:
    people = Column("who", "categorical", tuple(map(str, range(100))))
    y = np.arange(300) % 2

    assert list(suspect_leaks(typed(np.arange(300) % 100, people, y))) == []
    assert list(suspect_leaks(typed(y, Column("flag", "boolean", ("n", "y")), np.zeros(300, dtype=np.int64)))) == []


def test_a_column_in_the_order_of_the_quantity_is_suspected_with_its_correlation() -> None:
    truth = np.random.default_rng(0).standard_normal(200)
    copy, noise = typed(np.exp(truth), Column("x"), truth, ()), typed(truth[::-1].copy(), Column("x"), truth, ())

    assert list(suspect_leaks(copy)) == [("x", "its rank correlation with the target is 1.0000")]
    assert list(suspect_leaks(noise)) == []


def test_missing_cells_do_not_hide_a_leak_or_a_constant() -> None:
    y = np.arange(100) % 2
    x = np.where(np.arange(100) % 7, y * 2.0, np.nan)

    assert [name for name, _ in suspect_leaks(typed(x, Column("x"), y))] == ["x"]
    assert list(constant_features(typed(np.where(np.arange(100) % 7, 5.0, np.nan), Column("x"), y))) == [True]
    assert list(constant_features(typed(x, Column("x"), y))) == [False]


@pytest.mark.parametrize("filled", [(0, 0, 0), (1, 1, 1), (100, 50, 50), (0, 0, 100), (0, 100, 50)])
def test_a_column_that_is_empty_in_most_rows_of_two_classes_is_no_suspicion(filled: tuple[int, ...]) -> None:
    y = np.arange(300) % 3
    x = np.where(np.arange(300) // 3 < np.array(filled)[y], y, np.nan)

    assert list(suspect_leaks(typed(x, Column("x"), y, ("a", "b", "c")))) == []


def test_a_column_that_only_one_class_lacks_is_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "CHUNK_ROWS", 7)
    y = np.repeat([1, 0, 2], 50)
    cancelled = np.where(y > 0, y * 3.0 + np.arange(150) % 2, np.nan)

    assert [name for name, _ in suspect_leaks(typed(cancelled, Column("x"), y, ("a", "b", "c")))] == ["x"]
