"""Columns of an Arrow schema against a model; test_arrow.py reads whole streams."""

from __future__ import annotations

import pyarrow as pa
import pytest

from app.errors import InvalidInput, Problem
from app.inference.codecs.arrow_schema import feature_places
from tests.app.tables import schema_of

CONTRACT = schema_of(("left", "right"))


def places(*names: str, ignore_extra: bool = False, kind: pa.DataType | None = None) -> list[int | None]:
    return feature_places(
        CONTRACT, pa.schema([(name, kind or pa.float32()) for name in names]), ignore_extra=ignore_extra
    )


def test_features_are_found_in_any_order_among_ignored_columns() -> None:
    assert places("left", "right") == [0, 1]
    assert places("note", "right", "left", ignore_extra=True) == [2, 1]


def test_missing_column_is_named() -> None:
    with pytest.raises(InvalidInput, match="column 'right' is missing") as refused:
        places("left")

    assert refused.value.problems == (Problem(None, "right", "is missing"),)


@pytest.mark.parametrize("ignore_extra", [False, True])
@pytest.mark.parametrize("name", ["left", "extra"])
def test_column_named_twice_is_refused(name: str, ignore_extra: bool) -> None:
    with pytest.raises(InvalidInput, match="is named twice"):
        places("left", "right", name, name, ignore_extra=ignore_extra)


def test_column_of_ids_of_another_type_is_refused_though_the_model_does_not_know_it() -> None:
    schema = pa.schema([("left", pa.float32()), ("right", pa.float32()), ("order", pa.date32())])

    with pytest.raises(InvalidInput) as refused:
        feature_places(CONTRACT, schema, ignore_extra=False, id_column="order")

    problem = "must be a column of texts or whole numbers, as it has the ids, got date32[day]"
    assert refused.value.problems == (Problem(None, "order", problem),)


def test_column_of_another_type_is_refused_with_both_types() -> None:
    with pytest.raises(InvalidInput, match=r"column 'left' must be .*, got timestamp"):
        places("left", "right", kind=pa.timestamp("s"))
