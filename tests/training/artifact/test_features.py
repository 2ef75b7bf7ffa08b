from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, NumericFeature
from tests.training.samples import clouds, describe, learnt, typed
from training.artifact.features import columns_of, describe_features, suits, translate
from training.data.columns import cells_of
from training.data.dataset import Dataset
from training.learners.protocol import predictor
from training.preprocessing.categories import recode


@pytest.fixture
def train() -> Dataset:
    return clouds(60, features=5)


def test_features_say_what_the_training_split_showed(train: Dataset) -> None:
    first, *_ = describe_features(train, {"x0": "cm"})

    column = train.x[:, 0]
    assert isinstance(first, NumericFeature)
    assert (first.name, first.unit) == ("x0", "cm")
    assert (np.float32(first.min), np.float32(first.max)) == (column.min(), column.max())
    exact = column.astype(np.float64)
    assert (first.mean, first.std) == pytest.approx((exact.mean(), exact.std()))
    assert first.quantiles == pytest.approx(np.quantile(column, np.arange(1, 10) / 10))


@pytest.mark.parametrize("value", [0.1, 1e-30, 1e30, -7.7])
def test_deciles_of_a_constant_column_ascend_in_spite_of_rounding(value: float, train: Dataset) -> None:
    train.x[:, 0] = value

    first, *_ = describe_features(train, {})
    assert isinstance(first, NumericFeature)
    assert set(first.quantiles) == {value}


def test_every_type_is_described_by_its_present_values() -> None:
    rows = typed(500)
    amount, plan, paperless, since, city = describe_features(rows, {"amount": "EUR"})
    missing = np.isnan(rows.x).sum(axis=0).tolist()
    days = rows.x[~np.isnan(rows.x[:, 3]), 3]

    assert isinstance(amount, NumericFeature)
    assert isinstance(since, DatetimeFeature)
    assert (amount.unit, amount.missing) == ("EUR", missing[0])
    assert amount.mean == pytest.approx(np.nanmean(rows.x[:, 0].astype(np.float64)))
    assert amount.quantiles == pytest.approx(np.nanquantile(rows.x[:, 0], np.arange(1, 10) / 10))
    assert isinstance(plan, CategoricalFeature)
    assert isinstance(city, CategoricalFeature)
    assert plan.categories == {
        text: (rows.x[:, 1] == code).sum() for code, text in enumerate(("basic", "plus", "gold"))
    }
    assert (plan.other, city.other) == (0, (rows.x[:, 5] == 2).sum())
    assert isinstance(paperless, BooleanFeature)
    assert (paperless.true_values, paperless.false_values, paperless.missing) == (("Yes",), ("No",), missing[2])
    assert (paperless.true, paperless.false) == ((rows.x[:, 2] == 1).sum(), (rows.x[:, 2] == 0).sum())
    assert since.min[:10] == str(np.datetime64(int(days.min()), "D"))
    assert "T" in since.min
    assert since.max[:10] == str(np.datetime64(int(days.max()), "D"))
    assert since.quantiles == pytest.approx(np.quantile(days, np.arange(1, 10) / 10))


def test_columns_that_requests_need_not_name_are_not_required(train: Dataset) -> None:
    features = describe_features(train, {}, ("x1", "x3"))

    assert [feature.name for feature in features if not feature.required] == ["x1", "x3"]
    assert all(feature.required for feature in describe_features(train, {}))


def test_dates_without_times_have_a_range_of_dates() -> None:
    rows = typed(gaps=0)
    rows.x[:, 4] = 0

    since = describe_features(rows, {})[3]

    assert isinstance(since, DatetimeFeature)
    assert since.min == str(np.datetime64(int(rows.x[:, 3].min()), "D"))


def test_a_column_without_any_training_value_is_described_as_missing() -> None:
    rows = typed()
    rows.x[:] = np.nan

    features = describe_features(rows, {})

    assert {feature.missing for feature in features} == {len(rows)}


def test_a_version_answers_rows_whose_texts_have_other_codes() -> None:
    rows = typed()
    predict, columns = predictor(learnt(rows).module), columns_of(describe_features(rows, {}))
    others = tuple(replace(column, texts=column.texts[::-1]) for column in rows.columns)
    x = rows.x.copy()
    recode(x, rows.columns, others)

    assert not np.array_equal(x, rows.x, equal_nan=True)
    assert np.array_equal(translate(predict, others, columns)(x), predict(rows.x))
    assert translate(predict, rows.columns, columns) is predict


def test_a_version_answers_rows_whose_columns_are_in_another_order() -> None:
    rows = typed()
    predict, columns = predictor(learnt(rows).module), columns_of(describe_features(rows, {}))
    x = np.concatenate([rows.x[:, cells] for cells in cells_of(rows.columns)[::-1]], axis=1)

    assert np.array_equal(translate(predict, rows.columns[::-1], columns)(x), predict(rows.x))


def test_a_version_suits_rows_with_its_columns_in_any_order_its_classes_and_its_target() -> None:
    rows = typed()
    manifest, _ = describe(learnt(rows, epochs=1).module, rows, rows)
    first, *others = rows.columns

    assert suits(manifest, replace(rows, columns=(*others, first)), "cloud")
    assert not suits(manifest, rows, "rain")
    assert not suits(manifest, replace(rows, classes=("stays", "goes")), "cloud")
    assert not suits(manifest, replace(rows, columns=tuple(others)), "cloud")
    assert not suits(manifest, replace(rows, columns=(replace(first, type="datetime"), *others)), "cloud")
