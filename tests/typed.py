"""Models over typed columns whose answers follow from the cells, and rows in all formats."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from modelstore import (
    BooleanFeature,
    CategoricalFeature,
    DatetimeFeature,
    Feature,
    GoldenRows,
    Manifest,
    ModelRepository,
    NumericFeature,
    Signature,
    Target,
)
from tests.fakes import MeanModel, manifest_for, script

Value = float | str | bool | dt.datetime | None
Row = Sequence[Value]
DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DAY_ONE = dt.datetime(1970, 1, 1)


def number(name: str) -> NumericFeature:
    return NumericFeature(name=name, mean=0.5, std=0.3, min=0, max=1, quantiles=DECILES, missing=3)


def choice(name: str, *texts: str) -> CategoricalFeature:
    return CategoricalFeature(name=name, categories=dict.fromkeys(texts, 20), other=5, missing=3)


def truth(name: str, yes: str = "yes", no: str = "no") -> BooleanFeature:
    return BooleanFeature(name=name, true_values=(yes,), false_values=(no,), true=20, false=20, missing=3)


def moment(name: str) -> DatetimeFeature:
    days = tuple(float(day) for day in range(11000, 20000, 1000))
    return DatetimeFeature(name=name, min="2000-01-01", max="2025-01-01", quantiles=days, missing=3)


SCHEMAS: dict[str, tuple[Feature, ...]] = {
    "mixed": (number("size"), choice("colour", "red", "light, blue", "Größe"), truth("paid"), moment("joined")),
    "choices": (
        choice("code", "1", "2", "true"),
        choice("only", "a"),
        choice("blank", "x y", 'say "x"', "two\r\nlines"),
    ),
    "moments": (moment("first"), moment("last")),
    "truths": (truth("t", "1", "0"), truth("u", "True", "False"), number("n")),
    "numbers": (number("x"), number("y"), number("z")),
}


class CellModel(torch.nn.Module):
    """The probability of `high` is the mean of a curve of each cell; a gap counts as -0.37."""

    def __init__(self, scales: Sequence[float]) -> None:
        super().__init__()
        self.scales = torch.nn.Parameter(torch.tensor(scales), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        known = torch.where(torch.isnan(x), torch.full_like(x, -0.37), x * self.scales)  # (N, W)
        high = torch.sigmoid(known).mean(dim=1, keepdim=True)  # (N, 1)
        return torch.cat([1.0 - high, high], dim=1)  # (N, 2)


def model_for(features: Sequence[Feature]) -> CellModel:
    scales = {"numeric": (0.01,), "categorical": (0.3,), "boolean": (0.7,), "datetime": (0.0001, 0.00002)}
    return CellModel([scale for feature in features for scale in scales[feature.type]])


def publish_typed(repository: ModelRepository) -> None:
    """Publish a model of each schema, with golden rows that have gaps and values that are no category."""
    for name, features in SCHEMAS.items():
        model = model_for(features).eval()
        data = script(model)
        width = sum(feature.width for feature in features)
        cells = np.arange(32 * width, dtype=np.float32).reshape(32, width) % 3
        cells[0] = np.nan
        with torch.inference_mode():
            answers = model(torch.from_numpy(cells)).numpy()
        golden = GoldenRows(
            features=tuple(tuple(None if np.isnan(cell) else float(cell) for cell in row) for row in cells),
            outputs=tuple(tuple(map(float, row)) for row in answers),
        )
        usual = manifest_for(MeanModel(2, 0), data, name=name)
        repository.publish(_typed(usual, features, golden, width), data)
        repository.activate(name, 1)


def _typed(usual: Manifest, features: tuple[Feature, ...], golden: GoldenRows, width: int) -> Manifest:
    signature = Signature.for_output("probabilities", 2, cells=width)
    fields = {name: getattr(usual, name) for name in Manifest.model_fields}
    return Manifest(
        **{**fields, "features": features, "golden": golden, "signature": signature, "target": Target(name="level")}
    )


def cells_of(features: Sequence[Feature], rows: Sequence[Row]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the cells, (N, W), by the words of docs/artifact-format.md."""
    return np.array(
        [[cell for pair in zip(features, row, strict=True) for cell in _cells(*pair)] for row in rows], "<f4"
    )


def _cells(feature: Feature, value: Value) -> tuple[float, ...]:
    if value is None:
        return (float("nan"),) * feature.width
    if isinstance(feature, CategoricalFeature):
        known = list(feature.categories)
        return (known.index(str(value)) if value in known else len(known),)
    if isinstance(value, dt.datetime):
        since = value - DAY_ONE
        return since.days, since.seconds
    return (float(value),)


def expected(features: Sequence[Feature], rows: Sequence[Row]) -> bytes:
    """Return the bits of the probabilities, float32, (N, 2)."""
    with torch.inference_mode():
        answers = model_for(features)(torch.from_numpy(cells_of(features, rows).astype(np.float32)))
    return bytes(answers.numpy().astype("<f4").tobytes())


def plain(feature: Feature, value: Value) -> float | str | bool | None:
    """Return a value as JSON has it."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return value


def as_text(feature: Feature, value: Value) -> str:
    """Return a value as a CSV cell has it."""
    if value is None:
        return ""
    if isinstance(feature, BooleanFeature):
        return feature.true_values[0] if value else feature.false_values[0]
    return repr(value) if isinstance(value, float) else str(plain(feature, value))


def arrays(features: Sequence[Feature], rows: Sequence[Row]) -> bytes:
    return json.dumps(
        {"instances": [[plain(*pair) for pair in zip(features, row, strict=True)] for row in rows]}
    ).encode()


def _objects(features: Sequence[Feature], rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{feature.name: plain(feature, value) for feature, value in zip(features, row, strict=True)} for row in rows]


def objects(features: Sequence[Feature], rows: Sequence[Row]) -> bytes:
    return json.dumps({"instances": _objects(features, rows)}).encode()


def ndjson(features: Sequence[Feature], rows: Sequence[Row]) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in _objects(features, rows)).encode()


def as_csv(features: Sequence[Feature], rows: Sequence[Row]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow([feature.name for feature in features])
    writer.writerows([[as_text(*pair) for pair in zip(features, row, strict=True)] for row in rows])
    return stream.getvalue().encode()


def arrow(features: Sequence[Feature], rows: Sequence[Row]) -> bytes:
    kinds = {"numeric": pa.float64(), "categorical": pa.string(), "boolean": pa.bool_(), "datetime": pa.timestamp("s")}
    columns = [
        pa.array(list(column), type=kinds[feature.type])
        for feature, column in zip(features, zip(*rows, strict=True), strict=True)
    ]
    columns = [
        column.dictionary_encode() if feature.type == "categorical" else column
        for feature, column in zip(features, columns, strict=True)
    ]
    batch = pa.record_batch(columns, names=[feature.name for feature in features])
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(stream.getvalue().to_pybytes())


def float32(features: Sequence[Feature], rows: Sequence[Row]) -> bytes:
    return cells_of(features, rows).tobytes()


BODIES = {
    "JSON arrays": ("application/json", arrays),
    "JSON objects": ("application/json", objects),
    "CSV": ("text/csv", as_csv),
    "NDJSON": ("application/x-ndjson", ndjson),
    "Arrow": ("application/vnd.apache.arrow.stream", arrow),
    "float32": ("application/vnd.tabserve.float32", float32),
}


@dataclass(frozen=True)
class Infer:
    """A request of the Open Inference Protocol: its body, and the length of its JSON part if tensors follow it."""

    body: bytes
    json_bytes: int | None = None


def oip_json(features: Sequence[Feature], rows: Sequence[Row]) -> Infer:
    inputs = []
    for feature, column in zip(features, zip(*rows, strict=True), strict=True):
        datatype = {"numeric": "FP64", "boolean": "BOOL"}.get(feature.type, "BYTES")
        data = [plain(feature, value) for value in column]
        inputs.append({"name": feature.name, "shape": [len(rows)], "datatype": datatype, "data": data})
    return Infer(json.dumps({"inputs": inputs}).encode())


def oip_binary(features: Sequence[Feature], rows: Sequence[Row]) -> Infer:
    inputs, parts = [], []
    for feature, column in zip(features, zip(*rows, strict=True), strict=True):
        if feature.type == "numeric":
            part = np.array([np.nan if value is None else value for value in column], "<f8").tobytes()
        else:
            texts = [as_text(feature, value).encode() for value in column]
            part = b"".join(struct.pack("<I", len(each)) + each for each in texts)
        datatype = "FP64" if feature.type == "numeric" else "BYTES"
        size = {"binary_data_size": len(part)}
        inputs.append({"name": feature.name, "shape": [len(rows)], "datatype": datatype, "parameters": size})
        parts.append(part)
    text = json.dumps({"inputs": inputs}).encode()
    return Infer(text + b"".join(parts), len(text))
