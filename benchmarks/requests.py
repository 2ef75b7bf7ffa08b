"""The requests: path, headers and body, built once before anything is measured."""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from benchmarks.store import MODEL, Rows

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
FLOAT32 = "application/vnd.tabserve.float32"


@dataclass(frozen=True)
class Request:
    """One HTTP request and the number of rows in it."""

    path: str
    body: bytes
    rows: int
    content_type: str = JSON
    accept: str | None = None
    method: str = "POST"
    prefer: str | None = None
    json_bytes: int | None = None
    receipt: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers but those of the connection."""
        headers = {"content-type": self.content_type} if self.body else {}
        wishes = {"accept": self.accept, "prefer": self.prefer, "x-prediction-receipt": self.receipt}
        if self.json_bytes is not None:
            wishes["inference-header-content-length"] = str(self.json_bytes)
        return {**headers, **{name: wish for name, wish in wishes.items() if wish}}

    def wire(self) -> bytes:
        """Return the request as it travels."""
        return self._head(f"content-length: {len(self.body)}") + self.body

    def chunked_head(self) -> bytes:
        """Return the head of the request as it travels if its body comes in chunks."""
        return self._head("transfer-encoding: chunked")

    def _head(self, framing: str) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, framing, "", ""]).encode()


def json_rows(x: Rows, query: str = "") -> Request:
    """Return rows as JSON arrays with the digits that a person would type; x has shape (N, F)."""
    instances = np.round(x.astype(np.float64), 1).tolist()
    return Request(f"/predict/{MODEL}{query}", orjson.dumps({"instances": instances}), len(x))


def csv_rows(x: Rows, features: tuple[str, ...]) -> Request:
    """Return rows as CSV under a header line, with the digits that a person would type; x has shape (N, F)."""
    lines = [",".join(features), *(",".join(map(str, row)) for row in np.round(x.astype(np.float64), 1).tolist())]
    return Request(f"/predict/{MODEL}", "\n".join([*lines, ""]).encode(), len(x), CSV, CSV)


def float32_rows(x: Rows) -> Request:
    """Return rows as little-endian float32, row by row; x has shape (N, F)."""
    body = np.ascontiguousarray(x, dtype="<f4").tobytes()
    return Request(f"/predict/{MODEL}", body, len(x), FLOAT32, FLOAT32)


def arrow_rows(x: Rows, features: tuple[str, ...]) -> Request:
    """Return rows as an Arrow stream of one record batch with a column for each feature; x has shape (N, F).

    Raises:
        ImportError: if pyarrow is not installed; it is an extra.
    """
    arrow: Any = importlib.import_module("pyarrow")
    columns = [arrow.array(np.ascontiguousarray(column)) for column in x.T]
    batch = arrow.RecordBatch.from_arrays(columns, names=list(features))
    sink = io.BytesIO()
    with arrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return Request(f"/predict/{MODEL}", sink.getvalue(), len(x), ARROW, ARROW)


def infer_json(x: Rows) -> Request:
    """Return rows as an inference request in JSON that asks for the probabilities; x has shape (N, F)."""
    data = np.round(x.astype(np.float64), 1).ravel().tolist()
    tensor = {"name": "features", "shape": list(x.shape), "datatype": "FP32", "data": data}
    body = {"inputs": [tensor], "outputs": [{"name": "probabilities"}]}
    return Request(f"/v2/models/{MODEL}/infer", orjson.dumps(body), len(x))


def infer_tensor(x: Rows, *outputs: str) -> Request:
    """Return rows as a binary tensor that is answered by binary tensors, all of them if none is named."""
    part = np.ascontiguousarray(x, dtype="<f4").tobytes()
    size = {"binary_data_size": len(part)}
    tensor = {"name": "features", "shape": list(x.shape), "datatype": "FP32", "parameters": size}
    wanted = [{"name": name} for name in outputs]
    text = orjson.dumps({"inputs": [tensor], "outputs": wanted, "parameters": {"binary_data_output": True}})
    return Request(f"/v2/models/{MODEL}/infer", text + part, len(x), "application/octet-stream", json_bytes=len(text))


def activate(version: int) -> Request:
    """Return the request that makes a version the serving one."""
    return Request(f"/models/{MODEL}/versions/{version}/activate", b"", 0)


def train(epochs: int, seed: int) -> Request:
    """Return the request that trains the model, never to be activated, and is answered when that has ended."""
    body = {"model": MODEL, "activate": "never", "overrides": {"epochs": epochs, "seed": seed, "patience": 0}}
    return Request("/train", orjson.dumps(body), 0, prefer="wait=60")
