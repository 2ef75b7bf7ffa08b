"""A model with a feature of each type, and its rows as bodies of every format."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from app.inference.codecs import json as json_codec
from app.inference.codecs.arrow import ArrowReader
from app.inference.codecs.blocks import BlockReader, RowBlock
from app.inference.codecs.csv import CsvReader
from app.inference.codecs.float32 import Float32Reader
from app.inference.codecs.ndjson import ndjson_reader
from app.inference.codecs.oip import InferBody
from app.inference.codecs.oip_reader import OipReader
from app.schema import Float32, ModelSchema
from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, Feature, NumericFeature, Task
from tests.app.tables import arrow_stream

FEATURES: tuple[Feature, ...] = (
    NumericFeature(name="age", mean=40, std=10, min=18, max=90, quantiles=(40,) * 9, missing=3),
    CategoricalFeature(name="plan", categories={"basic": 60, "plus, or more": 30, "2": 10}, other=4, missing=0),
    BooleanFeature(name="paid", trueValues=("Yes",), falseValues=("No",), true=50, false=54),
    DatetimeFeature(name="since", min="2019-01-01", max="2024-12-31", quantiles=(18_000,) * 9, missing=2),
    NumericFeature(name="sum", mean=1, std=1, min=0, max=5000, quantiles=(1,) * 9, reading="grouped_comma $"),
)
NAMES = tuple(feature.name for feature in FEATURES)


def typed_schema(task: Task = "classification", **named: Any) -> ModelSchema:
    """Return a schema of all types, whose training file also had `id` and the target `gone`."""
    classes = ("no", "yes") if task == "classification" else ()
    return ModelSchema.of_features("typed", 1, FEATURES, classes, task=task, ignored=("id", "gone"), **named)


def cells_by_format(rows: Sequence[Sequence[Any]], schema: ModelSchema) -> dict[str, bytes]:
    """Return the cells of rows of JSON values as each format reads them."""
    columns = list(zip(*rows, strict=True))
    objects = [dict(zip(NAMES, row, strict=True)) for row in rows]
    x = json_codec.read_rows(json_codec.read_request(orjson.dumps({"instances": rows})), schema)
    split = {"dataframe_split": {"columns": NAMES[::-1], "data": [row[::-1] for row in rows]}}
    found = {
        "arrays": x,
        "objects": of_json({"instances": [{"id": "x7", "gone": "yes"} | row for row in objects]}, schema),
        "records": of_json({"dataframe_records": objects}, schema),
        "split": of_json(split, schema),
        "columns": of_json({"inputs": dict(zip(NAMES, columns, strict=True))}, schema),
        "csv": of_blocks(CsvReader(schema, ignore_extra=False), _csv(rows)),
        "ndjson": of_blocks(ndjson_reader(schema), b"".join(orjson.dumps(row) + b"\n" for row in rows)),
        "arrow": of_blocks(ArrowReader(schema, ignore_extra=False), arrow_stream(_table(columns))),
        "arrow dictionaries": of_blocks(
            ArrowReader(schema, ignore_extra=False), arrow_stream(_table(columns, dictionaries=True))
        ),
        "float32": of_blocks(Float32Reader(schema), x.astype("<f4").tobytes()),
        "oip": _oip(columns, schema, binary=False),
        "oip binary": _oip(columns, schema, binary=True),
    }
    return {kind: cells.tobytes() for kind, cells in found.items()}


def of_json(document: dict[str, Any], schema: ModelSchema, *, ignore_extra: bool = False) -> Float32:
    request = json_codec.read_request(orjson.dumps(document))
    return json_codec.read_rows(request, schema, ignore_extra=ignore_extra)


def of_blocks(reader: BlockReader, body: bytes) -> Float32:
    blocks: list[RowBlock] = [*reader.feed(body), *reader.finish()]
    assert not any(block.bad for block in blocks), [block.bad for block in blocks]
    return np.concatenate([block.x for block in blocks])


def as_text(value: Any) -> str:
    """Return a JSON value as a cell of a CSV file."""
    return "" if value is None else {True: "Yes", False: "No"}[value] if isinstance(value, bool) else str(value)


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *NAMES, "gone"])
    writer.writerows([["a", *map(as_text, row), "no"] for row in rows])
    return text.getvalue().encode()


def _table(columns: Sequence[Sequence[Any]], *, dictionaries: bool = False) -> pa.Table:
    age, plan, paid, since, total = columns
    texts = {"plan": pa.array(plan, pa.string()), "since": pa.array(since, pa.string())}
    if dictionaries:
        texts = {name: column.dictionary_encode() for name, column in texts.items()}
    numbers = {"age": pa.array(age, pa.float64()), "sum": pa.array(total, pa.float64())}
    return pa.table({"gone": ["no"] * len(age), **numbers, "paid": pa.array(paid, pa.bool_()), **texts})


def _oip(columns: Sequence[Sequence[Any]], schema: ModelSchema, *, binary: bool) -> Float32:
    kinds, inputs, parts = ("FP64", "BYTES", "BOOL", "BYTES", "FP64"), [], []
    for name, kind, values in zip(NAMES, kinds, columns, strict=True):
        described: dict[str, Any] = {"name": name, "datatype": kind, "shape": [len(values)]}
        if binary and (kind == "FP64" or None not in values):
            parts.append(_binary(kind, values))
            described["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            described["data"] = values
        inputs.append(described)
    text = orjson.dumps({"inputs": inputs})
    reader = OipReader(InferBody(text + b"".join(parts), 0, len(text) if parts else None), 0)
    reader.parse(len(columns[0]))
    return reader.rows(schema)


def _binary(kind: str, values: Sequence[Any]) -> bytes:
    if kind == "BYTES":
        return b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in values)
    return np.array(values, dtype="<f8" if kind == "FP64" else "u1").tobytes()
