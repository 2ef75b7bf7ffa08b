"""Record batches of any columns become the rows of a version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import InvalidInput
from app.schema import ModelSchema
from app.scoring.columns import ColumnReader, parquet_columns
from app.scoring.parts import cut_all
from app.scoring.sources import find_sources
from modelstore import CategoricalFeature, Feature, NumericFeature

FEATURES: list[Feature] = [
    NumericFeature(name="a.b", mean=0, std=1, min=0, max=1, quantiles=(0.5,) * 9),
    CategoricalFeature(name="colour", categories={"red": 2, "blue": 1}, other=0),
]


@pytest.fixture
def schema() -> ModelSchema:
    return ModelSchema.of_features("sample", 1, FEATURES, ("no", "yes"))


def test_features_are_found_by_name_among_nested_and_unknown_columns(tmp_path: Path, schema: ModelSchema) -> None:
    path = tmp_path / "rows.parquet"
    colours = pa.array(["blue", None, "green"]).dictionary_encode()
    table = pa.table({"nested": [{"x": 1}] * 3, "colour": colours, "a": ["t"] * 3, "a.b": pa.array([1, 2, None])})
    pq.write_table(table, path)
    (part,) = cut_all(find_sources([str(path)], tmp_path / "o.csv"), schema, 1, ignore_extra=True)

    reader = ColumnReader(parquet_columns(part, schema, ignore_extra=True), schema, first=10)
    assert list(reader.feed(b"")) == []
    (block,) = reader.finish()
    assert (block.first, block.bad) == (10, {})
    assert np.array_equal(block.x, np.array([[1, 1], [2, np.nan], [np.nan, 2]], np.float32), equal_nan=True)
    with pytest.raises(InvalidInput, match="'nested' is not a column of the model"):
        parquet_columns(part, schema, ignore_extra=False)
