"""Columns of DataFrames arrive as the model takes them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tabserve.columns import Columns, fit_columns

KNOWN = Columns(
    1, {"n": "numeric", "c": "categorical", "b": "boolean", "d": "datetime", "Größe": "numeric"}, frozenset({"id"})
)


@pytest.mark.parametrize(
    ("name", "values", "sent", "arrow"),
    [
        ("n", pd.Series([1, 2.5, None], dtype=object), [1.0, 2.5, None], True),
        ("n", pd.Series(["1", "2"], dtype=object), [1, 2], True),
        ("n", pd.Series(["$72.00", "1"]), ["$72.00", "1"], False),
        ("n", pd.Series(["3", "4"], dtype="category"), [3, 4], True),
        ("c", pd.Series([2.0, np.nan]), ["2", None], True),
        ("c", pd.Series([1, "a", None, True, 2.5], dtype=object), ["1", "a", None, "true", "2.5"], True),
        ("c", pd.Series(["a", "b"], dtype="category"), ["a", "b"], True),
        ("b", pd.Series([True, None], dtype=object), [True, None], True),
        ("d", pd.Series([dt.date(2024, 2, 1), None], dtype=object), ["2024-02-01", None], True),
        ("n", pd.Series(["1", "x"], dtype=pd.ArrowDtype(pa.string())), ["1", "x"], False),
        ("n", pd.Series([1, None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))), [1, None], False),
        ("n", pd.Series([0, 1], dtype="Sparse[int]"), [0, 1], False),
        ("n", pd.Series(pd.Categorical([1, None])), [1, None], True),
        ("c", pd.Series(pd.Categorical([1, None])), ["1", None], True),
        ("c", pd.Series(pd.cut([1, 9], [0, 5, 10])), ["(0, 5]", "(5, 10]"], True),
        ("c", pd.Series(pd.PeriodIndex(["2024-01", None], freq="M")), ["2024-01", None], True),
        ("c", pd.Series(pd.to_datetime(["2024-01-01", "NaT"])), ["2024-01-01", None], True),
        ("c", pd.Series([0.1, 2], dtype="float32"), ["0.1", "2"], True),
        ("c", pd.Series([0.1, None], dtype="Float32"), ["0.1", None], True),
        ("c", pd.Series([np.True_, np.float32(2), None], dtype=object), ["true", "2", None], True),
    ],
)
def test_values_keep_their_meaning(name: str, values: pd.Series[Any], sent: list[object], *, arrow: bool) -> None:
    fitted = fit_columns(pd.DataFrame({name: values}), KNOWN)

    assert [None if pd.isna(value) else value for value in fitted.frame[name]] == sent
    assert fitted.suits_arrow is arrow


def test_columns_that_the_model_ignores_stay_here_and_unknown_ones_are_sent() -> None:
    frame = pd.DataFrame({"id": [object()], "n": [1], "x": ["?"]})

    assert list(fit_columns(frame, KNOWN).frame) == ["n", "x"]
    assert list(fit_columns(frame, KNOWN, ignore_extra=True).frame) == ["n"]
    assert list(frame) == ["id", "n", "x"]


def test_names_are_compared_as_the_service_does() -> None:
    frame = pd.DataFrame({" Gro\u0308\u00dfe ": pd.Series(["7"], dtype=object)})

    assert fit_columns(frame, KNOWN).frame.iloc[0, 0] == 7


def test_a_column_that_occurs_twice_goes_to_the_service_to_be_refused() -> None:
    fitted = fit_columns(pd.DataFrame([[1, 2]], columns=["n", "n"]), KNOWN)

    assert [str(name).strip() for name in fitted.frame] == ["n", "n"]
    assert not fitted.suits_arrow


def test_an_id_column_is_sent_by_any_spelling_of_its_name() -> None:
    frame = pd.DataFrame({"id": ["a"], "n": [1]})

    assert list(fit_columns(frame, KNOWN, id_column=" id ").frame) == ["id", "n"]


@pytest.mark.parametrize(
    ("reading", "values", "in_arrow", "in_csv"),
    [
        ("grouped_point", [1.234, 2e-7, None], [1.234, 2e-7, None], ["1,234", "0,0000002", None]),
        ("grouped_point %", [1.5, -2000.0], [1.5, -2000], ["1,5%", "-2000,0%"]),
        ("grouped_point €", [1.5], [1.5], ["1,5"]),
        ("grouped_point", ["1.234", 1.5], ["1.234", "1,5"], ["1.234", "1,5"]),
        ("grouped_comma", [1.234], [1.234], [1.234]),
        ("grouped_comma", ["1.234"], [1.234], [1.234]),
    ],
)
def test_a_point_is_never_taken_for_a_separator_of_thousands_nor_the_reverse(
    reading: str, values: list[object], in_arrow: list[object], in_csv: list[object]
) -> None:
    columns = Columns(1, {"n": "numeric"}, frozenset(), {"n": reading})
    fitted = fit_columns(pd.DataFrame({"n": values}), columns)

    assert [None if pd.isna(value) else value for value in fitted.frame["n"]] == in_arrow
    assert [None if pd.isna(value) else value for value in fitted.text_rows(0, 9)["n"]] == in_csv


def test_columns_of_a_version_are_those_of_its_description() -> None:
    document = {
        "features": [{"name": "n", "type": "numeric", "reading": "plain"}],
        "left_out": [{"name": "id"}, {"name": "n"}],
        "target": {"name": "gone"},
    }

    assert Columns.of(document, 3) == Columns(3, {"n": "numeric"}, frozenset({"id", "gone"}), {"n": "plain"})


@pytest.mark.parametrize("place", ["of a model", "of a version"])
def test_a_training_file_without_a_header_is_known_from_either_description(place: str) -> None:
    dialects = {"test.csv": {"header": True}, "rows.csv": {"header": False}}
    found = {"dialects": dialects} if place == "of a model" else {"lineage": {"dialects": dialects}}

    assert Columns.of({"features": [], "left_out": [], "target": None, **found}, 1).headless
