"""The requests that are sent: path, headers and body, made once before anything is measured."""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from benchmarks.store import MODEL, Rows

JSON = "application/json"
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

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers but those of the connection."""
        headers = {"content-type": self.content_type} if self.body else {}
        return {**headers, "accept": self.accept} if self.accept else headers

    def wire(self) -> bytes:
        """Return the request as it travels."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"content-length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def json_rows(x: Rows, query: str = "") -> Request:
    """Return rows as JSON arrays with the digits that a person would type; x has shape (N, F)."""
    instances = np.round(x.astype(np.float64), 1).tolist()
    return Request(f"/predict/{MODEL}{query}", orjson.dumps({"instances": instances}), len(x))


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


def activate(version: int) -> Request:
    """Return the request that makes a version the serving one."""
    return Request(f"/models/{MODEL}/versions/{version}/activate", b"", 0)
