"""The typical row of a model: medians and most frequent values, in the types of JSON."""

from __future__ import annotations

import struct

import pytest

from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, Feature, NumericFeature
from modelstore.typical import typical_row
from tests.modelstore.samples import petal, sample_manifest


def typical(feature: Feature) -> object:
    manifest = sample_manifest().model_copy(update={"features": (feature,)})  # its cells do not matter here
    (value,) = typical_row(manifest).values()
    return value


def test_the_median_of_numbers_is_the_middle_decile_by_name() -> None:
    assert typical_row(sample_manifest()) == {"petal length": 3.0, "petal width": 1.5}


@pytest.mark.parametrize("number", [0.1, 5.8, 3.4028234663852886e38, 1e-45, -17.989999771118164, 0.0])
def test_a_median_has_the_digits_of_a_float32(number: float) -> None:
    (as_float32,) = struct.unpack("f", struct.pack("f", number))
    feature = petal("length", 1.0).model_copy(update={"quantiles": (as_float32,) * 9})

    shown = typical(feature)

    assert isinstance(shown, float)
    assert struct.pack("f", shown) == struct.pack("f", number)
    assert len(repr(shown)) <= len(repr(as_float32))


def test_the_most_frequent_category_is_shown_whatever_the_order() -> None:
    assert typical(CategoricalFeature(name="soil", categories={"clay": 5, "sand": 9, "loam": 7})) == "sand"


@pytest.mark.parametrize(
    ("true_values", "false_values", "true", "shown"),
    [
        (("Yes", "yes"), ("No", "no"), 3, "No"),
        (("Yes", "yes"), ("No", "no"), 9, "Yes"),
        (("1",), ("0",), 9, 1),
        (("True", "true"), ("False", "false"), 3, False),
    ],
)
def test_the_more_frequent_of_two_values_is_as_in_the_file_or_a_value_of_json(
    true_values: tuple[str, ...], false_values: tuple[str, ...], true: int, shown: object
) -> None:
    feature = BooleanFeature(name="wild", true_values=true_values, false_values=false_values, true=true, false=5)

    assert typical(feature) == shown
    assert type(typical(feature)) is type(shown)


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        ("2019-01-01", "2020-12-31", "2020-01-01"),
        ("2019-01-01T08:00:00", "2020-12-31T09:30:00", "2020-01-01T00:00:00"),
        ("1950-01-01", "2020-12-31", "2020-01-01"),
    ],
)
def test_the_median_day_is_a_date_of_iso_8601(low: str, high: str, shown: str) -> None:
    days = 50 * 365 + 12  # 1970 to 2019, with 12 leap days
    feature = DatetimeFeature(name="found", min=low, max=high, quantiles=(days + 0.5,) * 9)

    assert typical(feature) == shown


def test_a_day_before_1970_is_a_date_as_well() -> None:
    feature = DatetimeFeature(name="born", min="1900-01-01", max="1980-01-01", quantiles=(-1.0,) * 9)

    assert typical(feature) == "1969-12-31"


def test_a_numeric_feature_of_format_1_has_a_median_too() -> None:
    assert isinstance(petal("x", 1.0), NumericFeature)
    assert typical(petal("x", 0.1)) == 0.6


@pytest.mark.parametrize(
    ("days", "shown"),
    [(-719_162, "0001-01-01"), (2_932_896, "9999-12-31"), (1e9, "9999-12-31"), (-1e300, "0001-01-01")],
)
def test_a_median_at_the_ends_of_the_calendar_or_beyond_is_a_date(days: float, shown: str) -> None:
    feature = DatetimeFeature(name="until", min="0001-01-01", max="9999-12-31", quantiles=(days,) * 9)

    assert typical(feature) == shown
