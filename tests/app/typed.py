"""A model with a feature of each type, and its rows as bodies of every format."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import torch

from app.inference.codecs import json as json_codec
from app.inference.codecs.arrow import ArrowReader
from app.inference.codecs.blocks import BlockReader, RowBlock
from app.inference.codecs.csv import CsvReader
from app.inference.codecs.float32 import Float32Reader
from app.inference.codecs.ndjson import ndjson_reader
from app.inference.codecs.oip import InferBody
from app.inference.codecs.oip_reader import OipReader
from app.schema import Float32, ModelSchema
from modelstore import (
    BooleanFeature,
    CategoricalFeature,
    DatetimeFeature,
    Distribution,
    Feature,
    GoldenRows,
    LeftOut,
    Manifest,
    ModelRepository,
    NumericFeature,
    RegressionEvaluation,
    Signature,
    Target,
    Task,
)
from tests.app.tables import arrow_stream
from tests.fakes import MeanModel, manifest_for, script

FEATURES: tuple[Feature, ...] = (
    NumericFeature(name="age", mean=40, std=10, min=18, max=90, quantiles=(40,) * 9, missing=3),
    CategoricalFeature(name="plan", categories={"basic": 60, "plus, or more": 30, "2": 10}, other=4, missing=0),
    BooleanFeature(name="paid", true_values=("Yes",), false_values=("No",), true=50, false=54),
    DatetimeFeature(name="since", min="2019-01-01", max="2024-12-31", quantiles=(18_000,) * 9, missing=2),
    NumericFeature(name="sum", mean=1, std=1, min=0, max=5000, quantiles=(1,) * 9, reading="grouped_comma $"),
)
NAMES = tuple(feature.name for feature in FEATURES)


def typed_schema(task: Task = "classification", *, optional: bool = False, **named: Any) -> ModelSchema:
    """Return a schema of all types, whose training file also had `id` and the target `gone`."""
    classes = ("no", "yes") if task == "classification" else ()
    features = [feature.model_copy(update={"required": not optional}) for feature in FEATURES]
    return ModelSchema.of_features("typed", 1, features, classes, task=task, ignored=("id", "gone"), **named)


def cells_by_format(
    rows: Sequence[Sequence[Any]], schema: ModelSchema, without: Collection[str] = ()
) -> dict[str, bytes]:
    """Return the cells of rows of JSON values as each format reads them, without some names where there are names."""
    names = [name for name in NAMES if name not in without]
    columns = {name: column for name, column in zip(NAMES, zip(*rows, strict=True), strict=True) if name in names}
    objects = [{name: value for name, value in zip(NAMES, row, strict=True) if name in names} for row in rows]
    x = json_codec.read_rows(json_codec.read_request(orjson.dumps({"instances": rows})), schema)
    data = [[row[name] for name in names[::-1]] for row in objects]
    split = {"dataframe_split": {"columns": ["id", *names[::-1]], "data": [["x", *row] for row in data]}}
    tables = [_table(columns, dictionaries=dictionaries) for dictionaries in (False, True)]
    found = {
        "arrays": x,
        "objects": of_json({"instances": [{"id": "x7", "gone": "yes"} | row for row in objects]}, schema),
        "records": of_json({"dataframe_records": objects}, schema),
        "split": of_json(split, schema),
        "columns": of_json({"inputs": {"gone": ["no"] * len(rows), **columns}}, schema),
        "csv": of_blocks(CsvReader(schema, ignore_extra=False), _csv(objects, names)),
        "ndjson": of_blocks(ndjson_reader(schema), b"".join(orjson.dumps(row) + b"\n" for row in rows)),
        "ndjson objects": of_blocks(ndjson_reader(schema), b"".join(orjson.dumps(row) + b"\n" for row in objects)),
        "arrow": of_blocks(ArrowReader(schema, ignore_extra=False), arrow_stream(tables[0])),
        "arrow dictionaries": of_blocks(ArrowReader(schema, ignore_extra=False), arrow_stream(tables[1])),
        "float32": of_blocks(Float32Reader(schema), x.astype("<f4").tobytes()),
        "oip": x if not columns else _oip(columns, schema, binary=False),
        "oip binary": x if not columns else _oip(columns, schema, binary=True),
    }
    return {kind: cells.tobytes() for kind, cells in found.items()}


class TypedModel(torch.nn.Module):
    """The last class, or the quantity, grows with all cells; a missing one counts as 0."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.quantity = task == "regression"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.nan_to_num(x).sum(dim=1, keepdim=True)  # (N, 1)
        if self.quantity:
            return total / 2
        high = torch.sigmoid(total / 20_000)
        return torch.cat([1 - high, high], dim=1)


def publish_typed(repository: ModelRepository, task: Task = "classification", **fields: Any) -> None:
    """Publish and activate a model `typed` of this task, whose manifest has these other fields."""
    model = TypedModel(task)
    data = script(model)
    x = np.array([[np.nan if row == 1 else row, row % 4, row % 2, row, 60, row] for row in range(32)], np.float32)
    with torch.inference_mode():
        outputs = model(torch.from_numpy(x)).numpy()
    deciles = Distribution(mean=1, std=1, min=0, max=2, quantiles=(1,) * 9)
    quantity = RegressionEvaluation(split="test", rows=9, rmse=1, mae=1, r2=0, median_absolute_error=1)
    template = manifest_for(MeanModel(2, 0.0), data, name="typed", classes=("no", "yes"))
    manifest = Manifest(
        name="typed",
        created=template.created,
        sha256=template.sha256,
        size_bytes=template.size_bytes,
        task=task,
        signature=Signature.for_output("value" if task == "regression" else "probabilities", outputs.shape[1], cells=6),
        target=Target(name="gone", type="numeric", distribution=deciles)
        if task == "regression"
        else Target(name="gone"),
        classes=() if task == "regression" else ("no", "yes"),
        left_out=(LeftOut(name="id", reason="id", detail="unique in all rows"),),
        golden=GoldenRows(
            features=tuple(tuple(None if np.isnan(cell) else cell for cell in row) for row in x.tolist()),
            outputs=tuple(map(tuple, outputs.tolist())),
            tolerance=1e-4,
        ),
        metrics={"test": quantity} if task == "regression" else template.metrics,
        lineage=template.lineage,
        **{"features": FEATURES, **fields},
    )
    repository.activate("typed", repository.publish(manifest, data).version)


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


def _csv(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *names, "gone"])
    writer.writerows([["a", *(as_text(row[name]) for name in names), "no"] for row in rows])
    return text.getvalue().encode()


def _table(columns: Mapping[str, Sequence[Any]], *, dictionaries: bool) -> pa.Table:
    kinds = {"plan": pa.string(), "since": pa.string(), "age": pa.float64(), "sum": pa.float64(), "paid": pa.bool_()}
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in kinds.items() if name in columns})
    if dictionaries:
        encoded = [each.dictionary_encode() if pa.types.is_string(each.type) else each for each in table.columns]
        table = pa.table(dict(zip(table.column_names, encoded, strict=True)))
    rows = max(map(len, columns.values()), default=1)
    return table.append_column("gone", pa.array(["no"] * rows))


def _oip(columns: Mapping[str, Sequence[Any]], schema: ModelSchema, *, binary: bool) -> Float32:
    kinds = {"age": "FP64", "plan": "BYTES", "paid": "BOOL", "since": "BYTES", "sum": "FP64"}
    inputs, parts = [], []
    for name, values in columns.items():
        kind = kinds[name]
        described: dict[str, Any] = {"name": name, "datatype": kind, "shape": [len(values)]}
        if binary and (kind == "FP64" or None not in values):
            parts.append(_binary(kind, values))
            described["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            described["data"] = values
        inputs.append(described)
    text = orjson.dumps({"inputs": inputs})
    reader = OipReader(InferBody(text + b"".join(parts), 0, len(text) if parts else None), 0)
    reader.parse(len(values))
    return reader.rows(schema)


def _binary(kind: str, values: Sequence[Any]) -> bytes:
    if kind == "BYTES":
        return b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in values)
    return np.array(values, dtype="<f8" if kind == "FP64" else "u1").tobytes()
