"""Texts and truth values as codes: which texts are one category, and what is none."""

from __future__ import annotations

import math

import pytest

from app.inference.codecs.categories import BooleanConverter, CategoryConverter
from app.inference.codecs.strict_json import DigitsLost
from app.schema import ModelSchema
from modelstore import BooleanFeature, CategoricalFeature

FLAG = BooleanFeature(name="paid", true_values=("Yes",), false_values=("No",), true=5, false=5)


def categories(*texts: str) -> CategoryConverter:
    feature = CategoricalFeature(name="plan", categories=dict.fromkeys(texts, 5))
    return CategoryConverter(feature, ModelSchema.of_features("plans", 1, (feature,), ("no", "yes")))


def flag() -> BooleanConverter:
    return BooleanConverter(FLAG, ModelSchema.of_features("plans", 1, (FLAG,), ("no", "yes")))


def test_a_whole_number_is_its_digits_however_it_is_written() -> None:
    plan = categories("1", "2")

    assert [plan.cell(value) for value in (1, 2, 2.0, "2", " 2.0 ", 2.5)] == [(0,), (1,), (1,), (1,), (1,), (2,)]


def test_a_number_is_not_the_code_with_leading_zeros() -> None:
    zip_code = categories("01234", "98765")

    assert [zip_code.cell(value) for value in ("01234", 1234, "1234", 98765, "98765")] == [(0,), (2,), (2,), (1,), (1,)]


def test_a_float_that_may_be_an_integer_without_its_last_digits_is_judged_by_nobody() -> None:
    codes = categories(str(2**64))

    assert codes.cells([2**64, 2.0**63, 2**70]) is not None
    for lossy in (2.0**64, -(2.0**63), 1e300):
        with pytest.raises(DigitsLost):
            codes.cells([1, lossy])


def test_texts_that_the_training_kept_apart_stay_apart() -> None:
    plan = categories("1", "1.0")

    assert [plan.cell_of_text(text) for text in ("1", "1.0")] == [(0,), (1,)]


def test_values_together_are_judged_like_each_alone_and_one_without_a_hash_is_none() -> None:
    plan = categories("basic", "plus")

    cells = plan.cells(["plus", "never seen", None, True])

    assert cells is not None
    assert cells[:2, 0].tolist() == [1, 2]
    assert math.isnan(cells[2, 0])
    assert cells[3, 0] == 2
    assert plan.cells(["plus", ["basic"]]) is None


def test_truth_is_said_in_the_words_of_the_file_in_any_case_or_in_those_of_json() -> None:
    paid = flag()

    assert [paid.cell(value) for value in ("Yes", "NO", True, 0, "true", "1.0")] == [(1,), (0,), (1,), (0,), (1,), (1,)]
    assert paid.cell("maybe") == "must be Yes or No (or true, false, null), got other text"
