from __future__ import annotations

import numpy as np
import pytest

from tests.training.samples import typed
from training.data.columns import Column
from training.preprocessing.categories import add_other, fit_categories, recode


def texts(*values: str | None) -> tuple[tuple[Column, ...], np.ndarray]:
    """Return a number and a text column as they are read: texts in the order of their first row."""
    known = tuple(dict.fromkeys(value for value in values if value is not None))
    codes = [np.nan if value is None else known.index(value) for value in values]
    x = np.column_stack([np.arange(len(values)), codes]).astype(np.float32)
    return (Column("row"), Column("kind", "categorical", known)), x


def test_categories_have_five_training_rows_and_come_in_the_order_of_their_frequency() -> None:
    columns, x = texts(*["rare"] * 4, *["second"] * 5, None, *["first"] * 7, *["also second"] * 5)

    number, kind = fit_categories(columns, x)

    assert number == columns[0]
    assert dict(zip(kind.texts, kind.counts, strict=True)) == {"first": 7, "second": 5, "also second": 5}
    assert kind.texts == ("first", "second", "also second")
    assert kind.other == 4


def test_cells_get_the_code_of_their_category_or_the_one_after_the_last() -> None:
    columns, x = texts(*["b"] * 5, "rare", None, *["a"] * 6)
    fitted = fit_categories(columns, x)
    x = np.vstack([x, [99, 3]]).astype(np.float32)  # a text that only the test rows have

    recode(x, columns, fitted)

    assert fitted[1].texts == ("a", "b")
    np.testing.assert_array_equal(x[:, 1], [1] * 5 + [2, np.nan] + [0] * 6 + [2])
    assert x[:13, 0].tolist() == list(range(13))


def test_at_most_255_categories_are_kept() -> None:
    columns, x = texts(*(f"text {number}" for number in range(300) for _ in range(5 + (number == 299))))

    _, kind = fit_categories(columns, x)

    assert (len(kind.texts), kind.texts[:2], kind.other) == (255, ("text 299", "text 0"), 45 * 5)


def test_a_column_of_rare_and_overlong_texts_still_has_a_category() -> None:
    columns, x = texts(*["x" * 201] * 9, "b", "a", "a")

    _, kind = fit_categories(columns, x)

    assert (kind.texts, kind.counts, kind.other) == (("a",), (2,), 10)


def test_other_is_taught_where_no_row_has_it() -> None:
    rows = typed(1000)
    before = rows.x.copy()

    taught = add_other(rows.columns, rows.x, seed=1)

    assert np.array_equal(rows.x, before, equal_nan=True)
    changed = (taught != before) & ~np.isnan(before)
    assert changed.sum(axis=0).tolist() == [0, 9, 0, 0, 0, 0]  # 1 % of the present cells of "plan"
    assert (taught[changed] == 3).all()
    assert np.array_equal(add_other(rows.columns, rows.x, seed=1), taught, equal_nan=True)
    assert not np.array_equal(add_other(rows.columns, rows.x, seed=2), taught, equal_nan=True)


def test_few_rows_teach_other_with_five_and_numbers_are_not_copied() -> None:
    rows = typed(40, gaps=0)

    assert (add_other(rows.columns, rows.x, seed=0)[:, 1] == 3).sum() == 5
    assert add_other((), rows.x, seed=0) is rows.x


@pytest.mark.parametrize(("texts", "expected"), [(("0.0", "1.0"), [1, np.nan, 0]), (("1", "0"), [0, np.nan, 1])])
def test_true_stays_true_however_it_is_written_unless_it_meant_false(
    texts: tuple[str, str], expected: list[float]
) -> None:
    x = np.array([[1], [np.nan], [0]], dtype=np.float32)

    recode(x, (Column("paid", "boolean", ("0", "1")),), (Column("paid", "boolean", texts),))

    np.testing.assert_array_equal(x[:, 0], expected)
