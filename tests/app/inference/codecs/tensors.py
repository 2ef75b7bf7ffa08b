"""Inference requests to a model of three features, and the rows that are read from them."""

from __future__ import annotations

from typing import Any

from app.inference.codecs.oip import InferBody, read_request
from app.inference.codecs.oip_tensors import read_rows
from app.schema import Float32, ModelSchema
from tests.app.oip import whole
from tests.app.tables import schema_of

FEATURES = ("left", "middle", "right")
CONTRACT = schema_of(FEATURES)


def read(body: InferBody, schema: ModelSchema = CONTRACT) -> Float32:
    return read_rows(read_request(body), schema)


def request(**changes: Any) -> bytes:
    return whole([{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3], **changes}])


def columns(*names: str, **changes: Any) -> bytes:
    return whole([{"name": name, "shape": [2], "datatype": "FP32", "data": [1, 2], **changes} for name in names])
